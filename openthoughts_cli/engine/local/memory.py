"""Running out of memory, said in words."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch

from openthoughts_cli.errors import EngineError

__all__ = ["memory_errors"]


@contextlib.contextmanager
def memory_errors() -> Generator[None]:
    """Turn torch's out-of-memory errors into one that names the settings to lower.

    Raises:
        EngineError: the memory of the machine or of its GPU did not suffice.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _too_little(error) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # the CPU allocator has no class of its own
            raise
        raise _too_little(error) from error


def _too_little(error: Exception) -> EngineError:
    return EngineError(
        f"out of memory: {str(error).splitlines()[0] if str(error) else 'allocation failed'}",
        hint="lower engine.micro_batch_tokens (training) or engine.sample_batch_tokens (sampling), "
        "or drop long rows with a lower token limit",
    )
