"""Images on Google's wire: Gemini's replies and Imagen's predictions."""

import json
import logging

import pytest
from msgspec.structs import replace

from liter._errors import BadRequestError, ContentPolicyError, SerializationError, ServiceUnavailableError
from liter.providers import Gemini, Vertex
from liter.providers._gemini_images import PARAMETERS
from liter.providers._parameters import Unsupported
from liter.types import ImageGenerationRequest

IMAGE = "gemini-3-pro-image"
IMAGEN = "imagen-4.0-generate-001"
BASE = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"


@pytest.fixture
def call_for(call_of):
    """A call that asks for an image."""

    def make(model: str = IMAGE, *, unsupported: str = "raise", **fields: object):
        request = ImageGenerationRequest(**{"model": model, "prompt": "a boat", **fields})
        call = call_of(request, operation="image_generate", provider="gemini", model=model, base_url=BASE)
        return replace(call, unsupported=unsupported)

    return make


def body_of(call):
    """What is sent."""
    return json.loads(Gemini().encode(call).body)


# A value of each parameter, and what it becomes with Gemini and with Imagen; ``None`` is refused.
SAID = {
    "prompt": ("a boat", {}, {}),
    "model": (None, {}, {}),
    "n": (2, None, {"sampleCount": 2}),
    "size": (
        "1536x1024",
        {"imageConfig": {"aspectRatio": "3:2", "imageSize": "1K"}},
        {"aspectRatio": "3:2", "sampleImageSize": "1K"},
    ),
    "quality": ("high", None, None),
    "style": ("vivid", None, None),
    "response_format": ("url", None, None),
    "output_format": ("jpeg", None, {"outputOptions": {"mimeType": "image/jpeg"}}),
    "output_compression": (80, None, {"outputOptions": {"compressionQuality": 80}}),
    "background": ("opaque", None, None),
    "moderation": ("low", None, None),
    "partial_images": (1, None, None),
    "seed": (7, {"seed": 7}, {"seed": 7, "addWatermark": False}),
    "user": ("u", None, None),
    "extra_body": (
        {"generationConfig": {"topK": 3}, "parameters": {"language": "en"}},
        {"topK": 3},
        {"language": "en"},
    ),
}


@pytest.mark.parametrize(("model", "place"), [(IMAGE, 1), (IMAGEN, 2)])
@pytest.mark.parametrize("name", ImageGenerationRequest.__struct_fields__)
def test_every_parameter_is_sent_or_refused(name, model, place, call_for, caplog):
    """As the table says; what is refused can be dropped."""
    given, expected = SAID[name][0], SAID[name][place]
    assert PARAMETERS.keys() == SAID.keys()
    assert not isinstance(PARAMETERS[name], Unsupported) or expected is None
    held = "generationConfig" if model == IMAGE else "parameters"
    fields = {} if given is None else {name: given}
    plain = body_of(call_for(model))
    if expected is None:
        with pytest.raises(BadRequestError, match=name):
            body_of(call_for(model, **fields))
        with caplog.at_level(logging.WARNING, "liter"):
            dropped = body_of(call_for(model, unsupported="drop", **fields))
        assert name in caplog.text
        assert dropped == ({**plain, "parameters": {"sampleCount": 1}} if model == IMAGEN else plain)
        return
    assert body_of(call_for(model, **fields))[held] == {**plain[held], **expected}


def test_requests_go_to_the_models_method(call_for):
    """Gemini generates content, Imagen predicts; Vertex AI has both."""
    assert Gemini().encode(call_for()).path == f"/models/{IMAGE}:generateContent"
    assert Gemini().encode(call_for(IMAGEN)).path == f"/models/{IMAGEN}:predict"
    assert Vertex().encode(call_for(IMAGEN)).path == f"/publishers/google/models/{IMAGEN}:predict"
    assert body_of(call_for())["generationConfig"] == {"responseModalities": ["IMAGE"]}
    assert body_of(call_for(IMAGEN))["instances"] == [{"prompt": "a boat"}]


@pytest.mark.parametrize(
    ("size", "expected"),
    [("auto", None), ("16:9", {"aspectRatio": "16:9"}), ("4096x4096", {"aspectRatio": "1:1", "imageSize": "4K"})],
)
def test_sizes(size, expected, call_for):
    """By ratio, or by pixels."""
    assert body_of(call_for(size=size))["generationConfig"].get("imageConfig") == expected
    with pytest.raises(BadRequestError, match="16:9"):
        body_of(call_for(size="large"))


def test_images_of_a_reply(call_for):
    """With the usage of a chat, and the words that came along."""
    parts = [{"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thoughtSignature": "c2ln"}]
    body = {
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1290, "totalTokenCount": 1293},
    }
    reply = Gemini().decode(call_for(), json.dumps(body).encode())
    assert [image.b64_json for image in reply.data] == ["AAAA"]
    assert reply.usage.completion_tokens == 1290
    assert reply.native["text"] == "Here."


def test_images_that_were_predicted(call_for):
    """Those that a filter held back are told beside the others."""
    body = {
        "predictions": [
            {"bytesBase64Encoded": "AAAA", "mimeType": "image/png", "prompt": "a red boat"},
            {"raiFilteredReason": "Filtered."},
        ]
    }
    reply = Gemini().decode(call_for(IMAGEN), json.dumps(body).encode())
    assert [(image.b64_json, image.revised_prompt) for image in reply.data] == [("AAAA", "a red boat")]
    assert reply.usage.images == 1
    assert reply.native == {"raiFilteredReason": ["Filtered."]}


@pytest.mark.parametrize(
    ("model", "body", "kind"),
    [
        (IMAGE, {"candidates": [{"finishReason": "IMAGE_SAFETY", "finishMessage": "No."}]}, ContentPolicyError),
        (IMAGE, {"promptFeedback": {"blockReason": "SAFETY"}}, ContentPolicyError),
        (IMAGEN, {"predictions": [{"raiFilteredReason": "No."}]}, ContentPolicyError),
        (IMAGEN, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}}, ServiceUnavailableError),
        (IMAGE, {}, SerializationError),
    ],
)
def test_no_image_came(model, body, kind, call_for):
    """A filter, an error, or no reply at all."""
    with pytest.raises(kind):
        Gemini().decode(call_for(model), json.dumps(body).encode())
    with pytest.raises(SerializationError):
        Gemini().decode(call_for(IMAGEN), b"{")
