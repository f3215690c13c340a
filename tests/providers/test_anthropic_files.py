"""Files as Anthropic keeps them: over the simulator, and what is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liter import BadRequestError, LlmClient, NotFoundError
from liter.testing import Simulator
from liter.testing._simulator_form import ReceivedForm

pytestmark = pytest.mark.anyio

BIG = bytes(range(256)) * 2048


@asynccontextmanager
async def serving(simulator: Simulator) -> AsyncIterator[LlmClient]:
    """A client of the simulator, whose own provider is Anthropic."""
    async with (
        simulator.serve_memory() as network,
        LlmClient(model_hint="anthropic", api_key="sk-any", network_backend=network) as client,
    ):
        yield client


async def test_a_file_is_sent_listed_fetched_and_deleted() -> None:
    """Pages follow one another by the id of the last; what is not there is not found."""
    simulator = Simulator()
    async with serving(simulator) as client:
        made = [await client.create_file(file=BIG, filename=f"output{number}.bin") for number in range(5)]
        assert (made[0].bytes, made[0].filename, made[0].native) == (len(BIG), "output0.bin", {"downloadable": True})
        assert made[0].created_at == 1767225600
        assert await client.retrieve_file(file_id=made[0].id) == made[0]
        first = await client.list_files(limit=2)
        assert (len(first.data), first.has_more, first.next_after) == (2, True, made[3].id)
        walked = [file.id async for file in client.list_files(limit=2)]
        assert walked == [file.id for file in reversed(made)]
        assert await client.file_content(file_id=made[0].id) == BIG
        stream = await client.file_content_stream(file_id=made[0].id, start=1000)
        assert b"".join([piece async for piece in stream]) == BIG[1000:]
        assert stream.status == 206
        deleted = await client.delete_file(file_id=made[0].id)
        assert (deleted.id, deleted.deleted) == (made[0].id, True)
        with pytest.raises(NotFoundError):
            await client.retrieve_file(file_id=made[0].id)


async def test_what_is_sent() -> None:
    """Only what Anthropic knows: no purpose; a lifetime in seconds; the beta, beside those of the caller."""
    simulator = Simulator()
    async with serving(simulator) as client:
        file = await client.create_file(
            file=("a.csv", b"1,2"),
            purpose="user_data",
            expires_after={"anchor": "created_at", "seconds": 3600},
            extra_headers={"anthropic-beta": "skills-2025-10-02"},
        )
        await client.list_files()
        uploaded, listed = simulator.requests
        form = ReceivedForm(uploaded.headers["content-type"], uploaded.body)
        assert [(part.name, part.filename, part.media_type) for part in form.parts] == [
            ("file", "a.csv", "text/csv"),
            ("expires_in_seconds", None, "text/plain"),
        ]
        assert uploaded.headers["anthropic-beta"] == "skills-2025-10-02,files-api-2025-04-14"
        assert uploaded.headers["x-api-key"] == "sk-any"
        assert (listed.path, listed.headers["anthropic-beta"]) == ("/v1/files", "files-api-2025-04-14")
        assert file.expires_at is not None
        with pytest.raises(BadRequestError, match="is not downloadable"):
            await client.file_content(file_id=file.id)


@pytest.mark.parametrize("given", [{"purpose": "batch"}, {"order": "asc"}])
async def test_what_a_list_cannot_ask_for_is_refused(given: dict[str, str]) -> None:
    """Before anything is sent, unless it may be left out."""
    simulator = Simulator()
    async with serving(simulator) as client:
        with pytest.raises(BadRequestError, match=next(iter(given))):
            await client.list_files(**given)
        assert simulator.requests == []
        await client.list_files(**given, unsupported="drop")
        assert simulator.requests[0].path == "/v1/files"
