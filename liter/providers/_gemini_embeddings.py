"""Embeddings of Google's: several at once by the Gemini API, and in two forms on Vertex AI."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from ..types import (
    Embedding,
    EmbeddingRequest,
    EmbeddingResponse,
    PromptTokensDetails,
    Usage,
    UserMessage,
    Vector,
)
from ..types._check import typed_messages
from ._gemini_json import JsonObject, count_of, objects_of, text_of
from ._gemini_parts import parts_of
from ._gemini_target import Target
from ._parameters import Mapped, Renamed, Rule, Unsupported, supported
from ._read import read_json

_ENCODER = msgspec.json.Encoder()

PARAMETERS: Mapping[str, Rule] = {
    "model": Mapped("in the path"),
    "input": Mapped("`content`, one for each input; content parts are taken by models that see"),
    "encoding_format": Unsupported("vectors come as numbers", neutral=("float",)),
    "dimensions": Renamed("outputDimensionality"),
    "user": Unsupported(),
    "input_type": Mapped(
        "`taskType`: `query` is `RETRIEVAL_QUERY`, `document` `RETRIEVAL_DOCUMENT`; others as they are"
    ),
    "extra_body": Mapped("merged into each input's own request, as `{'title': ...}`"),
}

_TASKS = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}


class _Statistics(msgspec.Struct):
    token_count: float | None = None


class _Values(msgspec.Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Values


class _Counted(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    prompt_token_details: list[JsonObject] = []
    prompt_tokens_details: list[JsonObject] = []


class _Reply(msgspec.Struct, rename="camel"):
    embeddings: list[_Values] | None = None
    embedding: _Values | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: _Counted | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def batch_body(target: Target) -> bytes:
    """Make the body of ``batchEmbedContents``.

    :raises BadRequestError: an input is of a kind that Gemini does not take
    """
    request = _taken(target)
    model = target.model if target.model.startswith("models/") else f"models/{target.model}"
    settings = _settings(request)
    requests = [
        {"model": model, "content": {"parts": parts}, **settings, **(request.extra_body or {})}
        for parts in _contents(request, target)
    ]
    return _ENCODER.encode({"requests": requests})


def single_body(target: Target) -> bytes:
    """Make the body of ``embedContent``, which takes one input.

    :raises BadRequestError: there are several, or one is of a kind that Gemini does not take
    """
    request = _taken(target)
    contents = _contents(request, target)
    if len(contents) > 1:
        raise BadRequestError(f"input: {target.model} makes one vector a call on Vertex AI: give one input at a time")
    return _ENCODER.encode({"content": {"parts": contents[0]}, **_settings(request), **(request.extra_body or {})})


def predict_body(target: Target) -> bytes:
    """Make the body of ``predict``.

    :raises BadRequestError: an input is no text
    """
    request = _taken(target)
    settings = _settings(request)
    task = {"task_type": settings.pop("taskType")} if "taskType" in settings else {}
    instances: list[JsonObject] = []
    for index, parts in enumerate(_contents(request, target)):
        if len(parts) != 1 or "text" not in parts[0]:
            raise BadRequestError(f"input[{index}]: {target.model} makes vectors of texts alone")
        instances.append({"content": parts[0]["text"], **task, **(request.extra_body or {})})
    return _ENCODER.encode({"instances": instances, **({"parameters": settings} if settings else {})})


def read_embeddings(call: Call[object], body: bytes) -> EmbeddingResponse:
    """Decode vectors, whichever of the three forms they are in.

    :raises SerializationError: they cannot be read
    :raises LlmError: the reply is an error under a status of success
    """
    told = read_json(call, body, _REPLY, "a list of embeddings")
    made: Sequence[_Values] = told.embeddings or ()
    if told.embedding is not None:
        made = (told.embedding,)
    elif told.predictions is not None:
        made = [prediction.embeddings for prediction in told.predictions]
    data = [Embedding(index=index, embedding=Vector.of(one.values)) for index, one in enumerate(made)]
    return EmbeddingResponse(data=data, model=call.route.model, usage=_usage(told, made))


def _taken(target: Target) -> EmbeddingRequest:
    return supported(PARAMETERS, cast("EmbeddingRequest", target.call.request), target.call)


def _settings(request: EmbeddingRequest) -> JsonObject:
    settings: JsonObject = {}
    if request.input_type is not None:
        settings["taskType"] = _TASKS.get(request.input_type, request.input_type.upper())
    if request.dimensions is not None:
        settings["outputDimensionality"] = request.dimensions
    return settings


def _contents(request: EmbeddingRequest, target: Target) -> list[list[JsonObject]]:
    return [_content(item, f"input[{index}]", target) for index, item in enumerate(request.items)]


def _content(item: str | Sequence[int] | Mapping[str, object], where: str, target: Target) -> list[JsonObject]:
    if isinstance(item, str):
        return [{"text": item}]
    if not isinstance(item, Mapping):
        raise BadRequestError(f"{where}: Gemini makes vectors of texts, not of token ids")
    [message] = typed_messages([{"role": "user", "content": [item]}])
    return parts_of(cast("UserMessage", message).content, where, target)


def _usage(told: _Reply, made: Sequence[_Values]) -> Usage | None:
    """Counts, where there are any: older models tell none, Vertex AI tells one for each input."""
    counted = told.usage_metadata
    if counted is not None and counted.prompt_token_count is not None:
        details = {
            text_of(one.get("modality")): count_of(one.get("tokenCount"))
            for one in objects_of(counted.prompt_tokens_details or counted.prompt_token_details)
        }
        return Usage(
            prompt_tokens=counted.prompt_token_count,
            total_tokens=counted.prompt_token_count,
            prompt_tokens_details=PromptTokensDetails(
                text_tokens=details.get("TEXT"),
                audio_tokens=details.get("AUDIO"),
                image_tokens=details.get("IMAGE"),
                video_tokens=details.get("VIDEO"),
            )
            if details
            else None,
        )
    counts = [one.statistics.token_count for one in made if one.statistics is not None]
    if not counts or any(count is None for count in counts):
        return None
    total = int(sum(count or 0 for count in counts))
    return Usage(prompt_tokens=total, total_tokens=total)
