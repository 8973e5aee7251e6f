"""How fast this machine is with a model, measured in seconds before its first run here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openthoughts_cli.engine.base import Engine, LoraSpec, SamplingParams
from openthoughts_cli.errors import OtError
from openthoughts_cli.events import Listener, Notice, StageDone, StageStarted
from openthoughts_cli.training.examples import Packed, collate
from openthoughts_cli.training.prepare import Prepared

__all__ = ["Speed", "measure_speed"]

_ABOUT_S = 3.0
_ANSWERS, _ANSWER_TOKENS = 8, 12


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second: of training, and of answers drawn side by side (None: not measured).

    An estimate: one batch and a few short answers, on whatever else the machine does meanwhile.
    """

    train_tokens_per_s: float
    sample_tokens_per_s: float | None = None


async def measure_speed(
    engine: Engine,
    prepared: Prepared,
    *,
    samples: bool,
    listener: Listener,
    now_s: Callable[[], float] = time.monotonic,
) -> Speed | None:
    """Train on a few rows of the first batch with an adapter that is thrown away, and draw answers.

    Takes about as long as loading the model, and some seconds. None, with a notice, where the
    engine cannot: the run itself will say why.

    Args:
        samples: whether answers are drawn as well.
    """
    stage = "measuring this machine's speed"
    listener(StageStarted(stage, unit="batches"))
    try:
        speed = await _measured(engine, prepared, samples, now_s)
    except OtError as error:
        listener(Notice(f"{stage} failed: {error.message}", "warning"))
        return None
    listener(StageDone(stage, f"{speed.train_tokens_per_s:,.0f} tokens/s in training"))
    return speed


async def _measured(
    engine: Engine, prepared: Prepared, samples: bool, now_s: Callable[[], float]
) -> Speed:
    config = prepared.config
    name = prepared.model.name
    lora = LoraSpec(
        rank=config.lora_rank,
        attn=config.lora_attn,
        mlp=config.lora_mlp,
        unembed=config.lora_unembed,
    )
    trainer = await engine.create_trainer(name, lora)
    batch = [prepared.training.packed[row] for row in prepared.batches[0].rows]

    async def train(rows: Sequence[Packed]) -> float:
        began_s = now_s()
        await trainer.forward_backward(collate(rows, "token"))
        return sum(row.num_tokens for row in rows) / max(now_s() - began_s, 1e-9)

    shortest = min(batch, key=lambda row: row.num_tokens)
    first = await train([shortest])  # it also warms up
    rate = await train(_rows_for(batch, first * _ABOUT_S))
    if not samples:
        return Speed(rate)
    sampler = await engine.create_sampler(name)
    prompt = shortest.tokens[: max(shortest.prompt_length, 1)].tolist()
    params = SamplingParams(max_tokens=_ANSWER_TOKENS, n=_ANSWERS, seed=0)
    began_s = now_s()
    answers = await sampler.sample(prompt, params)
    drawn = sum(len(answer.tokens) for answer in answers)
    return Speed(rate, drawn / max(now_s() - began_s, 1e-9))


def _rows_for(batch: Sequence[Packed], tokens: float) -> list[Packed]:
    """As many of the batch's rows as have about so many tokens, one at least."""
    rows: list[Packed] = []
    for row in batch:
        if rows and sum(some.num_tokens for some in rows) + row.num_tokens > tokens:
            break
        rows.append(row)
    return rows
