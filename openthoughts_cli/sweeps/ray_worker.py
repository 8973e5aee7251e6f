"""The worker's side of a cell on Ray: unpack the run, train, send what changes home as it comes.

The worker needs this package installed and nothing of the home machine's disk: subsets and the
run's own directory travel as bytes, and results go home with each checkpoint and each score.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import Subset, load_subset
from openthoughts_cli.errors import OtError
from openthoughts_cli.events import CheckpointSaved, EvalDone, Event, RunStarted
from openthoughts_cli.leftovers import sweep_scratch
from openthoughts_cli.sweeps.launch import CellOutcome
from openthoughts_cli.sweeps.parcel import Snapshots, unpack
from openthoughts_cli.sweeps.wire import encode_event
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.surroundings import Surroundings
from openthoughts_cli.training.verb import Means, train_as_task

__all__ = ["Parcel", "work"]

_SENT_WITH = (RunStarted, CheckpointSaved, EvalDone)
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """A cell as it travels.

    `subsets`: what the config calls them -> folder and tar (`SubsetParcels`). `run`: the tar of what
    is there of the run already. `home`: the run's path at home, which its files mention.
    """

    config: Mapping[str, Any]
    subsets: Mapping[str, tuple[str, bytes]]
    run: bytes
    home: str
    environ: Mapping[str, str]


def work(parcel: Parcel, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Run the cell; yields messages: `host`, `events`, `files` (a tar of what changed), `outcome`.

    Args:
        stopped: asked about once a second, in another thread; true ends the run at its next safe
            point.
    """
    prefix = sweep_scratch(Path(tempfile.gettempdir()), "ot-cell-")
    scratch = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    before = dict(os.environ)
    try:
        yield {"host": socket.gethostname(), "pid": os.getpid(), "scratch": str(scratch)}
        yield from _work(parcel, scratch, stopped)
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(scratch, ignore_errors=True)


def _work(parcel: Parcel, scratch: Path, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    os.environ.update(parcel.environ)
    os.environ.update(OT_RUNS=str(scratch / "runs"), OT_SUBSETS=str(scratch / "subsets"))
    config = TrainConfig.model_validate(dict(parcel.config))
    run = scratch / "runs" / str(config.run_name)
    unpack(parcel.run, run, moved={parcel.home: str(run)})
    subsets: dict[str, Subset] = {}
    for called, (name, tar) in parcel.subsets.items():
        place = scratch / "subsets" / name
        unpack(tar, place, moved={})
        subsets[called] = load_subset(str(place))
    snapshots = Snapshots(run)
    snapshots.mark()
    heard: queue.Queue[Event | None] = queue.Queue()
    stop = StopRequest()
    outcome: list[CellOutcome] = []
    training = threading.Thread(
        target=_train, args=(config, subsets, stop, heard, outcome), daemon=True
    )
    ended = threading.Event()
    asking = threading.Thread(target=_ask, args=(stopped, stop, ended), daemon=True)
    training.start()
    asking.start()
    try:
        yield from _messages(heard, snapshots)
    finally:
        ended.set()
    training.join()
    yield {"files": snapshots.changed(), "outcome": asdict(outcome[0])}


def _ask(stopped: Callable[[], bool], stop: StopRequest, ended: threading.Event) -> None:
    """Pass the stop on. In a thread of its own: while the task's own thread waits for an answer, Ray
    takes the task's cores for free and starts one more cell on them, and one more."""
    while not ended.wait(_LOOK_S):
        if stopped():
            stop.request()
            return


def _messages(heard: queue.Queue[Event | None], snapshots: Snapshots) -> Iterator[dict[str, Any]]:
    """Events in bunches, with the files where these are worth it, until the run has ended."""
    ended = False
    while not ended:
        bunch: list[Event] = []
        try:
            item = heard.get(timeout=_LOOK_S)
            while item is not None:
                bunch.append(item)
                item = heard.get_nowait()
            ended = True
        except queue.Empty:
            pass
        message: dict[str, Any] = {
            "events": [value for event in bunch if (value := encode_event(event)) is not None]
        }
        if any(isinstance(event, _SENT_WITH) for event in bunch):
            message["files"] = snapshots.changed()
        if bunch:
            yield message


def _train(
    config: TrainConfig,
    subsets: Mapping[str, Subset],
    stop: StopRequest,
    heard: queue.Queue[Event | None],
    outcome: list[CellOutcome],
) -> None:
    means = Means(surroundings=_Travelled(subsets))
    try:
        result = asyncio.run(train_as_task(config, means=means, stop=stop, listener=heard.put))
        outcome.append(CellOutcome.of_result(result))
    except OtError as error:
        outcome.append(CellOutcome.of_error(error))
    except Exception as error:  # noqa: BLE001 - it goes home as the cell's outcome
        lines = tuple(traceback.format_exc().splitlines()[-6:])
        failed = CellOutcome.of_error(error)
        outcome.append(CellOutcome("failed", failed.error, failed.hint, last_lines=lines))
    finally:
        heard.put(None)


class _Travelled(Surroundings):
    """Subsets by what the config calls them, wherever they are here."""

    def __init__(self, subsets: Mapping[str, Subset]) -> None:
        self._subsets = subsets

    def load_subset(self, name: str) -> Subset:
        return self._subsets[name] if name in self._subsets else super().load_subset(name)
