"""A ``multipart/form-data`` body taken apart, by the standard library's parser."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import cast

import msgspec

from ._wire_protocol import Refusal


class FormPart(msgspec.Struct, frozen=True):
    """One field or file of a form; ``filename`` is ``None`` for a field."""

    name: str
    filename: str | None
    media_type: str
    content: bytes

    @property
    def text(self) -> str:
        """A field's value."""
        return self.content.decode("utf-8", "replace")


class ReceivedForm:
    """The parts of a form, in order."""

    def __init__(self, content_type: str, body: bytes) -> None:
        if not content_type.startswith("multipart/form-data"):
            raise Refusal(415, f"Unsupported content type {content_type!r}: use multipart/form-data.")
        message = BytesParser(EmailMessage, policy=HTTP).parsebytes(
            b"content-type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
        )
        self.parts: list[FormPart] = [
            FormPart(
                name=str(part.get_param("name", "", header="content-disposition")),
                filename=part.get_filename(),
                media_type=part.get_content_type(),
                content=cast("bytes", part.get_payload(decode=True)),
            )
            for part in message.iter_parts()
        ]

    def file(self, name: str) -> FormPart:
        """The file of that name. :raises Refusal: it is missing"""
        for part in self.parts:
            if part.name in (name, f"{name}[]") and part.filename is not None:
                return part
        raise Refusal(400, f"Missing required parameter: '{name}'.", param=name)

    def field(self, name: str, default: str | None = None) -> str:
        """The value of a field. :raises Refusal: it is missing, and has no default"""
        for part in self.parts:
            if part.name == name and part.filename is None:
                return part.text
        if default is None:
            raise Refusal(400, f"Missing required parameter: '{name}'.", param=name)
        return default

    def fields(self, name: str) -> list[str]:
        """All values of a field that may come more than once."""
        return [part.text for part in self.parts if part.name == name and part.filename is None]
