"""The projector as a process that is killed under load, again and again."""

import random
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from contexts.orders.read.tables import order_key
from contexts.orders.schemas import order_codec
from contexts.orders.view import OrderView, fold_view
from contexts.orders.wire.answers import event_to_answer, order_to_answer
from eventcore.messages import EventEnvelope
from eventcore.sql.sqlite import reader_engine
from eventcore.sql.write_store import SqlWriteStoreReader
from tests.support.load import under_load, wait_for
from tests.support.processes import StartedProcess, start_module
from tests.support.write_process import ANY_PORT, start_write_server

KILLS = 3
SMALL_BATCHES = ("--projection-batch-events-max", "2")
"""So small that a projector is still catching up, with one commit after the other, when it is
killed."""


def start_projector(data_dir: Path, *flags: str) -> StartedProcess:
    return start_module(
        "projector",
        *("--data-dir", str(data_dir)),
        *("--projector-address", ANY_PORT),
        *("--projector-metrics-address", ANY_PORT),
        *flags,
    )


def rows_of(data_dir: Path, query: str) -> list[Any]:
    """Rows of the read models, also while a projector is at work on them."""
    path = data_dir / "read.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def positions(data_dir: Path) -> list[int]:
    """How far each projection is."""
    return [row[0] for row in rows_of(data_dir, "SELECT position FROM checkpoints")]


def log_of(data_dir: Path) -> list[EventEnvelope]:
    """The whole log."""
    store = SqlWriteStoreReader(reader_engine(data_dir / "write.db"))
    with closing(store), store.snapshot() as snapshot:
        end = snapshot.events.head().position
        return snapshot.events.read_log(after_position=0, limit=end)


def folded(log: Sequence[EventEnvelope]) -> list[OrderView]:
    """Every order of the log, from the one fold of the context."""
    histories: dict[str, list[EventEnvelope]] = {}
    for envelope in log:
        histories.setdefault(envelope.stream.key, []).append(envelope)
    views = [
        fold_view(
            order_id,
            [(order_codec.decode(e), e.position, e.record_time) for e in history],
        )
        for order_id, history in histories.items()
    ]
    return [view for view in views if view is not None]


def assert_is_the_fold(data_dir: Path, log: Sequence[EventEnvelope]) -> None:
    """The read models hold what follows from the log, and nothing else."""
    views = folded(log)
    assert dict(rows_of(data_dir, "SELECT order_id, answer FROM orders")) == {
        order_key(view.order_id): order_to_answer(view) for view in views
    }
    products = rows_of(data_dir, "SELECT product_id, order_id FROM order_products")
    assert sorted(products) == sorted(
        (line.product_id, order_key(view.order_id))
        for view in views
        for line in view.lines
    )
    events = "SELECT position, version, answer FROM order_events ORDER BY position"
    assert rows_of(data_dir, events) == [
        (e.position, e.stream_version, event_to_answer(e)) for e in log
    ]


def test_a_projector_that_is_killed_skips_nothing_and_applies_nothing_twice(
    tmp_path: Path,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    with start_write_server(tmp_path) as server:
        with under_load(server, seed=seed):
            enough = 0
            for _ in range(KILLS):
                with start_projector(tmp_path, *SMALL_BATCHES) as projector:
                    projector.listening()
                    enough += chance.randint(1, 50)
                    wait_for(
                        lambda: min(positions(tmp_path), default=0) >= enough,  # noqa: B023
                        "projected events",
                    )
                    projector.kill()
                    enough = max(positions(tmp_path))
        assert server.stop() == 0
    log = log_of(tmp_path)
    assert len(log) > enough
    with start_projector(tmp_path) as projector:
        wait_for(lambda: set(positions(tmp_path)) == {len(log)}, "the end of the log")
        assert projector.stop() == 0
    assert_is_the_fold(tmp_path, log)
