"""What a log line looks like."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.processes import start_module


def spoken(**environment: str) -> str:
    with start_module(
        "tests.process.probe", "speak", environment=environment
    ) as process:
        process.wait()
        assert process.errors == ""
        return process.output


def lines(output: str) -> dict[str, dict[str, Any]]:
    read = [json.loads(line) for line in output.splitlines()]
    return {line["event"]: line for line in read}


def test_a_json_line_begins_with_time_level_event_and_process() -> None:
    line = lines(spoken())["ids"]
    assert list(line)[:4] == ["timestamp", "level", "event", "process"]
    assert (line["level"], line["process"]) == ("info", "probe")
    time = datetime.fromisoformat(line["timestamp"])
    assert time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=5)


def test_a_json_line_keeps_values_and_shows_what_it_does_not_know_as_text() -> None:
    line = lines(spoken())["ids"]
    assert (line["command_id"], line["position"]) == ("c1", 7)
    assert line["text"] == "gr\u00fc\u00df\nGott"
    assert line["path"].startswith("<module 'sys'")


def test_lines_below_the_level_are_not_written() -> None:
    spoken_events = lines(spoken())
    assert "too_quiet" not in spoken_events
    assert "library_too_quiet" not in spoken_events
    assert "too_quiet" in lines(spoken(ORDERES_LOG_LEVEL="debug"))
    assert "ids" not in lines(spoken(ORDERES_LOG_LEVEL="warning"))


def test_libraries_speak_in_the_same_format() -> None:
    line = lines(spoken())["library speaks"]
    assert (line["level"], line["logger"], line["process"]) == (
        "warning",
        "library",
        "probe",
    )


def test_warnings_are_log_lines() -> None:
    assert any("UserWarning: careful" in event for event in lines(spoken()))


def test_an_exception_is_one_field() -> None:
    line = lines(spoken())["failed"]
    assert line["level"] == "error"
    assert line["exception"].endswith("ValueError: something broke")
    assert "exc_info" not in line


def test_the_console_format_is_for_people_and_without_colours_in_a_pipe() -> None:
    output = spoken(ORDERES_LOG_FORMAT="console")
    (line,) = [line for line in output.splitlines() if "command_id=c1" in line]
    assert "ids" in line
    assert "\x1b" not in output
    assert "ValueError: something broke" in output
