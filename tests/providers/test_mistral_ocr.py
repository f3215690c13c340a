"""Mistral's OCR at Mistral, on Vertex AI and on Azure: one body, three addresses."""

import json

import pytest

from liter import LlmClient
from liter._errors import BadRequestError, EndpointNotSupportedError
from liter._http import Headers
from liter.providers import known_providers
from liter.types import OcrRequest

from ._answering import answering, said

KNOWN = known_providers()
PDF = {"type": "document_url", "document_url": "https://a.org/a.pdf"}
DATA = {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg=="}
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google"
FOUNDRY = "https://me.services.ai.azure.com/models"


@pytest.fixture
def make(call_of):
    """Make a call for a document's text."""

    def made(provider, model="mistral-ocr-2505", document=DATA, **given):
        request = OcrRequest(model=f"{provider}/{model}", document=document, **given)
        base_url = {"mistral": KNOWN["mistral"].base_url, "vertex": VERTEX, "azure-ai": FOUNDRY}[provider]
        return call_of(request, operation="ocr", provider=provider, model=model, base_url=base_url)

    return made


@pytest.mark.parametrize(
    ("provider", "model", "url"),
    [
        ("mistral", "mistral-ocr-2505", "https://api.mistral.ai/v1/ocr"),
        (
            "vertex",
            "mistral-ocr-2505",
            VERTEX.removesuffix("/google") + "/mistralai/models/mistral-ocr-2505:rawPredict",
        ),
        (
            "vertex",
            "mistralai/mistral-ocr-2505",
            VERTEX.removesuffix("/google") + "/mistralai/models/mistral-ocr-2505:rawPredict",
        ),
        (
            "azure-ai",
            "mistral-document-ai-2505",
            "https://me.services.ai.azure.com/providers/mistral/azure/ocr",
        ),
    ],
)
def test_the_same_body_goes_to_each_place(make, provider, model, url):
    """With the name that the place has for the model, and a bearer."""
    call = make(provider, model, pages=[0, 2], include_image_base64=True, extra_body={"table_format": "html"})
    request = KNOWN[provider].encode(call)
    assert request.base_url + request.path == url
    assert json.loads(request.body) == {
        "model": model.removeprefix("mistralai/"),
        "document": DATA,
        "pages": [0, 2],
        "include_image_base64": True,
        "table_format": "html",
    }
    assert dict(request.headers)[b"authorization"] == b"Bearer sk-test"
    assert KNOWN[provider].parameters("ocr").keys() == {*OcrRequest.__struct_fields__}


def test_azure_reads_what_is_in_the_request(make):
    """The others fetch documents themselves."""
    with pytest.raises(BadRequestError, match="azure-ai reads what is in the request alone"):
        KNOWN["azure-ai"].encode(make("azure-ai", document=PDF))
    assert json.loads(KNOWN["vertex"].encode(make("vertex", document=PDF)).body)["document"] == PDF


def test_vertex_has_ocr_with_mistrals_models_alone(make):
    """A model of another maker has none, which a vision model may make up for."""
    with pytest.raises(EndpointNotSupportedError, match="not with gemini-3-pro"):
        KNOWN["vertex"].encode(make("vertex", "gemini-3-pro"))


@pytest.mark.parametrize("provider", ["mistral", "vertex", "azure-ai"])
def test_every_recorded_document(recordings, make, provider):
    """Pages in order with their pictures; pages are billed."""
    count = 0
    for record in recordings("mistral", "ocr"):
        if record["status"] != 200:
            continue
        count += 1
        raw = json.loads(record["response_body"])
        call = make(provider)
        response = KNOWN[provider].decode(call, record["response_body"].encode(), Headers())
        assert [(page.index, page.markdown, page.images) for page in response.pages] == [
            (page["index"], page["markdown"], page["images"]) for page in raw["pages"]
        ]
        assert KNOWN[provider].usage(call, response).pages == raw["usage_info"]["pages_processed"]
    assert count == 2


@pytest.mark.anyio
async def test_a_document_through_the_client():
    """On Foundry: the address of the resource, and a bill by pages."""
    received = []
    body = {"pages": [{"index": 0, "markdown": "# A"}], "model": "m", "usage_info": {"pages_processed": 1}}
    async with (
        answering(lambda request: said(body), received) as network,
        LlmClient(
            network_backend=network,
            api_keys={"azure-ai": "azure-key"},
            provider_settings={"azure-ai": {"resource": "me"}},
        ) as client,
    ):
        response = await client.ocr(model="azure-ai/mistral-document-ai-2505", document=DATA)
    assert response.text == "# A"
    assert response.usage.pages == 1
    assert (received[0].headers["host"], received[0].target) == (
        "me.services.ai.azure.com",
        "/providers/mistral/azure/ocr",
    )
