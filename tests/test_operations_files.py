"""Files over the simulator: sent, listed page by page, fetched, resumed, deleted."""

import os
from pathlib import Path

import anyio
import pytest

from liter import LlmError, NetworkError, NotFoundError, RateLimitedError
from liter._download import part_of
from liter._pages import Pages
from liter.testing import CloseAfterEvents, HtmlPage, Refuse, RequestLimit, Simulator
from liter.testing._simulator_form import ReceivedForm
from liter.types import FileObject, FilesPage

from ._serving import serving

pytestmark = pytest.mark.anyio

BIG = bytes(range(256)) * 2048  # eight pieces


async def test_a_file_is_sent_with_progress_and_kept() -> None:
    """Name, purpose and expiry as fields; a refusal is tried again."""
    told: list[tuple[int, int]] = []
    simulator = Simulator(faults=[Refuse(503)])
    async with serving(simulator) as client:
        file = await client.create_file(
            file=BIG, filename="input.jsonl", purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
            progress=lambda sent, total: told.append((sent, total)),
        )  # fmt: skip
        known = await client.retrieve_file(file_id=file.id)
    request = simulator.requests[1]
    form = ReceivedForm(request.headers["content-type"], request.body)
    assert [(part.name, part.filename, part.media_type) for part in form.parts] == [
        ("file", "input.jsonl", "application/jsonl"),
        ("purpose", None, "text/plain"),
        ("expires_after[anchor]", None, "text/plain"),
        ("expires_after[seconds]", None, "text/plain"),
    ]
    assert (file.bytes, file.filename, file.purpose) == (len(BIG), "input.jsonl", "batch")
    assert file == known
    assert told[-1][0] == told[-1][1] > len(BIG)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
async def test_the_simulator_keeps_what_it_took_and_nothing_else(provider: str) -> None:
    """No file whose upload was refused, by a fault, a proxy or a limit; and a new one does not take another's id."""
    simulator = Simulator(faults=[Refuse(503), HtmlPage()], limit=RequestLimit(4))
    keys = dict.fromkeys(("anthropic", "gemini"), "sk-any")
    async with serving(simulator, api_keys=keys, middleware=[]) as client:

        async def add() -> FileObject:
            return await client.create_file(file=(f"{provider}.txt", b"text"), purpose="user_data", provider=provider)

        for _ in range(2):
            with pytest.raises(LlmError):
                await add()
        first, second = await add(), await add()
        with pytest.raises(RateLimitedError):
            await add()
        await anyio.sleep(60)
        assert {file.id async for file in client.list_files(provider=provider)} == {first.id, second.id}
        await client.delete_file(file_id=first.id, provider=provider)
        third = await add()
        assert {file.id async for file in client.list_files(provider=provider)} == {second.id, third.id}


async def test_a_list_is_its_first_page_when_awaited_and_all_items_when_iterated() -> None:
    """Pages are fetched as items are asked for."""
    simulator = Simulator()
    async with serving(simulator) as client:
        made = [await client.create_file(file=f"{number}".encode(), filename=f"{number}.txt") for number in range(7)]
        pages = client.list_files(limit=3, order="asc")
        assert isinstance(pages, Pages)
        before = len(simulator.requests)
        first = await pages
        assert len(simulator.requests) == before + 1
        assert isinstance(first, FilesPage)
        assert [file.id for file in first.data] == [file.id for file in made[:3]]
        assert first.has_more
        every = [file async for file in client.list_files(limit=3, order="asc")]
        assert [len(page.data) async for page in client.list_files(limit=3).pages()] == [3, 3, 1]
        assert [file async for file in client.list_files(purpose="batch")] == []
    assert every == made
    assert all(isinstance(file, FileObject) for file in every)
    assert "limit=3&order=asc&after=" in simulator.requests[before + 2].path


async def test_leaving_a_list_fetches_no_more_pages() -> None:
    """The walk is as lazy as its reader."""
    simulator = Simulator()
    async with serving(simulator) as client:
        for number in range(4):
            await client.create_file(file=b"x", filename=f"{number}.txt")
        before = len(simulator.requests)
        async for _ in client.list_files(limit=2):
            break
        assert len(simulator.requests) == before + 1


async def test_content_comes_whole_and_in_pieces() -> None:
    """From any byte on."""
    simulator = Simulator()
    async with serving(simulator) as client:
        file = await client.create_file(file=BIG, filename="big.bin")
        assert await client.file_content(file_id=file.id) == BIG
        stream = await client.file_content_stream(file_id=file.id, start=100)
        assert b"".join([piece async for piece in stream]) == BIG[100:]
        assert simulator.requests[-1].headers["range"] == "bytes=100-"
        assert (await client.delete_file(file_id=file.id)).deleted
        with pytest.raises(NotFoundError):
            await client.file_content(file_id=file.id)


async def test_content_is_asked_for_as_the_caller_says() -> None:
    """A type that the caller accepts takes the place of any, and of nothing else."""
    simulator = Simulator()
    async with serving(simulator) as client:
        file = await client.create_file(file=BIG, filename="big.bin")
        await client.file_content(file_id=file.id, extra_headers={"accept": "application/pdf"})
        plain, own = simulator.requests[0].headers, simulator.requests[-1].headers
        assert own["accept"] == "application/pdf"
        assert own["authorization"] == plain["authorization"]


@pytest.mark.realtime
async def test_a_download_that_breaks_off_goes_on_from_there(tmp_path: Path) -> None:
    """In one call, and after a call that failed; what is there already is not fetched again."""
    told: list[int] = []
    simulator = Simulator(faults=[None, CloseAfterEvents(2), CloseAfterEvents(3)])
    async with serving(simulator, middleware=[]) as client:
        file = await client.create_file(file=BIG, filename="big.bin")
        path = await client.download_file(file.id, tmp_path / "out.bin", progress=told.append)
        assert path.read_bytes() == BIG
        assert told == sorted(set(told))
        assert [request.headers.get("range") for request in simulator.requests[1:]] == [
            None, f"bytes={2 * 65536}-", f"bytes={5 * 65536}-",
        ]  # fmt: skip
        assert os.listdir(tmp_path) == ["out.bin"]  # noqa: PTH208 # names are enough

        part = part_of(tmp_path / "again.bin", file.id, "openai")
        assert part.name.startswith("again.bin.")
        assert part.suffix == ".part"
        part.write_bytes(BIG[:1000])
        await client.download_file(file.id, tmp_path / "again.bin")
        assert simulator.requests[-1].headers["range"] == "bytes=1000-"
        assert (tmp_path / "again.bin").read_bytes() == BIG

        part.write_bytes(BIG)
        await client.download_file(file.id, tmp_path / "again.bin")
        assert (tmp_path / "again.bin").read_bytes() == BIG


@pytest.mark.realtime
async def test_a_download_that_brings_nothing_more_fails(tmp_path: Path) -> None:
    """It is not tried for ever, and what came stays for another time."""
    simulator = Simulator(faults=[None, CloseAfterEvents(2), CloseAfterEvents(0), CloseAfterEvents(0)])
    async with serving(simulator, middleware=[]) as client:
        file = await client.create_file(file=BIG, filename="big.bin")
        with pytest.raises(NetworkError):
            await client.download_file(file.id, tmp_path / "out.bin")
    assert part_of(tmp_path / "out.bin", file.id, "openai").read_bytes() == BIG[: 2 * 65536]


@pytest.mark.realtime
async def test_a_download_does_not_go_on_with_another_file(tmp_path: Path) -> None:
    """What is left of one is not the beginning of another that is fetched to the same place."""
    simulator = Simulator(faults=[None, None, CloseAfterEvents(2), CloseAfterEvents(0)])
    async with serving(simulator, middleware=[]) as client:
        first = await client.create_file(file=BIG, filename="first.bin")
        second = await client.create_file(file=BIG[::-1], filename="second.bin")
        with pytest.raises(NetworkError):
            await client.download_file(first.id, tmp_path / "out.bin")
        await client.download_file(second.id, tmp_path / "out.bin")
        assert (tmp_path / "out.bin").read_bytes() == BIG[::-1]
        await client.download_file(first.id, tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == BIG
    assert os.listdir(tmp_path) == ["out.bin"]  # noqa: PTH208 # names are enough
