"""Logs: one line per event on standard output, as JSON for machines or readable for people.

Code logs with `structlog.get_logger()`; only this module says where it goes.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import structlog

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_FIRST = ("timestamp", "level", "event", "process")
"""The order in which every line begins."""

EventDict = MutableMapping[str, Any]


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
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _stamped(process),
            *_renderers(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_logger_factory(log_format),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(
        handlers=[_ToStructlog()],
        level=max(logging.WARNING, LEVELS[level]),
        force=True,
    )


def _logger_factory(log_format: Literal["json", "console"]) -> Callable[..., Any]:
    match log_format:
        case "json":
            return structlog.BytesLoggerFactory(_Unheard(sys.stdout.buffer))  # type: ignore[arg-type]
        case "console":
            return structlog.WriteLoggerFactory(_Unheard(sys.stdout))  # type: ignore[arg-type]


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
                )
            ]


def _stamped(process: str) -> Callable[[Any, str, EventDict], EventDict]:
    def stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
        # A format of its own would take a third of the time of the whole line.
        event["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds")
        event["process"] = process
        return event

    return stamp


def _json(_logger: Any, _method: str, event: EventDict) -> bytes:
    ordered = {name: event.pop(name) for name in _FIRST}
    ordered.update(event)
    return msgspec.json.encode(ordered, enc_hook=str)


class _Unheard:
    """A stream to which nobody may listen any more: a closed terminal, a reader that has ended.

    What is said then is lost, and nothing else: a process that must drain must not trip over the
    line in which it says so.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: Any) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


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
