"""Replies that are bytes: sound, files."""

from ._answer import Answer


class BinaryContent(Answer, bytes):
    """Bytes, with the facts of the answer they came in: ``headers``, ``request_id``, ``cost``, ...

    :param content_type: the media type that the provider gave, such as ``"audio/mpeg"``
    """

    @property
    def content_type(self) -> str:
        """The media type that the provider gave; empty where it gave none."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes of {self.content_type or 'unknown type'}>"

    __str__ = __repr__
