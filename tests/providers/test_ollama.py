"""Ollama's own API: every recorded exchange, every parameter, and what recordings show too little of."""

import json
import random
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, LlmError, NotFoundError, ServerError, StreamingError
from liter._http import Headers
from liter.providers import known_providers
from liter.providers._ollama_request import PARAMETERS
from liter.types import ChatCompletionRequest, EmbeddingRequest, ListModelsRequest, accumulate

from . import _parameter_table as table
from ._replay import decode_stream, differences, replay, survive

PROVIDER = known_providers()["ollama-native"]
USER = {"role": "user", "content": "Hi"}
MAPPED = {
    "max_completion_tokens": {"options": {"num_predict": 7}},
    "max_tokens": {"options": {"num_predict": 7}},
    "temperature": {"options": {"temperature": 0.5}},
    "top_p": {"options": {"top_p": 0.9}},
    "stop": {"options": {"stop": ["END"]}},
    "seed": {"options": {"seed": 7}},
    "presence_penalty": {"options": {"presence_penalty": 0.5}},
    "frequency_penalty": {"options": {"frequency_penalty": 0.5}},
    "tools": {"tools": [table.WEATHER]},
    "response_format": {"format": table.SCHEMA},
    "reasoning_effort": {"think": "high"},
    "stream_options": {},
    "extra_body": {"own": 1},
}
# By id, with the reason.
REQUEST_EXCEPTIONS: Mapping[str, str] = {}


@pytest.fixture
def call(call_of):
    """A call of a chat."""
    request = ChatCompletionRequest(model="qwen3", messages=[USER])
    return call_of(request, provider="ollama-native", base_url=PROVIDER.base_url)


def chats(recordings):
    """Recorded chats in Ollama's own form."""
    return (record for record in recordings("ollama", "chat") if record["path"] == "/api/chat")


def joined(lines):
    """Put a raw stream together into the reply that it streams."""
    reply = {"message": {"content": "", "thinking": "", "tool_calls": []}, "logprobs": []}
    for line in lines:
        message = line.get("message") or {}
        reply["message"]["content"] += message.get("content", "")
        reply["message"]["thinking"] += message.get("thinking", "")
        reply["message"]["tool_calls"] += message.get("tool_calls") or []
        reply["logprobs"] += line.get("logprobs") or []
        reply.update({name: value for name, value in line.items() if name not in ("message", "logprobs")})
    return reply


def said(reply):
    """What a raw reply says."""
    message = reply["message"]
    calls = message.get("tool_calls") or []
    reason = reply.get("done_reason")
    return {
        "model": reply["model"],
        "text": message.get("content", ""),
        "reasoning": message.get("thinking") or "",
        "calls": [(call["function"]["name"], call["function"]["arguments"]) for call in calls],
        "finish": "tool_calls" if calls and reason == "stop" else reason,
        "prompt": reply.get("prompt_eval_count"),
        "completion": reply.get("eval_count"),
        "duration": reply.get("total_duration"),
        "logprobs": [(one["token"], one["logprob"]) for one in reply.get("logprobs") or ()],
    }


def read(reply):
    """What a typed reply says."""
    [choice] = reply.choices
    message = choice.message
    assert len({call.id for call in message.tool_calls or ()}) == len(message.tool_calls or ())
    return {
        "model": reply.model,
        "text": message.text,
        "reasoning": message.reasoning_content or "",
        "calls": [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()],
        "finish": choice.finish_reason,
        "prompt": reply.usage.prompt_tokens,
        "completion": reply.usage.completion_tokens,
        "duration": (reply.native or {}).get("total_duration"),
        "logprobs": [(one.token, one.logprob) for one in (choice.logprobs and choice.logprobs.content) or ()],
    }


def test_every_recorded_chat_decodes_without_loss(recordings, call):
    """Text, thoughts, calls, reasons, usage, log probabilities and errors."""
    rng = random.Random(1)

    def check(record):
        body = record["response_body"]
        if record["status"] >= 400:
            error = PROVIDER.error(call, record["status"], Headers(), body.encode())
            assert isinstance(error, NotFoundError if record["status"] == 404 else ServerError)
            return None if error.message == json.loads(body)["error"] else repr(error)
        if not record["streaming"]:
            return differences(said(json.loads(body)), read(PROVIDER.decode(call, body.encode(), Headers())))
        decoder = PROVIDER.open_stream(call)
        reply, _ = decode_stream(decoder, body.encode(), rng)
        assert decoder.usage == reply.usage
        return differences(said(joined(map(json.loads, body.splitlines()))), read(reply))

    count, wrong = replay(chats(recordings), check, {})
    assert not wrong
    assert count > 80


def read_back(body):
    """Make our request of a recorded body."""
    options = dict(body.get("options") or {})
    told = {name: value for name, value in body.items() if name not in ("messages", "stream", "options")}
    given = {
        ours: options.pop(theirs)
        for theirs, ours in {
            "num_predict": "max_tokens",
            "temperature": "temperature",
            "seed": "seed",
            "stop": "stop",
        }.items()
        if theirs in options
    }
    form = told.pop("format", None)
    if form:
        given["response_format"] = (
            {"type": "json_object"}
            if form == "json"
            else {"type": "json_schema", "json_schema": {"name": "n", "schema": form}}
        )
    if told.get("think") is False:
        del told["think"]
        given["reasoning_effort"] = "none"
    if "temperature" in told:
        options["temperature_beside"] = told.pop("temperature")
    ours = set(ChatCompletionRequest.__struct_fields__)
    given.update({name: value for name, value in told.items() if name in ours})
    extra = {name: value for name, value in told.items() if name not in ours}
    if options:
        extra["options"] = options
    given["messages"] = [message_of(message, index) for index, message in enumerate(body["messages"])]
    return ChatCompletionRequest(**given, extra_body=extra or None), bool(body.get("stream", True))


def message_of(message, index):
    """Make our message of a recorded one."""
    made = {name: value for name, value in message.items() if name in ("role", "content")}
    if message.get("images"):
        made["content"] = [
            {"type": "text", "text": message.get("content", "")},
            *({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{one}"}} for one in message["images"]),
        ]
    if message.get("thinking"):
        made["reasoning_content"] = message["thinking"]
    if message.get("tool_calls"):
        made["tool_calls"] = [
            {
                "id": call.get("id", f"c{place}"),
                "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])},
            }
            for place, call in enumerate(message["tool_calls"])
        ]
    if message["role"] == "tool":
        made["tool_call_id"] = message.get("tool_call_id", f"c{index}")
        if "tool_name" in message:
            made["name"] = message["tool_name"]
    return made


def meaning(body):
    """A body without what makes no difference: ids are liter's own."""
    meant = {name: value for name, value in body.items() if value not in (None, "", {}, [])}
    meant["stream"] = body.get("stream", True)
    if "temperature" in meant:
        meant["options"] = {**meant.get("options", {}), "temperature_beside": meant.pop("temperature")}
    meant["messages"] = [
        {
            "content": "",
            **{name: value for name, value in message.items() if name not in ("tool_call_id", "tool_calls") and value},
            "calls": [call["function"] for call in message.get("tool_calls") or ()],
        }
        for message in body["messages"]
    ]
    return meant


def test_every_recorded_request_can_be_made(recordings, call_of):
    """Read back into our request, it encodes to a body that means the same."""

    def check(record):
        request, stream = read_back(record["request_body"])
        sent = PROVIDER.encode(call_of(request, stream=stream, provider="ollama-native"))
        assert sent.path == "/api/chat"
        return differences(meaning(record["request_body"]), meaning(json.loads(sent.body)))

    requests = (record for record in chats(recordings) if isinstance(record["request_body"], dict))
    count, wrong = replay(requests, check, REQUEST_EXCEPTIONS)
    assert not wrong
    assert count > 80


def test_damaged_exchanges_end_in_errors_of_ours(recordings, call):
    """Whatever is changed in a recorded answer, it decodes or fails with an LlmError."""
    rng = random.Random(2)
    for record in chats(recordings):
        if len(record["response_body"]) < 50_000:
            survive(PROVIDER, call, record, rng)


def test_every_recorded_list_of_models_decodes(recordings, call_of):
    """The names of all models."""
    call = call_of(ListModelsRequest(), operation="list_models", provider="ollama-native", base_url=PROVIDER.base_url)
    assert PROVIDER.encode(call).path == "/api/tags"
    for record in recordings("ollama", "models"):
        if record["path"] == "/api/tags":
            told = json.loads(record["response_body"])["models"]
            models = PROVIDER.decode(call, record["response_body"].encode(), Headers()).data
            assert [model.id for model in models] == [one["name"] for one in told]


def test_embeddings(call_of):
    """Vectors, and the tokens of the prompt."""
    request = EmbeddingRequest(model="nomic", input=["a", "b"], dimensions=2, encoding_format="float")
    call = call_of(request, operation="embed", provider="ollama-native", base_url=PROVIDER.base_url)
    sent = PROVIDER.encode(call)
    assert sent.path == "/api/embed"
    assert json.loads(sent.body) == {"model": "nomic", "input": ["a", "b"], "dimensions": 2}
    body = b'{"model": "nomic", "embeddings": [[0.5, 1], [2, 3]], "prompt_eval_count": 4}'
    reply = PROVIDER.decode(call, body, Headers())
    assert [list(one.embedding) for one in reply.data] == [[0.5, 1.0], [2.0, 3.0]]
    assert reply.usage.prompt_tokens == 4
    with pytest.raises(BadRequestError, match="'encoding_format'"):
        PROVIDER.encode(replace(call, request=replace(request, encoding_format="base64")))


def test_the_table_names_every_parameter():
    """None is forgotten."""
    table.check_table(PARAMETERS)


@pytest.mark.parametrize("name", table.PARAMETERS)
def test_every_parameter(name, call_of, caplog):
    """Each is sent, renamed, mapped, refused or dropped, as the table says."""
    table.check_parameter(PROVIDER, PARAMETERS, name, MAPPED, call_of, caplog)


def test_options_are_merged(call_of):
    """Ollama's own beside those of the request; where both say something, Ollama's own."""
    extra = {"options": {"num_ctx": 8192, "seed": 9}, "keep_alive": "5m"}
    sent = table.sent(PROVIDER, call_of, seed=7, temperature=0, extra_body=extra)
    assert sent["options"] == {"seed": 9, "temperature": 0, "num_ctx": 8192}
    assert sent["keep_alive"] == "5m"


def test_a_result_names_its_tool(call_of):
    """By the call that it answers; pictures go along."""
    calls = [{"id": "a", "function": {"name": "f", "arguments": ""}}]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    request = ChatCompletionRequest(
        model="m",
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "assistant", "content": "So", "refusal": "!", "reasoning_content": "Hm.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "1"}, picture]},
        ],
    )
    assert json.loads(PROVIDER.encode(call_of(request, provider="ollama-native")).body)["messages"] == [
        {"role": "system", "content": "Be kind."},
        {
            "role": "assistant",
            "content": "So!",
            "thinking": "Hm.",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}],
        },
        {"role": "tool", "tool_name": "f", "tool_call_id": "a", "content": "1", "images": ["AAAA"]},
    ]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://i"}}]}, "not by address"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "'file' parts"),
        ({"role": "function", "name": "f", "content": "x"}, "function messages"),
        ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}]}, "object"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f"}}]}, "custom"),
        ({"role": "user", "content": "Hi", "name": "Ann"}, "the name of"),
        ({"role": "user", "content": "Hi", "cache_control": {"type": "ephemeral"}}, "the cache marker"),
    ],
)  # fmt: skip
def test_what_messages_cannot_say_is_refused(call_of, message, told):
    """With where it stands."""
    request = ChatCompletionRequest(model="m", messages=[message, USER])
    with pytest.raises(BadRequestError, match=r"messages\[0\]") as caught:
        PROVIDER.encode(call_of(request, provider="ollama-native"))
    assert told in caught.value.message


def test_errors_and_cuts_in_a_stream(call):
    """A line that tells an error, one that is no JSON, and no last one."""
    decoder = PROVIDER.open_stream(call)
    [chunk] = decoder.feed(b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}')
    assert chunk.text == "Hi"
    with pytest.raises(ServerError, match="llama runner"):
        decoder.feed(b'{"error":"llama runner process no longer running"}')
    with pytest.raises(StreamingError, match="cannot be read"):
        decoder.feed(b"{")
    with pytest.raises(StreamingError, match="no line was the last"):
        decoder.end()


def test_calls_without_an_id_get_one(call):
    """The same for the same reply, and one for each."""
    function = {"name": "f", "arguments": {"a": 1}}
    line = {"message": {"tool_calls": [{"function": function}, {"function": function}]}, "created_at": "2030-01-01"}
    raw = json.dumps({**line, "done": True, "done_reason": "stop"}).encode()
    whole = PROVIDER.decode(call, raw, Headers())
    streamed = accumulate(PROVIDER.open_stream(call).feed(raw))
    ids = [one.id for one in whole.choices[0].message.tool_calls]
    assert len(set(ids)) == 2
    assert [one.id for one in streamed.choices[0].message.tool_calls] == ids
    assert whole.usage is None
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason == "tool_calls"


def test_what_is_not_counted_is_unknown(call):
    """A prompt that was cached as a whole has no count."""
    reply = PROVIDER.decode(call, b'{"message": {"content": "a"}, "eval_count": 3}', Headers())
    assert (reply.usage.completion_tokens, reply.usage.unreported) == (3, ("prompt_tokens",))
    [chunk] = PROVIDER.open_stream(call).whole(b'{"message": {"content": "a"}, "done": true}')
    assert chunk.text == "a"
    with pytest.raises(LlmError):
        PROVIDER.decode(call, b'{"error": "no"}', Headers())
