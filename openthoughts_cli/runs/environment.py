"""What a result was made with: versions, platform, command line, names of settings."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import sys
from typing import Any

from openthoughts_cli.redaction import redact

__all__ = ["describe_environment"]

_PACKAGES = (
    "openthoughts-cli",
    "datasets",
    "numpy",
    "peft",
    "polars",
    "pyarrow",
    "tinker",
    "tokenizers",
    "torch",
    "transformers",
    "wandb",
)
_PREFIXES = ("OT_", "TINKER_", "HF_", "WANDB_", "CUDA_", "OMP_")


def describe_environment() -> dict[str, Any]:
    """Package versions, Python, platform, argv, and the NAMES of set variables (never a value)."""
    return {
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "argv": [redact(argument) for argument in sys.argv],
        "variables": sorted(name for name in os.environ if name.startswith(_PREFIXES)),
    }


@functools.cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
