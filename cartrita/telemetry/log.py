"""Structured logs: JSON for machines, plain lines for a terminal."""

import logging
import sys
from typing import Any, Literal, cast

import structlog

from cartrita.privacy.masking import redacted

Format = Literal["json", "console", "auto"]


def configure(level: str = "info", style: Format = "auto", *, scrubbed: bool = True) -> None:
    """Set up logging for this process; call it once, early.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `auto` is `console` on a terminal and `json` elsewhere.
        scrubbed: Whether what tells of a person is taken out of every line.
    """
    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([scrub] if scrubbed else []),
            renderer,
        ],
        wrapper_class=_from(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


_OURS = {"timestamp", "level", "component"}


def scrub(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    """Take what tells of a person out of a log line, which outlives the task it tells of."""
    return {key: value if key in _OURS else _scrubbed(value) for key, value in event.items()}


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_scrubbed(item) for item in value]
    return redacted(repr(value)) if isinstance(value, BaseException) else value


def _from(level: str) -> Any:
    return structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()])


def set_level(level: str) -> None:
    """Change from which level on this process logs."""
    structlog.configure(wrapper_class=_from(level))


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines carry `component=name`."""
    logger = structlog.get_logger(component=name)
    return cast("structlog.typing.FilteringBoundLogger", logger)
