"""What is measured, how often, and with how many samples."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any, Literal

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
    """How many problems (or held-out rows), chosen by `seed`. Unset: all, but of gpqa 50 and of
    livecodebench 30; a number above theirs takes all of them."""

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

    window: str | None = Field(default=None, examples=["2024-06-01..2025-01-31"])
    """livecodebench only: dates of contests, both included. Unset: 2024-06-01..2025-01-31."""

    release: Literal["v1", "v2", "v3", "v4", "v5", "v6"] | None = None
    """livecodebench only: the newest release to read. Unset: all that may hold the window."""

    unsafe_no_sandbox: bool = False
    """livecodebench only: run model-written code with your own rights; every result says so."""

    prompt: str | None = None
    """Read the prompt's template from this file, with `{problem}` where the question goes. Unset:
    the benchmark's own (`ot eval --show-prompt`)."""

    @field_validator("k", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("window")
    @classmethod
    def _two_dates(cls, value: str | None) -> str | None:
        if value is not None:
            first, separator, last = value.partition("..")
            if not separator or datetime.date.fromisoformat(first) > datetime.date.fromisoformat(
                last
            ):
                raise ValueError(f"{value!r} is not FIRST..LAST, such as 2024-06-01..2025-01-31")
        return value

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


_CODE_FIELDS = frozenset({"window", "release", "unsafe_no_sandbox"})
_WITHOUT_CODE = frozenset({"aime25", "arithmetic", "gpqa", NLL})
_SAMPLING_FIELDS = frozenset({"n", "k", "temperature", "top_p", "max_tokens"})


def check_benchmarks(value: dict[str, BenchmarkConfig]) -> dict[str, BenchmarkConfig]:
    """Refuse sampling settings on `nll`, which draws no samples, and LiveCodeBench's elsewhere.

    Raises:
        ValueError: naming the settings.
    """
    # A saved config restates the defaults; only another value shows that something was meant.
    if NLL in value and (meant := _meant(value[NLL], _SAMPLING_FIELDS)):
        raise ValueError(
            f"nll draws no samples, so {', '.join(meant)} cannot apply to it: "
            "remove them (nll takes every, at_start, at_end, limit, seed)"
        )
    for name in sorted(_WITHOUT_CODE & value.keys()):
        if meant := _meant(value[name], _CODE_FIELDS):
            raise ValueError(f"{', '.join(meant)}: livecodebench alone has it, not {name}")
    return value


def _meant(config: BenchmarkConfig, names: Iterable[str]) -> list[str]:
    """Which of the fields differ from their defaults, sorted."""
    fields = BenchmarkConfig.model_fields
    return [name for name in sorted(names) if getattr(config, name) != fields[name].default]
