"""Makes the filter of system calls that sandboxed programs are under."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOSYS, EPERM

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
"""Offsets in `struct seccomp_data`; of arguments, the lower half."""

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32 = 0x40000000
"""From here on x86-64 numbers mean another ABI, whose calls the list below would miss."""

_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000
_NAMESPACES |= 0x20000000 | 0x40000000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET and AF_INET6, which know the network namespace; AF_VSOCK does not."""

_TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX type into a terminal."""

_ABSENT = {
    "clone3": (435, 435),  # its flags are in memory, where a filter cannot look: clone instead
    "memfd_create": (319, 279),  # memory that no limit counts
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),  # its operations pass by the filter
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
"""System calls that are answered as by a kernel without them: programs know how to go on."""

_REFUSED = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # parts of the kernel that are attacked most
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "vmsplice": (278, 75),
    "personality": (135, 92),
    # memory that no limit counts
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "vhangup": (153, 58),
}
"""System calls by their numbers on x86-64 and aarch64."""

_ONLY_X86 = {"iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "create_module": 174}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the kernel calls a machine, and its numbers of the calls that are looked into."""

    audit: int
    column: int
    clone: int
    socket: int
    ioctl: int
    alone: Mapping[str, int]


MACHINES = {
    "x86_64": Machine(0xC000003E, 0, 56, 41, 16, _ONLY_X86),
    "aarch64": Machine(0xC00000B7, 1, 220, 198, 29, {}),
}
"""By `platform.machine()`."""


def compiled(machine: Machine) -> bytes:
    """Return the filter as an array of `struct sock_filter`, which `bwrap --seccomp` reads.

    A list of what is refused, not of what is allowed: interpreters use nearly every call there
    is. It is the second wall; namespaces and a user without rights are the first.
    """
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, machine.audit, yes=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
    ]
    if machine.column == 0:
        lines += [_line(_AT_LEAST, _X32, no=1), _line(_RETURN, _ERRNO | ENOSYS)]
    lines += _answer((pair[machine.column] for pair in _ABSENT.values()), ENOSYS)
    lines += _answer((pair[machine.column] for pair in _REFUSED.values()), EPERM)
    lines += _answer(machine.alone.values(), EPERM)
    flags = [_line(_ANY_BIT, _NAMESPACES, no=1), _line(_RETURN, _ERRNO | EPERM)]
    lines += _looked_into(machine.clone, _FIRST, flags)
    known = len(_FAMILIES)
    families = [_line(_EQUAL, kind, yes=known - at) for at, kind in enumerate(_FAMILIES)]
    refusal = _line(_RETURN, _ERRNO | EAFNOSUPPORT)
    lines += _looked_into(machine.socket, _FIRST, [*families, refusal])
    lines += _looked_into(machine.ioctl, _SECOND, _answer(_TERMINAL, EPERM))
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _line(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return one instruction; `yes` and `no` are how many are skipped."""
    return struct.pack("=HBBI", code, yes, no, value)


def _answer(numbers: Iterable[int], error: int) -> list[bytes]:
    found = []
    for number in numbers:
        found += [_line(_EQUAL, number, no=1), _line(_RETURN, _ERRNO | error)]
    return found


def _looked_into(number: int, argument: int, checks: list[bytes]) -> list[bytes]:
    """Return what loads an argument of one call, checks it, and allows what is left."""
    inside = [_line(_LOAD, argument), *checks, _line(_RETURN, _ALLOW)]
    return [_line(_EQUAL, number, no=len(inside)), *inside]
