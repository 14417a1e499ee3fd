"""Structured logs: JSON for machines, plain lines for a terminal."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Literal, cast

import structlog

from cartrita.privacy.masking import redacted
from cartrita.privacy.secrets import HIDDEN, is_secret, without_secrets
from cartrita.telemetry.trace import trace_id

Format = Literal["json", "console", "auto"]


def configure(level: str = "info", style: Format = "auto", *, scrubbed: bool = True) -> None:
    """Set up logging for this process; call it once, early.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `auto` is `console` on a terminal and `json` elsewhere.
        scrubbed: Whether what tells of a person is taken out of every line, as secrets are.
    """
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    steps = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        bound,
        scrub if scrubbed else hide,
        renderer,
    ]
    structlog.configure(
        processors=steps,
        wrapper_class=_from(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _now["level"] = level
    root = logging.getLogger()
    for former in [one for one in root.handlers if isinstance(one, _Libraries)]:
        root.removeHandler(former)
    root.addHandler(_Libraries(steps))


class _Libraries(logging.Handler):
    """Writes what libraries log, from warnings on, as our own lines are written.

    An address with a password may stand in what they say, too.
    """

    def __init__(self, steps: Sequence[structlog.typing.Processor]) -> None:
        super().__init__(logging.WARNING)
        self._steps = steps

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            event: Any = {"event": record.getMessage(), "component": record.name}
            if record.exc_info:
                event["exc_info"] = record.exc_info
            for step in self._steps:
                event = step(None, record.levelname.lower(), event)
            sys.stderr.write(f"{event}\n")
        except Exception:  # noqa: BLE001 - as `logging` has it: no line may end the work
            self.handleError(record)


_now = {"level": ""}

_at_work: ContextVar[tuple[str | None, str | None]] = ContextVar("at_work", default=(None, None))


def about(traceparent: str | None, task_id: str | None = None) -> None:
    """Have what this asyncio task logs from now on say which trace and task it belongs to."""
    _at_work.set((traceparent, task_id))


def traceparent() -> str | None:
    """Return the `traceparent` of what this asyncio task works on, if that has one."""
    return _at_work.get()[0]


def bound(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    """Add the trace and the task that a line belongs to, where it does not name them itself."""
    trace, task_id = _at_work.get()
    if trace:
        event.setdefault("trace_id", trace_id(trace))
    if task_id:
        event.setdefault("task", task_id)
    return event


_OURS = {"timestamp", "level", "component", "trace_id", "task"}


def scrub(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    """Take secrets out of a log line, and what tells of a person: it outlives its task."""
    return _changed(event, lambda text: redacted(without_secrets(text)))


def hide(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    """Take secrets out of a log line."""
    return _changed(event, without_secrets)


def _changed(event: structlog.typing.EventDict, change: Callable[[str], str]) -> Any:
    return {
        key: value if key in _OURS else _within(key, value, change) for key, value in event.items()
    }


def _within(name: Any, value: Any, change: Callable[[str], str]) -> Any:
    """Return a value as it may be written down under a name."""
    if isinstance(value, dict):
        return {key: _within(key, item, change) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(name, str) and is_secret(name):
        return HIDDEN
    if isinstance(value, list | tuple | set):
        return [_within(None, item, change) for item in value]
    return change(value if isinstance(value, str) else repr(value))


def _from(level: str) -> Any:
    return structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()])


def set_level(level: str) -> None:
    """Change from which level on this process logs; nothing changes it back but another call."""
    if level != _now["level"]:
        structlog.configure(wrapper_class=_from(level))
        _now["level"] = level


def heed(level: str) -> None:
    """Change it to what somebody else says, who may have nothing to say."""
    if level:
        set_level(level)


def level() -> str:
    """Return from which level on this process logs; empty when nobody has said."""
    return _now["level"]


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines carry `component=name`."""
    logger = structlog.get_logger(component=name)
    return cast("structlog.typing.FilteringBoundLogger", logger)
