"""The simulator speaks the wires of Cohere, Mistral and Azure; the codecs that read them are tested by recordings."""

import json
from collections.abc import AsyncIterator

import pytest

from liter import AuthenticationError, BadRequestError, LlmClient, NotFoundError, ServiceUnavailableError
from liter.testing import ErrorEvent, Simulator
from liter.types import accumulate

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "Tell me about the river, please."}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SETTINGS = {"azure": {"resource": "res"}, "azure-ai": {"resource": "res"}}
MODELS = ("cohere/command-a", "mistral/mistral-small", "azure/my-gpt", "azure-ai/phi")


@pytest.fixture
async def simulator() -> Simulator:
    """A simulator that is not served yet."""
    return Simulator(seed=7)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[LlmClient]:
    """A client of it, with a key for each provider."""
    keys = dict.fromkeys(("cohere", "mistral", "azure", "azure-ai"), "sk-test")
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_keys=keys, provider_settings=SETTINGS) as made,
    ):
        yield made


@pytest.mark.parametrize("model", MODELS)
async def test_a_chat_whole_and_streamed(client: LlmClient, model: str) -> None:
    """Says the same both ways, and what it used."""
    whole = await client.chat(model=model, messages=[USER])
    stream = await client.chat_stream(model=model, messages=[USER])
    chunks = [chunk async for chunk in stream]
    joined = accumulate(chunks)
    assert whole.text
    assert joined.text == whole.text
    assert joined.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert joined.usage == whole.usage
    assert whole.usage.completion_tokens
    assert whole.request_id


@pytest.mark.parametrize("model", MODELS)
async def test_a_call_of_a_tool(client: LlmClient, model: str) -> None:
    """Whole and streamed; its answer goes back."""
    asked = {"model": model, "messages": [USER], "tools": [TOOL], "tool_choice": "required"}
    whole = await client.chat(**asked)
    stream = await client.chat_stream(**asked)
    joined = accumulate([chunk async for chunk in stream])
    for reply in (whole, joined):
        [call] = reply.choices[0].message.tool_calls
        assert call.function.name == "weather"
        assert json.loads(call.function.arguments)["city"]
        assert reply.choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": whole.choices[0].message.tool_calls[0].id, "content": "Sunny"}
    answer = await client.chat(model=model, messages=[USER, whole.choices[0].message, result], tools=[TOOL])
    assert answer.text


async def test_what_is_cohere_s_own(client: LlmClient) -> None:
    """Thoughts and plans; what is billed is less than what the model sees; stop sequences; vectors; rankings."""
    reply = await client.chat(model="cohere/command-a", messages=[USER], reasoning_effort="high")
    assert reply.choices[0].message.reasoning_content
    assert reply.usage.billed_units["input_tokens"] == reply.usage.prompt_tokens - 200
    planned = await client.chat(model="cohere/command-a", messages=[USER], tools=[TOOL], tool_choice="required")
    assert planned.choices[0].message.tool_plan == "I will use weather."
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    fitted = await client.chat(
        model="cohere/command-a",
        messages=[USER],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    assert isinstance(json.loads(fitted.text)["a"], int)
    vectors = await client.embed(model="cohere/embed-v4.0", input=["a", "b"], dimensions=4)
    assert [len(one.embedding) for one in vectors.data] == [4, 4]
    ranked = await client.rerank(model="cohere/rerank-v3.5", query="a river", documents=["a hill", "a river"], top_n=1)
    assert [one.index for one in ranked.results] == [1]
    assert ranked.usage.search_units == 1
    models = await client.list_models(provider="cohere")
    assert [model.id for model in models.data][:2] == ["gpt-simulated", "claude-simulated"]


async def test_what_is_mistral_s_own(client: LlmClient, simulator: Simulator) -> None:
    """Fields that it does not know are refused; the tier that was used is told."""
    reply = await client.chat(model="mistral/mistral-small", messages=[USER], seed=5)
    assert simulator.requests[-1].json["random_seed"] == 5
    stream = await client.chat_stream(model="mistral/mistral-small", messages=[USER])
    assert accumulate([chunk async for chunk in stream]).service_tier == "standard"
    assert reply.text
    with pytest.raises(BadRequestError, match="Extra inputs are not permitted: logit_biases") as caught:
        await client.chat(model="mistral/mistral-small", messages=[USER], extra_body={"logit_biases": {}})
    assert caught.value.status == 422


async def test_what_is_azure_s_own(simulator: Simulator) -> None:
    """Deployments in the path, where a version asks for them; what filters found; the key's header."""
    settings = {"azure": {"resource": "res", "api_version": "2024-10-21"}}
    async with (
        simulator.serve_memory() as network,
        LlmClient(network_backend=network, api_keys={"azure": "key"}, provider_settings=settings) as client,
    ):
        reply = await client.chat(model="azure/my-gpt", messages=[USER])
        assert reply.native["content_filter_results"]["0"]["hate"] == {"filtered": False, "severity": "safe"}
        assert simulator.requests[-1].path == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
        assert simulator.requests[-1].headers["api-key"] == "key"
        stream = await client.chat_stream(model="azure/my-gpt", messages=[USER])
        assert accumulate([chunk async for chunk in stream]).native["prompt_filter_results"]
        with pytest.raises(NotFoundError) as caught:
            await client.chat(model="azure/no-such-model", messages=[USER])
        assert caught.value.code == "DeploymentNotFound"


@pytest.mark.parametrize("model", MODELS)
async def test_a_wrong_key(model: str) -> None:
    """Is refused in each provider's own words."""
    keys = dict.fromkeys(("cohere", "mistral", "azure", "azure-ai"), "sk-wrong")
    async with (
        Simulator(api_key="sk-right").serve_memory() as network,
        LlmClient(network_backend=network, api_keys=keys, provider_settings=SETTINGS) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.chat(model=model, messages=[USER])
        assert caught.value.status == 401


@pytest.mark.parametrize("model", MODELS)
async def test_an_error_in_a_stream(model: str) -> None:
    """Is an error to whoever reads it."""
    keys = dict.fromkeys(("cohere", "mistral", "azure", "azure-ai"), "sk-test")
    async with (
        Simulator(faults=[ErrorEvent(events=4, kind="overloaded_error")]).serve_memory() as network,
        LlmClient(network_backend=network, api_keys=keys, provider_settings=SETTINGS) as client,
    ):
        stream = await client.chat_stream(model=model, messages=[USER])
        with pytest.raises(ServiceUnavailableError):
            async for _ in stream:
                pass


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"{}", 400),
        (b'{"model": "m", "messages": []}', 400),
        (b'{"model": "m", "messages": [{"role": "user"}], "temperature": 2}', 400),
        (b'{"model": "m", "messages": [{"role": "user"}], "tool_choice": "auto"}', 422),
        (b'{"model": "m", "messages": [{"role": "user"}], "tool_choice": "REQUIRED"}', 400),
        (b'{"model": "no-such-model", "messages": [{"role": "user"}]}', 404),
    ],
)
async def test_cohere_checks_requests(simulator: Simulator, raw_client, body: bytes, status: int) -> None:
    """Fields, their limits, and models."""
    async with simulator.serve_memory() as network, await raw_client.opened(network) as connection:
        answer = await connection.ask("/v2/chat", body)
    assert answer.status == status
    assert answer.json["message"]


@pytest.mark.parametrize("path", ["/v2/embed", "/v2/rerank", "/cohere/v2/nothing", "/mistral/v1/fim/completions"])
async def test_what_is_refused(simulator: Simulator, raw_client, path: str) -> None:
    """Bodies that ask for nothing, and routes that there are not."""
    async with simulator.serve_memory() as network, await raw_client.opened(network) as connection:
        answer = await connection.ask(path, {"model": "m", "input_type": "query"})
    assert answer.status in (400, 404)
    assert answer.json["message"]


async def test_azure_needs_a_version_where_deployments_are(simulator: Simulator, raw_client) -> None:
    """And a key, which may be a token."""
    body = {"messages": [USER]}
    path = "/openai/deployments/d/chat/completions"
    async with simulator.serve_memory() as network, await raw_client.opened(network) as connection:
        assert (await connection.ask(path, body, headers={"api-key": "k"})).status == 404
        path += "?api-version=2024-10-21"
        assert (await connection.ask(path, body, headers={})).json["error"]["code"] == "401"
        answer = await connection.ask(path, body, headers={"authorization": "Bearer eyJ"})
        assert (answer.status, answer.json["model"]) == (200, "d")
