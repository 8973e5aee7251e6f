"""Resolves a grid here: cuts its subsets, finds the runs that are there, plans those that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.data.subset import Subset, build_subset
from openthoughts_cli.digests import digest_value
from openthoughts_cli.engine import default_model, resolve_engine
from openthoughts_cli.errors import OtError
from openthoughts_cli.evals.plan import check_available
from openthoughts_cli.events import Listener, Notice
from openthoughts_cli.places import runs_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.log import spent_usd
from openthoughts_cli.sweeps.capacity import cells_at_once
from openthoughts_cli.sweeps.cells import Cell, Drafted, draft_cells
from openthoughts_cli.sweeps.engines import EnginePool
from openthoughts_cli.sweeps.layout import SweepDirectory, best_run, runs_by_identity
from openthoughts_cli.sweeps.plan import PlannedCell, SweepPlan, uncommon_ground
from openthoughts_cli.sweeps.problems import Problems
from openthoughts_cli.sweeps.requests import SubsetRequest
from openthoughts_cli.sweeps.shared import SharedSurroundings
from openthoughts_cli.training.plan import advice_on
from openthoughts_cli.training.planning import Planned, plan_run
from openthoughts_cli.training.prepare import run_identity

__all__ = ["Planner"]


class Planner:
    """Makes the plan of a sweep; what it read is shared with the cells that run later.

    Args:
        directory: of the sweep; it need not be there yet.
        files: the grid's file and those it extends.
        pool: the engines, asked what their models are.
        refuse_stopped: called between the parts; raises to end.
    """

    def __init__(
        self,
        config: SweepConfig,
        directory: SweepDirectory,
        *,
        files: Sequence[Path],
        pool: EnginePool,
        shared: SharedSurroundings,
        skip_unavailable: bool,
        retry_failed: bool,
        refuse_stopped: Callable[[], None],
        listener: Listener,
    ) -> None:
        self._config = config
        self._directory = directory
        self._files = files
        self._pool = pool
        self._shared = shared
        self._skip_unavailable = skip_unavailable
        self._retry_failed = retry_failed
        self._refuse_stopped = refuse_stopped
        self._listener = listener
        self._of_cells: dict[str, list[str]] = {}
        self._plans: dict[str, Planned] = {}

    async def plan(self) -> SweepPlan:
        """The plan.

        Raises:
            ConfigError: everything that makes a cell impossible, a line each.
        """
        drafted = draft_cells(self._config, self._files)
        await asyncio.to_thread(self._read_subsets, drafted)
        self._raise_problems()
        self._refuse_stopped()
        held_out = None if drafted.held_out is None else self._load(drafted.held_out)
        name = None if drafted.held_out is None else drafted.held_out.name
        configs = [self._resolved(cell, name) for cell in drafted.cells]
        configs = await asyncio.to_thread(self._available, drafted.cells, configs)
        self._raise_problems()
        identities = await asyncio.to_thread(self._identities, drafted.cells, configs, held_out)
        self._raise_problems()
        found = self._found(drafted.cells, configs, identities)
        cells = [await self._planned(cell) for cell in found]
        self._raise_problems()
        to_run = [cell for cell in cells if cell.planned is not None]
        return SweepPlan(
            name=self._directory.name,
            config=self._config,
            cells=tuple(cells),
            held_out=held_out,
            at_once=cells_at_once(self._config, [cell.config for cell in to_run]),
            retry_failed=self._retry_failed,
            uncommon=uncommon_ground(cells),
            spent_usd=_spent_usd(cells),
        )

    def _read_subsets(self, drafted: Drafted) -> None:
        """Cut what is to be cut, each request once; load the others."""
        wanted = {cell.subset.name: cell.subset for cell in drafted.cells}
        if drafted.held_out is not None:
            wanted[drafted.held_out.name] = drafted.held_out
        for request in wanted.values():
            self._refuse_stopped()
            try:
                subset = self._load(request)
            except OtError as error:
                hint = f" ({error.hint})" if error.hint else ""
                users = [cell.name for cell in drafted.cells if cell.subset == request]
                self._blame(f"{error.message}{hint}", users or ["held_out"])
            else:
                self._shared.keep_subset(request.name, subset)

    def _load(self, request: SubsetRequest) -> Subset:
        if request.config is None:
            return self._shared.load_subset(request.name)
        known = self._shared.kept_subset(request.name)
        return known or build_subset(request.config, listener=self._listener)

    def _resolved(self, cell: Cell, held_out: str | None) -> TrainConfig:
        """The cell's config with everything decided that identity is made of."""
        config = cell.train
        engine = resolve_engine(config.engine)
        wandb = config.wandb.model_copy(
            update={"group": config.wandb.group or self._directory.name, "name": cell.name}
        )
        return config.model_copy(
            update={
                "engine": engine,
                "model": config.model or default_model(engine.kind),
                "wandb": wandb,
                "held_out": held_out,
            }
        )

    def _available(
        self, cells: Sequence[Cell], configs: Sequence[TrainConfig]
    ) -> list[TrainConfig]:
        """The configs with the benchmarks that can run here."""
        reasons: dict[str, str] = {}
        for config in configs:
            made = self._shared.benchmarks(config)
            new = {name: made[name] for name in made if name not in reasons}
            reasons.update(dict.fromkeys(new, ""))
            asked = {name: config.evals[name] for name in new}
            for problem in check_available(asked, new):
                reasons[problem.benchmark] = problem.error.message
        missing = {name: why for name, why in reasons.items() if why}
        if not missing:
            return list(configs)
        for name, why in missing.items():
            if not self._skip_unavailable:
                users = [c.name for c, t in zip(cells, configs, strict=True) if name in t.evals]
                self._blame(f"the benchmark {name} cannot run here: {why}", users)
            else:
                self._listener(Notice(f"benchmark left out: {name}: {why}", "warning"))
        kept = [
            {name: settings for name, settings in config.evals.items() if name not in missing}
            for config in configs
        ]
        return [
            config.model_copy(update={"evals": evals})
            for config, evals in zip(configs, kept, strict=True)
        ]

    def _identities(
        self, cells: Sequence[Cell], configs: Sequence[TrainConfig], held_out: Subset | None
    ) -> list[str]:
        identities: list[str] = []
        names: dict[str, str] = {}
        for cell, config in zip(cells, configs, strict=True):
            try:
                renderer = self._shared.load_renderer(str(config.model), self._listener)
            except OtError as error:
                self._blame(error.message, [cell.name])
                continue
            identity = run_identity(
                config,
                subset_digest=self._shared.load_subset(config.subset).digest,
                held_out_digest=None if held_out is None else held_out.digest,
                renderer_digest=renderer.digest,
            )
            if identity in names:
                self._blame(
                    f"it is the same run as {names[identity]}: what differs changes no result",
                    [cell.name],
                )
            names.setdefault(identity, cell.name)
            identities.append(identity)
        return identities

    def _found(
        self, cells: Sequence[Cell], configs: Sequence[TrainConfig], identities: Sequence[str]
    ) -> list[PlannedCell]:
        """Each cell with the run that is there, or the one to be made."""
        runs = runs_by_identity(set(identities))
        words = self._directory.last_words()
        found: list[PlannedCell] = []
        for cell, config, identity in zip(cells, configs, identities, strict=True):
            run, state, reason = best_run(runs.get(identity, []), words.get(identity))
            run = run or RunDirectory(runs_dir() / self._run_id(cell, identity))
            found.append(
                PlannedCell(
                    cell=cell,
                    config=config.model_copy(update={"run_name": run.run_id}),
                    identity=identity,
                    run=run,
                    state=state,
                    reused=state == "done" and identity not in words,
                    reason=reason,
                )
            )
        return found

    def _run_id(self, cell: Cell, identity: str) -> str:
        kept = [c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in cell.name]
        middle = "".join(kept)[:60].strip("-.")
        return f"{self._directory.name[:40]}-{middle}-{identity[:8]}"

    async def _planned(self, cell: PlannedCell) -> PlannedCell:
        if cell.state == "done" or (cell.state == "failed" and not self._retry_failed):
            return cell
        self._refuse_stopped()
        key = _plan_key(cell.config)
        if (like := self._plans.get(key)) is not None:
            return replace(cell, planned=_planned_like(like, cell.config))
        try:
            planned = await plan_run(
                cell.config,
                await self._pool.engine(cell.config.engine),
                surroundings=self._shared,
                skip_unavailable=False,
                refuse_stopped=self._refuse_stopped,
                listener=_only_warnings(self._listener, cell.name),
            )
        except OtError as error:
            if error.exit_code == 130:
                raise
            hint = f" ({error.hint})" if error.hint else ""
            self._blame(f"{error.message}{hint}", [cell.name])
            return cell
        self._plans[key] = planned = self._timed(planned)
        return replace(cell, planned=planned)

    def _timed(self, planned: Planned) -> Planned:
        """With the time that earlier runs took, on a service too: cells there wait side by side."""
        plan = planned.plan
        past = self._shared.past(plan.model, plan.engine)
        if plan.expected_s is not None or past.train_tokens_per_s is None:
            return planned
        seconds = plan.train_tokens / past.train_tokens_per_s + past.seconds_beside_training
        return replace(planned, plan=replace(plan, expected_s=seconds))

    def _blame(self, what: str, names: Sequence[str]) -> None:
        self._of_cells.setdefault(what, []).extend(names)

    def _raise_problems(self) -> None:
        problems = Problems()
        for what, names in self._of_cells.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            problems.add_line(f"cell {names[0]}{more}: {what}")
        problems.raise_if_any()


_NOT_PLANNED_BY = frozenset(
    {
        "learning_rate", "lr_schedule", "warmup_steps", "adam_beta1", "adam_beta2", "adam_eps",
        "weight_decay", "grad_clip_norm", "loss_normalization", "accumulate", "lora_rank",
        "lora_seed", "lora_attn", "lora_mlp", "lora_unembed",
    }
)  # fmt: skip
"""Settings that change neither a run's rows and batches nor what it will cost."""


def _plan_key(config: TrainConfig) -> str:
    """Equal for cells whose rows, batches, evaluations and checkpoints are the same."""
    identity = {k: v for k, v in config.identity().items() if k not in _NOT_PLANNED_BY}
    limits = [config.save_every, config.checkpoint_ttl_hours, config.max_usd]
    return digest_value([identity, limits])


def _planned_like(planned: Planned, config: TrainConfig) -> Planned:
    """The plan of another cell, taken over by one that differs in `_NOT_PLANNED_BY` alone."""
    prepared = replace(planned.prepared, config=config)
    return replace(
        planned, prepared=prepared, plan=replace(planned.plan, advice=advice_on(prepared))
    )


def _only_warnings(listener: Listener, name: str) -> Listener:
    def hear(event: object) -> None:
        if isinstance(event, Notice) and event.level == "warning":
            listener(Notice(f"{name}: {event.text}", "warning"))

    return hear


def _spent_usd(cells: Sequence[PlannedCell]) -> float:
    """What the sweep's own runs have cost at most, by their logs; these are long, so only of a sweep
    that may spend more."""
    if not any(cell.planned is not None and cell.planned.plan.costs_money for cell in cells):
        return 0.0
    return sum(spent_usd(cell.run) for cell in cells if not cell.reused)
