"""Answers of search engines, of all of which one kind of result is made."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isfinite
from typing import cast

import msgspec

from .._contract import Call
from ..types import SearchRequest, SearchResponse, SearchResult, Usage
from ._classify import classify
from ._read import read_plainly

JsonObject = dict[str, object]

_BODY = msgspec.json.Decoder(JsonObject)

# What is said under "error" where nothing was found, which is no failure.
_NOTHING_FOUND = "any results"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine's answer has what. Paths have dots; of several names the first that is there counts.

    :param items: paths of the lists of results, one after the other
    :param title: names, in a result, of the parts of ours
    :param good: where statuses stand, and which are good ones: of those who tell failures under HTTP's 200
    :param kinds: of results, those that are taken, by their field ``type``; empty: all
    """

    items: tuple[str, ...]
    title: tuple[str, ...] = ("title",)
    url: tuple[str, ...] = ("url",)
    snippet: tuple[str, ...] = ("snippet",)
    date: tuple[str, ...] = ("date",)
    score: str = "score"
    content: tuple[str, ...] = ()
    id: str = ""
    answer: str = ""
    cost: str = ""
    status: tuple[str, ...] = ()
    good: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()


def read_search(shape: Shape, call: Call[object], body: bytes) -> SearchResponse:
    """Decode what was found.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    told = read_plainly(call, body, _BODY, "what a search found")
    _check(shape, call, body, told)
    request = cast("SearchRequest", call.request)
    found = [
        _result(shape, cast("JsonObject", item))
        for path in shape.items
        for item in _flat(_at(told, path))
        if isinstance(item, dict)
        and (not shape.kinds or cast("JsonObject", item).get("type", shape.kinds[0]) in shape.kinds)
    ]
    # What has neither is no page, but a heading over others (DuckDuckGo).
    results = [result for result in found if result.url or result.title]
    cost = _at(told, shape.cost) if shape.cost else None
    taken = {path.partition(".")[0] for path in (*shape.items, shape.id, shape.answer)}
    rest = {name: value for name, value in told.items() if name not in taken and value not in (None, [], {})}
    return SearchResponse(
        id=_text(_at(told, shape.id)) if shape.id else "",
        model=call.route.model,
        # Some give a page of them whatever was asked.
        results=results[: request.max_results],
        answer=(_text(_at(told, shape.answer)) or None) if shape.answer else None,
        usage=Usage(searches=1, reported_cost=_amount(cost)),
        native=rest or None,
    )


def _amount(cost: object) -> Decimal | None:
    if not isinstance(cost, int | float) or isinstance(cost, bool) or not isfinite(cost):
        return None
    # The digits that are told, and not the binary number next to them.
    return Decimal(repr(cost))


def _check(shape: Shape, call: Call[object], body: bytes, told: JsonObject) -> None:
    provider, model = call.route.provider, call.route.model or None
    for path in shape.status:
        at = _at(told, path)
        if at is not None and at not in shape.good:
            code = str(at)
            owner: object = _at(told, path.rpartition(".")[0]) if "." in path else told
            raise classify(msgspec.json.encode(owner), status=None, provider=provider, model=model, code=code)
    error = told.get("error")
    if told.get("success") is False or (error and _NOTHING_FOUND not in str(error)):
        raise classify(body, status=None, provider=provider, model=model)


def _result(shape: Shape, item: JsonObject) -> SearchResult:
    score = item.get(shape.score)
    content = _first(item, shape.content)
    names = {
        *(("type",) if shape.kinds else ()),
        *shape.title,
        *shape.url,
        *shape.snippet,
        *shape.date,
        shape.score,
        *shape.content,
    }
    rest = {name: value for name, value in item.items() if name not in names and value not in (None, [], {})}
    return SearchResult(
        title=_first(item, shape.title),
        url=_first(item, shape.url),
        snippet=_first(item, shape.snippet),
        date=_first(item, shape.date) or None,
        score=float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
        content=content or None,
        native=rest or None,
    )


def _first(item: Mapping[str, object], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := _text(item.get(name)))), "")


def _text(value: object) -> str:
    """A value as text: excerpts that come as a list are lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(part for part in cast("list[object]", value) if isinstance(part, str))
    return "" if value is None or isinstance(value, bool | dict) else str(value)


def _at(tree: object, path: str) -> object:
    """What is at a path. In the place of a list stands its first item, where more of the path follows."""
    for step in path.split("."):
        if isinstance(tree, list):
            tree = next(iter(cast("list[object]", tree)), None)
        if not isinstance(tree, dict):
            return None
        tree = cast("JsonObject", tree).get(step)
    return tree


def _flat(value: object) -> Iterator[object]:
    """The items of a list, of the lists in it (one for each of several queries), or of none."""
    for item in cast("list[object]", value) if isinstance(value, list) else ():
        if isinstance(item, list):
            yield from cast("list[object]", item)
        else:
            yield item
