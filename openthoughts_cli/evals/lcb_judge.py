"""Runs a program on its tests, in order, until the first that fails; all must pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from openthoughts_cli.evals import lcb_inside
from openthoughts_cli.evals.lcb_code import prelude
from openthoughts_cli.evals.lcb_compare import (
    compare_outputs,
    compare_values,
    read_arguments,
    read_value,
)
from openthoughts_cli.evals.sandbox import (
    Driven,
    Execution,
    Limits,
    Sandbox,
    Slots,
    compiled,
    machine_slots,
)
from openthoughts_cli.problems.livecodebench_tests import Test

__all__ = ["LCB_LIMITS", "CodeVerdict", "Judge", "Judgement"]

LCB_LIMITS = Limits(wall_s=6.0)
"""The official 6 seconds a test; the rest is the sandbox's own."""


class CodeVerdict:
    """What may come of a program."""

    CORRECT: ClassVar[str] = "correct"
    WRONG: ClassVar[str] = "wrong"
    TIMEOUT: ClassVar[str] = "timeout"
    MEMORY: ClassVar[str] = "memory"
    OUTPUT: ClassVar[str] = "output-limit"
    CRASH: ClassVar[str] = "crash"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a program, and on which test it fell (from 0; None: all passed)."""

    verdict: str
    test: int | None = None
    detail: str = ""


class Judge:
    """Judges programs in a sandbox. Safe to use from threads.

    Args:
        sandbox: where programs run.
        limits: of one test.
        slots: shared by all who run programs, so that there are never more than cores.
    """

    def __init__(
        self, sandbox: Sandbox, *, limits: Limits = LCB_LIMITS, slots: Slots | None = None
    ) -> None:
        self.sandbox = sandbox
        self.limits = limits
        self.slots = slots or machine_slots()
        self._helpers = ThreadPoolExecutor(self.slots.count, thread_name_prefix="lcb-test")

    def judge(self, source: str, tests: Sequence[Test], function: str | None) -> Judgement:
        """Run `source` on `tests`, a fresh process each; stop at the first that fails.

        Idle slots are used to run later tests ahead, so that one answer alone uses all cores. The
        verdict is that of the first failing test in order, whatever ended first.

        Raises:
            SandboxError: a program cannot be run here (which says nothing about it).
        """
        stop = threading.Event()

        def one(index: int) -> Judgement | None:
            return self._one(source, tests[index], index, function, stop.is_set)

        ahead: dict[int, Future[Judgement | None]] = {}
        try:
            for index in range(len(tests)):
                started = ahead.pop(index, None)
                if started is None:
                    with self.slots:
                        self._look_ahead(one, ahead, index + 1, len(tests))
                        failure = one(index)
                else:
                    self._look_ahead(one, ahead, index + 1, len(tests))
                    failure = started.result()
                if failure is not None:
                    return failure
        finally:
            stop.set()
        return Judgement(CodeVerdict.CORRECT)

    def _look_ahead(
        self,
        one: Callable[[int], Judgement | None],
        ahead: dict[int, Future[Judgement | None]],
        first: int,
        end: int,
    ) -> None:
        """Start the next tests in as many slots as are idle right now."""

        def in_slot(index: int) -> Judgement | None:
            try:
                return one(index)
            finally:
                self.slots.give()

        for index in range(first, min(end, first + self.slots.count)):
            if index not in ahead:
                if not self.slots.try_take():
                    return
                ahead[index] = self._helpers.submit(in_slot, index)

    def _one(
        self,
        source: str,
        test: Test,
        index: int,
        function: str | None,
        cancelled: Callable[[], bool],
    ) -> Judgement | None:
        """None where the test passes."""
        called = function is not None
        payload = {
            "source": source,
            "prelude": prelude(),
            "function": function,
            "arguments": read_arguments(test.input) if called else [],
        }
        done = self.sandbox.run(
            Driven(compiled(lcb_inside.__name__), payload),
            stdin=b"" if called else test.input.encode(),
            limits=self.limits,
            cancelled=cancelled,
        )
        verdict, detail = _verdict_on(done, test, called=called, limits=self.limits)
        return None if verdict == CodeVerdict.CORRECT else Judgement(verdict, index, detail)


def _verdict_on(done: Execution, test: Test, *, called: bool, limits: Limits) -> tuple[str, str]:
    """The verdict and what to say of it. How a program ended matters only where it cannot count."""
    if done.timed_out:
        return CodeVerdict.TIMEOUT, f"still running after {limits.wall_s:g} s"
    if done.out_of_memory:
        return CodeVerdict.MEMORY, f"needs more than {limits.memory_bytes / 2**20:,.0f} MiB"
    if done.output_truncated:
        return CodeVerdict.OUTPUT, f"wrote more than {limits.output_bytes / 2**20:,.0f} MiB"
    if done.exit_code and (done.signal_name or done.crashed):
        return CodeVerdict.CRASH, done.signal_name or done.last_line
    if called:
        if done.reply is None:
            return CodeVerdict.CRASH, "ended without returning a value"
        difference = compare_values(done.reply, read_value(test.output))
    else:
        difference = compare_outputs(done.stdout.decode("utf-8", "replace"), test.output)
    return (CodeVerdict.WRONG, difference.text) if difference else (CodeVerdict.CORRECT, "")
