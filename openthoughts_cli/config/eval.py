"""Which weights are measured on which benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from openthoughts_cli.config.base import ConfigModel, PlainName, label
from openthoughts_cli.config.benchmark import BenchmarkConfig, check_benchmarks
from openthoughts_cli.config.engine import EngineConfig

__all__ = ["EvalConfig"]


class EvalConfig(ConfigModel):
    """`ot eval`: scores of a base model or of a run's checkpoint."""

    model: str | None = None
    """The base model. Unset: the run's, or else the engine's default."""

    run: str | None = None
    """Measure a run's weights: its id under `runs/`, or the path of its directory."""

    checkpoint: str | None = None
    """Which checkpoint of the run, by name, or "all". Unset: the final one, else the newest. Without
    a run: the path of saved weights (`tinker://...`, or a directory of the local engine)."""

    subset: str | None = None
    """The subset whose held-out rows `nll` reads. Unset: the run's."""

    train_split: float = Field(default=0.9, gt=0, lt=1)
    """The split that holds rows out, when no run says which it was."""

    split_seed: int = Field(default=0, ge=0)
    """The split's seed, when no run says which it was."""

    engine: EngineConfig = EngineConfig()
    """Where samples come from."""

    benchmarks: Annotated[dict[str, BenchmarkConfig], AfterValidator(check_benchmarks)] = Field(
        default_factory=dict[str, BenchmarkConfig]
    )
    """The benchmarks to run, by name."""

    max_usd: float | None = Field(default=None, gt=0)
    """Spend no more than this; also the consent to spend up to it."""

    name: PlainName | None = label(None)
    """The result's directory under `runs/`. Unset: date, model and a short digest."""

    output_dir: Path | None = label(None)
    """The directory for the result. Unset: the run's own, else `$OT_RUNS`, else `runs`."""
