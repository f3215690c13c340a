"""One classification of failures for all providers: the class of an error depends on the fact alone.

The first that knows decides: the provider's code, its status, and only on statuses that mean several things, the
words of the message. Providers echo prompts in their messages, so phrases are long and a bare number is never matched.
"""

from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from msgspec.structs import replace

from .._errors import BadRequestError, ContextWindowExceededError, LlmError, RateLimitedError, ServerError
from .._http import Headers
from ._error_body import Facts, read_facts
from ._error_table import (
    KIND_OF_CODE,
    KIND_OF_NUMBER,
    KIND_OF_OWN_STATUS,
    KIND_OF_STATUS,
    PHRASES,
    STATUSES_WITH_PHRASES,
    VAGUE_CODES,
    Kind,
    QuotaError,
)
from ._retry_after import retry_after

_NO_HEADERS = Headers()


def classify(
    body: bytes,
    *,
    status: int | None,
    provider: str,
    model: str | None = None,
    headers: Headers = _NO_HEADERS,
    request_id: str | None = None,
    code: str | None = None,
) -> LlmError:
    """Make the error of a failed answer, or of an error told inside a stream (``status=None``). Never raises.

    :param code: the provider's code where it stands beside the body and not in it
    """
    facts = read_facts(body)
    if code is not None:
        facts = replace(facts, code=code, codes=(code.lower(), *facts.codes))
    kind = _kind(facts, status, provider)
    should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    message = facts.message or (f"HTTP status {status}" if status is not None else "the provider reports an error")
    if status is not None and 300 <= status < 400:
        place = _place(headers.get("location", ""))
        message = f"it redirects to {place}, which is not followed, as the key would go there: check base_url"
    if facts.param and facts.param not in message:
        message += f" (parameter {facts.param})"
    make: Callable[..., LlmError] = partial(RateLimitedError, quota_exhausted=True) if kind is QuotaError else kind
    return make(
        message,
        status=status,
        provider=provider,
        model=model or None,
        request_id=request_id or facts.request_id,
        retry_after=retry_after(headers, facts.body),
        code=facts.code,
        body=body,
        retryable=should_retry,
    )


def _place(location: str) -> str:
    """A redirect's address, without what may be secret in it."""
    try:
        to = urlsplit(location)
    except ValueError:
        return "another address"
    told = f"{to.scheme}://{to.netloc.rpartition('@')[2]}{to.path}" if to.netloc else to.path
    return told[:200] or "another address"


def _kind(facts: Facts, status: int | None, provider: str) -> Kind:
    for code in facts.codes:
        kind = KIND_OF_NUMBER.get((provider, code))
        if kind is not None:
            return kind
    if "string_above_max_length" in facts.codes and (facts.param or "").startswith(("messages", "input")):
        return ContextWindowExceededError
    known = [KIND_OF_CODE[code] for code in facts.codes if code in KIND_OF_CODE and code not in VAGUE_CODES]
    if known:
        # A wide code ("rate_limit_error") may stand beside a narrow one ("insufficient_quota").
        return next((kind for kind in known if kind not in (BadRequestError, RateLimitedError)), known[0])
    if status in STATUSES_WITH_PHRASES:
        text = facts.message.lower()
        for sought, words in PHRASES:
            if words.search(text):
                return sought
    if status is not None and status >= 400:
        own = KIND_OF_OWN_STATUS.get((provider, status))
        if own is not None:
            return own
        return KIND_OF_STATUS.get(status, BadRequestError if status < 500 else ServerError)
    if status is not None and 300 <= status < 400:
        return BadRequestError
    # Inside a stream, or under a status of success: some send the status as the code.
    for code in facts.codes:
        if code.isascii() and code.isdigit() and len(code) == 3 and int(code) >= 400:
            return KIND_OF_STATUS.get(int(code), BadRequestError if int(code) < 500 else ServerError)
    return next((KIND_OF_CODE[code] for code in facts.codes if code in KIND_OF_CODE), ServerError)
