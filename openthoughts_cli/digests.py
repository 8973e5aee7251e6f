"""Identity: stable digests of values, text and files. Names are labels, digests are identity."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["digest_file", "digest_text", "digest_value", "sha256_file"]

_CHUNK_BYTES = 1 << 20


def digest_text(text: str) -> str:
    """BLAKE2b-128 of UTF-8 text (lone surrogates included), as 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def digest_value(value: Any) -> str:
    """Digest of a JSON-like value: keys sorted, no white space, so that equal values agree."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return digest_text(text)


def digest_file(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, as 32 hexadecimal digits."""
    return _hash_file(path, hashlib.blake2b(digest_size=16))


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    return _hash_file(path, hashlib.sha256())


def _hash_file(path: Path, state: Any) -> str:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
    return str(state.hexdigest())
