"""Those who speak and listen, each on a wire of its own: Deepgram, ElevenLabs, AssemblyAI."""

import base64
import json
from decimal import Decimal
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from liter import LlmClient
from liter._errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
)
from liter._http import Headers
from liter.providers import Mapped, Sent, Unsupported, known_providers
from liter.types import BinaryContent, File, SpeechRequest, TranscriptionRequest

from ._answering import answering, said

KNOWN = known_providers()
VOICE = "21m00Tcm4TlvDq8ikWAM"
WAV = ("a.wav", b"RIFF....")


@pytest.fixture
def speech(call_of):
    """Make a call that speaks."""

    def made(provider, model, voice, unsupported="raise", stream=False, **given):
        request = SpeechRequest(model=f"{provider}/{model}", input="Hello.", voice=voice, **given)
        call = call_of(
            request,
            operation="speech",
            provider=provider,
            model=model,
            base_url=KNOWN[provider].base_url,
            stream=stream,
        )
        return replace(call, unsupported=unsupported)

    return made


@pytest.fixture
def listening(call_of):
    """Make a call that listens."""

    def made(provider, model="m", unsupported="raise", **given):
        request = TranscriptionRequest(model=f"{provider}/{model}", file=WAV, **given)
        call = call_of(
            request, operation="transcribe", provider=provider, model=model, base_url=KNOWN[provider].base_url
        )
        return replace(call, unsupported=unsupported)

    return made


def sent(call):
    """What is sent: the path, the query, the body or the form's fields."""
    request = KNOWN[call.route.provider].encode(call)
    path, _, query = (request.base_url + request.path).partition("?")
    told = {name: values if len(values) > 1 else values[0] for name, values in parse_qs(query).items()}
    if request.upload is None:
        return path, told, json.loads(request.body)
    if isinstance(request.upload, File):
        return path, told, request.upload
    return path, told, [(name, value) for name, value in request.upload.fields]


# Speech.


@pytest.mark.parametrize(
    ("model", "voice", "name"),
    [
        ("aura-2", "thalia", "aura-2-thalia-en"),
        ("aura-2", "aquila-es", "aura-2-aquila-es"),
        ("aura-2-thalia-en", "thalia", "aura-2-thalia-en"),
        ("aura-2", "aura-2-zeus-en", "aura-2-zeus-en"),
        ("aura-2", {"id": "zeus"}, "aura-2-zeus-en"),
    ],
)
def test_deepgrams_voice_is_a_part_of_the_model(speech, model, voice, name):
    """Named alone, with a language, or as a whole."""
    assert sent(speech("deepgram", model, voice)) == (
        "https://api.deepgram.com/v1/speak",
        {"model": name},
        {"text": "Hello."},
    )
    with pytest.raises(BadRequestError, match="name the model 'aura-2'"):
        sent(speech("deepgram", "aura-2-thalia-en", "zeus"))
    dropped = sent(speech("deepgram", "aura-2-thalia-en", "zeus", unsupported="drop"))
    assert dropped[1] == {"model": "aura-2-thalia-en"}


@pytest.mark.parametrize(
    ("response_format", "told"),
    [
        ("mp3", {"encoding": "mp3"}),
        ("wav", {"encoding": "linear16", "container": "wav"}),
        ("pcm", {"encoding": "linear16", "container": "none"}),
        ("opus", {"encoding": "opus"}),
    ],
)
def test_deepgrams_formats(speech, response_format, told):
    """Each is an encoding, some with a container; the caller's own fields go into the address, too."""
    call = speech("deepgram", "aura-2", "zeus", response_format=response_format, extra_body={"sample_rate": 24000})
    assert sent(call)[1] == {"model": "aura-2-zeus-en", "sample_rate": "24000", **told}
    with pytest.raises(BadRequestError, match="response_format='ogg'"):
        sent(speech("deepgram", "aura-2", "zeus", response_format="ogg"))


def test_elevenlabs_voice_is_in_the_address(speech):
    """By its id; its answers are the sound, in pieces from another address."""
    call = speech("elevenlabs", "eleven_v3", VOICE, response_format="pcm", speed=1.1, extra_body={"seed": 7})
    assert sent(call) == (
        f"https://api.elevenlabs.io/v1/text-to-speech/{VOICE}",
        {"output_format": "pcm_24000"},
        {"text": "Hello.", "model_id": "eleven_v3", "voice_settings": {"speed": 1.1}, "seed": 7},
    )
    request = KNOWN["elevenlabs"].encode(call)
    assert dict(request.headers)[b"xi-api-key"] == b"sk-test"
    streamed = sent(speech("elevenlabs", "eleven_v3", VOICE, stream=True, response_format="mp3_22050_32"))
    assert streamed[:2] == (
        f"https://api.elevenlabs.io/v1/text-to-speech/{VOICE}/stream",
        {"output_format": "mp3_22050_32"},
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"voice": "alloy"}, "the id of a voice"),
        ({"voice": {"id": ""}}, "voice must be"),
        ({"speed": 2.0}, "0.7 to 1.2"),
        ({"response_format": "aac"}, "one of mp3, pcm, opus"),
        ({"instructions": "Whisper."}, "'instructions'"),
    ],
)
def test_what_elevenlabs_does_not_take(speech, given, told):
    """Names of voices above all: they are no ids."""
    with pytest.raises(BadRequestError, match=told):
        sent(speech("elevenlabs", "eleven_v3", given.pop("voice", VOICE), **given))


@pytest.mark.parametrize(("provider", "count"), [("deepgram", 2), ("elevenlabs", 3)])
def test_every_recorded_speech(recordings, speech, provider, count):
    """Requests can be made again to the letter; sound is what came, and its characters are billed."""
    seen = 0
    for record in recordings(provider, "speech"):
        seen += 1
        body = base64.b64decode(record["response_body"])
        call = speech(provider, "aura-2" if provider == "deepgram" else "eleven_v3", VOICE)
        if record["request_body"]:
            told = {name: values[0] for name, values in parse_qs(record["query"]).items()}
            formats = {("mp3", None): "mp3", ("linear16", "wav"): "wav"}
            wanted = formats[told["encoding"], told.get("container")]
            made = speech(provider, "aura-2", told["model"], response_format=wanted)
            made = replace(made, request=replace(made.request, input=record["request_body"]["text"]))
            assert sent(made) == (f"https://{record['host']}{record['path']}", told, record["request_body"])
            assert KNOWN[provider].usage(made, body).characters == int(record["response_headers"]["dg-char-count"])
            assert KNOWN[provider].request_id(Headers([(b"dg-request-id", b"r")])) == "r"
        value = KNOWN[provider].decode(call, body, Headers())
        assert isinstance(value, BinaryContent)
        assert value == body
    assert seen == count


# Transcriptions.


def test_deepgram_listens_to_the_body(listening):
    """Which is the recording as it is; everything else is in the address, lists as repeated fields."""
    call = listening(
        "deepgram",
        "nova-3",
        language="de",
        response_format="diarized_json",
        extra_body={"keyterm": ["Rhein", "Elbe"], "punctuate": True},
    )
    path, query, file = sent(call)
    assert path == "https://api.deepgram.com/v1/listen"
    assert query == {
        "model": "nova-3",
        "smart_format": "true",
        "language": "de",
        "diarize": "true",
        "utterances": "true",
        "keyterm": ["Rhein", "Elbe"],
        "punctuate": "true",
    }
    assert file.content == WAV[1]
    headers = dict(KNOWN["deepgram"].encode(call).headers)
    assert headers[b"authorization"] == b"Token sk-test"
    assert headers[b"content-type"] in (b"audio/x-wav", b"audio/wav", b"audio/vnd.wave")


def test_elevenlabs_listens_to_a_form(listening):
    """With fields under its own names, and repeated ones."""
    call = listening(
        "elevenlabs",
        "scribe_v2",
        language="de",
        temperature=0.5,
        timestamp_granularities=["word"],
        response_format="diarized_json",
        extra_body={"keyterms": ["Rhein", "Elbe"], "num_speakers": 2},
    )
    path, _, fields = sent(call)
    assert path == "https://api.elevenlabs.io/v1/speech-to-text"
    assert fields[:-1] == [
        ("model_id", "scribe_v2"),
        ("language_code", "de"),
        ("diarize", "true"),
        ("temperature", "0.5"),
        ("timestamps_granularity", "word"),
        ("keyterms", "Rhein"),
        ("keyterms", "Elbe"),
        ("num_speakers", "2"),
    ]
    assert (fields[-1][0], fields[-1][1].content) == ("file", WAV[1])


VALUES = {
    "language": "de",
    "prompt": "Rhein",
    "response_format": "srt",
    "temperature": 0.5,
    "timestamp_granularities": ["segment"],
    "include": ["logprobs"],
    "chunking_strategy": "server_vad",
}


@pytest.mark.parametrize("provider", ["deepgram", "elevenlabs", "assemblyai"])
def test_what_those_who_listen_do_not_take(listening, provider, caplog):
    """Each parameter changes the request, is left to its default, or is refused; none is lost in silence."""
    rules = KNOWN[provider].parameters("transcribe")
    assert rules.keys() == {*TranscriptionRequest.__struct_fields__}
    assert KNOWN["deepgram"].parameters("speech").keys() == {*SpeechRequest.__struct_fields__}
    for name, value in VALUES.items():
        if isinstance(rules[name], Unsupported):
            with pytest.raises(BadRequestError, match=repr(name)):
                sent(listening(provider, **{name: value}))
            sent(listening(provider, unsupported="drop", **{name: value}))
            assert name in caplog.text
        else:
            assert isinstance(rules[name], Mapped | Sent) or rules[name].to
    with pytest.raises(BadRequestError, match="response_format='srt'"):
        sent(listening(provider, response_format="srt"))
    for plain in ("json", "verbose_json", "text"):
        sent(listening(provider, response_format=plain))


def test_every_recording_that_deepgram_heard(recordings, listening):
    """Text, words as they are written, who spoke, and seconds to the digit."""
    seen = 0
    for record in recordings("deepgram", "transcription"):
        seen += 1
        raw = json.loads(record["response_body"])
        call = listening("deepgram", "nova-3")
        told = KNOWN["deepgram"].decode(call, record["response_body"].encode(), Headers())
        best = raw["results"]["channels"][0]["alternatives"][0]
        assert told.text == best["transcript"]
        assert [(word.word, word.start, word.end, word.speaker) for word in told.words] == [
            (
                word.get("punctuated_word", word["word"]),
                word["start"],
                word["end"],
                str(word["speaker"]) if "speaker" in word else None,
            )
            for word in best["words"]
        ]
        assert told.duration == raw["metadata"]["duration"]
        assert KNOWN["deepgram"].usage(call, told).audio_seconds == Decimal(str(raw["metadata"]["duration"]))
        assert [one.text for one in told.segments or ()] == [
            one["transcript"] for one in raw["results"].get("utterances", ())
        ]
        assert told.language == raw["results"]["channels"][0].get("detected_language")
    assert seen == 2


def test_every_recording_that_elevenlabs_heard(recordings, listening):
    """Text, language, and words without blanks and noises."""
    seen = 0
    for record in recordings("elevenlabs", "transcription"):
        seen += 1
        raw = json.loads(record["response_body"])
        call = listening("elevenlabs", "scribe_v1")
        told = KNOWN["elevenlabs"].decode(call, record["response_body"].encode(), Headers())
        assert (told.text, told.language) == (raw["text"], raw["language_code"])
        assert [(word.word, word.start, word.end, word.speaker) for word in told.words] == [
            (word["text"], word["start"], word["end"], word.get("speaker_id"))
            for word in raw["words"]
            if word["type"] == "word"
        ]
        assert told.native["language_probability"] == raw["language_probability"]
        assert KNOWN["elevenlabs"].usage(call, told) is None
    assert seen == 4


def test_seconds_are_billed_where_they_are_told(listening):
    """Channels that are heard apart count apart."""
    body = json.dumps({"text": "a", "audio_duration_secs": 3.2}).encode()
    call = listening("elevenlabs")
    assert KNOWN["elevenlabs"].decode(call, body, Headers()).usage.audio_seconds == Decimal("3.2")
    channel = {"alternatives": [{"transcript": "a"}]}
    both = json.dumps({"metadata": {"duration": 2.5}, "results": {"channels": [channel, channel]}}).encode()
    told = KNOWN["deepgram"].decode(listening("deepgram"), both, Headers())
    assert (told.text, told.usage.audio_seconds) == ("a\na", Decimal("5.0"))


@pytest.mark.parametrize(
    ("provider", "status", "body", "kind"),
    [
        ("deepgram", 401, {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials.", "request_id": "r"}, "auth"),
        ("deepgram", 402, {"category": "ASR_PAYMENT_REQUIRED", "message": "Project has no funds."}, "quota"),
        ("deepgram", 429, {"err_code": "TOO_MANY_REQUESTS", "err_msg": "Too many requests."}, RateLimitedError),
        ("deepgram", 400, {"err_code": "Bad Request", "err_msg": "corrupt or unsupported data"}, BadRequestError),
        ("elevenlabs", 401, {"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}, "auth"),
        ("elevenlabs", 401, {"detail": {"status": "quota_exceeded", "message": "No credits left."}}, "quota"),
        ("elevenlabs", 400, {"detail": {"status": "voice_not_found", "message": "No such voice."}}, NotFoundError),
        ("elevenlabs", 429, {"detail": {"status": "system_busy", "message": "Busy."}}, ServiceUnavailableError),
        (
            "elevenlabs",
            429,
            {"detail": {"status": "too_many_concurrent_requests", "message": "Slow down."}},
            RateLimitedError,
        ),
        ("elevenlabs", 422, {"detail": [{"loc": ["body", "text"], "msg": "Field required"}]}, BadRequestError),
    ],
)
def test_failures_by_their_kind(listening, provider, status, body, kind):
    """As their codes tell, whatever the status."""
    error = KNOWN[provider].error(listening(provider), status, Headers(), json.dumps(body).encode())
    if kind == "quota":
        assert isinstance(error, RateLimitedError)
        assert error.quota_exhausted
    else:
        assert type(error) is (AuthenticationError if kind == "auth" else kind)
    assert error.message != f"HTTP status {status}"


# Through the client.

pytestmark = pytest.mark.anyio


async def test_speech_and_transcription_through_the_client():
    """Sound whole and in pieces; a recording from memory; prices by characters and seconds."""
    heard = {"metadata": {"duration": 60.0}, "results": {"channels": [{"alternatives": [{"transcript": "Hi."}]}]}}
    received = []

    def answer(request):
        if "/listen" in request.target:
            return said(heard)
        return 200, {"content-type": "audio/mpeg"}, b"ID3sound"

    async with (
        answering(answer, received) as network,
        LlmClient(network_backend=network, api_keys={"deepgram": "dg-key", "elevenlabs": "el-key"}) as client,
    ):
        sound = await client.speech(model="deepgram/aura-2", input="Hello.", voice="thalia")
        stream = await client.speech_stream(model="elevenlabs/eleven_v3", input="Hello.", voice=VOICE)
        pieces = b"".join([piece async for piece in stream])
        told = await client.transcribe(model="deepgram/nova-3", file=WAV)
    assert (sound, sound.content_type, pieces) == (b"ID3sound", "audio/mpeg", b"ID3sound")
    assert sound.cost.total == Decimal("0.00018")
    assert (told.text, told.duration) == ("Hi.", 60.0)
    assert told.cost.total == Decimal("0.0043")
    assert received[1].target == f"/v1/text-to-speech/{VOICE}/stream"
    assert (received[2].body, received[2].headers["authorization"]) == (WAV[1], "Token dg-key")


JOB = {"id": "j", "status": "processing", "error": None}
HEARD = {
    "id": "j",
    "status": "completed",
    "text": "Hi.",
    "language_code": "en_us",
    "audio_duration": 2,
    "words": [{"text": "Hi.", "start": 250, "end": 1500, "speaker": "A"}],
    "utterances": [{"text": "Hi.", "start": 250, "end": 1500, "speaker": "A"}],
    "error": None,
}


@pytest.mark.parametrize("ended", [HEARD, {"id": "j", "status": "error", "error": "It holds no sound."}])
async def test_assemblyai_is_given_a_recording_and_asked_after_it(ended):
    """Three kinds of request, at the host of recordings, with the bare key: one attempt, not repeated."""
    received = []
    jobs = [JOB, JOB, ended]

    def answer(request):
        return said(
            {"upload_url": "https://cdn.assemblyai.com/upload/1"} if "upload" in request.target else jobs.pop(0)
        )

    async with (
        answering(answer, received) as network,
        LlmClient(network_backend=network, api_keys={"assemblyai": "aai-key"}) as client,
    ):
        asking = client.transcribe(
            model="assemblyai/universal-3-pro", file=WAV, response_format="diarized_json", extra_body={"own": 1}
        )
        if ended is HEARD:
            told = await asking
            assert (told.text, told.language, told.duration) == ("Hi.", "en_us", 2.0)
            assert (told.words[0].word, told.words[0].start, told.words[0].end, told.words[0].speaker) == (
                "Hi.", 0.25, 1.5, "A",
            )  # fmt: skip
            assert told.segments[0].text == "Hi."
            assert told.usage.audio_seconds == 2
            assert len(told.attempts) == 1
        else:
            with pytest.raises(ServerError, match="It holds no sound") as raised:
                await asking
            assert len(raised.value.attempts) == 1
    assert [(one.method, one.target) for one in received] == [
        ("POST", "/v2/upload"),
        ("POST", "/v2/transcript"),
        ("GET", "/v2/transcript/j"),
        ("GET", "/v2/transcript/j"),
    ]
    assert {(one.headers["host"], one.headers["authorization"]) for one in received} == {
        ("api.assemblyai.com", "aai-key")
    }
    assert received[0].body == WAV[1]
    assert received[1].json == {
        "audio_url": "https://cdn.assemblyai.com/upload/1",
        "speech_models": ["universal-3-pro"],
        "language_detection": True,
        "speaker_labels": True,
        "own": 1,
    }
