"""Addresses to listen at, as "host:port"."""

import errno
import re
import socket
from dataclasses import dataclass
from typing import Any

from eventcore.errors import StartFailed

PORT_MAX = 65535

_ADDRESS = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})"
)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host and a port; port 0 lets the system choose a free one."""

    host: str
    """A name, an IPv4 address, or an IPv6 address without its brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @staticmethod
    def parse(text: str) -> "ListenAddress":
        """The address in a text like "127.0.0.1:50051" or "[::1]:50051".

        Raises:
            ValueError: it is not one; the message says what is.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > PORT_MAX:
            raise ValueError(
                "must be host:port with a port of 0 to 65535, like 127.0.0.1:50051"
            )
        return ListenAddress(match["host"].strip("[]"), int(match["port"]))


def check_free(address: ListenAddress) -> None:
    """Tries the address with bare sockets, whose errors say more than those of a library.

    A name may stand for several addresses. One of them in use is enough: half of the clients would
    reach the other process.

    Raises:
        StartFailed: it is in use, or not of this machine.
    """
    try:
        targets = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as unresolved:
        raise cannot_listen(address, unresolved) from None
    errors = [_listen_error(target) for target in targets]
    for error in errors:
        if error is not None and (error.errno == errno.EADDRINUSE or all(errors)):
            raise cannot_listen(address, error)


def _listen_error(target: tuple[Any, ...]) -> OSError | None:
    family, kind, protocol, _, place = target
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections of before that linger do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def cannot_listen(address: ListenAddress, error: OSError | None = None) -> StartFailed:
    """The failure to start that an error of the system means."""
    if error is not None and error.errno == errno.EADDRINUSE:
        return StartFailed(
            f"address {address} is in use: stop the other process or choose another address"
        )
    why = f" ({error.strerror})" if error is not None else ""
    return StartFailed(
        f"cannot listen at address {address}{why}: choose another address"
    )
