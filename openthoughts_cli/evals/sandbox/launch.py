# ruff: noqa: PTH102, PTH103, PTH106, PTH112, PTH120, PTH211 (pathlib takes 5 ms to import, for each program)
"""What builds namespaces around a program, in a process of its own. Trusted; never imported there.

Three processes: the launcher, which waits; the first process of the new pid namespace, which mounts
what the program may see, then waits for all that is left to it; and the program, without
capabilities and behind the system call filter. When the first process ends, the kernel ends all
others in its namespace. System calls and numbers: man pages of unshare(2), mount(2),
mount_setattr(2), pivot_root(2), capabilities(7), prctl(2), seccomp(2).
"""

from __future__ import annotations

import _signal  # pyright: ignore[reportMissingImports] - signal itself imports enum, 2 ms
import ctypes
import os
import struct

TYPE_CHECKING = False  # importing it from typing would take 10 ms a test
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["enter"]

_NEW_NS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC = 1, 2, 4, 8
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_ATTR_READ_ONLY, _ATTR_NO_SUID, _ATTR_NO_DEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE, _DETACH = -100, 0x8000, 2
_MOUNT_SETATTR = 442  # the same number on every architecture
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS, _CAPBSET_DROP = 1, 4, 38, 24
_SET_SECCOMP, _MODE_FILTER = 22, 2
_CAPS = (1 << 6) | (1 << 7)  # CAP_SETGID, CAP_SETUID
_NOBODY = 65534
_DEVICES = ("null", "zero", "full", "random", "urandom")
_ROOT = "/tmp"  # a folder that every system has; covered in our own namespace alone

_libc = ctypes.CDLL(None, use_errno=True)


def enter(plan: dict[str, Any]) -> NoReturn:
    """Build what `plan` says and become the launcher of its command.

    Keys: `steps` (see `view.host_steps`), `command`, `inherited` (descriptors), `file_bytes`,
    `ids` (uid and gid outside, None for root), `filter`, `parent` (the pid whose end is the end).
    """
    # A handler of Python's would let the program interrupt the first process.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    spaces = _NEW_NS | _NEW_UTS | _NEW_IPC | _NEW_PID | _NEW_NET
    if plan["ids"] is not None:
        _unshare(_NEW_USER)
        _map_ids(*plan["ids"])
    _unshare(spaces)
    if _libc.unshare(_NEW_CGROUP):  # kernels without cgroups
        ctypes.set_errno(0)
    _prctl(_SET_PDEATHSIG, 9)  # after the user namespace, whose making forgets it
    if os.getppid() != plan["parent"]:
        os._exit(1)
    first = os.fork()
    if first == 0:
        _as_first(plan)
    _close_all_but(())
    _, status = os.waitpid(first, 0)
    _exit_as(status)


def _as_first(plan: dict[str, Any]) -> NoReturn:
    """The first process of the namespace."""
    _prctl(_SET_PDEATHSIG, 9)
    _prctl(_SET_DUMPABLE, 0)
    _call(_libc.sethostname, b"sandbox", 7)
    _build(plan["steps"], plan["file_bytes"])
    program = os.fork()
    if program == 0:
        _as_program(plan)
    _close_all_but(())
    while True:  # also what the program left behind
        pid, status = os.wait()
        if pid == program:
            _exit_as(status)


def _as_program(plan: dict[str, Any]) -> NoReturn:
    os.setsid()
    _close_all_but((0, 1, 2, *plan["inherited"]))
    for number in range(64):  # more than there are; the last ones are refused
        if not (plan["ids"] is None and _CAPS >> number & 1):
            _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    _set_capabilities(_CAPS if plan["ids"] is None else 0)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    if plan["filter"] is not None:
        code = ctypes.create_string_buffer(plan["filter"], len(plan["filter"]))
        program = struct.pack("HxxxxxxQ", len(plan["filter"]) // 8, ctypes.addressof(code))
        _prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(program, len(program)))
    os.execve(plan["command"][0], plan["command"], {"PYTHONHASHSEED": "0"})


def _build(steps: list[tuple[str, str, str]], file_bytes: int) -> None:
    """Mount what the program sees, and make it all that there is."""
    _mount(None, "/", None, _REC | _PRIVATE)
    # Opened before anything is covered: they may lie in the folder that becomes the root.
    sources = {what: os.open(what, os.O_PATH) for kind, _, what in steps if kind == "bind"}
    _mount("tmpfs", _ROOT, "tmpfs", _NO_SUID | _NO_DEV, "mode=0755")
    for kind, where, what in steps:
        place = _ROOT + where
        if kind == "link":
            os.symlink(what, place)
        elif kind == "hide":
            _mount("tmpfs", place, "tmpfs", _NO_SUID | _NO_DEV | _READ_ONLY, "mode=0755")
        else:
            _bind(f"/proc/self/fd/{sources[what]}", place)
    os.mkdir(f"{_ROOT}/proc", 0o755)
    _mount("proc", f"{_ROOT}/proc", "proc", _NO_SUID | _NO_DEV | _NO_EXEC)
    # The first process has not the program's limits: nothing of it is to be read or written.
    _mount("tmpfs", f"{_ROOT}/proc/1", "tmpfs", _NO_SUID | _NO_DEV | _READ_ONLY)
    _set_attributes(f"{_ROOT}/proc", _ATTR_READ_ONLY, recursive=False)
    _make_devices(file_bytes)
    os.mkdir(f"{_ROOT}/tmp", 0o755)
    room = f"mode=1777,size={file_bytes}"
    _mount("tmpfs", f"{_ROOT}/tmp", "tmpfs", _NO_SUID | _NO_DEV, room)
    os.mkdir(f"{_ROOT}/old", 0o700)
    _call(_libc.syscall, _pivot_root(), _ROOT.encode(), f"{_ROOT}/old".encode())
    os.chdir("/")
    _call(_libc.umount2, b"/old", _DETACH)
    os.rmdir("/old")
    _set_attributes("/", _ATTR_READ_ONLY, recursive=False)
    os.chdir("/tmp")


def _make_devices(file_bytes: int) -> None:
    dev = f"{_ROOT}/dev"
    os.mkdir(dev, 0o755)
    _mount("tmpfs", dev, "tmpfs", _NO_SUID, "mode=0755")
    for name in _DEVICES:
        os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        _mount(f"/dev/{name}", f"{dev}/{name}", None, _BIND)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{dev}/{name}")
    os.symlink("/proc/self/fd", f"{dev}/fd")
    os.mkdir(f"{dev}/shm", 0o1777)
    room = f"mode=1777,size={file_bytes}"
    _mount("tmpfs", f"{dev}/shm", "tmpfs", _NO_SUID | _NO_DEV, room)
    _set_attributes(dev, _ATTR_READ_ONLY | _ATTR_NO_SUID, recursive=False)


def _bind(source: str, place: str) -> None:
    """The same file or folder at another place, it and what is mounted below it read-only."""
    if os.path.isdir(source):
        os.makedirs(place, 0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, place, None, _BIND | _REC)
    _set_attributes(place, _ATTR_READ_ONLY | _ATTR_NO_SUID | _ATTR_NO_DEV, recursive=True)


def _map_ids(uid: int, gid: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {uid} 1"),
        ("gid_map", f"{_NOBODY} {gid} 1"),
    ):
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, text.encode())
        os.close(file)


def _set_capabilities(mask: int) -> None:
    """These and no others: effective and permitted; none is inherited."""
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = struct.pack("6I", mask, mask, 0, 0, 0, 0)
    _call(_libc.capset, ctypes.create_string_buffer(header), ctypes.create_string_buffer(sets))


def _close_all_but(kept: tuple[int, ...]) -> None:
    low = 0
    for number in sorted(kept):
        if low < number:  # an empty range would be taken for all
            os.closerange(low, number)
        low = number + 1
    os.closerange(low, 65536)
    for number in kept:
        os.set_inheritable(number, True)


def _exit_as(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    os._exit(128 - code if code < 0 else code)


def _unshare(flags: int) -> None:
    _call(_libc.unshare, flags)


def _pivot_root() -> int:
    machine = os.uname().machine
    if machine not in _PIVOT_ROOT:
        raise OSError(f"no number is known for pivot_root on {machine}")
    return _PIVOT_ROOT[machine]


def _mount(source: str | None, place: str, kind: str | None, flags: int, data: str = "") -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, place, kind)]
    _call(_libc.mount, *words, ctypes.c_ulong(flags), data.encode() or None, about=place)


def _set_attributes(place: str, attributes: int, *, recursive: bool) -> None:
    wanted = ctypes.create_string_buffer(struct.pack("4Q", attributes, 0, 0, 0), 32)
    flags = _AT_RECURSIVE if recursive else 0
    size = ctypes.c_size_t(32)
    path = os.fsencode(place)
    _call(_libc.syscall, _MOUNT_SETATTR, _AT_FDCWD, path, flags, wanted, size, about=place)


def _prctl(*arguments: Any) -> None:
    _call(_libc.prctl, *arguments, *(0,) * (5 - len(arguments)))


def _call(function: Any, *arguments: Any, about: str = "") -> None:
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        os.write(2, os.fsencode(f"{function.__name__} {about}: {os.strerror(number)}\n"))
        os._exit(1)
