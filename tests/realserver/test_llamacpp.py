"""What liter sends and reads is what llama.cpp's server takes and gives."""

import json
import math

import msgspec
import pytest

from liter import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    CustomProviderConfig,
    LlmClient,
    ServerError,
)

from .conftest import KEY, Start

pytestmark = pytest.mark.anyio

QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where do rivers begin?"}]
# Noise may end at any time.
FOREVER = {"ignore_eos": True}
CHAT = {"model": "noise", "messages": QUESTION, "max_completion_tokens": 24, "temperature": 0, "seed": 1}
LONG = {**CHAT, "extra_body": FOREVER}


def client_of(base_url: str, **options: object) -> LlmClient:
    """A client whose own provider is the server."""
    return LlmClient(
        model_hint="llamacpp", base_url=base_url, middleware=[], trust_environment=False, timeout=60, **options
    )


async def test_chat(start: Start) -> None:
    """A whole reply, its reason to end, and its usage."""
    async with client_of(start()) as client:
        reply = await client.chat(**LONG)
    choice = reply.choices[0]
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert reply.usage is not None
    assert (reply.usage.completion_tokens, reply.usage.prompt_tokens > 10) == (24, True)
    assert [attempt.status for attempt in reply.attempts] == [200]


async def test_stream(start: Start) -> None:
    """The same in pieces, with usage at the end, and the same text in all."""
    async with client_of(start()) as client:
        whole = await client.chat(**LONG)
        stream = await client.chat_stream(**LONG)
        pieces = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    assert len(pieces) > 5
    # Halves of characters may be told another way in pieces.
    assert _letters("".join(pieces)) == _letters(whole.choices[0].message.content or "")
    assert stream.usage is not None
    assert stream.usage.completion_tokens == 24


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isprintable())


async def test_a_stream_that_is_left(start: Start) -> None:
    """The server goes on to serve others."""
    async with client_of(start()) as client:
        async with await client.chat_stream(**{**LONG, "max_completion_tokens": 2000}) as stream:
            await anext(aiter(stream))
        reply = await client.chat(**LONG)
    assert reply.choices[0].finish_reason == "length"


class Verdict(msgspec.Struct):
    """What is asked for below."""

    begins_in_hills: bool


async def test_json_of_a_type(start: Start) -> None:
    """Even noise keeps to the schema, and is read into the type."""
    async with client_of(start()) as client:
        reply = await client.chat(**{**CHAT, "max_completion_tokens": 200}, response_format=Verdict)
    assert isinstance(reply.parsed, Verdict)
    assert json.loads(reply.choices[0].message.content or "").keys() == {"begins_in_hills"}


async def test_several_choices_and_probabilities(start: Start) -> None:
    """``logprobs`` come with each token."""
    async with client_of(start()) as client:
        reply = await client.chat(**CHAT, logprobs=True, top_logprobs=2)
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert all(math.isfinite(token.logprob) and len(token.top_logprobs or ()) == 2 for token in logprobs.content)


async def test_anthropics_form(start: Start) -> None:
    """The server speaks Anthropic's protocol, too."""
    base_url = start()
    own = CustomProviderConfig(name="own", base_url=base_url, protocol="anthropic")
    async with client_of(base_url, providers=[own]) as client:
        fields = {**CHAT, "seed": None, "model": "own/noise", "extra_body": FOREVER}
        reply = await client.chat(**fields)
        stream = await client.chat_stream(**fields)
        text = "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 24
    assert text
    assert stream.usage is not None
    assert stream.usage.completion_tokens == 24


async def test_models(start: Start) -> None:
    """The one there is."""
    async with client_of(start()) as client:
        models = await client.list_models()
    assert [model.id.rpartition("/")[2] for model in models.data] == ["noise.gguf"]


async def test_completions(start: Start) -> None:
    """Text that goes on, whole and in pieces."""
    async with client_of(start()) as client:
        fields = {"model": "noise", "prompt": "the river", "max_tokens": 16, "temperature": 0}
        whole = await client.completions(**fields)
        stream = await client.completions_stream(**fields)
        text = "".join([choice.text async for piece in stream for choice in piece.choices])
    assert whole.choices[0].text
    assert _letters(text) == _letters(whole.choices[0].text)


async def test_embeddings(start: Start) -> None:
    """Vectors of length one, in the order of the texts; as numbers they are what they are as base64."""
    async with client_of(start("--pool", "MEAN")) as client:
        texts = ["the river", "a stone"]
        numbers, packed = [
            [list(each.embedding) for each in (await client.embed(model="m", input=texts, encoding_format=form)).data]
            for form in ("float", "base64")
        ]
    assert [len(vector) for vector in numbers] == [64, 64]
    assert math.hypot(*numbers[0]) == pytest.approx(1, abs=1e-3)
    assert numbers[0] != pytest.approx(numbers[1], abs=1e-3)
    for plain, decoded in zip(numbers, packed, strict=True):
        assert plain == pytest.approx(decoded, abs=1e-5)


async def test_rerank(start: Start) -> None:
    """Each document has a score, and the best is first."""
    async with client_of(start("--pool", "RANK")) as client:
        reply = await client.rerank(model="noise", query="the river", documents=["a stone", "the sea", "rain"])
    assert sorted(result.index for result in reply.results) == [0, 1, 2]
    scores = [result.relevance_score for result in reply.results]
    assert scores == sorted(scores, reverse=True)


async def test_a_prompt_that_is_too_long(start: Start) -> None:
    """Its own code says so, and it is told as everywhere."""
    long = [{"role": "user", "content": "the river " * 3000}]
    async with client_of(start()) as client:
        for ask in (client.chat, client.chat_stream):
            with pytest.raises(ContextWindowExceededError) as caught:
                await ask(model="noise", messages=long)
            assert caught.value.status == 400
            assert caught.value.code == "exceed_context_size_error"


async def test_a_request_that_is_wrong(start: Start) -> None:
    """400, with the server's own words."""
    async with client_of(start()) as client:
        with pytest.raises(BadRequestError) as caught:
            await client.chat(**CHAT, extra_body={"messages": "none"})
    assert caught.value.status == 400
    assert "messages" in str(caught.value)


async def test_what_a_server_is_not_set_up_for(start: Start) -> None:
    """501 is the server's side."""
    async with client_of(start()) as client:
        with pytest.raises(ServerError) as caught:
            await client.embed(model="noise", input="the river")
    assert caught.value.status == 501


@pytest.mark.parametrize("key", [None, "sk-wrong-one-of-them"])
async def test_a_key_that_is_wrong(start: Start, key: str | None) -> None:
    """401, and the key is not shown."""
    async with client_of(start("--key", KEY), api_key=key) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.chat(**CHAT)
    assert caught.value.status == 401
    assert "sk-wrong" not in repr(caught.value) + repr(caught.value.body)


async def test_the_next_key(start: Start) -> None:
    """A refused key is followed by the next one, in the same attempt of the call."""
    async with client_of(start("--key", KEY), api_key=["sk-old-and-revoked", KEY]) as client:
        reply = await client.chat(**CHAT)
        again = await client.chat(**CHAT)
    assert [attempt.status for attempt in reply.attempts] == [401, 200]
    assert [attempt.status for attempt in again.attempts] == [200]
