"""The read server before, while and after there is something to read."""

import asyncio
import os
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from eventcore.errors import StartFailed
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from eventcore.sql.read_store import SqlReadStore
from eventcore.sql.sqlite import owner_engine
from orderes.v1.query_service_pb2 import GetOrderRequest, ListOrdersRequest
from read_server.bootstrap import serve
from read_server.readiness import ReadStoreReplaced
from read_server.settings import ReadServerSettings
from tests.read_server.scene import NEVER, Scene
from tests.support.envelopes import an_id
from tests.support.eventually import eventually
from tests.support.rpc import LOCALHOST, failure_of


async def test_until_there_are_read_models_it_is_up_and_says_so(
    tmp_path: Path,
) -> None:
    async with Scene(tmp_path, poll_seconds=NEVER).running() as scene:
        assert not await scene.is_serving("")
        assert not await scene.is_serving()
        failure = await failure_of(
            scene.queries.GetOrder(GetOrderRequest(order_id=an_id()))
        )
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "STORE_UNAVAILABLE",
        )
        order_id = await scene.place()
        await scene.ready()
        assert await scene.is_serving("")
        answer = await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
        assert answer.order.order_id == order_id


async def test_read_models_of_an_older_release_are_waited_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, poll_seconds=NEVER)
    older = await asyncio.to_thread(
        lambda: SqlReadStore(
            owner_engine(scene.path, durable=False), tables=[], schema_version=1
        )
    )
    await asyncio.to_thread(older.close)
    async with scene.running():
        failure = await failure_of(
            scene.queries.GetOrder(GetOrderRequest(order_id=an_id()))
        )
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "STORE_UNAVAILABLE",
        )
        assert "older release" in failure.message
        assert not await scene.is_serving()
        order_id = await scene.place()
        await scene.ready()
        answer = await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
        assert answer.order.order_id == order_id
    assert scene.stop.error is None


async def test_read_models_of_a_newer_release_end_the_process(tmp_path: Path) -> None:
    scene = Scene(tmp_path, poll_seconds=NEVER)
    store = await asyncio.to_thread(
        lambda: SqlReadStore(
            owner_engine(scene.path, durable=False), tables=[], schema_version=99
        )
    )
    async with scene.running():
        await asyncio.wait_for(scene.stop.wait(), timeout=10)
    assert isinstance(scene.stop.error, StartFailed)
    await asyncio.to_thread(store.close)


async def test_a_file_that_is_replaced_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections lead to the old file: they would answer from it for ever."""
    monkeypatch.setattr("read_server.readiness.LOOK_SECONDS", 0.01)
    scene = Scene(tmp_path, poll_seconds=NEVER)
    await scene.project()
    async with scene.running():
        await scene.ready()
        other = tmp_path / "other.db"
        await asyncio.to_thread(other.touch)
        await asyncio.to_thread(os.replace, other, scene.path)
        await asyncio.wait_for(scene.stop.wait(), timeout=10)
    assert isinstance(scene.stop.error, ReadStoreReplaced)


async def test_a_query_leaves_one_line_for_those_who_look_closely(scene: Scene) -> None:
    with capture_logs() as logs:
        await scene.queries.ListOrders(ListOrdersRequest())
        await eventually(lambda: bool(logs))
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("query", "debug")
    assert line["method"] == "/orderes.v1.QueryService/ListOrders"
    assert line["rows"] == 0


async def test_the_process_starts_before_there_is_a_folder_and_drains(
    tmp_path: Path,
) -> None:
    settings = load_settings(
        ReadServerSettings,
        {
            "data_dir": tmp_path / "new" / "folder",
            "read_address": LOCALHOST,
            "read_metrics_address": LOCALHOST,
        },
    )
    stop = Stop()
    with capture_logs() as logs:
        serving = asyncio.create_task(serve(settings, stop))
        await eventually(lambda: any(line["event"] == "listening" for line in logs))
        stop.set()
        await serving
    line = next(line for line in logs if line["event"] == "listening")
    assert line["service"] == "orderes.v1.QueryService"
    assert line["address"].startswith("127.0.0.1:")
    assert line["metrics_address"].startswith("127.0.0.1:")
