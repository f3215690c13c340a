"""The models that Google lists."""

from .._errors import SerializationError
from ..types import Model, ModelsListResponse
from ._gemini_json import JsonObject, count_of, decode_json, fields_of, objects_of, text_of


def read_models(body: bytes, *, provider: str) -> ModelsListResponse:
    """Decode a list of models: those of the Gemini API, or of a publisher on Vertex AI.

    :raises SerializationError: it cannot be read
    """
    try:
        told = decode_json(body)
    except ValueError as error:
        raise SerializationError(
            f"the reply is no list of models: {error}", status=200, provider=provider, body=body
        ) from error
    listing = fields_of(told)
    models = [_model(one) for name in ("models", "publisherModels") for one in objects_of(listing.get(name))]
    following = text_of(listing.get("nextPageToken")) or None
    return ModelsListResponse(data=models, has_more=following is not None, next_after=following)


def _model(told: JsonObject) -> Model:
    prompt, reply = count_of(told.get("inputTokenLimit")), count_of(told.get("outputTokenLimit"))
    return Model(
        id=(text_of(told.get("name")) or "").rpartition("models/")[2],
        owned_by="google",
        display_name=text_of(told.get("displayName")),
        context_window=prompt,
        max_output_tokens=reply,
    )
