"""Images and documents that a request names by URL, and the same request with their content in it."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from ..types import ChatCompletionRequest, DocumentPart, ImagePart, Message


class Content(msgspec.Struct, frozen=True):
    """What a URL led to: ``data`` in base64."""

    media_type: str
    data: str


def remote_urls(request: object, *, images: bool = True, documents: bool = True) -> tuple[str, ...]:
    """The http and https URLs of a chat's images and documents, each once."""
    if not isinstance(request, ChatCompletionRequest):
        return ()
    found: dict[str, None] = {}
    for message in request.conversation:
        for part in _parts(message):
            url = _url(part, images=images, documents=documents)
            if url is not None and url[:8].lower().startswith(("http://", "https://")):
                found[url] = None
    return tuple(found)


def inlined(request: ChatCompletionRequest, contents: Mapping[str, Content]) -> ChatCompletionRequest:
    """The request with what these URLs led to in their place."""

    def put(part: object) -> object:
        url = _url(part, images=True, documents=True)
        content = None if url is None else contents.get(url)
        if content is None:
            return part
        if isinstance(part, ImagePart):
            data = f"data:{content.media_type};base64,{content.data}"
            return replace(part, image_url=replace(part.image_url, url=data))
        if isinstance(part, DocumentPart):
            return replace(part, url=None, data=content.data, media_type=content.media_type)
        return part

    return replace(request, messages=[_changed(message, put) for message in request.conversation])


def _changed(message: Message, put: Callable[[object], object]) -> Message:
    parts = _parts(message)
    changed = [put(part) for part in parts]
    same = all(new is old for new, old in zip(changed, parts, strict=True))
    return message if same else replace(message, content=changed)


def _parts(message: Message) -> Sequence[object]:
    content = message.content
    return () if content is None or isinstance(content, str) else content


def _url(part: object, *, images: bool, documents: bool) -> str | None:
    if images and isinstance(part, ImagePart):
        return part.image_url.url
    return part.url if documents and isinstance(part, DocumentPart) else None
