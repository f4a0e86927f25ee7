"""Addresses to listen at."""

import errno
import socket
from typing import Any

import pytest

from eventcore.errors import StartFailed
from eventcore.process.address import ListenAddress, cannot_listen, check_free


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_an_address_reads_as_it_is_written(text: str, host: str, port: int) -> None:
    address = ListenAddress.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize(
    "text",
    ["", ":", "host", "host:", ":1", "host:-1", "host:65536", "::1:1", "a b:1", "h:1 "],
)
def test_what_is_not_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be host:port"):
        ListenAddress.parse(text)


def test_a_free_address_passes() -> None:
    check_free(ListenAddress("127.0.0.1", 0))


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(StartFailed, match=r"cannot listen at address host\.invalid:80"):
        check_free(ListenAddress("host.invalid", 80))


def addresses(
    monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]
) -> ListenAddress:
    """A name that stands for these places."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]

    def getaddrinfo(*_args: Any, **_flags: Any) -> Any:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return ListenAddress("several", 80)


def test_one_place_of_a_name_in_use_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        name = addresses(monkeypatch, ("127.0.0.1", 0), other.getsockname())
        with pytest.raises(StartFailed, match="several:80 is in use"):
            check_free(name)


def test_a_place_that_this_machine_lacks_does_not_matter_beside_one_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_free(addresses(monkeypatch, ("192.0.2.1", 80), ("127.0.0.1", 0)))
    with pytest.raises(StartFailed, match="Cannot assign requested address"):
        check_free(addresses(monkeypatch, ("192.0.2.1", 80)))


def test_an_error_of_the_system_is_told_with_what_to_do() -> None:
    denied = OSError(errno.EACCES, "Permission denied")
    assert cannot_listen(ListenAddress("127.0.0.1", 80), denied).message == (
        "cannot listen at address 127.0.0.1:80 (Permission denied): choose another address"
    )
