"""What is trained on what, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from openthoughts_cli.config.base import ConfigModel, PlainName, label
from openthoughts_cli.config.benchmark import BenchmarkConfig, check_benchmarks
from openthoughts_cli.config.engine import EngineConfig

__all__ = ["TrainConfig", "WandbConfig"]


class WandbConfig(ConfigModel):
    """Weights & Biases, a copy of the run's own log."""

    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto`: online when an API key is configured, else disabled."""

    project: str = "openthoughts"
    """The W&B project."""

    entity: str | None = None
    """The W&B user or team. Unset: the account's default."""

    group: str | None = None
    """The W&B group."""

    name: str | None = None
    """What W&B calls the run. Unset: its id."""


def _reference_benchmarks() -> dict[str, BenchmarkConfig]:
    return {
        "nll": BenchmarkConfig(every=5),
        "aime25": BenchmarkConfig(every=10, limit=30),
        "gpqa": BenchmarkConfig(every=10, limit=50),
        "livecodebench": BenchmarkConfig(every=10, limit=30),
    }


class TrainConfig(ConfigModel):
    """`ot train`: LoRA fine-tuning of a model on a subset. Defaults: the reference recipe."""

    subset: str
    """A subset's name under `subsets/`, or the path of its directory."""

    model: str | None = None
    """The model to train. Unset: Qwen/Qwen3-4B-Instruct-2507 on Tinker, smollm2-135m locally."""

    engine: EngineConfig = EngineConfig()
    """Where it is trained."""

    max_tokens: int | None = Field(default=None, ge=2)
    """Rows longer than this, in the model's own tokens, are dropped and counted, never cut.
    Unset: the model's context."""

    batch_size: int = Field(default=32, ge=1)
    """Rows in one optimiser step. The last batch of an epoch may hold fewer."""

    accumulate: int = Field(default=1, ge=1)
    """Send a step's rows in this many requests, whose gradients add up before the one optimiser
    step. The result is that of one request, up to rounding."""

    epochs: int = Field(default=5, ge=1)
    """Passes over the training rows."""

    max_steps: int | None = Field(default=None, ge=1)
    """Stop after this many optimiser steps. Unset: all epochs."""

    train_split: float = Field(default=0.9, gt=0, le=1)
    """Share of the rows that is trained on; the rest is held out, by question: all answers to a
    question fall on one side."""

    held_out: str | None = None
    """A subset (name or path) whose rows `nll` reads. Rows of `subset` that ask one of its questions
    are not trained on, and `train_split` then holds nothing else out. Runs that name the same one
    can be compared by their NLL."""

    seed: int = Field(default=0, ge=0)
    """Of the split, the order of the rows and the adapter's first weights."""

    learning_rate: float | Literal["auto"] = 1e-5
    """Peak learning rate of Adam, or `auto`: 5e-5 * 10 * (2000 / hidden size) ^ p, p = 0.0775 for
    Qwen and 0.781 for Llama (tinker_cookbook, hyperparam_utils)."""

    lr_schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls from its peak to 0 after the warm-up."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps of linear rise to the peak; the first step's rate is never 0."""

    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of Adam's first moment."""

    adam_beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of Adam's second moment."""

    adam_eps: float = Field(default=1e-12, gt=0)
    """Adam's epsilon."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""

    grad_clip_norm: float = Field(default=0.0, ge=0)
    """Largest L2 norm of the gradient. 0: no clipping."""

    loss_normalization: Literal["token", "sequence", "sum"] = "token"
    """`token`: mean over the batch's loss tokens. `sequence`: mean over rows of each row's mean.
    `sum`: the plain sum over loss tokens."""

    lora_rank: int = Field(default=32, ge=1)
    """Rank of the adapters; a power of two."""

    lora_seed: int | None = Field(default=None, ge=0)
    """Of the adapter's first weights. Unset: `seed`."""

    lora_attn: bool = True
    """Adapt the attention layers."""

    lora_mlp: bool = True
    """Adapt the MLP layers."""

    lora_unembed: bool = True
    """Adapt the output layer, where the engine and the model allow it."""

    curriculum_mode: Literal["none", "easy_to_hard", "first_epoch_only", "grouped_shuffle"] = "none"
    """`none`: shuffled anew each epoch. `easy_to_hard`: every epoch ascending. `first_epoch_only`:
    the first epoch ascending, the others shuffled. `grouped_shuffle`: all epochs pooled, ascending
    groups, shuffled within a group."""

    curriculum_key: str = "difficulty"
    """The column that says how hard a row is: difficulty, or any number, e.g. tokens_thinking."""

    curriculum_missing: Literal["refuse", "first", "last", "drop"] = "refuse"
    """What becomes of rows without the key."""

    pipeline_depth: int = label(2, ge=1, le=16)
    """Batches that are queued at the engine at once, the one awaited included."""

    save_every: int = label(20, ge=0)
    """Save a checkpoint each time this many steps are done. 0: only the final one."""

    save_every_minutes: float | None = label(None, gt=0)
    """Also save one when this long has passed since the last. Unset: by steps alone."""

    keep_last: int | None = label(None, ge=1)
    """Keep this many of the newest checkpoints, and always the final one: older local files are
    deleted once their evaluations are done; a service's expire by their time to live. Unset: all."""

    checkpoint_ttl_hours: float | None = label(168.0, ge=1)
    """How long the service keeps checkpoints other than the final one. Unset: for ever (paid)."""

    evals: Annotated[dict[str, BenchmarkConfig], AfterValidator(check_benchmarks)] = Field(
        default_factory=_reference_benchmarks
    )
    """The benchmarks to run alongside, by name. Naming any replaces the whole default list."""

    max_usd: float | None = label(None, gt=0)
    """Stop at a checkpoint before the run's requests, of all its attempts, exceed this; also the
    consent to spend up to it."""

    wandb: WandbConfig = label(WandbConfig())
    """Where the run's log is copied to."""

    run_name: PlainName | None = label(None)
    """The run's id and directory under `runs/`. Unset: date, subset and a short digest."""

    @field_validator("learning_rate")
    @classmethod
    def _a_positive_rate(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not value > 0:
            raise ValueError(f"{value} must be above 0, or `auto`")
        return value

    @field_validator("lora_rank")
    @classmethod
    def _a_power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            below = 1 << (value.bit_length() - 1)
            raise ValueError(f"{value} is not a power of two: try {below} or {below * 2}")
        return value

    @model_validator(mode="after")
    def _something_to_train(self) -> TrainConfig:
        if not (self.lora_attn or self.lora_mlp or self.lora_unembed):
            raise ValueError(
                "lora_attn, lora_mlp and lora_unembed are all false: nothing would be trained"
            )
        return self
