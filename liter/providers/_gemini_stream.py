"""Replies of Gemini's as OpenAI's chunks: each event of a stream is a reply that holds what is new.

A stream has no terminal event: content, counts and signatures may follow the finish reason, so that all of what is
known only at the end (the reason itself, sources, the native form, usage) is told when the body has ended.
"""

from collections.abc import Iterable, Sequence

from .._errors import LlmError
from .._http import ServerSentEvent
from ..types import ChatCompletionChunk, ChatCompletionResponse, ChunkChoice, Delta, accumulate
from ._bookkeeping import says_nothing
from ._gemini_candidate import Candidate
from ._gemini_json import (
    JsonObject,
    count_of,
    decode_json,
    documents_of,
    fields_of,
    objects_of,
    text_of,
    unix_time_of,
    word_of,
)
from ._gemini_models import facts_of
from ._gemini_usage import searches_of, tier_of, usage_of
from ._google_error import classify_google
from ._read import unreadable
from ._wire_decoder import WireDecoder

# What is told elsewhere.
_TOLD = frozenset({"candidates", "modelVersion", "responseId", "usageMetadata"})


class GenerateContentDecoder(WireDecoder):
    """Decodes the events of one streamed reply."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(provider, model)
        self._id = ""
        self._version = ""
        self._created = 0
        self._candidates: dict[int, Candidate] = {}
        self._counted: JsonObject = {}
        self._native: JsonObject = {}

    def feed(self, event: ServerSentEvent) -> Sequence[ChatCompletionChunk]:
        """Decode one event: none, one or several of ours."""
        if event.data.strip() in (b"[DONE]", b""):
            # Gemini has no such marker; gateways before it add one.
            return ()
        try:
            return [chunk for document in _documents(event.data) for chunk in self._take(document, event.data)]
        except (ValueError, RecursionError) as error:
            raise self._unreadable(error, event.data) from error

    def _take(self, told: JsonObject, data: bytes) -> list[ChatCompletionChunk]:
        if "error" in told and "candidates" not in told:
            raise self._reported(data)
        self._id = self._id or text_of(told.get("responseId")) or ""
        self._version = text_of(told.get("modelVersion")) or self._version
        self._created = self._created or unix_time_of(told.get("createTime")) or 0
        for name, value in told.items():
            if name not in _TOLD and value is not None:
                known, new = fields_of(self._native.get(name)), fields_of(value)
                self._native[name] = {**known, **new} if known and new else value
        choices = [
            choice
            for place, candidate in enumerate(objects_of(told.get("candidates")))
            for choice in self._candidate(candidate, place).take(candidate, self._id)
        ]
        choices += self._refused(fields_of(told.get("promptFeedback")))
        if "usageMetadata" in told:
            self._counted.update(fields_of(told["usageMetadata"]))
            self.usage = usage_of(self._counted, searches=self._searches())
        return [self._chunk(choice).attach(raw=data) for choice in choices]

    def _candidate(self, told: JsonObject, place: int) -> Candidate:
        index = count_of(told.get("index"))
        index = place if index is None else index
        found = self._candidates.get(index)
        if found is None:
            found = self._candidates[index] = Candidate(index, self._provider)
        return found

    def _refused(self, feedback: JsonObject) -> list[ChunkChoice]:
        """A prompt that was blocked has no candidate: the reply is a refusal."""
        reason = word_of(feedback.get("blockReason"))
        if reason is None or self._candidates:
            return []
        candidate = self._candidates[0] = Candidate(0, self._provider)
        message = text_of(feedback.get("blockReasonMessage")) or f"the prompt was blocked: {reason}"
        candidate.block(reason)
        return [ChunkChoice(delta=Delta(role="assistant", refusal=message))]

    def _searches(self) -> int:
        """How many searches of the web are billed."""
        searches = sum(searches_of(candidate.facts) for candidate in self._candidates.values())
        if searches > 1 and not facts_of(self._version or self._model).signs_calls:
            # Up to Gemini 2.5 it is the grounded reply that is billed, and not each search.
            return 1
        return searches

    def whole(self, body: bytes) -> Sequence[ChatCompletionChunk]:
        """Decode a plain JSON body that came in place of a stream: one reply, or the list of a stream's events."""
        return self.read(body)

    def read(self, body: bytes) -> Sequence[ChatCompletionChunk]:
        """Decode a whole body, and be done.

        :raises SerializationError: it cannot be read
        :raises LlmError: it is an error under a status of success
        """
        try:
            documents = documents_of(decode_json(body))
            if not any(document.keys() & {"candidates", "promptFeedback", "usageMetadata"} for document in documents):
                if any("error" in document for document in documents):
                    raise self._reported(body)
                raise ValueError("it has no candidates")
            chunks = [chunk for document in documents for chunk in self._take(document, body)]
            return [*chunks, *self._close()]
        except (ValueError, RecursionError) as error:
            raise unreadable(
                body, "one of generateContent", error, provider=self._provider, model=self._model
            ) from error

    def opening(self, event: object) -> bool:
        """Whether a chunk says nothing yet."""
        return says_nothing(event)

    def end(self) -> Sequence[ChatCompletionChunk]:
        """The body has ended: tell what is known only now."""
        if self.done:
            return ()
        if not self._candidates or any(candidate.finish is None for candidate in self._candidates.values()):
            raise self._cut_off("no finish reason came")
        return self._close()

    def _close(self) -> Sequence[ChatCompletionChunk]:
        self.done = True
        self.usage = usage_of(self._counted, searches=self._searches())
        candidates = [candidate for _, candidate in sorted(self._candidates.items())]
        chunks = [self._chunk(choice) for candidate in candidates for choice in candidate.close()]
        rest = [facts for candidate in candidates if (facts := candidate.rest) is not None]
        native = {**self._native, "candidates": rest} if rest else dict(self._native)
        if self._counted:
            native["usageMetadata"] = self._counted
        last = ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._version,
            usage=self.usage,
            service_tier=tier_of(self._counted),
            native=native or None,
        )
        return [*chunks, last]

    def _chunk(self, choice: ChunkChoice) -> ChatCompletionChunk:
        return ChatCompletionChunk(id=self._id, created=self._created, model=self._version, choices=[choice])

    def _reported(self, body: bytes) -> LlmError:
        return classify_google(body, status=None, provider=self._provider, model=self._model)


def read_reply(body: bytes, *, provider: str, model: str) -> ChatCompletionResponse:
    """Decode a whole reply.

    :raises SerializationError: it cannot be read
    :raises LlmError: it is an error under a status of success
    """
    return accumulate(GenerateContentDecoder(provider, model).read(body))


def _documents(data: bytes) -> Iterable[JsonObject]:
    try:
        return documents_of(decode_json(data))
    except ValueError:
        # Some proxies leave out the empty lines, so that several events come as one.
        lines = [line for line in data.split(b"\n") if line]
        if len(lines) < 2:
            raise
        return [document for line in lines for document in documents_of(decode_json(line))]
