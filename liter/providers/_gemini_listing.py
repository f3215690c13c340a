"""The models that Google lists."""

from .._contract import Call
from ..types import Model, ModelsListResponse
from ._gemini_json import JsonObject, count_of, objects_of, read_fields, text_of


def read_models(call: Call[object], body: bytes) -> ModelsListResponse:
    """Decode a list of models: those of the Gemini API, or of a publisher on Vertex AI.

    :raises SerializationError: it cannot be read
    """
    listing = read_fields(call, body, "a list of models")
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
