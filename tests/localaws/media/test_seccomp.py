from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.media import seccomp
from localaws.media.seccomp import AARCH64, X86_64, Architecture

MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}
KERNEL_HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def decide(program: bytes, *, audit: int, number: int, argument: int = 0) -> int:
    """Run a classic BPF program as the kernel does, on the instructions that ours may hold."""
    data = struct.pack("=IIQQ", number, audit, 0, argument)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        operation, when_true, when_false, constant = code[at]
        at += 1
        if operation == seccomp.LOAD_WORD:
            (accumulator,) = struct.unpack_from("=I", data, constant)
        elif operation == seccomp.RETURN:
            return constant
        else:
            holds = {
                seccomp.JUMP_EQUAL: accumulator == constant,
                seccomp.JUMP_AT_LEAST: accumulator >= constant,
                seccomp.JUMP_SET: bool(accumulator & constant),
            }[operation]
            at += when_true if holds else when_false


def assembled(machine: str) -> tuple[bytes, Architecture]:
    program = seccomp.program(machine)
    assert program is not None
    return program, MACHINES[machine]


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_the_kernels_own(machine: str) -> None:
    header = KERNEL_HEADERS[machine]
    if not header.exists():
        pytest.skip(f"no kernel header {header.name} to compare with")
    kernel = {
        name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    }
    known = {name: number for name, number in MACHINES[machine].denied.items() if name in kernel}
    assert known == {name: kernel[name] for name in known}
    assert len(known) > 40
    assert (kernel["clone"], kernel["clone3"]) == (MACHINES[machine].clone, MACHINES[machine].clone3)


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 600))
def test_denied_calls_fail_and_others_pass(machine: str, number: int) -> None:
    program, architecture = assembled(machine)
    if number in (architecture.clone, architecture.clone3):
        return
    denied = number in architecture.denied.values()
    expected = seccomp.ERRNO | errno.EPERM if denied else seccomp.ALLOW
    assert decide(program, audit=architecture.audit, number=number) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_may_be_made_and_processes_not(machine: str) -> None:
    program, architecture = assembled(machine)
    audit = architecture.audit
    musl_thread = 0x7D0F00
    assert decide(program, audit=audit, number=architecture.clone, argument=musl_thread) == seccomp.ALLOW
    fork = 0x11  # SIGCHLD
    denied = seccomp.ERRNO | errno.EPERM
    assert decide(program, audit=audit, number=architecture.clone, argument=fork) == denied
    assert decide(program, audit=audit, number=architecture.clone3) == seccomp.ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine: str) -> None:
    program, architecture = assembled(machine)
    i386 = 0x40000003
    assert decide(program, audit=i386, number=1) == seccomp.KILL_PROCESS
    if machine == "x86_64":
        assert decide(program, audit=architecture.audit, number=seccomp.X32_BIT | 41) == seccomp.KILL_PROCESS


def test_machine_without_numbers_has_no_filter() -> None:
    assert seccomp.program("riscv64") is None
