"""What a request names by URL: fetched where that is allowed, and then from public addresses alone."""

import base64
import json
from collections.abc import Sequence

import anyio
import httpcore
import pytest

from liter import BadRequestError, LlmClient, LlmTimeoutError
from liter._contract import Call, Route, Timeouts
from liter._fetch import MOST_BYTES, Fetcher
from liter.providers import OpenAI
from liter.testing import MemoryNetwork, Simulator
from liter.types import ChatCompletionRequest

pytestmark = pytest.mark.anyio

CAT = b"\x89PNG cat"
SITE = "http://93.184.216.34"


def answer(body: bytes = CAT, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer of a web server."""
    given = {"content_type": "image/png", "content_length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Web(httpcore.AsyncNetworkBackend):
    """Servers by address, each with the answers that it gives, one for each connection; other hosts are a network's."""

    def __init__(self, servers: dict[str, list[bytes]], network: MemoryNetwork | None = None) -> None:
        self.servers = servers
        self.network = network
        self.sent: list[bytes] = []
        self.dialled: list[str] = []

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.dialled.append(host)
        if host not in self.servers:
            if self.network is None:
                raise httpcore.ConnectError(f"nobody at {host}")
            return await self.network.connect_tcp(host, port)
        return Recorder(self, [*self.servers[host].pop(0).split(b"|cut|")])


class Recorder(httpcore.AsyncMockStream):
    def __init__(self, web: Web, answers: list[bytes]) -> None:
        super().__init__(answers)
        self.web = web

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.web.sent.append(bytes(buffer))


async def resolve(host: str, port: int) -> Sequence[str]:
    """Two names: one of the web, one of the house."""
    return {"cats.example": ["93.184.216.34"], "printer.example": ["192.168.0.9"]}[host]


def call_of(*content: dict[str, object], **fields: object) -> Call[object]:
    request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": list(content)}])
    route = Route(provider="gemini", model="m", base_url="https://provider.example")
    return Call(operation="chat", request=request, route=route, started=anyio.current_time(), **fields)


def image(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


async def fetched(web: Web, url: str) -> str:
    """The data URL that an image's URL becomes."""
    call = await Fetcher(web, resolver=resolve).inline(call_of(image(url)), (url,))
    part = call.request.messages[0].content[0]
    assert part.image_url.detail == "high"
    return part.image_url.url


async def test_an_image_is_put_into_the_request() -> None:
    """By its name or number, with its type, and without any credential on the way."""
    for host in ("93.184.216.34", "cats.example"):
        web = Web({"93.184.216.34": [answer()]})
        data = await fetched(web, f"http://{host}/grey cat.png?size=1&x=%20")
        assert data == f"data:image/png;base64,{base64.b64encode(CAT).decode()}"
        head = b"".join(web.sent).lower()
        assert head.startswith(b"get /grey%20cat.png?size=1&x=%20 http/1.1\r\n")
        assert f"host: {host}".encode() in head
        assert not any(name in head for name in (b"authorization", b"cookie", b"referer"))


async def test_a_document_is_put_into_the_request() -> None:
    """As data, of the type that came."""
    url = f"{SITE}/paper"
    web = Web({"93.184.216.34": [answer(content_type="application/pdf; charset=binary")]})
    part = {"type": "document", "url": url, "title": "Paper"}
    call = await Fetcher(web).inline(call_of(part), (url,))
    made = call.request.messages[0].content[0]
    assert (made.url, made.media_type, base64.b64decode(made.data), made.title) == (
        None,
        "application/pdf",
        CAT,
        "Paper",
    )


async def test_redirects_are_new_urls_under_the_same_rules() -> None:
    """They are followed to public addresses, a few times."""
    web = Web(
        {
            "93.184.216.34": [
                answer(b"", "302 Found", location="/elsewhere"),
                answer(b"", "301 Moved", location="http://cats.example/cat.png"),
                answer(),
            ]
        }
    )
    assert (await fetched(web, f"{SITE}/cat.png")).startswith("data:image/png")
    assert len(web.dialled) == 3
    web = Web({"93.184.216.34": [answer(b"", "302 Found", location="/again")] * 9})
    with pytest.raises(BadRequestError, match="leads on more than 3 times"):
        await fetched(web, f"{SITE}/cat.png")


async def test_what_is_no_url_is_told_whoever_wrote_it() -> None:
    """In a request, and in a redirect, which may come from anybody."""
    for wrong in ("http://[::1/x", "http://[no]/", "http://a.example:x/"):
        with pytest.raises(BadRequestError, match="cannot be fetched"):
            await fetched(Web({}), wrong)
        web = Web({"93.184.216.34": [answer(b"", "302 Found", location=wrong)]})
        with pytest.raises(BadRequestError, match="cannot be fetched"):
            await fetched(web, f"{SITE}/cat.png")


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/admin",
        "http://169.254.169.254/latest/meta-data/",
        "http://printer.example/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "file:///etc/passwd",
        "http://me:secret@93.184.216.34/",
    ],
)
async def test_nothing_leads_inside(location: str) -> None:
    """Neither directly nor by a redirect is anything dialled that is not public."""
    web = Web({"93.184.216.34": [answer(b"", "302 Found", location=location)]})
    with pytest.raises(BadRequestError, match=r"cannot be fetched: .*(no public address|only http and https)"):
        await fetched(web, location)
    assert web.dialled == []
    with pytest.raises(BadRequestError, match="cannot be fetched") as caught:
        await fetched(web, f"{SITE}/cat.png?signature=abc")
    assert web.dialled == ["93.184.216.34"]
    assert "signature" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (answer(b"no", "404 Not Found"), "the answer has status 404"),
        (answer(b"<html>", content_type="text/html"), "it is text/html, not an image"),
        (answer(content_type=""), "of no known type"),
        (answer(content_length=str(MOST_BYTES + 10)) + b"x" * (MOST_BYTES + 2), "is larger than"),
        (answer(content_length="100"), "the answer broke off"),
        (b"nonsense\r\n\r\n", "cannot be fetched"),
    ],
)
async def test_what_comes_back_is_bounded_and_of_a_kind(body: bytes, told: str) -> None:
    """Anything else than an image or a document of some megabytes is refused, with what it was."""
    with pytest.raises(BadRequestError, match=told):
        await fetched(Web({"93.184.216.34": [body]}), f"{SITE}/cat.png")


async def test_a_host_that_is_not_there() -> None:
    """Told as a fault of the request, as it will not get better."""
    with pytest.raises(BadRequestError, match=r"http://93\.184\.216\.34/cat\.png cannot be fetched: .*nobody at"):
        await fetched(Web({}), f"{SITE}/cat.png")


class Silent(Web):
    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        await anyio.sleep(1000)
        raise AssertionError


@pytest.mark.parametrize(("limit", "seconds"), [(5.0, 5.0), (None, 20.0)])
async def test_time_is_bounded(limit: float | None, seconds: float) -> None:
    """By the call's own time, and by twenty seconds."""
    url = f"{SITE}/cat.png"
    call = call_of(image(url), timeouts=Timeouts(total=limit))
    fetcher = Fetcher(Silent({}))
    with pytest.raises(LlmTimeoutError, match="was not fetched in time") as caught:
        with anyio.fail_after(1000):
            await fetcher.inline(call, (url,))
    assert anyio.current_time() - call.started <= seconds
    assert not caught.value.retryable


async def test_a_client_fetches_only_when_told_to() -> None:
    """Off, the provider's codec refuses the URL, or passes it on; on, the provider gets the content."""
    simulator = Simulator()
    url = f"{SITE}/cat.png"
    question = {"model": "mine/m", "messages": [{"role": "user", "content": [image(url)]}]}
    mine = OpenAI(name="mine", base_url="https://provider.example/v1", key_optional=True, inline_images=True)
    async with simulator.serve_memory() as network:
        web = Web({"93.184.216.34": [answer(), answer()]}, network)
        options = {"network_backend": web, "providers": [mine], "api_keys": {"mine": "k"}, "trust_environment": False}
        async with LlmClient(**options) as client:
            await client.chat(**question)
        assert "93.184.216.34" not in web.dialled
        assert json.loads(simulator.requests[-1].body)["messages"][0]["content"][0]["image_url"]["url"] == url
        async with LlmClient(**options, fetch_urls="public") as client:
            reply = await client.chat(**question)
            stream = await client.chat_stream(**question)
            async for _ in stream:
                pass
        for request in simulator.requests[-2:]:
            sent = json.loads(request.body)["messages"][0]["content"][0]["image_url"]["url"]
            assert sent == f"data:image/png;base64,{base64.b64encode(CAT).decode()}"
        assert reply.attempts[0].status == 200


async def test_a_provider_that_takes_urls_gets_them() -> None:
    """Fetching is for those who do not."""
    simulator = Simulator()
    async with simulator.serve_memory() as network:
        web = Web({}, network)
        async with LlmClient(network_backend=web, api_key="k", trust_environment=False, fetch_urls=True) as client:
            await client.chat(model="m", messages=[{"role": "user", "content": [image(f"{SITE}/cat.png")]}])
    assert "93.184.216.34" not in web.dialled


def test_what_the_option_may_be() -> None:
    """There is one policy, and off."""
    with pytest.raises(ValueError, match="fetch_urls must be 'public' or False"):
        LlmClient(fetch_urls="all")


async def test_a_batch_holds_what_its_requests_name() -> None:
    """Fetched while they are written down, as for a single call, and only where that is allowed."""
    simulator = Simulator()
    picture = {"type": "image_url", "image_url": {"url": f"{SITE}/cat.png"}}
    request = {"model": "gemini/gemini-2.5-flash", "messages": [{"role": "user", "content": [picture]}]}
    async with simulator.serve_memory() as network:
        web = Web({"93.184.216.34": [answer()]}, network)
        options = {"network_backend": web, "api_keys": {"gemini": "sk"}, "trust_environment": False}
        async with LlmClient(**options, fetch_urls="public") as client:
            await client.create_batch(requests=[request])
        assert base64.b64encode(CAT) in simulator.requests[0].body
        web.dialled.clear()
        async with LlmClient(**options) as client:
            with pytest.raises(BadRequestError, match="image"):
                await client.create_batch(requests=[request])
        assert web.dialled == []
