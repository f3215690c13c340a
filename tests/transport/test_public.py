"""Connections to public addresses only, checked at what is really dialled."""

from collections.abc import Sequence

import httpcore
import pytest

from liter.transport import NotPublicError, PublicBackend, is_public

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_addresses(address: str) -> None:
    """Those of the Internet, in whatever spelling."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 # an address to refuse
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_addresses_that_are_not(address: str) -> None:
    """This machine, private and shared networks, the local link with its metadata servers, and the reserved."""
    assert not is_public(address)


class Recording(httpcore.AsyncNetworkBackend):
    """Writes down what is dialled; some numbers do not answer."""

    def __init__(self, *dead: str) -> None:
        self.dialled: list[str] = []
        self.dead = dead

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.dialled.append(host)
        if host in self.dead:
            raise httpcore.ConnectError("no answer")
        return httpcore.AsyncMockStream([])


def names(**addresses: Sequence[str]):
    """A resolver that knows a few names."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses[host]

    return resolve


async def test_a_name_is_dialled_by_the_number_that_was_checked() -> None:
    """So a second answer of the name server cannot lead elsewhere."""
    backend = Recording()
    await PublicBackend(backend, resolver=names(site=["8.8.8.8", "8.8.4.4"])).connect_tcp("site", 80)
    assert backend.dialled == ["8.8.8.8"]


async def test_the_next_number_when_one_does_not_answer() -> None:
    """In the resolver's order; the last failure is told."""
    backend = Recording("8.8.8.8")
    await PublicBackend(backend, resolver=names(site=["8.8.8.8", "8.8.4.4"])).connect_tcp("site", 80)
    assert backend.dialled == ["8.8.8.8", "8.8.4.4"]
    with pytest.raises(httpcore.ConnectError, match="no answer"):
        await PublicBackend(Recording("8.8.8.8"), resolver=names(site=["8.8.8.8"])).connect_tcp("site", 80)
    with pytest.raises(httpcore.ConnectError, match="has no address"):
        await PublicBackend(Recording(), resolver=names(site=[])).connect_tcp("site", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "169.254.169.254", "inside", "both"])
async def test_what_is_not_public_is_never_dialled(host: str) -> None:
    """By number or by name; one private address of a name is enough."""
    backend = Recording()
    resolver = names(inside=["10.0.0.1"], both=["8.8.8.8", "127.0.0.1"])
    with pytest.raises(NotPublicError, match="no public address"):
        await PublicBackend(backend, resolver=resolver).connect_tcp(host, 80)
    assert backend.dialled == []


async def test_sockets_of_this_machine_are_none() -> None:
    """They are refused as well."""
    with pytest.raises(NotPublicError):
        await PublicBackend(Recording()).connect_unix_socket("/run/docker.sock")
