"""Which failure a code, a status or a phrase stands for: the facts behind every error's class.

Collected from the providers' references and from recorded answers.
"""

import re
from collections.abc import Mapping

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


class QuotaError(RateLimitedError):
    """Stands in the tables for a rate limit that waiting does not lift."""


Kind = type[LlmError]

_CODES: Mapping[Kind, str] = {
    ContextWindowExceededError: """
        context_length_exceeded context_window_exceeded exceed_context_size_error tokens_limit_reached
        too_many_prompt_tokens tokens_too_long model_context_window_exceeded
    """,
    ContentPolicyError: """
        content_filter content_policy_violation moderation_blocked responsibleaipolicyviolation
        data_inspection_failed bio_policy content_filter_error
    """,
    QuotaError: """
        insufficient_quota billing_hard_limit_reached billing_not_active exceeded_current_quota_error
        insufficient_balance insufficient_funds_credits exceed_budget_limit no_more_credits quota_exceeded
        billing_error insufficient_credits payment_required quota_limited servicequotaexceededexception
    """,
    RateLimitedError: """
        rate_limit_exceeded rate_limit_error rate_limit_reached_error dynamic_request_limited dynamic_token_limited
        throttlingexception modelnotreadyexception token_quota_exceeded request_quota_exceeded request_limit_exceeded
        rate_limited too_many_requests ratelimitreached resource_exhausted limit_requests limit_burst_rate
    """,
    ServiceUnavailableError: """
        overloaded_error engine_overloaded_error queue_exceeded system_busy insufficient_system_resource
        serviceunavailableexception unavailable_error unavailable service_unavailable server_overloaded
        flex_capacity_exceeded
    """,
    NotFoundError: """
        model_not_found deploymentnotfound not_found_error not_found resourcenotfoundexception
        voice_not_found model_not_exist model_decommissioned model_not_available invalid_model
    """,
    AuthenticationError: """
        invalid_api_key authentication_error api_key_invalid unrecognizedclientexception expiredtokenexception
        invalidsignatureexception incompletesignatureexception missingauthenticationtokenexception requestexpired
        invalidclienttokenid unauthenticated permission_error permission_denied forbidden accessdeniedexception
        subscription_token_invalid
    """,
    LlmTimeoutError: "timeout_error deadline_exceeded request_timeout modeltimeoutexception",
    ServerError: """
        server_error api_error internal_server_error internal_error internalservererror internal internalserverexception
        internalfailure modelerrorexception modelstreamerrorexception
    """,
    BadRequestError: """
        invalid_request_error unsupported_parameter unsupported_value invalid_value tool_use_failed validationexception
        invalidrequest invalidcontent invalidcontentlength unsupportedcontent
    """,
}
KIND_OF_CODE = {code: kind for kind, codes in _CODES.items() for code in codes.split()}

# Numbers mean something only where they come from.
_NUMBERS: Mapping[str, Mapping[Kind, str]] = {
    "dataforseo": {
        AuthenticationError: "40100 40104 40201",
        QuotaError: "40200 40203 40210",
        RateLimitedError: "40202 40209",
        NotFoundError: "40400",
        ServerError: "50000 50100 50301 50303 50401",
    },
    "minimax": {
        RateLimitedError: "1002",
        AuthenticationError: "1004",
        QuotaError: "1008",
        ContentPolicyError: "1026 1027",
        ContextWindowExceededError: "1039",
    },
    "zai": {
        AuthenticationError: "1000 1001 1002 1003 1004",
        QuotaError: "1113 1304 1308 1310",
        NotFoundError: "1211",
        ContextWindowExceededError: "1261",
        ContentPolicyError: "1301 sensitive",
        RateLimitedError: "1302 1303 1305",
        ServiceUnavailableError: "1312",
    },
}
KIND_OF_NUMBER = {
    (provider, number): kind
    for provider, kinds in _NUMBERS.items()
    for kind, numbers in kinds.items()
    for number in numbers.split()
}

# Codes that say no more than the status does: the status, or the message, may know better.
VAGUE_CODES = frozenset(
    {
        "invalid_request_error",
        "invalid_value",
        "unsupported_value",
        "server_error",
        "api_error",
        "internal_server_error",
        "internal_error",
        "internal",
        "not_found",
        "validationexception",
        "modelerrorexception",
        "modelstreamerrorexception",
    }
)

KIND_OF_STATUS: Mapping[int, Kind] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaError,
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
    432: QuotaError,
    433: QuotaError,
    498: ServiceUnavailableError,  # Groq: no flex capacity
    503: ServiceUnavailableError,
    504: LlmTimeoutError,
    524: LlmTimeoutError,
    529: ServiceUnavailableError,
}
# Statuses outside the standard mean something only where they come from.
KIND_OF_OWN_STATUS: Mapping[tuple[str, int], Kind] = {
    ("cohere", 498): AuthenticationError,  # a token that is invalid, or blocked
}
STATUSES_WITH_PHRASES = frozenset({None, 400, 403, 413, 422, 429, 500})

# Sought in the lower-case message, top to bottom: the more particular come first.
_WORDS: tuple[tuple[Kind, str], ...] = (
    (
        RateLimitedError,
        r"request too large for model .* tokens per (?:minute|day)|rate limit reached|rate limit exceeded",
    ),
    (QuotaError, r"credit balance is too low|insufficient balance|not enough credits"),
    (QuotaError, r"exceeded your current quota|payment required"),
    (QuotaError, r"trial key, which is limited to \d+ api calls / month"),
    (QuotaError, r"insufficient credits|used all available credits|exceeded your monthly included credits"),
    (BadRequestError, r"max_tokens is too large|maximum number of tools|invalid 'user'"),
    (
        ContextWindowExceededError,
        (
            r"max(?:imum)? context length|maximum context limit|exceeds? context limit|prompt is too long"
            r"|input is too long|too many input tokens|longer than the model's context length"
            r"|input tokens exceed the configured limit"
            r"|`inputs` tokens \+ `max_new_tokens` must be|exceeds the available context size"
            r"|exceeds the maximum number of tokens allowed|current length is \d+ while limit is"
            r"|maximum input length is \d+ tokens|input text length should not exceed|expected maxlength:"
            r"|greater than the context length|request payload size exceeds|size limit exceeded by"
            r"|reduce the length of the messages|context window|total length of all messages is too long"
            r"|tokens\) is too large to process"
        ),
    ),
    (
        ContentPolicyError,
        (
            r"content management policy|output blocked by content filtering policy|our safety system"
            r"|violating our usage policy|flagged as potentially violating|the response was blocked|requires moderation"
            r"|content violates usage guidelines"
        ),
    ),
    (
        ServiceUnavailableError,
        r"service tier capacity exceeded|(?:model|server) is (?:currently )?overloaded|out of capacity",
    ),
    (AuthenticationError, r"incorrect api key|invalid api key|api key not valid"),
    (NotFoundError, r"is not a valid model id|the provided model identifier is invalid|model .{1,200} does not exist"),
    (NotFoundError, r"^invalid model(?:: | '| id$)|^the supported api model names are"),
    (NotFoundError, r"^model \S{1,200} is not supported\. supported models are"),
)
PHRASES = tuple((kind, re.compile(words, re.DOTALL)) for kind, words in _WORDS)
