"""Reads files as text, as far as that can be done honestly."""

from pathlib import PurePath

from cartrita.errors import InvalidMessage, InvalidParameters

MARKDOWN = frozenset({".md", ".markdown"})
PLAIN = frozenset({".txt", ".text", ".log"})
CLOSED = {".pdf": "PDF", ".doc": "Word", ".docx": "Word"}
"""Files of which v2 took the bytes; reading them needs a package that is not there."""

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def text_of(name: str, data: bytes) -> tuple[str, str]:
    """Return the text of a file and its media type.

    Raises:
        InvalidMessage: Files of this kind cannot be read.
        InvalidParameters: It is not the text that it should be.
    """
    ending = PurePath(name).suffix.lower()
    if ending in CLOSED:
        raise InvalidMessage(
            f"{CLOSED[ending]} files cannot be read here: send the text as .txt or .md.",
            fields=[("file", f"is a {CLOSED[ending]} file")],
        )
    if ending not in MARKDOWN | PLAIN:
        raise InvalidMessage(
            f"Files that end in {ending[:20]!r} are not taken: send .txt or .md.",
            fields=[("file", "must end in .txt or .md")],
        )
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise _not_text("is not UTF-8") from None
    if "\x00" in text:
        raise _not_text("has NUL characters")
    if not text.strip():
        raise _not_text("is empty")
    return text, "text/markdown" if ending in MARKDOWN else "text/plain"


def _not_text(why: str) -> InvalidParameters:
    return InvalidParameters(f"The file {why}, so it is no text.", fields=[("file", why)])
