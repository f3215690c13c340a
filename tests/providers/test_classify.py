"""The class of an error depends on the fact alone, whoever tells it and in whatever shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    LlmError,
    LlmTimeoutError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
)
from liter._http import Headers
from liter.providers._classify import classify
from liter.providers._error_body import read_facts


def error_of(status: int | None, body: object, provider: str = "p", **headers: str) -> LlmError:
    """Classify a JSON body, or bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return classify(raw, status=status, provider=provider, model="m", headers=Headers(pairs))


def openai(message: str, code: object = None, kind: object = None, param: str | None = None) -> dict[str, object]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (402, RateLimitedError, False),
        (403, AuthenticationError, False),
        (404, NotFoundError, False),
        (405, NotFoundError, False),
        (408, LlmTimeoutError, True),
        (409, ServerError, True),
        (410, NotFoundError, False),
        (413, BadRequestError, False),
        (418, BadRequestError, False),
        (422, BadRequestError, False),
        (425, ServerError, True),
        (429, RateLimitedError, True),
        (498, ServiceUnavailableError, True),
        (500, ServerError, True),
        (501, ServerError, True),
        (502, ServerError, True),
        (503, ServiceUnavailableError, True),
        (504, LlmTimeoutError, True),
        (520, ServerError, True),
        (524, LlmTimeoutError, True),
        (529, ServiceUnavailableError, True),
    ],
)
def test_a_status_alone_has_its_class(status, kind, retryable):
    """With an empty body, too; the message then tells the status."""
    error = error_of(status, b"")
    assert (type(error), error.retryable, error.status) == (kind, retryable, status)
    assert str(status) in error.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai("x", "context_length_exceeded"), ContextWindowExceededError),
        (400, openai("x", None, "exceed_context_size_error"), ContextWindowExceededError),
        (400, openai("x", "string_above_max_length", param="messages[0].content"), ContextWindowExceededError),
        (400, openai("x", "string_above_max_length", param="user"), BadRequestError),
        (400, openai("This model's maximum context length is 8 tokens"), ContextWindowExceededError),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"},
            },
            ContextWindowExceededError,
        ),
        (500, openai("input (4002 tokens) is too large to process"), ContextWindowExceededError),
        (400, openai("max_tokens is too large: 9. This model's maximum context length is"), BadRequestError),
        (400, openai("x", "content_policy_violation"), ContentPolicyError),
        (400, openai("x", None, "content_filter"), ContentPolicyError),
        (
            400,
            {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            ContentPolicyError,
        ),
        (
            403,
            {"error": {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"]}}},
            ContentPolicyError,
        ),
        (400, openai("Your request was rejected as a result of our safety system"), ContentPolicyError),
        (404, openai("x", "model_not_found"), NotFoundError),
        (400, openai("x", "model_not_found", "invalid_request_error"), NotFoundError),
        (400, openai("The model 'dall-e-9' does not exist.", "invalid_value"), NotFoundError),
        (400, openai("bad/model is not a valid model ID", 400), NotFoundError),
        (400, openai("x", "unsupported_parameter"), BadRequestError),
        (401, openai("x", "invalid_api_key"), AuthenticationError),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided."}, AuthenticationError),
        (
            400,
            {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}},
            AuthenticationError,
        ),
        (429, openai("x", "rate_limit_exceeded", "tokens"), RateLimitedError),
        (413, openai("Request too large for model `m` on tokens per minute (TPM)", None, "tokens"), RateLimitedError),
        (400, openai("x", None, "overloaded_error"), ServiceUnavailableError),
        (429, openai("x", None, "engine_overloaded_error"), ServiceUnavailableError),
        (
            500,
            {"object": "error", "message": "Service tier capacity exceeded for this model."},
            ServiceUnavailableError,
        ),
        (500, openai("x", None, "server_error"), ServerError),
        (403, openai("The server is at 429 of 500", None, "permission_error"), AuthenticationError),
        (400, openai("The user wrote 429 and 503"), BadRequestError),
        (None, openai("x", 429), RateLimitedError),
        (None, openai("x", "502"), ServerError),
        (None, openai("x", "weird"), ServerError),
        (None, openai("x", None, "invalid_request_error"), BadRequestError),
        (None, openai("x", None, "overloaded_error"), ServiceUnavailableError),
        (None, openai("maximum context length"), ContextWindowExceededError),
    ],
)
def test_code_then_words_then_status(status, body, kind):
    """What the body tells wins over the status where it knows better."""
    assert type(error_of(status, body)) is kind


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
        (429, openai("You exceeded your current quota, please check your plan")),
        (429, {"error": {"type": "rate_limit_error", "code": "insufficient_quota", "message": "x"}}),
        (400, openai("Your credit balance is too low", None, "invalid_request_error")),
        (402, openai("Insufficient Balance", "invalid_request_error")),
        (403, {"code": "forbidden-thing", "error": "Your team has used all available credits"}),
        (402, {"error": "You have exceeded your monthly included credits"}),
        (401, {"detail": {"status": "quota_exceeded", "message": "x"}}),
    ],
)
def test_an_empty_purse_is_not_retried(status, body):
    """A rate limit that waiting does not lift."""
    error = error_of(status, body)
    assert type(error) is RateLimitedError
    assert error.quota_exhausted
    assert not error.retryable


@pytest.mark.parametrize(
    ("provider", "code", "kind"),
    [
        ("zai", "1261", ContextWindowExceededError),
        ("zai", "1002", AuthenticationError),
        ("zai", "1302", RateLimitedError),
        ("minimax", "1002", RateLimitedError),
        ("minimax", "1039", ContextWindowExceededError),
        ("other", "1002", BadRequestError),
    ],
)
def test_numbers_mean_what_their_provider_means(provider, code, kind):
    """The same number is another fact elsewhere."""
    assert type(error_of(400, openai("x", code), provider)) is kind


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (openai("m", "c", "t"), "m", "c"),
        (openai("m", None, "t"), "m", "t"),
        (openai("m", 404, "t"), "m", "t"),
        ({"type": "error", "error": {"type": "t", "message": "m"}, "request_id": "r"}, "m", "t"),
        ({"error": "m", "code": "c"}, "m", "c"),
        ({"message": "m", "type": "t"}, "m", "t"),
        ({"Message": "m"}, "m", None),
        ({"message": {"detail": [{"loc": ["body", "x"], "msg": "m", "type": "t"}]}}, "body.x: m", "t"),
        ({"error_code": "c", "message": "m"}, "m", "c"),
        ({"detail": "m"}, "m", None),
        ({"detail": [{"loc": ["body", 0, "x"], "msg": "m", "type": "t"}]}, "body.0.x: m", "t"),
        ({"detail": {"status": "s", "message": "m"}}, "m", "s"),
        ({"detail": {"error": "m"}}, "m", None),
        ({"errors": [{"code": "c", "message": "m"}]}, "m", "c"),
        ({"err_code": "c", "err_msg": "m"}, "m", "c"),
        ({"category": "c", "message": "m"}, "m", "c"),
        ({"base_resp": {"status_code": 1004, "status_msg": "m"}}, "m", None),
        ([{"error": {"code": 400, "message": "m", "status": "S"}}], "m", "S"),
        ({"error": {"message": "m", "metadata": {"raw": '{"error": {"message": "inner"}}'}}}, "m: inner", None),
        (b"plain  text\n", "plain text", None),
        (b'"text"', "text", None),
        (b"<html><head><title>502 Bad\n Gateway</title></head></html>", "502 Bad Gateway", None),
        (b"<html><body>x</body></html>", "", None),
        (b"", "", None),
        (b"null", "", None),
        (b"[]", "", None),
    ],
)
def test_message_and_code_are_read_from_every_shape(body, message, code):
    """The dozen shapes that are about."""
    facts = read_facts(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (facts.message, facts.code) == (message, code)


def test_an_error_keeps_what_is_known():
    """Status, provider, model, code, parameter, ids, and the body's beginning."""
    body = {**openai("Bad", "unsupported_value", "invalid_request_error", "temperature"), "request_id": "r"}
    error = error_of(400, body)
    assert (error.status, error.provider, error.model, error.code) == (400, "p", "m", "unsupported_value")
    assert error.message == "Bad (parameter temperature)"
    assert error.request_id == "r"
    assert json.loads(error.body) == body


def test_x_should_retry_overrides_the_class():
    """The provider knows best."""
    assert error_of(400, b"", x_should_retry="true").retryable
    assert not error_of(500, b"", x_should_retry="false").retryable
    assert error_of(500, b"", x_should_retry="perhaps").retryable
    assert error_of(402, b"", x_should_retry="true").retryable


def test_a_long_message_is_cut():
    """Nobody reads a page of it."""
    assert len(error_of(400, openai("x" * 100_000)).message) == 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "detail", "errors", "metadata", "raw", "loc", "msg", "details"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "retry-after-ms", "date", "x-ratelimit-reset", "x-ratelimit-remaining", "ratelimit"]
    ),
    st.text(st.characters(max_codepoint=255)) | st.integers().map(str) | st.floats().map(str),
)


@given(st.none() | st.integers(0, 999), st.binary() | JSON.map(lambda body: json.dumps(body).encode()), HEADERS)
def test_whatever_comes_is_an_error_and_no_exception(status, body, headers):
    """Any status, body and headers."""
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    error = classify(body, status=status, provider="p", headers=Headers(pairs))
    assert isinstance(error, LlmError)
    assert str(error)
    assert error.retry_after is None or 0 <= error.retry_after <= 31 * 86400


def test_deep_nesting_is_no_exception():
    """A body that a recursive reader chokes on."""
    assert type(error_of(500, b"[" * 100_000)) is ServerError


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://user:secret@evil.example/v1/chat?key=secret", "https://evil.example/v1/chat"),
        ("/elsewhere", "/elsewhere"),
        ("", "another address"),
        ("https://[", "another address"),
    ],
)
def test_redirects_are_told_and_not_tried_again(location, told):
    """Nor are they followed: the address is wrong, and will be the next time, too."""
    headers = Headers([(b"location", location.encode())])
    error = classify(b"<html>Moved</html>", status=302, provider="p", headers=headers)
    assert type(error) is BadRequestError
    assert not error.retryable
    assert f"redirects to {told}, which is not followed" in error.message
    assert "secret" not in error.message
