"""What a call's request says, as attributes. One table for all operations: what a request has, is told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import msgspec

from .._contract import Call, Route
from .._http import parse_base_url
from . import _names as names

Value = str | bool | int | float | Sequence[str]
Attributes = dict[str, Value]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> Sequence[str] | None:
    if isinstance(value, str):
        return (value,)
    return tuple(str(each) for each in cast("Sequence[object]", value)) if isinstance(value, list | tuple) else None


def _more_than_one(value: object) -> int | None:
    return None if value == 1 else _whole(value)


def _identifier(value: object) -> str | None:
    """An id, given by itself or as ``{"id": ...}``."""
    if isinstance(value, Mapping):
        return _text(cast("Mapping[str, object]", value).get("id"))
    return _text(value)


def _effort(value: object) -> str | None:
    # Responses API: {"effort": "high"}
    if isinstance(value, Mapping):
        return _text(cast("Mapping[str, object]", value).get("effort"))
    return _text(getattr(value, "effort", value))


def _cursor(value: object) -> str | None:
    return None if value is None else str(value)


# Fields of requests, the attribute that each is, and its exact type.
_FIELDS: Final[tuple[tuple[str, str, Callable[[object], Value | None]], ...]] = (
    ("temperature", names.TEMPERATURE, _number),
    ("top_p", names.TOP_P, _number),
    ("top_k", names.TOP_K, _whole),
    ("frequency_penalty", names.FREQUENCY_PENALTY, _number),
    ("presence_penalty", names.PRESENCE_PENALTY, _number),
    ("max_tokens", names.MAX_TOKENS, _whole),
    ("max_output_tokens", names.MAX_TOKENS, _whole),
    ("max_completion_tokens", names.MAX_TOKENS, _whole),
    ("seed", names.SEED, _whole),
    ("n", names.CHOICE_COUNT, _more_than_one),
    ("stop", names.STOP_SEQUENCES, _texts),
    ("reasoning_effort", names.REASONING_LEVEL, _effort),
    ("reasoning", names.REASONING_LEVEL, _effort),
    ("previous_response_id", names.PREVIOUS_RESPONSE_ID, _text),
    ("conversation", names.CONVERSATION_ID, _identifier),
    ("response_id", names.RESPONSE_ID, _text),
    ("starting_after", names.STREAM_CURSOR, _cursor),
    ("dimensions", names.DIMENSION_COUNT, _whole),
    ("encoding_format", names.ENCODING_FORMATS, _texts),
)

# Operations whose ``response_format`` is a form of text, and not of an image or of sound.
_CONVERSATIONS: Final = ("chat", "create_response")

# Tags that are attributes of the conventions: only the caller knows these.
_TAGS: Final = (names.CONVERSATION_ID, names.PROMPT_NAME, names.PROMPT_VERSION)


def server(base_url: str) -> tuple[str, int] | None:
    """Return host and port of an address; ``None`` for one that is none, as in tests."""
    try:
        origin = parse_base_url(base_url).origin
    except ValueError:
        return None
    return origin.host, origin.port


def creation_attributes(operation: str, route: Route) -> Attributes:
    """Make the attributes that a span is born with, so that samplers see them. They are those of metrics, too.

    :param operation: one of ours
    :return: nothing for what has no span of its own
    """
    name = names.operation_name(operation, route.provider, route.model)
    if name is None:
        return {}
    attributes: Attributes = {names.OPERATION: name, names.PROVIDER: names.provider_name(route.provider)}
    if route.model:
        attributes[names.REQUEST_MODEL] = route.model
    where = server(route.base_url)
    if where is not None:
        attributes[names.SERVER_ADDRESS], attributes[names.SERVER_PORT] = where
    return attributes


def span_name(attributes: Attributes) -> str:
    """Name a call's span by what it is born with: ``chat gpt-4o``."""
    model = attributes.get(names.REQUEST_MODEL)
    return f"{attributes[names.OPERATION]} {model}" if model else str(attributes[names.OPERATION])


def request_attributes(call: Call[object], provider: str, tags: Sequence[str] = ()) -> Attributes:
    """Tell what the request asks for.

    :param provider: as the conventions name it
    :param tags: which of the call's tags to tell
    """
    request, attributes = call.request, Attributes()
    for field, name, convert in _FIELDS:
        given = getattr(request, field, None)
        value = None if given is None else convert(given)
        if value is not None:
            attributes[name] = value
    extra = getattr(request, "extra_body", None)
    if isinstance(extra, Mapping) and (top_k := _whole(cast("Mapping[str, object]", extra).get("top_k"))) is not None:
        attributes[names.TOP_K] = top_k
    if call.stream:
        attributes[names.STREAM] = True
    output = _output_type(call.operation, request)
    if output is not None:
        attributes[names.OUTPUT_TYPE] = output
    prompt = getattr(request, "prompt", None)
    if isinstance(prompt, Mapping):
        kept = cast("Mapping[str, object]", prompt)
        told = ((names.PROMPT_NAME, _text(kept.get("id"))), (names.PROMPT_VERSION, _text(kept.get("version"))))
        attributes.update({name: value for name, value in told if value is not None})
    if provider in ("openai", "azure.ai.openai"):
        _add_openai(attributes, call.operation, request)
    for tag in _TAGS:
        if tag in call.tags:
            attributes[tag] = call.tags[tag]
    for tag in tags:
        if tag in call.tags:
            attributes[names.TAG.format(tag)] = call.tags[tag]
    return attributes


def choice_count(request: msgspec.Struct) -> int:
    """Return how many choices a request asks for."""
    return _whole(getattr(request, "n", None)) or 1


def _output_type(operation: str, request: msgspec.Struct) -> str | None:
    _, fixed = names.OPERATIONS.get(operation, (operation, None))
    if fixed is not None:
        return fixed
    form = getattr(request, "response_format", None)
    text = getattr(request, "text", None)
    if isinstance(text, Mapping):  # of the Responses API
        form = cast("Mapping[str, object]", text).get("format")
    if isinstance(form, type):
        return "json"
    if form is not None and operation in _CONVERSATIONS:
        kind = (
            cast("Mapping[str, object]", form).get("type")
            if isinstance(form, Mapping)
            else getattr(getattr(form, "__struct_config__", None), "tag", None)
        )
        return "text" if kind == "text" else "json" if kind in ("json_object", "json_schema") else None
    return "speech" if "audio" in (getattr(request, "modalities", None) or ()) else None


def _add_openai(attributes: Attributes, operation: str, request: msgspec.Struct) -> None:
    tier = getattr(request, "service_tier", None)
    if isinstance(tier, str) and tier != "auto":
        attributes[names.OPENAI_REQUEST_SERVICE_TIER] = tier
    if operation == "chat":
        attributes[names.OPENAI_API_TYPE] = "chat_completions"
    elif operation == "create_response":
        attributes[names.OPENAI_API_TYPE] = "responses"
