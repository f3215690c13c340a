"""Credentials that are fetched: asked for right before each attempt, within the call's own time."""

from datetime import datetime

import anyio
import pytest
from msgspec.structs import replace

from liter import AuthenticationError, LlmClient, LlmTimeoutError, Secret
from liter.middleware import Retry
from liter.testing import Refuse, Simulator

from ._serving import serving

pytestmark = pytest.mark.anyio

HI = [{"role": "user", "content": "hi"}]


class Numbered:
    """A source whose credentials are numbered."""

    def __init__(self, *credentials: object) -> None:
        self.credentials = credentials
        self.asked = 0

    async def get(self):
        """The next one; the last one again after that."""
        given = self.credentials[min(self.asked, len(self.credentials) - 1)]
        self.asked += 1
        if isinstance(given, Exception):
            raise given
        return given


class Signature:
    """Signs a request with the names of its headers."""

    def sign(self, request, when: datetime):
        """Add a signature over what is there by now."""
        assert when.tzinfo is not None
        names = b",".join(name for name, _ in request.headers)
        signature = ((b"authorization", b"Bearer signature"), (b"x-signed", names))
        return replace(request, headers=(*request.headers, *signature))


def sending(source: object):
    """A layer that sends calls along a route with these credentials."""

    def layer(call, call_next):
        return call_next(replace(call, route=replace(call.route, api_key=None, credentials=source)))

    return layer


async def requests_of(source: object, simulator: Simulator, **options: object):
    """The requests that a chat with these credentials makes."""
    async with serving(
        simulator, api_key=None, trust_environment=False, middleware=[Retry(initial=0.1), sending(source)]
    ) as client:
        await client.chat(model="gpt", messages=HI, **options)
    return simulator.requests


async def test_a_fetched_key_is_used_and_asked_for_before_each_attempt() -> None:
    """The second attempt goes out with the key of its own time."""
    source = Numbered(Secret("sk-first"), Secret("sk-second"))
    requests = await requests_of(source, Simulator(faults=[Refuse(503)]))
    assert [dict(request.headers)["authorization"] for request in requests] == ["Bearer sk-first", "Bearer sk-second"]


async def test_a_signer_signs_the_finished_request() -> None:
    """No key goes out, and what is signed is what is sent."""
    (request,) = await requests_of(Numbered(Signature()), Simulator())
    headers = dict(request.headers)
    assert headers["authorization"] == "Bearer signature"
    assert "content-type" in headers["x-signed"].split(",")
    assert "authorization" not in headers["x-signed"].split(",")


async def test_no_credential_is_told_before_any_io() -> None:
    """What the source raises comes out, and nothing is sent."""
    simulator = Simulator()
    with pytest.raises(AuthenticationError, match="looked in the drawer"):
        await requests_of(Numbered(AuthenticationError("looked in the drawer")), simulator)
    assert simulator.requests == []


async def test_fetching_is_on_the_clock_of_the_call() -> None:
    """A source that hangs cannot hold a call longer than it may last."""

    class Hanging:
        async def get(self):
            await anyio.sleep_forever()

    with pytest.raises(LlmTimeoutError, match="within 2 s"):
        await requests_of(Hanging(), Simulator(), timeout=2)


async def keys_tried(simulator: Simulator, api_key: object, good: str) -> tuple[list[str], object]:
    """The keys that a chat sends, in order, to a provider that takes one of them; and how the chat ends."""
    tried: list[str] = []

    class Watch:
        def begin(self, call, attempt, request):
            tried.append(dict(request.headers)[b"authorization"].decode().removeprefix("Bearer "))
            return ()

        def entered(self, attempt, reply):
            pass

        def ended(self, attempt, error):
            pass

    def watched(call, call_next):
        return call_next(replace(call, watchers=(Watch(),)))

    async with serving(simulator, api_key=api_key, trust_environment=False, middleware=[Retry(), watched]) as client:
        try:
            ended: object = await client.chat(model="m", messages=HI)
        except AuthenticationError as error:
            ended = error
    return tried, ended


async def test_the_next_key_after_a_401():
    """A refused key is not used again: the request goes out once more at once, and both are on record."""
    refusal = Refuse(401, code="invalid_api_key")
    tried, ended = await keys_tried(Simulator(faults=[refusal]), ["sk-old", "sk-new"], "sk-new")
    assert tried == ["sk-old", "sk-new"]
    assert [attempt.status for attempt in ended.attempts] == [401, 200]


async def test_when_every_key_is_refused():
    """Each is tried once, and the last refusal is the call's."""
    tried, ended = await keys_tried(Simulator(faults=[Refuse(401)] * 3), ["sk-1", "sk-2", "sk-3"], "none")
    assert tried == ["sk-1", "sk-2", "sk-3"]
    assert isinstance(ended, AuthenticationError)
    assert len(ended.attempts) == 3


async def test_a_lack_of_permission_is_no_doubt_about_the_key():
    """403 is not met with another key."""
    tried, ended = await keys_tried(Simulator(faults=[Refuse(403)]), ["sk-1", "sk-2"], "none")
    assert tried == ["sk-1"]
    assert isinstance(ended, AuthenticationError)


async def test_a_function_as_key_is_asked_again_after_a_401():
    """What it gave before is not used again; when it gives the same, there is nothing to try."""
    given = iter(["sk-old", "sk-new"])

    async def login() -> str:
        return next(given)

    tried, _ = await keys_tried(Simulator(faults=[Refuse(401)]), login, "sk-new")
    assert tried == ["sk-old", "sk-new"]

    async def same() -> str:
        return "sk-same"

    tried, ended = await keys_tried(Simulator(faults=[Refuse(401)]), same, "none")
    assert tried == ["sk-same"]
    assert isinstance(ended, AuthenticationError)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "must be a key"),
        (5, "must be a key"),
        (["sk", "a b"], r"api_key\[1\]"),
        ([["sk", ""]], r"api_key\[0\]\[1\]"),
    ],
)
def test_what_is_no_key(given: object, told: str):
    """Told when the client is made, and never shown."""
    with pytest.raises(ValueError, match=told):
        LlmClient(api_key=given)
