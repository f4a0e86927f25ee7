"""Logs: one line per event on standard output, as JSON for machines or readable for people.

Code logs with `structlog.get_logger()`; only this module says where it goes.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import structlog

from eventcore.process.log_output import LogOutput

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_FIRST = ("timestamp", "level", "event", "process")
"""The order in which every line begins."""

EventDict = MutableMapping[str, Any]

_output: LogOutput | None = None


def flush_logs(*, seconds_max: float) -> None:
    """Waits until what was logged is written, but no longer than that."""
    if _output is not None:
        _output.drain(seconds_max=seconds_max)


def configure_logs(
    *,
    process: str,
    level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["json", "console"],
) -> None:
    """Sends what is logged to standard output.

    Args:
        process: Name of the process, in every line.
        level: The least severe lines to write. Those of libraries count from warning on.
        log_format: "json", or "console" for people; with colours only on a terminal.
    """
    global _output  # noqa: PLW0603  # A process has one log.
    sys.stdout.flush()
    _output = LogOutput(sys.stdout.fileno(), on_dropped=_say_dropped)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _stamped(process),
            *_renderers(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(_output),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(
        handlers=[_ToStructlog()],
        level=max(logging.WARNING, LEVELS[level]),
        force=True,
    )


def _renderers(log_format: Literal["json", "console"]) -> list[Any]:
    match log_format:
        case "json":
            return [structlog.processors.format_exc_info, _json]
        case "console":
            # The default formatter prints local variables too, and with them what clients sent.
            return [
                structlog.dev.ConsoleRenderer(
                    colors=sys.stdout.isatty(),
                    exception_formatter=structlog.dev.plain_traceback,
                ),
                _encoded,
            ]


def _stamped(process: str) -> Callable[[Any, str, EventDict], EventDict]:
    def stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
        # A format of its own would take a third of the time of the whole line.
        event["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds")
        event["process"] = process
        return event

    return stamp


def _encoded(_logger: Any, _method: str, line: Any) -> bytes:
    return str(line).encode(errors="backslashreplace")


def _json(_logger: Any, _method: str, event: EventDict) -> bytes:
    ordered = {name: event.pop(name) for name in _FIRST}
    ordered.update(event)
    return msgspec.json.encode(ordered, enc_hook=str)


def _say_dropped(lines: int) -> None:
    structlog.get_logger().warning("log_lines_dropped", lines=lines)


class _ToStructlog(logging.Handler):
    """Takes what libraries log through the same renderer."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(
            record.levelno,
            record.getMessage(),
            logger=record.name,
            exc_info=record.exc_info,
        )
