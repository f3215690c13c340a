"""Uploads: forms and files are read while they are sent, and sent again where that is sound."""

import io
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liter._errors import BadRequestError
from liter._form import Form
from liter._upload import PIECE_SIZE, SPOOL_SIZE, open_upload
from liter.types import File

pytestmark = pytest.mark.anyio


class Pipe(io.RawIOBase):
    """A source that cannot be rewound."""

    name = "/dev/pipe.wav"

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:
        """Read some."""
        return self._content.readinto(buffer)


async def read(body: Form | File) -> bytes:
    """All that would be sent."""
    upload = await open_upload(body)
    pieces = []
    while piece := await upload.read():
        pieces.append(piece)
    upload.close()
    content = b"".join(pieces)
    assert len(content) == len(upload)
    return content


def parse(form: Form, body: bytes) -> list[tuple[str, str | None, str, bytes]]:
    """Name, file name, media type and content of each part, as the standard library's parser reads them."""
    message = BytesParser(policy=HTTP).parsebytes(b"content-type: " + form.content_type + b"\r\n\r\n" + body)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


async def test_a_form_has_its_fields_and_files_in_order(tmp_path: Path) -> None:
    """A path, bytes, an open file, and one that cannot be rewound: each whole, with name and type."""
    path = tmp_path / "sound.wav"
    path.write_bytes(b"R" * (PIECE_SIZE + 5))
    opened = io.BytesIO(b"skipped, then read")
    opened.seek(9)
    form = Form(
        [
            ("purpose", "batch"),
            ("tag[]", "a"),
            ("tag[]", "b"),
            ("file", File(path)),
            ("file", File(b"{}", name="input.jsonl")),
            ("file", File.of(("pic.png", opened), "file")),
            ("file", File(Pipe(b"piped"))),
        ]
    )
    assert parse(form, await read(form)) == [
        ("purpose", None, "text/plain", b"batch"),
        ("tag[]", None, "text/plain", b"a"),
        ("tag[]", None, "text/plain", b"b"),
        ("file", "sound.wav", "audio/x-wav", b"R" * (PIECE_SIZE + 5)),
        ("file", "input.jsonl", "application/jsonl", b"{}"),
        ("file", "pic.png", "image/png", b"then read"),
        ("file", "pipe.wav", "audio/x-wav", b"piped"),
    ]
    assert not opened.closed


@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1), value=st.text())
@settings(max_examples=50)
def test_names_and_values_cannot_break_out(name: str, value: str) -> None:
    """Quotation marks and line breaks in names are escaped, values go as they are."""
    form = Form([(name, value), (name + '"\r\nx', "end")], boundary="b" * 32)
    body = b"".join(part for part in form.parts() if isinstance(part, bytes))
    heads = [line for line in body.split(b"\r\n") if line.startswith(b"content-disposition")]
    assert len(heads) >= 2
    assert heads[0] == f'content-disposition: form-data; name="{name.replace(chr(34), "%22")}"'.encode()
    assert body.count(b"%0D%0Ax") == 1 + name.count("%0D%0Ax") * 2 + value.count("%0D%0Ax")


async def test_progress_is_told_with_each_piece() -> None:
    """To the last byte."""
    told: list[tuple[int, int]] = []
    form = Form([("file", File(b"x" * 3 * PIECE_SIZE))], progress=lambda sent, total: told.append((sent, total)))
    size = len(await read(form))
    assert told[-1] == (size, size)
    assert [sent for sent, _ in told] == sorted({sent for sent, _ in told})
    assert len(told) >= 4


async def test_what_can_be_rewound_is_sent_again_from_its_start() -> None:
    """And what cannot says so, in place of sending nothing."""
    opened = io.BytesIO(b"skip content")
    opened.seek(5)
    file = File(opened)
    assert [await read(file), await read(file)] == [b"content", b"content"]
    pipe = File(Pipe(b"once"))
    assert await read(pipe) == b"once"
    assert not pipe.rewindable
    with pytest.raises(ValueError, match=r"pipe.wav was read once and cannot be rewound: give a path"):
        await open_upload(pipe)


async def test_what_cannot_tell_its_size_goes_by_way_of_the_disk() -> None:
    """So that it need not fit into memory."""
    content = b"z" * (SPOOL_SIZE + 1)
    assert await read(File(Pipe(content))) == content


async def test_a_file_that_changes_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    """Its length has been told before."""
    path = tmp_path / "log.txt"
    path.write_bytes(b"first")
    upload = await open_upload(File(path))
    with path.open("ab") as log:
        log.write(b" second")
    with pytest.raises(BadRequestError, match="changed its size"):
        while await upload.read():
            pass
    upload.close()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "file: give a path"),
        (5, "file: give a path"),
        (("", b"x"), "file: a tuple is"),
        (io.StringIO("text"), "file: the file is opened in text mode: open it with 'rb'"),
    ],
)
def test_what_can_be_no_file_is_told_by_its_parameter(source: object, told: str) -> None:
    """With what could."""
    with pytest.raises(ValueError, match=told):
        File.of(source, "file")


async def test_a_missing_file_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ValueError, match=r"nothing\.txt"):
        await open_upload(File(tmp_path / "nothing.txt"))


async def test_cancelling_the_opening_leaves_no_file_open(tmp_path: Path) -> None:
    """ResourceWarnings are errors here."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await open_upload(Form([("file", File(path)), ("file", File(path))]))
    assert scope.cancelled_caught
