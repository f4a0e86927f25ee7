"""The client against a scripted server."""

from collections.abc import AsyncIterator

import pytest

from orderes.client import Client, RetryPolicy
from tests.client.scripted import Script, scripted_server

QUICK = RetryPolicy(backoff_seconds=0.001, backoff_seconds_max=0.01)


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with scripted_server() as script:
        yield script


@pytest.fixture
async def client(script: Script) -> AsyncIterator[Client]:
    async with Client(script.address, script.address, retries=QUICK) as client:
        yield client
