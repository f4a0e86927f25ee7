"""A wire between a client and a server that can be cut, or go dead without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536


@dataclass(slots=True)
class Wire:
    """Carries bytes both ways, for any number of connections."""

    target: str
    address: str = ""
    connections: int = 0
    """So far."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _dead: set[asyncio.StreamWriter] = field(default_factory=set)

    def go_dead(self) -> None:
        """The connections that there are carry nothing any more, and do not end."""
        self._dead |= self._writers

    def cut(self) -> None:
        """The connections that there are end."""
        for writer in self._writers:
            writer.transport.abort()

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carries one connection, until it ends."""
        self.connections += 1
        host, _, port = self.target.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        ends = {writer, back}
        self._writers |= ends
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                if writer not in self._dead:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def wire_to(target: str) -> AsyncIterator[Wire]:
    """A wire to the server at an address."""
    wire = Wire(target)
    server = await asyncio.start_server(wire.carry, HOST, 0)
    wire.address = f"{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await server.wait_closed()
