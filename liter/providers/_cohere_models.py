"""The list of Cohere's models."""

import msgspec

from .._contract import Call
from ..types import Model, ModelsListResponse
from ._read import read_json


class _WireModel(msgspec.Struct, frozen=True):
    name: str
    context_length: float | None = None


class _WireModels(msgspec.Struct, frozen=True):
    models: list[_WireModel] = []
    next_page_token: str | None = None


_MODELS = msgspec.json.Decoder(_WireModels)


def read_models(call: Call[object], body: bytes) -> ModelsListResponse:
    """Decode a list of models.

    :raises SerializationError: it cannot be read
    """
    told = read_json(call, body, _MODELS, "a list of models")
    models = [
        Model(
            id=model.name,
            owned_by=call.route.provider,
            context_window=int(model.context_length) if model.context_length else None,
        )
        for model in told.models
    ]
    return ModelsListResponse(data=models, has_more=bool(told.next_page_token), next_after=told.next_page_token or None)
