"""The learning rate at each step, and the published advice for its peak."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

__all__ = ["Schedule", "advised_learning_rate", "learning_rate_at"]

Schedule: TypeAlias = Literal["linear", "cosine", "constant"]


def learning_rate_at(
    step: int, *, total_steps: int, peak: float, schedule: Schedule, warmup_steps: int = 0
) -> float:
    """The rate of optimiser step `step` (from 1 to `total_steps`).

    The warm-up rises linearly and reaches the peak at step `warmup_steps`, so the first step's rate
    is peak / warmup_steps, never 0. The fall starts from the peak and would reach 0 one step after
    the last, so that the last step still counts.
    """
    if not 1 <= step <= total_steps:
        raise ValueError(f"step {step} is outside 1..{total_steps}")
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if schedule == "constant":
        return peak
    fall_steps = total_steps - warmup_steps
    done = (step - warmup_steps - 1) / fall_steps
    if schedule == "linear":
        return peak * (1.0 - done)
    return peak * 0.5 * (1.0 + math.cos(math.pi * done))


_POWER = {"qwen": 0.0775, "llama": 0.781}


def advised_learning_rate(model: str, hidden_size: int) -> float:
    """The published LoRA rate: 5e-5 * 10 * (2000 / hidden_size) ** P, independent of the rank.

    P = 0.0775 for Qwen and 0.781 for Llama. Source: tinker_cookbook 0.6.1,
    `hyperparam_utils.get_lr`. SmolLM2 is a Llama.

    Raises:
        ValueError: the model belongs to neither family, so nothing is published for it.
    """
    name = model.lower()
    family = "llama" if "smollm" in name or "llama" in name else "qwen" if "qwen" in name else None
    if family is None:
        raise ValueError(
            f"no learning rate is published for {model!r}: "
            "learning_rate: auto knows Qwen and Llama models"
        )
    return 5e-5 * 10 * (2000 / hidden_size) ** _POWER[family]
