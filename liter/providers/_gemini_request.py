"""Chat requests of OpenAI's form as Gemini's, parameter by parameter."""

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import quote

import msgspec

from .._errors import BadRequestError
from ..types import (
    AudioOutput,
    ChatCompletionRequest,
    JsonSchemaFormat,
    ResponseFormat,
    TextFormat,
)
from ._gemini_json import JsonObject
from ._gemini_messages import Turns, split_system
from ._gemini_models import BUDGETS, LEVELS
from ._gemini_target import Target
from ._gemini_tools import camel, is_googles_schema, tools_of
from ._parameters import Mapped, Renamed, Rule, Unsupported, supported
from ._typed_parameters import typed, typed_format

_ENCODER = msgspec.json.Encoder()

_NONE = Unsupported()
PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("in the path"),
    "messages": Mapped("`systemInstruction` and `contents`"),
    "max_completion_tokens": Renamed("generationConfig.maxOutputTokens"),
    "max_tokens": Renamed("generationConfig.maxOutputTokens"),
    "temperature": Renamed("generationConfig.temperature"),
    "top_p": Renamed("generationConfig.topP"),
    "n": Renamed("generationConfig.candidateCount"),
    "stop": Mapped("`generationConfig.stopSequences`, a list"),
    "seed": Renamed("generationConfig.seed"),
    "presence_penalty": Renamed("generationConfig.presencePenalty"),
    "frequency_penalty": Renamed("generationConfig.frequencyPenalty"),
    "logit_bias": Unsupported(neutral=({},)),
    "logprobs": Renamed("generationConfig.responseLogprobs"),
    "top_logprobs": Renamed("generationConfig.logprobs"),
    "tools": Mapped("`tools[].functionDeclarations`; Gemini's own by name: `{'type': 'google_search'}`"),
    "tool_choice": Mapped("`toolConfig.functionCallingConfig`"),
    "parallel_tool_calls": Unsupported("the model calls as many tools as it likes", neutral=(True,)),
    "response_format": Mapped("`generationConfig.responseMimeType` and `responseJsonSchema`"),
    "reasoning_effort": Mapped("`generationConfig.thinkingConfig`: a budget (2.5) or a level (3 and later)"),
    "verbosity": _NONE,
    "modalities": Mapped("`generationConfig.responseModalities`, in upper case"),
    "audio": Mapped("`generationConfig.speechConfig`; the format is always `pcm16`"),
    "prediction": _NONE,
    "web_search_options": Mapped("the tool `googleSearch`, without settings"),
    "service_tier": Mapped("`serviceTier`: `standard` for `default`, `flex`, `priority`"),
    "store": Unsupported(neutral=(False,)),
    "metadata": Unsupported("take Vertex AI, which has labels", neutral=({},)),
    "prompt_cache_key": Unsupported("prompts that begin alike are cached all the same"),
    "prompt_cache_retention": _NONE,
    "prompt_cache_options": _NONE,
    "moderation": Unsupported("set safetySettings in extra_body"),
    "safety_identifier": Unsupported("take Vertex AI, which has labels"),
    "user": Unsupported("take Vertex AI, which has labels"),
    "stream_options": Mapped("usage is always sent"),
    "functions": Unsupported("give them as tools", neutral=([], ())),
    "function_call": Unsupported("give it as tool_choice"),
    "extra_body": Mapped("merged in depth, so `{'generationConfig': {'topK': 40}}` leaves the rest as it is"),
}
VERTEX_PARAMETERS: Mapping[str, Rule] = {
    **PARAMETERS,
    "service_tier": Mapped("the headers that ask for Flex or Priority PayGo"),
    "metadata": Renamed("labels"),
    "safety_identifier": Renamed("labels.user"),
    "user": Renamed("labels.user"),
}

_NUMBERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_JSON = "application/json"


def chat_body(request: ChatCompletionRequest, target: Target) -> bytes:
    """Make the body of ``generateContent``.

    :raises BadRequestError: a parameter or message asks for what Gemini cannot be told
    """
    request = supported(VERTEX_PARAMETERS if target.vertex else PARAMETERS, request, target.call)
    system, messages = split_system(request.conversation, target)
    first = len(request.messages) - len(messages)
    contents = Turns(target).of(messages, first)
    if not contents:
        raise BadRequestError("messages: Gemini needs a message of the user's beside the system instruction")
    body: JsonObject = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    body.update(tools_of(request, target))
    config = _config(request, target)
    if config:
        body["generationConfig"] = config
    body.update(_labels(request, target))
    if request.service_tier is not None and not target.vertex:
        tier = tier_of(request.service_tier, target)
        if tier is not None:
            body["serviceTier"] = tier
    return _ENCODER.encode(merged(body, _camel_names(request.extra_body or {})))


def tier_of(tier: str, target: Target) -> str | None:
    """Google's word for a service tier; ``None`` where it is to choose. :raises BadRequestError: it has none"""
    if tier == "auto":
        return None
    if tier not in _TIERS:
        target.cannot(f"service_tier={tier!r}", f"take one of auto, {', '.join(_TIERS)}")
    return _TIERS.get(tier)


def _config(request: ChatCompletionRequest, target: Target) -> JsonObject:
    config: JsonObject = {
        name: value for field, name in _NUMBERS.items() if (value := getattr(request, field)) is not None
    }
    limit = request.max_completion_tokens or request.max_tokens
    if limit is not None:
        config["maxOutputTokens"] = limit
    if request.stop is not None:
        config["stopSequences"] = [request.stop] if isinstance(request.stop, str) else list(request.stop)
    if request.modalities is not None:
        config["responseModalities"] = [modality.upper() for modality in request.modalities]
    if request.audio is not None:
        config["speechConfig"] = _speech(request.audio, target)
    config.update(_format(request.response_format))
    if request.reasoning_effort is not None:
        thinking = _thinking(request.reasoning_effort, target)
        if thinking:
            config["thinkingConfig"] = thinking
    return config


def _speech(audio: AudioOutput | Mapping[str, object], target: Target) -> JsonObject:
    audio = cast("AudioOutput", typed(audio, "audio", AudioOutput))
    if audio.format != "pcm16":
        target.cannot(f"audio.format={audio.format!r}", "take 'pcm16', which is what Gemini makes")
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": audio.voice}}}


def _format(response_format: ResponseFormat | Mapping[str, object] | type | None) -> JsonObject:
    if response_format is None:
        return {}
    form = typed_format(response_format)
    if isinstance(form, TextFormat):
        return {}
    schema = form.json_schema.schema if isinstance(form, JsonSchemaFormat) else None
    if schema is None:
        return {"responseMimeType": _JSON}
    described = cast("JsonSchemaFormat", form).json_schema.description
    if described is not None and "description" not in schema:
        schema = {**schema, "description": described}
    field = "responseSchema" if is_googles_schema(schema) else "responseJsonSchema"
    return {"responseMimeType": _JSON, field: schema}


def _thinking(effort: str, target: Target) -> JsonObject:
    facts, model = target.facts, target.model
    if effort != "none" and effort not in BUDGETS:
        raise BadRequestError(f"reasoning_effort must be none, {', '.join(BUDGETS)}, not {effort!r}")
    if facts.thinking == "none":
        if effort != "none":
            target.cannot(f"reasoning_effort={effort!r} ({model} does not think)", "leave it out")
        return {}
    if effort == "none":
        if facts.stops:
            return {"thinkingBudget": 0}
        least = "minimal" if facts.thinking == "budget" else facts.levels[0].lower()
        target.cannot(f"reasoning_effort='none' ({model} always thinks)", f"take {least!r}, the least it does")
        return {}
    if facts.thinking == "budget":
        return {"thinkingBudget": min(max(BUDGETS[effort], facts.least), facts.most), "includeThoughts": True}
    level = next(level for level in LEVELS[effort] if level in facts.levels)
    return {"thinkingLevel": level, "includeThoughts": True}


def _labels(request: ChatCompletionRequest, target: Target) -> JsonObject:
    if not target.vertex:
        return {}
    labels = dict(request.metadata or {})
    user = request.safety_identifier or request.user
    if user is not None:
        labels["user"] = user
    return {"labels": labels} if labels else {}


def _camel_names(extra: Mapping[str, object], depth: int = 1) -> JsonObject:
    """The caller's own fields under the names used here, so that none is there twice."""
    named: JsonObject = {}
    for given, value in extra.items():
        name = camel(given)
        is_config = depth and name in ("generationConfig", "toolConfig") and isinstance(value, Mapping)
        named[name] = _camel_names(cast("JsonObject", value), depth - 1) if is_config else value
    return named


def merged(body: Mapping[str, object], extra: Mapping[str, object]) -> JsonObject:
    """A body with the caller's own fields, which win; objects in both are merged in depth."""
    made = dict(body)
    for name, value in extra.items():
        before = made.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        made[name] = merged(cast("JsonObject", before), cast("JsonObject", value)) if both else value
    return made


def model_path(model: str, folders: Sequence[str] = ("models", "tunedModels")) -> str:
    """The path of a model, percent-encoded: ``/models/gemini-3-pro``; one that is a path already stays one."""
    folder, slash, name = model.partition("/")
    if not slash or folder not in folders:
        folder, name = folders[0], model
    return f"/{folder}/{quote(name, safe='@')}"
