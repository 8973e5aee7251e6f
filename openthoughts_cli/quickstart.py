"""The first two minutes: a real recipe from subset to scores, on this machine, with no account.

Everything here is made of the public functions; nothing is special but the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.engine import LOCAL_MODEL, EngineConfig
from openthoughts_cli.config.sources import SAMPLE_DATASET
from openthoughts_cli.config.subset import SubsetConfig
from openthoughts_cli.config.train import TrainConfig, WandbConfig
from openthoughts_cli.data.subset import Subset, build_subset
from openthoughts_cli.events import Listener, silent
from openthoughts_cli.report.page import write_run_page
from openthoughts_cli.training.stop import StopRequest
from openthoughts_cli.training.verb import Confirm, TrainResult, train

__all__ = ["QuickstartResult", "quickstart", "subset_config", "train_config"]


@dataclass(frozen=True, slots=True)
class QuickstartResult:
    """What the quickstart made. `page` is None when it was stopped before the end."""

    subset: Subset
    result: TrainResult
    page: Path | None


def subset_config() -> SubsetConfig:
    """Short math rows of the built-in sample, counted in the local model's tokens."""
    return SubsetConfig(
        dataset=SAMPLE_DATASET,
        source=("openmath",),
        max_tokens=128,
        limit=800,
        tokenizer=LOCAL_MODEL,
        name="quickstart",
    )


def train_config(seed: int) -> TrainConfig:
    """LoRA on the local model, held-out NLL along the way, arithmetic before and after."""
    return TrainConfig(
        subset="quickstart",
        model=LOCAL_MODEL,
        engine=EngineConfig(kind="local"),
        batch_size=8,
        epochs=1,
        max_steps=28,
        learning_rate=1e-3,
        lr_schedule="linear",
        warmup_steps=2,
        grad_clip_norm=1.0,
        lora_rank=16,
        seed=seed,
        save_every=0,
        evals={
            "nll": BenchmarkConfig(every=14, at_start=True, limit=24),
            "arithmetic": BenchmarkConfig(
                at_start=True, limit=64, n=1, temperature=0.7, max_tokens=96
            ),
        },
        wandb=WandbConfig(mode="disabled"),
        run_name=f"quickstart-{datetime.now(UTC):%Y%m%d-%H%M%S}-seed-{seed}",
    )


def quickstart(
    *,
    seed: int = 0,
    on_subset: Callable[[Subset], None] | None = None,
    confirm: Confirm | None = None,
    stop: StopRequest | None = None,
    listener: Listener = silent,
) -> QuickstartResult:
    """Cut a subset of the built-in rows, train on it, score before and after, write one page.

    Args:
        seed: of the split, the order of the rows and the adapter; the problems asked stay the same.
        on_subset: shown the subset before training (the CLI previews it).

    Raises:
        MissingExtraError: the local engine's packages are not installed.
        NetworkError: the model is not here yet and can be fetched from nowhere.
    """
    # the name is ours: what an older ot left there is replaced
    subset = build_subset(subset_config(), force=True, listener=listener)
    if on_subset is not None:
        on_subset(subset)
    config = train_config(seed).model_copy(update={"subset": str(subset.path)})
    result = train(config, confirm=confirm, stop=stop, listener=listener)
    page = None
    if result.status == "done" and result.run is not None:
        page = write_run_page(result.run)
    return QuickstartResult(subset, result, page)
