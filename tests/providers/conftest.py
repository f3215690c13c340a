"""Recorded traffic of real providers, an event splitter of our own, and calls to encode."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from liter._contract import Call, Route
from liter._http import ServerSentEvent
from liter._secret import Secret
from liter.types import ListModelsRequest

RECORDINGS = Path(__file__).parents[2] / "../shared/recordings"

Record = dict[str, object]


@pytest.fixture
def recordings() -> Callable[..., Iterator[Record]]:
    """Give a provider's recorded exchanges of some operations."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recorded traffic at {RECORDINGS}")

    def read(provider: str, *operations: str) -> Iterator[Record]:
        with gzip.open(RECORDINGS / f"{provider}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record["operation"] in operations:
                    yield record

    return read


@pytest.fixture
def events_of() -> Callable[[str], list[ServerSentEvent]]:
    """Split a recorded event stream, the plain way: this is not the decoder that liter uses."""

    def split(body: str) -> list[ServerSentEvent]:
        events = []
        for block in body.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
            name, data = "message", []
            for line in block.split("\n"):
                field, _, value = line.partition(":")
                if field == "data":
                    data.append(value.removeprefix(" "))
                elif field == "event":
                    name = value.strip()
            if data:
                events.append(ServerSentEvent(data="\n".join(data).encode(), event=name))
        return events

    return split


@pytest.fixture
def call_of() -> Callable[..., Call[object]]:
    """Make a call of a request."""

    def make(
        request: msgspec.Struct, *, stream: bool = False, operation: str | None = None, **route: object
    ) -> Call[object]:
        if operation is None:
            operation = "list_models" if isinstance(request, ListModelsRequest) else "chat"
        fields = {
            "provider": "openai",
            "model": getattr(request, "model", ""),
            "base_url": "https://provider.example/v1",
            "api_key": Secret("sk-test"),
            **route,
        }
        headers = fields.pop("headers", ())
        return Call(operation=operation, request=request, route=Route(**fields), stream=stream, headers=headers)

    return make
