"""What a run will do and cost, before it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.evals.plan import PlannedBenchmark, plan_nll, plan_sampled
from openthoughts_cli.training.evaluations import EvalSchedule
from openthoughts_cli.training.prepare import Prepared
from openthoughts_cli.training.schedule import advised_learning_rate
from openthoughts_cli.training.speed import Speed

__all__ = ["Plan", "TimedEval", "advice_on", "make_plan"]

_SCORING_SHARE = 0.4
"""A forward pass alone against one with its backward pass, about."""


@dataclass(frozen=True, slots=True)
class TimedEval:
    """One benchmark in the plan, and at how many sets of weights it is measured."""

    times: int
    each: PlannedBenchmark

    def most_usd(self, price: Price) -> float:
        """Upper bound of all its evaluations together."""
        once = price.usd(prefill=self.each.read_tokens, sample=self.each.most_sampled_tokens)
        return self.times * once


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a training run. Tokens are exact except the sampled ones, a range.

    `least_sampled_tokens` counts one token an answer; `expected_sampled_tokens` and `expected_s`
    follow from what earlier runs of the model measured, None where there are none.
    `checkpoint_ttl_hours` is of all checkpoints but the final one; None: they stay.
    """

    model: str
    engine: str
    subset: str
    train_rows: int
    held_out_rows: int
    dropped: Mapping[str, int]
    steps: int
    epochs: int
    batch_size: int
    train_tokens: int
    loss_tokens: int
    evals: tuple[TimedEval, ...]
    checkpoints: int
    costs_money: bool
    max_usd: float | None
    train_usd: float | None
    most_eval_usd: float | None
    prices_as_of: str | None
    advice: tuple[str, ...]
    expected_sampled_tokens: int | None = None
    expected_s: float | None = None
    checkpoint_ttl_hours: float | None = None
    first_on_machine: bool = False
    """Whether `expected_s` follows from a measurement just now, and not from an earlier run; it then
    holds no sampling, which takes `most_answers_s` at most."""
    most_answers_s: float | None = None
    first_step: int = 1
    """Above 1 for a run that goes on; the figures are of the whole run."""

    @property
    def most_usd(self) -> float | None:
        """Upper bound of the cost in dollars; None when no price is known."""
        if self.train_usd is None or self.most_eval_usd is None:
            return None
        return self.train_usd + self.most_eval_usd

    @property
    def least_usd(self) -> float | None:
        """Training alone, in dollars; None when no price is known."""
        return self.train_usd

    @property
    def least_sampled_tokens(self) -> int:
        return sum(item.times * item.each.answers for item in self.evals)

    @property
    def most_sampled_tokens(self) -> int:
        return sum(item.times * item.each.most_sampled_tokens for item in self.evals)

    def to_json(self) -> dict[str, Any]:
        """The plan as one JSON-like record."""
        record = dataclasses.asdict(self)
        record["most_usd"] = self.most_usd
        record["least_sampled_tokens"] = self.least_sampled_tokens
        record["most_sampled_tokens"] = self.most_sampled_tokens
        return record


def make_plan(
    prepared: Prepared,
    *,
    engine_kind: str,
    costs_money: bool,
    made: Mapping[str, Benchmark],
    price: Price | None,
    prices_as_of: str | None,
    tokens_per_answer: Mapping[str, float],
    train_tokens_per_s: float | None,
    seconds_beside_training: float,
    speed: Speed | None = None,
) -> Plan:
    """The plan of a prepared run.

    Args:
        made: the benchmarks that sample, by name.
        price: of the model; None when unknown.
        tokens_per_answer, train_tokens_per_s, seconds_beside_training: what the last runs of the
            model on this engine measured, for the expected figures.
        speed: what a measurement just now said, where there was no earlier run.
    """
    config = prepared.config
    used = [prepared.training.packed[row] for batch in prepared.batches for row in batch.rows]
    train_tokens = sum(row.num_tokens for row in used)
    evals = _timed_evals(prepared, made)
    every = config.save_every
    steps = len(prepared.batches)
    return Plan(
        model=prepared.model.name,
        engine=engine_kind,
        subset=prepared.subset.name,
        train_rows=len(prepared.training.rows),
        held_out_rows=len(prepared.held_out.rows),
        dropped=prepared.record()["dropped"],
        steps=steps,
        epochs=config.epochs,
        batch_size=config.batch_size,
        train_tokens=train_tokens,
        loss_tokens=sum(row.num_loss_tokens for row in used),
        evals=evals,
        checkpoints=1 + ((steps - 1) // every if every else 0),
        costs_money=costs_money,
        max_usd=config.max_usd,
        train_usd=price.usd(train=train_tokens) if price else None,
        most_eval_usd=sum(item.most_usd(price) for item in evals) if price else None,
        prices_as_of=prices_as_of,
        advice=advice_on(prepared),
        expected_sampled_tokens=_expected_tokens(evals, tokens_per_answer),
        expected_s=(
            None
            if costs_money
            else train_tokens / train_tokens_per_s + seconds_beside_training
            if train_tokens_per_s is not None
            else (train_tokens + _SCORING_SHARE * _read(evals)) / speed.train_tokens_per_s
            if speed is not None
            else None
        ),
        first_on_machine=speed is not None,
        most_answers_s=(
            sum(item.times * item.each.most_sampled_tokens for item in evals)
            / speed.sample_tokens_per_s
            if speed is not None and speed.sample_tokens_per_s
            else None
        ),
        checkpoint_ttl_hours=config.checkpoint_ttl_hours if costs_money else None,
    )


def _read(evals: Sequence[TimedEval]) -> int:
    """Tokens that evaluations read: held-out rows, prompts."""
    return sum(item.times * item.each.read_tokens for item in evals)


def _expected_tokens(evals: Sequence[TimedEval], means: Mapping[str, float]) -> int | None:
    sampled = [item for item in evals if item.each.answers]
    if not sampled or any(item.each.name not in means for item in sampled):
        return None
    return round(
        sum(
            min(
                item.times * item.each.answers * means[item.each.name],
                item.times * item.each.most_sampled_tokens,
            )
            for item in sampled
        )
    )


def _timed_evals(prepared: Prepared, made: Mapping[str, Benchmark]) -> tuple[TimedEval, ...]:
    config = prepared.config
    times = dict.fromkeys(config.evals, 0)
    for _, name in EvalSchedule(config.evals, len(prepared.batches)).all_due():
        times[name] += 1
    row_tokens = [row.num_tokens for row in prepared.held_out.packed]
    return tuple(
        TimedEval(
            times[name],
            plan_nll(settings, row_tokens)
            if name == NLL
            else plan_sampled(
                made[name], settings, prepared.renderer, prepared.model.context_tokens
            ),
        )
        for name, settings in config.evals.items()
    )


def advice_on(prepared: Prepared) -> tuple[str, ...]:
    """What a person may want to know of the settings before the run starts."""
    config = prepared.config
    advice: list[str] = []
    hidden_size = prepared.model.hidden_size
    if hidden_size and not isinstance(config.learning_rate, str):
        try:
            advised = advised_learning_rate(prepared.model.name, hidden_size)
        except ValueError:
            advised = None
        if advised and not advised / 10 <= config.learning_rate <= advised * 10:
            advice.append(
                f"learning_rate {config.learning_rate:g} is far from the published LoRA advice of "
                f"{advised:.1e} for this model (tinker_cookbook, hyperparam_utils): "
                "--learning-rate auto takes it"
            )
    if len(prepared.batches) < 100:
        advice.append(
            f"{len(prepared.batches)} steps: below about 100, a LoRA run is rarely conclusive "
            "(tinker_cookbook)"
        )
    return tuple(advice)
