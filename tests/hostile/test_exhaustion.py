"""Programs that try to use up time, memory, disk, processes or the reader's patience."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hostile.conftest import SHORT, Run

_BRIEF = replace(SHORT, wall_s=0.7)
_MIB = 1024 * 1024


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import time\ntime.sleep(1000)",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
        "import atexit, time\natexit.register(time.sleep, 1000)",
        "10 ** 10 ** 10",
        "'a' * 100 == __import__('re').match('(a+)+$', 'a' * 60 + 'b')",
        "input()\nimport os\nos.kill(os.getpid(), __import__('signal').SIGSTOP)",
    ],
    ids=["loop", "sleep", "masked", "thread", "atexit", "power", "regex", "stop"],
)
def test_what_never_ends_is_ended(run: Run, source: str) -> None:
    done = run(source, stdin=b"x\n", limits=_BRIEF)

    assert done.timed_out
    assert done.exit_code is None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_is_cut_off_at_the_limit(run: Run, stream: str) -> None:
    done = run(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)")

    assert done.output_truncated
    assert len(done.stdout) + len(done.stderr) == SHORT.output_bytes


def test_both_streams_may_be_flooded_at_once(run: Run) -> None:
    done = run(
        "import os, threading\n"
        "def pour(to):\n"
        "    while True: os.write(to, b'y' * 65536)\n"
        "for to in (1, 2): threading.Thread(target=pour, args=(to,)).start()"
    )

    assert done.output_truncated
    assert max(len(done.stdout), len(done.stderr)) == SHORT.output_bytes


def test_a_line_of_a_hundred_megabytes_is_cut_off(run: Run) -> None:
    done = run("print('z' * 100_000_000)")

    assert done.output_truncated
    assert done.stdout == b"z" * SHORT.output_bytes


def test_more_memory_than_the_limit_is_an_error_of_the_program(run: Run) -> None:
    done = run("block = bytearray(3 * 2**30)\nprint('had it')")

    assert done.out_of_memory
    assert done.stdout == b""
    assert done.last_line.startswith("MemoryError")


def test_growing_step_by_step_ends_the_same_way(run: Run) -> None:
    limits = replace(SHORT, memory_bytes=200 * _MIB, wall_s=20.0)

    done = run("kept = []\nwhile True: kept.append(bytearray(2**20))", limits=limits)

    assert done.out_of_memory


def test_memory_of_many_processes_counts_together(run: Run) -> None:
    limits = replace(SHORT, memory_bytes=200 * _MIB, wall_s=20.0)

    done = run(
        "import os, time\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        kept = b'\\1' * (60 * 2**20)\n"
        "        time.sleep(60)\n"
        "time.sleep(60)",
        limits=limits,
    )

    assert done.out_of_memory
    assert not done.timed_out


def test_one_file_cannot_pass_its_limit(run: Run) -> None:
    done = run(
        "import signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with open('/tmp/big', 'wb') as file:\n"
        "    file.truncate(2**40)"
    )

    assert done.last_line.startswith("OSError: [Errno 27]")


def test_many_files_cannot_fill_the_disk(run: Run) -> None:
    limits = replace(SHORT, file_bytes=4 * _MIB)

    done = run(
        "import errno\n"
        "for folder in ('/tmp', '/dev/shm'):\n"
        "    written = 0\n"
        "    try:\n"
        "        for number in range(64):\n"
        "            with open(f'{folder}/{number}', 'wb', 0) as file:\n"
        "                written += file.write(b'x' * 2**20)\n"
        "    except OSError as error:\n"
        "        print(errno.errorcode[error.errno], written)",
        limits=limits,
    )

    assert done.stdout.split() == [b"ENOSPC", b"4194304", b"ENOSPC", b"4194304"]


@pytest.mark.parametrize(
    "folder", ["/", "/dev", "/usr/lib", "/packages", "/packages/numpy", "/etc"]
)
def test_nothing_else_can_be_written(run: Run, folder: str) -> None:
    done = run(f"open('{folder}/.ot-hostile', 'w')")

    assert done.exit_code == 1
    assert b"OSError: [Errno 30]" in done.stderr or b"PermissionError" in done.stderr


@pytest.mark.parametrize(
    "maker",
    [
        "os.memfd_create('hidden')",
        "ctypes.CDLL(None).shmget(0, 2**20, 0o1777)",
        "ctypes.CDLL(None).msgget(0, 0o1777)",
        "ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120))",
    ],
    ids=["memfd", "shmget", "msgget", "io_uring"],
)
def test_memory_that_no_limit_counts_is_refused(run: Run, maker: str) -> None:
    done = run(f"import ctypes, os\ngot = {maker}\nprint('refused' if got == -1 else got)")

    assert done.stdout == b"refused\n" or "PermissionError" in done.last_line


def test_a_fork_bomb_stays_under_the_number_of_processes(run: Run) -> None:
    done = run(
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    while made < 200:\n"
        "        if os.fork() == 0: time.sleep(60)\n"
        "        made += 1\n"
        "except BlockingIOError: print(made, flush=True)\n"
        "os._exit(0)"
    )

    assert 50 <= int(done.stdout) < SHORT.processes


def test_a_fork_bomb_by_posix_calls_stays_under_it_too(run: Run) -> None:
    done = run(
        "import os, sys\n"
        "made = 0\n"
        "try:\n"
        "    while made < 200:\n"
        "        os.posix_spawn(sys.executable, ['python', '-S', '-c', 'import time;time.sleep(60)'], {})\n"
        "        made += 1\n"
        "except BlockingIOError: print(made, flush=True)\n"
        "os._exit(0)",
        limits=replace(SHORT, wall_s=20.0),
    )

    assert 50 <= int(done.stdout) < SHORT.processes


def test_a_fork_bomb_that_never_stops_is_ended_with_all_its_children(run: Run) -> None:
    before = _processes_of_others()

    done = run(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", limits=_BRIEF
    )

    assert done.timed_out
    assert _soon(lambda: not (_processes_of_others() - before))


def test_a_daemon_that_holds_stdout_does_not_delay_the_end_and_does_not_survive(run: Run) -> None:
    before = _processes_of_others()
    done = run(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(3600)\n"
        "    os._exit(0)\n"
        "print('parent ends')",
        limits=replace(SHORT, wall_s=3600.0),  # waiting for the daemon would end this test
    )

    assert done.stdout == b"parent ends\n"
    assert done.exit_code == 0
    assert _soon(lambda: not (_processes_of_others() - before))


def test_too_many_threads_are_an_error_of_the_program(run: Run) -> None:
    done = run(
        "import threading, time, os\n"
        "made = 0\n"
        "try:\n"
        "    while True:\n"
        "        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "        made += 1\n"
        "except RuntimeError: print(made, flush=True)\n"
        "os._exit(0)"
    )

    assert 50 <= int(done.stdout) < SHORT.processes


def test_deep_recursion_ends_in_an_error(run: Run) -> None:
    done = run(
        "import sys\n"
        "sys.setrecursionlimit(50_000)\n"
        "def down(n): return down(n + 1)\n"
        "try: down(0)\n"
        "except RecursionError: print('recursion')"
    )

    assert done.stdout == b"recursion\n"


def test_a_segfault_is_told_by_its_name_and_leaves_no_core(run: Run) -> None:
    done = run("import ctypes\nctypes.string_at(0)")

    assert done.signal_name == "SIGSEGV"
    assert not done.timed_out


def test_huge_integers_meet_pythons_own_limit(run: Run) -> None:
    done = run("print(10 ** 5000)")

    assert done.last_line.startswith("ValueError: Exceeds the limit")


def test_bytes_that_are_no_text_come_back_as_they_are(run: Run) -> None:
    done = run("import os\nos.write(1, bytes(range(256)))")

    assert done.stdout == bytes(range(256))


def test_a_thread_with_a_big_stack_is_legal(run: Run) -> None:
    done = run(
        "import sys, threading\n"
        "sys.setrecursionlimit(1_000_000)\n"
        "threading.stack_size(128 * 1024 * 1024)\n"
        "def depth(n): return 0 if n == 0 else 1 + depth(n - 1)\n"
        "thread = threading.Thread(target=lambda: print(depth(100_000)))\n"
        "thread.start()\n"
        "thread.join()"
    )

    assert done.stdout == b"100000\n"


def test_a_deep_cached_recursion_is_legal(run: Run) -> None:
    done = run(
        "import functools, sys\n"
        "sys.setrecursionlimit(50_000)\n"
        "@functools.cache\n"
        "def depth(n): return 0 if n == 0 else 1 + depth(n - 1)\n"
        "print(depth(20_000))"
    )

    assert done.stdout == b"20000\n"


def test_numpy_is_legal(run: Run) -> None:
    done = run(
        "import numpy as np\nprint(int((np.ones((50, 50)) @ np.ones((50, 50))).sum()))",
        limits=replace(SHORT, wall_s=20.0),
    )

    assert done.stdout == b"125000\n"


def _processes_of_others() -> set[int]:
    """Processes of users that only sandboxes have, or (not root) of a descendant of this one."""
    found: set[int] = set()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                owner = place.stat().st_uid
                command = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if owner >= 0x40000000 or (os.geteuid() and b"n['enter'](j)" in command):
                found.add(int(place.name))
    return found


def _soon(condition: object, patience_s: float = 60.0) -> bool:
    """Whether the condition comes true; killed processes take a moment to go."""
    assert callable(condition)
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
