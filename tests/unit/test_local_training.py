from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from openthoughts_cli.config.engine import EngineConfig  # noqa: E402
from openthoughts_cli.engine.base import AdamParams, Datum, LoraSpec, SamplingParams  # noqa: E402
from openthoughts_cli.engine.local import LocalEngine  # noqa: E402
from openthoughts_cli.engine.local.fetch import Source  # noqa: E402
from openthoughts_cli.engine.local.scoring import micro_batches, score  # noqa: E402
from openthoughts_cli.engine.local.weights import load_base, lora_config  # noqa: E402
from openthoughts_cli.errors import EngineError, ModelError  # noqa: E402
from openthoughts_cli.events import Event, Notice  # noqa: E402
from tests.doubles.tiny_llama import CONTEXT_TOKENS, VOCAB_SIZE, save_tiny_llama  # noqa: E402

pytestmark = pytest.mark.torch

T = TypeVar("T")
SPEC = LoraSpec(rank=4, seed=3)
# peft calls transformers by a name that it is about to retire; not ours to mend.
bare_peft = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_llama(tmp_path_factory.mktemp("tiny")))


def with_engine(
    store: Path,
    scenario: Callable[[LocalEngine], Awaitable[T]],
    listener: Callable[[Event], None] = lambda event: None,
    **settings: Any,
) -> T:
    async def main() -> T:
        config = EngineConfig(kind="local", device="cpu", **settings)
        async with LocalEngine(config, store=store, listener=listener) as engine:
            return await scenario(engine)

    return asyncio.run(main())


def make_batch(seed: int, lengths: Sequence[int]) -> list[Datum]:
    rng = np.random.default_rng(seed)
    batch: list[Datum] = []
    for length in lengths:
        tokens = rng.integers(3, VOCAB_SIZE, length + 1)
        weights = rng.choice([0.0, 1.0, 0.5], length).astype(np.float32)
        batch.append(Datum(tokens[:-1], tokens[1:], weights))
    return batch


LENGTHS = (9, 31, 4, 17, 31, 1)
ADAM = AdamParams(learning_rate=3e-3, weight_decay=0.1, grad_clip_norm=2.0)


def bare_losses(model: str, steps: int) -> list[float]:
    """The same training by transformers, peft and torch.optim.AdamW, one row at a time."""
    import peft
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    torch.manual_seed(SPEC.seed)
    config = peft.LoraConfig(r=SPEC.rank, lora_alpha=32, target_modules=names)
    adapted = peft.get_peft_model(base, config).eval()
    weights = [p for p in adapted.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=ADAM.learning_rate, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.1
    )
    losses: list[float] = []
    for step in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for datum in make_batch(step, LENGTHS):
            logits = adapted(input_ids=torch.tensor(datum.input_tokens)[None]).logits[0]
            values = torch.nn.functional.cross_entropy(
                logits, torch.tensor(datum.target_tokens), reduction="none"
            )
            loss = (values * torch.tensor(datum.weights)).sum()
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(weights, 2.0)
        optimizer.step()
        losses.append(total)
    return losses


async def train(engine: LocalEngine, model: str, steps: int) -> list[float]:
    trainer = await engine.create_trainer(model, SPEC)
    answers: list[Awaitable[Any]] = []
    for step in range(steps):
        answers.append(trainer.forward_backward(make_batch(step, LENGTHS)))
        answers.append(trainer.optim_step(ADAM))
    results = await asyncio.gather(*answers)
    return [result.loss_sum for result in results[::2]]


@bare_peft
def test_losses_equal_a_bare_loop_of_transformers_peft_and_adamw(
    model: str, tmp_path: Path
) -> None:
    ours = with_engine(tmp_path, lambda engine: train(engine, model, 4))
    assert ours == pytest.approx(bare_losses(model, 4), rel=2e-5)


@pytest.mark.parametrize("budget", [1, 40, 2048])
def test_micro_batches_change_nothing_but_rounding(model: str, tmp_path: Path, budget: int) -> None:
    """A budget of 1 recomputes every layer in the backward pass as well."""
    whole = with_engine(tmp_path, lambda engine: train(engine, model, 3))
    pieces = with_engine(
        tmp_path, lambda engine: train(engine, model, 3), micro_batch_tokens=budget
    )
    assert pieces == pytest.approx(whole, rel=2e-5)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    budget=st.integers(1, 200),
)
def test_micro_batches_hold_each_row_once_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    groups = micro_batches(lengths, budget)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        padded = len(group) * max(lengths[index] for index in group)
        assert padded <= budget or len(group) == 1


def test_scores_in_pieces_equal_scores_at_once(model: str) -> None:
    base = load_base(model, Source(Path(model), model), EngineConfig(device="cpu"))
    adapter = base.add_adapter(lora_config(base, SPEC)[0], seed=3)

    def gradient(scores_at_once: int) -> tuple[Any, Any]:
        for parameter in base.parameters(adapter).values():
            parameter.grad = torch.zeros_like(parameter)
        rows = score(
            base,
            make_batch(0, LENGTHS),
            budget_tokens=2048,
            turn=contextlib.nullcontext,
            adapter=adapter,
            backward=True,
            scores_at_once=scores_at_once,
        )
        grads: list[Any] = [p.grad for p in base.parameters(adapter).values()]
        return np.concatenate(rows), np.concatenate([grad.flatten().numpy() for grad in grads])

    for whole, pieces in zip(gradient(1 << 24), gradient(3 * VOCAB_SIZE), strict=True):
        assert np.abs(whole).max() > 0
        assert np.abs(whole - pieces).max() < 1e-4 * np.abs(whole).max()


def test_a_free_output_layer_is_adapted_and_a_tied_one_is_left_out(
    model: str, tmp_path: Path
) -> None:
    free = str(save_tiny_llama(tmp_path / "free", tie_word_embeddings=False))
    heard: list[Event] = []

    async def names(engine: LocalEngine) -> list[set[str]]:
        found: list[set[str]] = []
        for each in (model, free):
            trainer = await engine.create_trainer(each, LoraSpec(4, attn=False, mlp=False))
            path = Path(await trainer.save_sampler("only-head"))
            config = json.loads((path / "adapter_config.json").read_text())
            found.append(set(config["target_modules"]))
        return found

    with pytest.raises(ModelError, match="nothing of this model can be adapted"):
        with_engine(tmp_path, names)

    async def all_parts(engine: LocalEngine) -> None:
        await engine.create_trainer(model, SPEC)
        trainer = await engine.create_trainer(free, LoraSpec(4, attn=False, mlp=False))
        before = await trainer.forward(make_batch(0, LENGTHS))
        await trainer.forward_backward(make_batch(0, LENGTHS))
        await trainer.optim_step(ADAM)
        assert (await trainer.forward(make_batch(0, LENGTHS))).loss_sum < before.loss_sum

    with_engine(tmp_path, all_parts, listener=heard.append)
    assert [e.text for e in heard if isinstance(e, Notice) and "shares its weights" in e.text]


def test_parts_that_are_not_asked_for_are_not_adapted(model: str, tmp_path: Path) -> None:
    async def targets(engine: LocalEngine, spec: LoraSpec) -> set[str]:
        trainer = await engine.create_trainer(model, spec)
        path = Path(await trainer.save_sampler("parts"))
        return set(json.loads((path / "adapter_config.json").read_text())["target_modules"])

    attn = with_engine(tmp_path, lambda e: targets(e, LoraSpec(4, mlp=False)))
    mlp = with_engine(tmp_path, lambda e: targets(e, LoraSpec(4, attn=False)))
    assert attn == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert mlp == {"gate_proj", "up_proj", "down_proj"}


def test_a_resumed_run_repeats_the_undisturbed_one_bit_for_bit(model: str, tmp_path: Path) -> None:
    async def undisturbed(engine: LocalEngine) -> list[float]:
        return (await train(engine, model, 5))[2:]

    async def first_half(engine: LocalEngine) -> str:
        trainer = await engine.create_trainer(model, SPEC)
        for step in range(2):
            trainer.forward_backward(make_batch(step, LENGTHS))
            trainer.optim_step(ADAM)
        trainer.forward_backward(make_batch(2, LENGTHS))  # this gradient is part of the state
        return await trainer.save_state("half")

    async def second_half(engine: LocalEngine) -> list[float]:
        trainer = await engine.resume_trainer(path)
        losses: list[float] = []
        await trainer.optim_step(ADAM)
        for step in (3, 4):
            losses.append((await trainer.forward_backward(make_batch(step, LENGTHS))).loss_sum)
            await trainer.optim_step(ADAM)
        return losses

    expected = with_engine(tmp_path / "a", undisturbed)[1:]
    path = with_engine(tmp_path / "b", first_half)
    assert with_engine(tmp_path / "c", second_half) == expected


def test_a_failed_gradient_fails_what_follows_and_not_another_trainer(
    model: str, tmp_path: Path
) -> None:
    too_long = make_batch(0, [CONTEXT_TOKENS + 1])

    async def scenario(engine: LocalEngine) -> None:
        trainer = await engine.create_trainer(model, SPEC)
        other = await engine.create_trainer(model, SPEC)
        failed, step = trainer.forward_backward(too_long), trainer.optim_step(ADAM)
        with pytest.raises(ModelError, match="65 tokens and the context"):
            await failed
        with pytest.raises(EngineError, match=r"an earlier request .* 65 tokens"):
            await step
        with pytest.raises(ModelError):
            await other.forward(too_long)  # leaves no gap, so the trainer goes on
        await other.forward_backward(make_batch(0, LENGTHS))
        metrics = (await other.optim_step(ADAM)).metrics
        assert metrics["grad_norm"] > 0

    with_engine(tmp_path, scenario)


def test_bad_batches_and_names_are_refused(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> None:
        trainer = await engine.create_trainer(model, SPEC)
        with pytest.raises(EngineError, match="at least one datum"):
            await trainer.forward([])
        ones = np.ones(1, np.float32)
        alien = Datum(np.array([1]), np.array([VOCAB_SIZE]), ones)
        with pytest.raises(EngineError, match="outside of the vocabulary"):
            await trainer.forward([alien])
        with pytest.raises(EngineError, match="cannot be called"):
            await trainer.save_state("../escape")

    with_engine(tmp_path, scenario)
    assert not (tmp_path.parent / "escape").exists()


def test_a_gradient_that_is_not_finite_stops_the_trainer(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> None:
        trainer = await engine.create_trainer(model, SPEC)
        batch = make_batch(0, [8])
        broken = [
            Datum(d.input_tokens, d.target_tokens, d.weights * np.float32("nan")) for d in batch
        ]
        await trainer.forward_backward(broken)
        with pytest.raises(EngineError, match="not finite"):
            await trainer.optim_step(ADAM)

    with_engine(tmp_path, scenario)


@bare_peft
def test_saved_samplers_are_peft_adapters_with_equal_logits(model: str, tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    batch = make_batch(9, [20])

    async def scenario(engine: LocalEngine) -> tuple[str, np.ndarray]:
        trainer = await engine.create_trainer(model, SPEC)
        await trainer.forward_backward(make_batch(0, LENGTHS))
        await trainer.optim_step(ADAM)
        return await trainer.save_sampler("final"), (await trainer.forward(batch)).logprobs[0]

    path, expected = with_engine(tmp_path / "store", scenario)
    config = peft.PeftConfig.from_pretrained(path)
    assert config.base_model_name_or_path == model
    adapted = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(str(config.base_model_name_or_path)), path
    )
    with torch.no_grad():
        logits = adapted(input_ids=torch.tensor(batch[0].input_tokens)[None]).logits[0]
    targets = torch.tensor(batch[0].target_tokens)
    found = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0].numpy()
    assert np.abs(found - expected).max() < 1e-5


def test_bfloat16_bases_train_float32_adapters(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> tuple[list[float], str]:
        trainer = await engine.create_trainer(model, SPEC)
        losses: list[float] = []
        for _ in range(4):
            losses.append((await trainer.forward_backward(make_batch(0, LENGTHS))).loss_sum)
            await trainer.optim_step(AdamParams(learning_rate=1e-2))
        return losses, await trainer.save_sampler("bf16")

    losses, path = with_engine(tmp_path, scenario, dtype="bfloat16")
    assert losses[-1] < 0.95 * losses[0]
    from safetensors.torch import load_file

    weights = load_file(Path(path) / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


def test_training_goes_on_beside_sampling_and_leaves_it_alone(model: str, tmp_path: Path) -> None:
    params = SamplingParams(max_tokens=30, temperature=0.0)

    async def alone(engine: LocalEngine) -> tuple[list[float], Any]:
        losses = await train(engine, model, 6)
        trainer = await engine.create_trainer(model, SPEC)
        await trainer.forward_backward(make_batch(1, LENGTHS))
        await trainer.optim_step(ADAM)
        path = await trainer.save_sampler("early")
        sampler = await engine.create_sampler(sampler_path=path)
        return losses, await sampler.sample([5, 6, 7], params)

    async def beside(engine: LocalEngine) -> tuple[list[float], Any]:
        trainer = await engine.create_trainer(model, SPEC)
        await trainer.forward_backward(make_batch(1, LENGTHS))
        await trainer.optim_step(ADAM)
        sampler = await engine.create_sampler(sampler_path=await trainer.save_sampler("early"))
        base = await engine.create_sampler(model)
        answers = [base.sample([9, 8], params), sampler.sample([5, 6, 7], params)]
        losses = await train(engine, model, 6)
        await trainer.forward_backward(make_batch(2, LENGTHS))
        await trainer.optim_step(ADAM)
        assert await sampler.sample([5, 6, 7], params) == await answers[1]
        return losses, await answers[1]

    losses, answer = with_engine(tmp_path / "a", alone)
    losses_beside, answer_beside = with_engine(tmp_path / "b", beside)
    assert losses_beside == losses
    assert [a.tokens for a in answer_beside] == [a.tokens for a in answer]
