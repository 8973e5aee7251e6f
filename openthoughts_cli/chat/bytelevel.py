"""GPT-2's byte-level alphabet: each byte as one visible character, as tokenizer.json spells it."""

from __future__ import annotations

import functools

__all__ = ["byte_level", "byte_symbols"]


@functools.cache
def byte_symbols() -> tuple[str, ...]:
    """The character that stands for each of the 256 bytes.

    Source: Radford et al. 2019 (GPT-2). Printable Latin-1 stands for itself; the others take the
    characters from U+0100 on, in order.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return tuple(chr(b) if b in visible else chr(next(hidden)) for b in range(256))


def byte_level(
    *, add_prefix_space: bool, trim_offsets: bool, use_regex: bool
) -> dict[str, str | bool]:
    """The ByteLevel step of a tokenizer.json (pre-tokenizer, post-processor or decoder)."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": trim_offsets,
        "use_regex": use_regex,
    }
