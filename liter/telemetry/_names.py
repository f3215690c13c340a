"""Every name that telemetry uses: attributes, metrics, events, bucket lists. Nothing else spells one.

The GenAI conventions are in development and have no tagged release; these are the names of their main branch as of
October 2026 (schema ``gen-ai-dev/1.42.0-dev``), and the metric names of the core conventions up to 1.41, which
dashboards query. The HTTP names are of the stable core conventions. Ours begin with ``liter.``.
"""

from collections.abc import Mapping
from typing import Final, Literal

Semconv = Literal["compat", "latest", "dual"]
CacheWriteKey = Literal["cache_write", "cache_creation"]

SCOPE: Final = "liter"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"

# The call: creation
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# The call: request
CONVERSATION_ID: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"
PROMPT_NAME: Final = "gen_ai.prompt.name"
PROMPT_VERSION: Final = "gen_ai.prompt.version"
CHOICE_COUNT: Final = "gen_ai.request.choice.count"
SEED: Final = "gen_ai.request.seed"
STREAM: Final = "gen_ai.request.stream"
TOP_K: Final = "gen_ai.request.top_k"
TOP_P: Final = "gen_ai.request.top_p"
TEMPERATURE: Final = "gen_ai.request.temperature"
FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
STREAM_CURSOR: Final = "gen_ai.request.stream_cursor"
PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
OPENAI_API_TYPE: Final = "openai.api.type"

# The call: response
ERROR_TYPE: Final = "error.type"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_STATUS: Final = "gen_ai.response.status"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
OPENAI_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"

# The call: usage
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final[Mapping[CacheWriteKey, str]] = {
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "cache_creation": "gen_ai.usage.cache_creation.input_tokens",
}
CACHE_READ_TOKENS_OF: Final = "gen_ai.usage.{}.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
INPUT_TOKENS_OF: Final = "gen_ai.usage.{}.input_tokens"
OUTPUT_TOKENS_OF: Final = "gen_ai.usage.{}.output_tokens"

# The call: cost
USAGE_COST: Final = "gen_ai.usage.cost"
OPERATION_COST: Final = "operation.cost"
LLM_COST_TOTAL: Final = "llm.cost.total"

# The call: content, opt-in
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

# Log events
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"
SPAN_EXCEPTION_EVENT: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

# An attempt
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RESEND_COUNT: Final = "http.request.resend_count"
URL_FULL: Final = "url.full"
URL_TEMPLATE: Final = "url.template"

# Our own
COST_SOURCE: Final = "liter.cost.source"
COST_ESTIMATED: Final = "liter.cost.estimated"
COST_CURRENCY: Final = "liter.cost.currency"
COST_PRICE_VERSION: Final = "liter.cost.price_version"
COST_UNPRICED: Final = "liter.cost.unpriced"
COST_OF: Final = "liter.cost.{}"
CACHE_HIT: Final = "liter.cache.hit"
REPLY_ORIGIN: Final = "liter.reply.origin"
OWN_FINISH_REASONS: Final = "liter.response.finish_reasons"
REQUEST_ID: Final = "liter.response.request_id"
ATTEMPT_COUNT: Final = "liter.attempts"
ATTEMPT_OUTCOME: Final = "liter.attempt.outcome"
ATTEMPT_KIND: Final = "liter.attempt.kind"
ATTEMPT_PROVIDER: Final = "liter.attempt.provider"
ATTEMPT_MODEL: Final = "liter.attempt.model"
ATTEMPT_WAITED: Final = "liter.attempt.waited"
TAG: Final = "liter.tag.{}"
OWN: Final = "liter.{}"
ROUTE_SPAN: Final = "liter.route"
ROUTE_MODEL: Final = "liter.route.model"

# Metrics
DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 # a token of a model, no password
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 # as above
OPERATION_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
OPERATION_PER_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"
INFERENCE_DURATION: Final = "gen_ai.client.inference.duration"
INFERENCE_FIRST_CHUNK: Final = "gen_ai.client.inference.time_to_first_chunk"
INFERENCE_PER_CHUNK: Final = "gen_ai.client.inference.time_per_output_chunk"
INFERENCE_TOKENS: Final = "gen_ai.client.inference.usage.{}"
INFERENCE_INPUT: Final = "gen_ai.client.inference.operation.input_tokens"
INFERENCE_OUTPUT: Final = "gen_ai.client.inference.operation.output_tokens"
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105 # as above
COST_METRIC: Final = "operation.cost"
HTTP_DURATION: Final = "http.client.request.duration"
ATTEMPTS_METRIC: Final = "liter.client.attempts"
RETRY_DELAY: Final = "liter.client.retry.delay"
CACHE_REQUESTS: Final = "liter.client.cache.requests"
CACHE_RESULT: Final = "liter.cache.result"
RATE_LIMIT_WAIT: Final = "liter.client.rate_limit.wait"
FALLBACKS: Final = "liter.client.fallbacks"
CIRCUIT_CHANGES: Final = "liter.client.circuit.changes"
CIRCUIT_STATE: Final = "liter.circuit.state"
HEDGES: Final = "liter.client.hedges"

DURATION_BUCKETS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Ours: powers of four from a thousandth of a cent to a hundred dollars, as prices of calls span seven decades.
COST_BUCKETS: Final = (0.00001, 0.00004, 0.00016, 0.00064, 0.00256, 0.01024, 0.04096, 0.16384, 0.65536, 2.62, 10.5, 100)

# What was cut, failed or never told where a reason was to come.
NO_REASON: Final = "error"
FALLBACK_ERROR_TYPE: Final = "_OTHER"
TIMEOUT_ERROR_TYPE: Final = "timeout"

# Providers as registered, and as the conventions name them. Others keep their name, in lower snake case.
PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "azure-ai": "azure.ai.inference",
    "azure-anthropic": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock-mantle": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "vertex-anthropic": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "moonshot-cn": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
    "together": "together_ai",
    "fireworks": "fireworks_ai",
}

# Operations that run a model on what they are given, and so have the metrics of inference.
INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content"})

# Operations whose replies speak of the usage of others, or of none that is billed: it is told nowhere.
UNUSED: Final = frozenset({"count_tokens", "fetch_response"})

# Our operations, as the conventions name them, with the type of what comes out where it is fixed. What is not here is
# called by our own name.
OPERATIONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "chat": ("chat", None),
    "create_response": ("chat", None),
    "retrieve_response": ("fetch_response", None),
    "completions": ("text_completion", None),
    "embed": ("embeddings", None),
    "image_generate": ("generate_content", "image"),
    "image_edit": ("generate_content", "image"),
    "image_variation": ("generate_content", "image"),
    "video_generate": ("generate_content", "video"),
    "speech": ("generate_content", "speech"),
    "transcribe": ("generate_content", "text"),
    "translate": ("generate_content", "text"),
    "ocr": ("generate_content", "text"),
    "moderate": ("moderation", None),
}

# Words in the names of operations that run no model, and have no span of their own: each is one HTTP request.
_WIRE_ONLY: Final = ("file", "batch", "models", "list_", "delete_", "cancel_")

# Providers, as registered, whose own API of an operation is called otherwise.
PROVIDER_OPERATIONS: Final[Mapping[tuple[str, str], str]] = {
    ("gemini", "chat"): "generate_content",
    ("vertex", "chat"): "generate_content",
}

# Finish reasons in the conventions' words. Others go through in lower case.
FINISH_REASON: Final[Mapping[str, str]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
}

# How a response of the Responses API ended, by its status or by why it is not complete. Others are cut short.
STATUS_REASON: Final[Mapping[str, str]] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "failed": NO_REASON,
}

# Query parameters that log in, or sign: from the HTTP conventions, and those of LLM providers.
SECRET_PARAMETERS: Final = frozenset(
    {
        "awsaccesskeyid",
        "signature",
        "sig",
        "x-goog-signature",
        "x-amz-signature",
        "x-amz-credential",
        "x-amz-security-token",
        "key",
        "api_key",
        "api-key",
        "access_token",
        "code",
    }
)


def provider_name(provider: str) -> str:
    """Name a registered provider as the conventions do."""
    return PROVIDERS.get(provider) or provider.lower().replace("-", "_")


def operation_name(operation: str, provider: str, model: str = "") -> str | None:
    """Name one of our operations at a registered provider; ``None`` has no span of its own."""
    known = OPERATIONS.get(operation)
    if known is None:
        return None if any(word in operation for word in _WIRE_ONLY) else operation
    if provider == "vertex":
        # Only Google's models are asked in Google's protocol there.
        from ..providers._vertex import publisher_of

        if publisher_of(model)[0] != "google":
            return known[0]
    return PROVIDER_OPERATIONS.get((provider, known[0]), known[0])
