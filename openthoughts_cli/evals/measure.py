"""One benchmark on one set of weights, recorded in a run's directory: NLL and sampled ones alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.engine.base import Sampler
from openthoughts_cli.evals.benchmark import Benchmark
from openthoughts_cli.evals.nll import HeldOutRow, evaluate_nll, forward_of_sampler
from openthoughts_cli.evals.records import Scores
from openthoughts_cli.evals.run import evaluate
from openthoughts_cli.events import Listener

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Renderer

__all__ = ["lineage_of", "measure"]


def lineage_of(
    *, run: str | None, model: str, engine: str, step: int, sampler_path: str | None
) -> dict[str, Any]:
    """Whose weights are measured. Equal for `ot train` and `ot eval`, so that each can continue
    what the other began."""
    return {
        **({} if run is None else {"run": run}),
        "model": model,
        "engine": engine,
        "step": step,
        "sampler_path": sampler_path,
    }


async def measure(
    kind: Benchmark | None,
    sampler: Sampler,
    renderer: Renderer,
    settings: BenchmarkConfig,
    *,
    held_out: Sequence[HeldOutRow],
    directory: Path,
    step: int,
    lineage: Mapping[str, Any],
    listener: Listener,
) -> Scores:
    """The scores of the sampler's weights.

    Args:
        kind: the benchmark, or None for `nll`, which reads `held_out`.
        directory: `RunDirectory.eval_dir(name, step)`.

    Raises:
        OtError: as `evaluate` and `evaluate_nll` do.
    """
    if kind is not None:
        return await evaluate(
            kind,
            sampler,
            renderer,
            settings,
            directory=directory,
            step=step,
            lineage=lineage,
            listener=listener,
        )
    return await evaluate_nll(
        forward_of_sampler(sampler),
        renderer,
        held_out,
        settings,
        directory=directory,
        step=step,
        lineage=lineage,
        max_tokens=sampler.model.context_tokens,
        listener=listener,
    )
