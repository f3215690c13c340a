"""OpenAI's Responses API, from the server's side: made, kept, fetched, given up, forgotten."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Ask, Generation, Model
from ._simulator_paging import page_of
from ._simulator_steps import Step, json_answer, stream_answer
from ._simulator_text import prompt_tokens, tokenize
from ._wire_openai_operations import CREATED
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]


class _Reasoning(Struct):
    effort: str | None = None


class _Tool(Struct):
    type: str
    name: str = ""
    parameters: JsonObject = {}


class _Request(Struct):
    model: str = "simulated"
    input: str | list[JsonObject] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    tools: list[_Tool] = []
    tool_choice: str | JsonObject | None = None
    reasoning: _Reasoning | None = None
    text: JsonObject | None = None
    previous_response_id: str | None = None
    background: bool = False
    stream: bool = False


class _Part(Struct):
    text: str = ""


class _Item(Struct):
    type: str
    id: str
    content: list[_Part] = []
    summary: list[_Part] = []
    arguments: str = ""


_REQUEST = msgspec.json.Decoder(_Request)

# The length of a page of input items, unless another is asked for.
_LIMIT = 20


class ResponsesStore:
    """The responses that a simulated provider keeps, with the items that each was made of."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[JsonObject, list[JsonObject]]] = {}

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers, number: str) -> list[Step]:
        """Answer a request under ``/responses``. ``number`` makes ids."""
        path, _, query = request.path.partition("?")
        rest = path.partition("/responses")[2].strip("/").split("/")
        if rest == [""] and request.method == "POST":
            return self._create(request, model, headers, number)
        if rest == ["input_tokens"] and request.method == "POST":
            asked = _decoded(request)
            tokens = prompt_tokens([asked.instructions, *(item.get("content") for item in _items(asked))], [])
            return json_answer(headers, {"object": "response.input_tokens", "input_tokens": tokens})
        kept = self._kept.get(rest[0])
        if kept is None:
            raise Refusal(404, f"Response with id '{rest[0]}' not found.")
        response, items = kept
        match request.method, rest[1:]:
            case "GET", []:
                if "stream=true" in query:
                    # They are numbered from 0.
                    known = int(parse_qs(query).get("starting_after", ["-1"])[0])
                    return stream_answer(headers, list(_events(response))[known + 1 :])
                response["status"] = "completed" if response["status"] == "queued" else response["status"]
                return json_answer(headers, response)
            case "DELETE", []:
                del self._kept[rest[0]]
                return json_answer(headers, {"id": rest[0], "object": "response", "deleted": True})
            case "POST", ["cancel"]:
                response["status"] = "cancelled"
                return json_answer(headers, response)
            case "GET", ["input_items"]:
                data = [{"id": f"item_{index}", **item} for index, item in enumerate(items)]
                return json_answer(headers, {"object": "list", **page_of(data, query, limit=_LIMIT)})
            case _:
                raise Refusal(405, f"{request.method} is no method of {path}.")

    def _create(self, request: ReceivedRequest, model: Model, headers: Headers, number: str) -> list[Step]:
        asked = _decoded(request)
        items = _items(asked)
        if asked.previous_response_id is not None:
            earlier = self._kept.get(asked.previous_response_id)
            if earlier is None:
                raise Refusal(400, f"Previous response with id '{asked.previous_response_id}' not found.")
            items = [*earlier[1], *items]
        response = _response(asked, items, model.generate(request, _ask(asked, items), 0), number)
        if asked.background:
            response["status"] = "queued"
        self._kept[str(response["id"])] = (response, items)
        return stream_answer(headers, list(_events(response))) if asked.stream else json_answer(headers, response)


def _decoded(request: ReceivedRequest) -> _Request:
    try:
        return _REQUEST.decode(request.body)
    except msgspec.ValidationError as error:
        raise Refusal(400, str(error)) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from error


def _items(asked: _Request) -> list[JsonObject]:
    if isinstance(asked.input, str):
        return [{"type": "message", "role": "user", "content": asked.input}]
    return asked.input or []


def _ask(asked: _Request, items: list[JsonObject]) -> Ask:
    tools = {tool.name: tool.parameters for tool in asked.tools if tool.type == "function"}
    tool = None
    if asked.tool_choice == "required":
        tool = next(iter(tools), None)
    elif isinstance(asked.tool_choice, dict):
        tool = str(asked.tool_choice.get("name"))
    return Ask(
        prompt=msgspec.json.encode([asked.instructions, items]).decode(),
        max_tokens=asked.max_output_tokens,
        thinking=asked.reasoning is not None and asked.reasoning.effort not in (None, "none", "minimal"),
        tool=tool,
        tool_schema=tools.get(tool, {}) if tool is not None else {},
    )


def _response(asked: _Request, items: list[JsonObject], made: Generation, number: str) -> JsonObject:
    output: list[JsonObject] = []
    if made.reply.thinking:
        summary = [{"type": "summary_text", "text": made.reply.thinking}]
        output.append({"id": f"rs_{number}", "type": "reasoning", "summary": summary})
    for index, call in enumerate(made.reply.tool_calls):
        output.append(
            {
                "id": f"fc_{number}_{index}",
                "type": "function_call",
                "call_id": f"call_{number}_{index}",
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
        )
    if made.reply.text or not made.reply.tool_calls:
        part: JsonObject = {"type": "output_text", "text": made.reply.text, "annotations": []}
        message: JsonObject = {"id": f"msg_{number}", "type": "message", "role": "assistant", "content": [part]}
        output.append({**message, "status": "incomplete" if made.stop == "length" else "completed"})
    spent = prompt_tokens([asked.instructions, *(item.get("content") for item in items)], [])
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if made.stop == "length" else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if made.stop == "length" else None,
        "error": None,
        "model": asked.model,
        "output": output,
        "service_tier": "default",
        "previous_response_id": asked.previous_response_id,
        "usage": {
            "input_tokens": spent,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made.tokens,
            "output_tokens_details": {"reasoning_tokens": made.thinking_tokens},
            "total_tokens": spent + made.tokens,
        },
    }


# Of an item that begins, what comes after it.
_EMPTY: JsonObject = {"content": [], "summary": [], "arguments": ""}


def _events(response: JsonObject) -> Iterator[bytes]:
    number = 0

    def event(kind: str, **fields: object) -> bytes:
        nonlocal number
        number += 1
        body = msgspec.json.encode({"type": kind, "sequence_number": number - 1, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"

    begun: JsonObject = {**response, "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    output = msgspec.convert(response["output"], list[JsonObject])
    for index, (raw, item) in enumerate(zip(output, msgspec.convert(output, list[_Item]), strict=True)):
        place: JsonObject = {"output_index": index, "item_id": item.id}
        begun_item: JsonObject = {**raw, **{name: empty for name, empty in _EMPTY.items() if name in raw}}
        yield event("response.output_item.added", output_index=index, item=begun_item)
        if item.type == "message":
            text = item.content[0].text
            for token in tokenize(text):
                yield event("response.output_text.delta", **place, content_index=0, delta=token)
            yield event("response.output_text.done", **place, content_index=0, text=text)
        elif item.type == "function_call":
            for token in tokenize(item.arguments):
                yield event("response.function_call_arguments.delta", **place, delta=token)
            yield event("response.function_call_arguments.done", **place, arguments=item.arguments)
        else:
            for token in tokenize(item.summary[0].text):
                yield event("response.reasoning_summary_text.delta", **place, summary_index=0, delta=token)
        yield event("response.output_item.done", output_index=index, item=raw)
    last = "response.incomplete" if response["status"] == "incomplete" else "response.completed"
    yield event(last, response=response)
