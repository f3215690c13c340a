"""Messages of a conversation, one struct for each role."""

import msgspec

from ._content import AssistantPart, CacheControl, TextPart, ToolPart, UserPart
from ._tool import FunctionCall, ToolCall


class _Message(
    msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True, tag_field="role"
):
    pass


class NativeContent(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A message's content in the provider's own form, all of it and in order.

    A reply has it where OpenAI's form cannot say all (tools that the provider runs, citations of documents). It goes
    to that provider as it is, and to no other, while it says the same text as the message's ``content``.
    """

    provider: str
    blocks: list[dict[str, object]]


class SystemMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="system"):
    """Instructions that rank above the user's."""

    content: str | list[TextPart]
    name: str | None = None
    native_content: NativeContent | None = None
    cache_control: CacheControl | None = None


class DeveloperMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="developer"):
    """What newer OpenAI models call a system message."""

    content: str | list[TextPart]
    name: str | None = None
    native_content: NativeContent | None = None
    cache_control: CacheControl | None = None


class UserMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="user"):
    """What the user says and shows.

    :param native_content: the content in one provider's form, where OpenAI's cannot say it; others get ``content``
    """

    content: str | list[UserPart]
    name: str | None = None
    native_content: NativeContent | None = None
    cache_control: CacheControl | None = None


class UrlCitation(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True):
    """A web page that the text from ``start_index`` to ``end_index`` (characters) leans on."""

    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class DocumentCitation(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """A document of the request, or a tool's result, that the text from ``start_index`` to ``end_index`` leans on.

    :param id: as the request named it, or the provider
    :param source: ``"document"`` or ``"tool"``
    :param content: what it says, as far as the provider repeats it
    """

    id: str = ""
    source: str = "document"
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    content: dict[str, object] | None = None


class Annotation(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """A note on the text: ``url_citation`` for web pages, ``document_citation`` for what came with the request.

    :param url: as some providers have it, beside ``url_citation`` or in its place; so are ``title`` and ``file``
    """

    type: str = msgspec.field(default_factory=lambda: "url_citation")
    url_citation: UrlCitation | None = None
    document_citation: DocumentCitation | None = None
    url: str | None = None
    title: str | None = None
    file: dict[str, object] | None = None


class Audio(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Speech of the model. Sent back, ``id`` alone refers to it.

    :param data: the sound in base64
    :param expires_at: Unix time, in seconds, until which ``id`` can be referred to
    """

    id: str = ""
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class AssistantMessage(_Message, frozen=True, kw_only=True, tag="assistant"):
    """What the model said: in a reply, and put back into ``messages`` as it is.

    :param content: text; ``None`` beside tool calls. A reply never has parts here
    :param refusal: the model's own words on why it declines
    :param tool_calls: tools it calls, in order
    :param function_call: a call in the form before tools
    :param audio: its speech
    :param annotations: notes on the text, such as the pages it cites; not sent
    :param images: pictures it made, as image parts (OpenRouter)
    :param reasoning_content: what it thought, as far as the provider shows it
    :param reasoning: how some providers name that; a reply of liter has it in ``reasoning_content``
    :param reasoning_details: the same in OpenRouter's form, sent back unchanged
    :param thinking_blocks: the same in Anthropic's form (signed), sent back unchanged
    :param tool_plan: what it means to do with the tools it calls (Cohere)
    :param native_content: all of it in the provider's form, where OpenAI's cannot say it
    :param prefix: the model goes on from this text (Mistral, DeepSeek)
    """

    content: str | list[AssistantPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    audio: Audio | None = None
    annotations: list[Annotation] | None = None
    images: list[dict[str, object]] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, object]] | None = None
    thinking_blocks: list[dict[str, object]] | None = None
    tool_plan: str | None = None
    native_content: NativeContent | None = None
    prefix: bool | None = None
    cache_control: CacheControl | None = None

    @property
    def text(self) -> str:
        """The text of ``content``, whatever its form; empty when there is none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or () if isinstance(part, TextPart))


class ToolMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="tool"):
    """What a tool answered.

    :param tool_call_id: ``id`` of the call that it answers
    :param is_error: whether the tool failed, for providers that tell the model so (Anthropic); elsewhere the
        content alone is sent, so it should say so itself
    :param native_content: the content in one provider's form, where OpenAI's cannot say it
    """

    tool_call_id: str
    content: str | list[ToolPart]
    name: str | None = None
    is_error: bool | None = None
    native_content: NativeContent | None = None
    cache_control: CacheControl | None = None


class FunctionMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="function"):
    """What a function answered, in the form before tools."""

    name: str
    content: str | None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage
