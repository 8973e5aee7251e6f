"""The index: whole parts or none, found again, kept apart by content, and the same choice by it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.data.corpus import Corpus, open_corpus
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.file_digests import file_digest
from openthoughts_cli.data.index import Index, drop_parts, stored_indexes
from openthoughts_cli.data.index_build import build_index
from openthoughts_cli.data.plan import plan_subset
from openthoughts_cli.data.rows import canonical_digest
from openthoughts_cli.data.select import Selection, identities
from openthoughts_cli.data.subset import build_subset
from openthoughts_cli.errors import BrokenFileError, StorageError
from openthoughts_cli.events import Event, Notice, StageDone, StageProgress
from openthoughts_cli.places import index_dir
from tests.doubles.rows import MATH, PHYSICS, WordCounter, many, record, write
from tests.doubles.tokenizer import byte_model
from tests.tools.tally import SOAK


def _records() -> list[Any]:
    rows = [*many(90, answers=3), *many(40, source=PHYSICS, domain="science")]
    rows += [record(f"copy {i // 3}") for i in range(9)]
    return [*rows, record("broken") | {"conversations": None}, record("bad", "a <|im_end|>")]


def _data(folder: Path, files: int = 4) -> Path:
    for i in range(files):
        write(folder / f"{i:02}.parquet", _records()[i::files])
    return folder


def _corpus(folder: Path) -> Corpus:
    return open_corpus(str(folder))


def _states(index: Index) -> list[str]:
    return [state.state for state in index.states()]


def test_parts_are_built_once_and_found_again(tmp_path: Path) -> None:
    index = Index(_corpus(_data(tmp_path)), WordCounter.digest)
    assert _states(index) == ["missing"] * 4
    counter = WordCounter()
    events: list[Event] = []
    states = build_index(index, counter, workers=1, listener=events.append)
    assert [state.state for state in states] == ["whole"] * 4
    assert counter.counted == 140
    progress = [event.done for event in events if isinstance(event, StageProgress)]
    assert progress == sorted(progress) and progress[-1] == 141
    assert any(isinstance(e, StageDone) and "files: 4" in e.summary for e in events)
    again = WordCounter()
    assert index.digest(build_index(index, again, workers=1)) == index.digest(states)
    assert again.counted == 0


def test_a_part_belongs_to_the_bytes_of_a_file_wherever_it_is(tmp_path: Path) -> None:
    index = Index(_corpus(_data(tmp_path / "a")), WordCounter.digest)
    build_index(index, WordCounter(), workers=1)
    moved = tmp_path / "b" / "other_name.parquet"
    moved.parent.mkdir()
    moved.write_bytes((tmp_path / "a" / "00.parquet").read_bytes())
    assert _states(Index(_corpus(moved.parent), WordCounter.digest)) == ["whole"]
    assert _states(Index(_corpus(moved.parent), "another tokenizer")) == ["missing"]
    write(moved, _records()[1::4])
    write(moved, [*_records()[:20]])
    assert _states(Index(_corpus(moved.parent), WordCounter.digest)) == ["missing"]


def test_a_damaged_part_is_noticed_and_built_again(tmp_path: Path) -> None:
    index = Index(_corpus(_data(tmp_path)), WordCounter.digest)
    whole = index.digest(build_index(index, WordCounter(), workers=1))
    chance = random.Random(5)
    for damage in range(6):
        path = index.states()[damage % 4].path
        assert path is not None
        data = bytearray(path.read_bytes())
        if damage < 3:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(data[: len(data) // 2] if damage >= 3 else data))
        assert _states(index).count("damaged") == 1
        assert index.digest(build_index(index, WordCounter(), workers=1)) == whole
    assert len(list(index.directory.glob("*.parquet"))) == 4


def test_a_damaged_data_file_is_named_and_the_other_parts_are_kept(tmp_path: Path) -> None:
    corpus = _corpus(_data(tmp_path))
    index = Index(corpus, WordCounter.digest)
    assert len(index.identities) == 4  # before the damage
    file = tmp_path / "02.parquet"
    data = bytearray(file.read_bytes())
    data[10:400] = os.urandom(390)
    file.write_bytes(bytes(data))
    with pytest.raises(BrokenFileError, match=r"02\.parquet is not a whole parquet file"):
        build_index(index, WordCounter(), workers=1)
    assert _states(index) == ["whole", "whole", "missing", "missing"]


def test_files_without_the_source_need_no_part(tmp_path: Path) -> None:
    write(tmp_path / "math.parquet", many(20))
    write(tmp_path / "physics.parquet", many(20, source=PHYSICS, domain="science"))
    index = Index(_corpus(tmp_path), WordCounter.digest)
    states = build_index(index, WordCounter(), sources=frozenset([MATH]), workers=1)
    assert [state.part.name for state in states] == ["math.parquet"]
    assert index.table(states).left_out == 20
    assert _states(index) == ["whole", "missing"]


def test_what_is_stored_is_listed_and_dropped(tmp_path: Path) -> None:
    index = Index(_corpus(_data(tmp_path)), WordCounter.digest)
    build_index(index, WordCounter(), workers=1)
    (stored,) = stored_indexes()
    assert (stored.dataset, stored.tokenizer, stored.rows) == (str(tmp_path), "words", 141)
    assert drop_parts([stored]) == stored.num_bytes > 0
    assert stored_indexes() == [] and not index.directory.exists()


def test_questions_are_found_by_their_id(tmp_path: Path) -> None:
    index = Index(_corpus(_data(tmp_path)), WordCounter.digest)
    states = build_index(index, WordCounter(), workers=1)
    question_of = index.questions(states)
    for row in build_subset(_config(tmp_path, tmp_path / "model", limit=141)).rows():
        assert question_of(row.question_id) == row.question


def _config(data: Path, model: Path, **values: Any) -> SubsetConfig:
    if not model.exists():
        byte_model(model)
    base: dict[str, Any] = {"dataset": str(data), "tokenizer": str(model), "name": "it"}
    places = {"output_dir": model.parent / "subsets" / os.urandom(4).hex()}
    return SubsetConfig.model_validate({**base, **places, **values})


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"limit": 20},
        {"limit": 50, "max_tokens": 100, "source": "openmath", "closed": True},
        {"questions": 12, "answers_per_question": 2},
        {"limit": 30, "dedup": "exact", "mix": "openmath=0.5,physics=0.5"},
        {"limit": 30, "where": "tokens_thinking > tokens_answer"},
        {"limit": 30, "decontaminate": ["arithmetic"]},
    ],
)
def test_the_same_digest_by_the_index_and_by_streaming(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    model = tmp_path / "model"
    written: set[str] = set()
    chosen: list[tuple[str, Any]] = []
    for files in (1, 4, 16):
        data = _data(tmp_path / str(files), files)
        plan = plan_subset(_config(data, model, **values))
        chosen.append(_digest_and_funnel(plan.select()))
        assert not stored_indexes()
        build_index(Index(plan.corpus, plan.counter.digest), plan.counter, workers=1)
        heard: list[Event] = []
        chosen.append(_digest_and_funnel(plan.select(listener=heard.append)))
        assert any(isinstance(e, StageDone) and "by the index" in e.summary for e in heard)
        if files == 4:  # the rows are fetched and written the same way for any number
            written.add(build_subset(_config(data, model, **values)).digest)
        drop_parts(stored_indexes())
        if files == 4:
            written.add(build_subset(_config(data, model, **values)).digest)
    assert all(each == chosen[0] for each in chosen)
    assert written == {chosen[0][0]}


def _digest_and_funnel(selection: Selection) -> tuple[str, Any]:
    return canonical_digest(identities(selection.chosen)), selection.funnel.record()


def test_an_index_is_built_where_an_order_needs_all_tokens(tmp_path: Path) -> None:
    data, model = _data(tmp_path / "data"), tmp_path / "model"
    heard: list[Event] = []
    build_subset(_config(data, model, order="longest", limit=9), listener=heard.append)
    assert any(isinstance(e, Notice) and "the tokens of every row" in e.text for e in heard)
    heard.clear()
    build_subset(_config(data, model, questions=9, order="longest"), listener=heard.append)
    assert not any(isinstance(e, Notice) for e in heard)


def test_an_index_with_a_damaged_or_missing_part_is_completed(tmp_path: Path) -> None:
    data, model = _data(tmp_path / "data"), tmp_path / "model"
    counter = open_counter(str(byte_model(model)))
    index = Index(_corpus(data), counter.digest)
    whole = index.digest(build_index(index, counter, workers=1))
    path = index.states()[1].path
    assert path is not None
    path.write_bytes(b"PAR1")
    for said in ("is damaged: it is built again", "lacks 1 of 4 files: it is completed"):
        heard: list[Event] = []
        build_subset(_config(data, model, limit=9), listener=heard.append)
        assert any(isinstance(e, Notice) and said in e.text for e in heard)
        assert index.digest(index.states()) == whole
        path = index.states()[2].path
        assert path is not None
        path.unlink()


def test_a_file_is_hashed_again_only_when_it_changed(tmp_path: Path) -> None:
    file = tmp_path / "it"
    file.write_bytes(b"one")
    young = file_digest(file)
    assert not list(index_dir().glob("files/*"))
    os.utime(file, ns=(1, time.time_ns() - 5_000_000_000))
    assert file_digest(file) == young
    (memory,) = index_dir().glob("files/*")
    memory.write_text(memory.read_text().replace(young, "f" * 32))
    assert file_digest(file) == "f" * 32  # from memory
    memory.write_text("torn")
    assert file_digest(file) == young
    file.write_bytes(b"two")
    assert file_digest(file) != young


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_place_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("OT_INDEX", str(tmp_path / "a file" / "index"))
    index = Index(_corpus(_data(tmp_path / "data")), WordCounter.digest)
    with pytest.raises(StorageError, match="a file"):
        build_index(index, WordCounter(), workers=workers)


@pytest.mark.slow
def test_an_error_of_a_worker_keeps_its_kind(tmp_path: Path) -> None:
    data, model = _data(tmp_path / "data"), byte_model(tmp_path / "model")
    counter = open_counter(str(model))
    index = Index(_corpus(data), counter.digest)
    damage = bytearray((data / "02.parquet").read_bytes())
    assert len(index.identities) == 4  # before the damage
    damage[10:400] = os.urandom(390)
    (data / "02.parquet").write_bytes(bytes(damage))
    with pytest.raises(BrokenFileError) as caught:
        build_index(index, counter, workers=2)
    assert caught.value.file == "02.parquet" and caught.value.hint


BUILD = """
import sys
from openthoughts_cli.data.corpus import open_corpus
from openthoughts_cli.data.counter import open_counter
from openthoughts_cli.data.index import Index
from openthoughts_cli.data.index_build import build_index

def main():
    counter = open_counter(sys.argv[2])
    index = Index(open_corpus(sys.argv[1]), counter.digest)
    print("ready", flush=True)
    states = build_index(index, counter, workers=int(sys.argv[3]))
    print(index.digest(states), flush=True)

if __name__ == "__main__":
    main()
"""


class _Builder:
    """A process that builds an index, in a process group of its own."""

    def __init__(self, folder: Path, data: Path, model: Path, workers: int, place: Path) -> None:
        script = folder / "build.py"
        script.write_text(BUILD)
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(data), str(model), str(workers)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OT_INDEX": str(place)},
            start_new_session=True,
        )

    def ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def result(self) -> str:
        assert self.process.stdout is not None
        with self.process.stdout as out:
            found = out.read().strip()
        assert self.process.wait() == 0
        return found.removeprefix("ready\n")

    def group_is_gone(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


def _big(folder: Path, files: int) -> Path:
    for i in range(files):
        rows = [
            record(f"Question {i} {j}", f"<think>{'so it is ' * 1500}</think>{j}")
            for j in range(120)
        ]
        write(folder / f"{i:02}.parquet", rows, row_group_size=10)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2] if SOAK > 1 else [1])
def test_ten_kills_and_the_same_index(tmp_path: Path, workers: int) -> None:
    data, model = _big(tmp_path / "data", 6), byte_model(tmp_path / "model")
    undisturbed = _Builder(tmp_path, data, model, workers, tmp_path / "undisturbed")
    undisturbed.ready()
    started = time.monotonic()
    wanted = undisturbed.result()
    seconds = time.monotonic() - started
    chance = random.Random(workers)
    place = tmp_path / "disturbed"
    killed = 0
    for _ in range(10):
        builder = _Builder(tmp_path, data, model, workers, place)
        builder.ready()
        time.sleep(chance.random() * seconds / 3)
        builder.process.send_signal(signal.SIGKILL)
        killed += builder.process.wait() == -signal.SIGKILL
        assert builder.process.stdout is not None
        builder.process.stdout.close()
        for _ in range(100):  # the workers notice that they are orphans
            if builder.group_is_gone():
                break
            time.sleep(0.1)
        assert builder.group_is_gone()
        for part in place.glob("*/[!.]*.parquet"):
            assert len(part.name.split(".")[1]) == 32
    assert killed >= 3  # the others came too late, and found it built
    last = _Builder(tmp_path, data, model, workers, place)
    assert last.result() == wanted
    leavings = [path.name for path in place.glob("*/.*") if not path.name.endswith(".lock")]
    assert leavings == []


@pytest.mark.slow
def test_two_builders_at_once_and_any_number_of_workers_agree(tmp_path: Path) -> None:
    data, model = _big(tmp_path / "data", 4), byte_model(tmp_path / "model")
    one = _Builder(tmp_path, data, model, 1, tmp_path / "one").result()
    both = [_Builder(tmp_path, data, model, workers, tmp_path / "both") for workers in (1, 2)]
    assert [builder.result() for builder in both] == [one, one]
    assert len(list((tmp_path / "both").glob("*/[!.]*.parquet"))) == 4


@pytest.mark.slow
def test_an_interrupted_build_stops_its_workers_and_keeps_what_is_done(tmp_path: Path) -> None:
    data, model = _big(tmp_path / "data", 24), byte_model(tmp_path / "model")
    counter = open_counter(str(model))
    index = Index(_corpus(data), counter.digest)

    def stop(event: Event) -> None:
        if isinstance(event, StageProgress) and event.done > 0:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        build_index(index, counter, workers=2, listener=stop)
    assert set(threading.enumerate()) <= before
    states = _states(index)
    assert set(states) == {"whole", "missing"}
    assert set(_states_of(build_index(index, counter, workers=1))) == {"whole"}


def _states_of(states: Any) -> list[str]:
    return [state.state for state in states]
