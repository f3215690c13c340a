"""One request on the wire, as attributes of its span and its metric."""

from urllib.parse import quote, unquote_plus

from .._contract import Attempt, Call
from .._http import HttpRequest
from . import _names as names
from ._request import Attributes


def creation_attributes(request: HttpRequest) -> Attributes:
    """Make the attributes that an attempt's span is born with."""
    origin = request.origin
    return {
        names.HTTP_METHOD: request.method,
        names.SERVER_ADDRESS: origin.host,
        names.SERVER_PORT: origin.port,
        names.URL_FULL: full_url(request),
    }


def full_url(request: HttpRequest) -> str:
    """Return the request's URL, with what logs in or signs replaced. It never has a user name: no base URL does."""
    path, mark, query = request.target.decode("ascii").partition("?")
    return f"{request.origin}{path}{mark}{'&'.join(_redacted(part) for part in query.split('&'))}"


def url_template(call: Call[object], request: HttpRequest) -> str:
    """Return the request's path with names in place of what the call fills in: ``/v1/models/{model}``."""
    path = request.target.decode("ascii").partition("?")[0]
    filled = {"model": call.route.model}
    for field in call.request.__struct_fields__:
        value = getattr(call.request, field)
        if isinstance(value, str) and field != "model":
            filled[field] = value
    segments = path.split("/")
    for name, value in filled.items():
        # Also "models/x" as one value, and "{model}:generateContent".
        for written in {quote(value, safe=""), quote(value, safe="/:"), quote(value, safe=":"), value} - {""}:
            segments = _substituted(segments, written.split("/"), f"{{{name}}}")
    return "/".join(segments)


def outcome_attributes(attempt: Attempt, error: str | None) -> Attributes:
    """Tell how an attempt ended. ``error`` is the ``error.type``."""
    attributes: Attributes = {}
    if attempt.status is not None:
        attributes[names.HTTP_STATUS] = attempt.status
    if error is not None:
        attributes[names.ERROR_TYPE] = error
    return attributes


def _redacted(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}=REDACTED" if equals and unquote_plus(name).lower() in names.SECRET_PARAMETERS else part


def _substituted(segments: list[str], written: list[str], name: str) -> list[str]:
    size = len(written)
    for start in range(len(segments) - size + 1):
        *before, last = segments[start : start + size]
        verb = last.removeprefix(written[-1])
        if before == written[:-1] and last.startswith(written[-1]) and (not verb or verb.startswith(":")):
            return [*segments[:start], name + verb, *segments[start + size :]]
    return segments
