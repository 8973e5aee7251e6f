"""A run worked out before anything is trained or paid: its rows, batches, benchmarks and money."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from openthoughts_cli.config.benchmark import NLL
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine import default_model
from openthoughts_cli.engine.base import Engine
from openthoughts_cli.engine.meter import Price
from openthoughts_cli.errors import UsageError
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.evals.plan import check_available
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.runs.wandb import check_wandb
from openthoughts_cli.training.plan import Plan, make_plan
from openthoughts_cli.training.prepare import Prepared, prepare
from openthoughts_cli.training.speed import measure_speed
from openthoughts_cli.training.surroundings import Surroundings

__all__ = ["Planned", "plan_run"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A run ready to start, and what it will do and cost. `made`: the benchmarks that sample."""

    prepared: Prepared
    plan: Plan
    price: Price | None
    made: Mapping[str, Benchmark]


async def plan_run(
    config: TrainConfig,
    engine: Engine,
    *,
    surroundings: Surroundings,
    skip_unavailable: bool,
    refuse_stopped: Callable[[], None],
    listener: Listener,
    measure: bool = False,
) -> Planned:
    """Everything that a run needs, and its plan.

    Args:
        config: with `model` and `engine.kind` resolved.
        skip_unavailable: leave out benchmarks that cannot run here, instead of refusing.
        refuse_stopped: called between the parts; raises to end.
        measure: on an engine that costs nothing, measure its speed where no earlier run did.

    Raises:
        OtError: what makes the run impossible.
    """
    # before anything that needs a network or minutes
    for name in filter(None, (config.subset, config.held_out)):
        surroundings.load_subset(name)
    check_wandb(config.wandb)
    model = await surroundings.describe(engine, config.model or default_model(engine.kind))
    refuse_stopped()
    config, made = await asyncio.to_thread(
        _available, config, surroundings, skip_unavailable, listener
    )
    refuse_stopped()
    prepared = prepare(config, model, listener=listener, surroundings=surroundings)
    price, as_of = await asyncio.to_thread(surroundings.price, engine, model.name, listener)
    if engine.costs_money and config.max_usd is not None and price is None:
        raise UsageError(
            f"max_usd cannot be kept: no price is known for {model.name}",
            hint="leave max_usd out and confirm with --yes, or choose a model with a price",
        )
    past = surroundings.past(model.name, engine.kind)
    speed = None
    if measure and not engine.costs_money and past.train_tokens_per_s is None:
        speed = await measure_speed(engine, prepared, samples=bool(made), listener=listener)
        refuse_stopped()
    plan = make_plan(
        prepared,
        engine_kind=engine.kind,
        costs_money=engine.costs_money,
        made=made,
        price=price,
        prices_as_of=as_of,
        tokens_per_answer=past.tokens_per_answer,
        train_tokens_per_s=past.train_tokens_per_s,
        seconds_beside_training=past.seconds_beside_training,
        speed=speed,
    )
    return Planned(prepared, plan, price, made)


def _available(
    config: TrainConfig, surroundings: Surroundings, skip_unavailable: bool, listener: Listener
) -> tuple[TrainConfig, dict[str, Benchmark]]:
    """The config with the benchmarks that can run here; the others are refused or left out."""
    made = surroundings.benchmarks(config)
    problems = check_available({name: config.evals[name] for name in made}, made)
    if not problems:
        return config, made
    reasons = "; ".join(f"{p.benchmark}: {p.error.message}" for p in problems)
    if not skip_unavailable:
        first = problems[0].error
        raise type(first)(
            f"{len(problems)} of the run's benchmarks cannot run here: {reasons}",
            hint="fix that, name other benchmarks under evals:, or leave these out with "
            "--skip-unavailable",
        )
    listener(Notice(f"benchmarks left out: {reasons}", "warning"))
    for problem in problems:
        del made[problem.benchmark]
    kept = {name: plan for name, plan in config.evals.items() if name == NLL or name in made}
    return config.model_copy(update={"evals": kept}), made
