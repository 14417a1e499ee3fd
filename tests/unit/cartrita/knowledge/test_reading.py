"""Tests of cartrita/knowledge/reading.py."""

import pytest

from cartrita.errors import InvalidMessage, InvalidParameters
from cartrita.knowledge.reading import text_of


@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "b.md", "c.markdown"])
def test_text_is_read(name):
    kind = "text/plain" if name.lower().endswith("txt") else "text/markdown"
    assert text_of(name, "Zoë 🎉".encode()) == ("Zoë 🎉", kind)


def test_marks_at_the_beginning_tell_the_encoding():
    for encoding in ("utf-8-sig", "utf-16"):
        assert text_of("a.txt", "Zoë".encode(encoding))[0] == "Zoë"


@pytest.mark.parametrize("name", ["a.pdf", "a.DOCX", "a.doc", "a.exe", "noending", ""])
def test_what_cannot_be_read_honestly_is_refused_by_name(name):
    with pytest.raises(InvalidMessage, match=r"\.txt"):
        text_of(name, b"%PDF-1.7")


@pytest.mark.parametrize("data", [b"", b" \n", b"\xff\xfa", b"a\x00b"])
def test_what_is_no_text_is_refused(data):
    with pytest.raises(InvalidParameters) as refused:
        text_of("a.txt", data)
    assert refused.value.fields[0].field == "file"
