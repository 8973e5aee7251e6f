"""Where weights live and samples come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from openthoughts_cli.config.base import ConfigModel, label

__all__ = ["LOCAL_MODEL", "TINKER_MODEL", "EngineConfig"]

TINKER_MODEL = "Qwen/Qwen3-4B-Instruct-2507"
LOCAL_MODEL = "smollm2-135m"


class EngineConfig(ConfigModel):
    """Which engine, and how to reach or run it. `engine: local` is short for `engine.kind`."""

    kind: Literal["auto", "tinker", "local"] = "auto"
    """`tinker`: the Tinker service or a server that speaks its API. `local`: transformers and peft
    on this machine. `auto`: tinker when its credentials are configured, else local."""

    base_url: str | None = None
    """Address of a Tinker-compatible server. Unset: `$TINKER_BASE_URL`, else the service."""

    patience_minutes: float = label(120.0, gt=0)
    """Tinker: how long a server that answers nothing at all is waited for. The run then fails and
    can be resumed. A pause over billing or capacity is such a silence."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Local engine: where to compute. `auto`: the first GPU when there is one."""

    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Local engine: precision of the frozen base weights (adapters are always float32).
    `auto`: bfloat16 where the hardware multiplies it (a GPU, a CPU with AMX or AVX512-BF16), else
    float32."""

    micro_batch_tokens: int = Field(default=768, ge=1)
    """Local engine: most padded tokens that go through the model at once while training."""

    sample_batch_tokens: int = Field(default=32768, ge=1)
    """Local engine: most tokens (prompt and answer) that are generated side by side."""

    store: Path | None = label(None)
    """Local engine: the directory for checkpoints. Unset: inside the run's directory."""

    @field_validator("base_url")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        if value is not None and "@" in value.split("://", 1)[-1].split("/", 1)[0]:
            raise ValueError(
                "base_url holds a user or password, and it is written into every run's records: "
                "leave them out and set TINKER_API_KEY"
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value
