"""What a run will do and cost, before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.training.evaluations import EvalSchedule
from openthoughts_cli.training.prepare import Prepared
from openthoughts_cli.training.schedule import advised_learning_rate

__all__ = ["EvalPlan", "Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """One benchmark in the plan: how often, on how many items, and the most tokens it samples.

    For `nll`, `items` are held-out rows and `read_tokens` their tokens; nothing is sampled.
    """

    benchmark: str
    times: int
    items: int
    answers: int
    read_tokens: int
    most_sampled_tokens: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a training run. Tokens are exact except the sampled ones, an upper bound."""

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
    evals: tuple[EvalPlan, ...]
    checkpoints: int
    costs_money: bool
    max_usd: float | None
    train_usd: float | None
    most_eval_usd: float | None
    prices_as_of: str | None
    advice: tuple[str, ...]

    @property
    def most_usd(self) -> float | None:
        """Upper bound of the cost in dollars; None when no price is known."""
        if self.train_usd is None or self.most_eval_usd is None:
            return None
        return self.train_usd + self.most_eval_usd

    def to_json(self) -> dict[str, Any]:
        """The plan as one JSON-like record."""
        import dataclasses

        record = dataclasses.asdict(self)
        record["most_usd"] = self.most_usd
        return record


def make_plan(
    prepared: Prepared,
    *,
    engine_kind: str,
    costs_money: bool,
    problem_counts: Mapping[str, int],
    prompt_tokens: Mapping[str, int],
    price: Price | None,
    prices_as_of: str | None,
) -> Plan:
    """The plan of a prepared run.

    Args:
        problem_counts: problems of each benchmark that samples.
        prompt_tokens: tokens of all its prompts together.
        price: of the model; None when unknown.
    """
    config = prepared.config
    used = [prepared.training.packed[row] for batch in prepared.batches for row in batch.rows]
    train_tokens = sum(row.num_tokens for row in used)
    evals = _eval_plans(prepared, problem_counts, prompt_tokens)
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
        most_eval_usd=sum(_eval_usd(plan, price) for plan in evals) if price else None,
        prices_as_of=prices_as_of,
        advice=_advice(prepared),
    )


def _eval_plans(
    prepared: Prepared, problem_counts: Mapping[str, int], prompt_tokens: Mapping[str, int]
) -> tuple[EvalPlan, ...]:
    schedule = EvalSchedule(prepared.config.evals, len(prepared.batches))
    times = dict.fromkeys(prepared.config.evals, 0)
    for _, name in schedule.all_due():
        times[name] += 1
    plans: list[EvalPlan] = []
    for name, settings in prepared.config.evals.items():
        if name == NLL:
            rows = prepared.held_out.packed[: settings.limit]
            read = sum(row.num_tokens for row in rows)
            plans.append(EvalPlan(name, times[name], len(rows), 0, read * times[name], 0))
            continue
        items = problem_counts[name]
        answers = items * settings.n
        longest = min(settings.max_tokens, prepared.model.context_tokens)
        plans.append(
            EvalPlan(
                benchmark=name,
                times=times[name],
                items=items,
                answers=answers,
                read_tokens=prompt_tokens[name] * settings.n * times[name],
                most_sampled_tokens=answers * longest * times[name],
            )
        )
    return tuple(plans)


def _eval_usd(plan: EvalPlan, price: Price) -> float:
    return price.usd(prefill=plan.read_tokens, sample=plan.most_sampled_tokens)


def _advice(prepared: Prepared) -> tuple[str, ...]:
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
                "--set learning_rate=auto takes it"
            )
    if len(prepared.batches) < 100:
        advice.append(
            f"{len(prepared.batches)} steps: below about 100, a LoRA run is rarely conclusive "
            "(tinker_cookbook)"
        )
    return tuple(advice)
