"""The tests in a LiveCodeBench row, read without ever running code from the data set.

Private tests are JSON, or base64 of zlib of a pickle of JSON text. A pickle is a program, and even
one that may import nothing can ask for sixty gigabytes; those of real rows hold one text. So the
pickle is never loaded: its opcodes are read, and any but those of a text are refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any, NamedTuple

from openthoughts_cli.errors import SchemaError
from openthoughts_cli.problems.text import MEND_ROW

__all__ = ["MAX_TESTS_BYTES", "Test", "decode_private", "read_tests"]

MAX_TESTS_BYTES = 512 * 1024 * 1024
_MAX_OPCODES = 100
_TEXT_OPCODES = frozenset({"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_OTHER_OPCODES = frozenset({"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"})


class Test(NamedTuple):
    """One test: the input, the expected output, and whether a function is called."""

    __test__ = False  # not one of pytest's

    input: str
    output: str
    functional: bool


def read_tests(raw: Any, where: str) -> tuple[Test, ...]:
    """The tests in a column that holds JSON text, encoded text, or a list already read.

    Raises:
        SchemaError: anything else, naming `where` (file:line and column).
    """
    if raw is None or raw == "":
        return ()
    items = _json_of(raw, where) if isinstance(raw, str) else raw
    if not isinstance(items, list):
        raise SchemaError(
            f"{where}: expected a list of tests, got {type(items).__name__}", hint=MEND_ROW
        )
    return tuple(_test(item, f"{where}: test {i}") for i, item in enumerate(items, start=1))


def decode_private(text: str, where: str, *, max_bytes: int = MAX_TESTS_BYTES) -> str:
    """The JSON text in base64 of zlib of a pickle.

    Raises:
        SchemaError: it is not that, it grows beyond `max_bytes`, or the pickle would do anything
            but hold one text.
    """
    try:
        packed = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SchemaError(
            f"{where}: the tests are neither JSON nor base64 text", hint=MEND_ROW
        ) from error
    inflater = zlib.decompressobj()
    try:
        pickled = inflater.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise SchemaError(
            f"{where}: the tests are not compressed by zlib: {error}", hint=MEND_ROW
        ) from error
    if len(pickled) > max_bytes:
        raise SchemaError(
            f"{where}: the tests grow beyond {max_bytes:,} bytes when they are decompressed",
            hint=MEND_ROW,
        )
    if not inflater.eof:
        raise SchemaError(f"{where}: the compressed tests are cut off", hint=MEND_ROW)
    return _text_in_pickle(pickled, where)


def _json_of(text: str, where: str) -> Any:
    if len(text) > MAX_TESTS_BYTES:
        raise SchemaError(
            f"{where}: the tests have {len(text):,} characters, and at most {MAX_TESTS_BYTES:,} "
            "are allowed",
            hint=MEND_ROW,
        )
    if not text.lstrip().startswith(("[", "{")):
        text = decode_private(text, where)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(
            f"{where}: the tests are not JSON: {str(error)[:200]}", hint=MEND_ROW
        ) from error


def _text_in_pickle(pickled: bytes, where: str) -> str:
    found: list[str] = []
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
            if opcode.name in _TEXT_OPCODES and isinstance(argument, str):
                found.append(argument)
            elif opcode.name not in _OTHER_OPCODES or count > _MAX_OPCODES:
                raise SchemaError(
                    f"{where}: the pickle holds {opcode.name}, and only a text is accepted",
                    hint="a pickle can run code; do not use this file",
                )
    except (ValueError, OverflowError) as error:  # genops: truncated, unknown opcode, bad text
        raise SchemaError(
            f"{where}: the tests are not a pickle: {str(error)[:200]}", hint=MEND_ROW
        ) from error
    if len(found) != 1:
        raise SchemaError(
            f"{where}: the pickle holds {len(found)} texts, and one is expected", hint=MEND_ROW
        )
    return found[0]


def _test(item: Any, where: str) -> Test:
    if not isinstance(item, dict):
        raise SchemaError(
            f"{where}: expected a JSON object, got {type(item).__name__}", hint=MEND_ROW
        )
    given, expected, kind = (item.get(key) for key in ("input", "output", "testtype"))
    if not isinstance(given, str) or not isinstance(expected, str):
        raise SchemaError(f"{where}: 'input' and 'output' must be text", hint=MEND_ROW)
    if kind not in ("stdin", "functional"):
        raise SchemaError(
            f"{where}: 'testtype' must be stdin or functional, got {str(kind)[:40]!r}",
            hint=MEND_ROW,
        )
    try:
        (given + expected).encode()
    except UnicodeEncodeError as error:
        raise SchemaError(
            f"{where}: 'input' or 'output' holds half of a surrogate pair, which is not text",
            hint=MEND_ROW,
        ) from error
    return Test(given, expected, kind == "functional")
