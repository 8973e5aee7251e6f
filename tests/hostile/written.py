"""A directory with a model, data, a subset and a run, in which `ot` writes, and what is finished there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openthoughts_cli.data.index import stored_indexes
from openthoughts_cli.digests import sha256_file
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.evals.shapes import held_out_lines
from openthoughts_cli.runs.layout import RunDirectory, list_runs
from openthoughts_cli.runs.log import step_metrics
from openthoughts_cli.runs.summary import summarise
from openthoughts_cli.sweeps.layout import list_sweeps, load_sweep
from openthoughts_cli.sweeps.rank import rank_sweep
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.rows import many, write
from tests.doubles.tinker_server import KEY, TinkerServer
from tests.doubles.tiny_llama import save_tiny_llama
from tests.doubles.tokenizer import byte_model
from tests.tools.tally import tally
from tests.tools.warm_ot import WarmStart

__all__ = ["Finished", "Place", "check_nothing_lost", "check_said", "made_place"]

Finished = dict[tuple[str, ...], str]

_EVALS = "evals={nll: {at_start: true}, arithmetic: {limit: 2, n: 1, max_tokens: 4}}"
_GRID = """
base:
  engine: {{kind: {engine}}}
  model: {model}
  batch_size: 4
  epochs: 1
  save_every: 2
  evals: {{nll: {{}}, arithmetic: {{limit: 2, n: 1, max_tokens: 4}}}}
  wandb: {{mode: disabled}}
subset: small
axes: {{train.learning_rate: [1e-3, 1e-4]}}
at_once: 1
"""
_MODULES = (
    *("openthoughts_cli.engine.local.engine", "peft", "openthoughts_cli.cli.eval"),
    *("openthoughts_cli.cli.index", "openthoughts_cli.evals.verb", "openthoughts_cli.report.page"),
    *("openthoughts_cli.data.index_build", "openthoughts_cli.export.export"),
    *("openthoughts_cli.cli.sweep", "openthoughts_cli.sweeps.verb", "openthoughts_cli.sweeps.page"),
    *("openthoughts_cli.cli.render.sweep_view", "tinker"),
)


@dataclass
class Place:
    """The directory, and a process that starts `ot` in it."""

    path: Path
    warm: WarmStart
    kept: Path
    """Where runs, indexes, sweeps and exports are; the disk that fills."""

    def ot(self, *arguments: object) -> int:
        self.warm.start(*arguments)
        return self.warm.wait()

    def command(self, writer: str) -> tuple[object, ...]:
        model = self.path / "model"
        return {
            "index": ("index", "build", "--dataset", self.path / "data", "--tokenizer", model,
                      "--workers", 1),
            "eval": ("eval", "-b", "arithmetic", "-b", "nll", "--subset", "small", "--engine", "local",
                     "--model", model, "--limit", 6, "--n", 2, "--max-tokens", 4, "--name", "it"),
            "train": ("train", "--subset", "small", "--engine", "local", "--model", model, "--epochs", 1,
                      "--batch-size", 4, "--run-name", "new", "--set", _EVALS, "--set", "save_every=1",
                      "--set", "wandb.mode=disabled", "--yes"),
            "report": ("report", "first"),
            "export": ("runs", "export", "first", "--to", self.kept / "exports/it"),
            "sweep": ("sweep", self.path / "cells.yaml", "--retry-failed", "--yes"),
            "sweep here": ("sweep", self.path / "here.yaml", "--retry-failed"),
            "ranking": ("report", "cells"),
        }[writer]  # fmt: skip

    def prepare(self, writer: str) -> None:
        """What the writer needs beside the run `first`."""
        if writer == "ranking" and not (self.kept / "sweeps/cells").exists():
            assert self.ot(*self.command("sweep")) == 0, self.warm.said()

    def forget(self, writer: str) -> None:
        """What the writer has made so far."""
        made = {
            "index": "index",
            "eval": "runs/it",
            "train": "runs/new",
            "export": "exports",
            "report": "runs/first/report.html",
            "ranking": "sweeps/cells/report.html",
            "sweep": "sweeps/cells",
            "sweep here": "sweeps/here",
        }[writer]
        place = self.kept / made
        if place.suffix == ".html":
            place.unlink(missing_ok=True)
            return
        shutil.rmtree(place, ignore_errors=True)
        if writer.startswith("sweep"):
            for run in self.kept.glob(f"runs/{place.name}-*"):
                shutil.rmtree(run)

    def finished(self) -> Finished:
        """Each finished item with what it holds; read by the package's own readers, which must not
        stumble."""
        found: Finished = {}
        for index in stored_indexes():
            for part in index.parts:
                assert index.dataset != "?", f"{part} is damaged"
                found["part", part.name] = sha256_file(part)
        for run in list_runs():
            found |= dict(_of_run(run))
        for directory in list_sweeps():
            found |= dict(_of_sweep(str(directory.path)))
        for page in (*self.kept.glob("runs/*/report.html"), *self.kept.glob("sweeps/*/*.html")):
            assert page.read_text().rstrip().endswith("</html>")
            found["page", str(page.relative_to(self.kept))] = ""
        found |= dict(_of_export(self.kept / "exports/it"))
        return found


def _of_run(run: RunDirectory) -> Iterator[tuple[tuple[str, ...], str]]:
    summary = summarise(run)
    assert not summary.problem, summary.problem
    yield ("run", run.run_id), str(run.read_config()) + str(run.read_record())
    for line in step_metrics(run):
        yield ("step", run.run_id, str(line["step"])), str(line["train_mean_nll"])
    for checkpoint in run.checkpoints():
        for path in (checkpoint.state_path, checkpoint.sampler_path):
            assert path is None or "://" in path or (Path(path) / "ot.json").is_file()
    for place in run.path.glob("evals/*/step-*"):
        files = EvalDirectory(place)
        for problem, samples in files.samples().items():
            for sample in samples.values():
                key = ("sample", run.run_id, place.parts[-2], place.name, problem)
                yield (*key, str(sample.index)), sample.completion
        for row, line in held_out_lines(files.rows_path).items():
            yield ("row", run.run_id, place.name, row), str(line["nats"])
        if files.scores_path.exists():
            yield ("scores", str(place)), str(files.scores()["metrics"])


def _of_sweep(place: str) -> Iterator[tuple[tuple[str, ...], str]]:
    sweep = load_sweep(place)
    rank_sweep(sweep)
    yield ("sweep", sweep.name), str(sweep.grid)
    for cell in sweep.cells:
        yield ("cell", sweep.name, cell.name), cell.identity
        if cell.state == "done":
            yield ("done", sweep.name, cell.name), ""


def _of_export(place: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    if not place.exists():
        return
    from openthoughts_cli.export.export import check_export, read_export

    record = read_export(place)
    assert record is not None
    check_export(place, record)
    yield ("export", "it"), str(sorted(record["files"]))


def check_nothing_lost(before: Finished, now: Finished) -> None:
    """A training step after the last checkpoint may be done again; all else that was there stays."""
    lost = [
        key
        for key, value in before.items()
        if now.get(key) != value and not (key[0] == "step" and key in now)
    ]
    tally("lost", len(lost))
    assert lost == []


def check_said(place: Place) -> None:
    assert "Traceback" not in place.warm.said(), place.warm.said()
    assert "this is a bug in ot" not in place.warm.said(), place.warm.said()


@contextlib.contextmanager
def made_place(path: Path, kept: Path, patch: pytest.MonkeyPatch) -> Generator[Place]:
    """The directory at `path`, its results in `kept`; `patch` lets this process find them too."""
    for i in range(4):
        write(path / "data" / f"{i}.parquet", many(60, source=f"source-{i}"))
    model = save_tiny_llama(
        byte_model(path / "model"), vocab_size=258, max_position_embeddings=2048
    )
    for name, engine in (("cells", "tinker"), ("here", "local")):
        (path / f"{name}.yaml").write_text(_GRID.format(engine=engine, model=model))
    for name in ("runs", "index", "sweeps"):
        patch.setenv(f"OT_{name.upper()}", str(kept / name))
    patch.setenv("OT_SUBSETS", str(path / "subsets"))
    served = (ModelInfo(str(model), 2048),)
    with TinkerServer(lambda: MemoryEngine(served, vocab_size=258)) as server:
        env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OT_CACHE": str(path / "cache"),
            "OT_STATE": str(path / "state"),
            "TINKER_API_KEY": KEY,
            "TINKER_BASE_URL": server.url,
        }
        with WarmStart(path, modules=_MODULES, env=env, log=path / "said.txt") as warm:
            place = Place(path, warm, kept)
            cut = ("subset", "--dataset", path / "data", "--tokenizer", model, "--limit", 24,
                   "--name", "small")  # fmt: skip
            assert place.ot(*cut) == 0, warm.said()
            words = [str(word) for word in place.command("train")]
            words[words.index("new")] = "first"
            assert place.ot(*words) == 0, warm.said()
            yield place
            assert not (path / "cache/crashes").exists()
        assert server.violations == []
