"""Bedrock's list of models."""

import msgspec

from .._errors import SerializationError
from ..types import Model, ModelsListResponse
from ._lenient import decode_leniently


class _Summary(msgspec.Struct, frozen=True):
    modelId: str  # noqa: N815 # as the wire names them, which costs no renaming
    modelName: str | None = None  # noqa: N815
    providerName: str | None = None  # noqa: N815


class _Summaries(msgspec.Struct, frozen=True):
    modelSummaries: list[_Summary] = []  # noqa: N815


_SUMMARIES = msgspec.json.Decoder(_Summaries)


def read_models(body: bytes, *, provider: str) -> ModelsListResponse:
    """Decode a list of foundation models.

    :raises SerializationError: it cannot be read
    """
    try:
        told = decode_leniently(_SUMMARIES, body)
    except msgspec.DecodeError as error:
        raise SerializationError(
            f"the reply is no list of models: {error}", status=200, provider=provider, body=body
        ) from error
    models = [
        Model(id=one.modelId, owned_by=one.providerName or "", display_name=one.modelName)
        for one in told.modelSummaries
    ]
    return ModelsListResponse(data=models)
