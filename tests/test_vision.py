"""A document that a chat model reads, because the caller asked for it and no OCR could."""

import json

import pytest

from liter import EndpointNotSupportedError, LlmClient, NotFoundError
from liter._vision import chat_of, ocr_of
from liter.testing import Refuse, Simulator
from liter.types import AssistantMessage, ChatCompletionResponse, Choice, OcrRequest

pytestmark = pytest.mark.anyio

PDF = {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg=="}
PNG = {"type": "image_url", "image_url": "data:image/png;base64,iVBO"}
WRITTEN = "<!-- page 1 -->\n# Rivers\n\n<!-- page 2 -->\nThe end."


async def read(simulator, model="openai/gpt-4o", document=PDF, **given):
    """Read a document over the simulator."""
    async with (
        simulator.serve_memory() as network,
        LlmClient(
            network_backend=network, api_keys={"openai": "sk-openai-key", "mistral": "mistral-key"}, max_retries=0
        ) as client,
    ):
        return await client.ocr(model=model, document=document, **given)


async def test_a_chat_model_reads_where_there_is_no_ocr():
    """Its pages, its tokens, its price; and the reply says who read."""
    simulator = Simulator(reply=WRITTEN)
    response = await read(simulator, vision_model="openai/gpt-4o")
    assert [(page.index, page.markdown) for page in response.pages] == [(0, "# Rivers"), (1, "The end.")]
    assert response.vision_model == "openai/gpt-4o"
    assert response.usage.completion_tokens > 0
    assert response.usage_info is None
    assert response.cost.total > 0
    assert len(response.attempts) == 1
    asked = simulator.requests[-1].json["messages"][0]["content"]
    assert asked[0]["text"].startswith("Write down the text of this document")
    assert asked[1]["file"]["file_data"] == PDF["document_url"]


async def test_it_is_asked_only_if_it_is_named():
    """Otherwise nothing is asked at all."""
    simulator = Simulator(reply=WRITTEN)
    with pytest.raises(EndpointNotSupportedError):
        await read(simulator)
    assert not simulator.requests


async def test_it_reads_where_ocr_is_overloaded():
    """What was tried before is on the record; the keys stay where they belong."""
    simulator = Simulator(reply=WRITTEN, faults=[Refuse(503)])
    response = await read(
        simulator,
        "mistral/mistral-ocr-latest",
        PNG,
        vision_model="openai/gpt-4o",
        api_key="the-other-mistral-key",
        extra_headers={"x-mine": "1"},
    )
    assert response.vision_model == "openai/gpt-4o"
    assert [attempt.provider for attempt in response.attempts] == ["mistral", "openai"]
    first, second = simulator.requests
    assert first.headers["authorization"] == "Bearer the-other-mistral-key"
    assert "vision_model" not in first.json
    assert second.headers["authorization"] == "Bearer sk-openai-key"
    assert "x-mine" not in second.headers
    assert second.json["messages"][0]["content"][1]["image_url"]["url"] == PNG["image_url"]


async def test_a_fault_of_the_callers_is_not_hidden():
    """A model that does not exist is an error, though another could read."""
    simulator = Simulator(reply=WRITTEN, faults=[Refuse(404)])
    with pytest.raises(NotFoundError):
        await read(simulator, "mistral/mistral-ocr-latest", vision_model="openai/gpt-4o")
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        (WRITTEN, [(0, "# Rivers"), (1, "The end.")]),
        ("Only text.", [(4, "Only text.")]),
        ("```markdown\n<!-- PAGE 5 -->\nIn a fence.\n```", [(4, "In a fence.")]),
        ("Before.\n<!-- page 5 -->\r\nA <!-- page 6 --> in a line.", [(4, "A <!-- page 6 --> in a line.")]),
        ("", [(4, "")]),
    ],
)
def test_pages_are_what_stands_after_their_marks(text, pages):
    """Without any mark, all of it is the first page that was asked for."""
    choice = Choice(message=AssistantMessage(content=text))
    request = OcrRequest(model="m", document=PDF, pages=[4])
    response = ocr_of(ChatCompletionResponse(model="seen", choices=[choice]), request, "m")
    assert [(page.index, page.markdown) for page in response.pages] == pages
    assert response.model == "seen"


def test_pages_are_asked_for_from_one():
    """As people count; a document by its address stays one."""
    document = {"type": "document_url", "document_url": "https://a.org/a.pdf"}
    asked = chat_of(OcrRequest(model="m", document=document, pages=[0, 2]), "v")
    told = json.loads(json.dumps([str(asked.messages[0])]))[0]
    assert "Only these pages: 1, 3." in told
    assert "https://a.org/a.pdf" in told


@pytest.mark.parametrize(
    "given", [{"include_image_base64": True}, {"document": {"type": "file", "file": "f"}}, {"vision_model": ""}]
)
def test_what_a_vision_model_cannot_do(given):
    """Is told before anything is sent."""
    with pytest.raises(ValueError, match=r"vision_model|model must name one"):
        OcrRequest(**{"model": "mistral/ocr", "document": PDF, "vision_model": "openai/gpt-4o", **given})
