"""What a simulator answers: the two wires, and the pretended model behind them."""

import json

import msgspec
import pytest

from liter.testing import ModelReply, ReceivedRequest, Simulator, ToolCall
from liter.testing._simulator_text import count_tokens, tokenize

pytestmark = pytest.mark.anyio

CHAT, MESSAGES, MODELS = "/v1/chat/completions", "/v1/messages", "/v1/models"
LOOK_UP = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
}


async def ask(raw_client, simulator: Simulator, path: str, body: object = None, **options: object):
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        return await client.ask(path, body, **options)


def content(events: list[dict], index: int = 0) -> str:
    """The text of one choice of a stream of chunks."""
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def assembled(events: list[dict]) -> dict:
    """The message that a stream of Anthropic's events makes."""
    message = events[0]["message"]
    partial = ""
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
                partial = ""
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] += delta["signature"]
                    case "input_json_delta":
                        partial += delta["partial_json"]
                        block["input"] = partial
            case "content_block_stop":
                block = message["content"][event["index"]]
                if block["type"] == "tool_use":
                    block["input"] = json.loads(block["input"])
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return message


async def test_a_chat_completion(raw_client, chat: dict) -> None:
    """OpenAI's wire: an object of the documented form, with the headers of a real answer."""
    answer = await ask(raw_client, Simulator(), CHAT, chat)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-ratelimit-remaining-requests"] == "9999"
    body = answer.json
    assert body["object"] == "chat.completion"
    assert body["model"] == "gpt-simulated"
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    text = choice["message"]["content"]
    usage = body["usage"]
    assert usage["completion_tokens"] == count_tokens(text) == len(text.split())
    assert usage["prompt_tokens"] == 2 + 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_a_chat_stream_says_what_the_whole_answer_says(raw_client, chat: dict) -> None:
    """The same request, streamed: one event for each token, the same text and usage, then ``[DONE]``."""
    whole = await ask(raw_client, Simulator(), CHAT, chat)
    streamed = await ask(
        raw_client, Simulator(), CHAT, {**chat, "stream": True, "stream_options": {"include_usage": True}}
    )
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert streamed.complete
    assert streamed.data[-1] == "[DONE]"
    first, *middle, last, usage = streamed.events
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert content(streamed.events) == whole.json["choices"][0]["message"]["content"]
    assert len(middle) == whole.json["usage"]["completion_tokens"]
    assert usage["choices"] == []
    assert usage["usage"] == whole.json["usage"]
    assert {event["usage"] for event in middle} == {None}
    assert len({event["id"] for event in streamed.events}) == 1


async def test_a_chat_stream_reports_usage_on_demand_only(raw_client, chat: dict) -> None:
    """Without ``include_usage`` no chunk has usage."""
    answer = await ask(raw_client, Simulator(), CHAT, {**chat, "stream": True})
    assert all("usage" not in event for event in answer.events)


async def test_several_choices_come_interleaved(raw_client, chat: dict) -> None:
    """``n`` choices differ, and the chunks of a stream alternate between them."""
    whole = await ask(raw_client, Simulator(), CHAT, {**chat, "n": 2})
    streamed = await ask(raw_client, Simulator(), CHAT, {**chat, "n": 2, "stream": True})
    texts = [choice["message"]["content"] for choice in whole.json["choices"]]
    assert texts[0] != texts[1]
    assert [content(streamed.events, index) for index in range(2)] == texts
    assert [event["choices"][0]["index"] for event in streamed.events[:4]] == [0, 1, 0, 1]
    assert whole.json["usage"]["completion_tokens"] == sum(map(count_tokens, texts))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look_up"}}])
async def test_a_tool_call_on_chat(raw_client, chat: dict, choice: object) -> None:
    """A tool that has to be called is called with arguments that fit its schema; streamed, in fragments."""
    tool = {"type": "function", "function": {"name": "look_up", "parameters": LOOK_UP}}
    body = {**chat, "tools": [tool], "tool_choice": choice}
    whole = await ask(raw_client, Simulator(), CHAT, body)
    (made,) = whole.json["choices"]
    assert made["finish_reason"] == "tool_calls"
    assert made["message"]["content"] is None
    (call,) = made["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    arguments = json.loads(call["function"]["arguments"])
    assert isinstance(arguments["city"], str)
    assert 1 <= arguments["days"] <= 9

    streamed = await ask(raw_client, Simulator(), CHAT, {**body, "stream": True})
    deltas = [event["choices"][0]["delta"] for event in streamed.events]
    first, *rest = [fragment for delta in deltas for fragment in delta.get("tool_calls", [])]
    assert (first["type"], first["function"]) == ("function", {"name": "look_up", "arguments": ""})
    assert len(rest) > 1
    assert "".join(fragment["function"]["arguments"] for fragment in rest) == call["function"]["arguments"]
    assert all(set(fragment) == {"index", "function"} for fragment in rest)
    assert streamed.events[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_tools_are_not_called_unasked(raw_client, chat: dict) -> None:
    """With ``tool_choice`` left to the model it answers in text."""
    tool = {"type": "function", "function": {"name": "look_up", "parameters": LOOK_UP}}
    answer = await ask(raw_client, Simulator(), CHAT, {**chat, "tools": [tool]})
    assert answer.json["choices"][0]["finish_reason"] == "stop"


class Address(msgspec.Struct, forbid_unknown_fields=True):
    street: str
    number: int
    kind: str
    tags: list[str]
    inside: "Address | None" = None


@pytest.mark.parametrize("seed", range(5))
async def test_json_fits_its_schema(raw_client, chat: dict, message: dict, seed: int) -> None:
    """A text that has to be JSON of a schema is, on both wires: here one with references, recursion and an enum."""
    schema = msgspec.json.schema(Address)
    schema["$defs"]["Address"]["properties"]["kind"] = {"enum": ["home", "work"]}
    form = {"type": "json_schema", "json_schema": {"name": "address", "schema": schema}}
    answer = await ask(raw_client, Simulator(seed=seed), CHAT, {**chat, "response_format": form})
    first = msgspec.json.decode(answer.json["choices"][0]["message"]["content"], type=Address)
    output = {"format": {"type": "json_schema", "schema": schema}}
    answer = await ask(raw_client, Simulator(seed=seed), MESSAGES, {**message, "output_config": output})
    second = msgspec.json.decode(answer.json["content"][0]["text"], type=Address)
    assert {first.kind, second.kind} <= {"home", "work"}


async def test_json_object_mode(raw_client, chat: dict) -> None:
    """``json_object`` gives some JSON object."""
    answer = await ask(raw_client, Simulator(), CHAT, {**chat, "response_format": {"type": "json_object"}})
    assert isinstance(json.loads(answer.json["choices"][0]["message"]["content"]), dict)


async def test_reasoning_is_counted(raw_client, chat: dict) -> None:
    """On chat, reasoning is not shown, but is a part of the completion's tokens."""
    plain = await ask(raw_client, Simulator(), CHAT, chat)
    answer = await ask(raw_client, Simulator(), CHAT, {**chat, "reasoning_effort": "low"})
    reasoning = answer.json["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert reasoning > 0
    assert answer.json["usage"]["completion_tokens"] == plain.json["usage"]["completion_tokens"] + reasoning


async def test_long_prompts_are_cached_on_chat(raw_client, chat: dict) -> None:
    """A prompt of 1024 tokens or more is partly read from the cache when it comes again."""
    chat["messages"][0]["content"] = "word " * 1100
    async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
        cached = [(await client.ask(CHAT, chat)).json["usage"]["prompt_tokens_details"] for _ in range(2)]
    assert [details["cached_tokens"] for details in cached] == [0, 1024]


async def test_a_message(raw_client, message: dict) -> None:
    """Anthropic's wire: a message of the documented form, with the headers of a real answer."""
    answer = await ask(raw_client, Simulator(), MESSAGES, message)
    assert answer.status == 200
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "3999"
    body = answer.json
    assert (body["type"], body["role"], body["stop_reason"]) == ("message", "assistant", "end_turn")
    (block,) = body["content"]
    assert block["type"] == "text"
    assert body["usage"]["input_tokens"] == 2 + 4
    assert body["usage"]["output_tokens"] == count_tokens(block["text"])


TOOL = {"name": "look_up", "input_schema": LOOK_UP}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 3000},
        {"thinking": {"type": "adaptive"}},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "look_up"}},
        {"max_tokens": 3},
    ],
)
async def test_a_message_stream_says_what_the_whole_message_says(raw_client, message: dict, options: dict) -> None:
    """Text, thinking and tool calls, streamed: every event is named and the parts make the whole message again."""
    whole = await ask(raw_client, Simulator(), MESSAGES, {**message, **options})
    streamed = await ask(raw_client, Simulator(), MESSAGES, {**message, **options, "stream": True})
    assert streamed.complete
    names = [line[7:] for line in streamed.body.decode().split("\n") if line.startswith("event: ")]
    assert names == [event["type"] for event in streamed.events]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert "ping" in names
    assert streamed.events[0]["message"]["usage"]["output_tokens"] == 1
    assert assembled(streamed.events) == whole.json


async def test_thinking_comes_first_and_is_signed(raw_client, message: dict) -> None:
    """A message with thinking has a signed block before the text, and its tokens are output."""
    answer = await ask(raw_client, Simulator(), MESSAGES, {**message, "thinking": {"type": "adaptive"}})
    thinking, text = answer.json["content"]
    assert thinking["type"] == "thinking"
    assert thinking["signature"]
    assert answer.json["usage"]["output_tokens"] == count_tokens(thinking["thinking"]) + count_tokens(text["text"])


async def test_cached_prompts_on_messages(raw_client, message: dict) -> None:
    """With a breakpoint, the prefix is written to the cache once and read from then on; input excludes both."""
    message["system"] = [{"type": "text", "text": "one two three", "cache_control": {"type": "ephemeral"}}]
    async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
        usages = [(await client.ask(MESSAGES, message)).json["usage"] for _ in range(2)]
    counts = [
        (usage["input_tokens"], usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"])
        for usage in usages
    ]
    assert counts == [(6, 7, 0), (6, 0, 7)]


@pytest.mark.parametrize(("max_tokens", "expected"), [(2, ("one two", "length")), (3, ("one two three", "stop"))])
async def test_the_limit_of_tokens(raw_client, chat: dict, max_tokens: int, expected: tuple[str, str]) -> None:
    """A reply is cut after ``max_completion_tokens`` tokens and says so."""
    answer = await ask(
        raw_client, Simulator(reply="one two three"), CHAT, {**chat, "max_completion_tokens": max_tokens}
    )
    (choice,) = answer.json["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == expected
    assert answer.json["usage"]["completion_tokens"] == max_tokens


async def test_stop_sequences(raw_client, chat: dict, message: dict) -> None:
    """A reply ends before the first stop sequence; Anthropic tells which."""
    simulator = Simulator(reply="one two three four")
    answer = await ask(raw_client, simulator, CHAT, {**chat, "stop": ["three", "two"]})
    assert answer.json["choices"][0]["message"]["content"] == "one "
    answer = await ask(raw_client, simulator, MESSAGES, {**message, "stop_sequences": [" three"]})
    assert answer.json["content"][0]["text"] == "one two"
    assert (answer.json["stop_reason"], answer.json["stop_sequence"]) == ("stop_sequence", " three")


async def test_a_reply_of_the_callers_own(raw_client, chat: dict, message: dict) -> None:
    """``reply`` may be a function of the request, and may call tools unasked."""

    def reply(request: ReceivedRequest) -> ModelReply | str:
        assert isinstance(request.json, dict)
        text = request.json["messages"][-1]["content"]
        return (
            ModelReply(tool_calls=(ToolCall("a", '{"x": 1}'), ToolCall("b", "{}"))) if "tool" in text else text.upper()
        )

    simulator = Simulator(reply=reply)
    answer = await ask(raw_client, simulator, CHAT, chat)
    assert answer.json["choices"][0]["message"]["content"] == "SAY SOMETHING."
    message["messages"][0]["content"] = "Use a tool."
    answer = await ask(raw_client, simulator, MESSAGES, message)
    assert [(block["name"], block["input"]) for block in answer.json["content"]] == [("a", {"x": 1}), ("b", {})]
    assert answer.json["stop_reason"] == "tool_use"


async def test_models(raw_client) -> None:
    """The list of models is in Anthropic's form for who sends ``anthropic-version``, else in OpenAI's."""
    simulator = Simulator(models=["one", "two"])
    answer = await ask(raw_client, simulator, MODELS)
    assert answer.json["object"] == "list"
    assert [model["id"] for model in answer.json["data"]] == ["one", "two"]
    answer = await ask(raw_client, simulator, MODELS, headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})
    assert (answer.json["first_id"], answer.json["last_id"], answer.json["has_more"]) == ("one", "two", False)


@pytest.mark.parametrize("prefix", ["", "/v1", "/openai/deployments/x"])
async def test_any_prefix_will_do(raw_client, chat: dict, prefix: str) -> None:
    """The wires are found by the end of the path, whatever comes before, and by the path without its query."""
    answer = await ask(raw_client, Simulator(), f"{prefix}/chat/completions?api-version=1", chat)
    assert answer.status == 200


def without(request: dict, name: str) -> dict:
    return {key: value for key, value in request.items() if key != name}


@pytest.mark.parametrize(
    ("change", "options", "status", "code", "param"),
    [
        (lambda chat: chat, {"headers": {}}, 401, "invalid_api_key", None),
        (lambda chat: chat, {"headers": {"authorization": "Basic k"}}, 401, "invalid_api_key", None),
        (lambda chat: chat, {"headers": {"authorization": "Bearer wrong"}}, 401, "invalid_api_key", None),
        (lambda chat: without(chat, "model"), {}, 400, None, "model"),
        (lambda chat: without(chat, "messages"), {}, 400, None, "messages"),
        (lambda chat: {**chat, "messages": []}, {}, 400, None, "messages"),
        (lambda chat: {**chat, "temperature": 3}, {}, 400, None, "temperature"),
        (lambda chat: {**chat, "tool_choice": "required"}, {}, 400, None, "tool_choice"),
        (lambda chat: {**chat, "model": "no-such-model"}, {}, 404, "model_not_found", None),
        (lambda chat: b"{", {}, 400, None, None),
        (lambda chat: chat, {"method": "PUT"}, 405, "method_not_supported", None),
    ],
)
async def test_refusals_on_chat(raw_client, chat: dict, change, options: dict, status: int, code, param) -> None:
    """What OpenAI refuses is refused, in its form."""
    answer = await ask(raw_client, Simulator(api_key="k"), CHAT, change(chat), **options)
    assert answer.status == status
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("change", "options", "status", "kind", "text"),
    [
        (lambda message: message, {"headers": {"anthropic-version": "1"}}, 401, "authentication_error", "key"),
        (
            lambda message: message,
            {"headers": {"x-api-key": "k"}},
            400,
            "invalid_request_error",
            "anthropic-version: header is required",
        ),
        (
            lambda message: without(message, "max_tokens"),
            {},
            400,
            "invalid_request_error",
            "max_tokens: Field required",
        ),
        (lambda message: without(message, "model"), {}, 400, "invalid_request_error", "model: Field required"),
        (lambda message: {**message, "messages": []}, {}, 400, "invalid_request_error", "messages: "),
        (lambda message: {**message, "temperature": 2}, {}, 400, "invalid_request_error", "temperature: "),
        (lambda message: {**message, "model": "no-such-model"}, {}, 404, "not_found_error", "model: no-such-model"),
        (lambda message: b"{", {}, 400, "invalid_request_error", "JSON"),
        (
            lambda message: {**message, "thinking": {"type": "enabled", "budget_tokens": 2000}},
            {},
            400,
            "invalid_request_error",
            "budget_tokens",
        ),
    ],
)
async def test_refusals_on_messages(raw_client, message: dict, change, options: dict, status: int, kind, text) -> None:
    """What Anthropic refuses is refused, in its form, with the request id in the body too."""
    answer = await ask(raw_client, Simulator(), MESSAGES, change(message), **options)
    assert answer.status == status
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == kind
    assert text in answer.json["error"]["message"]
    assert answer.json["request_id"] == answer.headers["request-id"]


async def test_unknown_routes(raw_client) -> None:
    """A route that is none is not found, in the form of the provider whose headers came."""
    answer = await ask(raw_client, Simulator(), "/v1/nothing", {})
    assert (answer.status, answer.json["error"]["code"]) == (404, "unknown_url")
    answer = await ask(
        raw_client, Simulator(), "/v1/nothing", {}, headers={"x-api-key": "k", "anthropic-version": "2023-06-01"}
    )
    assert (answer.status, answer.json["error"]["type"]) == (404, "not_found_error")


async def test_a_seed_gives_the_same_again(raw_client, chat: dict) -> None:
    """Equal seeds and requests give equal bytes; another seed, or another prompt, gives another text."""
    first, again, other = [(await ask(raw_client, Simulator(seed=seed), CHAT, chat)).raw for seed in (1, 1, 2)]
    assert first == again != other
    chat["messages"][0]["content"] = "Say something else."
    assert (await ask(raw_client, Simulator(seed=1), CHAT, chat)).json["choices"] != json.loads(
        first.partition(b"\r\n\r\n")[2]
    )["choices"]


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), (" ", 1), ("one", 1), ("one two", 2), ("  one\n two  ", 2), ("日本 🙂", 2)]
)
def test_tokens(text: str, count: int) -> None:
    """A token is a run of characters that are not blank, with the blanks before it; joined, they are the text."""
    assert count_tokens(text) == count
    assert "".join(tokenize(text)) == text
