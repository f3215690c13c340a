"""Claude on Vertex AI, from the server's side: Anthropic's wire under another path."""

import re
from typing import cast
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from ._simulator_exchange import ReceivedRequest
from ._simulator_model import Model
from ._simulator_steps import Step
from ._wire_anthropic import AnthropicWire
from ._wire_protocol import Headers, Refusal

_CLAUDE = re.compile(r"/publishers/anthropic/models/([^/:?]+):(rawPredict|streamRawPredict)$")


class ClaudeOnVertexWire(AnthropicWire):
    """Anthropic's models on Vertex AI: the version is in the body, the model in the path."""

    def speaks(self, request: ReceivedRequest) -> bool:
        return _CLAUDE.search(request.path.partition("?")[0]) is not None

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        match = _CLAUDE.search(request.path.partition("?")[0])
        told: object = request.json
        body = cast("dict[str, object]", told) if isinstance(told, dict) else {}
        if match is None or body.get("anthropic_version") != "vertex-2023-10-16":
            raise Refusal(400, "anthropic_version: Field required")
        fields = {name: value for name, value in body.items() if name != "anthropic_version"}
        counts = match.group(1) == "count-tokens"
        stream = {"stream": True} if match.group(2) == "streamRawPredict" else {}
        named = {} if counts else {"model": unquote(match.group(1))}
        whole = msgspec.json.encode({**fields, **stream, **named})
        return super().answer(
            replace(
                request,
                path="/v1/messages/count_tokens" if counts else "/v1/messages",
                headers={**request.headers, "anthropic-version": "2023-06-01"},
                body=whole,
                json=msgspec.json.decode(whole),
            ),
            model,
            headers,
        )
