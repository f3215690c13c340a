"""Azure OpenAI's addresses, keys and tokens, and what its content filters tell."""

import json

import pytest
from msgspec.structs import replace

from liter._contract import Call
from liter._errors import (
    AuthenticationError,
    ContentPolicyError,
    ContextWindowExceededError,
    NotFoundError,
    RateLimitedError,
)
from liter._http import Headers, ServerSentEvent
from liter._secret import Secret
from liter.providers import Provider, known_providers
from liter.types import ChatCompletionRequest, EmbeddingRequest, ListModelsRequest, accumulate

PROVIDER = known_providers()["azure"]
HOST = "https://res.openai.azure.com"
FOUNDRY = "https://res.services.ai.azure.com"
TOKEN = "eyJhbGciOiJub25lIn0.e30.x"
CHAT = ChatCompletionRequest(model="my gpt", messages=[{"role": "user", "content": "x"}])


@pytest.fixture
def make(call_of):
    """Make a call."""

    def made(base_url=f"{HOST}/openai/v1", request=CHAT, *, version=None, operation="chat", stream=False, key="k"):
        settings = {} if version is None else {"api_version": version}
        return call_of(
            request,
            operation=operation,
            provider="azure",
            base_url=base_url,
            settings=settings,
            stream=stream,
            api_key=None if key is None else Secret(key),
        )

    return made


def target(call: Call[object], provider: Provider = PROVIDER) -> str:
    """The address that a call goes to."""
    sent = provider.encode(call)
    return str(sent.origin) + sent.target.decode()


@pytest.mark.parametrize(
    ("base_url", "version", "sent"),
    [
        (f"{HOST}/openai/v1", None, f"{HOST}/openai/v1/chat/completions"),
        (f"{HOST}/openai/v1/", "preview", f"{HOST}/openai/v1/chat/completions?api-version=preview"),
        (HOST, None, f"{HOST}/openai/v1/chat/completions"),
        (f"{HOST}/openai", None, f"{HOST}/openai/v1/chat/completions"),
        (HOST, "2024-10-21", f"{HOST}/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
        (f"{HOST}/openai/v1", "2025-04-01-preview",
         f"{HOST}/openai/deployments/my%20gpt/chat/completions?api-version=2025-04-01-preview"),
        (f"{HOST}?api-version=2024-02-01", None,
         f"{HOST}/openai/deployments/my%20gpt/chat/completions?api-version=2024-02-01"),
        (f"{HOST}/openai/deployments/d", None, f"{HOST}/openai/deployments/d/chat/completions?api-version=2024-10-21"),
        (f"{HOST}/openai/deployments/d", "2024-02-01",
         f"{HOST}/openai/deployments/d/chat/completions?api-version=2024-02-01"),
        (f"{HOST}/openai/deployments/d?api-version=2023-05-15", "2024-02-01",
         f"{HOST}/openai/deployments/d/chat/completions?api-version=2023-05-15"),
        (f"{FOUNDRY}/openai/v1", None, f"{FOUNDRY}/openai/v1/chat/completions"),
        (f"{FOUNDRY}/models", None, f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview"),
        ("https://gateway.example/llm", None, "https://gateway.example/llm/chat/completions"),
        ("https://gateway.example/llm", "v1", "https://gateway.example/llm/chat/completions?api-version=v1"),
    ],
)  # fmt: skip
def test_addresses(make, base_url, version, sent):
    """Of all forms, with the version where one is needed or given."""
    assert target(make(base_url, version=version)) == sent


def test_operations_without_a_deployment(make):
    """The list of models is beside the deployments, embeddings are below them."""
    models = {"request": ListModelsRequest(), "operation": "list_models"}
    assert target(make(**models)) == f"{HOST}/openai/v1/models"
    dated = f"{HOST}/openai/models?api-version=2024-10-21"
    assert target(make(version="2024-10-21", **models)) == dated
    assert target(make(f"{HOST}/openai/deployments/d", **models)) == dated
    embed = {"request": EmbeddingRequest(model="e", input="a"), "operation": "embed"}
    assert target(make(version="2024-10-21", **embed)) == (
        f"{HOST}/openai/deployments/e/embeddings?api-version=2024-10-21"
    )


def test_foundry_has_fewer_operations(make):
    """Chats and embeddings."""
    provider = known_providers()["azure-ai"]
    assert provider.operations == {"chat", "embed", "ocr"}
    assert target(make(f"{FOUNDRY}/models"), provider).startswith(f"{FOUNDRY}/models/chat/completions?")


def test_a_key_and_a_token(make):
    """The key has a header of its own; a token of Entra ID is a bearer's."""
    key = dict(PROVIDER.encode(make(key="0123456789abcdef")).headers)
    assert key[b"api-key"] == b"0123456789abcdef"
    assert b"authorization" not in key
    token = dict(PROVIDER.encode(make(key=TOKEN)).headers)
    assert token[b"authorization"] == f"Bearer {TOKEN}".encode()
    assert b"api-key" not in token
    anthropic = known_providers()["azure-anthropic"]
    call = make(f"{FOUNDRY}/anthropic/v1", key=TOKEN)
    assert dict(anthropic.encode(call).headers)[b"authorization"] == f"Bearer {TOKEN}".encode()
    assert dict(anthropic.encode(make(f"{FOUNDRY}/anthropic/v1")).headers)[b"api-key"] == b"k"


@pytest.mark.parametrize(
    ("version", "options"),
    [
        (None, True),
        ("preview", True),
        ("2025-04-01-preview", True),
        ("2024-09-01-preview", True),
        ("2024-06-01", False),
    ],
)
def test_usage_is_asked_for_where_it_can_be(make, version, options):
    """Older versions refuse to be asked; who asks all the same is obeyed."""
    body = json.loads(PROVIDER.encode(make(version=version, stream=True)).body)
    assert ("stream_options" in body) is options
    assert body["stream"] is True
    asked = replace(CHAT, stream_options={"include_usage": True})
    body = json.loads(PROVIDER.encode(make(version=version, stream=True, request=asked)).body)
    assert body["stream_options"] == {"include_usage": True}


SAFE = {"hate": {"filtered": False, "severity": "safe"}}
LOW = {"hate": {"filtered": False, "severity": "low"}, "jailbreak": {"filtered": False, "detected": False}}
HIGH = {"hate": {"filtered": True, "severity": "high"}}
PROMPT = [{"prompt_index": 0, "content_filter_results": SAFE}]


def test_what_filters_found_in_a_reply(make):
    """Is beside it, of the prompt and of each choice."""
    choices = [
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop", "content_filter_results": SAFE},
        {
            "index": 1,
            "message": {"content": "b"},
            "finish_reason": "content_filter",
            "content_filter_results": {},
            "content_filter_result": {"error": {"code": "content_filter_error"}},
        },
    ]
    body = json.dumps({"choices": choices, "prompt_filter_results": PROMPT}).encode()
    reply = PROVIDER.decode(make(), body, Headers())
    assert reply.native == {
        "prompt_filter_results": PROMPT,
        "content_filter_results": {"0": SAFE, "1": {"error": {"code": "content_filter_error"}}},
    }
    decoder = PROVIDER.open_stream(make(stream=True))
    [chunk] = decoder.whole(body)
    assert chunk.native == reply.native
    assert PROVIDER.decode(make(), b'{"choices": [{"message": {"content": "a"}}]}', Headers()).native is None


def test_what_filters_found_in_a_stream(make):
    """Grows piece by piece, and the worst counts."""
    decoder = PROVIDER.open_stream(make(stream=True))
    events = [
        {"choices": [], "prompt_filter_results": PROMPT},
        {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
        {"choices": [{"index": 0, "delta": {"content": "a"}, "content_filter_results": LOW}]},
        {"choices": [{"index": 0, "delta": {"content": "b"}, "content_filter_results": SAFE}]},
        {"choices": [{"index": 0, "content_filter_results": HIGH, "content_filter_offsets": {"end_offset": 2}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter", "content_filter_results": SAFE}]},
    ]
    chunks = [chunk for event in events for chunk in decoder.feed(ServerSentEvent(data=json.dumps(event).encode()))]
    assert decoder.opening(chunks[0])
    reply = accumulate([*chunks, *decoder.end()])
    assert (reply.text, reply.choices[0].finish_reason) == ("ab", "content_filter")
    assert reply.native == {
        "prompt_filter_results": PROMPT,
        "content_filter_results": {"0": {**LOW, **HIGH}},
    }


def test_odd_results_lose_no_reply(make):
    """They are in its raw form."""
    body = b'{"choices": [{"message": {"content": "a"}, "content_filter_results": 5}]}'
    reply = PROVIDER.decode(make(), body, Headers())
    assert (reply.text, reply.native) == ("a", None)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}, NotFoundError),
        (404, {"code": "404", "message": "Resource not found"}, NotFoundError),
        (401, {"code": "401", "message": "Access denied due to invalid subscription key"}, AuthenticationError),
        (429, {"code": "429", "message": "Requests have exceeded call rate limit"}, RateLimitedError),
        (429, {"code": "RateLimitReached", "message": "slow down"}, RateLimitedError),
        (400, {"code": "context_length_exceeded", "message": "too long"}, ContextWindowExceededError),
        (400, {"code": "content_filter", "status": 400, "type": None, "param": "prompt", "message": "filtered",
               "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": HIGH}},
         ContentPolicyError),
    ],
)  # fmt: skip
def test_errors(make, status, error, kind):
    """By their codes, the inner ones too."""
    told = PROVIDER.error(make(), status, Headers(), json.dumps({"error": error}).encode())
    assert type(told) is kind
    assert error["message"] in told.message


def test_an_error_of_the_gateway(make):
    """Has its status in the body, and the request's id in a header."""
    headers = Headers([(b"apim-request-id", b"abc"), (b"x-request-id", b"def")])
    told = PROVIDER.error(
        make(), 401, headers, b'{"statusCode": 401, "message": "Unauthorized. Access token is missing"}'
    )
    assert isinstance(told, AuthenticationError)
    assert (told.request_id, told.message) == ("abc", "Unauthorized. Access token is missing")
