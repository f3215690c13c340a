"""InvokeModel: a model's own body in, its own body out, and the counts in headers."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import msgspec

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import Usage
from ._bedrock_hosts import host_of
from ._bedrock_models import model_path
from ._headers import JSON

if TYPE_CHECKING:
    from ._bedrock import Bedrock

_ENCODER = msgspec.json.Encoder()
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,(.*)", re.DOTALL | re.IGNORECASE)
_INPUT_TOKENS = "x-amzn-bedrock-input-token-count"


def post(
    provider: "Bedrock", call: Call[object], path: str, body: object, service: str = "bedrock-runtime"
) -> HttpRequest:
    """Make a request with a JSON body to one of Bedrock's services."""
    route = call.route
    return provider.request(call, "POST", host_of(route.base_url, service), path, JSON, body=_ENCODER.encode(body))


def invoke(
    provider: "Bedrock", call: Call[object], body: Mapping[str, object], extra: Mapping[str, object] | None
) -> HttpRequest:
    """Make the request of a model's invocation. ``extra`` is merged last."""
    return post(provider, call, model_path(call.route.model, "invoke"), {**body, **(extra or {})})


def usage_of(headers: Headers, told: int | None = None) -> Usage | None:
    """The usage of a model that writes no text, out of the headers, or as the body tells; ``None``: neither does."""
    text = headers.get(_INPUT_TOKENS, "")
    # Longer numbers are no counts of tokens.
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else told
    return None if count is None else Usage(prompt_tokens=count, total_tokens=count)


def picture(part: Mapping[str, object], where: str) -> tuple[str, str]:
    """The media type and the base64 data of an image part.

    :raises BadRequestError: it is another part, or its picture is not given as a data URL
    """
    image = part.get("image_url")
    url = cast("Mapping[str, object]", image).get("url") if isinstance(image, Mapping) else image
    match = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        raise BadRequestError(f"{where}: Bedrock takes texts, and pictures as data:image/png;base64,... URLs")
    return match.group(1).lower(), match.group(2)
