"""The list of Cohere's models."""

import msgspec

from .._errors import SerializationError
from ..types import Model, ModelsListResponse
from ._lenient import decode_leniently


class _WireModel(msgspec.Struct, frozen=True):
    name: str
    context_length: float | None = None


class _WireModels(msgspec.Struct, frozen=True):
    models: list[_WireModel] = []
    next_page_token: str | None = None


_MODELS = msgspec.json.Decoder(_WireModels)


def read_models(body: bytes, *, provider: str) -> ModelsListResponse:
    """Decode a list of models.

    :raises SerializationError: it cannot be read
    """
    try:
        told = decode_leniently(_MODELS, body)
    except msgspec.DecodeError as error:
        raise SerializationError(
            f"the reply is no list of models: {error}", status=200, provider=provider, body=body
        ) from error
    models = [
        Model(
            id=model.name,
            owned_by=provider,
            context_window=int(model.context_length) if model.context_length else None,
        )
        for model in told.models
    ]
    return ModelsListResponse(data=models, has_more=bool(told.next_page_token), next_after=told.next_page_token or None)
