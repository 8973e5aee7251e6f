"""Whatever the faults, a run ends as the undisturbed one did, or fails well and can go on.

A few schedules in `make test`; `make soak` (`OT_TEST_SOAK=10`) runs 200 and prints its report.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import certifi
import pytest

from tests.doubles.chat_models import chatml_folder
from tests.doubles.tinker_faults import Ending, Fault, FaultSchedule
from tests.doubles.tinker_server import KEY
from tests.faults.trial import (
    Outcome,
    Trial,
    check_changes,
    disturbed_run,
    open_server,
)
from tests.tools.tally import SOAK, tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Between them: five of the endings, and all but two kinds of passing faults.
FEW = (8, 12, 115, 184)
SEEDS: Sequence[int] = FEW if SOAK == 1 else range(20 * SOAK)
AT_ONCE = 6 if SOAK == 1 else 12


@pytest.fixture
def model(ot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A model's name, with a subset `small` that is cut for it."""
    monkeypatch.setenv("TINKER_API_KEY", KEY)
    # Every client loads the trusted certificates, which takes longer than a step: one will do here.
    first = Path(certifi.where()).read_text(encoding="utf-8").split("-----END CERTIFICATE-----")[0]
    (tmp_path / "one.pem").write_text(f"{first}-----END CERTIFICATE-----\n", encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    folder = tmp_path / "tiny-model"
    folder.mkdir()
    chatml_folder(folder)
    ended = ot(
        "subset", "--dataset", "sample", "--source", "openmath", "--max-tokens", 3000,
        "--limit", 12, "--name", "small", "--set", f"tokenizer={folder}", "--quiet",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return str(folder)


def undisturbed(model: str) -> tuple[Outcome, list[bytes]]:
    with open_server(None, model) as server:
        outcome = disturbed_run("whole", server, model).outcome
        assert outcome is not None
        (run,) = server.history
        check_changes(server, run.changes)
        return outcome, run.changes


def test_a_schedule_is_a_value() -> None:
    assert FaultSchedule.of(3, changes=24) == FaultSchedule.of(3, changes=24)
    assert FaultSchedule.of(3, changes=24) != FaultSchedule.of(4, changes=24)
    schedule = FaultSchedule(1, ("500",), 0.5)
    drawn = [schedule.fault("optim_step", number) for number in range(40)]
    assert drawn == [schedule.fault("optim_step", number) for number in range(40)]
    assert {"500", None} == set(drawn)
    assert not any(first and second for first, second in pairwise(drawn))


def test_runs_end_as_if_nothing_had_happened(model: str) -> None:
    whole, changes = undisturbed(model)
    assert len(whole.steps) == len(changes) // 2 == 12
    assert list(whole.states) == [3, 6, 9, 12]
    assert len(whole.answers) == 12
    began = time.monotonic()
    injected: Counter[str] = Counter()
    attempts: Counter[int] = Counter()

    def one(seed: int) -> Trial:
        with open_server(FaultSchedule.of(seed, changes=len(changes)), model) as server:
            trial = disturbed_run(f"seed-{seed}", server, model)
            check_changes(server, changes)
            assert trial.outcome == whole
            injected.update(server.injected)
            attempts[trial.attempts] += 1
            _tell(f"seed {seed}: {server.injected.total()} faults, {trial.attempts} attempts")
            return trial

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {seed: pool.submit(one, seed) for seed in SEEDS}
        for seed, trial in running.items():
            trial.add_done_callback(lambda done, seed=seed: _tell_failure(seed, done.exception()))
    lost = {seed: repr(trial.exception()) for seed, trial in running.items() if trial.exception()}
    tally("fault schedules", len(SEEDS))
    for kind, count in injected.items():
        tally(f"faults: {kind.replace('ending', 'without end')}", count)
    tally("disturbed runs equal to the undisturbed one", len(SEEDS) - len(lost))
    tally("lost", len(lost))
    _tell(report(injected, attempts, lost, time.monotonic() - began))
    assert lost == {}
    if SOAK > 1:
        assert set(get_args(Fault)) <= set(injected)
        assert {f"ending: {ending}" for ending in get_args(Ending)} <= set(injected)


def report(
    injected: Counter[str], attempts: Counter[int], lost: dict[int, str], seconds: float
) -> str:
    return "\n".join(
        [
            f"{len(SEEDS)} schedules in {seconds:.0f} s, {len(SEEDS) - len(lost)} runs equal",
            f"{injected.total()} faults: {dict(sorted(injected.items()))}",
            f"runs by their number of attempts: {dict(sorted(attempts.items()))}",
            f"lost: {len(lost)} {lost or ''}",
        ]
    )


def _tell_failure(seed: int, error: BaseException | None) -> None:
    if error is not None:
        _tell(f"seed {seed} FAILED: {error!r}"[:500])


def _tell(text: str) -> None:
    """Say it at once, past the capture: a soak is long."""
    if SOAK > 1:
        print(text, file=sys.__stdout__, flush=True)
