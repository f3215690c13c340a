"""The wires of search engines, from the server's side: each at its own path, in its own form."""

import base64
import binascii
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qsl

import msgspec

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Step, json_answer
from ._simulator_text import sentences
from ._wire_protocol import Headers, Refusal
from ._wire_search_forms import FORMS, Form, Found, Search


class SearchWire:
    """One search engine. It is spoken to its host, and under prefixes that have its name, at its path alone.

    What is found depends on the seed and the query; of more results the first are the same.
    """

    def __init__(self, form: Form) -> None:
        self._form = form

    def speaks(self, request: ReceivedRequest) -> bool:
        form, path = self._form, request.path.partition("?")[0]
        host = request.headers.get("host", "")
        if form.host not in host and f"/{form.name}/" not in f"{path}/":
            return False
        return f"{host}{path}".endswith(form.paths)

    def headers(self, request_id: str) -> Headers:
        return (("x-request-id", request_id),)

    def request_id(self, headers: Headers) -> str:
        return dict(headers)["x-request-id"]

    def key(self, request: ReceivedRequest) -> str | None:
        name = self._form.key
        if not name:
            return ""
        told = request.headers.get(name, "")
        if name != "authorization":
            return told or None
        scheme, _, key = told.partition(" ")
        if scheme.lower() != ("basic" if self._form.name == "dataforseo" else "bearer"):
            return None
        return (_password(key) if scheme.lower() == "basic" else key.strip()) or None

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        form = self._form
        if request.method != form.method:
            raise Refusal(405, f"{request.method} is no method of {request.path.partition('?')[0]}.")
        fields = _fields(request)
        query = fields.get(form.query)
        if not isinstance(query, str) or not query:
            raise Refusal(400, f"{form.query} is missing.", param=form.query)
        rng = model.random(f"search for {query}")
        found = [
            Found(
                title=sentences(rng, 1).rstrip("."),
                url=f"https://site-{rng.getrandbits(32):08x}.example/{number}",
                snippet=sentences(rng, 2),
                score=round(1 / number, 3),
            )
            for number in range(1, _count(form, fields) + 1)
        ]
        number = f"{model.random(f'id {self.request_id(headers)}').getrandbits(128):032x}"
        return json_answer(headers, form.answer(Search(query, number, found)))

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        return msgspec.json.encode(self._form.error(refusal.status, refusal.message, request_id))

    def error_event(self, kind: str | None, message: str) -> bytes:
        # No search is streamed.
        return self.error(Refusal(500, message), "")


SEARCH_WIRES = tuple(map(SearchWire, FORMS))


def _fields(request: ReceivedRequest) -> Mapping[str, object]:
    if request.method == "GET":
        return dict(parse_qsl(request.path.partition("?")[2]))
    told = request.json
    # DataForSEO is given a list of tasks; live ones are one at a time.
    if isinstance(told, list):
        told = next(iter(cast("list[object]", told)), None)
    if not isinstance(told, dict):
        raise Refusal(400, "The body is no JSON object.")
    return cast("dict[str, object]", told)


def _count(form: Form, fields: Mapping[str, object]) -> int:
    *outer, last = form.count.split(".")
    for name in outer:
        inside = fields.get(name)
        fields = cast("dict[str, object]", inside) if isinstance(inside, dict) else {}
    told = fields.get(last)
    if told is None:
        return form.usual
    try:
        count = int(str(told))
    except ValueError:
        count = 0
    if not 1 <= count <= form.most:
        raise Refusal(400, f"{form.count} must be 1 to {form.most}, not {told}.", param=form.count)
    return count


def _password(key: str) -> str:
    try:
        return base64.b64decode(key).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
