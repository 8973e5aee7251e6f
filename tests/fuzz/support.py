"""What the fuzz tests share: how often, what a command may do at worst, and how files are spoilt."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, settings

from openthoughts_cli.errors import OtError
from tests.tools.tally import SOAK, tally

__all__ = ["Said", "fuzz", "only_ot_errors", "run_ot", "scratch", "spoil", "spoil_json", "strange"]

CODES = {0, 1, 2, 3, 4, 130}


def fuzz(examples: int) -> Callable[[Any], Any]:
    """So many examples, always the same; with `OT_TEST_SOAK` that many times more, at random."""
    return settings(
        max_examples=examples * SOAK,
        derandomize=SOAK == 1,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SOAK > 1 else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@contextlib.contextmanager
def only_ot_errors(kind: str) -> Generator[None]:
    """The block may raise an `OtError` with a sentence, and nothing else."""
    tally(f"bad inputs: {kind}")
    try:
        yield
    except OtError as error:
        if not error.message.strip() or "Traceback" in error.message:
            raise AssertionError(f"no sentence for a person: {error.message!r}") from error


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def run_ot(kind: str, *arguments: object, cache: Path) -> Said:
    """Run the command line here; a bug, which leaves a crash file, fails the test with its text."""
    from openthoughts_cli.__main__ import main

    tally(f"bad inputs: {kind}")
    before = os.environ.get("OT_CACHE")
    os.environ["OT_CACHE"] = str(cache)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    finally:
        os.environ.pop("OT_CACHE")
        if before is not None:
            os.environ["OT_CACHE"] = before
    crashes = [file.read_text() for file in (cache / "crashes").glob("*")]
    shutil.rmtree(cache / "crashes", ignore_errors=True)  # of this call alone
    assert not crashes, f"ot {arguments}:\n{crashes[0]}"
    assert code in CODES, (arguments, code)
    assert "Traceback" not in err.getvalue()
    assert code == 0 or out.getvalue() or "error:" in err.getvalue(), arguments
    return Said(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def scratch(template: Path) -> Generator[Path]:
    """A copy of a directory, for one example."""
    place = template.with_name(f"{template.name}-{os.urandom(4).hex()}")
    shutil.copytree(template, place, symlinks=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
_STRANGE: tuple[Callable[[Random], Any], ...] = (
    lambda _: None,
    lambda _: True,
    lambda rng: rng.choice([0, -1, 2**31, 2**63, -(2**63), 10**30, 10**400]),
    lambda rng: rng.choice([0.0, -0.0, 1e308, -1e308, 1e-320, math.nan, math.inf, -math.inf]),
    lambda _: "",
    lambda rng: rng.choice(
        [SCRIPT, "../../x", "/etc/passwd", "a\0b", "\ud800", "١٢٣", "%s{0}", "[b]"]
    ),
    lambda _: "x" * 5_000,
    lambda rng: [strange(rng) for _ in range(rng.randrange(3))],
    lambda rng: {rng.choice(["a", "id", "step", SCRIPT]): strange(rng)},
    lambda _: {},
    lambda rng: rng.choice(["0", "1e5", "nan", "true", "null", "2026-13-45", "9" * 30]),
)


def strange(rng: Random) -> Any:
    """A JSON value that is seldom expected."""
    return rng.choice(_STRANGE)(rng)


def spoil_json(rng: Random, value: Any) -> Any:
    """The value with one part replaced, left out, doubled or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        changed = dict(value)
        how = rng.randrange(6)
        if how == 0:
            del changed[key]
        elif how == 1:
            changed[str(strange(rng))[:50]] = changed.pop(key)
        else:
            changed[key] = spoil_json(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        changed = list(value)
        how = rng.randrange(6)
        if how == 0:
            del changed[place]
        elif how == 1:
            changed.append(changed[place])
        else:
            changed[place] = spoil_json(rng, value[place])
        return changed
    return strange(rng)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with_structure(rng: Random, data: bytes) -> bytes:
    """One JSON value of a file spoilt, where it holds any."""
    lines = data.splitlines()
    try:
        return _json(spoil_json(rng, json.loads(data)))
    except (ValueError, RecursionError):
        pass
    if not lines:
        return _json(strange(rng))
    place = rng.randrange(len(lines))
    try:
        lines[place] = _json(spoil_json(rng, json.loads(lines[place])))
    except (ValueError, RecursionError):
        lines[place] = _json(strange(rng))
    return b"\n".join(lines) + b"\n"


def spoil(rng: Random, data: bytes) -> bytes:
    """A file as a crash, a bad disk, an editor or an enemy may leave it."""
    how = rng.randrange(10)
    place = rng.randrange(len(data) + 1)
    if how < 5:
        return _with_structure(rng, data)
    if how == 5:
        return data[:place]
    if how == 6:
        return data[:place] + rng.randbytes(rng.randrange(1, 40)) + data[place:]
    if how == 7:
        return data[:place] + rng.randbytes(rng.randrange(1, 40)) + data[place + 20 :]
    if how == 8:
        return rng.choice([b"", b"\0" * 100, b"[" * 50_000, b"\xff\xfe{", b"null", b"{}\n" * 3])
    return (
        data[:place]
        + b"\n"
        + rng.choice([b"[1]", b"{", b"9" * 5_000, b'{"a":'])
        + b"\n"
        + data[place:]
    )
