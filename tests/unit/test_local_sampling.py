from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from openthoughts_cli.config.engine import EngineConfig  # noqa: E402
from openthoughts_cli.engine.base import Completion, LoraSpec, SamplingParams  # noqa: E402
from openthoughts_cli.engine.local import LocalEngine  # noqa: E402
from openthoughts_cli.errors import EngineError, ModelError  # noqa: E402
from tests.doubles.tiny_llama import CONTEXT_TOKENS, VOCAB_SIZE, save_tiny_llama  # noqa: E402

pytestmark = pytest.mark.torch

T = TypeVar("T")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_llama(tmp_path_factory.mktemp("tiny")))


def save(architecture: Any, config: Any, folder: Path) -> None:
    """Random weights, always the same: with one in forty others some draw falls between two tokens
    so closely that the last bits, which depend on the batch's shape, decide."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        architecture(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def sliding_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose first layer sees 8 tokens back: its cache cannot be shifted or joined."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("sliding")
    config = Qwen2Config(
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.2,
        sliding_window=8,
        use_sliding_window=True,
        layer_types=["sliding_attention", "full_attention"],
    )
    save(Qwen2ForCausalLM, config, folder)
    return str(folder)


@pytest.fixture(scope="module")
def hybrid_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model like Qwen3.5: linear attention with a recurrent state below full attention."""
    from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

    folder = tmp_path_factory.mktemp("hybrid")
    config = Qwen3_5TextConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.2,
        layer_types=["linear_attention", "full_attention"],
    )
    save(Qwen3_5ForCausalLM, config, folder)
    return str(folder)


def with_engine(store: Path, scenario: Callable[[LocalEngine], Awaitable[T]], **settings: Any) -> T:
    async def main() -> T:
        config = EngineConfig(kind="local", device="cpu", **settings)
        async with LocalEngine(config, store=store) as engine:
            return await scenario(engine)

    return asyncio.run(main())


def make_prompts(count: int, *, prefix: int = 0, longest: int = 20) -> list[list[int]]:
    rng = np.random.default_rng(count + prefix)
    start = rng.integers(3, VOCAB_SIZE, prefix).tolist()
    return [
        start + rng.integers(3, VOCAB_SIZE, int(rng.integers(1, longest))).tolist()
        for _ in range(count)
    ]


def generated(model: str, prompt: list[int], count: int) -> tuple[int, ...]:
    """The likeliest tokens by transformers' own `generate`."""
    from transformers import AutoModelForCausalLM

    bare: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    out = bare.generate(
        torch.tensor([prompt]), max_new_tokens=count, do_sample=False, eos_token_id=None
    )
    return tuple(out[0, len(prompt) :].tolist())


def make_params(**settings: Any) -> SamplingParams:
    whole: dict[str, Any] = {"max_tokens": 12, **settings}
    return SamplingParams(**whole)


async def sample_all(
    engine: LocalEngine, model: str, prompts: list[list[int]], **settings: Any
) -> list[Completion]:
    sampler = await engine.create_sampler(model)
    answers = [
        sampler.sample(prompt, make_params(seed=i, **settings)) for i, prompt in enumerate(prompts)
    ]
    return [completion for answer in answers for completion in await answer]


@pytest.mark.parametrize("kind", ["model", "sliding_model", "hybrid_model"])
@pytest.mark.parametrize("prefix", [0, 20])
def test_greedy_answers_of_a_batch_equal_generate(
    kind: str, prefix: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue(kind)
    prompts = make_prompts(9, prefix=prefix)
    found = with_engine(tmp_path, lambda e: sample_all(e, path, prompts, temperature=0.0))
    assert [c.tokens for c in found] == [generated(path, prompt, 12) for prompt in prompts]
    assert {c.finish_reason for c in found} == {"length"}


@pytest.mark.parametrize("kind", ["model", "sliding_model", "hybrid_model"])
@pytest.mark.parametrize("budget", [1, 60, 150])
def test_a_small_budget_changes_no_answer(
    kind: str, budget: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Answers wait, give way and are taken in again; their tokens stay the same."""
    path, prompts = request.getfixturevalue(kind), make_prompts(7)
    settings = {"max_tokens": 40, "n": 2, "temperature": 0.8}
    wide = with_engine(tmp_path, lambda e: sample_all(e, path, prompts, **settings))
    tight = with_engine(
        tmp_path, lambda e: sample_all(e, path, prompts, **settings), sample_batch_tokens=budget
    )
    assert [c.tokens for c in tight] == [c.tokens for c in wide]


def test_a_seed_gives_the_same_answers_whatever_else_is_asked(model: str, tmp_path: Path) -> None:
    params = SamplingParams(max_tokens=10, n=3, seed=42, top_p=0.95)

    async def scenario(engine: LocalEngine) -> None:
        sampler = await engine.create_sampler(model)
        alone = await sampler.sample([5, 6], params)
        others = [
            sampler.sample(p, SamplingParams(max_tokens=30, seed=i))
            for i, p in enumerate(make_prompts(10))
        ]
        among = await sampler.sample([5, 6], params)
        assert [c.tokens for c in among] == [c.tokens for c in alone]
        assert len({c.tokens for c in alone}) == 3
        await asyncio.gather(*others)

    with_engine(tmp_path, scenario)


def test_requests_that_come_while_others_run_join_them(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> list[tuple[int, ...]]:
        sampler = await engine.create_sampler(model)
        params = SamplingParams(max_tokens=50, temperature=0.0)
        first = asyncio.ensure_future(sampler.sample([5, 6, 7], params))
        late: list[Awaitable[tuple[Completion, ...]]] = []
        for prompt in make_prompts(5):
            await asyncio.sleep(0.01)
            late.append(sampler.sample(prompt, SamplingParams(max_tokens=6, temperature=0.0)))
        return [(await answer)[0].tokens for answer in (first, *late)]

    found = with_engine(tmp_path, scenario)
    assert found[0] == generated(model, [5, 6, 7], 50)
    assert found[1:] == [generated(model, prompt, 6) for prompt in make_prompts(5)]


def test_sampled_logprobs_agree_with_scored_ones(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> None:
        sampler = await engine.create_sampler(model)
        prompts = make_prompts(6)
        params = SamplingParams(max_tokens=9, temperature=0.7, top_k=40, seed=1)
        answers = await asyncio.gather(*(sampler.sample(p, params) for p in prompts))
        scores = await asyncio.gather(
            *(sampler.logprobs([*p, *a.tokens]) for p, (a,) in zip(prompts, answers, strict=True))
        )
        for prompt, (answer,), scored in zip(prompts, answers, scores, strict=True):
            assert scored[0] is None
            assert answer.logprobs == pytest.approx(scored[len(prompt) :], abs=1e-4)
        assert await sampler.logprobs([5]) == (None,)
        assert await sampler.logprobs([]) == ()

    with_engine(tmp_path, scenario)


def test_requests_that_cannot_be_are_refused(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> None:
        sampler = await engine.create_sampler(model)
        good = SamplingParams(max_tokens=1)
        with pytest.raises(ModelError, match="the prompt has 64 tokens"):
            await sampler.sample([5] * CONTEXT_TOKENS, good)
        with pytest.raises(EngineError, match="outside of the vocabulary"):
            await sampler.sample([VOCAB_SIZE], good)
        with pytest.raises(EngineError, match="at least one token"):
            await sampler.sample([], good)
        for bad in ({"max_tokens": 0}, {"n": 0}, {"temperature": -1.0}, {"top_p": 0.0}):
            with pytest.raises(EngineError, match="settings are not possible"):
                await sampler.sample([5], make_params(**bad))

    with_engine(tmp_path, scenario)


def test_adapters_of_forgotten_samplers_are_freed(model: str, tmp_path: Path) -> None:
    async def scenario(engine: LocalEngine) -> None:
        trainer = await engine.create_trainer(model, LoraSpec(rank=4))
        path = await trainer.save_sampler("one")
        params = SamplingParams(max_tokens=3, temperature=0.0)
        answers: list[tuple[Completion, ...]] = []
        base = (await engine.create_sampler(model)).base
        for _ in range(4):
            sampler = await engine.create_sampler(sampler_path=path)
            answers.append(await sampler.sample([5, 6], params))
            del sampler
        await (await engine.create_sampler(model)).sample([5, 6], params)
        assert len({id(a) for a in answers}) == 4
        assert len(set(answers)) == 1
        # The trainer's and at most the last sampler's.
        assert (
            len([p for p in base.model.state_dict() if "layers.0.self_attn.q_proj.lora_A" in p])
            <= 2
        )

    with_engine(tmp_path, scenario)


def test_closing_fails_what_is_not_done_and_leaves_no_thread(model: str, tmp_path: Path) -> None:
    async def main() -> None:
        engine = LocalEngine(EngineConfig(device="cpu"), store=tmp_path)
        trainer = await engine.create_trainer(model, LoraSpec(rank=4))
        sampler = await engine.create_sampler(model)
        long = [sampler.sample([5], SamplingParams(max_tokens=60)) for _ in range(300)]
        await asyncio.sleep(0.1)
        await engine.close()
        outcomes = await asyncio.gather(*long, return_exceptions=True)
        assert any(isinstance(outcome, EngineError) for outcome in outcomes)
        for late in (
            trainer.save_state("x"),
            sampler.logprobs([5, 6]),
            engine.create_sampler(model),
        ):
            with pytest.raises(EngineError, match="closed"):
                await late
        await engine.close()

    asyncio.run(main())
    assert not [t.name for t in threading.enumerate() if t.name.startswith("ot-local")]


def test_an_interrupt_in_the_main_thread_does_not_hang(model: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalEngine(EngineConfig(device="cpu"), store=tmp_path) as engine:
            sampler = await engine.create_sampler(model)
            answers = [sampler.sample([5], SamplingParams(max_tokens=60)) for _ in range(100)]
            asyncio.get_running_loop().call_later(0.05, _interrupt)
            await asyncio.gather(*answers)
            while True:
                await asyncio.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert not [t.name for t in threading.enumerate() if t.name.startswith("ot-local")]


def _interrupt() -> None:
    import signal

    signal.raise_signal(signal.SIGINT)


@pytest.mark.model
@pytest.mark.slow
def test_smollm2_knows_the_capital_of_france(tmp_path: Path) -> None:
    from openthoughts_cli.chat.renderer import load_renderer

    renderer = load_renderer("smollm2-135m")
    prompt = renderer.prompt("What is the capital of France?")
    params = SamplingParams(max_tokens=12, temperature=0.0, stop=renderer.stop_tokens)

    async def scenario(engine: LocalEngine) -> Completion:
        sampler = await engine.create_sampler("smollm2-135m")
        assert sampler.model in await engine.models()
        return (await sampler.sample(prompt, params))[0]

    answer = with_engine(tmp_path, scenario)
    assert "Paris" in renderer.decode(answer.tokens)
    assert answer.finish_reason == "stop"
