"""The read server before, while and after there is something to read."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from contexts.orders.read.product_sales import PRODUCT_SALES
from contexts.orders.read.registry import ORDER_PROJECTIONS
from eventcore.errors import StartFailed
from eventcore.process.lifecycle import Stop
from eventcore.process.settings import load_settings
from eventcore.sql.sqlite import owner_engine
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.query_service_pb2 import (
    GetOrderRequest,
    ListOrdersRequest,
    ListProductSalesRequest,
)
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


def make_layout(path: Path, *, version: int) -> None:
    """A read store as a release with another layout has left it."""
    engine = owner_engine(path, durable=False)
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE read_meta (id INTEGER PRIMARY KEY, schema_version INTEGER)",
            f"INSERT INTO read_meta VALUES (1, {version})",
            "CREATE TABLE checkpoints (projection TEXT PRIMARY KEY, position INTEGER)",
            "CREATE TABLE orders (order_id BLOB PRIMARY KEY, answer BLOB)",
        ):
            connection.execute(text(statement))
    engine.dispose()


async def test_read_models_of_an_older_release_are_waited_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, poll_seconds=NEVER)
    await asyncio.to_thread(make_layout, scene.path, version=2)
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
    await asyncio.to_thread(make_layout, scene.path, version=99)
    async with scene.running():
        await asyncio.wait_for(scene.stop.wait(), timeout=10)
    assert isinstance(scene.stop.error, StartFailed)


def lines_of(logs: Sequence[Any], event: str) -> list[dict[str, Any]]:
    return [line for line in logs if line["event"] == event]


async def test_a_read_model_in_the_making_holds_up_only_its_own_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older release has made it; until this one's is there, all others are answered."""
    monkeypatch.setattr("read_server.readiness.LOOK_SECONDS", 0.01)
    scene = Scene(tmp_path, poll_seconds=NEVER)
    older = replace(PRODUCT_SALES, version=PRODUCT_SALES.version - 1)
    others = [each for each in ORDER_PROJECTIONS if each is not PRODUCT_SALES]
    await scene.restart_projector([*others, older])
    order_id = await scene.place()
    # Its first look makes the new generation, and applies nothing to it yet.
    await scene.restart_projector(ORDER_PROJECTIONS)
    no_wait = Consistency()
    no_wait.max_wait.FromMilliseconds(0)
    sales = ListProductSalesRequest(consistency=no_wait)
    with capture_logs() as logs:
        async with scene.running():
            await scene.ready()
            (line,) = lines_of(logs, "not_answered_yet")
            assert line["projection"] == "product_sales"
            assert "is being made" in line["reason"]
            failure = await failure_of(scene.queries.ListProductSales(sales))
            assert (failure.code, failure.reason) == (
                grpc.StatusCode.UNAVAILABLE,
                "PROJECTION_LAGGING",
            )
            assert failure.metadata["projection"] == "product_sales"
            assert "RetryInfo" in failure.details
            answer = await scene.queries.GetOrder(GetOrderRequest(order_id=order_id))
            assert answer.order.order_id == order_id
            await scene.project()
            await eventually(lambda: bool(lines_of(logs, "answered_now")))
            assert (await scene.queries.ListProductSales(sales)).read_info.position == 1
    assert len(lines_of(logs, "not_answered_yet")) == 1
    assert len(lines_of(logs, "answered_now")) == 1
    assert [line["event"] for line in logs if "ready" in line["event"]] == ["ready"]


async def test_a_read_model_that_the_store_does_not_know_is_waited_for(
    tmp_path: Path,
) -> None:
    """A projector of an older release knows fewer; what it knows is answered."""
    scene = Scene(tmp_path, poll_seconds=NEVER)
    known = [each for each in ORDER_PROJECTIONS if each is not PRODUCT_SALES]
    await scene.restart_projector(known)
    order_id = await scene.place()
    async with scene.running():
        request = GetOrderRequest(order_id=order_id)
        assert (await scene.queries.GetOrder(request)).read_info.position == 1
        failure = await failure_of(
            scene.queries.ListProductSales(ListProductSalesRequest())
        )
        assert failure.reason == "STORE_UNAVAILABLE"
        assert not await scene.is_serving()
        await scene.restart_projector(ORDER_PROJECTIONS)
        await scene.project()
        await scene.ready()
        sales = await scene.queries.ListProductSales(ListProductSalesRequest())
        assert sales.read_info.position == 1


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
