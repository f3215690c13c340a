"""One classification of failures for all providers: the class of an error depends on the fact alone.

The body is read for a message, a code and a type, whatever its shape. Then the first that knows decides:
the provider's code, its status, and only on statuses that mean several things, the words of the message.
Providers echo prompts in their messages, so phrases are long and a bare number is never matched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import cast

import msgspec

from .._errors import (
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
from .._http import Headers
from ._retry_after import retry_after

# Messages are for people; some bodies are whole pages.
_LONGEST_MESSAGE = 1000

_NO_HEADERS = Headers()


class _QuotaError(RateLimitedError):
    """Stands in the tables for a rate limit that waiting does not lift."""


Kind = type[LlmError]

_CODES: Mapping[Kind, str] = {
    ContextWindowExceededError: """
        context_length_exceeded context_window_exceeded exceed_context_size_error tokens_limit_reached
        tokens_too_long model_context_window_exceeded
    """,
    ContentPolicyError: """
        content_filter content_policy_violation moderation_blocked responsibleaipolicyviolation
        data_inspection_failed bio_policy content_filter_error
    """,
    _QuotaError: """
        insufficient_quota billing_hard_limit_reached billing_not_active exceeded_current_quota_error
        insufficient_balance insufficient_funds_credits exceed_budget_limit no_more_credits quota_exceeded
        billing_error insufficient_credits payment_required
    """,
    RateLimitedError: """
        rate_limit_exceeded rate_limit_error rate_limit_reached_error dynamic_request_limited dynamic_token_limited
        throttlingexception modelnotreadyexception token_quota_exceeded request_quota_exceeded request_limit_exceeded
        too_many_requests ratelimitreached resource_exhausted limit_requests limit_burst_rate
    """,
    ServiceUnavailableError: """
        overloaded_error engine_overloaded_error queue_exceeded system_busy insufficient_system_resource
        serviceunavailableexception unavailable_error unavailable service_unavailable server_overloaded
        flex_capacity_exceeded
    """,
    NotFoundError: """
        model_not_found deploymentnotfound not_found_error not_found resourcenotfoundexception model_not_exist
    """,
    AuthenticationError: """
        invalid_api_key authentication_error api_key_invalid unrecognizedclientexception expiredtokenexception
        invalidsignatureexception unauthenticated permission_error permission_denied accessdeniedexception
    """,
    LlmTimeoutError: "timeout_error deadline_exceeded request_timeout",
    ServerError: "server_error api_error internal_server_error internal_error internalservererror internal",
    BadRequestError: "invalid_request_error unsupported_parameter unsupported_value invalid_value tool_use_failed",
}
_KIND_OF_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

# Numbers mean something only where they come from.
_NUMBERS: Mapping[str, Mapping[Kind, str]] = {
    "mistral": {ContextWindowExceededError: "3051"},
    "minimax": {
        RateLimitedError: "1002",
        AuthenticationError: "1004",
        _QuotaError: "1008",
        ContentPolicyError: "1026 1027",
        ContextWindowExceededError: "1039",
    },
    "zai": {
        AuthenticationError: "1000 1001 1002 1003 1004",
        _QuotaError: "1113 1304 1308 1310",
        NotFoundError: "1211",
        ContextWindowExceededError: "1261",
        ContentPolicyError: "1301 sensitive",
        RateLimitedError: "1302 1303 1305",
        ServiceUnavailableError: "1312",
    },
}
_KIND_OF_NUMBER = {
    (provider, number): kind
    for provider, kinds in _NUMBERS.items()
    for kind, numbers in kinds.items()
    for number in numbers.split()
}

# Codes that say no more than the status does: the status, or the message, may know better.
_VAGUE = frozenset(
    {
        "invalid_request_error",
        "server_error",
        "api_error",
        "internal_server_error",
        "internal_error",
        "internal",
        "not_found",
    }
)

_KIND_OF_STATUS: Mapping[int, Kind] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: _QuotaError,
    403: AuthenticationError,
    404: NotFoundError,
    405: NotFoundError,
    408: LlmTimeoutError,
    409: ServerError,  # a conflict with another request, such as a lock: vendors' SDKs try again
    410: NotFoundError,
    413: BadRequestError,
    422: BadRequestError,
    424: ServerError,
    425: ServerError,
    429: RateLimitedError,
    432: _QuotaError,
    433: _QuotaError,
    498: ServiceUnavailableError,  # Groq: no flex capacity
    503: ServiceUnavailableError,
    504: LlmTimeoutError,
    524: LlmTimeoutError,
    529: ServiceUnavailableError,
}
_STATUSES_WITH_PHRASES = frozenset({None, 400, 403, 413, 422, 429, 500})

# Sought in the lower-case message, top to bottom: the more particular come first.
_PHRASES: tuple[tuple[Kind, str], ...] = (
    (
        RateLimitedError,
        r"request too large for model .* tokens per (?:minute|day)|rate limit reached|rate limit exceeded",
    ),
    (_QuotaError, r"credit balance is too low|insufficient balance|not enough credits"),
    (_QuotaError, r"exceeded your current quota|payment required"),
    (_QuotaError, r"insufficient credits|used all available credits|exceeded your monthly included credits"),
    (BadRequestError, r"max_tokens is too large|maximum number of tools|invalid 'user'"),
    (
        ContextWindowExceededError,
        (
            r"maximum context length|maximum context limit|exceeds? context limit|prompt is too long|input is too long"
            r"|too many input tokens|longer than the model's context length|input tokens exceed the configured limit"
            r"|`inputs` tokens \+ `max_new_tokens` must be|exceeds the available context size"
            r"|exceeds the maximum number of tokens allowed|current length is \d+ while limit is"
            r"|maximum input length is \d+ tokens|input text length should not exceed|expected maxlength:"
            r"|greater than the context length|request payload size exceeds|size limit exceeded by"
            r"|reduce the length of the messages|context window"
        ),
    ),
    (
        ContentPolicyError,
        (
            r"content management policy|output blocked by content filtering policy|our safety system"
            r"|violating our usage policy|flagged as potentially violating|the response was blocked|requires moderation"
        ),
    ),
    (
        ServiceUnavailableError,
        r"service tier capacity exceeded|(?:model|server) is (?:currently )?overloaded|out of capacity",
    ),
    (AuthenticationError, r"incorrect api key|invalid api key|api key not valid"),
    (NotFoundError, r"is not a valid model id|the provided model identifier is invalid|model .{1,200} does not exist"),
)
_COMPILED = tuple((kind, re.compile(words, re.DOTALL)) for kind, words in _PHRASES)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a failure's body tells.

    :param codes: its machine-readable codes and types, in lower case, the most particular first
    :param param: the parameter it complains of
    :param body: the body as plain data, ``None`` where it is not JSON
    """

    message: str = ""
    code: str | None = None
    codes: tuple[str, ...] = ()
    param: str | None = None
    request_id: str | None = None
    body: object = None


def classify(
    body: bytes,
    *,
    status: int | None,
    provider: str,
    model: str | None = None,
    headers: Headers = _NO_HEADERS,
    request_id: str | None = None,
) -> LlmError:
    """Make the error of a failed answer, or of an error told inside a stream (``status=None``). Never raises."""
    facts = read_facts(body)
    kind = _kind(facts, status, provider)
    should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    message = facts.message or (f"HTTP status {status}" if status is not None else "the provider reports an error")
    if facts.param and facts.param not in message:
        message += f" (parameter {facts.param})"
    make: Callable[..., LlmError] = partial(RateLimitedError, quota_exhausted=True) if kind is _QuotaError else kind
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


def _kind(facts: Facts, status: int | None, provider: str) -> Kind:
    for code in facts.codes:
        kind = _KIND_OF_NUMBER.get((provider, code))
        if kind is not None:
            return kind
    if "string_above_max_length" in facts.codes and (facts.param or "").startswith(("messages", "input")):
        return ContextWindowExceededError
    known = [_KIND_OF_CODE[code] for code in facts.codes if code in _KIND_OF_CODE and code not in _VAGUE]
    if known:
        # A wide code ("rate_limit_error") may stand beside a narrow one ("insufficient_quota").
        return next((kind for kind in known if kind not in (BadRequestError, RateLimitedError)), known[0])
    if status in _STATUSES_WITH_PHRASES:
        text = facts.message.lower()
        for sought, words in _COMPILED:
            if words.search(text):
                return sought
    if status is not None and status >= 400:
        return _KIND_OF_STATUS.get(status, BadRequestError if status < 500 else ServerError)
    # Inside a stream, or under a status of success: some send the status as the code.
    for code in facts.codes:
        if code.isascii() and code.isdigit() and len(code) == 3 and int(code) >= 400:
            return _KIND_OF_STATUS.get(int(code), BadRequestError if int(code) < 500 else ServerError)
    return next((_KIND_OF_CODE[code] for code in facts.codes if code in _KIND_OF_CODE), ServerError)


def read_facts(body: bytes) -> Facts:
    """Read what a failure's body tells, whatever its shape. Never raises."""
    try:
        tree: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return Facts(message=_plain(body))
    if isinstance(tree, list):
        tree = next(iter(cast("list[object]", tree)), None)
    if isinstance(tree, str):
        return Facts(message=tree[:_LONGEST_MESSAGE])
    if not isinstance(tree, dict):
        return Facts()
    outer = cast("Mapping[str, object]", tree)
    layers = list(_layers(outer))
    codes = [str(value) for layer in layers for value in _codes(layer)]
    return Facts(
        message=next((text for layer in layers if (text := _message(layer))), "")[:_LONGEST_MESSAGE],
        code=codes[0] if codes else None,
        codes=tuple(code.lower() for code in codes),
        param=next((param for layer in layers if isinstance(param := layer.get("param"), str)), None),
        request_id=_text(outer.get("request_id")) or None,
        body=outer,
    )


def _layers(outer: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The mappings in a body that may tell something, the innermost error first."""
    for name in ("error", "detail", "message", "base_resp"):
        inner = outer.get(name)
        if isinstance(inner, Mapping):
            layer = cast("Mapping[str, object]", inner)
            for deeper in ("innererror", "error"):
                if isinstance(layer.get(deeper), Mapping):
                    yield {**layer, **cast("Mapping[str, object]", layer[deeper])}
            yield layer
    for name in ("errors", "detail"):
        items = outer.get(name)
        if isinstance(items, list):
            for item in cast("list[object]", items):
                if isinstance(item, Mapping):
                    yield cast("Mapping[str, object]", item)
    yield outer


def _codes(layer: Mapping[str, object]) -> Iterator[object]:
    metadata = layer.get("metadata")
    if isinstance(metadata, Mapping):
        inner = cast("Mapping[str, object]", metadata)
        if inner.get("reasons"):
            yield "content_policy_violation"  # OpenRouter: what a moderation model found
        if isinstance(inner.get("error_type"), str):
            yield inner["error_type"]
    for name in ("code", "error_code", "err_code", "status", "status_code", "type", "category"):
        value = layer.get(name)
        if (isinstance(value, str) and value and value != "error") or (isinstance(value, int) and value):
            yield value


def _message(layer: Mapping[str, object]) -> str:
    for name in ("message", "Message", "msg", "err_msg", "status_msg", "error", "detail"):
        text = _text(layer.get(name))
        if text:
            place = layer.get("loc")
            return f"{'.'.join(map(str, cast('list[object]', place)))}: {text}" if isinstance(place, list) else text
    return ""


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _plain(body: bytes) -> str:
    """The gist of a body that is no JSON: a page's title, or the text's start."""
    text = body[: 4 * _LONGEST_MESSAGE].decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>([^<]{1,300})", text, re.IGNORECASE)
    if title:
        return " ".join(title.group(1).split())
    return "" if "<html" in text.lower() else " ".join(text.split())[:_LONGEST_MESSAGE]
