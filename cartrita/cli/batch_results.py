"""Writes what became of a batch's tasks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from cartrita.client import BatchResult
from cartrita.errors import ConfigurationInvalid

MOST_TOLD = 20
"""Lines that went wrong which standard error names; the results tell of all."""


class Results:
    """The results, one JSON object a line.

    Args:
        path: None is standard output.
        written: Bytes of an earlier run that count; what follows them is written again.

    Raises:
        ConfigurationInvalid: The file cannot be written, or is not what it was.
    """

    def __init__(self, path: Path | None, written: int) -> None:
        self._file = None if path is None else _opened(path, written)

    @property
    def written(self) -> int:
        """Return how many bytes are in the file, past every buffer of this process."""
        return 0 if self._file is None else int(self._file.tell())

    def write(self, row: dict[str, Any]) -> None:
        """Write one."""
        text = json.dumps(row, ensure_ascii=False)
        if self._file is None:
            typer.echo(text)
            return
        try:
            self._file.write(f"{text}\n".encode())
        except OSError as error:
            raise ConfigurationInvalid(
                f"The results cannot be written: {error.strerror}."
            ) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _opened(path: Path, written: int) -> Any:
    try:
        file = path.open("r+b" if written else "wb", buffering=0)
        if file.seek(0, 2) < written:
            file.close()
            raise ConfigurationInvalid(
                f"{str(path)!r} is shorter than what the batch wrote into it: restore it, or "
                "begin anew with --fresh."
            )
        file.truncate(written)
        file.seek(written)
    except OSError as error:
        raise ConfigurationInvalid(f"Cannot write {str(path)!r}: {error.strerror}.") from None
    return file


def row_of(number: int, result: BatchResult) -> dict[str, Any]:
    """Return a result as it is written."""
    if result.outcome is not None:
        return {"line": number, **result.outcome.to_wire()}
    error = result.error
    assert error is not None
    row: dict[str, Any] = {"line": number}
    if result.task_id:
        row["taskId"] = result.task_id
    row |= {"status": "REFUSED", "errorCode": error.code.value, "errorMessage": error.message}
    if error.reason:
        row["reason"] = str(error.reason)
    if error.fields:
        row["errors"] = [{"field": name, "message": text} for name, text in error.fields]
    return row


class Complaints:
    """Tells a person which lines went wrong, the first of them.

    Args:
        say: Prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._told = say, 0

    def tell(self, row: dict[str, Any]) -> None:
        """Tell of one, if there were not many before."""
        self._told += 1
        if self._told <= MOST_TOLD:
            self._say(f"line {row['line']}: {_why(row)}")
        elif self._told == MOST_TOLD + 1:
            self._say("More lines went wrong: the results tell which.")


def _why(row: dict[str, Any]) -> str:
    what = " ".join(str(row[name]) for name in ("status", "errorCode", "reason") if row.get(name))
    message = row.get("errorMessage") or ""
    news = [
        f"{item['field']}: {item['message']}"
        for item in row.get("errors", ())
        if item["message"] not in message
    ]
    told = f"{what}: {message}" if message else what
    return f"{told} ({'; '.join(news)})" if news else told
