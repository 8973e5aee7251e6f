"""Exported weights: an adapter that peft loads, a whole model, and a folder that is kept or refused."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from openthoughts_cli.config.engine import EngineConfig  # noqa: E402
from openthoughts_cli.config.train import TrainConfig  # noqa: E402
from openthoughts_cli.engine.base import AdamParams, Datum, LoraSpec  # noqa: E402
from openthoughts_cli.engine.local import LocalEngine  # noqa: E402
from openthoughts_cli.errors import (  # noqa: E402
    ConflictError,
    IntegrityError,
    ModelError,
    NotFoundError,
)
from openthoughts_cli.export.export import export_weights, read_export  # noqa: E402
from openthoughts_cli.export.weights import find_weights  # noqa: E402
from openthoughts_cli.runs.layout import RunDirectory  # noqa: E402
from openthoughts_cli.store import append_line  # noqa: E402
from tests.doubles.tiny_llama import save_tiny_llama  # noqa: E402
from tests.doubles.tokenizer import byte_model  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    # peft calls transformers by a name that it is about to retire; not ours to mend.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]

TOKENS = [5, 17, 240, 33, 9, 101, 64, 7]
SCORES = {
    "benchmark": "aime25",
    "step": 2,
    "metrics": {"mean@1": 0.4, "pass@7": 0.6, "truncated": 0.1, "errors": 0.0},
    "intervals": {
        "mean@1": [{"low": 0.2, "high": 0.61, "estimand": "problems like these", "level": 0.95}],
        "pass@7": [{"low": 0.3, "high": 0.8, "estimand": "problems like these", "level": 0.95}],
    },
    "counts": {"problems": 30, "answers": 210},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = byte_model(tmp_path_factory.mktemp("models") / "tiny")
    return save_tiny_llama(folder, vocab_size=260, tie_word_embeddings=False)


@pytest.fixture(scope="module")
def trained(model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of two steps with a state and a sampler after each; the output layer is adapted too."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "first")
    config = TrainConfig(subset="small", model=str(model), engine=EngineConfig(kind="local"))
    record = {
        "identity": "a" * 32,
        "run_id": "first",
        "created": "2026-11-24T10:00:00+00:00",
        "model": {"name": str(model)},
        "subset": {"name": "small", "path": "subsets/small", "digest": "b" * 32},
        "renderer": {"model": str(model), "digest": "c" * 32},
        "split": {"train_rows": 22, "held_out_rows": 2},
        "dropped": {"too_long": 3, "control_tokens": 0},
        "total_steps": 2,
        "environment": {"packages": {"peft": "0.21"}},
    }
    run.write_config(config.model_dump(mode="json"), record)
    asyncio.run(_train(run, str(model)))
    folder = run.eval_dir("aime25", 2)
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(SCORES))
    actual = {"steps": 2, "train_tokens": 1234, "sampled_tokens": 99, "usd": 1.25, "seconds": 7200}
    run.receipt_path.write_text(json.dumps({"actual": actual}))
    return run


async def _train(run: RunDirectory, model: str) -> None:
    tokens = np.array(TOKENS)
    datum = Datum(tokens[:-1], tokens[1:], np.ones(len(tokens) - 1, dtype=np.float32))
    async with LocalEngine(EngineConfig(kind="local", device="cpu"), store=run.store) as engine:
        trainer = await engine.create_trainer(model, LoraSpec(rank=4, seed=1))
        for step in (1, 2):
            await trainer.forward_backward([datum])
            await trainer.optim_step(AdamParams(learning_rate=0.05))
            state = await trainer.save_state(f"step-{step}")
            sampler = await trainer.save_sampler(f"step-{step}")
            add_checkpoint(run, f"step-{step}", step, state, sampler, final=step == 2)


def add_checkpoint(
    run: RunDirectory, name: str, step: int, state: str | None, sampler: str | None, **more: Any
) -> None:
    line = {"name": name, "batch": step, "epoch": step / 2, "final": False, "expires_at": None}
    append_line(
        run.checkpoints_path, {**line, "state_path": state, "sampler_path": sampler, **more}
    )


@pytest.fixture
def run(trained: RunDirectory, tmp_path: Path) -> RunDirectory:
    """The same run in a place of its own, where the paths of its checkpoints are stale."""
    return RunDirectory(Path(shutil.copytree(trained.path, tmp_path / "runs" / "first")))


def engine_logprobs(run: RunDirectory, checkpoint: str) -> list[float]:
    """What the run's own sampler says of TOKENS."""

    async def ask() -> tuple[float | None, ...]:
        config = EngineConfig(kind="local", device="cpu", dtype="float32")
        async with LocalEngine(config, store=run.store) as engine:
            path = str(run.store / "samplers" / checkpoint)
            sampler = await engine.create_sampler(sampler_path=path)
            return await sampler.logprobs(TOKENS)

    return [value for value in asyncio.run(ask()) if value is not None]


def logprobs_of(loaded: Any) -> list[float]:
    tokens = torch.tensor([TOKENS])
    with torch.no_grad():
        scores = torch.log_softmax(loaded.eval()(tokens).logits[0, :-1].float(), dim=-1)
    return scores.gather(1, tokens[0, 1:, None])[:, 0].tolist()


def test_peft_loads_the_adapter_and_says_what_the_run_said(trained: RunDirectory) -> None:
    from peft import AutoPeftModelForCausalLM

    done = export_weights(str(trained.path))

    assert (done.kind, done.checkpoint, done.step) == ("adapter", "step-2", 2)
    loaded = AutoPeftModelForCausalLM.from_pretrained(done.path)
    np.testing.assert_allclose(logprobs_of(loaded), engine_logprobs(trained, "step-2"), atol=2e-5)


def test_the_merged_model_equals_the_adapter(trained: RunDirectory, model: Path) -> None:
    from transformers import AutoModelForCausalLM

    done = export_weights(f"{trained.path}@step-1", merged=True)

    assert done.checkpoint == "step-1"
    assert not (done.path / "adapter_config.json").exists()
    merged = AutoModelForCausalLM.from_pretrained(done.path)
    base = AutoModelForCausalLM.from_pretrained(model)
    expected = engine_logprobs(trained, "step-1")
    np.testing.assert_allclose(logprobs_of(merged), expected, atol=2e-5)
    assert max(abs(a - b) for a, b in zip(logprobs_of(base), expected, strict=True)) > 0.01


def test_the_tokenizer_of_training_lies_beside_the_weights(run: RunDirectory, model: Path) -> None:
    done = export_weights(str(run.path))

    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (done.path / name).read_bytes() == (model / name).read_bytes()


def test_the_card_holds_config_data_scores_cost_and_lineage(run: RunDirectory) -> None:
    card = (export_weights(str(run.path)).path / "README.md").read_text()

    for text in (
        "library_name: peft",
        "b" * 32,  # the subset
        "3 too long",
        "| aime25 | mean@1 |  | 40.0% | 20.0% to 61.0% | 30 problems, 210 answers |",
        "An interval is of problems like these.",
        "1,234",
        "1.25",
        "a" * 32,  # the run
        "c" * 32,  # the renderer
        '"learning_rate"',
        "step 2 of 2",
    ):
        assert text in card, text
    assert "errors" not in card.split("## Cost")[0].split("## Scores")[1]


def test_the_card_names_no_path_of_this_machine(run: RunDirectory, model: Path) -> None:
    card = (export_weights(str(run.path)).path / "README.md").read_text()

    assert str(model.parent) not in card
    assert str(run.path.parent) not in card
    assert '"model": "tiny"' in card


def test_the_card_names_no_server_of_ones_own(run: RunDirectory) -> None:
    config = run.read_config()
    config["engine"]["base_url"] = "http://gpu.inside.example:8000"
    run.write_config(config, run.read_record())
    card = (export_weights(str(run.path)).path / "README.md").read_text()
    assert "inside.example" not in card
    assert '"base_url": null' in card


def test_the_same_export_again_is_kept(run: RunDirectory) -> None:
    first = export_weights(str(run.path))
    weights = first.path / "adapter_model.safetensors"
    before = weights.stat().st_mtime_ns

    again = export_weights(str(run.path))

    assert again.reused
    assert not again.card_renewed
    assert weights.stat().st_mtime_ns == before


def test_a_later_score_renews_the_card_alone(run: RunDirectory) -> None:
    first = export_weights(str(run.path))
    folder = run.eval_dir("gpqa", 2)
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(SCORES))

    again = export_weights(str(run.path))

    assert again.reused
    assert again.card_renewed
    assert "| gpqa |" in (first.path / "README.md").read_text()
    assert not export_weights(str(run.path)).card_renewed


def test_a_card_whose_record_a_kill_prevented_is_renewed_again_later(run: RunDirectory) -> None:
    place = export_weights(str(run.path)).path
    before = (place / "export.json").read_text()
    for benchmark in ("gpqa", "lcb"):
        folder = run.eval_dir(benchmark, 2)
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps(SCORES))
        export_weights(str(run.path))
        (place / "export.json").write_text(before)  # the kill
        export_weights(str(run.path))  # mends it
        before = (place / "export.json").read_text()
        assert f"| {benchmark} |" in (place / "README.md").read_text()


def test_a_card_that_a_person_wrote_on_is_left(run: RunDirectory) -> None:
    card = export_weights(str(run.path)).path / "README.md"
    card.write_text("mine")

    assert not export_weights(str(run.path)).card_renewed
    assert card.read_text() == "mine"


def test_another_export_is_not_replaced_without_force(run: RunDirectory, tmp_path: Path) -> None:
    place = tmp_path / "out"
    export_weights(str(run.path), to=place)

    with pytest.raises(ConflictError, match="another checkpoint, sha256, step, weights"):
        export_weights(str(run.path), checkpoint="step-1", to=place)
    done = export_weights(str(run.path), checkpoint="step-1", to=place, force=True)

    record = read_export(place)
    assert not done.reused
    assert record is not None
    assert record["identity"]["checkpoint"] == "step-1"


def test_a_folder_of_something_else_is_never_replaced(run: RunDirectory, tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    (place / "thesis.txt").write_text("years")

    with pytest.raises(ConflictError, match="not an export of ot"):
        export_weights(str(run.path), to=place, force=True)

    assert (place / "thesis.txt").read_text() == "years"


def test_an_export_that_was_changed_is_told_of_and_mended_by_force(run: RunDirectory) -> None:
    weights = export_weights(str(run.path)).path / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])

    with pytest.raises(IntegrityError, match="is not what was exported"):
        export_weights(str(run.path))
    export_weights(str(run.path), force=True)

    assert weights.read_bytes() == whole


def test_a_torn_adapter_is_refused_and_nothing_is_left(run: RunDirectory, tmp_path: Path) -> None:
    weights = run.store / "samplers" / "step-2" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(IntegrityError, match="not a whole adapter"):
        export_weights(str(run.path), to=tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("name", "checkpoint", "found"),
    [
        ("{run}", None, "step-2"),
        ("{run}", "step-1", "step-1"),
        ("{run}@step-1", None, "step-1"),
        ("{run}@1", None, "step-1"),
        ("{run}/checkpoints/samplers/step-1", None, "step-1"),
        ("{run}/checkpoints/states/step-2", None, "step-2"),
    ],
)
def test_weights_have_many_names(
    run: RunDirectory, name: str, checkpoint: str | None, found: str
) -> None:
    weights = find_weights(name.format(run=run.path), checkpoint)

    assert weights.checkpoint.name == found
    assert Path(weights.path).is_relative_to(run.path)


def test_a_name_that_is_none_lists_those_that_are(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="did you mean step-1") as caught:
        find_weights(str(run.path), "stepp-1")
    assert caught.value.hint == "choose from step-1, step-2"
    with pytest.raises(NotFoundError, match="no run here has a checkpoint at tinker://x"):
        find_weights("tinker://x/weights/y")


def test_what_expired_is_said_and_what_is_left(run: RunDirectory) -> None:
    past = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    add_checkpoint(run, "step-3", 3, "tinker://r/weights/step-3", None, expires_at=past)

    with pytest.raises(ModelError, match="expired at 2026") as caught:
        find_weights(str(run.path), "step-3")
    assert caught.value.hint == "there are: step-1, step-2"
    assert find_weights(str(run.path)).checkpoint.name == "step-2"


def test_a_sampler_of_the_service_cannot_be_had(run: RunDirectory) -> None:
    add_checkpoint(run, "step-3", 3, None, "tinker://r/sampler_weights/step-3")

    with pytest.raises(ModelError, match="for sampling alone"):
        find_weights(str(run.path), "step-3")
