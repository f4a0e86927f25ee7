"""The metrics port."""

import socket
import time
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from eventcore.errors import StartFailed
from eventcore.process.metrics_server import MetricsServer
from tests.support.processes import is_free, wait_until

LOCALHOST = "127.0.0.1:0"


def test_the_metrics_of_the_registry_are_served() -> None:
    registry = CollectorRegistry()
    Counter("orderes_things", "Things.", registry=registry).inc(3)
    server = MetricsServer(LOCALHOST, registry)
    address = server.start()
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        assert b"orderes_things_total 3.0" in answer.read()
    server.close()


def test_an_address_in_use_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(
            StartFailed, match=f"{address} is in use: stop the other process"
        ):
            MetricsServer(address, CollectorRegistry()).start()


@pytest.mark.parametrize("address", ["nowhere", "host.invalid:80"])
def test_an_address_that_cannot_be_is_named(address: str) -> None:
    with pytest.raises(StartFailed, match=address):
        MetricsServer(address, CollectorRegistry()).start()


async def test_closing_twice_on_an_event_loop_does_not_block_it_and_frees_the_port() -> (
    None
):
    server = MetricsServer(LOCALHOST, CollectorRegistry())
    port = int(server.start().rpartition(":")[2])
    before = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - before < 0.3
    assert port


def test_a_closed_port_is_free() -> None:
    server = MetricsServer(LOCALHOST, CollectorRegistry())
    port = int(server.start().rpartition(":")[2])
    assert not is_free(port)
    server.close()
    wait_until(lambda: is_free(port), seconds_max=5, what="the port is free")


def test_a_server_that_was_not_started_can_be_closed() -> None:
    MetricsServer(LOCALHOST, CollectorRegistry()).close()
