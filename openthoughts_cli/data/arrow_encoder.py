"""Token ids of Arrow text columns at hundreds of megabytes a second: the border to gigatoken.

gigatoken keeps every word that it has met, without bound: text of many new words grew a process
from 0.3 to 2.4 GB. It is therefore made anew when the process has grown by a cap since it was made.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["ArrowEncoder", "Encoded", "resident_bytes"]

_SMALL_BYTES = 2 << 20
"""Less text is handed over as a list of bytes: an awkward array costs a millisecond whatever it holds."""
_STATM = Path("/proc/self/statm")


class Encoded(NamedTuple):
    """The tokens of many texts: those of text i are `ids[offsets[i] : offsets[i + 1]]`."""

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each text has."""
        return np.diff(self.offsets)


class ArrowEncoder:
    """Encodes without special tokens of its own; those that a text spells out become tokens.

    Args:
        tokenizer_file: a tokenizer.json.
        parallel: use all cores; None means: not in a worker process.
        memory_cap_bytes: by how much the process may grow before the word cache is let go.

    Raises:
        ImportError: gigatoken is not installed.
        RuntimeError, ValueError: gigatoken does not know such a tokenizer.
    """

    def __init__(
        self, tokenizer_file: Path, *, parallel: bool | None, memory_cap_bytes: int
    ) -> None:
        import awkward
        import gigatoken

        self._awkward: Any = awkward
        self._make: Any = gigatoken.Tokenizer
        self._file = tokenizer_file
        self._parallel = parallel
        self._cap = memory_cap_bytes
        self.times_made = 0
        self._tokenizer: Any
        self._base: int
        self._refresh()
        vocabulary: dict[int, bytes] = self._tokenizer.vocab
        self.token_texts = [vocabulary.get(i, b"") for i in range(max(vocabulary, default=-1) + 1)]
        """The bytes of text that each token id stands for."""

    def encode(self, texts: Any) -> Encoded:
        """The ids of a `pyarrow.LargeStringArray` without nulls."""
        if resident_bytes() - self._base > self._cap:
            self._refresh()
        if texts.nbytes < _SMALL_BYTES:
            given = texts.cast(pa.large_binary()).to_pylist()
        else:
            given = self._awkward.from_arrow(texts)
        found = self._tokenizer.encode_batch(given, parallel=self._parallel)
        offsets = np.asarray(found.layout.offsets.data, dtype=np.int64)
        ids = np.asarray(found.layout.content.data)[offsets[0] : offsets[-1]]
        return Encoded(ids, offsets - offsets[0])

    def _refresh(self) -> None:
        self._tokenizer = None  # its memory is free before the next one takes any
        self._tokenizer = self._make(self._file)
        self._base = resident_bytes()
        self.times_made += 1


def resident_bytes() -> int:
    """Memory of this process now; where the system does not tell, the most it ever had."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()
