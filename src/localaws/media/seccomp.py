"""A seccomp filter for programs that decode untrusted media: no sockets, no new processes, no links, no kernel corners.

Never an allow list: ffmpeg's and the packager's own calls change with their versions; what they must not do does not.
Source: Linux seccomp(2), the classic BPF of linux/filter.h; numbers from asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass
from typing import Final

ALLOW: Final = 0x7FFF0000
KILL_PROCESS: Final = 0x80000000
ERRNO: Final = 0x00050000
CLONE_THREAD: Final = 0x00010000
X32_BIT: Final = 0x40000000

LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
JUMP_SET: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K

# Offsets in struct seccomp_data: nr, arch, instruction_pointer, args[6].
NUMBER_OFFSET: Final = 0
ARCHITECTURE_OFFSET: Final = 4
FIRST_ARGUMENT_OFFSET: Final = 16


@dataclass(frozen=True)
class Architecture:
    audit: int
    clone: int
    clone3: int
    denied: dict[str, int]


# Numbers that all architectures since 2019 share.
_SHARED = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip

X86_64: Final = Architecture(
    audit=0xC000003E,
    clone=56,
    clone3=435,
    denied={
        "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "bind": 49, "listen": 50, "socketpair": 53,
        "fork": 57, "vfork": 58, "ptrace": 101, "link": 86, "symlink": 88, "mknod": 133, "personality": 135,
        "pivot_root": 155, "chroot": 161, "acct": 163, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168,
        "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173,
        "init_module": 175, "delete_module": 176, "quotactl": 179, "add_key": 248, "request_key": 249, "keyctl": 250,
        "mknodat": 259, "linkat": 265, "symlinkat": 266, "unshare": 272, "accept4": 288, "perf_event_open": 298,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
        "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_load": 246, "kexec_file_load": 320,
        "bpf": 321, "userfaultfd": 323, **_SHARED,
    },
)  # fmt: skip

AARCH64: Final = Architecture(
    audit=0xC00000B7,
    clone=220,
    clone3=435,
    denied={
        "mknodat": 33, "symlinkat": 36, "linkat": 37, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51,
        "quotactl": 60, "acct": 89, "personality": 92, "unshare": 97, "kexec_load": 104, "init_module": 105,
        "delete_module": 106, "ptrace": 117, "reboot": 142, "sethostname": 161, "setdomainname": 162,
        "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206,
        "add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225, "perf_event_open": 241,
        "accept4": 242, "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270,
        "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
        "kexec_file_load": 294, **_SHARED,
    },
)  # fmt: skip

_ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}


def program(machine: str | None = None) -> bytes | None:
    """Assemble the filter for `machine` (as platform.machine() names it; default: this one).

    Denied calls fail with EPERM; clone makes threads only; clone3, whose flags a filter cannot see, answers ENOSYS, so
    that a C library falls back to clone. Calls of another architecture kill the process.
    Returns struct sock_filter[], or None for a machine we have no numbers for.
    """
    architecture = _ARCHITECTURES.get(machine or platform.machine())
    if architecture is None:
        return None
    code = [
        _op(LOAD_WORD, ARCHITECTURE_OFFSET),
        _op(JUMP_EQUAL, architecture.audit, 1, 0),
        _op(RETURN, KILL_PROCESS),
        _op(LOAD_WORD, NUMBER_OFFSET),
    ]
    if architecture is X86_64:
        code += [_op(JUMP_AT_LEAST, X32_BIT, 0, 1), _op(RETURN, KILL_PROCESS)]
    for number in sorted(architecture.denied.values()):
        code += [_op(JUMP_EQUAL, number, 0, 1), _op(RETURN, ERRNO | errno.EPERM)]
    code += [
        _op(JUMP_EQUAL, architecture.clone3, 0, 1),
        _op(RETURN, ERRNO | errno.ENOSYS),
        _op(JUMP_EQUAL, architecture.clone, 0, 3),
        _op(LOAD_WORD, FIRST_ARGUMENT_OFFSET),
        _op(JUMP_SET, CLONE_THREAD, 1, 0),
        _op(RETURN, ERRNO | errno.EPERM),
        _op(RETURN, ALLOW),
    ]
    return b"".join(code)


def _op(code: int, constant: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, constant)
