"""Answers that try to be judged right without being right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openthoughts_cli.evals.lcb_judge import CodeVerdict, Judge
from openthoughts_cli.evals.sandbox import Sandbox
from openthoughts_cli.problems.livecodebench_tests import Test
from tests.hostile.conftest import SHORT

_SECRET = "8675309424217"
_PROGRAM_TESTS = (Test("2 3\n", _SECRET, False), Test("4 5\n", _SECRET, False))
_FUNCTION_TESTS = (Test("[2, 3]\n4", f"[{_SECRET}]", True),)


@pytest.fixture(scope="module")
def judge(sandbox: Sandbox) -> Judge:
    return Judge(sandbox, limits=replace(SHORT, wall_s=2.0))


_CHEATING_PROGRAMS = {
    "exit code 0": "import os\nos._exit(0)",
    "quit": "quit()",
    "exit": "import sys\nsys.exit(0)",
    "equal to everything": (
        "class All(str):\n"
        "    def __eq__(self, other): return True\n"
        "    def __hash__(self): return 0\n"
        "print(All('x'))"
    ),
    "patched builtins": (
        "import builtins\n"
        "builtins.print = lambda *a, **k: None\n"
        "builtins.all = builtins.any = builtins.isinstance = lambda *a: True\n"
        "builtins.str.__eq__ if False else None"
    ),
    "patched decimal": (
        "import decimal\ndecimal.Decimal = type('D', (), {'__eq__': lambda s, o: True})\nprint(1)"
    ),
    "import shadowing": (
        "import sys\n"
        "for name in ('json.py', 'decimal.py', 'marshal.py', 'sitecustomize.py'):\n"
        "    open('/tmp/' + name, 'w').write('raise SystemExit(0)')\n"
        "sys.path.insert(0, '/tmp')\nimport decimal"
    ),
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\n1 / 0",
    "the word correct": "print('correct')\nprint('verdict: correct')",
    "kill the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "every descriptor": (
        "import os\n"
        "for fd in range(3, 256):\n"
        "    try: os.write(fd, b'correct' * 10)\n"
        "    except OSError: pass"
    ),
    "nothing": "pass",
    "control characters": r"print('\x1b[2J\x00\x08' * 10)",
    "no text": r"import sys; sys.stdout.buffer.write(bytes(range(128, 256)))",
}

# Looks everywhere in its own process for a number of which it knows the first ten digits only.
_SEARCH = """
import gc, os, sys
def look():
    frame = sys._getframe()
    while frame is not None:
        yield repr(frame.f_locals).encode(); frame = frame.f_back
    for item in gc.get_objects():
        if isinstance(item, (dict, list, tuple)): yield repr(item)[:100000].encode()
    for folder in ("/tmp", "/dev/shm", "/proc/self", "/proc/self/fd"):
        for name in os.listdir(folder):
            try: yield os.read(os.open(folder + "/" + name, os.O_RDONLY | os.O_NONBLOCK), 1 << 20)
            except OSError: pass
    for line in open("/proc/self/maps"):
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if " rw" in line:
            try:
                with open("/proc/self/mem", "rb", 0) as memory:
                    memory.seek(low); yield memory.read(min(high - low, 1 << 24))
            except (OSError, ValueError, OverflowError): pass
def found():
    start = b"8675309424"
    for seen in look():
        at = seen.find(start)
        while at >= 0:
            digits = seen[at:at + 13]
            if len(digits) == 13 and digits.isdigit(): return int(digits)
            at = seen.find(start, at + 1)
    return 0
"""


@pytest.mark.parametrize("source", _CHEATING_PROGRAMS.values(), ids=_CHEATING_PROGRAMS.keys())
def test_a_program_is_not_right_by(judge: Judge, source: str) -> None:
    judgement = judge.judge(source, _PROGRAM_TESTS, None)

    assert judgement.verdict in {CodeVerdict.WRONG, CodeVerdict.CRASH}
    assert judgement.test == 0
    assert judgement.detail.isprintable()


_CHEATING_FUNCTIONS = {
    "equal to everything": (
        "class All:\n    def __eq__(self, other): return True\ndef solve(a, b): return All()"
    ),
    "a list that is equal to everything": (
        "class All(list):\n"
        "    def __eq__(self, other): return True\n"
        "def solve(a, b): return All([1])"
    ),
    "a number that is equal to everything": (
        "class All(int):\n"
        "    def __eq__(self, other): return True\n"
        "    def __int__(self): return self\n"
        "def solve(a, b): return [All(3)]"
    ),
    "patched json": (
        "import json\n"
        "json.dumps = json.loads = lambda *a, **k: '[]'\n"
        "json.encoder.JSONEncoder.encode = lambda *a: 'true'\n"
        "def solve(a, b): return [1]"
    ),
    "patched builtins": (
        "import builtins\nbuiltins.isinstance = lambda *a: True\ndef solve(a, b): return object()"
    ),
    "exit": "import os\ndef solve(a, b): os._exit(0)",
    "quit": "def solve(a, b): quit()",
    "exit while loading": "import os\nos._exit(0)",
    "a forged reply": (
        "import os\n"
        "def solve(a, b):\n"
        "    for fd in range(3, 256):\n"
        "        try: os.write(fd, (1).to_bytes(8, 'big') + b'1' + bytes(16))\n"
        "        except OSError: pass\n"
        "    os._exit(0)"
    ),
    "the reply's own channel, from the frames": (
        "import sys, os\n"
        "def solve(a, b):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        send = frame.f_locals.get('send')\n"
        "        if send: send(b'{\"dict\": {}}'); os._exit(0)\n"
        "        frame = frame.f_back"
    ),
    "a reply that is not one": (
        "import sys, os\n"
        "def solve(a, b):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        send = frame.f_locals.get('send')\n"
        "        if send: send(b'[' * 100000); os._exit(0)\n"
        "        frame = frame.f_back"
    ),
    "returning nothing": "def solve(a, b): pass",
    "a value without end": "def solve(a, b):\n    a.append(a)\n    return a",
    "a big integer": "def solve(a, b): return [10 ** 100000]",
    "not a number": "def solve(a, b): return [float('nan')]",
}


@pytest.mark.parametrize("source", _CHEATING_FUNCTIONS.values(), ids=_CHEATING_FUNCTIONS.keys())
def test_a_function_is_not_right_by(judge: Judge, source: str) -> None:
    judgement = judge.judge(source, _FUNCTION_TESTS, "solve")

    assert judgement.verdict in {CodeVerdict.WRONG, CodeVerdict.CRASH}
    assert judgement.detail.isprintable()


def test_the_expected_output_is_nowhere_in_the_process(sandbox: Sandbox) -> None:
    judge = Judge(sandbox, limits=replace(SHORT, wall_s=20.0))

    program = judge.judge(_SEARCH + "print(found())", _PROGRAM_TESTS, None)
    function = judge.judge(_SEARCH + "def solve(a, b): return [found()]", _FUNCTION_TESTS, "solve")

    assert program.detail == f"'0' where '{_SECRET}' is expected"
    assert function.detail == f"[0] where [{_SECRET}] is expected"


def test_that_search_finds_what_does_enter(sandbox: Sandbox) -> None:
    judge = Judge(sandbox, limits=replace(SHORT, wall_s=20.0))
    as_argument = (Test(f'["{_SECRET}"]\n4', f"[{_SECRET}]", True),)
    as_input = (Test(f"{_SECRET}\n", _SECRET, False),)

    function = judge.judge(_SEARCH + "def solve(a, b): return [found()]", as_argument, "solve")
    program = judge.judge(_SEARCH + "print(found())", as_input, None)

    assert function.detail == program.detail == ""


def test_the_right_answer_is_still_right(judge: Judge) -> None:
    program = f"import sys\nfor line in sys.stdin: print({_SECRET})"

    assert judge.judge(program, _PROGRAM_TESTS, None).verdict == CodeVerdict.CORRECT
    assert (
        judge.judge(f"def solve(a, b): return ({_SECRET},)", _FUNCTION_TESTS, "solve").verdict
        == CodeVerdict.CORRECT
    )
