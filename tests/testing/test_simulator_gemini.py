"""The simulator's side of Google's wire, and liter's client over it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liter import (
    AuthenticationError,
    BadRequestError,
    LlmClient,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
)
from liter.testing import ErrorEvent, ModelReply, Refuse, Simulator, ToolCall
from liter.types import ListModelsRequest, ToolMessage

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]
GEMINI = "gemini/gemini-simulated"
VERTEX = "vertex/gemini-simulated"
CLAUDE = "vertex/claude-simulated"
LLAMA = "vertex/meta/llama"
EVERY = pytest.mark.parametrize("model", [GEMINI, VERTEX, CLAUDE, LLAMA])
GOOGLES = pytest.mark.parametrize("model", [GEMINI, VERTEX])
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
}


@asynccontextmanager
async def serving(simulator: Simulator) -> AsyncIterator[LlmClient]:
    """A client of the simulator, in memory."""
    settings = {"vertex": {"project": "p", "location": "global"}}
    keys = {"gemini": "key-of-gemini", "vertex": "ya29.token"}
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_keys=keys, provider_settings=settings, middleware=()) as client,
    ):
        yield client


@EVERY
async def test_chats_and_streams_say_the_same(model):
    """Text, usage and finish reason, whole and streamed, in each of the three protocols."""
    simulator = Simulator(reply="One two three.")
    async with serving(simulator) as client:
        whole = await client.chat(model=model, messages=HI)
        stream = await client.chat_stream(model=model, messages=HI)
        chunks = [chunk async for chunk in stream]
    assert whole.text == "".join(chunk.text for chunk in chunks) == "One two three."
    assert whole.choices[0].finish_reason == "stop"
    assert stream.usage == whole.usage
    assert whole.usage.completion_tokens == 3


@GOOGLES
async def test_a_tool_loop_keeps_signatures(model):
    """The call goes back as it came, so that the server, which asks for its signature, takes it."""
    simulator = Simulator(seed=1)
    async with serving(simulator) as client:
        first = await client.chat(model=model, messages=HI, tools=[ADD], tool_choice="required")
        message = first.choices[0].message
        [call] = message.tool_calls
        assert isinstance(json.loads(call.function.arguments)["a"], int)
        result = ToolMessage(tool_call_id=call.id, content='{"sum": 3}')
        await client.chat(model=model, messages=[*HI, message, result], tools=[ADD])
    sent = simulator.requests[1].json["contents"]
    assert sent[1]["parts"][0]["thoughtSignature"]
    assert sent[2]["parts"] == [{"functionResponse": {"name": "add", "response": {"sum": 3}}}]


@GOOGLES
async def test_calls_of_another_provider_go_on(model):
    """A conversation that began elsewhere has no signatures: what stands for one is taken."""
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        *HI,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    ]
    async with serving(Simulator(reply="Two.")) as client:
        reply = await client.chat(model=model, messages=messages, tools=[ADD])
    assert reply.text == "Two."


@GOOGLES
@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_are_told_and_counted(model, stream):
    """They are reasoning, and part of the completion."""
    simulator = Simulator(reply=ModelReply("Yes.", thinking="Is it so?"))
    async with serving(simulator) as client:
        if stream:
            opened = await client.chat_stream(model=model, messages=HI, reasoning_effort="low")
            reasoning = "".join([c.choices[0].delta.reasoning_content or "" async for c in opened if c.choices])
            usage = opened.usage
        else:
            whole = await client.chat(model=model, messages=HI, reasoning_effort="low")
            reasoning, usage = whole.choices[0].message.reasoning_content, whole.usage
    assert reasoning == "Is it so?"
    assert usage.completion_tokens_details.reasoning_tokens == 3
    assert usage.completion_tokens == 4


async def test_several_calls_and_several_choices():
    """Calls of one reply are told apart, and so are replies."""
    calls = (ToolCall("add", '{"a": 1}'), ToolCall("add", '{"a": 2}'))
    async with serving(Simulator(reply=ModelReply(tool_calls=calls))) as client:
        stream = await client.chat_stream(model=GEMINI, messages=HI, tools=[ADD], n=2)
        chunks = [chunk async for chunk in stream]
    told = [
        (choice.index, call.index, call.function.arguments)
        for chunk in chunks
        for choice in chunk.choices
        for call in choice.delta.tool_calls or ()
    ]
    assert told == [(0, 0, '{"a":1}'), (0, 1, '{"a":2}'), (1, 0, '{"a":1}'), (1, 1, '{"a":2}')]


@GOOGLES
async def test_limits_stops_and_schemas(model):
    """What the request asks for is what the reply keeps to."""
    async with serving(Simulator(reply="One two three four.")) as client:
        cut = await client.chat(model=model, messages=HI, max_tokens=2)
        assert (cut.text, cut.choices[0].finish_reason) == ("One two", "length")
        stopped = await client.chat(model=model, messages=HI, stop=" three")
        assert stopped.text == "One two"
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    googles = {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}, "required": ["a"]}
    async with serving(Simulator()) as client:
        for given in (schema, googles):
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": given}}
            reply = await client.chat(model=model, messages=HI, response_format=form)
            assert isinstance(json.loads(reply.text)["a"], int)


@pytest.mark.parametrize(
    ("model", "inputs"), [("gemini/embed", ["a", "b c"]), ("vertex/text-embedding-005", ["a", "b c"])]
)
async def test_embeddings(model, inputs):
    """Vectors in the order of the inputs, as long as asked, with usage."""
    async with serving(Simulator()) as client:
        reply = await client.embed(model=model, input=inputs, dimensions=4)
        again = await client.embed(model=model, input=inputs[1:], dimensions=4)
    assert [len(one.embedding) for one in reply.data] == [4, 4]
    assert reply.data[1].embedding == again.data[0].embedding
    assert reply.usage.prompt_tokens == 3


async def test_one_embedding_on_vertex():
    """Later models take one content."""
    async with serving(Simulator()) as client:
        reply = await client.embed(model="vertex/gemini-embedding-2", input="a")
    assert len(reply.data) == 1
    assert reply.usage.prompt_tokens == 1


@GOOGLES
async def test_models(model):
    """They are listed by the names that requests take."""
    async with serving(Simulator()) as client:
        models = await client.list_models(ListModelsRequest(provider=model.partition("/")[0]))
    assert "gemini-simulated" in [one.id for one in models.data]


@pytest.mark.parametrize("model", [GEMINI, VERTEX, CLAUDE])
async def test_counts_are_those_of_the_bill(model):
    """The provider counts what it would bill."""
    async with serving(Simulator(reply="ok")) as client:
        count = await client.count_tokens(model=model, messages=HI)
        reply = await client.chat(model=model, messages=HI)
    assert count.source == "provider"
    assert count.input_tokens == reply.usage.prompt_tokens > 0


async def test_tokens_of_a_prompt(raw_client):
    """Counted as they are billed, of a whole request or of contents alone."""
    contents = [{"role": "user", "parts": [{"text": "one two"}]}]
    asked = {"contents": contents, "systemInstruction": {"parts": [{"text": "three"}]}}
    simulator = Simulator(reply="ok")
    counts = []
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        for method, body in (
            ("generateContent", asked),
            ("countTokens", {"generateContentRequest": asked}),
            ("countTokens", {"contents": contents}),
        ):
            path = f"/v1beta/models/gemini-simulated:{method}"
            told = (await client.ask(path, body, headers={"x-goog-api-key": "k"})).json
            counts.append(told.get("totalTokens") or told["usageMetadata"]["promptTokenCount"])
    assert counts[0] == counts[1] > counts[2] > 0


@GOOGLES
async def test_failures(model):
    """Refusals, errors in a stream, and an unknown model, in Google's form."""
    faults = [Refuse(429, "Resource has been exhausted."), ErrorEvent(message="The model is overloaded.", events=1)]
    provider = model.partition("/")[0]
    async with serving(Simulator(reply="One two three.", faults=faults)) as client:
        with pytest.raises(RateLimitedError, match="exhausted"):
            await client.chat(model=model, messages=HI)
        stream = await client.chat_stream(model=model, messages=HI)
        with pytest.raises(ServiceUnavailableError, match="overloaded"):
            async for _ in stream:
                pass
        with pytest.raises(NotFoundError, match="no-such-model"):
            await client.chat(model=f"{provider}/no-such-model", messages=HI)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"topK": 3}, "Unknown name 'topK'"),
        ({"contents": []}, "contents"),
        ({"generationConfig": {"temperature": 9}}, "temperature"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "no function declarations"),
    ],
)
async def test_requests_are_checked(extra, told):
    """What Google refuses, the simulator does."""
    async with serving(Simulator()) as client:
        with pytest.raises(BadRequestError, match=told):
            await client.chat(model=GEMINI, messages=HI, extra_body=extra)


async def test_a_call_without_its_signature_is_refused(raw_client):
    """As Gemini 3 does."""
    parts = [{"functionCall": {"name": "f", "args": {}}}]
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": parts}]}
    simulator = Simulator()
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        path = "/v1beta/models/gemini-3-pro:generateContent"
        answer = await client.ask(path, body, headers={"x-goog-api-key": "k"})
        assert answer.status == 400
        assert answer.json["error"]["status"] == "INVALID_ARGUMENT"
        assert "thought_signature" in answer.json["error"]["message"]


async def test_a_stream_without_sse_is_an_array(raw_client):
    """Its events are the items."""
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    simulator = Simulator(reply="One two.")
    async with simulator.serve_memory() as network, await raw_client.opened(network) as client:
        answer = await client.ask(
            "/v1beta/models/gemini-simulated:streamGenerateContent", body, headers={"x-goog-api-key": "k"}
        )
    parts = [one["candidates"][0]["content"]["parts"][0]["text"] for one in answer.json]
    assert parts == ["One", " two.", ""]
    assert answer.json[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_files_are_kept():
    """Sent, listed page by page, found and deleted, by the name that requests take."""
    report = ("report.pdf", b"%PDF \r\n--\x00\xff")
    simulator = Simulator(reply="ok")
    async with serving(simulator) as client:
        file = await client.create_file(file=report, provider="gemini")
        again = await client.create_file(file=("b.txt", b"b"), provider="gemini", extra_body={"name": "files/mine"})
        assert (file.filename, file.media_type, file.bytes, file.status) == (
            "report.pdf", "application/pdf", 11, "ACTIVE",
        )  # fmt: skip
        assert file.expires_at - file.created_at == 48 * 3600
        assert [one.id async for one in client.list_files(provider="gemini", limit=1)] == [file.id, "files/mine"]
        assert (await client.retrieve_file(file_id=file.uri, provider="gemini")).id == file.id
        part = {"type": "file", "file": {"file_id": file.id, "filename": file.filename}}
        await client.chat(model=GEMINI, messages=[{"role": "user", "content": [part]}])
        sent = simulator.requests[-1].json["contents"][0]["parts"][0]["fileData"]
        assert sent == {"fileUri": file.uri, "mimeType": "application/pdf"}
        assert (await client.delete_file(file_id=again.id, provider="gemini")).deleted
        with pytest.raises(AuthenticationError, match="mine"):
            await client.retrieve_file(file_id="mine", provider="gemini")
    assert all(b"key-of-gemini" not in request.path.encode() for request in simulator.requests)
