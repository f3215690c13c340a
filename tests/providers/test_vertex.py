"""Vertex AI: whose protocol a model is spoken to in, where, and with which credential."""

import json

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, EndpointNotSupportedError
from liter._http import Headers, ServerSentEvent
from liter._secret import Secret
from liter.providers import Vertex
from liter.types import ChatCompletionRequest, CountTokensRequest, ListModelsRequest, accumulate

USER = [{"role": "user", "content": "Hi"}]
PROJECT = "/v1/projects/p/locations/"
TOKEN = Secret("ya29.token")


def address(location: str) -> str:
    """The base URL of a location."""
    return Vertex().address({"project": "p", "location": location})


@pytest.fixture
def encode(call_of):
    """Make the HTTP request of a chat with a model."""

    def make(model: str, *, location: str = "europe-west4", stream: bool = False, **fields: object):
        request = ChatCompletionRequest(**{"model": model, "messages": USER, **fields})
        route = {"base_url": address(location), "api_key": TOKEN}
        return Vertex().encode(call_of(request, provider="vertex", stream=stream, **route))

    return make


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
@pytest.mark.parametrize("model", ["gemini-3-pro", "claude-opus-4-1", "meta/llama"])
def test_a_location_has_its_host(location, host, model, encode):
    """Regions have hosts of their own, the places that are no region others."""
    made = encode(model, location=location)
    assert made.origin.host == host
    assert made.target.startswith(f"{PROJECT}{location}/".encode())


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3-pro", "/publishers/google/models/gemini-3-pro:generateContent"),
        ("google/gemini-3-pro", "/publishers/google/models/gemini-3-pro:generateContent"),
        ("endpoints/123", "/endpoints/123:generateContent"),
        ("claude-opus-4-1@20250805", "/publishers/anthropic/models/claude-opus-4-1@20250805:rawPredict"),
        ("anthropic/claude-new", "/publishers/anthropic/models/claude-new:rawPredict"),
        ("meta/llama-4-maverick", "/endpoints/openapi/chat/completions"),
        ("openapi/google/gemini-3-pro", "/endpoints/openapi/chat/completions"),
    ],
)
def test_a_model_says_whose_protocol_it_speaks(model, path, encode):
    """Its name, or its publisher's before it."""
    made = encode(model)
    assert made.target.decode() == f"{PROJECT}europe-west4{path}"
    headers = dict(made.headers)
    assert headers[b"authorization"] == b"Bearer ya29.token"
    assert not headers.keys() & {b"x-api-key", b"x-goog-api-key", b"anthropic-version"}


def test_streams_have_methods_of_their_own(encode):
    """As each protocol has it."""
    assert encode("gemini-3-pro", stream=True).path.endswith(":streamGenerateContent?alt=sse")
    assert encode("claude-x", stream=True).path.endswith(":streamRawPredict")
    assert json.loads(encode("meta/llama", stream=True).body)["stream"] is True


def test_claude_has_its_version_in_the_body(encode):
    """And its model in the path alone."""
    body = json.loads(encode("claude-opus-4-1").body)
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body


def test_partners_models_keep_their_publishers_name(encode):
    """That is their name in OpenAI's protocol."""
    assert json.loads(encode("meta/llama-4").body)["model"] == "meta/llama-4"
    assert json.loads(encode("openapi/google/gemini-3-pro").body)["model"] == "google/gemini-3-pro"


@pytest.mark.parametrize("key", ["AIzaKey", "AQ.key"])
def test_express_mode_takes_a_key(key, call_of):
    """A key is no token: it goes into its own header, to an address without a project."""
    request = ChatCompletionRequest(model="gemini-3-pro", messages=USER)
    base_url = "https://aiplatform.googleapis.com/v1/publishers/google"
    made = Vertex().encode(call_of(request, provider="vertex", base_url=base_url, api_key=Secret(key)))
    assert made.target == b"/v1/publishers/google/models/gemini-3-pro:generateContent"
    headers = dict(made.headers)
    assert headers[b"x-goog-api-key"] == key.encode()
    assert b"authorization" not in headers


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_tiers_are_headers(tier, encode):
    """Flex and Priority PayGo are asked for beside the body."""
    made = encode("gemini-3-pro", service_tier=tier)
    headers = dict(made.headers)
    assert headers[b"x-vertex-ai-llm-shared-request-type"] == tier.encode()
    assert headers[b"x-vertex-ai-llm-request-type"] == b"shared"
    assert "serviceTier" not in json.loads(made.body)
    assert b"x-vertex-ai-llm-request-type" not in dict(encode("gemini-3-pro", service_tier="default").headers)


def test_without_a_location_it_is_the_global_one():
    """As Google's own SDK has it; a project is always needed."""
    assert Vertex().address({"project": "p"}) == address("global")
    assert Vertex().address({"project": "p", "location": "us"}) == address("us")
    assert "{project}" in Vertex().address({})


def test_project_and_location_must_be_known(call_of):
    """The error names what was looked for."""
    request = ChatCompletionRequest(model="gemini-3-pro", messages=USER)
    with pytest.raises(BadRequestError, match="GOOGLE_CLOUD_PROJECT"):
        Vertex().encode(call_of(request, provider="vertex", base_url=Vertex().base_url))


def test_replies_are_read_in_the_models_protocol(call_of):
    """Three protocols, whole and streamed."""
    provider = Vertex()
    gemini = {"candidates": [{"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"}]}
    claude = {"type": "message", "id": "m", "content": [{"type": "text", "text": "A"}], "stop_reason": "end_turn"}
    llama = {"id": "c", "choices": [{"message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"}]}
    for model, body in (("gemini-3-pro", gemini), ("claude-x", claude), ("meta/llama", llama)):
        call = call_of(ChatCompletionRequest(model=model, messages=USER), provider="vertex")
        assert provider.decode(call, json.dumps(body).encode()).text == "A"
        decoder = provider.open_stream(call)
        assert accumulate(decoder.whole(json.dumps(body).encode())).choices[0].finish_reason == "stop"
    decoder = provider.open_stream(call_of(ChatCompletionRequest(model="gemini-3-pro", messages=USER)))
    assert accumulate([*decoder.feed(ServerSentEvent(data=json.dumps(gemini).encode())), *decoder.end()]).text == "A"


def test_models_of_google_are_listed(call_of):
    """By the location's host."""
    call = call_of(ListModelsRequest(), provider="vertex", base_url=address("global"))
    made = Vertex().encode(call)
    assert made.base_url + made.path == (
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models?pageSize=1000"
    )
    told = Vertex().decode(call, b'{"publisherModels": [{"name": "publishers/google/models/gemini-3-pro"}]}', Headers())
    assert [model.id for model in told.data] == ["gemini-3-pro"]


def test_claudes_tokens_are_counted_by_a_model_of_their_own(call_of):
    """It is told which model's, and answers as Anthropic does."""
    request = CountTokensRequest(model="claude-opus-4-1", messages=USER)
    call = call_of(request, operation="count_tokens", provider="vertex", base_url=address("global"), api_key=TOKEN)
    made = Vertex().encode(call)
    assert made.path == "/publishers/anthropic/models/count-tokens:rawPredict"
    body = json.loads(made.body)
    assert (body["model"], body["anthropic_version"]) == ("claude-opus-4-1", "vertex-2023-10-16")
    assert Vertex().decode(call, b'{"input_tokens": 7}').input_tokens == 7
    call = call_of(replace(request, model="meta/llama"), operation="count_tokens", base_url=address("global"))
    with pytest.raises(EndpointNotSupportedError, match="Google's own"):
        Vertex().encode(call)
