"""Fetches what a request names by URL, for providers that take content in the request only. Off unless asked for.

The URLs may come from anybody: a user's upload form, a page that a model read. So nothing but public addresses is
connected to, checked at the connection itself; no credential, cookie or proxy goes along; redirects are followed a few
times, each as a new URL under the same rules; and size, time and kind of what comes back are bounded.
"""

import base64
from typing import TypeVar, cast
from urllib.parse import quote, urljoin, urlsplit

import anyio
import httpcore
from msgspec.structs import replace

from ._contract import Call
from ._errors import BadRequestError, LlmTimeoutError
from ._http import HttpRequest
from ._version import __version__
from .providers import Content, inlined
from .transport import TRANSPORT_ERRORS, NotPublicError, PublicBackend, Resolve, Response, Transport, resolve_host
from .types import ChatCompletionRequest

R = TypeVar("R")

# What providers take in a request: images and documents, a few megabytes each.
MOST_BYTES = 20 * 1024 * 1024
MOST_REDIRECTS = 3
SECONDS = 20.0
_KINDS = ("image/", "application/pdf", "text/plain", "audio/", "video/")
_HEADERS = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", f"liter/{__version__}".encode()),
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Fetcher:
    """Fetches public URLs.

    :param backend: dials; by default that of the running event loop
    :param resolver: gives the addresses of a name
    """

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend | None = None, *, resolver: Resolve = resolve_host
    ) -> None:
        self._transport = Transport(
            network_backend=PublicBackend(backend, resolver=resolver),
            trust_environment=False,
            max_connections=20,
            keepalive_expiry=0.0,
        )

    async def inline(self, call: Call[R], urls: tuple[str, ...]) -> Call[R]:
        """Return the call with the content of these URLs in its request.

        :raises BadRequestError: one cannot be fetched; says which and why
        :raises LlmTimeoutError: it took too long
        """
        contents: dict[str, Content] = {}
        enter_by = call.enter_by
        until = min(enter_by, anyio.current_time() + SECONDS)
        with anyio.CancelScope(deadline=until) as scope:
            for url in urls:
                contents[url] = await self._fetch(url, until)
        if scope.cancelled_caught:
            missing = next(url for url in urls if url not in contents)
            raise LlmTimeoutError(
                f"{_shown(missing)} was not fetched in time", limit="first event" if until == enter_by else "fetch"
            )
        return replace(call, request=inlined(cast("ChatCompletionRequest", call.request), contents))

    async def _fetch(self, url: str, until: float) -> Content:
        at = url
        for _ in range(1 + MOST_REDIRECTS):
            request = _request(at)
            try:
                response = await self._transport.send(request, connect=None, deadline=until, fresh=True)
            except NotPublicError as error:
                raise _refused(url, str(error)) from None
            except (*TRANSPORT_ERRORS, OSError) as error:
                raise _refused(url, str(error) or type(error).__name__) from error
            try:
                location = response.headers.get("location")
                if response.status in _REDIRECTS and location:
                    at = _joined(url, at, location)
                    continue
                return await _content(url, response)
            finally:
                await response.aclose()
        raise _refused(url, f"it leads on more than {MOST_REDIRECTS} times")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def _request(url: str) -> HttpRequest:
    try:
        parts = urlsplit(url)
    except ValueError as error:  # a host that is none
        raise _refused(url, str(error)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise _refused(url, "only http and https URLs without a user name are fetched")
    try:
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        origin = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")
    except ValueError as error:  # a port that is none
        raise _refused(url, str(error)) from None
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/?%:@!$&'()*+,;=~-._")
    return HttpRequest(method="GET", base_url=origin, path=path + (f"?{query}" if query else ""), headers=_HEADERS)


def _joined(url: str, at: str, location: str) -> str:
    try:
        return urljoin(at, location)
    except ValueError as error:  # anybody may have sent it
        raise _refused(url, f"it leads to no URL: {error}") from None


async def _content(url: str, response: Response) -> Content:
    if response.status != 200:
        raise _refused(url, f"the answer has status {response.status}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type.startswith(_KINDS):
        raise _refused(url, f"it is {media_type or 'of no known type'}, not an image or a document")
    body = bytearray()
    try:
        while piece := await response.read_chunk():
            body += piece
            if len(body) > MOST_BYTES:
                raise _refused(url, f"it is larger than {MOST_BYTES} bytes")
    except TRANSPORT_ERRORS as error:
        raise _refused(url, f"the answer broke off: {error}") from error
    return Content(media_type, base64.b64encode(body).decode("ascii"))


def _refused(url: str, why: str) -> BadRequestError:
    return BadRequestError(f"{_shown(url)} cannot be fetched: {why}. Give the content as data")


def _shown(url: str) -> str:
    """A URL without its query, which may hold a signature."""
    bare = url.partition("?")[0]
    return bare if len(bare) <= 200 else f"{bare[:200]}..."
