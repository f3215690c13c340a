"""Azure Document Intelligence, and what it is the example of: operations that take several requests."""

import json
from decimal import Decimal

import anyio
import pytest
from msgspec.structs import replace

from liter import LlmClient
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    LlmTimeoutError,
    SerializationError,
    ServerError,
    ServiceUnavailableError,
)
from liter._http import Headers
from liter.middleware import CostTracking, Retry
from liter.providers import known_providers
from liter.types import OcrRequest

from ._answering import answering, said

NAME = "azure-document-intelligence"
PROVIDER = known_providers()[NAME]
HOST = "https://me.cognitiveservices.azure.com/documentintelligence"
PDF = {"type": "document_url", "document_url": "https://a.org/a.pdf"}
LOCATION = f"{HOST}/documentModels/prebuilt-layout/analyzeResults/1?api-version=2024-11-30"
DONE = {
    "status": "succeeded",
    "analyzeResult": {
        "modelId": "prebuilt-layout",
        "content": "# Où \U0001f30a\n<!-- PageBreak -->\nThe end",
        "contentFormat": "markdown",
        "pages": [
            {
                "pageNumber": 1,
                "unit": "inch",
                "width": 8.5,
                "height": 11,
                "spans": [{"offset": 0, "length": 26}],
            },
            {"pageNumber": 2, "unit": "inch", "width": 8.5, "height": 11, "spans": [{"offset": 26, "length": 7}]},
        ],
        "tables": [{"rowCount": 1, "boundingRegions": [{"pageNumber": 2}]}],
    },
}


@pytest.fixture
def make(call_of):
    """Make a call for a document's text."""

    def made(model="prebuilt-layout", document=PDF, unsupported="raise", **given):
        request = OcrRequest(model=f"{NAME}/{model}", document=document, **given)
        call = call_of(request, operation="ocr", provider=NAME, model=model, base_url=HOST)
        return replace(call, unsupported=unsupported)

    return made


def test_a_document_is_named_by_its_address(make):
    """The model and how to answer are in the address of the request, the key in a header."""
    request = PROVIDER.encode(make())
    assert request.method == "POST"
    assert request.base_url + request.path == (
        f"{HOST}/documentModels/prebuilt-layout:analyze"
        "?api-version=2024-11-30&stringIndexType=unicodeCodePoint&outputContentFormat=markdown"
    )
    assert dict(request.headers)[b"ocp-apim-subscription-key"] == b"sk-test"
    assert json.loads(request.body) == {"urlSource": "https://a.org/a.pdf"}


def test_pages_count_from_one_there(make):
    """And are told as ranges; the caller's own fields go where they belong."""
    extra = {"features": ["keyValuePairs", "languages"], "locale": "de", "own": 1}
    request = PROVIDER.encode(make("prebuilt-read", pages=[4, 0, 1, 2, 9], extra_body=extra))
    assert request.path == (
        "/documentModels/prebuilt-read:analyze?api-version=2024-11-30&stringIndexType=unicodeCodePoint"
        "&pages=1-3%2C5%2C10&features=keyValuePairs%2Clanguages&locale=de"
    )
    assert json.loads(request.body) == {"urlSource": "https://a.org/a.pdf", "own": 1}


def test_a_document_may_be_in_the_request(make):
    """As base64; nothing else can be sent."""
    data = {"type": "image_url", "image_url": "data:image/png;base64,AAAA"}
    assert json.loads(PROVIDER.encode(make(document=data)).body) == {"base64Source": "AAAA"}
    with pytest.raises(BadRequestError, match="must be base64"):
        PROVIDER.encode(make(document={"type": "image_url", "image_url": "data:text/plain,hello"}))
    with pytest.raises(BadRequestError, match="has no files"):
        PROVIDER.encode(make(document={"type": "file", "file_id": "f"}))
    with pytest.raises(BadRequestError, match="include_image_base64"):
        PROVIDER.encode(make(include_image_base64=True))
    assert PROVIDER.encode(make(include_image_base64=False)) == PROVIDER.encode(make())
    assert PROVIDER.parameters("ocr").keys() == {*OcrRequest.__struct_fields__}


def test_each_page_has_its_own_text(make):
    """By characters and not bytes, without the service's marks; pages count from 0, and are billed."""
    response = PROVIDER.decode(make(), json.dumps(DONE).encode(), Headers())
    assert [(page.index, page.markdown) for page in response.pages] == [(0, "# Où \U0001f30a"), (1, "The end")]
    assert response.pages[0].dimensions == {"width": 8.5, "height": 11.0, "unit": "inch"}
    assert response.pages[0].tables is None
    assert response.pages[1].tables == [{"rowCount": 1, "boundingRegions": [{"pageNumber": 2}]}]
    assert response.usage.pages == 2
    with pytest.raises(SerializationError):
        PROVIDER.decode(make(), b"[]", Headers())


class Service:
    """The service: takes a document, and answers the questions after it with these, the last one again and again."""

    def __init__(self, *answers, location=LOCATION):
        self.answers = list(answers)
        self.location = location
        self.received = []

    def __call__(self, request):
        if request.method == "POST":
            return 202, {"operation-location": self.location, "retry-after": "3", "apim-request-id": "r"}, b""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def asked(self):
        """How often a document was handed in, and asked after."""
        methods = [request.method for request in self.received]
        return methods.count("POST"), methods.count("GET")


def client_of(network, **options):
    """A client of the service."""
    return LlmClient(
        network_backend=network,
        api_keys={NAME: "sk-test-key"},
        provider_settings={NAME: {"resource": "me"}},
        **options,
    )


async def read(service, **options):
    """Read a document."""
    async with answering(service, service.received) as network, client_of(network, **options) as client:
        response = await client.ocr(model=f"{NAME}/prebuilt-layout", document=PDF)
    assert network.open_connections == 0
    return response


pytestmark = pytest.mark.anyio
RUNNING = said({"status": "running"}, **{"retry-after": "5"})


async def test_a_document_is_asked_after_until_it_has_been_read():
    """As slowly as the service says; all of it is one attempt, with one price."""
    service = Service(said({"status": "notStarted"}), RUNNING, said(DONE))
    began = anyio.current_time()
    response = await read(service)
    assert response.text == "# Où \U0001f30a\n\nThe end"
    assert service.asked == (1, 3)
    assert anyio.current_time() - began == pytest.approx(3 + 1 + 5, abs=0.1)
    assert [(one.outcome, one.status) for one in response.attempts] == [("ok", 200)]
    assert response.cost.total == Decimal("0.02")
    get = service.received[-1]
    assert get.target == LOCATION.removeprefix("https://me.cognitiveservices.azure.com")
    assert get.headers["ocp-apim-subscription-key"] == "sk-test-key"


async def test_a_question_that_fails_is_asked_again_and_the_document_not_handed_in_twice():
    """Refusals and broken connections on the way cost nothing but time."""
    busy = said({"error": {"code": "busy", "message": "later"}}, 503, **{"retry-after": "7"})
    service = Service(busy, busy, RUNNING, said(DONE))
    began = anyio.current_time()
    assert (await read(service)).usage.pages == 2
    assert service.asked == (1, 4)
    assert anyio.current_time() - began == pytest.approx(3 + 7 + 7 + 5, abs=0.1)


@pytest.mark.parametrize(
    ("status", "kind", "asked"), [(503, ServiceUnavailableError, 4), (401, AuthenticationError, 1)]
)
async def test_questions_that_fail_for_good_end_the_call(status, kind, asked):
    """Without another attempt, which would be another document handed in."""
    service = Service(said({"error": {"message": "no"}}, status))
    with pytest.raises(kind) as raised:
        await read(service, middleware=[CostTracking(), Retry()])
    assert service.asked == (1, asked)
    assert not raised.value.retryable
    assert len(raised.value.attempts) == 1


async def test_a_document_that_cannot_be_read_is_an_error():
    """The caller's, where the service says so."""
    failed = {
        "status": "failed",
        "error": {
            "code": "InvalidRequest",
            "message": "Bad",
            "innererror": {"code": "InvalidContent", "message": "It is corrupted."},
        },
    }
    with pytest.raises(BadRequestError, match="corrupted"):
        await read(Service(said(failed)))
    with pytest.raises(ServerError):
        await read(
            Service(said({"status": "failed", "error": {"code": "InternalServerError", "message": "x"}})), middleware=[]
        )


@pytest.mark.parametrize("location", ["https://evil.example/1", "http://me.cognitiveservices.azure.com/1", "", "/1"])
async def test_the_key_goes_nowhere_else(location):
    """Whatever the answer says."""
    service = Service(said(DONE), location=location)
    with pytest.raises(SerializationError, match="the key is not sent there"):
        await read(service)
    assert service.asked == (1, 0)


async def test_waiting_ends_with_the_calls_time():
    """As a timeout like any other."""
    service = Service(RUNNING)
    with pytest.raises(LlmTimeoutError):
        await read(service, timeout=20, max_retries=0)
    assert service.asked[1] in (4, 5)


async def test_waiting_can_be_cancelled():
    """At each of its moments: nothing is left open."""
    for seconds in (0.5, 3.0, 3.5, 8.0, 12.0):
        service = Service(RUNNING)
        async with answering(service, service.received) as network:
            async with client_of(network) as client:
                with anyio.move_on_after(seconds) as scope:
                    await client.ocr(model=f"{NAME}/prebuilt-layout", document=PDF)
                assert scope.cancelled_caught
            await anyio.wait_all_tasks_blocked()
            assert network.open_connections == 0


async def test_a_connection_that_breaks_is_no_end():
    """The question is asked over another one."""
    answers = Service(said(DONE))
    broken = []

    def break_once(request):
        if request.method == "GET" and not broken:
            broken.append(request)
            raise anyio.BrokenResourceError
        return answers(request)

    async with answering(break_once) as network, client_of(network) as client:
        response = await client.ocr(model=f"{NAME}/prebuilt-layout", document=PDF)
    assert response.usage.pages == 2
    assert len(broken) == 1
