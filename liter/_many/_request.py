"""What may be mapped over: request structs, keywords of a chat, lines of a batch file."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import cast

import msgspec

from ..types import (
    ChatCompletionRequest,
    CompletionRequest,
    CreateResponseRequest,
    EmbeddingRequest,
    ImageGenerationRequest,
    ModerationRequest,
    OcrRequest,
    RerankRequest,
    SearchRequest,
    SpeechRequest,
    TranscriptionRequest,
)
from ..types._vector import plain

# The client's method for each request.
METHODS: Mapping[type[msgspec.Struct], str] = {
    ChatCompletionRequest: "chat",
    CompletionRequest: "completions",
    CreateResponseRequest: "create_response",
    EmbeddingRequest: "embed",
    ImageGenerationRequest: "image_generate",
    ModerationRequest: "moderate",
    OcrRequest: "ocr",
    RerankRequest: "rerank",
    SearchRequest: "search",
    SpeechRequest: "speech",
    TranscriptionRequest: "transcribe",
}

# How the ``url`` of a line of OpenAI's batch files ends.
_ENDPOINTS: Mapping[str, type[msgspec.Struct]] = {
    "/chat/completions": ChatCompletionRequest,
    "/completions": CompletionRequest,
    "/responses": CreateResponseRequest,
    "/embeddings": EmbeddingRequest,
    "/moderations": ModerationRequest,
    "/images/generations": ImageGenerationRequest,
    "/rerank": RerankRequest,
}


class Task(msgspec.Struct, frozen=True):
    """One request of many.

    :param index: its place in the input, from 0
    :param custom_id: the caller's own name for it, as batch files have
    :param method: the client's method
    """

    index: int
    request: msgspec.Struct
    method: str
    custom_id: str | None = None


def task_of(index: int, given: object) -> Task:
    """Make a task of what stands at a place of the input.

    :raises ValueError: it is none that a client has a method for; says where it stands
    """
    try:
        custom_id, request = _request_of(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"requests[{index}]: {error}") from error
    method = METHODS.get(type(request))
    if method is None:
        known = ", ".join(kind.__name__ for kind in METHODS)
        raise ValueError(f"requests[{index}] is a {type(request).__name__}: give one of {known}, or a mapping")
    return Task(index, request, method, custom_id)


def _request_of(given: object) -> tuple[str | None, msgspec.Struct]:
    if isinstance(given, msgspec.Struct):
        return None, given
    if not isinstance(given, Mapping):
        raise ValueError(f"give a request, or a mapping with a chat's keywords, not {type(given).__name__}")
    fields = cast("Mapping[str, object]", given)
    if "body" not in fields:
        known = ChatCompletionRequest.__struct_fields__
        for name in fields:
            # As chat itself says; what a body has more than these is for its provider.
            if name not in known and name != "stream":
                near = get_close_matches(str(name), [*known, "body"], n=1)
                meant = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(
                    f"unknown parameter {name!r}: {meant}What a provider takes beyond these goes in extra_body"
                )
        return None, _made(ChatCompletionRequest, fields)
    url, body = fields.get("url", "/v1/chat/completions"), fields["body"]
    # The longest ending decides: chat completions are no completions.
    kind = next((kind for ending, kind in _ENDPOINTS.items() if isinstance(url, str) and url.endswith(ending)), None)
    if kind is None:
        raise ValueError(f"url {url!r} is none of {', '.join(f'/v1{ending}' for ending in _ENDPOINTS)}")
    if not isinstance(body, Mapping):
        raise ValueError(f"body must be an object, not {type(body).__name__}")
    custom_id = fields.get("custom_id")
    if custom_id is not None and not isinstance(custom_id, str):
        raise ValueError(f"custom_id must be a text, not {custom_id!r}")
    return custom_id, _made(kind, cast("Mapping[str, object]", body))


def _made(kind: type[msgspec.Struct], fields: Mapping[str, object]) -> msgspec.Struct:
    """Make a request; what liter has no field for goes to the provider as it is."""
    known = kind.__struct_fields__
    given = {name: value for name, value in fields.items() if name in known}
    extra = {name: value for name, value in fields.items() if name not in known and name != "stream"}
    if fields.get("stream"):
        raise ValueError("a stream cannot be mapped: leave 'stream' out")
    if extra:
        given["extra_body"] = {**extra, **cast("Mapping[str, object]", given.get("extra_body") or {})}
    missing = [field.name for field in msgspec.structs.fields(kind) if field.required and field.name not in given]
    if missing:
        raise ValueError(f"{missing[0]!r} is missing")
    return kind(**given)


def fingerprint(task: Task) -> bytes | None:
    """The request as JSON with sorted names; ``None`` where it holds a file, which has none."""
    try:
        return msgspec.json.encode([task.method, task.request], enc_hook=plain, order="sorted")
    except (NotImplementedError, TypeError, ValueError):
        return None
