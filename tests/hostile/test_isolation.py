"""Programs that look for the host: its files, its environment, its processes, its network."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from openthoughts_cli.evals.sandbox import Sandbox
from tests.hostile.conftest import SHORT, Run

_REPOSITORY = Path(__file__).parents[2]


_HOST_PATHS = [
    *("/etc/passwd", "/etc/shadow", "/etc/hostname", "/home", "/var", "/run", "/sys", "/mnt"),
    *("/bin/sh", "/usr/bin", "/usr/local", "/usr/share", "/boot", "/opt", "/srv"),
    *(str(_REPOSITORY), str(Path(__file__)), str(Path.home() / ".ssh")),
    str(Path.home() / ".bashrc"),
]


def test_host_paths_do_not_exist(run: Run) -> None:
    done = run(
        "import os, sys\n"
        f"for path in {_HOST_PATHS}:\n"
        "    if os.path.lexists(path) and not sys.executable.startswith(path + '/'): print(path)"
    )

    assert done.stdout == b""


def test_the_folders_above_the_interpreter_hold_nothing_else(run: Run) -> None:
    done = run(
        "import os, sys\n"
        "path = os.path.dirname(os.path.dirname(sys.executable))\n"
        "while path not in ('/', '/usr'):\n"
        "    print(len(os.listdir(path)))\n"
        "    path = os.path.dirname(path)"
    )

    counts = [int(line) for line in done.stdout.split()]
    assert all(count <= 2 for count in counts)  # bin and lib, or one folder on the way


def test_installed_packages_other_than_the_chosen_are_not_there(run: Run) -> None:
    done = run(
        "import importlib.util\n"
        "for name in ('numpy', 'pytest', 'pydantic', 'pip', 'openthoughts_cli'):\n"
        "    print(importlib.util.find_spec(name) is not None)"
    )

    assert done.stdout.split() == [b"True", b"False", b"False", b"False", b"False"]


def test_the_environment_holds_nothing_of_the_host(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OT_TEST_SECRET", "hidden-value-4711")

    done = sandbox.run(
        "import os, glob\n"
        "print(sorted(os.environ))\n"
        "for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: print(open(path, 'rb').read())\n"
        "    except PermissionError: pass",
        limits=SHORT,
    )

    assert done.stdout.splitlines()[0] == b"['OPENBLAS_NUM_THREADS']"
    for secret in (b"4711", b"OT_TEST", b"HOME", b"USER", str(_REPOSITORY).encode()):
        assert secret not in done.stdout


def test_no_descriptor_of_the_host_is_open(run: Run) -> None:
    done = run(
        "import os\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try: print(name, os.readlink('/proc/self/fd/' + name).split(':')[0])\n"
        "    except OSError: pass"
    )

    lines = sorted(done.stdout.decode().splitlines())
    assert lines[0].startswith("0 /memfd")
    assert lines[1:] == ["1 pipe", "2 pipe"]


def test_standard_input_cannot_be_changed(run: Run) -> None:
    done = run("import os\nos.write(os.open('/proc/self/fd/0', os.O_WRONLY), b'x')", stdin=b"abc")

    assert done.exit_code == 1
    assert b"PermissionError" in done.stderr


def test_other_processes_are_not_seen(run: Run) -> None:
    done = run("import os\nprint(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()))")

    assert done.stdout == b"[1, 2]\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/proc/1/mem', 'rb+').write(b'x')",
        "open('/proc/1/task/1/mem', 'rb+').write(b'x')",
        "open('/proc/self/../1/mem', 'rb+').write(b'x')",
        "os.kill(os.getppid(), 9); raise SystemExit(3 if os.getppid() else 4)",
        pytest.param(f"os.kill({os.getpid()}, 9)", id="kill-the-test-runner"),
        "os.readlink('/proc/1/root/../root') and open('/proc/1/root/etc/passwd')",
        "os.chroot('/tmp')",
        "os.setuid(0)",
        "os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))",
        "os.open('/dev/mem', os.O_RDONLY)",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))",
        "os.setpriority(os.PRIO_PROCESS, 0, -10)",
        "__import__('resource').setrlimit(__import__('resource').RLIMIT_AS, (2**40, 2**40))",
        "open('/proc/self/oom_score_adj', 'w').write('1')",
    ],
)
def test_privileged_steps_fail(run: Run, attempt: str) -> None:
    done = run(f"import os\n{attempt}\nprint('done')")

    assert b"done" not in done.stdout
    assert done.exit_code


def test_killing_everything_reaches_only_itself(run: Run) -> None:
    done = run(
        "import os, signal\n"
        "try: os.kill(-1, signal.SIGKILL)\n"
        "except OSError: pass\n"
        "os.kill(0, signal.SIGKILL)"
    )

    assert done.signal_name == "SIGKILL"  # and this test is still here


@pytest.mark.parametrize(
    "call",
    [
        ("unshare", "272, 0x10000000"),
        ("mount", "165, b'none', b'/tmp', b'tmpfs', 0, 0"),
        ("ptrace", "101, 16, 1, 0, 0"),
        ("process_vm_readv", "310, 1, 0, 0, 0, 0, 0"),
        ("bpf", "321, 0, 0, 0"),
        ("keyctl", "250, 0, -3"),
        ("perf_event_open", "298, 0, 0, -1, -1, 0"),
        ("clone with a namespace", "56, 0x10000011, 0, 0, 0, 0"),
        ("setns", "308, 0, 0"),
        ("userfaultfd", "323, 0"),
    ],
    ids=lambda call: call[0],
)
def test_system_calls_that_lead_out_are_refused(run: Run, call: tuple[str, str]) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    done = run(
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({call[1]}), ctypes.get_errno())"
    )

    assert done.stdout == b"-1 1\n"  # EPERM


@pytest.mark.parametrize(
    "family",
    ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_CAN", "AF_TIPC", "AF_ALG"],
)
def test_no_socket_of_a_network_can_be_made(run: Run, family: str) -> None:
    done = run(
        "import socket\n"
        "for kind in ('SOCK_STREAM', 'SOCK_DGRAM', 'SOCK_RAW', 'SOCK_SEQPACKET'):\n"
        f"    try: socket.socket(socket.{family}, getattr(socket, kind))\n"
        "    except OSError as error: print(error.errno)"
    )

    assert done.stdout.split() == [b"97"] * 4  # EAFNOSUPPORT


def test_an_abstract_socket_of_the_host_is_out_of_reach(run: Run) -> None:
    name = f"\0ot-hostile-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()

        done = run(f"import socket\nsocket.socket(socket.AF_UNIX).connect({name!r})")

    assert done.last_line.startswith("ConnectionRefusedError")


def test_sockets_between_its_own_processes_are_legal(run: Run) -> None:
    done = run(
        "import socket, os\n"
        "a, b = socket.socketpair()\n"
        "if os.fork() == 0:\n"
        "    a.sendall(b'hello'); os._exit(0)\n"
        "print(b.recv(5).decode())"
    )

    assert done.stdout == b"hello\n"


def test_symlinks_lead_nowhere(run: Run) -> None:
    done = run(
        "import os\n"
        "os.symlink('/etc/shadow', '/tmp/a')\n"
        "os.symlink('/proc/1/root/etc/passwd', '/tmp/b')\n"
        "os.symlink('/proc/1/cwd', '/tmp/c')\n"
        "for name in 'abc':\n"
        "    try: print(os.listdir('/tmp/c') if name == 'c' else open('/tmp/' + name).read())\n"
        "    except OSError as error: print(type(error).__name__)"
    )

    for line in done.stdout.decode().splitlines():
        assert line in {"FileNotFoundError", "PermissionError"} or line.startswith("['")
    assert b"root:" not in done.stdout


def test_one_program_leaves_nothing_for_the_next(run: Run) -> None:
    run("open('/tmp/left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')")

    done = run("import os\nprint(os.listdir('/tmp'), os.listdir('/dev/shm'))")

    assert done.stdout == b"[] []\n"


def test_programs_at_the_same_time_do_not_see_each_other(sandbox: Sandbox) -> None:
    seen: list[bytes] = []
    source = "import os, time\ntime.sleep(0.3)\nprint(sorted(n for n in os.listdir('/proc') if n.isdigit()))"

    def one() -> None:
        seen.append(sandbox.run(source, limits=SHORT).stdout)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [b"['1', '2']\n"] * 3
