"""Operations that send files, over the simulator and over both HTTP versions."""

import io
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from liter import BadRequestError, LlmClient, ServiceUnavailableError
from liter.middleware import Retry
from liter.testing import Refuse, Simulator
from liter.testing._simulator_form import ReceivedForm
from liter.types import File

from ._serving import serving

pytestmark = pytest.mark.anyio

SOUND = b"RIFF" + bytes(range(256)) * 40


def form_of(simulator: Simulator, index: int = -1) -> list[tuple[str, str | None, bytes]]:
    """The parts of a request's form."""
    request = simulator.requests[index]
    form = ReceivedForm(request.headers["content-type"], request.body)
    return [(part.name, part.filename, part.content) for part in form.parts]


# On the wall clock where a thread reads the file.
@pytest.mark.realtime
@pytest.mark.parametrize("kind", ["path", "bytes", "file", "tuple", "file struct"])
async def test_a_recording_is_sent_whole_whatever_it_is_given_as(tmp_path: Path, kind: str) -> None:
    """With its name, the other parameters as fields, lists as several."""
    path = tmp_path / "speech.wav"
    path.write_bytes(SOUND)
    source = {
        "path": path,
        "bytes": SOUND,
        "file": io.BytesIO(SOUND),
        "tuple": ("speech.wav", SOUND),
        "file struct": File(SOUND, name="speech.wav"),
    }[kind]
    simulator = Simulator(reply="Where do rivers begin?")
    async with serving(simulator) as client:
        response = await client.transcribe(
            model="whisper-1", file=source, language="en", temperature=0.5,
            response_format="verbose_json", timestamp_granularities=["word", "segment"],
            extra_body={"languages": ["en", "de"]},
        )  # fmt: skip
    name = "file" if kind in ("bytes", "file") else "speech.wav"
    assert form_of(simulator) == [
        ("model", None, b"whisper-1"),
        ("file", name, SOUND),
        ("language", None, b"en"),
        ("response_format", None, b"verbose_json"),
        ("temperature", None, b"0.5"),
        ("timestamp_granularities[]", None, b"word"),
        ("timestamp_granularities[]", None, b"segment"),
        ("languages[]", None, b"en"),
        ("languages[]", None, b"de"),
    ]
    assert response.text == "Where do rivers begin?"
    assert response.duration == 2.5
    assert response.words[0].word == "Where"
    assert response.segments[0].end == 2.5
    assert response.usage.audio_seconds == Decimal("2.5")


async def test_a_transcription_comes_as_text_and_as_a_stream() -> None:
    """Plain formats are the body; events end with the whole text and the usage."""
    simulator = Simulator(reply="Where do rivers begin?")
    async with serving(simulator) as client:
        plain = await client.transcribe(model="whisper-1", file=SOUND, response_format="text")
        json = await client.transcribe(model="gpt-4o-transcribe", file=SOUND)
        stream = await client.transcribe_stream(model="gpt-4o-transcribe", file=SOUND)
        events = [event async for event in stream]
        english = await client.translate(model="whisper-1", file=SOUND)
    assert plain.text == json.text == english.text == "".join(event.delta for event in events) == events[-1].text
    assert json.usage.prompt_tokens_details.audio_tokens == 20
    assert stream.usage == json.usage
    assert simulator.requests[-1].path.endswith("/audio/translations")


async def test_images_are_changed_and_varied() -> None:
    """One image is a file, several are a list."""
    simulator = Simulator()
    async with serving(simulator) as client:
        one = await client.image_edit(image=b"one", prompt="brighter", model="gpt-image-1", mask=("m.png", b"mask"))
        assert [part[:2] for part in form_of(simulator)] == [
            ("image", "image"), ("prompt", None), ("mask", "m.png"), ("model", None),
        ]  # fmt: skip
        await client.image_edit(image=[b"one", ("two.png", b"two")], prompt="both")
        assert form_of(simulator)[:2] == [("image[]", "image", b"one"), ("image[]", "two.png", b"two")]
        stream = await client.image_edit_stream(image=b"one", prompt="brighter", partial_images=1)
        events = [event async for event in stream]
        varied = await client.image_variation(image=b"one", n=2)
    assert one.data[0].content == b"one"
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert len(varied.data) == 2


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
async def test_a_refused_upload_is_sent_again_from_its_start(http2: bool) -> None:
    """More than any window or buffer, over both HTTP versions."""
    content = bytes(range(256)) * 8192
    opened = io.BytesIO(b"skipped" + content)
    opened.seek(7)
    simulator = Simulator(faults=[Refuse(503)])
    async with (
        simulator.serve_memory(http2=http2) if http2 else simulator.serve_memory() as network,
        LlmClient(api_key="sk-any", network_backend=network, middleware=[Retry(initial=0.1)], http2=http2) as client,
    ):
        response = await client.transcribe(model="whisper-1", file=("long.wav", opened))
    assert [attempt.status for attempt in response.attempts] == [503, 200]
    assert simulator.requests[0].http_version == ("2" if http2 else "1.1")
    for index in (0, 1):
        assert form_of(simulator, index)[1] == ("file", "long.wav", content)
    assert not opened.closed


class Pipe(io.RawIOBase):
    """A source that cannot be rewound."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:
        """Read some."""
        return self._content.readinto(buffer)


@pytest.mark.realtime
async def test_what_cannot_be_rewound_is_not_retried() -> None:
    """The refusal comes out as it is, and the file is not sent half."""
    simulator = Simulator(faults=[Refuse(503)])
    file = File(Pipe(SOUND), name="a.wav")
    async with serving(simulator) as client:
        with pytest.raises(ServiceUnavailableError):
            await client.transcribe(model="whisper-1", file=file)
        with pytest.raises(BadRequestError, match="cannot be rewound"):
            await client.transcribe(model="whisper-1", file=file)
    assert len(simulator.requests) == 1


async def test_a_missing_file_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    """As a bad request, with the path."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(BadRequestError, match=r"cannot be read: .*nothing\.wav"):
            await client.transcribe(model="whisper-1", file=tmp_path / "nothing.wav")
    assert simulator.requests == []


@pytest.mark.realtime
async def test_an_upload_is_cancelled_where_it_is(tmp_path: Path) -> None:
    """The connection is closed, the file too: ResourceWarnings are errors here."""
    path = tmp_path / "a.wav"
    path.write_bytes(SOUND)
    simulator = Simulator(latency=10)
    async with serving(simulator) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(client.transcribe, model="whisper-1", file=path))
            while not simulator.requests:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        while simulator.connections.open:
            await anyio.lowlevel.checkpoint()
