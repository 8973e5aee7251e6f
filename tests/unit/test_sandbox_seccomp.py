"""The system call filter, run by a small interpreter of its own program."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from openthoughts_cli.evals.sandbox.seccomp import filter_program

_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_X86, _ARM = 0xC000003E, 0xC00000B7


def _verdict(machine: str, arch: int, number: int, *arguments: int) -> int:
    """What the filter returns for a call, by the rules of classic BPF."""
    program = filter_program(machine)
    assert program is not None
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x06:
                return operand
            case _:
                holds = {
                    0x15: accumulator == operand,
                    0x35: accumulator >= operand,
                    0x45: bool(accumulator & operand),
                }[operation]
                at += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "arch", "numbers"),
    [
        ("x86_64", _X86, {"read": 0, "execve": 59, "fork": 57, "futex": 202, "setresuid": 117}),
        ("aarch64", _ARM, {"read": 63, "execve": 221, "futex": 98, "setresuid": 147}),
    ],
)
def test_ordinary_calls_pass(machine: str, arch: int, numbers: dict[str, int]) -> None:
    assert {_verdict(machine, arch, number) for number in numbers.values()} == {_ALLOW}


@pytest.mark.parametrize(
    ("machine", "arch", "number"),
    [
        *(("x86_64", _X86, number) for number in (101, 165, 272, 298, 308, 319, 321, 425)),
        *(("aarch64", _ARM, number) for number in (117, 40, 97, 241, 268, 279, 280, 425)),
    ],
)
def test_calls_that_lead_out_are_refused(machine: str, arch: int, number: int) -> None:
    assert _verdict(machine, arch, number) == _ERROR | errno.EPERM


@pytest.mark.parametrize(
    ("machine", "arch", "clone"), [("x86_64", _X86, 56), ("aarch64", _ARM, 220)]
)
def test_clone_makes_threads_but_no_namespaces(machine: str, arch: int, clone: int) -> None:
    thread = 0x3D0F00

    assert _verdict(machine, arch, clone, thread) == _ALLOW
    assert _verdict(machine, arch, clone, 17) == _ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert _verdict(machine, arch, clone, flag | 17) == _ERROR | errno.EPERM
    assert _verdict(machine, arch, 435) == _ERROR | errno.ENOSYS


@pytest.mark.parametrize(
    ("machine", "arch", "calls"), [("x86_64", _X86, (41, 53)), ("aarch64", _ARM, (198, 199))]
)
def test_only_unix_sockets_can_be_made(machine: str, arch: int, calls: tuple[int, int]) -> None:
    for call in calls:
        allowed = [f for f in range(64) if _verdict(machine, arch, call, f) == _ALLOW]
        assert allowed == [socket.AF_UNIX]


def test_a_call_of_another_architecture_ends_the_program() -> None:
    assert _verdict("x86_64", 0x40000003, 0) == _KILL
    assert _verdict("aarch64", _X86, 0) == _KILL


def test_the_x32_numbers_do_not_pass_the_filter_by() -> None:
    assert _verdict("x86_64", _X86, 0x40000000 | 101) == _ERROR | errno.ENOSYS


def test_an_architecture_without_a_table_has_no_filter() -> None:
    assert filter_program("riscv64") is None
