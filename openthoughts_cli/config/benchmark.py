"""What is measured, how often, and with how many samples."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from openthoughts_cli.config.base import ConfigModel

__all__ = ["NLL", "BenchmarkConfig", "check_benchmarks"]

NLL = "nll"


class BenchmarkConfig(ConfigModel):
    """One benchmark's settings, the same for `ot train`, `ot eval` and sweeps.

    `n` defaults to 7 and the score to pass@7: sampling on the service is not deterministic, so a
    single greedy answer is not a measurement.
    """

    every: int | None = Field(default=None, ge=1)
    """Training only: evaluate each time this many steps are done. Unset: not during training."""

    at_start: bool = False
    """Training only: evaluate the untrained weights first."""

    at_end: bool = True
    """Training only: evaluate the final weights."""

    limit: int | None = Field(default=None, ge=1)
    """How many problems (or held-out rows), chosen by `seed`. Unset: all."""

    n: int = Field(default=7, ge=1)
    """Answers drawn for each problem."""

    k: tuple[int, ...] | None = None
    """Which pass@k to report; each at most `n`. Unset: k = n."""

    temperature: float = Field(default=0.7, ge=0)
    """Sampling temperature."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: the smallest set of tokens whose probability reaches this."""

    max_tokens: int = Field(default=16384, ge=1)
    """Most tokens of one answer; capped by the model's context."""

    seed: int = Field(default=0, ge=0)
    """Chooses the problems and, where the engine honours it, the samples."""

    data: str | None = None
    """Read the problems from this local file in place of the benchmark's own source; or
    `hub:owner/name@revision` for another data set or revision on the hub."""

    prompt: str | None = None
    """Read the prompt's template from this file, with `{problem}` where the question goes. Unset:
    the benchmark's own (`ot eval --show-prompt`)."""

    @field_validator("k", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _k_within_n(self) -> BenchmarkConfig:
        for k in self.ks:
            if k < 1:
                raise ValueError(f"k = {k}: pass@k needs k of at least 1")
            if k > self.n:
                raise ValueError(
                    f"pass@{k} needs at least {k} answers a problem, and n is {self.n}: "
                    f"set n to {k} or more, or k to at most {self.n}"
                )
        return self

    @property
    def ks(self) -> tuple[int, ...]:
        """The values of k to report, ascending."""
        return (self.n,) if self.k is None else tuple(sorted(set(self.k)))


_SAMPLING_FIELDS = frozenset({"n", "k", "temperature", "top_p", "max_tokens"})


def check_benchmarks(value: dict[str, BenchmarkConfig]) -> dict[str, BenchmarkConfig]:
    """Refuse sampling settings on `nll`, which draws no samples.

    Raises:
        ValueError: naming the settings.
    """
    if NLL not in value:
        return value
    # A saved config restates the defaults; only another value shows that something was meant.
    fields = BenchmarkConfig.model_fields
    meant = [name for name in _SAMPLING_FIELDS if getattr(value[NLL], name) != fields[name].default]
    if meant:
        raise ValueError(
            f"nll draws no samples, so {', '.join(sorted(meant))} cannot apply to it: "
            "remove them (nll takes every, at_start, at_end, limit, seed)"
        )
    return value
