"""A filter of system calls: what no contest program needs and every way out begins with.

Namespaces hide; the filter removes. It refuses sockets of every family but AF_UNIX (AF_VSOCK and
some others know no network namespace), new namespaces and mounts, tracing, key rings, io_uring
(which would pass sockets by), and memory that no limit counts (System V segments, memfd).
Numbers: linux/arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h;
program format: linux/filter.h and linux/seccomp.h.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct

__all__ = ["filter_program"]

# name: (x86_64, aarch64); None where the architecture lacks the call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "semget": (64, 190),
    "setns": (308, 268),
    "shmget": (29, 194),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_SOCKET = (41, 198)
_SOCKETPAIR = (53, 199)
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_NAMESPACES = 0x7E020000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_X32_BIT = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_FIRST_ARGUMENT = 0, 4, 16  # low half: both are little-endian
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def filter_program(machine: str | None = None) -> bytes | None:
    """The compiled filter for `machine` (this one), None for an architecture without a table."""
    known = _ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    column, audit_arch = known
    code = [
        _op(_LOAD, _OFFSET_ARCH),
        _op(_EQUAL, audit_arch, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _OFFSET_NUMBER),
    ]
    if column == 0:
        code += [_op(_AT_LEAST, _X32_BIT, 0, 1), _refusal(errno.ENOSYS)]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            code += [_op(_EQUAL, number, 0, 1), _refusal(errno.EPERM)]
    # glibc falls back from clone3, whose flags lie in memory that a filter cannot read, to clone.
    code += [_op(_EQUAL, _CLONE3[column], 0, 1), _refusal(errno.ENOSYS)]
    code += [
        _op(_EQUAL, _CLONE[column], 0, 4),
        _op(_LOAD, _OFFSET_FIRST_ARGUMENT),
        _op(_ANY_BIT, _NAMESPACES, 0, 1),
        _refusal(errno.EPERM),
        _op(_RETURN, _ALLOW),
    ]
    code += [
        _op(_EQUAL, _SOCKET[column], 1, 0),
        _op(_EQUAL, _SOCKETPAIR[column], 0, 3),
        _op(_LOAD, _OFFSET_FIRST_ARGUMENT),
        _op(_EQUAL, socket.AF_UNIX, 1, 0),
        _refusal(errno.EAFNOSUPPORT),
        _op(_RETURN, _ALLOW),
    ]
    return b"".join(code)


def _op(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter`."""
    return struct.pack("<HBBI", code, if_true, if_false, operand)


def _refusal(number: int) -> bytes:
    return _op(_RETURN, _ERROR | number)
