"""What operators ask of the projector, over the wire, and what comes of it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from orderes.v1.projection_admin_service_pb2 import ProjectionState
from tests.orders.examples import PLACED
from tests.projector.running import REASON, Running, a_projector
from tests.support.eventually import eventually
from tests.support.rpc import failure_of

CHANGES = (
    "PauseProjection",
    "ResumeProjection",
    "RebuildProjection",
    "CancelRebuild",
    "RollBackProjection",
)
RUNNING = ProjectionState.PROJECTION_STATE_RUNNING
PAUSED = ProjectionState.PROJECTION_STATE_PAUSED
REBUILDING = ProjectionState.PROJECTION_STATE_REBUILDING
FAILED = ProjectionState.PROJECTION_STATE_FAILED


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A projector with five events in its read models."""
    async with a_projector(tmp_path, poll_seconds=0.05) as running:
        running.log.append_orders(5, PLACED)
        await running.start()
        await eventually(lambda: running.position(running.second) == 5)
        yield running


async def rebuilt(running: Running) -> Any:
    """The first projection, after it was made anew."""
    generation = (await running.shown()).generation
    await running.ask("RebuildProjection", name="first", reason=REASON)

    async def is_over() -> bool:
        return bool((await running.shown()).generation > generation)

    await eventually(is_over)
    return await running.shown()


async def both_hold(running: Running, position: int) -> None:
    """Returns once what serves, and what it would go back to, hold a position."""

    async def do() -> bool:
        shown = await running.shown()
        return bool(shown.position == shown.previous.position == position)

    await eventually(do)


async def fail_at(running: Running, position: int) -> None:
    """Has the first projection stop at the next event."""
    running.first.poison[position] = RuntimeError("cannot")
    running.log.append_orders(1, PLACED)
    running.wakes.wake()

    async def has_failed() -> bool:
        return bool((await running.shown()).state == FAILED)

    await eventually(has_failed)


async def test_all_are_listed_by_name_with_what_they_do(running: Running) -> None:
    answer = await running.ask("ListProjections")
    assert [each.name for each in answer.projections] == ["first", "second"]
    first = answer.projections[0]
    assert (first.state, first.position, first.head_position) == (RUNNING, 5, 5)
    assert (first.version, first.generation, first.owner) == (1, 1, "this")
    assert first.HasField("lag")
    assert first.HasField("heartbeat_time")
    assert not first.HasField("rebuild")
    assert not first.HasField("previous")


async def test_a_pause_is_kept_told_and_undone(running: Running) -> None:
    with capture_logs() as logs:
        answer = await running.ask("PauseProjection", name="first", reason=REASON)
    assert answer.projection.state == PAUSED
    (line,) = logs
    assert (line["event"], line["projection"]) == ("projection_paused", "first")
    assert (line["reason"], line["log_level"]) == (REASON, "warning")
    assert "127.0.0.1" in line["operator"]
    running.log.append_orders(1, PLACED)
    running.wakes.wake()
    await eventually(lambda: running.position(running.second) == 6)
    shown = await running.shown()
    assert (shown.state, shown.pause_reason, shown.position) == (PAUSED, REASON, 5)
    assert shown.HasField("pause_time")
    await running.serving("projection.first", becomes=False)
    answer = await running.ask("ResumeProjection", name="first", reason=REASON)
    assert answer.projection.state == RUNNING
    await eventually(lambda: running.position(running.first) == 6)
    await running.serving("projection.first", becomes=True)


async def test_what_operators_were_told_is_on_disk(running: Running) -> None:
    running.read_store.durable.clear()
    for change in ("PauseProjection", "ResumeProjection", "RebuildProjection"):
        await running.ask(change, name="first", reason=REASON)
    assert sum(running.read_store.durable) >= 3


async def test_a_second_pause_has_a_new_reason_and_the_time_of_the_first(
    running: Running,
) -> None:
    await running.ask("PauseProjection", name="first", reason=REASON)
    before = await running.shown()
    running.log.now += 1_000_000
    await running.ask("PauseProjection", name="first", reason="another")
    after = await running.shown()
    assert after.pause_reason == "another"
    assert after.pause_time == before.pause_time


async def test_a_failure_tells_where_and_why_until_it_is_resumed(
    running: Running,
) -> None:
    await fail_at(running, 6)
    shown = await running.shown()
    assert (shown.position, shown.error_position) == (5, 6)
    assert shown.error.startswith("RuntimeError: cannot; run a release that can")
    running.first.poison.clear()
    await running.ask("ResumeProjection", name="first", reason=REASON)
    await eventually(lambda: running.position(running.first) == 6)
    shown = await running.shown()
    assert (shown.state, shown.error, shown.error_position) == (RUNNING, "", 0)
    assert not shown.skipped_events


async def test_a_skip_names_its_position_and_is_recorded(running: Running) -> None:
    await fail_at(running, 6)
    await running.ask(
        "ResumeProjection", name="first", reason="it is lost", skip_position=6
    )
    await eventually(lambda: running.position(running.first) == 6)
    shown = await running.shown()
    assert (shown.state, shown.skipped_count) == (RUNNING, 1)
    (skip,) = shown.skipped_events
    assert (skip.position, skip.type, skip.reason) == (6, "OrderPlaced", "it is lost")
    assert skip.event_id
    assert skip.HasField("skip_time")


async def test_a_rebuild_tries_what_was_skipped_again(running: Running) -> None:
    await fail_at(running, 6)
    await running.ask("ResumeProjection", name="first", reason=REASON, skip_position=6)
    await eventually(lambda: running.position(running.first) == 6)
    await running.ask("RebuildProjection", name="first", reason=REASON)

    async def has_failed() -> bool:
        return bool((await running.shown()).rebuild.error_position == 6)

    await eventually(has_failed)
    shown = await running.shown()
    assert shown.state == REBUILDING
    assert (shown.generation, shown.rebuild.generation) == (1, 2)
    assert "cannot" in shown.rebuild.error
    running.first.poison.clear()
    await running.ask("ResumeProjection", name="first", reason=REASON)

    async def took_over() -> bool:
        return bool((await running.shown()).generation == 2)

    await eventually(took_over)
    shown = await running.shown()
    assert shown.skipped_count == 0
    assert "first has 6 rows, 5 before" in shown.comparison


@pytest.mark.parametrize("position", [5, 7])
async def test_only_the_event_that_it_stands_at_can_be_skipped(
    running: Running, position: int
) -> None:
    await fail_at(running, 6)
    failure = await failure_of(
        running.ask(
            "ResumeProjection", name="first", reason=REASON, skip_position=position
        )
    )
    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    assert failure.reason == "WRONG_PROJECTION_STATE"
    assert "at 6" in failure.message
    assert (await running.shown()).state == FAILED


async def test_nothing_can_be_skipped_where_nothing_has_failed(
    running: Running,
) -> None:
    failure = await failure_of(
        running.ask("ResumeProjection", name="first", reason=REASON, skip_position=5)
    )
    assert failure.reason == "WRONG_PROJECTION_STATE"
    assert "it stands at none" in failure.message


async def test_a_rebuild_is_told_and_takes_over(running: Running) -> None:
    answer = await running.ask("RebuildProjection", name="first", reason=REASON)
    rebuild = answer.projection.rebuild
    assert answer.projection.state == REBUILDING
    assert (rebuild.generation, rebuild.target_position) == (2, 5)
    assert rebuild.reason == REASON
    assert rebuild.HasField("start_time")

    async def took_over() -> bool:
        return bool((await running.shown()).generation == 2)

    await eventually(took_over)
    shown = await running.shown()
    assert shown.comparison == "the same as the one before: first 5 rows"
    assert (shown.previous.generation, shown.previous.position) == (1, 5)
    assert shown.previous.HasField("drop_time")
    assert not shown.HasField("rebuild")


async def test_there_is_one_rebuild_at_a_time(running: Running) -> None:
    await running.ask("PauseProjection", name="first", reason=REASON)
    await running.ask("RebuildProjection", name="first", reason=REASON)
    failure = await failure_of(
        running.ask("RebuildProjection", name="first", reason=REASON)
    )
    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "is under way, as generation 2" in failure.message


async def test_a_rebuild_can_be_given_up(running: Running) -> None:
    await running.ask("PauseProjection", name="first", reason=REASON)
    await running.ask("RebuildProjection", name="first", reason=REASON)
    answer = await running.ask("CancelRebuild", name="first", reason=REASON)
    assert not answer.projection.HasField("rebuild")
    assert answer.projection.generation == 1
    failure = await failure_of(
        running.ask("CancelRebuild", name="first", reason=REASON)
    )
    assert failure.reason == "WRONG_PROJECTION_STATE"


async def test_a_rollback_goes_back_and_forth(running: Running) -> None:
    await rebuilt(running)
    running.log.append_orders(1, PLACED)
    running.wakes.wake()
    await eventually(lambda: running.position(running.first) == 6)
    for expected in (1, 2):
        await both_hold(running, 6)
        answer = await running.ask("RollBackProjection", name="first", reason=REASON)
        assert answer.projection.generation == expected
        assert running.position(running.first) == 6


async def test_without_a_rebuild_there_is_nothing_to_go_back_to(
    running: Running,
) -> None:
    failure = await failure_of(
        running.ask("RollBackProjection", name="first", reason=REASON)
    )
    assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "no generation before this one" in failure.message


async def test_during_a_rebuild_there_is_no_going_back(running: Running) -> None:
    await rebuilt(running)
    await running.ask("PauseProjection", name="first", reason=REASON)
    await running.ask("RebuildProjection", name="first", reason=REASON)
    failure = await failure_of(
        running.ask("RollBackProjection", name="first", reason=REASON)
    )
    assert "give it up first" in failure.message


@pytest.mark.parametrize("change", CHANGES)
async def test_what_there_is_not_is_not_found(running: Running, change: str) -> None:
    failure = await failure_of(running.ask(change, name="third", reason=REASON))
    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert failure.reason == "PROJECTION_NOT_FOUND"
    assert failure.metadata["projections"] == "first,second"


@pytest.mark.parametrize("change", CHANGES)
async def test_every_wrong_field_is_named(running: Running, change: str) -> None:
    failure = await failure_of(running.ask(change, name="", reason="x" * 501))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.violations) == {"name", "reason"}


async def test_a_negative_position_is_wrong(running: Running) -> None:
    failure = await failure_of(
        running.ask("ResumeProjection", name="first", reason=REASON, skip_position=-1)
    )
    assert set(failure.violations) == {"skip_position"}


async def test_a_caller_that_leaves_takes_no_change_back(running: Running) -> None:
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        released.wait(timeout=10)

    running.read_store.on_durable_commit = hold
    asking = asyncio.create_task(
        running.ask("PauseProjection", name="first", reason=REASON)
    )
    await eventually(held.is_set)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    released.set()

    async def is_paused() -> bool:
        return bool((await running.shown()).state == PAUSED)

    await eventually(is_paused)
