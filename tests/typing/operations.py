"""Every operation as users type it: checked by mypy and pyright, never run.

An error that is ignored is wanted: it tells users of a mistake. Both say so should it ever be gone.
"""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import liter
from liter import LlmClient, MapResult
from liter.types import (
    ApiResponse,
    BinaryContent,
    ChatCompletionRequest,
    ChatCompletionResponse,
    CompletionResponse,
    CreateFileRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    FileDeleted,
    FileObject,
    FilesPage,
    ImageEvent,
    ImagesResponse,
    InputItemList,
    Model,
    ModelsListResponse,
    ModerationResponse,
    OcrResponse,
    RerankResponse,
    ResponseDeleted,
    ResponseEvent,
    ResponseObject,
    SearchResponse,
    TokenCount,
    TranscriptionEvent,
    TranscriptionResponse,
    Vector,
)


async def texts(client: LlmClient) -> None:
    response = await client.embed(model="e", input=["a", "b"], dimensions=8, timeout=3, tags={"tenant": "a"})
    assert_type(response, EmbeddingResponse)
    assert_type(response.data[0].embedding, Vector)
    assert_type(response.data[0].embedding[0], float)
    assert_type(response.array(), NDArray[np.float32])
    assert_type(response["data"], object)
    await client.embed(EmbeddingRequest(model="e", input=[1, 2, 3]), base_url="http://localhost/v1")
    assert_type(await client.rerank(model="r", query="q", documents=["a", "b"], top_n=1), RerankResponse)
    assert_type(await client.moderate(input=["a"]), ModerationResponse)
    assert_type(await client.completions(model="c", prompt="a"), CompletionResponse)
    stream = await client.completions_stream(model="c", prompt="a")
    async with stream:
        async for piece in stream:
            assert_type(piece, CompletionResponse)
    assert_type(await client.search(model="brave/web-search", query="q", max_results=3), SearchResponse)
    document = {"type": "document_url", "document_url": "https://example.org/a.pdf"}
    assert_type(await client.ocr(model="mistral/mistral-ocr-latest", document=document), OcrResponse)
    counted = await client.count_tokens(model="m", text="a")
    assert_type(counted, TokenCount)
    assert_type(counted.input_tokens, int)


async def media(client: LlmClient, sound: bytes) -> None:
    assert_type(await client.image_generate(prompt="a", model="i", n=2), ImagesResponse)
    assert_type(await client.image_edit(image=Path("a.png"), prompt="b"), ImagesResponse)
    assert_type(await client.image_variation(image=("a.png", b"")), ImagesResponse)
    async with await client.image_stream(prompt="a", partial_images=1) as images:
        async for image in images:
            assert_type(image, ImageEvent)
    async with await client.image_edit_stream(image=b"", prompt="b") as images:
        assert_type([image async for image in images], list[ImageEvent])
    spoken = await client.speech(model="s", input="a", voice="alloy")
    assert_type(spoken, BinaryContent)
    assert_type(bytes(spoken), bytes)
    async with await client.speech_stream(model="s", input="a", voice="alloy") as pieces:
        assert_type(b"".join([piece async for piece in pieces]), bytes)
    heard = await client.transcribe(model="t", file=sound, language="de")
    assert_type(heard, TranscriptionResponse)
    assert_type(heard.text, str)
    async with await client.transcribe_stream(model="t", file="a.wav") as events:
        async for event in events:
            assert_type(event, TranscriptionEvent)
    assert_type(await client.translate(model="t", file=open("a.wav", "rb")), TranscriptionResponse)  # noqa: ASYNC230, PTH123, SIM115 # never run


async def files(client: LlmClient) -> None:
    def told(sent: int, total: int) -> None: ...

    file = await client.create_file(file="a.jsonl", purpose="batch", progress=told, provider="azure")
    assert_type(file, FileObject)
    await client.create_file(CreateFileRequest(file=b""), timeout=600)
    assert_type(await client.retrieve_file(file_id=file.id), FileObject)
    assert_type(await client.delete_file(file_id=file.id), FileDeleted)
    assert_type(await client.file_content(file_id=file.id), BinaryContent)
    async with await client.file_content_stream(file_id=file.id, start=10) as pieces:
        async for piece in pieces:
            assert_type(piece, bytes)
    assert_type(await client.download_file(file.id, "a.jsonl", progress=print), Path)


async def lists(client: LlmClient) -> None:
    assert_type(await client.list_files(limit=3, order="asc"), FilesPage)
    assert_type([file async for file in client.list_files()], list[FileObject])
    async for page in client.list_files(purpose="batch").pages():
        assert_type(page, FilesPage)
    assert_type(await client.list_models(), ModelsListResponse)
    assert_type([model async for model in client.list_models(provider="anthropic")], list[Model])
    assert_type(await client.list_input_items(response_id="r"), InputItemList)
    assert_type([item async for item in client.list_input_items(response_id="r")], list[dict[str, object]])


async def responses(client: LlmClient) -> None:
    response = await client.create_response(model="m", input="a", reasoning={"effort": "low"}, background=True)
    assert_type(response, ResponseObject)
    assert_type(response.output_text, str)
    async with await client.response_stream(model="m", input=[{"role": "user", "content": "a"}]) as events:
        async for event in events:
            assert_type(event, ResponseEvent)
            assert_type(event.type, str)
    assert_type(await client.retrieve_response(response_id=response.id), ResponseObject)
    async with await client.retrieve_response_stream(response_id=response.id, starting_after=3) as events:
        assert_type([event async for event in events], list[ResponseEvent])
    assert_type(await client.cancel_response(response_id=response.id), ResponseObject)
    assert_type(await client.delete_response(response_id=response.id), ResponseDeleted)


async def many(client: LlmClient, requests: Iterable[dict[str, object]]) -> None:
    mapped = client.map(requests, concurrency=3, on_error="return", checkpoint=Path("a.jsonl"), timeout=60)
    async with mapped as results:
        async for result in results:
            assert_type(result, MapResult[ApiResponse])
            assert_type(result.value, ApiResponse)
            assert_type(result.error, Exception | None)
            assert_type(result.custom_id, str | None)
            if isinstance(result.response, ChatCompletionResponse):
                assert_type(result.response.text, str)
    assert_type(mapped.stats.done, int)
    assert_type(mapped.stats.cost, liter.Cost | None)
    client.map(endless(), ordered=True, progress=False)
    client.map([], on_error="ignore")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    answer = await client.race(["a", "b"], messages=[{"role": "user", "content": "a"}])
    assert_type(answer, ChatCompletionResponse)


async def endless() -> AsyncIterator[ChatCompletionRequest]:
    while True:
        yield ChatCompletionRequest(model="m", messages=[])


async def made_otherwise() -> None:
    async with LlmClient.from_config("liter.toml", timeout=3) as client:
        assert_type(client, LlmClient)
        assert_type(client.home, str)
        assert_type(client.prices, liter.PriceBook)
        assert_type(client.explain(), str)
        assert_type(client.capabilities("m").takes("temperature"), bool)
        assert_type(client.providers["openai"].name, str)
        await client.aclose()
    assert_type(liter.create_client("sk", timeout_secs=3), LlmClient)
    assert_type(liter.create_client_from_json("{}"), LlmClient)


async def misuse(client: LlmClient) -> None:
    await client.embed(model="e")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    await client.create_file(file=b"", purposes="batch")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    client.list_files(limit="3")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
    await client.speech(model="s", input="a", voice="v", speed="fast")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
