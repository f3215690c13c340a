"""What a simulator answers as Bedrock: to keys and signatures, whole and streamed, with faults and without."""

import json

import pytest

from liter import (
    AuthenticationError,
    BadRequestError,
    LlmClient,
    LlmError,
    NotFoundError,
    RateLimitedError,
    Secret,
    SerializationError,
    ServiceUnavailableError,
    StreamingError,
)
from liter.credentials import AwsCredentials, AwsKeys
from liter.testing import (
    Comments,
    ErrorEvent,
    Fault,
    LineEndings,
    MalformedJson,
    ModelReply,
    Oversize,
    Refuse,
    Simulator,
    SlowBytes,
    ToolCall,
    Truncate,
)

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "Hi"}]
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
KEYS = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("secret"), session_token=Secret("token"))
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def signing(secret: str = "secret", key_id: str = "AKIDEXAMPLE") -> AwsCredentials:
    return AwsCredentials(access_key_id=key_id, secret_access_key=secret, session_token="token", environ={})


async def asked(simulator: Simulator, *, api_key: object = "key", stream: bool = False, http2: bool = False, **fields):
    """One chat with a simulator."""
    async with (
        simulator.serve_memory(http2=http2) as network,
        LlmClient(
            model_hint="bedrock",
            api_key=api_key,
            provider_settings={"bedrock": {"region": "us-east-1"}},
            network_backend=network,
            trust_environment=False,
            http2=http2,
            max_retries=0,
        ) as client,
    ):
        call = {"model": f"bedrock/{SONNET}", "messages": HI, **fields}
        if not stream:
            return await client.chat(**call)
        async with await client.chat_stream(**call) as chunks:
            async for _ in chunks:
                pass
            return chunks.response()


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_is_signed(stream: bool, http2: bool):
    """The signature that the client makes is the one that the server computes, over both versions of HTTP."""
    simulator = Simulator(reply="Hello there.", aws_keys=KEYS)
    reply = await asked(simulator, api_key=signing(), stream=stream, http2=http2)
    assert reply.text == "Hello there."
    [request] = simulator.requests
    assert request.path == f"/model/{SONNET.replace(':', '%3A')}/converse{'-stream' if stream else ''}"
    assert request.headers["x-amz-security-token"] == "token"
    assert "x-amz-security-token" in request.headers["authorization"]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (signing("other"), "InvalidSignatureException"),
        (signing(key_id="AKIDOTHER"), "UnrecognizedClientException"),
        ("wrong", "AccessDeniedException"),
    ],
)
async def test_a_request_that_is_signed_by_somebody_else(key: object, code: str):
    """It is refused as AWS refuses it; so is the wrong key."""
    with pytest.raises(AuthenticationError) as caught:
        await asked(Simulator(aws_keys=KEYS, api_key="right"), api_key=key)
    assert (caught.value.code, caught.value.status) == (code, 403)
    assert caught.value.request_id is not None


class Renewed:
    """A session whose files somebody writes anew: AKID1, then AKID2, and so on."""

    def __init__(self) -> None:
        self.count = 0
        self.secret_key, self.token = "secret", "token"

    @property
    def access_key(self) -> str:
        return f"AKID{self.count}"

    def get_credentials(self) -> "Renewed":
        self.count += 1
        return self

    def get_frozen_credentials(self) -> "Renewed":
        return self

    def get_config_variable(self, name: str, /) -> None:
        assert name == "region"


@pytest.mark.realtime
@pytest.mark.parametrize(("code", "requests"), [("ExpiredTokenException", 2), ("AccessDeniedException", 1)])
async def test_credentials_that_have_ended(code: str, requests: int):
    """They are looked up anew, and the request is sent once more; no permission is no reason to."""
    simulator = Simulator(reply="x", faults=[Refuse(403, code=code)])
    source = AwsCredentials(session=Renewed(), environ={})
    if requests == 1:
        with pytest.raises(AuthenticationError):
            await asked(simulator, api_key=source)
    else:
        assert (await asked(simulator, api_key=source)).text == "x"
    keys = [request.headers["authorization"].partition("=")[2].partition("/")[0] for request in simulator.requests]
    assert keys == ["AKID1", "AKID2"][:requests]


async def test_a_signature_only_has_to_be_well_formed_where_no_keys_are_known():
    """As any key is taken where none is given."""
    assert (await asked(Simulator(reply="x"), api_key=signing("whatever"))).text == "x"
    assert (await asked(Simulator(reply="x", api_key="right"), api_key=signing("whatever"))).text == "x"


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_and_calls(stream: bool):
    """Whole and streamed, they are the same."""
    made = ModelReply("Sum.", thinking="Let me add.", tool_calls=(ToolCall("add", '{"a": 1}'),))
    reply = await asked(Simulator(reply=made), stream=stream, tools=[TOOL], reasoning_effort="low")
    [choice] = reply.choices
    message = choice.message
    assert (message.reasoning_content, message.content, choice.finish_reason) == ("Let me add.", "Sum.", "tool_calls")
    assert message.thinking_blocks[0]["signature"]
    [call] = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 1})
    assert reply.usage.completion_tokens > 0
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


async def test_what_a_request_asks_for():
    """Limits, stop sequences, forced tools, schemas and breakpoints are obeyed."""
    assert (await asked(Simulator(reply="one two three"), max_tokens=2)).choices[0].finish_reason == "length"
    stopped = await asked(Simulator(reply="one END two"), stop="END")
    assert (stopped.text, stopped.choices[0].native_finish_reason) == ("one ", "stop_sequence")
    forced = await asked(Simulator(), tools=[TOOL], tool_choice="required")
    assert forced.choices[0].message.tool_calls[0].function.name == "add"
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    answer = await asked(
        Simulator(), response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    )
    assert isinstance(json.loads(answer.text)["a"], int)
    simulator = Simulator()
    marked = [{"role": "system", "content": "Be kind.", "cache_control": {"type": "ephemeral"}}, *HI]
    first, second = [(await asked(simulator, messages=marked)).usage.prompt_tokens_details for _ in range(2)]
    assert (first.cached_tokens, second.cache_write_tokens) == (0, 0)
    assert first.cache_write_tokens == second.cached_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_claude_by_its_own_body(stream: bool):
    """Whole and streamed, with the same words."""
    made = ModelReply("Sum.", thinking="Let me add.", tool_calls=(ToolCall("add", '{"a": 1}'),))
    call = {"model": f"bedrock/invoke/{SONNET}", "tools": [TOOL], "reasoning_effort": "low"}
    reply = await asked(Simulator(reply=made, aws_keys=KEYS), api_key=signing(), stream=stream, **call)
    [choice] = reply.choices
    assert (choice.message.reasoning_content, choice.message.content) == ("Let me add.", "Sum.")
    assert (choice.message.tool_calls[0].function.name, choice.finish_reason) == ("add", "tool_calls")
    assert reply.model == SONNET
    assert reply.usage.completion_tokens > 0


async def test_what_is_no_chat():
    """Embeddings of all families, a ranking, and a count of tokens."""
    async with (
        Simulator(aws_keys=KEYS).serve_memory() as network,
        LlmClient(
            model_hint="bedrock",
            api_key=signing(),
            provider_settings={"bedrock": {"region": "eu-west-3"}},
            network_backend=network,
            trust_environment=False,
        ) as client,
    ):
        for model in ("amazon.titan-embed-text-v2:0", "amazon.nova-2-multimodal-embeddings-v1:0", "cohere.embed-v4:0"):
            reply = await client.embed(model=f"bedrock/{model}", input="one two", dimensions=4)
            assert len(reply.data[0].embedding) == 4
            assert reply.usage.prompt_tokens == 2
        ranked = await client.rerank(
            model="bedrock/cohere.rerank-v3-5:0", query="a b", documents=["c", {"text": "c"}, "b a"], top_n=1
        )
        assert [(one.index, one.relevance_score) for one in ranked.results] == [(2, 1.0)]
        with pytest.raises(BadRequestError, match="Malformed input request"):
            await client.embed(model="bedrock/cohere.embed-v4:0", input="a", extra_body={"input_type": 5})


async def test_a_count_of_tokens(raw_client):
    """Of messages, instructions and tools."""
    converse = {"messages": [{"role": "user", "content": [{"text": "one two"}]}], "system": [{"text": "three"}]}
    counts = []
    for tools in ({}, {"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}}):
        async with Simulator().serve_memory() as network, await raw_client.opened(network) as client:
            answer = await client.ask("/model/m/count-tokens", {"input": {"converse": {**converse, **tools}}})
        counts.append(answer.json["inputTokens"])
    assert 3 < counts[0] < counts[1]


async def test_models_are_listed():
    """As the control plane lists them."""
    async with (
        Simulator(models=("a", "b")).serve_memory() as network,
        LlmClient(
            model_hint="bedrock",
            api_key=signing(),
            provider_settings={"bedrock": {"region": "eu-west-3"}},
            network_backend=network,
            trust_environment=False,
        ) as client,
    ):
        assert [model.id for model in (await client.list_models()).data] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"model": "bedrock/no-such-model"}, NotFoundError),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, BadRequestError),
        ({"extra_body": {"inferenceConfig": {"temperature": 1.5}}}, BadRequestError),
        ({"extra_body": {"messages": []}}, BadRequestError),
        ({"extra_body": {"messages": [{"role": "user", "content": []}]}}, BadRequestError),
        ({"extra_body": {"messages": [{"role": "user", "content": [{"text": ""}]}]}}, BadRequestError),
        (
            {"extra_body": {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "a"}}]}]}},
            BadRequestError,
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, BadRequestError),
    ],
)
async def test_what_bedrock_refuses(fields: dict[str, object], kind: type[LlmError]):
    """The simulator refuses it, too."""
    with pytest.raises(kind) as caught:
        await asked(Simulator(), **fields)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("fault", "kind", "streamed"),
    [
        (ErrorEvent(), ServiceUnavailableError, True),
        (ErrorEvent(kind="throttlingException"), RateLimitedError, True),
        (MalformedJson(), StreamingError, True),
        (Truncate(), StreamingError, True),
        (Refuse(429), RateLimitedError, False),
        (Refuse(503), ServiceUnavailableError, False),
        (MalformedJson(), SerializationError, False),
    ],
)
async def test_faults(fault: Fault, kind: type[LlmError], streamed: bool):
    """They have the form that they have on this wire."""
    with pytest.raises(kind):
        await asked(Simulator(reply="one two three four", faults=[fault]), stream=streamed)


@pytest.mark.parametrize("fault", [SlowBytes(size=3), Comments(), LineEndings(), Oversize(size=4000)])
async def test_what_is_unusual_and_right(fault: Fault):
    """What has no meaning in an event stream changes nothing there; the rest is still right."""
    reply = await asked(Simulator(reply="one two three four", faults=[fault]), stream=True)
    assert reply.text == "one two three four"
