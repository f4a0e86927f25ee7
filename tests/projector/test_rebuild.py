"""A rebuild beside what serves: compared, switched in one step, and never back in time."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from eventcore.errors import GenerationBehind, StoreUnavailable
from eventcore.generations import Progress, Role, building, previous
from projector.runner import RunnerLimits
from tests.orders.examples import PLACED
from tests.projector.scene import STORE_ID, Scene, a_pause, a_scene_in_memory, a_skip
from tests.support.envelopes import an_id
from tests.support.order_log import SECOND

DAY = 86_400


def append(scene: Scene, count: int) -> None:
    scene.log.append_orders(count, PLACED)


def progress_of(scene: Scene, number: int) -> Progress:
    return scene.generations(scene.first)[number - 1].progress


def step(scene: Scene) -> None:
    """It works, and the time passes that it wants to wait."""
    wait_seconds = scene.runner.advance()
    scene.seconds += wait_seconds


def until(scene: Scene, condition: Callable[[], bool]) -> None:
    """Lets it work, step by step, until something is so."""
    for _ in range(10_000):
        if condition():
            return
        step(scene)
    raise AssertionError("it does not come about")


class Slow:
    """Time that applying takes, and how often it was done."""

    def __init__(self, scene: Scene, *, seconds: float) -> None:
        self._scene = scene
        self.per_call = seconds
        self.seconds = 0.0
        self.calls = 0
        scene.first.on_apply = self._take

    def _take(self, _events: int) -> None:
        self.calls += 1
        self.seconds += self.per_call
        self._scene.seconds += self.per_call


@pytest.fixture
def serving(scene: Scene) -> Scene:
    """One with twenty events in what serves."""
    append(scene, 20)
    scene.limits = RunnerLimits(batch_events_max=4, rebuild_events_max=100)
    scene.restart()
    scene.catch_up()
    return scene


def test_the_new_generation_takes_over_with_every_event(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    assert scene.roles(scene.first) == {1: Role.SERVING, 2: Role.BUILDING}
    scene.work()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert scene.rows(scene.first) == list(range(1, 21))
    assert scene.roles(scene.second) == {1: Role.SERVING}


def test_queries_never_see_what_is_not_complete(serving: Scene) -> None:
    scene = serving
    scene.limits = RunnerLimits(batch_events_max=4, rebuild_events_max=4)
    scene.restart()
    scene.runner.verify()
    scene.rebuild(scene.first)
    seen = []

    def is_over() -> bool:
        seen.append(scene.rows(scene.first))
        return scene.roles(scene.first)[2] is Role.SERVING

    until(scene, is_over)
    assert len(seen) > 5
    assert all(rows == list(range(1, 21)) for rows in seen)


def test_both_are_compared_at_one_position(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    with capture_logs() as logs:
        scene.work()
    (line,) = [line for line in logs if line["event"] == "rebuild_took_over"]
    assert line["comparison"] == "the same as the one before: first 20 rows"
    assert line["log_level"] == "info"
    assert scene.generations(scene.first)[1].comparison == line["comparison"]


def test_a_difference_is_told_and_the_fold_of_the_log_takes_over(
    serving: Scene,
) -> None:
    scene = serving
    scene.first.text = "as the mended code writes it"
    scene.rebuild(scene.first)
    with capture_logs() as logs:
        scene.work()
    (line,) = [line for line in logs if line["event"] == "rebuild_took_over"]
    assert line["log_level"] == "warning"
    assert line["comparison"] == (
        "differs from the one before: first has as many rows as before, 20, of other content"
    )
    assert scene.texts(scene.first, 2)[1] == "as the mended code writes it"


def test_a_generation_with_a_skip_has_other_rows_than_its_rebuild(
    serving: Scene,
) -> None:
    scene = serving
    append(scene, 1)
    scene.first.poison[21] = RuntimeError("for now")
    scene.work()
    scene.first.poison.clear()
    with scene.stores.read.begin() as unit:
        unit.register.skip("first", 1, a_skip(21, scene.log.now))
        unit.register.go_on("first", 1)
        unit.commit()
    scene.runner.reload()
    scene.work()
    assert scene.rows(scene.first) == list(range(1, 21))
    scene.rebuild(scene.first)
    scene.work()
    assert scene.rows(scene.first) == list(range(1, 22))
    assert (
        "first has 21 rows, 20 before" in scene.generations(scene.first)[1].comparison
    )


def test_what_was_replaced_goes_on_being_applied(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    scene.work()
    append(scene, 5)
    scene.work()
    assert scene.rows(scene.first, 1) == scene.rows(scene.first, 2)
    assert scene.rows(scene.first, 1) == list(range(1, 26))


def test_going_back_to_it_is_not_going_back_in_time(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    scene.work()
    append(scene, 5)
    scene.work()
    scene.change(lambda register: register.switch("first", 1, now=scene.log.now))
    assert scene.rows(scene.first) == list(range(1, 26))
    append(scene, 1)
    scene.work()
    assert scene.rows(scene.first) == scene.rows(scene.first, 2) == list(range(1, 27))


def test_it_is_dropped_after_its_time_bit_by_bit(serving: Scene) -> None:
    scene = serving
    scene.limits = RunnerLimits(batch_events_max=4, replaced_keep_seconds=DAY)
    scene.restart()
    scene.runner.verify()
    scene.rebuild(scene.first)
    scene.work()
    replaced_at = scene.generations(scene.first)[0].replaced_time
    scene.log.now = replaced_at + DAY * SECOND - 1
    scene.seconds += 1.0
    scene.work()
    assert scene.roles(scene.first)[1] is Role.REPLACED
    scene.log.now += 1
    scene.pass_time(2)
    assert scene.roles(scene.first) == {2: Role.SERVING}
    append(scene, 1)
    scene.work()
    assert scene.rows(scene.first) == list(range(1, 22))


def test_a_second_rebuild_leaves_only_the_newest_one_to_go_back_to(
    serving: Scene,
) -> None:
    scene = serving
    for _ in range(2):
        scene.rebuild(scene.first)
        scene.work()
        scene.pass_time(2)
    assert scene.roles(scene.first) == {2: Role.REPLACED, 3: Role.SERVING}


def test_events_that_come_in_meanwhile_are_in_both(serving: Scene) -> None:
    scene = serving
    scene.limits = RunnerLimits(batch_events_max=4, rebuild_events_max=4)
    scene.restart()
    scene.runner.verify()
    scene.rebuild(scene.first)

    steps = 0

    def is_over() -> bool:
        nonlocal steps
        steps += 1
        if steps <= 10:
            append(scene, 1)
        return scene.roles(scene.first)[2] is Role.SERVING

    until(scene, is_over)
    end = scene.log.append(an_id(), PLACED)[-1].position
    scene.work()
    assert end > 25
    assert scene.rows(scene.first) == list(range(1, end + 1))
    assert scene.rows(scene.first, 1) == list(range(1, end + 1))


@pytest.mark.parametrize("commits", range(14))
def test_a_crash_in_the_middle_is_gone_on_from(serving: Scene, commits: int) -> None:
    scene = serving
    scene.limits = RunnerLimits(batch_events_max=4, rebuild_events_max=4)
    scene.restart()
    scene.runner.verify()
    scene.rebuild(scene.first)
    scene.read_store.before_commit.extend([None] * commits)
    scene.read_store.before_commit.append(StoreUnavailable())
    with suppress(StoreUnavailable):
        scene.work()
    scene.read_store.before_commit.clear()
    before = scene.generations(scene.first)[1].checkpoint.position
    assert scene.rows(scene.first, 2) == list(range(1, before + 1))
    scene.restart()
    scene.catch_up()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert scene.rows(scene.first) == list(range(1, 21))


def test_a_rebuild_that_fails_stops_alone(serving: Scene) -> None:
    scene = serving
    scene.first.poison[7] = RuntimeError("cannot")
    scene.rebuild(scene.first)
    scene.work()
    append(scene, 2)
    scene.work()
    assert scene.roles(scene.first) == {1: Role.SERVING, 2: Role.BUILDING}
    assert scene.rows(scene.first) == list(range(1, 23))
    made = scene.generations(scene.first)[1]
    assert made.failure is not None
    assert (made.failure.position, made.checkpoint.position) == (7, 6)
    assert scene.runner.following["first"]
    assert scene.sample("failed", scene.first) == 1
    scene.first.poison.clear()
    scene.change(lambda register: register.go_on("first", 2))
    scene.work()
    assert scene.roles(scene.first)[2] is Role.SERVING


def test_a_rebuild_mends_what_has_failed(serving: Scene) -> None:
    scene = serving
    append(scene, 5)
    scene.first.poison[23] = RuntimeError("cannot")
    scene.work()
    assert scene.rows(scene.first) == list(range(1, 23))
    scene.first.poison.clear()
    scene.rebuild(scene.first)
    scene.work()
    assert scene.roles(scene.first)[2] is Role.SERVING
    assert scene.rows(scene.first) == list(range(1, 26))
    assert scene.runner.following["first"]
    assert scene.generations(scene.first)[1].comparison.startswith("the same")


def test_a_rebuild_that_is_given_up_leaves_nothing(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    scene.change(lambda register: register.drop("first", 2))
    scene.pass_time(2)
    assert scene.roles(scene.first) == {1: Role.SERVING}
    scene.rebuild(scene.first)
    assert scene.roles(scene.first) == {1: Role.SERVING, 3: Role.BUILDING}


def test_a_paused_projection_is_not_rebuilt_either(serving: Scene) -> None:
    scene = serving
    scene.change(lambda register: register.set_pause("first", a_pause(scene.log.now)))
    scene.rebuild(scene.first)
    scene.pass_time(3)
    assert scene.roles(scene.first)[2] is Role.BUILDING
    assert scene.rows(scene.first, 2) == []
    scene.change(lambda register: register.set_pause("first", None))
    scene.work()
    assert scene.roles(scene.first)[2] is Role.SERVING


def test_it_takes_no_more_than_its_share_of_the_time(serving: Scene) -> None:
    scene = serving
    append(scene, 400)
    scene.work()
    scene.limits = RunnerLimits(rebuild_events_max=100, rebuild_share=0.25)
    scene.restart()
    scene.runner.verify()
    slow = Slow(scene, seconds=0.1)
    scene.rebuild(scene.first)
    began = scene.seconds
    until(scene, lambda: scene.generations(scene.first)[1].checkpoint.position == 420)
    assert slow.seconds / (scene.seconds - began) == pytest.approx(0.25, rel=0.2)


def test_what_comes_in_does_not_wait_for_its_rests(serving: Scene) -> None:
    scene = serving
    scene.limits = RunnerLimits(rebuild_events_max=100, rebuild_share=0.01)
    scene.restart()
    scene.runner.verify()
    Slow(scene, seconds=0.1)
    append(scene, 400)
    scene.work()
    scene.rebuild(scene.first)
    scene.runner.advance()
    append(scene, 1)
    assert scene.runner.advance() > 0
    assert scene.rows(scene.first)[-1] == 421
    assert scene.roles(scene.first)[2] is Role.BUILDING


def test_one_that_cannot_outrun_the_events_says_so_and_rests_no_more(
    serving: Scene,
) -> None:
    scene = serving
    scene.limits = RunnerLimits(rebuild_events_max=100, rebuild_share=0.1)
    scene.restart()
    scene.runner.verify()
    append(scene, 2000)
    scene.work()
    slow = Slow(scene, seconds=1.0)
    scene.rebuild(scene.first)
    with capture_logs() as logs:
        for _ in range(60):
            append(scene, 150)
            step(scene)
    said = [line for line in logs if line["event"] == "rebuild_falls_behind"]
    assert len(said) == 1
    assert progress_of(scene, 2).falling_behind
    assert progress_of(scene, 2).seconds_left is None
    before = slow.calls
    scene.runner.advance()
    scene.runner.advance()
    assert slow.calls > before + 1
    slow.per_call = 0.0
    scene.work()
    assert scene.roles(scene.first)[2] is Role.SERVING


def test_how_long_it_will_take_is_told(serving: Scene) -> None:
    scene = serving
    scene.limits = RunnerLimits(rebuild_events_max=100, rebuild_share=1.0)
    scene.restart()
    scene.runner.verify()
    append(scene, 3000)
    scene.work()
    Slow(scene, seconds=1.0)
    scene.rebuild(scene.first)
    for _ in range(10):
        step(scene)
    progress = progress_of(scene, 2)
    assert progress.seconds_left is not None
    # 100 events a second, and some 2000 to go.
    assert 10 < progress.seconds_left < 40
    assert 40 < progress.events_per_second < 110
    assert scene.sample("rebuild_progress", scene.first) == pytest.approx(0.33, abs=0.1)


def perform(scene: Scene, name: str) -> None:
    """Something happens."""
    generations = scene.generations(scene.first)
    made = building(generations, version=1)
    match name:
        case "append":
            append(scene, 3)
        case "advance":
            step(scene)
        case "rebuild" if made is None:
            scene.rebuild(scene.first)
        case "back" if made is None:
            kept = previous(generations, version=1)
            with suppress(GenerationBehind):
                if kept is not None:
                    scene.change(
                        lambda register: register.switch(
                            "first", kept.number, now=scene.log.now
                        )
                    )
        case "crash":
            scene.restart()
            scene.runner.verify()
        case "day":
            scene.log.now += DAY * SECOND
            scene.seconds += 1.0
        case _:
            """There is nothing to rebuild or to go back to now."""


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.sampled_from(
            [
                "append",
                "append",
                "advance",
                "advance",
                "rebuild",
                "back",
                "crash",
                "day",
            ]
        ),
        max_size=40,
    )
)
def test_whatever_happens_what_serves_is_a_prefix_of_the_log_and_only_grows(
    steps: list[str],
) -> None:
    scene = a_scene_in_memory()
    scene.catch_up()
    seen = 0
    for name in steps:
        perform(scene, name)
        rows = scene.rows(scene.first)
        assert rows == list(range(1, len(rows) + 1))
        assert len(rows) >= seen
        seen = len(rows)
    scene.work()
    scene.pass_time(2)
    end = scene.log.append(an_id(), PLACED)[-1].position
    scene.work()
    assert scene.rows(scene.first) == list(range(1, end + 1))
    for generation in scene.generations(scene.first):
        if generation.role is not Role.DROPPING:
            assert scene.rows(scene.first, generation.number) == list(range(1, end + 1))
    scene.close()


def test_in_place_of_what_has_stopped_it_takes_over_also_after_a_crash(
    serving: Scene,
) -> None:
    scene = serving
    scene.first.poison[21] = RuntimeError("cannot")
    append(scene, 30)
    scene.work()
    assert scene.generations(scene.first)[0].failure is not None
    scene.first.poison.clear()
    scene.limits = RunnerLimits(batch_events_max=4, rebuild_events_max=4)
    scene.restart()
    scene.catch_up()
    scene.rebuild(scene.first)
    until(scene, lambda: scene.generations(scene.first)[1].checkpoint.position > 24)
    assert scene.roles(scene.first)[2] is Role.BUILDING
    scene.restart()
    scene.catch_up()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert scene.rows(scene.first) == list(range(1, 51))
    assert "which has stopped at position 20" in (
        scene.generations(scene.first)[1].comparison
    )


def test_one_that_has_failed_does_not_fall_behind(serving: Scene) -> None:
    scene = serving
    scene.first.poison[5] = RuntimeError("cannot")
    scene.rebuild(scene.first)
    with capture_logs() as logs:
        scene.work()
        scene.pass_time(30)
    assert scene.generations(scene.first)[1].failure is not None
    assert not progress_of(scene, 2).falling_behind
    assert "rebuild_falls_behind" not in {line["event"] for line in logs}


def test_one_that_was_paused_does_not_fall_behind(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    pause = a_pause(scene.log.now)
    scene.change(lambda register: register.set_pause("first", pause))
    scene.pass_time(30)
    scene.change(lambda register: register.set_pause("first", None))
    with capture_logs() as logs:
        scene.work()
    assert scene.roles(scene.first)[2] is Role.SERVING
    assert "rebuild_falls_behind" not in {line["event"] for line in logs}


def test_a_rebuild_of_an_empty_log_is_as_fresh_as_what_it_replaces(
    scene: Scene,
) -> None:
    scene.catch_up()
    scene.rebuild(scene.first)
    until(scene, lambda: scene.roles(scene.first)[2] is Role.SERVING)
    checkpoint = scene.checkpoint(scene.first)
    assert checkpoint is not None
    assert (checkpoint.store_id, checkpoint.complete_time) == (
        STORE_ID,
        scene.log.now,
    )


def test_a_switch_that_is_not_stored_is_made_again(serving: Scene) -> None:
    scene = serving
    scene.rebuild(scene.first)
    failures = [StoreUnavailable()]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    scene.read_store.on_durable_commit = fail_once
    with pytest.raises(StoreUnavailable):
        scene.work()
    assert scene.roles(scene.first) == {1: Role.SERVING, 2: Role.BUILDING}
    scene.work()
    assert scene.roles(scene.first) == {1: Role.REPLACED, 2: Role.SERVING}
    assert scene.rows(scene.first) == list(range(1, 21))
