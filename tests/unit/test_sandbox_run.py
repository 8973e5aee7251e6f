"""The sandbox as its callers see it. Programs that mean harm are in tests/hostile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.errors import SandboxError
from openthoughts_cli.evals.sandbox import Driven, Limits, Python, Sandbox, Slots
from openthoughts_cli.evals.sandbox.bubblewrap import Bubblewrap, bubblewraps
from openthoughts_cli.evals.sandbox.handover import checked_paths, reply_in
from openthoughts_cli.evals.sandbox.isolation import Surroundings, fresh_uid
from openthoughts_cli.evals.sandbox.namespaces import OwnNamespaces
from openthoughts_cli.evals.sandbox.view import interpreter

_LIMITS = Limits(wall_s=10.0, startup_s=60.0)
_NONCE = bytes(range(16))


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    chosen = Sandbox()
    status = chosen.probe()
    if not status.available:
        pytest.skip(f"no sandbox on this system: {status.reason}")
    return chosen


@pytest.fixture(scope="module", params=["isolated", "unsafe"])
def any_sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "unsafe":
        return Sandbox(unsafe=True)
    return request.getfixturevalue("sandbox")


def test_python_reads_stdin_and_prints(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run("print(input()[::-1])", stdin=b"hello\n", limits=_LIMITS)

    assert (done.stdout, done.stderr, done.exit_code) == (b"olleh\n", b"", 0)
    assert not (done.timed_out or done.out_of_memory or done.output_truncated or done.cancelled)
    assert 0 < done.wall_s < _LIMITS.wall_s


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nprint(sum(map(int, sys.stdin)))",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        "print(sum(map(int, open(0).read().split())))",
        "print(sum(map(int, open('/dev/stdin').read().split())))",
        "import os\nprint(sum(map(int, os.read(0, 100).split())))",
        "def main():\n    print(int(input()) + int(input()))\nif __name__ == '__main__':\n    main()",
        "from __future__ import annotations\nprint(int(input()) + int(input()))\nquit()",
        "n = 0\ndef add():\n    global n\n    n += int(input())\nadd(); add(); print(n); exit()",
        "import pickle\nclass A: pass\npickle.loads(pickle.dumps(A()))\nprint(3)",
        "import sys\nsys.stdout.buffer.write(b'3\\n')",
        "import os\nos.write(1, b'3\\n')\nos._exit(0)",
        "import threading\nthreading.Thread(target=print, args=(3,)).start()",
        "import atexit\natexit.register(print, 3)",
        "from multiprocessing import Pool\nwith Pool(2) as p: print(sum(p.map(int, '12')))",
    ],
)
def test_every_usual_way_of_reading_and_writing_works(sandbox: Sandbox, source: str) -> None:
    assert sandbox.run(source, stdin=b"1\n2\n", limits=_LIMITS).stdout == b"3\n"


def test_a_crash_is_told_by_its_last_line(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run("def f(): return 1 / 0\nf()", limits=_LIMITS)

    assert done.exit_code == 1
    assert done.crashed
    assert done.last_line == "ZeroDivisionError: division by zero"


def test_exit_codes_come_back_and_are_no_crash(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run("import sys\nsys.exit(7)", limits=_LIMITS)

    assert done.exit_code == 7
    assert not done.crashed
    assert done.signal_name == ""


def test_control_characters_do_not_reach_a_diagnosis(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run("raise ValueError('\\x1b[31mred\\x07')", limits=_LIMITS)

    assert done.last_line.isprintable()
    assert "red" in done.last_line


def test_the_time_limit_does_not_count_the_start(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run("while True: pass", limits=Limits(wall_s=0.3, startup_s=60.0))

    assert done.timed_out
    assert done.exit_code is None
    assert done.wall_s >= 0.3


def test_a_prelude_shares_the_programs_namespace(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run(Python("print(gcd(4, 6))", prelude="from math import gcd"))

    assert done.stdout == b"2\n"


def test_a_command_runs_with_its_arguments(any_sandbox: Sandbox) -> None:
    done = any_sandbox.run(
        [interpreter(), "-S", "-c", "import sys; print(sys.argv[1:])", "a", "b c"]
    )

    assert done.stdout == b"['a', 'b c']\n"


def test_a_driver_replies_beside_the_programs_output(any_sandbox: Sandbox) -> None:
    driver = compile(
        "def main(payload, send):\n    print('noise')\n    send(payload['x'] * 2)\n", "d", "exec"
    )

    done = any_sandbox.run(Driven(driver, {"x": b"ab"}), limits=_LIMITS)

    assert done.reply == b"abab"
    assert done.stdout == b"noise\n"


def test_files_are_laid_into_the_working_directory(sandbox: Sandbox) -> None:
    done = sandbox.run(
        "print(open('deep/er/a.txt').read(), open('b').read())",
        files={"deep/er/a.txt": b"one", "b": b"two"},
    )

    assert done.stdout == b"one two\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "", "a\0b"])
def test_files_may_not_leave_the_working_directory(path: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        checked_paths({path: b""})


def test_hashes_are_the_same_in_every_run(sandbox: Sandbox) -> None:
    runs = {sandbox.run("print(hash('text'), list({'a', 'b', 'c'}))").stdout for _ in range(3)}

    assert len(runs) == 1


def test_a_program_can_be_called_off(any_sandbox: Sandbox) -> None:
    called_off = threading.Event()
    called_off.set()

    done = any_sandbox.run("while True: pass", limits=_LIMITS, cancelled=called_off.is_set)

    assert done.cancelled
    assert not done.timed_out


def test_a_sandbox_called_off_while_it_is_built_leaves_nothing(sandbox: Sandbox) -> None:
    """Its first process is not bound to its parent yet at that time."""
    for pause_ms in range(0, 24, 2):
        end = time.monotonic() + pause_ms / 1000
        sandbox.run("pass", limits=_LIMITS, cancelled=lambda end=end: time.monotonic() >= end)

    assert _left_behind() == []


def _left_behind() -> list[str]:
    """Processes named as the sandbox's, without a parent; asked until they had time to go."""
    path = os.fsencode(bubblewraps()[0].path)
    found: list[str] = []
    for _ in range(100):
        found = [
            place.parent.name
            for place in Path("/proc").glob("[0-9]*/cmdline")
            if _read(place).startswith(path + b"\0--args") and _parent(place.parent) == 1
        ]
        if not found:
            break
        time.sleep(0.05)
    return found


def _read(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:
        return b""


def _parent(process: Path) -> int:
    stat = _read(process / "stat")
    return int(stat[stat.rindex(b")") + 2 :].split()[1]) if stat else 0


def test_large_input_and_output_pass_through(any_sandbox: Sandbox) -> None:
    data = os.urandom(3_000_000)

    done = any_sandbox.run(
        "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())", stdin=data, limits=_LIMITS
    )

    assert done.stdout == data


def test_no_descriptor_is_left_open(any_sandbox: Sandbox) -> None:
    any_sandbox.run("pass")
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(3):
        any_sandbox.run("pass")
    with pytest.raises(ValueError, match="unmarshallable"):
        any_sandbox.run(Driven(compile("", "d", "exec"), {"x": object()}))

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_every_result_says_what_stood_around_it(sandbox: Sandbox) -> None:
    assert sandbox.run("pass").isolation.startswith("bubblewrap 0.")
    assert Sandbox(unsafe=True).run("pass").isolation == "none"
    assert Sandbox(unsafe=True).describe()["unsafe"] is True
    assert sandbox.describe()["packages"].keys() == {"numpy"}


def test_without_a_bubblewrap_nothing_runs_and_the_remedy_is_named() -> None:
    sandbox = Sandbox(candidates=[])

    assert not sandbox.probe().available
    with pytest.raises(SandboxError, match="no bubblewrap") as caught:
        sandbox.run("print('ran')")
    assert caught.value.hint is not None
    assert "--unsafe-no-sandbox" in caught.value.hint


def test_a_bubblewrap_that_cannot_isolate_is_not_used(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    cheat = tmp_path / "cheat"  # runs the program with nothing around it
    cheat.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    cheat.chmod(0o755)

    status = Sandbox(
        candidates=[
            Bubblewrap(str(broken), "9.9", "test"),
            Bubblewrap(str(cheat), "9.9", "test"),
            Bubblewrap(str(tmp_path / "missing"), "9.9", "test"),
        ]
    ).probe()

    assert not status.available
    assert "setting up uid map: Permission denied" in status.reason
    assert status.reason.count("bubblewrap 9.9 (test)") == 3  # the cheat's program was not alone
    assert "cannot be started" in status.reason


def test_a_second_bubblewrap_is_tried(sandbox: Sandbox, tmp_path: Path) -> None:
    missing = Bubblewrap(str(tmp_path / "missing"), "9.9", "test")

    assert Sandbox(candidates=[missing, *bubblewraps()]).probe().available


def test_namespaces_of_our_own_serve_where_no_bubblewrap_does(tmp_path: Path) -> None:
    missing = Bubblewrap(str(tmp_path / "missing"), "9.9", "test")
    own = OwnNamespaces()
    fallback = Sandbox(candidates=[missing, own])
    status = fallback.probe()
    if not status.available:
        pytest.skip(f"no namespaces on this system: {status.reason}")

    done = fallback.run(
        "import numpy, sys\nprint(int(numpy.array([1, 2]).sum()) + int(input()))",
        stdin=b"4\n",
        limits=_LIMITS,
    )

    assert done.stdout == b"7\n"
    assert done.isolation == fallback.describe()["isolation"] == "namespaces (built by ot)"


def test_namespaces_of_our_own_want_the_filter() -> None:
    around = Surroundings(_LIMITS, (), as_root=False, filter=None)

    with pytest.raises(SandboxError, match="system call filter"):
        OwnNamespaces().wrap(["python"], [], around, lambda descriptor: descriptor)


def test_what_cannot_be_mounted_is_said(tmp_path: Path) -> None:
    """The launcher's own failures reach the probe's reason."""

    class Broken(OwnNamespaces):
        def wrap(self, command: Any, inherited: Any, around: Any, kept: Any) -> Any:
            words, files = OwnNamespaces.wrap(self, command, inherited, around, kept)
            return ["/bin/sh", "-c", "echo 'mount /: no' >&2; exit 1", *words], files

    status = Sandbox(candidates=[Broken()]).probe()

    assert not status.available
    assert "mount /: no" in status.reason


@pytest.mark.parametrize("kind", ["bubblewrap", "namespaces"])
def test_nothing_outlives_a_killed_evaluation(sandbox: Sandbox, kind: str, tmp_path: Path) -> None:
    mark = f"left-{os.getpid()}-{kind}"
    code = (
        "from openthoughts_cli.evals.sandbox import Limits, Sandbox\n"
        "from openthoughts_cli.evals.sandbox.bubblewrap import bubblewraps\n"
        "from openthoughts_cli.evals.sandbox.namespaces import OwnNamespaces\n"
        "own = [OwnNamespaces()]\n"
        f"sandbox = Sandbox(candidates=own if {kind!r} == 'namespaces' else bubblewraps()[:1])\n"
        "sandbox.require(); print('ready', flush=True)\n"
        "sandbox.run([__import__('openthoughts_cli.evals.sandbox.view', fromlist=['x']).interpreter(),"
        f" '-S', '-c', 'import time; time.sleep(50)', {mark!r}], limits=Limits(wall_s=60))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    _until(lambda: bool(_marked(mark)))

    process.kill()
    process.wait()
    process.stdout.close()

    _until(lambda: not _marked(mark))


def _marked(mark: str) -> list[str]:
    places = Path("/proc").glob("[0-9]*/cmdline")
    return [place.parent.name for place in places if f"\0{mark}\0".encode() in _read(place)]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_root_leaves_for_a_user_that_nobody_has() -> None:
    uids = {fresh_uid() for _ in range(5)}

    if os.geteuid() == 0:
        assert len(uids) == 5
        assert all(uid is not None and uid >= 0x40000000 for uid in uids)
    else:
        assert uids == {None}


@pytest.mark.parametrize(
    ("channel", "reply"),
    [
        (_NONCE + (3).to_bytes(8, "big") + b"abc" + _NONCE, b"abc"),
        (_NONCE + (0).to_bytes(8, "big") + _NONCE, b""),
        (_NONCE, None),
        (b"", None),
        (_NONCE + (3).to_bytes(8, "big") + b"abc", None),
        (_NONCE + (4).to_bytes(8, "big") + b"abc" + _NONCE, None),
        (b"x" + _NONCE + (3).to_bytes(8, "big") + b"abc" + _NONCE, None),
        (_NONCE + (2**63).to_bytes(8, "big") + b"abc" + _NONCE, None),
    ],
)
def test_only_a_whole_reply_counts(channel: bytes, reply: bytes | None) -> None:
    assert reply_in(channel, _NONCE) == reply


def test_slots_are_taken_and_given_back() -> None:
    slots = Slots(2)

    with slots:
        assert slots.try_take()
        assert not slots.try_take()
        slots.give()
    assert slots.try_take()


def test_the_interpreter_is_a_real_file() -> None:
    assert Path(interpreter()).resolve() == Path(interpreter())
    assert os.access(interpreter(), os.X_OK)
