"""Tests of cartrita/providers/sandbox/frames.py."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartrita.providers.ports_sandbox import Ended, Program
from cartrita.providers.sandbox.frames import packed, unpacked, usable

HEADER = {"ended": "exited", "code": 0, "seconds": 0.5, "sizes": [2, 1], "files": [], "left_out": 0}


def answer(body=b"", **more):
    header = json.dumps(HEADER | more).encode()
    return struct.pack(">I", len(header)) + header + body


def test_an_answer_is_read():
    ran = unpacked(answer(b"hi!file", files=[["a/b", 4]], left_out=2))
    assert (ran.ended, ran.exit_code, ran.stdout, ran.stderr) == (Ended.EXITED, 0, "hi", "!")
    assert ran.files == {"a/b": b"file"}
    assert (ran.left_out, ran.seconds) == (2, 0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\0\0\0",
        struct.pack(">I", 4_000_000_000),
        answer(b"hi"),
        answer(b"hi!more"),
        answer(b"hi!", sizes=[-1, 4]),
        answer(b"hi!", sizes=[2]),
        answer(b"hi!", ended="gone"),
        answer(b"hi!", seconds="1"),
        answer(b"hi!", code=10**9),
        answer(b"hi!", unknown=1),
        answer(b"hi!", files=[["a", 10**18]]),
    ],
)
def test_what_is_no_answer_is_none(wrong):
    assert unpacked(wrong) is None


def test_files_outside_the_folder_are_left_out():
    ran = unpacked(answer(b"hi!abc", files=[["../a", 1], ["/b", 1], ["c", 1]]))
    assert (ran.files, ran.left_out) == ({"c": b"c"}, 2)


@given(st.binary())
def test_nothing_that_comes_out_breaks_the_reader(data):
    assert unpacked(data) is None
    assert unpacked(struct.pack(">I", len(data)) + data) is None


@given(st.text())
def test_a_usable_path_stays_below_its_folder(path):
    if usable(path):
        assert ".." not in path.split("/")
        assert path[0] not in "/-"
        assert "\0" not in path
        assert "\n" not in path


def test_what_goes_in_is_framed():
    program = Program("python", "a", {"a": b"12", "b": b"3"}, stdin=b"45")
    data = packed(program, ["python", "a"], {"X": "y"}, {"wall": 1})
    length = struct.unpack_from(">I", data)[0]
    header = json.loads(data[4 : 4 + length])
    assert header["files"] == [["a", 2], ["b", 1]]
    assert data[4 + length :] == b"12345"
