"""Asking after a job: at the address that the provider told, if it is the provider's own."""

from urllib.parse import urlsplit

from .._contract import Call
from .._errors import SerializationError
from .._http import Headers, HttpRequest, same_origin
from ._headers import GET, merged
from ._retry_after import retry_after
from ._wire import FollowUp, WireProvider


def ask_after(
    provider: WireProvider, call: Call[object], url: str, headers: Headers, *, delay: float = 1.0, hosts: str = ""
) -> FollowUp:
    """Make the request that asks whether a job is done.

    :param url: where, as the provider told. The key goes there, so it must be where the call itself went
    :param headers: of the answer that told it: they may say how long to wait
    :param delay: seconds to wait where nothing is said
    :param hosts: a domain, whose hosts are the provider's, too
    :raises SerializationError: it is somebody else's address
    """
    base = call.route.base_url
    parts = urlsplit(url)
    own = same_origin(url, base)
    if not own and hosts and parts.scheme == "https" and parts.port in (None, 443):
        # Only for calls to the provider itself: a gateway's key is not for it.
        own = f".{parts.hostname or ''}".endswith(f".{hosts}") and f".{urlsplit(base).hostname or ''}".endswith(
            f".{hosts}"
        )
    if not own:
        raise SerializationError(
            f"the reply tells to ask at {parts.scheme}://{parts.hostname}, which is not where the call went: "
            "the key is not sent there",
            status=200,
            provider=provider.name,
            model=call.route.model or None,
            retryable=False,
        )
    request = HttpRequest(
        method="GET",
        base_url=f"{parts.scheme}://{parts.netloc}",
        path=parts.path + (f"?{parts.query}" if parts.query else ""),
        headers=merged(GET + provider.auth.headers(call.route.api_key), call.headers),
    )
    return ask_again(request, headers, delay=delay)


def ask_again(request: HttpRequest, headers: Headers, *, delay: float = 1.0) -> FollowUp:
    """Ask the same once more, after the seconds that the answer says, or ``delay``."""
    told = retry_after(headers)
    return FollowUp(request=request, delay=delay if told is None else told)
