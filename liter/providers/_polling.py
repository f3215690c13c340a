"""Asking after a job: at the address that the provider told, if it is the provider's own."""

from urllib.parse import urlsplit

from .._contract import Call
from .._errors import SerializationError
from .._http import Headers, HttpRequest, Origin, parse_base_url
from ._headers import GET
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
    place, home = _origin(url), _origin(call.route.base_url)
    own = place is not None and place == home
    if place is not None and home is not None and hosts:
        # Only for calls to the provider itself: a gateway's key is not for it.
        own = own or (place.scheme == "https" and place.port == 443 and _within(place, hosts) and _within(home, hosts))
    if place is None or not own:
        raise SerializationError(
            f"the reply tells to ask at {place or 'no address'}, which is not where the call went: "
            "the key is not sent there",
            status=200,
            provider=provider.name,
            model=call.route.model or None,
            retryable=False,
        )
    parts = urlsplit(url)
    request = provider.request(call, "GET", str(place), parts.path + (f"?{parts.query}" if parts.query else ""), GET)
    return ask_again(request, headers, delay=delay)


def ask_again(request: HttpRequest, headers: Headers, *, delay: float = 1.0) -> FollowUp:
    """Ask the same once more, after the seconds that the answer says, or ``delay``."""
    told = retry_after(headers)
    return FollowUp(request=request, delay=delay if told is None else told)


def _origin(url: str) -> Origin | None:
    try:
        return parse_base_url(url).origin
    except ValueError:
        return None


def _within(place: Origin, domain: str) -> bool:
    return f".{place.host}".endswith(f".{domain}")
