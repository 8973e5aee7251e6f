"""`ot sweep` as one function: resolve the grid, plan, agree, run what is missing, record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.engine import open_engine
from openthoughts_cli.engine.meter import Meter
from openthoughts_cli.errors import ConflictError, DataError, InterruptedByUser, UsageError
from openthoughts_cli.events import Listener, Notice, silent
from openthoughts_cli.places import sweeps_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.runs.lock import locked
from openthoughts_cli.sweeps.claims import claim_runs
from openthoughts_cli.sweeps.conduct import Conductor
from openthoughts_cli.sweeps.engines import EnginePool
from openthoughts_cli.sweeps.launch import CellOutcome, Launcher
from openthoughts_cli.sweeps.launch_here import HereLauncher
from openthoughts_cli.sweeps.launch_processes import ProcessLauncher
from openthoughts_cli.sweeps.launch_tasks import TaskLauncher
from openthoughts_cli.sweeps.layout import SweepDirectory
from openthoughts_cli.sweeps.plan import SweepPlan
from openthoughts_cli.sweeps.planner import Planner
from openthoughts_cli.sweeps.shared import SharedSurroundings
from openthoughts_cli.training.job import OpenEngine, for_a_plan
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.waiting import run_to_end

__all__ = ["ConfirmSweep", "SweepResult", "run_sweep"]

SweepStatus: TypeAlias = Literal["planned", "done", "partial", "failed", "budget", "interrupted"]
ConfirmSweep: TypeAlias = Callable[[SweepPlan], None]
"""Shown the plan before anything starts; raises to refuse."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep ended.

    `status`: `partial` where some cells are done and some failed, `failed` where none is done.
    `outcomes` are of the cells that this call began, by name.
    """

    status: SweepStatus
    directory: SweepDirectory
    plan: SweepPlan
    outcomes: Mapping[str, CellOutcome]
    spent_usd: float = 0.0

    @property
    def done(self) -> int:
        """How many cells are done now, those of before included."""
        before = sum(cell.state == "done" for cell in self.plan.cells)
        return before + sum(outcome.status == "done" for outcome in self.outcomes.values())

    @property
    def failures(self) -> dict[str, CellOutcome]:
        """The cells that failed now, and those left alone that had failed before."""
        left = {
            cell.name: CellOutcome("failed", cell.reason)
            for cell in self.plan.cells
            if cell.state == "failed" and not self.plan.retry_failed
        }
        failed = {name: out for name, out in self.outcomes.items() if out.status == "failed"}
        return {**left, **failed}

    @property
    def stopped(self) -> dict[str, CellOutcome]:
        """The cells that something stopped which is no fault of theirs, such as a full disk."""
        return {
            name: out
            for name, out in self.outcomes.items()
            if out.status == "interrupted" and out.error
        }

    def __repr__(self) -> str:
        return f"<SweepResult {self.status}: {self.plan.name}, {self.done} of {len(self.plan.cells)} cells done>"


def run_sweep(
    config: SweepConfig,
    *,
    files: Sequence[Path] = (),
    confirm: ConfirmSweep | None = None,
    dry_run: bool = False,
    retry_failed: bool = False,
    fail_fast: bool = False,
    skip_unavailable: bool = False,
    open_engine: OpenEngine = open_engine,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> SweepResult:
    """Run the cells of a grid that are not done yet. Call it again to go on.

    Args:
        files: the grid's file and those it extends; the first names the sweep where the grid does
            not, and paths in the grid are relative to it.
        confirm: called with the plan before anything is trained or paid; raises to refuse.
        dry_run: cut the subsets, make the plan, and stop.
        retry_failed: begin failed cells again.
        fail_fast: the first failure stops the others, at their checkpoints.
        skip_unavailable: leave out benchmarks that cannot run here, instead of refusing.
        open_engine: opens what a config's `engine` names, for cells that run in this process; an
            engine of your own goes in here.
        stop: set `requested` to end all cells at their next step, with checkpoints.
        listener: hears `CellStarted`, `CellTold`, `CellEnded`, and of the planning.

    Raises:
        ConfigError: everything that is wrong with the grid, a line each; nothing was started.
        ConflictError: another process runs this sweep.
        OtError: what ends all cells, such as a full disk.
    """
    stop = stop or StopRequest()
    name = config.name or next((file.stem for file in files if str(file) != "-"), "sweep")
    job = _Job(
        config.model_copy(update={"name": name}),
        SweepDirectory(sweeps_dir() / name),
        files,
        confirm,
        stop,
        listener,
        retry_failed=retry_failed,
        fail_fast=fail_fast,
        skip_unavailable=skip_unavailable,
        open_engine=open_engine,
    )
    work = job.plan_only() if dry_run else job.run()
    return run_to_end(work, on_interrupt=stop.request)


class _Job:
    def __init__(
        self,
        config: SweepConfig,
        directory: SweepDirectory,
        files: Sequence[Path],
        confirm: ConfirmSweep | None,
        stop: StopRequest,
        listener: Listener,
        *,
        retry_failed: bool,
        fail_fast: bool,
        skip_unavailable: bool,
        open_engine: OpenEngine,
    ) -> None:
        self._open_engine = open_engine
        self._config = config
        self._directory = directory
        self._files = files
        self._confirm = confirm
        self._stop = stop
        self._listener = listener
        self._retry_failed = retry_failed
        self._fail_fast = fail_fast
        self._skip_unavailable = skip_unavailable
        self._shared = SharedSurroundings()

    async def plan_only(self) -> SweepResult:
        async with self._pool(for_a_plan(self._open_engine)) as pool:
            plan = await self._plan(pool)
        return SweepResult("planned", self._directory, plan, {})

    async def run(self) -> SweepResult:
        with _only_one(self._directory):
            async with self._pool(self._open_engine) as pool:
                plan = await self._plan(pool)
                self._tell_of_left_out(plan)
                self._agree(plan)
                plan = self._claimed(plan)
                self._record(plan)
                return await self._conduct(plan, pool)

    def _pool(self, opens: OpenEngine) -> EnginePool:
        return EnginePool(self._config.max_requests, self._listener, opens)

    async def _plan(self, pool: EnginePool) -> SweepPlan:
        planner = Planner(
            self._config,
            self._directory,
            files=self._files,
            pool=pool,
            shared=self._shared,
            skip_unavailable=self._skip_unavailable,
            retry_failed=self._retry_failed,
            refuse_stopped=self._refuse_stopped,
            listener=self._listener,
        )
        plan = await planner.plan()
        if plan.costs_money and self._config.max_usd is not None and plan.most_usd is None:
            raise UsageError(
                "max_usd cannot be kept: no price is known for a model of this sweep",
                hint="leave max_usd out and confirm with --yes, or choose models with a price",
            )
        return plan

    def _tell_of_left_out(self, plan: SweepPlan) -> None:
        """Say which cells leave the sweep's table: another grid may bear the same name."""
        try:
            before = self._directory.entries()
        except DataError:
            return  # there is none yet, or it is written anew
        left = {cell.identity for cell in before} - {cell.identity for cell in plan.cells}
        if left:
            them = f"{len(left)} of its {len(before)} cells {'is' if len(left) == 1 else 'are'}"
            text = (
                f"{plan.name} is a sweep already, and {them} not in this grid: they leave its table"
            )
            self._listener(Notice(f"{text} (their runs stay); `name:` makes it another", "warning"))

    def _agree(self, plan: SweepPlan) -> None:
        self._refuse_stopped()
        if self._confirm is not None:
            self._confirm(plan)
        self._refuse_stopped()

    def _claimed(self, plan: SweepPlan) -> SweepPlan:
        """The plan with the runs that other sweeps of the same cells go by, which may have begun
        since it was made."""
        waiting = {cell.identity: cell.run for cell in plan.to_run if cell.state == "waiting"}
        runs = claim_runs(waiting)
        cells = tuple(
            cell.named(runs[cell.identity]) if cell.identity in runs else cell
            for cell in plan.cells
        )
        for before, cell in zip(plan.cells, cells, strict=True):
            if before.run != cell.run:
                text = f"{cell.name}: another sweep has this cell too; its run is {cell.run.run_id}"
                self._listener(Notice(text))
        return replace(plan, cells=cells)

    def _refuse_stopped(self) -> None:
        if self._stop.requested:
            raise InterruptedByUser("interrupted before anything was started")

    def _record(self, plan: SweepPlan) -> None:
        subset = plan.held_out
        held_out = None
        if subset is not None:
            held_out = {"name": subset.name, "path": str(subset.path), "digest": subset.digest}
        grid = self._config.model_dump(mode="json")
        self._directory.write(grid, [cell.entry for cell in plan.cells], held_out=held_out)
        self._directory.log("sweep_started", counts=dict(plan.counts()))

    async def _conduct(self, plan: SweepPlan, pool: EnginePool) -> SweepResult:
        meter = Meter(self._config.max_usd, spent_usd=plan.spent_usd)
        conductor = Conductor(
            self._directory,
            self._launcher(plan, pool, meter),
            at_once=plan.at_once,
            fail_fast=self._fail_fast,
            stop=self._stop,
            listener=self._listener,
        )
        outcomes = await conductor.run(plan.to_run)
        status = _status(plan, outcomes, stopped=self._stop.requested)
        self._directory.log("sweep_finished", status=status)
        return SweepResult(status, self._directory, plan, outcomes, meter.spent_usd)

    def _launcher(self, plan: SweepPlan, pool: EnginePool, meter: Meter) -> Launcher:
        if self._config.on == "ray":
            from openthoughts_cli.sweeps.launch_ray import RayLauncher

            return RayLauncher(self._config.address, dict(self._config.resources), meter)
        return HereLauncher(TaskLauncher(pool, self._shared, meter), ProcessLauncher(plan.at_once))


@contextlib.contextmanager
def _only_one(directory: SweepDirectory) -> Generator[None]:
    """Hold the sweep for this process.

    Raises:
        ConflictError: another process runs it.
    """
    holding = locked(RunDirectory(directory.path))
    try:
        holding.__enter__()
    except ConflictError as error:
        raise ConflictError(
            f"the sweep {directory.name} is run by another process: {error.message}",
            hint="watch it with --attach, or wait for it to end; another --set name=... is another "
            "sweep",
        ) from None
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def _status(plan: SweepPlan, outcomes: Mapping[str, CellOutcome], *, stopped: bool) -> SweepStatus:
    statuses = {outcome.status for outcome in outcomes.values()}
    done = sum(cell.state == "done" for cell in plan.cells)
    done += sum(outcome.status == "done" for outcome in outcomes.values())
    if done == len(plan.cells):
        return "done"
    if "budget" in statuses:
        return "budget"
    if stopped:
        return "interrupted"
    return "partial" if done else "failed"
