"""The outbox of a running write server stays short, and projectors read past what is gone."""

import shutil
from contextlib import closing
from pathlib import Path

from tests.support.load import under_load
from tests.support.read_side import (
    Operator,
    assert_verified,
    at_the_end,
    start_projector,
    wait_for,
)
from tests.support.write_process import outbox_in, start_write_server, stored_in

KEEP = 100
TAKEN_OUT = 100
"""By one transaction."""
SHORT = KEEP + 2 * TAKEN_OUT
"""What is kept, what is too little for a transaction, and what callers add until one is made."""
FLAGS = ("--outbox-keep-events", str(KEEP), "--outbox-prune-events-max", str(TAKEN_OUT))
SMALL_BATCHES = ("--projection-batch-events-max", "2")
"""So small that a projector is still catching up, with one commit after the other, when it is
killed."""
KEEP_NONE = ("--outbox-keep-events", "0", "--outbox-prune-events-max", str(TAKEN_OUT))


def wait_for_log(data_dir: Path, length: int) -> None:
    """Until there are so many events; all the while the outbox is short."""

    def is_so_long() -> bool:
        outbox, log = outbox_in(data_dir)
        assert outbox <= SHORT
        return log >= length

    wait_for(is_so_long, f"{length} events")


def assert_catches_up(data_dir: Path) -> None:
    """A projector that is started now ends with everything."""
    with at_the_end(data_dir):
        pass
    assert_verified(data_dir)


def positions(operator: Operator) -> list[int]:
    """How far each projection is."""
    return [shown.position for shown in operator.shown().values()]


def test_the_outbox_stays_short_through_a_kill_and_late_projectors_miss_nothing(
    tmp_path: Path,
) -> None:
    data_dir, anew = tmp_path / "data", tmp_path / "anew"
    with start_write_server(data_dir, *FLAGS) as server, under_load(server, seed=1):
        with (
            start_projector(data_dir, *SMALL_BATCHES) as projector,
            closing(Operator(projector)) as operator,
        ):
            wait_for(lambda: min(positions(operator), default=0) >= 10, "events")
            projector.kill()
        behind = outbox_in(data_dir)[1]
        wait_for_log(data_dir, behind + 2 * SHORT)
        server.kill()
    stored_in(data_dir, pruned=True).assert_sound()
    _, killed_at = outbox_in(data_dir)
    with start_write_server(data_dir, *FLAGS) as server:
        with under_load(server, seed=2):
            wait_for_log(data_dir, killed_at + SHORT)
        assert server.stop() == 0
    stored_in(data_dir, pruned=True).assert_sound()
    outbox, length = outbox_in(data_dir)
    assert KEEP <= outbox <= SHORT
    assert length - outbox > behind
    anew.mkdir()
    shutil.copy(data_dir / "write.db", anew)
    assert_catches_up(data_dir)
    assert_catches_up(anew)


def test_a_projector_keeps_up_with_a_server_that_keeps_nothing_in_its_outbox(
    tmp_path: Path,
) -> None:
    with (
        start_write_server(tmp_path, *KEEP_NONE) as server,
        start_projector(tmp_path) as projector,
        closing(Operator(projector)) as operator,
    ):
        with under_load(server, seed=3):
            wait_for_log(tmp_path, 5 * TAKEN_OUT)
        assert server.stop() == 0
        _, length = outbox_in(tmp_path)
        wait_for(lambda: set(positions(operator)) == {length}, "the end of the log")
        assert "projection_stopped" not in projector.output
        assert projector.stop() == 0
    assert_verified(tmp_path)
