"""Chat requests of OpenAI's form as Converse's, parameter by parameter."""

from collections.abc import Mapping
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from ..types import ChatCompletionRequest, JsonSchema
from ._bedrock_messages import Conversation
from ._bedrock_models import thinking_fields
from ._bedrock_tools import tools_of
from ._parameters import Mapped, Renamed, Rule, Unsupported, refuse, supported
from ._typed_parameters import schema_of

_ENCODER = msgspec.json.Encoder()

# What each parameter becomes.
PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("in the path, percent-encoded"),
    "messages": Mapped("messages and system, as content blocks"),
    "max_completion_tokens": Mapped("inferenceConfig.maxTokens"),
    "max_tokens": Mapped("inferenceConfig.maxTokens"),
    "temperature": Mapped("inferenceConfig.temperature"),
    "top_p": Mapped("inferenceConfig.topP"),
    "n": Unsupported(neutral=(1,)),
    "stop": Mapped("inferenceConfig.stopSequences"),
    "seed": Unsupported(),
    "presence_penalty": Unsupported(neutral=(0, 0.0)),
    "frequency_penalty": Unsupported(neutral=(0, 0.0)),
    "logit_bias": Unsupported(neutral=({},)),
    "logprobs": Unsupported(neutral=(False,)),
    "top_logprobs": Unsupported(neutral=(0,)),
    "tools": Mapped("toolConfig.tools; a mapping of another type T as {T: the rest of it}"),
    "tool_choice": Mapped(
        "toolConfig.toolChoice; 'none' leaves the tools out, and where the messages have calls, only Anthropic's models"
        " can be told so"
    ),
    "parallel_tool_calls": Mapped("False: tool_choice.disable_parallel_tool_use of Anthropic's models"),
    "response_format": Mapped("outputConfig.textFormat, for JSON of a schema"),
    "reasoning_effort": Mapped(
        "the model's own fields in additionalModelRequestFields: thinking and output_config (Anthropic),"
        " reasoningConfig (Nova 2), reasoning_effort (OpenAI), reasoning_config (Qwen)"
    ),
    "verbosity": Unsupported(),
    "modalities": Unsupported(neutral=(["text"], ("text",))),
    "audio": Unsupported(),
    "prediction": Unsupported(),
    "web_search_options": Mapped("the system tool nova_grounding of Nova's models"),
    "service_tier": Mapped("serviceTier.type; 'auto' is left out"),
    "store": Unsupported(neutral=(False,)),
    "metadata": Renamed("requestMetadata"),
    "prompt_cache_key": Unsupported("set cache_control on a message, part or tool"),
    "prompt_cache_retention": Unsupported("set cache_control on a message, part or tool, with its ttl"),
    "prompt_cache_options": Unsupported("set cache_control on a message, part or tool"),
    "safety_identifier": Mapped("requestMetadata.safety_identifier"),
    "user": Mapped("requestMetadata.user"),
    "moderation": Unsupported("give guardrailConfig in extra_body"),
    "stream_options": Mapped("nothing: the usage always comes"),
    "functions": Unsupported("use tools", neutral=([], ())),
    "function_call": Unsupported("use tool_choice"),
    "extra_body": Mapped("joined with the body, objects in it field by field"),
}

_SERVICE_TIERS = {"auto": None, "default": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}


def encode_converse(call: Call[object], *, schema_tool: bool) -> bytes:
    """Make the body of ``POST /model/{id}/converse``, and of ``converse-stream``, which is the same.

    :param schema_tool: ask for JSON of a schema by a tool that has to be called
    :raises BadRequestError: a parameter or message asks for what Converse cannot be told
    """
    request = supported(PARAMETERS, cast("ChatCompletionRequest", call.request), call)
    conversation = Conversation(call)
    system, messages = conversation.split_system(request.conversation)
    turns = conversation.turns(messages, first=len(request.messages) - len(messages))
    if not turns:
        raise BadRequestError("messages: Bedrock needs a message of the user's beside the system prompt")
    body: dict[str, object] = {"messages": turns}
    if system:
        body["system"] = system
    fields = [
        _sampling(request),
        _thinking(request, call),
        tools_of(request, call, schema_tool=schema_tool),
        _labels(request, call),
    ]
    schema = None if schema_tool else schema_of(request.response_format, call, "Bedrock")
    if schema is not None:
        fields.append({"outputConfig": {"textFormat": {"type": "json_schema", "structure": _structure(schema)}}})
    for more in (*fields, request.extra_body or {}):
        body = _joined(body, more)
    return _ENCODER.encode(body)


def _joined(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    joined = dict(one)
    for name, value in other.items():
        before = joined.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            joined[name] = _joined(cast("Mapping[str, object]", before), cast("Mapping[str, object]", value))
        else:
            joined[name] = value
    return joined


def _sampling(request: ChatCompletionRequest) -> dict[str, object]:
    said: dict[str, object] = {}
    limit = request.max_completion_tokens or request.max_tokens
    if limit is not None:
        said["maxTokens"] = limit
    if request.temperature is not None:
        said["temperature"] = request.temperature
    if request.top_p is not None:
        said["topP"] = request.top_p
    if request.stop is not None:
        said["stopSequences"] = [request.stop] if isinstance(request.stop, str) else list(request.stop)
    return {"inferenceConfig": said} if said else {}


def _thinking(request: ChatCompletionRequest, call: Call[object]) -> dict[str, object]:
    effort = request.reasoning_effort
    if effort is None:
        return {}
    limit = request.max_completion_tokens or request.max_tokens
    fields = thinking_fields(call.route.model, effort, limit)
    if fields is None:
        refuse(
            call,
            f"reasoning_effort={effort!r} for {call.route.model!r}",
            "give the model's own field in extra_body={'additionalModelRequestFields': ...}",
        )
    return {"additionalModelRequestFields": fields} if fields else {}


def _labels(request: ChatCompletionRequest, call: Call[object]) -> dict[str, object]:
    said: dict[str, object] = {}
    metadata = dict(request.metadata or {})
    for name in ("user", "safety_identifier"):
        value = getattr(request, name)
        if value is not None:
            metadata.setdefault(name, value)
    if metadata:
        said["requestMetadata"] = metadata
    if request.service_tier is not None:
        if request.service_tier not in _SERVICE_TIERS:
            refuse(call, f"service_tier={request.service_tier!r}", f"give one of {', '.join(_SERVICE_TIERS)}")
        tier = _SERVICE_TIERS.get(request.service_tier)
        if tier is not None:
            said["serviceTier"] = {"type": tier}
    return said


def _structure(schema: JsonSchema) -> dict[str, object]:
    said: dict[str, object] = {"schema": _ENCODER.encode(schema.schema).decode(), "name": schema.name}
    if schema.description is not None:
        said["description"] = schema.description
    return {"jsonSchema": said}
