"""Connections to public addresses only: for URLs that come from whoever wrote the request's content.

A name is resolved here, and each of its addresses is checked before one of them is dialled by number: so what was
checked is what is connected to, whatever the name server says the next time.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
import httpcore

from ._transport import default_backend

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# Networks that stand for IPv4 addresses: the last 32 bits (NAT64) or those after the first 16 (6to4) are one.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")


class NotPublicError(httpcore.ConnectError):
    """The address is private, of this machine, of the local link, or reserved."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet, also when it is an IPv4 address inside an IPv6 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif inner is None and ip in _6TO4:
            inner = ipaddress.IPv4Address((int(ip) >> 80) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


async def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a name, by the system's resolver, in its order.

    :raises OSError: there are none
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class PublicBackend(httpcore.AsyncNetworkBackend):
    """Connects as another backend does, to public addresses only.

    :param backend: dials the numbers; by default that of the running event loop
    :param resolver: gives the addresses of a name
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend | None = None, *, resolver: Resolve = resolve) -> None:
        self._backend = backend
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect.

        :raises NotPublicError: one of the host's addresses is not public. One is enough: a name that stands for both
            kinds is a trick
        """
        try:
            ipaddress.ip_address(host)
            addresses: Sequence[str] = [host]
        except ValueError:
            addresses = await self._resolver(host, port)
        if not addresses:
            raise httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            if not is_public(address):
                raise NotPublicError(f"{host} is at {address}, which is no public address")
        backend = self._backend or default_backend()
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, OSError) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise NotPublicError("a socket of this machine is no public address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
