"""The error tree: fields, text, pickling."""

import pickle

import pytest

import liter
from liter import _errors
from liter._contract import Attempt
from liter._http import Headers

NAMES = {
    "LlmError", "AuthenticationError", "RateLimitedError", "BadRequestError", "ContextWindowExceededError",
    "ContentPolicyError", "NotFoundError", "ServerError", "ServiceUnavailableError", "LlmTimeoutError", "NetworkError",
    "StreamingError", "EndpointNotSupportedError", "InvalidHeaderError", "SerializationError", "BudgetExceededError",
    "HookRejectedError", "InternalError",
}  # fmt: skip
CLASSES = [getattr(_errors, name) for name in sorted(NAMES)]


def test_the_tree_has_exactly_these_names() -> None:
    """The public errors are the ones promised, all under one root, all importable from liter."""
    defined = {
        name for name, thing in vars(_errors).items() if isinstance(thing, type) and issubclass(thing, Exception)
    }
    assert defined == NAMES
    for name in NAMES:
        assert issubclass(getattr(liter, name), liter.LlmError)
    assert issubclass(liter.ContextWindowExceededError, liter.BadRequestError)
    assert issubclass(liter.ContentPolicyError, liter.BadRequestError)


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_pickle_with_all_fields(cls: type[_errors.LlmError]) -> None:
    """An error comes out of pickle as it went in, whatever its class."""
    attempt = Attempt(number=1, provider="openai", model="m", started=1.0, outcome="ServerError", status=500)
    error = cls(
        "no luck", status=500, provider="openai", model="m", request_id="r-1", retry_after=2.5, code="c",
        body=b"{}", headers=Headers([(b"x-a", b"1")]), attempts=(attempt,), retryable=True,
    )  # fmt: skip
    error.add_note("a note")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)
    assert copy.args == error.args


def test_text_is_made_of_the_fields() -> None:
    """An error says where it happened, what, and with which facts."""
    error = liter.RateLimitedError(
        "slow down", status=429, provider="openai", model="gpt-4o", request_id="req_1", retry_after=1.5, code="rpm"
    )
    assert str(error) == ("openai/gpt-4o: slow down (status 429, code rpm, request id req_1, retry after 1.5 s)")
    assert repr(error) == f"RateLimitedError({str(error)!r})"
    assert str(liter.LlmError("plain")) == "plain"


def test_bodies_are_bounded() -> None:
    """Of a body the first bytes are kept."""
    assert len(liter.ServerError("x", body=b"a" * 1_000_000).body) == _errors.BODY_LIMIT


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (liter.RateLimitedError("x"), True),
        (liter.RateLimitedError("x", quota_exhausted=True), False),
        (liter.ServerError("x"), True),
        (liter.ServiceUnavailableError("x"), True),
        (liter.NetworkError("x"), True),
        (liter.StreamingError("x"), True),
        (liter.LlmTimeoutError("x"), True),
        (liter.LlmTimeoutError("x", limit="connect"), True),
        (liter.LlmTimeoutError("x", limit="total"), False),
        (liter.LlmTimeoutError("x", limit="first event"), False),
        (liter.BadRequestError("x"), False),
        (liter.AuthenticationError("x"), False),
        (liter.NotFoundError("x"), False),
        (liter.SerializationError("x"), False),
        (liter.BadRequestError("x", retryable=True), True),
        (liter.ServerError("x", retryable=False), False),
    ],
)
def test_who_may_be_tried_again(error: liter.LlmError, retryable: bool) -> None:
    """The class decides whether trying again makes sense, unless the one who knows better says so."""
    assert error.retryable is retryable
