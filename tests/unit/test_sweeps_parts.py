"""The small parts of sweeps: the gate before an engine, parcels, events on the wire, states."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import Engine
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.errors import BudgetError, DataError, EngineError, NotFoundError
from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    Event,
    Listener,
    Notice,
    RunFinished,
    StepDone,
    silent,
)
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import RunLog
from openthoughts_cli.store import append_line
from openthoughts_cli.sweeps.engines import EnginePool, Gate
from openthoughts_cli.sweeps.launch_ray import reserve_when_others_return
from openthoughts_cli.sweeps.launch_tasks import ShareMeter
from openthoughts_cli.sweeps.layout import (
    CellEntry,
    SweepDirectory,
    best_run,
    list_sweeps,
    load_sweep,
)
from openthoughts_cli.sweeps.parcel import Snapshots, SubsetParcels, pack, unpack
from openthoughts_cli.sweeps.states import owed_scores, state_of, status_of
from openthoughts_cli.sweeps.wire import decode_event, encode_event
from tests.doubles.memory_engine import MemoryEngine


def test_a_gate_lets_so_many_through_training_first_and_in_order() -> None:
    order: list[str] = []

    async def go() -> Gate:
        gate = Gate(2)
        loop = asyncio.get_running_loop()
        opened = [loop.create_future() for _ in range(6)]

        def request(name: str, number: int) -> Callable[[], Awaitable[None]]:
            def send() -> Awaitable[None]:
                order.append(name)
                return opened[number]

            return send

        names = [("s1", False), ("s2", False), ("s3", False), ("t1", True), ("t2", True)]
        answers = [
            asyncio.ensure_future(gate.send(request(name, number), trains=trains))
            for number, (name, trains) in enumerate(names)
        ]
        for future in opened[:5]:
            await asyncio.sleep(0)
            future.set_result(None)
        await asyncio.gather(*answers)
        return gate

    gate = asyncio.run(go())
    assert order == ["s1", "s2", "t1", "t2", "s3"]
    assert gate.most_under_way == 2


def test_a_request_that_is_refused_at_once_makes_room_for_the_next() -> None:
    async def go() -> str:
        gate = Gate(1)

        def refuse() -> Awaitable[str]:
            raise EngineError("no")

        async def answer() -> str:
            return "yes"

        first, second = gate.send(refuse, trains=True), gate.send(answer, trains=True)
        with pytest.raises(EngineError):
            await first
        return await second

    assert asyncio.run(go()) == "yes"


def test_an_answer_that_nobody_waits_for_any_more_is_not_asked_for() -> None:
    sent: list[str] = []

    async def go() -> None:
        gate = Gate(1)
        opened = asyncio.get_running_loop().create_future()

        def request(name: str) -> Callable[[], Awaitable[None]]:
            def send() -> Awaitable[None]:
                sent.append(name)
                return opened

            return send

        first = asyncio.ensure_future(gate.send(request("first"), trains=False))
        left = asyncio.ensure_future(gate.send(request("left"), trains=False))
        last = asyncio.ensure_future(gate.send(request("last"), trains=False))
        left.cancel()
        opened.set_result(None)
        await asyncio.gather(first, last)

    asyncio.run(go())
    assert sent == ["first", "last"]


def test_all_engines_of_a_pool_are_closed_though_one_fails_and_hear_how_it_ended() -> None:
    closed: list[tuple[str, object]] = []

    class Closing(MemoryEngine):
        name = ""

        async def __aexit__(self, *exc: object) -> None:
            closed.append((self.name, exc[0]))
            if self.name == "two":
                raise EngineError("two does not close")

    def opens(config: EngineConfig, *, store: Path, listener: Listener) -> Engine:
        engine = Closing()
        engine.name = str(config.base_url)
        return engine

    async def go() -> None:
        async with EnginePool(4, silent, opens) as pool:
            for name in ("one", "two", "one", "three"):
                await pool.engine(EngineConfig(kind="tinker", base_url=name))
            raise KeyError("cell")

    with pytest.raises(EngineError, match="two does not close"):
        asyncio.run(go())
    assert [name for name, _ in closed] == ["three", "two", "one"]
    assert closed[0][1] is KeyError


def test_a_shared_meter_holds_both_limits() -> None:
    whole = Meter(1.0)
    one, two = ShareMeter(None, 0.0, whole), ShareMeter(0.5, 0.4, whole)
    one.reserve(0.7)
    with pytest.raises(BudgetError):
        two.reserve(0.2)  # its own limit
    two.reserve(0.1)
    with pytest.raises(BudgetError):
        one.reserve(0.3)  # the sweep's
    # What was refused is set aside nowhere: a run's log would count it as spent.
    assert one.reserved_usd == pytest.approx(0.7)
    assert two.reserved_usd == pytest.approx(0.1)
    one.settle(0.7, 0.2)
    assert whole.spent_usd == pytest.approx(0.2)
    assert whole.reserved_usd == pytest.approx(0.1)
    one.reserve(0.3)


def test_a_cell_waits_for_the_money_that_others_give_back() -> None:
    async def go() -> None:
        meter = Meter(10.0, spent_usd=1.0)
        meter.reserve(6.0)
        waiting = asyncio.ensure_future(
            reserve_when_others_return(meter, 5.0, lambda: False, look_s=0.001)
        )
        await asyncio.sleep(0.01)
        assert not waiting.done()
        meter.settle(6.0, 2.0)
        assert await waiting
        assert (meter.spent_usd, meter.reserved_usd) == (3.0, 5.0)
        with pytest.raises(BudgetError):  # whatever comes back, that much is spent
            await reserve_when_others_return(meter, 7.5, lambda: False)
        assert not await reserve_when_others_return(meter, 4.0, lambda: True)
        assert meter.reserved_usd == 5.0

    asyncio.run(go())


def test_a_parcel_arrives_with_its_paths_rewritten_and_no_locks(tmp_path: Path) -> None:
    here, there = tmp_path / "a b", tmp_path / "there"
    (here / "checkpoints/states/s").mkdir(parents=True)
    (here / "checkpoints/states/s/w.safetensors").write_bytes(b"\0\1")
    (here / "checkpoints.jsonl").write_text(json.dumps({"path": f"{here}/checkpoints/states/s"}))
    (here / ".lock").write_text("")
    unpack(pack(here), there, moved={str(here): str(there)})
    assert json.loads((there / "checkpoints.jsonl").read_text())["path"].startswith(str(there))
    assert (there / "checkpoints/states/s/w.safetensors").read_bytes() == b"\0\1"
    assert not (there / ".lock").exists()


def test_snapshots_have_what_changed_since_the_last(tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    (source / "old").write_text("old")
    snapshots = Snapshots(source)
    snapshots.mark()
    assert snapshots.changed() == b""
    (source / "log.jsonl").write_text("{}\n")
    unpack(snapshots.changed(), home, moved={})
    assert [path.name for path in home.iterdir()] == ["log.jsonl"]
    assert snapshots.changed() == b""


def test_a_parcel_cannot_leave_its_directory(tmp_path: Path) -> None:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("config.json"), io.BytesIO())
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO())
    with pytest.raises(DataError, match="outside its run"):
        unpack(out.getvalue(), tmp_path / "run", moved={})
    assert list(tmp_path.iterdir()) == []  # as the message says, nothing was written


def test_subsets_of_one_name_travel_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = [tmp_path / place / "small" for place in ("train", "held_out")]
    for home in homes:
        home.mkdir(parents=True)
        (home / "metadata.json").write_text(json.dumps({"of": str(home)}))
    found = {str(home): SimpleNamespace(path=home) for home in homes}
    monkeypatch.setattr("openthoughts_cli.sweeps.parcel.load_subset", found.__getitem__)
    parcels = SubsetParcels()
    scratch = tmp_path / "scratch"
    for home in (*homes, *homes):
        folder, tar = parcels.of(str(home))
        unpack(tar, scratch / "subsets" / folder, moved={})
        assert parcels.moved(str(scratch))[f"{scratch}/subsets/{folder}"] == str(home)
        assert Path(folder).name == "small"
    there = sorted((scratch / "subsets").glob("*/small/metadata.json"))
    assert [json.loads(file.read_text())["of"] for file in there] == [str(home) for home in homes]


@pytest.mark.parametrize(
    "event",
    [
        Notice("text", "warning"),
        StepDone(1, 2, 0.5, 1e-5, 10, 5, 1.25, 0.1, {"queue_depth": 2.0}),
        CheckpointSaved("step-1", 2, 0.5, "state", None),
        EvalDone("nll", 2, {"mean": 1.0}),
        RunFinished("r", "done", 2, 1.0),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_survive_the_wire(event: Event) -> None:
    sent = json.loads(json.dumps(encode_event(event)))
    assert decode_event(sent) == event
    assert decode_event({"type": "OfAnotherVersion"}) is None
    assert decode_event({"type": "Notice"}) is None


def finished(path: Path, status: str, *, evals: dict[str, object] | None = None) -> RunDirectory:
    run = RunDirectory(path)
    run.write_config({"evals": evals or {}}, {"identity": "i1", "total_steps": 5})
    log = RunLog(run, 1)
    log(RunFinished(path.name, status, 5, 1.0))  # pyright: ignore[reportArgumentType]
    return run


def test_states_of_runs(tmp_path: Path) -> None:
    assert state_of(finished(tmp_path / "a", "done")) == "done"
    assert state_of(finished(tmp_path / "b", "failed")) == "failed"
    assert state_of(finished(tmp_path / "c", "interrupted")) == "interrupted"
    assert state_of(finished(tmp_path / "d", "budget")) == "interrupted"
    cut = RunDirectory(tmp_path / "e")
    cut.write_config({"evals": {}}, {"identity": "i1", "total_steps": 5})
    append_line(cut.events_path, {"event": "run_started"})
    assert state_of(cut) == "interrupted"


def test_a_run_is_done_only_with_all_scores(tmp_path: Path) -> None:
    evals: dict[str, object] = {"nll": {"every": 2, "at_start": True}, "gpqa": {"at_end": False}}
    run = finished(tmp_path / "a", "done", evals=evals)
    assert owed_scores(run) == ["nll/step-0", "nll/step-2", "nll/step-4", "nll/step-5"]
    assert state_of(run) == "interrupted"
    for step in (0, 2, 4, 5):
        run.eval_dir("nll", step).mkdir(parents=True)
        (run.eval_dir("nll", step) / "scores.json").write_text('{"metrics": {"mean": 1.5}}')
    assert state_of(run) == "done"


@pytest.mark.parametrize(
    ("scores", "done"),
    [
        ('{"metrics": {"mean@1": 0.5, "errors": 0.0}, "problems": []}', True),
        ('{"metrics": {"mean@1": 0.5, "errors": 3.0}, "problems": []}', False),
        (f'{{"note": "{"x" * 4000}", "metrics": {{"errors": 3.0}}}}', False),
        ('{"metrics": {"mean@1"', False),
    ],
)
def test_an_evaluation_that_lost_requests_is_owed(tmp_path: Path, scores: str, done: bool) -> None:
    run = finished(tmp_path / "a", "done", evals={"arithmetic": {"every": None}})
    place = run.eval_dir("arithmetic", 5)
    place.mkdir(parents=True)
    (place / "scores.json").write_text(scores)
    assert (owed_scores(run) == []) is done


def test_the_newest_word_of_a_long_log_is_found_at_its_end(tmp_path: Path) -> None:
    run = finished(tmp_path / "a", "done")
    append_line(run.events_path, {"event": "run_started"})
    for step in range(500):
        append_line(run.events_path, {"event": "step", "step": step})
    assert status_of(run) == "unfinished"
    append_line(run.events_path, {"event": "run_finished", "status": "budget"})
    torn = run.events_path.read_text() + '{"event": "run_sta'
    run.events_path.write_text(torn)
    assert status_of(run) == "budget"


def test_of_several_runs_of_a_cell_the_done_one_counts(tmp_path: Path) -> None:
    failed, done = finished(tmp_path / "a", "failed"), finished(tmp_path / "b", "done")
    assert best_run([failed, done], None) == (done, "done", "")
    word = {"event": "cell_failed", "error": "why"}
    assert best_run([failed], word) == (failed, "failed", "why")
    assert best_run([], word) == (None, "failed", "why")
    assert best_run([], None) == (None, "waiting", "")


def test_a_sweep_is_read_back_with_the_runs_of_its_cells(tmp_path: Path) -> None:
    from openthoughts_cli.places import runs_dir, sweeps_dir

    finished(runs_dir() / "some-run", "done")
    directory = SweepDirectory(sweeps_dir() / "s")
    cells = [
        CellEntry("x=1", "x=1", {"train.x": 1}, 0, "i1", baseline=True),
        CellEntry("x=2", "x=2", {"train.x": 2}, 0, "i2"),
    ]
    directory.write({"metric": "eval/nll/mean"}, cells)
    sweep = load_sweep("s")
    assert [(cell.name, cell.state) for cell in sweep.cells] == [
        ("x=1", "done"),
        ("x=2", "waiting"),
    ]
    assert sweep.cells[0].run == RunDirectory(runs_dir() / "some-run")
    assert (sweep.baseline, sweep.metric, sweep.uncommon_ground) == ("x=1", "eval/nll/mean", None)
    assert [found.name for found in list_sweeps()] == ["s"]
    with pytest.raises(NotFoundError, match="no sweep 'z'"):
        load_sweep("z")
    directory.sweep_path.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        load_sweep("s")
