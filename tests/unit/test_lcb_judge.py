"""Programs judged on their tests, in the sandbox where there is one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.errors import SandboxError
from openthoughts_cli.evals.lcb_judge import LCB_LIMITS, CodeVerdict, Judge
from openthoughts_cli.evals.livecodebench import LiveCodeBench
from openthoughts_cli.evals.sandbox import Sandbox, Slots
from openthoughts_cli.problems.livecodebench_tests import Test

_LIMITS = replace(LCB_LIMITS, wall_s=5.0, startup_s=60.0)
_SUMS = tuple(Test(f"{i} {i + 1}\n", f"{2 * i + 1}\n", False) for i in range(6))
_CALLS = tuple(Test(f"[{i}, 2]\n3", f"{i + 5}", True) for i in range(3))


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    chosen = Sandbox()
    if not chosen.probe().available:
        pytest.skip(f"no sandbox on this system: {chosen.probe().reason}")
    return chosen


@pytest.fixture(scope="module")
def judge(sandbox: Sandbox) -> Judge:
    return Judge(sandbox, limits=_LIMITS)


@pytest.mark.parametrize(
    "source",
    [
        "a, b = map(int, input().split())\nprint(a + b)",
        "import sys\nfor line in sys.stdin: print(sum(map(int, line.split())))",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        "print(sum(map(int, open(0).read().split())))\nquit()",
        "print(f'{sum(map(int, input().split()))}.0')",
        "import os\nos.write(1, str(sum(map(int, input().split()))).encode())",
        "import sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, input().split())))",
        "n = 0\ndef add(x):\n    global n\n    n += x\nfor x in input().split(): add(int(x))\nprint(n)",
        "def main():\n    print(sum(map(int, input().split())))\nif __name__ == '__main__':\n    main()\nx = 1",
        "from __future__ import annotations\nprint(sum(map(int, input().split())))\nsys.exit(1)",
        "print(reduce(lambda a, b: a + b, map(int, stdin.read().split())))",
        "print(eval('gcd(0, sum(map(int, input().split())))'))",
        "class A:\n    total = sum\n    d = defaultdict(int)\nprint(A.total(map(int, input().split())))",
    ],
)
def test_right_programs_pass_however_they_read(judge: Judge, source: str) -> None:
    assert judge.judge(source, _SUMS, None).verdict == CodeVerdict.CORRECT


@pytest.mark.parametrize(
    "source",
    [
        "class Solution:\n    def f(self, a: List[int], b: int) -> int: return sum(a) + b",
        "class Solution:\n    def f(self, a, b): return self.g(a) + b\n    def g(self, a): return sum(a)",
        "def f(a, b): return sum(a) + b",
        "def f(a, b): return np.int64(sum(a) + b)",
        "@cache\ndef g(n): return n\ndef f(a, b):\n    print('debug', a)\n    return g(sum(a)) + b",
        "def f(a, b): return float(sum(a) + b)",
        "from __future__ import annotations\n@dataclass\nclass P: x: int\ndef f(a, b): return sum(a) + b".replace(
            "@dataclass", "from dataclasses import dataclass\n@dataclass"
        ),
        "def f(a, b):\n    return sum(a) + b\nif __name__ == '__main__': raise SystemExit",
    ],
)
def test_right_functions_pass(judge: Judge, source: str) -> None:
    assert judge.judge(source, _CALLS, "f").verdict == CodeVerdict.CORRECT


def test_a_tuple_at_the_top_is_a_list_and_a_tuple_inside_is_not(judge: Judge) -> None:
    pair = (Test("1", "[1, 2]", True),)
    nested = (Test("1", "[[1, 2]]", True),)

    assert judge.judge("def f(a): return (1, 2)", pair, "f").verdict == CodeVerdict.CORRECT
    assert judge.judge("def f(a): return [(1, 2)]", nested, "f").verdict == CodeVerdict.WRONG


@pytest.mark.parametrize(
    ("source", "verdict", "detail"),
    [
        ("print(1)", CodeVerdict.WRONG, "'1' where '3' is expected"),
        ("if input()[0] == '3': 1 / 0\nprint(1)", CodeVerdict.WRONG, "'1' where '3' is expected"),
        ("1 / 0", CodeVerdict.CRASH, "ZeroDivisionError: division by zero"),
        ("def f(:", CodeVerdict.CRASH, "SyntaxError: invalid syntax"),
        ("print(chr(0) + 'x')\x00", CodeVerdict.CRASH, "null bytes"),
        ("x = bytearray(4 << 30)", CodeVerdict.MEMORY, "2,048 MiB"),
        ("while True: print('x' * 99999)", CodeVerdict.OUTPUT, "16 MiB"),
        ("import ctypes; ctypes.string_at(0)", CodeVerdict.CRASH, "SIGSEGV"),
    ],
)
def test_failures_say_why(judge: Judge, source: str, verdict: str, detail: str) -> None:
    judgement = judge.judge(source, _SUMS, None)

    assert judgement.verdict == verdict
    assert detail in judgement.detail


def test_a_program_that_never_ends_is_a_timeout(sandbox: Sandbox) -> None:
    judge = Judge(sandbox, limits=replace(_LIMITS, wall_s=0.5))

    judgement = judge.judge("while True: pass", _SUMS, None)

    assert (judgement.verdict, judgement.test) == (CodeVerdict.TIMEOUT, 0)
    assert judgement.detail == "still running after 0.5 s"


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_the_first_failing_test_in_order_is_named_whatever_ends_first(
    sandbox: Sandbox, slots: int
) -> None:
    judge = Judge(sandbox, limits=_LIMITS, slots=Slots(slots))
    slow_then_wrong = (
        "import time\n"
        "a, b = map(int, input().split())\n"
        "if a == 2: time.sleep(0.5)\n"
        "print(a + b if a < 2 else 'no')"
    )

    judgement = judge.judge(slow_then_wrong, _SUMS, None)

    assert (judgement.verdict, judgement.test) == (CodeVerdict.WRONG, 2)
    assert judge.slots.try_take()  # the slots come back


def test_each_test_runs_in_a_fresh_process(judge: Judge) -> None:
    counting = (
        "import os\n"
        "n = len(os.listdir('/tmp'))\n"
        "open('/tmp/seen', 'w').close()\n"
        "print(sum(map(int, input().split())) if n == 0 else 'seen')"
    )

    assert judge.judge(counting, _SUMS, None).verdict == CodeVerdict.CORRECT


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "question_content": "Add two numbers.",
        "starter_code": "",
        "public_test_cases": json.dumps([{"input": "1 2", "output": "3", "testtype": "stdin"}]),
        "private_test_cases": json.dumps([{"input": "4 5", "output": "9", "testtype": "stdin"}]),
        "metadata": "{}",
        "difficulty": "easy",
        "platform": "atcoder",
        "question_id": "a",
        "contest_date": "2024-07-01",
    } | changes


def test_grades_carry_the_program_the_verdict_and_the_test(sandbox: Sandbox) -> None:
    benchmark = LiveCodeBench()
    problem = benchmark.read(_row(), "row")

    right = benchmark.grade(
        problem, "<think>\n</think>```python\nprint(sum(map(int, input().split())))\n```"
    )
    wrong = benchmark.grade(problem, "```\nprint(3)\n```")
    none = benchmark.grade(problem, "The answer is 3.")
    endless = benchmark.grade(problem, "<think>```python\nprint(3)\n```")

    assert (right.correct, right.verdict, right.diagnosis) == (True, "correct", "passed 2 tests")
    assert (wrong.correct, wrong.verdict, wrong.parsed) == (False, "wrong", "print(3)")
    assert wrong.diagnosis == "test 2 of 2 (private): '3' where '9' is expected"
    assert (none.correct, none.verdict, none.parsed) == (False, "no-answer", None)
    assert (endless.verdict, endless.diagnosis) == ("no-answer", "the thinking never ends")


def test_without_a_sandbox_nothing_is_graded_or_spent(tmp_path: Any) -> None:
    class Nowhere(LiveCodeBench):
        @property
        def judge(self) -> Judge:
            return Judge(Sandbox(candidates=[]))

    benchmark = Nowhere()
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_row()), encoding="utf-8")

    grade = benchmark.grade(benchmark.read(_row(), "row"), "```\nprint(3)\n```")

    assert (grade.correct, grade.verdict) == (None, "not-graded")
    assert "no sandbox on this system" in grade.diagnosis
    with pytest.raises(SandboxError):
        benchmark.check(BenchmarkConfig(data=str(path)))


def test_a_result_without_isolation_says_so() -> None:
    benchmark = LiveCodeBench()
    settings = BenchmarkConfig(unsafe_no_sandbox=True)

    record = benchmark.describe(settings)
    grade = benchmark.grade(
        benchmark.read(_row(), "row"), "```\nprint(sum(map(int, input().split())))\n```"
    )

    assert record["sandbox"]["unsafe"] is True
    assert record["sandbox"]["isolation"] == "none"
    assert record["window"] == "2024-06-01..2025-01-31"
    assert grade.diagnosis == "passed 2 tests (no sandbox)"
