"""Tests of cartrita/providers/sandbox/seccomp.py."""

import struct
from errno import EAFNOSUPPORT, ENOSYS, EPERM

import pytest

from cartrita.providers.sandbox.seccomp import _ABSENT, _REFUSED, MACHINES, compiled

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
BOTH = pytest.mark.parametrize("name", MACHINES)


def verdict(program, machine, number, *arguments):
    """Run a filter over one system call as the kernel does."""
    lines = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=IIQ6Q", number, machine.audit, 0, *(*arguments, *[0] * 6)[:6])
    held = at = 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
            continue
        true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
        at += yes if true else no


@BOTH
def test_what_is_listed_is_refused_or_absent_and_nothing_else(name):
    machine = MACHINES[name]
    program = compiled(machine)
    absent = {pair[machine.column] for pair in _ABSENT.values()}
    refused = {pair[machine.column] for pair in _REFUSED.values()} | {*machine.alone.values()}
    for number in range(500):
        wanted = ALLOW
        if number in absent:
            wanted = ERRNO | ENOSYS
        elif number in refused:
            wanted = ERRNO | EPERM
        if number == machine.socket:
            wanted = ERRNO | EAFNOSUPPORT  # family 0
        assert verdict(program, machine, number) == wanted, number


@BOTH
def test_sockets_are_of_families_that_know_namespaces(name):
    machine = MACHINES[name]
    program = compiled(machine)
    made = [it for it in range(60) if verdict(program, machine, machine.socket, it) == ALLOW]
    assert made == [1, 2, 10]


@BOTH
def test_processes_are_started_and_namespaces_are_not(name):
    machine = MACHINES[name]
    program = compiled(machine)
    fork, thread = 0x01200011, 0x003D0F00
    assert verdict(program, machine, machine.clone, fork) == ALLOW
    assert verdict(program, machine, machine.clone, thread) == ALLOW
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert verdict(program, machine, machine.clone, fork | 1 << bit) == ERRNO | EPERM


@BOTH
def test_nothing_is_typed_into_terminals(name):
    machine = MACHINES[name]
    program = compiled(machine)
    assert verdict(program, machine, machine.ioctl, 0, 0x5412) == ERRNO | EPERM
    assert verdict(program, machine, machine.ioctl, 0, 0x541C) == ERRNO | EPERM
    assert verdict(program, machine, machine.ioctl, 0, 0x5401) == ALLOW


@BOTH
def test_calls_of_another_architecture_kill(name):
    program = compiled(MACHINES[name])
    other = next(machine for key, machine in MACHINES.items() if key != name)
    assert verdict(program, other, 39) == KILL


def test_calls_of_the_other_abi_of_x86_are_absent():
    machine = MACHINES["x86_64"]
    assert verdict(compiled(machine), machine, 0x40000000 | 101) == ERRNO | ENOSYS
