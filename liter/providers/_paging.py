"""Queries for one page of a list, in each provider's words."""

from urllib.parse import urlencode

from .._contract import Call


def query_of(**fields: object) -> str:
    """A query of the fields that are not ``None``, percent-encoded, with its question mark; nothing without any."""
    told = {name: value for name, value in fields.items() if value is not None}
    return f"?{urlencode(told)}" if told else ""


def page_query(call: Call[object], *, limit: str, most: int, after: str) -> str:
    """The query for the page that a request asks for, percent-encoded.

    :param limit: what the provider calls the size of a page, and ``most`` the largest there is, asked for by default
    :param after: what it calls the place where the page begins
    """
    size, place = getattr(call.request, "limit", None), getattr(call.request, "after", None)
    fields: dict[str, object] = {limit: size or most}
    if place is not None:
        fields[after] = place
    return urlencode(fields)
