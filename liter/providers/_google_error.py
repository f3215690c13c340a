"""Failures of Google's APIs: ``google.rpc.Status`` with details of known types."""

from .._errors import AuthenticationError, LlmError, RateLimitedError
from .._http import Headers
from ._classify import classify
from ._gemini_json import JsonObject, decode_json, documents_of, fields_of, objects_of, text_of

_NO_HEADERS = Headers()

# A key that is wrong is told under the status of a bad request.
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "ACCESS_TOKEN_EXPIRED"})


def classify_google(
    body: bytes,
    *,
    status: int | None,
    provider: str,
    model: str | None = None,
    headers: Headers = _NO_HEADERS,
    request_id: str | None = None,
) -> LlmError:
    """Make the error of a failed answer, or of an error told inside a stream (``status=None``). Never raises."""
    error = classify(body, status=status, provider=provider, model=model, headers=headers, request_id=request_id)
    details = _details(body)
    if any(text_of(detail.get("reason")) in _KEY_REASONS for detail in details):
        error = _remade(AuthenticationError, error)
    if isinstance(error, RateLimitedError) and _is_daily(details):
        # The delay that comes with it is that of another limit: there is nothing more today.
        error.quota_exhausted, error.retryable = True, False
    return error


def _details(body: bytes) -> list[JsonObject]:
    try:
        told = decode_json(body)
    except ValueError:
        return []
    return objects_of(fields_of(documents_of(told)[0].get("error")).get("details"))


def _is_daily(details: list[JsonObject]) -> bool:
    return any(
        "PerDay" in (text_of(violation.get("quotaId")) or "")
        for detail in details
        for violation in objects_of(detail.get("violations"))
    )


def _remade(kind: type[LlmError], error: LlmError) -> LlmError:
    made = kind(error.message)
    made.__dict__.update({**error.__dict__, "retryable": made.retryable})
    return made
