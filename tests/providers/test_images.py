"""Those who make images, each on a wire of its own: Black Forest Labs, fal, Replicate, Stability AI."""

import json

import pytest
from msgspec.structs import replace

from liter import LlmClient
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    EndpointNotSupportedError,
    LlmError,
    ServerError,
)
from liter._http import Headers
from liter.providers import Unsupported, known_providers
from liter.types import ImageGenerationRequest

from ._answering import answering, said

KNOWN = known_providers()
MAKERS = ("black-forest-labs", "fal", "replicate", "stability")
BFL, FAL, REPLICATE, STABILITY = MAKERS


@pytest.fixture
def make(call_of):
    """Make a call for an image."""

    def made(provider, model="m", unsupported="raise", prompt="a river", **given):
        request = ImageGenerationRequest(model=f"{provider}/{model}", prompt=prompt, **given)
        call = call_of(
            request, operation="image_generate", provider=provider, model=model, base_url=KNOWN[provider].base_url
        )
        return replace(call, unsupported=unsupported)

    return made


def sent(call):
    """Where it goes, and what is sent."""
    request = KNOWN[call.route.provider].encode(call)
    body = json.loads(request.body) if request.upload is None else dict(request.upload.fields)
    return request.base_url + request.path, body


def header(call, name):
    """A header of the request."""
    return dict(KNOWN[call.route.provider].encode(call).headers)[name]


@pytest.mark.parametrize(
    ("provider", "model", "given", "url", "body"),
    [
        (
            BFL,
            "flux-pro-1.1",
            {"size": "1024x768", "seed": 7, "output_format": "png", "n": 1, "extra_body": {"safety_tolerance": 2}},
            "https://api.bfl.ai/v1/flux-pro-1.1",
            {
                "prompt": "a river",
                "width": 1024,
                "height": 768,
                "seed": 7,
                "output_format": "png",
                "safety_tolerance": 2,
            },
        ),
        (
            FAL,
            "fal-ai/flux/schnell",
            {"size": "1024x768", "n": 2, "seed": 7, "response_format": "b64_json"},
            "https://fal.run/fal-ai/flux/schnell",
            {
                "prompt": "a river",
                "num_images": 2,
                "image_size": {"width": 1024, "height": 768},
                "sync_mode": True,
                "seed": 7,
            },
        ),
        (
            FAL,
            "fal-ai/flux/schnell",
            {"size": "landscape_4_3", "response_format": "url"},
            "https://fal.run/fal-ai/flux/schnell",
            {"prompt": "a river", "image_size": "landscape_4_3"},
        ),
        (
            REPLICATE,
            "black-forest-labs/flux-schnell",
            {"n": 2, "seed": 7, "output_compression": 80, "extra_body": {"aspect_ratio": "3:2"}},
            "https://api.replicate.com/v1/models/black-forest-labs/flux-schnell/predictions",
            {
                "input": {
                    "prompt": "a river",
                    "num_outputs": 2,
                    "seed": 7,
                    "output_quality": 80,
                    "aspect_ratio": "3:2",
                }
            },
        ),
        (
            REPLICATE,
            "owner/name:abc",
            {"size": "512x256"},
            "https://api.replicate.com/v1/predictions",
            {"input": {"prompt": "a river", "width": 512, "height": 256}, "version": "abc"},
        ),
        (
            REPLICATE,
            "0" * 64,
            {},
            "https://api.replicate.com/v1/predictions",
            {"input": {"prompt": "a river"}, "version": "0" * 64},
        ),
        (
            STABILITY,
            "sd3.5-large",
            {"size": "1024x1024", "seed": 7, "output_format": "webp", "extra_body": {"cfg_scale": 4}},
            "https://api.stability.ai/v2beta/stable-image/generate/sd3",
            {
                "prompt": "a river",
                "model": "sd3.5-large",
                "aspect_ratio": "1:1",
                "output_format": "webp",
                "seed": "7",
                "cfg_scale": "4",
            },
        ),
        (
            STABILITY,
            "stable-image-core",
            {"size": "21:9", "style": "anime"},
            "https://api.stability.ai/v2beta/stable-image/generate/core",
            {"prompt": "a river", "aspect_ratio": "21:9", "style_preset": "anime"},
        ),
    ],
)
def test_an_image_is_asked_for_in_the_makers_form(make, provider, model, given, url, body):
    """Address and body, to the letter."""
    assert sent(make(provider, model, **given)) == (url, body)


def test_the_key_goes_where_the_maker_wants_it(make):
    """In a header of its own, or with a scheme of its own."""
    assert header(make(BFL), b"x-key") == b"sk-test"
    assert header(make(FAL), b"authorization") == b"Key sk-test"
    assert header(make(REPLICATE), b"authorization") == b"Bearer sk-test"
    assert header(make(REPLICATE), b"prefer") == b"wait"
    assert header(make(STABILITY), b"accept") == b"application/json"


@pytest.mark.parametrize("provider", MAKERS)
def test_what_a_maker_does_not_take(make, provider, caplog):
    """Is refused, or left out with a word; what asks for nothing else is left out in silence."""
    rules = KNOWN[provider].parameters("image_generate")
    assert rules.keys() == {*ImageGenerationRequest.__struct_fields__}
    values = {
        "n": 2,
        "quality": "high",
        "style": "vivid",
        "response_format": "url" if provider == STABILITY else "b64_json",
        "output_compression": 50,
        "background": "transparent",
        "moderation": "low",
        "partial_images": 1,
        "user": "u",
    }
    refused = [name for name in values if isinstance(rules[name], Unsupported)]
    assert len(refused) >= 5
    for name in refused:
        with pytest.raises(BadRequestError, match=repr(name)):
            sent(make(provider, **{name: values[name]}))
        dropped = sent(make(provider, unsupported="drop", **{name: values[name]}))
        assert dropped == sent(make(provider))
        assert repr(name) in caplog.text
        caplog.clear()
        for neutral in rules[name].neutral:
            assert sent(make(provider, **{name: neutral})) == sent(make(provider))
    assert not caplog.messages


def test_sizes_are_numbers_of_pixels(make):
    """Or what the maker has instead."""
    for provider in (BFL, REPLICATE, STABILITY):
        with pytest.raises(BadRequestError, match="size='big'"):
            sent(make(provider, size="big"))
    with pytest.raises(BadRequestError, match="a size of the form 16:9"):
        sent(make(STABILITY, size="1000x999"))
    assert sent(make(BFL, size="auto")) == sent(make(BFL))
    assert sent(make(FAL, size="auto")) == sent(make(FAL))
    for provider in (BFL, FAL, REPLICATE):
        with pytest.raises(BadRequestError, match="model must name one"):
            sent(make(provider, model=""))


@pytest.mark.parametrize("provider", [BFL, FAL, REPLICATE])
def test_every_recorded_image(recordings, make, provider):
    """What was asked can be asked, and each address that came is there."""
    kind, count = {"fal": ("fal", 17), BFL: ("bfl", 14), REPLICATE: ("replicate", 11)}[provider]
    asked = made = failed = 0
    for record in recordings(kind, "images", "predictions", "other"):
        path, body = record["path"], (record["response_body"] or "").encode()
        if provider == FAL and ("wizper" in path or "whisper" in path or "tts" in path or "speech" in path):
            count -= 1
            continue
        call = make(provider)
        if record["status"] >= 400:
            failed += 1
            error = KNOWN[provider].error(call, record["status"], Headers(), body)
            assert type(error) is (AuthenticationError if record["status"] in (401, 403) else BadRequestError)
            assert error.message != f"HTTP status {record['status']}"
            continue
        if record["method"] == "POST" and (told := record["request_body"]):
            asked += 1
            own = told["input"] if provider == REPLICATE else told
            model = told.get("version") or path.removeprefix("/v1/").removeprefix("models/").removesuffix(
                "/predictions"
            )
            again = make(
                provider,
                model.lstrip("/"),
                prompt=own.get("prompt", "-"),
                extra_body={name: value for name, value in own.items() if name != "prompt"},
            )
            url, sent_body = sent(again)
            assert url == f"https://{record['host']}{path}"
            if "prompt" in own:
                assert sent_body == told
        raw = json.loads(body)
        request = KNOWN[provider].encode(call)
        if provider != FAL:
            place = f"https://{record['host']}{path}" + (f"?{record['query']}" if record["query"] else "")
            request = replace(request, method=record["method"], base_url=place, path="")
            step = KNOWN[provider].follow(call, request, Headers(), body)
            assert (step is None) == (raw.get("status") in ("Ready", "succeeded"))
            if step is not None:
                told = raw.get("polling_url") or raw.get("urls", {}).get("get")
                assert step.request.base_url + step.request.path == (place if record["method"] == "GET" else told)
        places = {
            BFL: lambda raw: [raw["result"]["sample"]] if raw.get("result") else [],
            FAL: lambda raw: [image["url"] for image in raw.get("images", [])],
            REPLICATE: lambda raw: [raw["output"]] if isinstance(raw.get("output"), str) else raw.get("output") or [],
        }[provider](raw)
        if places:
            made += 1
            response = KNOWN[provider].decode(call, body, Headers())
            assert [image.url for image in response.data] == places
            assert KNOWN[provider].usage(call, response).images == len(places)
    assert asked + made
    assert made >= {BFL: 2, FAL: 2, REPLICATE: 5}[provider]
    assert failed >= 1


def test_an_image_may_be_in_the_answer(make):
    """As base64, out of a data address or as it is."""
    body = json.dumps({"images": [{"url": "data:image/png;base64,iVBO"}], "seed": 7}).encode()
    response = KNOWN[FAL].decode(make(FAL), body, Headers())
    assert (response.data[0].b64_json, response.data[0].url) == ("iVBO", None)
    assert response.native == {"seed": 7}
    one = KNOWN[FAL].decode(make(FAL), b'{"image": {"url": "https://fal.media/1"}}', Headers())
    assert one.data[0].url == "https://fal.media/1"
    body = json.dumps({"image": "iVBO", "finish_reason": "SUCCESS", "seed": 7}).encode()
    assert KNOWN[STABILITY].decode(make(STABILITY), body, Headers()).data[0].b64_json == "iVBO"


@pytest.mark.parametrize(
    ("provider", "body", "kind", "told"),
    [
        (BFL, {"id": "1", "status": "Content Moderated"}, ContentPolicyError, "Content Moderated"),
        (BFL, {"id": "1", "status": "Error"}, ServerError, "Error"),
        (REPLICATE, {"status": "failed", "error": "NSFW content detected."}, ContentPolicyError, "NSFW"),
        (REPLICATE, {"status": "failed", "error": "CUDA out of memory"}, ServerError, "CUDA"),
        (REPLICATE, {"status": "canceled"}, ServerError, "canceled"),
        (STABILITY, {"image": "", "finish_reason": "CONTENT_FILTERED"}, ContentPolicyError, "filter"),
    ],
)
def test_an_image_that_was_not_made_is_an_error(make, provider, body, kind, told):
    """Though the status is one of success."""
    with pytest.raises(LlmError) as raised:
        KNOWN[provider].decode(make(provider), json.dumps(body).encode(), Headers())
    assert type(raised.value) is kind
    assert told in raised.value.message


@pytest.mark.parametrize(
    ("provider", "given", "url", "body"),
    [
        (
            "together",
            {"n": 2, "size": "1024x768", "seed": 7, "response_format": "b64_json", "extra_body": {"steps": 4}},
            "https://api.together.ai/v1/images/generations",
            {
                "model": "m",
                "prompt": "a river",
                "n": 2,
                "width": 1024,
                "height": 768,
                "seed": 7,
                "response_format": "base64",
                "steps": 4,
            },
        ),
        (
            "hyperbolic",
            {"n": 2, "size": "128x64", "response_format": "b64_json"},
            "https://api.hyperbolic.xyz/v1/image/generation",
            {"model_name": "m", "prompt": "a river", "num_images": 2, "width": 128, "height": 64},
        ),
    ],
)
def test_an_imitator_of_openais_may_have_a_form_of_its_own_for_images(make, provider, given, url, body):
    """Which is not streamed, and refuses what it has no place for."""
    assert sent(make(provider, **given)) == (url, body)
    rules = KNOWN[provider].parameters("image_generate")
    assert rules.keys() == {*ImageGenerationRequest.__struct_fields__}
    for name in ("quality", "style", "background"):
        with pytest.raises(BadRequestError, match=repr(name)):
            sent(make(provider, **{name: "high"}))
    with pytest.raises(EndpointNotSupportedError, match="does not stream images"):
        sent(replace(make(provider), stream=True))
    assert not KNOWN[provider].streams("image_generate")
    assert KNOWN["openai"].streams("image_generate")


def test_every_recorded_image_of_an_imitator(recordings, make):
    """Together's come by address or in the answer; Hyperbolic's only recording is a refusal."""
    good = 0
    for record in (*recordings("together", "images"), *recordings("hyperbolic", "images")):
        call, body = make(record["provider"]), record["response_body"].encode()
        if record["status"] != 200:
            assert isinstance(KNOWN[record["provider"]].error(call, record["status"], Headers(), body), LlmError)
            continue
        good += 1
        raw = json.loads(body)["data"]
        response = KNOWN["together"].decode(call, body, Headers())
        assert [(one.url, one.b64_json) for one in response.data] == [
            (one.get("url"), one.get("b64_json")) for one in raw
        ]
        assert response.usage.images == len(raw)
    assert good == 5
    made = KNOWN["hyperbolic"].decode(make("hyperbolic"), b'{"images": [{"index": 0, "image": "/9j/"}]}', Headers())
    assert made.data[0].b64_json == "/9j/"


pytestmark = pytest.mark.anyio


async def test_an_image_is_waited_for():
    """At the region that makes it, which has the key, too; all of it is one attempt."""
    received = []
    states = [{"status": "Pending"}, {"status": "Ready", "result": {"sample": "https://delivery.example/1.jpg"}}]

    def answer(request):
        if request.method == "POST":
            return said({"id": "1", "polling_url": "https://api.eu4.bfl.ai/v1/get_result?id=1", "cost": 4})
        return said(states.pop(0))

    async with (
        answering(answer, received) as network,
        LlmClient(network_backend=network, api_keys={BFL: "bfl-key"}) as client,
    ):
        response = await client.image_generate(model=f"{BFL}/flux-dev", prompt="a river")
    assert response.data[0].url == "https://delivery.example/1.jpg"
    assert len(response.attempts) == 1
    assert [(one.method, one.headers["host"], one.target, one.headers["x-key"]) for one in received] == [
        ("POST", "api.bfl.ai", "/v1/flux-dev", "bfl-key"),
        ("GET", "api.eu4.bfl.ai", "/v1/get_result?id=1", "bfl-key"),
        ("GET", "api.eu4.bfl.ai", "/v1/get_result?id=1", "bfl-key"),
    ]


async def test_a_key_for_a_gateway_stays_there():
    """A gateway's answer cannot have it sent to the maker, and nobody's to a stranger with a similar name."""
    for base, place in (
        ("https://gateway.example/v1", "https://api.eu4.bfl.ai/v1/get_result?id=1"),
        ("https://api.bfl.ai/v1", "https://api.evilbfl.ai/v1/get_result?id=1"),
        ("https://api.bfl.ai/v1", "https://bfl.ai.evil.example/v1/get_result?id=1"),
        ("https://api.bfl.ai/v1", "http://api.eu4.bfl.ai/v1/get_result?id=1"),
        ("https://api.bfl.ai/v1", "https://api.bfl.ai@evil.example/1"),
        ("https://api.bfl.ai/v1", "https://a:b@api.bfl.ai/1"),
        ("https://api.bfl.ai/v1", "https://api.bfl.ai:444/1"),
        ("https://api.bfl.ai/v1", "https://["),
    ):
        received = []
        async with (
            answering(lambda request, place=place: said({"id": "1", "polling_url": place}), received) as network,
            LlmClient(network_backend=network, model_hint=BFL, base_url=base, api_key="some-key") as client,
        ):
            with pytest.raises(LlmError, match="the key is not sent there"):
                await client.image_generate(model=f"{BFL}/flux-dev", prompt="a river")
        assert len(received) == 1


async def test_a_prediction_is_asked_after_when_waiting_was_not_enough():
    """Until it has succeeded."""
    received = []
    urls = {"get": "https://api.replicate.com/v1/predictions/p"}
    states = [
        {"id": "p", "status": "starting", "output": None, "urls": urls},
        {"id": "p", "status": "processing", "output": None, "urls": urls},
        {"id": "p", "status": "succeeded", "output": ["https://replicate.delivery/1.webp"], "urls": urls},
    ]
    async with (
        answering(lambda request: said(states.pop(0), 201 if request.method == "POST" else 200), received) as network,
        LlmClient(network_backend=network, api_keys={REPLICATE: "r8-key"}) as client,
    ):
        response = await client.image_generate(model=f"{REPLICATE}/black-forest-labs/flux-schnell", prompt="a river")
    assert [image.url for image in response.data] == ["https://replicate.delivery/1.webp"]
    assert [(one.method, one.target) for one in received] == [
        ("POST", "/v1/models/black-forest-labs/flux-schnell/predictions"),
        ("GET", "/v1/predictions/p"),
        ("GET", "/v1/predictions/p"),
    ]
