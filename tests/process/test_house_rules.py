"""What the test suite itself promises: nothing blocks a loop, nothing is skipped unseen."""

import time

import pytest
from blockbuster import BlockingError

from tests.support.requirements import REQUIRE_ALL, require_tool


async def test_blocking_the_event_loop_is_an_error() -> None:
    with pytest.raises(BlockingError):
        time.sleep(0.001)  # noqa: ASYNC251  # That is the point.


def test_a_tool_that_is_there_is_given_with_its_path() -> None:
    assert require_tool("sh", "to run").endswith("/sh")


def test_without_a_tool_a_test_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    with pytest.raises(
        pytest.skip.Exception, match="no-such-tool is not on the PATH: to try"
    ):
        require_tool("no-such-tool", "to try")


def test_where_all_must_run_a_test_fails_without_its_tool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool"):
        require_tool("no-such-tool", "to try")
