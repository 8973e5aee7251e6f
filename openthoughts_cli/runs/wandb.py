"""A copy of a run's log on Weights & Biases. The only module that imports wandb.

A listener behind a bounded queue: one thread owns the W&B run, training only puts rows into the
queue. Once it has started nothing of it can stop or delay training; rows that do not fit are
counted and told of. Scores and numbers are sent, never a problem's or an answer's text.

W&B cannot rewrite its history, so steps that a resumed run does again are not sent again; the
run's own log stays the truth, and `sync` sends all of that.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import netrc
import os
import queue
import subprocess
import threading
import uuid
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlparse

from openthoughts_cli.config.train import WandbConfig
from openthoughts_cli.errors import ConfigError, NetworkError, OtError
from openthoughts_cli.events import EvalDone, Event, Listener, Notice, StepDone, silent
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import eval_line, eval_metrics, step_line, step_metrics
from openthoughts_cli.store import read_object, write_whole

__all__ = ["check_wandb", "copied_to_wandb", "resolve_mode", "sync"]

_QUEUE_ROWS = 10_000
_START_S = 45.0
_FINISH_S = 60.0
_KEY_HINT = "run `wandb login`, or keep the copy here: --set wandb.mode=offline (ot runs sync)"

Row = dict[str, Any]


def resolve_mode(settings: WandbConfig) -> str:
    """`online`, `offline` or `disabled`; `auto` is online only where a key is configured."""
    if settings.mode != "auto":
        return settings.mode
    if (chosen := os.environ.get("WANDB_MODE")) in ("online", "offline", "disabled"):
        return str(chosen)
    return "online" if _has_key() else "disabled"


def check_wandb(settings: WandbConfig) -> None:
    """Find out before a run starts that W&B cannot be written to.

    Raises:
        ConfigError: `mode: online` without a key.
    """
    if settings.mode == "online" and not _has_key():
        raise ConfigError("wandb.mode is online, and no W&B key is configured", hint=_KEY_HINT)


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


@contextlib.contextmanager
def copied_to_wandb(
    settings: WandbConfig,
    run: RunDirectory,
    config: Mapping[str, Any],
    listener: Listener = silent,
    *,
    finish_s: float = _FINISH_S,
) -> Generator[Listener]:
    """A listener that copies a run's steps and scores to W&B, under the run's own W&B id.

    Args:
        config: what W&B shows as the run's config.
        listener: hears what W&B could not do.
        finish_s: how long the end of a run may wait for W&B to take what it has, at most.

    Raises:
        NetworkError: `mode: online` was asked for and W&B cannot be reached.
    """
    mode = resolve_mode(settings)
    if mode == "disabled":
        yield silent
        return
    copy = _Copy(settings, run, config, listener)
    try:
        copy.start(mode, run_id=_own_id(run, mode))
    except NetworkError as error:
        if settings.mode == "online":
            raise
        listener(Notice(f"W&B: {error.message}; kept here for ot runs sync", "warning"))
        copy = _Copy(settings, run, config, listener)
        copy.start("offline", run_id=_own_id(run, "offline"))
    try:
        yield copy.hear
    finally:
        copy.finish(wait_s=finish_s)


def sync(run: RunDirectory, settings: WandbConfig, config: Mapping[str, Any]) -> str:
    """Send a run's whole log to W&B, steps ascending; returns the W&B run's id.

    A W&B run that got rows while training keeps them: the log then goes to a new one beside it.

    Raises:
        NetworkError: W&B cannot be reached.
        ConfigError: no key is configured.
    """
    mode: Literal["offline", "online"] = "offline" if settings.mode == "offline" else "online"
    check_wandb(settings.model_copy(update={"mode": mode}))
    state = _read_state(run)
    run_id = str(state.get("id") or _new_id())
    if "online" in state.get("modes", []):
        run_id = _new_id()
    copy = _Copy(settings, run, config, silent, skip_sent=False)
    copy.start(mode, run_id=run_id)
    for row in _whole_log(run):
        copy.put(row, wait=True)
    copy.finish(wait_s=None)
    if copy.failure is not None:
        raise NetworkError(
            f"W&B failed on the way: {copy.failure}",
            hint="the run's own log is whole; try again with ot runs sync",
        )
    _write_state(run, {**state, "id": run_id, "modes": [*state.get("modes", []), mode]})
    return run_id


def _whole_log(run: RunDirectory) -> Iterator[Row]:
    rows = [(record["step"], 0, record) for record in step_metrics(run)]
    for name, scores in eval_metrics(run).items():
        rows += [
            (step, 1, {"step": step, **{f"eval/{name}/{k}": v for k, v in metrics.items()}})
            for step, metrics in scores
        ]
    for _, _, row in sorted(rows, key=lambda entry: entry[:2]):
        yield row


def _own_id(run: RunDirectory, mode: str) -> str:
    """The W&B id of the run: made once, kept in wandb.json for every later attempt."""
    state = _read_state(run)
    run_id = str(state.get("id") or _new_id())
    modes = [*state.get("modes", [])]
    _write_state(run, {**state, "id": run_id, "modes": [*modes, *({mode} - set(modes))]})
    return run_id


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _read_state(run: RunDirectory) -> dict[str, Any]:
    try:
        return read_object(run.wandb_path) or {}
    except OtError:
        return {}  # the copy then begins anew; the run's log is whole


def _write_state(run: RunDirectory, state: Mapping[str, Any]) -> None:
    write_whole(run.wandb_path, json.dumps(state, indent=2) + "\n")


class _Copy:
    """The queue, and the thread that empties it into W&B."""

    def __init__(
        self,
        settings: WandbConfig,
        run: RunDirectory,
        config: Mapping[str, Any],
        listener: Listener,
        *,
        skip_sent: bool = True,
    ) -> None:
        self._settings = settings
        self._run = run
        self._config = config
        self._listener = listener
        self._rows: queue.Queue[Row | None] = queue.Queue(_QUEUE_ROWS)
        self._started = threading.Event()
        self.failure: str | None = None
        self._dropped = 0
        steps = step_metrics(run) if skip_sent else []
        self._sent_step = steps[-1]["step"] if steps else 0
        evals = eval_metrics(run) if skip_sent else {}
        self._sent_evals = {(name, step) for name, s in evals.items() for step, _ in s}
        self._thread: threading.Thread | None = None

    def start(self, mode: str, *, run_id: str) -> None:
        """Open the W&B run; waits for it, since a tracker must at least start well."""
        self._thread = threading.Thread(
            target=self._work, args=(mode, run_id), name="wandb", daemon=True
        )
        self._thread.start()
        if not self._started.wait(_START_S):
            self.failure = self.failure or f"it did not start within {_START_S:.0f} s"
        if self.failure is not None:
            raise NetworkError(f"W&B cannot be written to: {self.failure}", hint=_KEY_HINT)

    def hear(self, event: Event) -> None:
        """Queue what belongs on W&B; never waits."""
        if isinstance(event, StepDone) and event.step > self._sent_step:
            self.put(step_line(event))
        elif isinstance(event, EvalDone) and (event.benchmark, event.step) not in self._sent_evals:
            self.put(eval_line(event))

    def put(self, row: Row, *, wait: bool = False) -> None:
        try:
            self._rows.put(row, block=wait)
        except queue.Full:
            self._dropped += 1

    def finish(self, *, wait_s: float | None) -> None:
        """Let the queue run empty and close the W&B run, for a bounded time."""
        thread = self._thread
        if thread is None:
            return
        try:
            self._rows.put(None, timeout=wait_s)
            thread.join(wait_s)
        except queue.Full:
            self._dropped += 1
        if thread.is_alive() or self.failure is not None:
            _abandon_service()
        if thread.is_alive():
            text = f"W&B was not finished within {wait_s or 0:.0f} s; ot runs sync sends the log"
            self._listener(Notice(text, "warning"))
        elif self.failure is not None:
            text = f"W&B failed on the way: {self.failure}; ot runs sync sends the log"
            self._listener(Notice(text, "warning"))
        if self._dropped:
            text = f"W&B: {self._dropped} rows did not fit into the queue; ot runs sync sends them"
            self._listener(Notice(text, "warning"))

    def _work(self, mode: str, run_id: str) -> None:
        rows = iter(self._rows.get, None)
        try:
            wandb_run = self._open(mode, run_id)
            self._started.set()
            scores: list[tuple[str, int, str, float]] = []
            for row in rows:
                wandb_run.log(row)
                scores += _scores(row)
            self._close(wandb_run, scores)
        except Exception as error:  # noqa: BLE001 - whatever a tracker raises, training goes on
            self.failure = f"{type(error).__name__}: {error}"
            self._started.set()
            for _ in rows:  # it is over at once where the end was read already
                pass

    def _open(self, mode: str, run_id: str) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")  # its log-in speaks before settings are read
        import wandb

        wandb_run = wandb.init(
            mode=mode,  # pyright: ignore[reportArgumentType]
            id=run_id,
            resume=None if mode == "offline" else "allow",
            project=self._settings.project,
            entity=self._settings.entity,
            group=self._settings.group,
            name=self._settings.name or self._run.run_id,
            config=dict(self._config),
            dir=str(self._run.path),
            settings=wandb.Settings(
                console="off",
                silent=True,
                save_code=False,
                disable_git=True,
                x_disable_stats=True,
                init_timeout=_START_S - 5,
            ),
        )
        wandb_run.define_metric("step", hidden=True)
        wandb_run.define_metric("*", step_metric="step")
        return wandb_run

    def _close(self, wandb_run: Any, scores: list[tuple[str, int, str, float]]) -> None:
        import wandb

        for name, by_step in eval_metrics(self._run).items():
            for metric, value in by_step[-1][1].items():
                wandb_run.summary[f"final/{name}/{metric}"] = value
        if scores:
            columns: list[Any] = ["benchmark", "step", "metric", "value"]
            table = wandb.Table(columns=columns, data=[list(score) for score in scores])
            wandb_run.summary["evals"] = table
        wandb_run.finish()


_abandoned: list[subprocess.Popen[bytes]] = []


@atexit.register  # before W&B's own, and so called after them
def _end_abandoned() -> None:
    for process in _abandoned:
        process.kill()


def _abandon_service() -> None:
    """Let this process end without W&B's helper process, which tries for hours to reach a host that
    is gone while the interpreter waits for it. There is no public way (wandb 0.31)."""
    from wandb.sdk import wandb_setup

    connection: Any = getattr(wandb_setup.singleton(), "_connection", None)
    process = getattr(getattr(connection, "_proc", None), "_process", None)
    if process is not None:
        connection._cleanup()  # it takes W&B's waiting away from what happens at exit
        _abandoned.append(process)


def _scores(row: Row) -> list[tuple[str, int, str, float]]:
    found: list[tuple[str, int, str, float]] = []
    for key, value in row.items():
        parts = key.split("/", 2)
        if len(parts) == 3 and parts[0] == "eval":
            found.append((parts[1], row["step"], parts[2], float(value)))
    return found
