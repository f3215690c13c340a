"""The models that Anthropic lists."""

import msgspec

from .._contract import Call
from ..types import Model, ModelsListResponse
from ._read import read_json
from ._unix_time import unix_time_of


class _WireModel(msgspec.Struct, frozen=True):
    id: str
    display_name: str | None = None
    created_at: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None


class _WireModels(msgspec.Struct, frozen=True):
    data: list[_WireModel] = []
    has_more: bool | None = None


_MODELS = msgspec.json.Decoder(_WireModels)


def read_models(call: Call[object], body: bytes) -> ModelsListResponse:
    """Decode a list of models.

    :raises SerializationError: it cannot be read
    """
    told = read_json(call, body, _MODELS, "a list of models")
    models = [
        Model(
            id=model.id,
            created=unix_time_of(model.created_at),
            owned_by="anthropic",
            display_name=model.display_name,
            context_window=model.max_input_tokens,
            max_output_tokens=model.max_tokens,
        )
        for model in told.data
    ]
    last = models[-1].id if models else None
    return ModelsListResponse(data=models, has_more=told.has_more, next_after=last if told.has_more else None)
