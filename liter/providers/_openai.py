"""OpenAI's wire, and that of the many who imitate it: each is an instance with its own base URL and habits."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, cast

import msgspec
from msgspec import structs
from msgspec.structs import replace

from .._contract import Call
from .._errors import BadRequestError
from .._http import Headers, HttpRequest
from ..types import (
    AssistantMessage,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ContentPart,
    DeveloperMessage,
    DocumentPart,
    FileData,
    FilePart,
    FunctionMessage,
    Message,
    ModelsListResponse,
    StreamOptions,
    SystemMessage,
    TextPart,
    ToolMessage,
    format_of_type,
)
from ._batch import BatchForm
from ._entry import Entry
from ._headers import GET
from ._image_forms import FORMS as IMAGE_FORMS
from ._inline import remote_urls
from ._openai_batches import BATCHES
from ._openai_batches import FORM as BATCH_FORM
from ._openai_count import COUNT
from ._openai_files import FILES
from ._openai_operations import OPERATIONS, post
from ._openai_reply import read_models, read_reply
from ._openai_responses import RESPONSES
from ._openai_stream import ChatStreamDecoder
from ._parameters import Mapped, Renamed, Rule, Sent, Unsupported, refuse, supported
from ._rerank_forms import FORMS as RERANK_FORMS
from ._wire import OperationWire, WireProvider, fields_of
from ._xai_batches import BATCHES as XAI_BATCHES
from ._xai_batches import FORM as XAI_BATCH_FORM

_ENCODER = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(dict[str, object])


_WITH_USAGE = StreamOptions(include_usage=True)


class OpenAI(WireProvider, frozen=True, kw_only=True):
    """A provider that speaks OpenAI's API.

    :param renames: parameters that it takes under another name: ``{"seed": "random_seed"}``
    :param unsupported: parameters that it does not take
    :param stream_options: whether it understands ``stream_options``; if so, liter asks for usage on streams
    :param base64_embeddings: whether it sends vectors as base64, which is smaller and faster than numbers
    :param embedding_renames: parameters of embeddings that it takes under another name; ``input_type`` goes to those
        who have it here
    :param rerank_renames: the same for reranking: ``{"top_n": "top_k"}``
    :param rerank_form: whose form bodies of a reranking have; empty: Jina's and Cohere's, as nearly everywhere
    :param image_form: whose form requests for images have; empty: OpenAI's
    :param reasoning_field: the field in which it wants a reply's reasoning back, ``None`` where it wants none
    :param reasoning_effort: the fields that say each effort, where that is not the parameter of this name; ``"*"`` is
        any other effort
    :param developer_role: whether it knows messages of this role; as ``system`` they are sent to those that do not
    :param inline_images: it takes images as data only
    :param content_as_text: it takes no lists of parts, so texts are joined
    :param body: fields that it gets unless they are given
    :param counts_tokens: whether it counts the tokens of a prompt, as OpenAI's Responses API does
    :param batches: the form of its batches; ``None``: one that liter does not speak
    """

    name: str = "openai"
    base_url: str = "https://api.openai.com/v1"
    key_variables: tuple[str, ...] = ("OPENAI_API_KEY",)
    renames: Mapping[str, str] = {}
    unsupported: tuple[str, ...] = ()
    stream_options: bool = True
    reasoning_field: str | None = None
    base64_embeddings: bool = True
    embedding_renames: Mapping[str, str] = {}
    rerank_renames: Mapping[str, str] = {}
    rerank_form: Literal["", "deepinfra", "nvidia", "tei"] = ""
    image_form: Literal["", "hyperbolic", "together"] = ""
    reasoning_effort: Mapping[str, Mapping[str, object]] = {}
    developer_role: bool = True
    content_as_text: bool = False
    inline_images: bool = False
    body: Mapping[str, object] = {}
    counts_tokens: bool = True
    batches: Literal["openai", "xai"] | None = "openai"

    request_ids: ClassVar[tuple[str, ...]] = (
        "x-request-id",
        "apim-request-id",
        "mistral-correlation-id",
        "request-id",
        "x-generation-id",
        "cf-ray",
    )

    @property
    def wires(self) -> Mapping[str, OperationWire[Any, Any]]:
        """The operations of the protocol, by name."""
        return _WIRES_WITH[self.counts_tokens, self.batches]

    @property
    def batch_form(self) -> BatchForm | None:
        """Files of lines."""
        return _BATCH_FORMS[self.batches]

    @classmethod
    def of(cls, record: Entry) -> Self:
        """Make one of its record in the registry."""
        return cls(**fields_of(record), **structs.asdict(record.quirks))  # type: ignore[arg-type] # as the record says

    def parameters(self, operation: str) -> Mapping[str, Rule]:
        """What becomes of each parameter: the protocol's own table, and this provider's differences."""
        rules = super().parameters(operation)
        if operation == "rerank" and self.rerank_form:
            return RERANK_FORMS[self.rerank_form].parameters
        if operation == "image_generate" and self.image_form:
            return IMAGE_FORMS[self.image_form].parameters
        if operation != "chat":
            return rules
        return {
            **rules,
            **({} if self.stream_options else {"stream_options": Unsupported("usage comes without asking")}),
            **({"reasoning_effort": Mapped(_told(self.reasoning_effort))} if self.reasoning_effort else {}),
            **{name: Renamed(to) for name, to in self.renames.items()},
            **{name: Unsupported(neutral=_NEUTRAL.get(name, ())) for name in self.unsupported},
        }

    def streams(self, operation: str) -> bool:
        """Whether an operation can be streamed."""
        if operation == "image_generate" and self.image_form:
            return False
        return super().streams(operation)

    def needs_inline(self, call: Call[Any]) -> tuple[str, ...]:
        """Documents; and images where it takes them as data only."""
        return remote_urls(call.request, images=self.inline_images)

    def chat_body(self, request: ChatCompletionRequest, call: Call[object]) -> bytes:
        """Make the body of a chat completion's request."""
        stream, extra = call.stream, request.extra_body
        refused = self.unsupported if self.stream_options else (*self.unsupported, "stream_options")
        if any(getattr(request, name) is not None for name in refused):
            request = supported(self.parameters("chat"), request, call)
        options = request.stream_options
        if stream and options is None and self.stream_options:
            options = _WITH_USAGE
        response_format = request.response_format
        effort = request.reasoning_effort
        thinking = None
        if effort is not None and self.reasoning_effort:
            thinking = self.reasoning_effort.get(effort, self.reasoning_effort.get("*"))
        sent = replace(
            request,
            model=call.route.model,
            messages=[self._sent(message, call) for message in request.conversation],
            response_format=format_of_type(response_format) if isinstance(response_format, type) else response_format,
            reasoning_effort=effort if thinking is None else None,
            stream_options=options if stream else None,
            extra_body=None,
        )
        body = _ENCODER.encode(sent)
        if stream:
            # The request has no such field: whether to stream is the call's to say.
            body = b'{"stream":true,' + body[1:]
        renamed = [old for old in self.renames if getattr(request, old) is not None]
        if not renamed and not extra and not thinking and not self.body:
            return body
        fields = _ANY.decode(body)
        for old in renamed:
            fields[self.renames[old]] = fields.pop(old)
        return _ENCODER.encode({**self.body, **fields, **(thinking or {}), **(extra or {})})

    def _sent(self, message: Message, call: Call[object]) -> Message | Mapping[str, object]:
        """The message as this wire takes it: without what only replies have, documents as files."""
        if self.content_as_text and not isinstance(message.content, str | None):
            message = replace(message, content=_joined(message.content, call))
        if isinstance(message, AssistantMessage):
            return self._sent_assistant(message)
        if isinstance(message, ToolMessage) and message.is_error is not None:
            message = replace(message, is_error=None)
        if not isinstance(message, FunctionMessage) and message.native_content is not None:
            message = replace(message, native_content=None)
        if isinstance(message, DeveloperMessage) and not self.developer_role:
            message = SystemMessage(content=message.content, name=message.name, cache_control=message.cache_control)
        content = message.content
        if content is None or isinstance(content, str) or not any(isinstance(part, DocumentPart) for part in content):
            return message
        return replace(message, content=[_file(part) if isinstance(part, DocumentPart) else part for part in content])

    def _sent_assistant(self, message: AssistantMessage) -> AssistantMessage:
        reasoning = message.reasoning_content or message.reasoning
        field = self.reasoning_field
        return replace(
            message,
            audio=None
            if message.audio is None
            else replace(message.audio, data=None, expires_at=None, transcript=None),
            annotations=None,
            images=None,
            reasoning_content=reasoning if field == "reasoning_content" else None,
            reasoning=reasoning if field == "reasoning" else None,
            reasoning_details=message.reasoning_details if field == "reasoning" else None,
            thinking_blocks=None,
            tool_plan=None,
            native_content=None,
        )


def _encode_chat(provider: OpenAI, call: Call[object]) -> HttpRequest:
    body = provider.chat_body(cast("ChatCompletionRequest", call.request), call)
    return post(provider, call, "/chat/completions", body)


def _decode_chat(provider: OpenAI, call: Call[object], body: bytes, headers: Headers) -> ChatCompletionResponse:
    return read_reply(body, provider=provider.name, model=call.route.model)


def _open_chat_stream(provider: OpenAI, call: Call[object]) -> ChatStreamDecoder:
    return ChatStreamDecoder(provider.name, call.route.model)


def _encode_list_models(provider: OpenAI, call: Call[object]) -> HttpRequest:
    return provider.request(call, "GET", *provider.locate(call, "/models"), GET)


def _decode_models(provider: OpenAI, call: Call[object], body: bytes, headers: Headers) -> ModelsListResponse:
    return read_models(body, provider=provider.name)


def _file(part: DocumentPart) -> FilePart:
    """A document as OpenAI's file."""
    if part.url is not None:
        raise BadRequestError("documents by url cannot be sent over OpenAI's chat wire: give data or file_id")
    if part.file_id is not None:
        file = FileData(file_id=part.file_id)
    else:
        kind = part.media_type
        name = part.title or ("document.pdf" if kind == "application/pdf" else "document.txt")
        file = FileData(file_data=f"data:{kind};base64,{part.data}", filename=name)
    return FilePart(file=file, cache_control=part.cache_control)


def _joined(content: Sequence[ContentPart | Mapping[str, object]], call: Call[object]) -> str:
    """The texts of a list of parts; what is no text is refused."""
    texts: list[str] = []
    for part in content:
        if isinstance(part, TextPart):
            texts.append(part.text)
        else:
            refuse(call, "parts that are no text", "give the content as text")
    return "\n".join(texts)


def _told(efforts: Mapping[str, Mapping[str, object]]) -> str:
    """Say in a sentence how efforts are sent."""
    return "; ".join(
        f"{'any other' if effort == '*' else effort} as {_ENCODER.encode(fields).decode()}"
        for effort, fields in efforts.items()
    )


# What asks for nothing that a provider does not do anyway.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "frequency_penalty": (0, 0.0),
    "logit_bias": ({},),
    "logprobs": (False,),
    "n": (1,),
    "presence_penalty": (0, 0.0),
    "tools": ([], ()),
    "top_logprobs": (0,),
}

PARAMETERS: Mapping[str, Rule] = {
    **{field: Sent() for field in ChatCompletionRequest.__struct_fields__},
    "messages": Mapped("documents as files, and without what only replies have"),
    "response_format": Mapped("a type as the JSON schema of it"),
    "stream_options": Mapped("on streams only; usage is asked for unless they say otherwise"),
    "extra_body": Mapped("its fields are merged into the body, last"),
}

_WIRES: Mapping[str, OperationWire[Any, Any]] = {
    "chat": OperationWire(
        encode=_encode_chat, decode=_decode_chat, open_stream=_open_chat_stream, parameters=PARAMETERS
    ),
    "list_models": OperationWire(encode=_encode_list_models, decode=_decode_models),
    **OPERATIONS,
    **RESPONSES,
    **FILES,
}
_BATCHES: Mapping[str | None, Mapping[str, OperationWire[Any, Any]]] = {
    None: {},
    "openai": BATCHES,
    "xai": XAI_BATCHES,
}
_BATCH_FORMS: Mapping[str | None, BatchForm | None] = {None: None, "openai": BATCH_FORM, "xai": XAI_BATCH_FORM}
_WIRES_WITH: Mapping[tuple[bool, str | None], Mapping[str, OperationWire[Any, Any]]] = {
    (counting, form): {**_WIRES, **(COUNT if counting else {}), **batches}
    for counting in (False, True)
    for form, batches in _BATCHES.items()
}
