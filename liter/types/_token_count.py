"""How many tokens a prompt has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

import msgspec
from msgspec.structs import force_setattr

from ._check import typed_messages, typed_tools
from ._checks import check_model
from ._message import Message
from ._response import ApiResponse
from ._tool import Tool


class CountTokensRequest(msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, omit_defaults=True):
    """Asks how many tokens a prompt has: ``messages`` as of a chat, or a ``text``.

    :param model: ``"provider/model"``, or a name that the client routes
    :param tools: as of a chat; their definitions count too
    :param tokenizer: counts a text's tokens where the provider does not count, such as
        ``lambda text: len(tiktoken.get_encoding("o200k_base").encode(text))``; without it, there is an estimate
    :raises ValueError: neither messages nor a text is given, or both
    """

    model: str
    messages: Sequence[Message | Mapping[str, object]] | None = None
    text: str | None = None
    tools: Sequence[Tool | Mapping[str, object]] | None = None
    tokenizer: Callable[[str], int] | None = None
    extra_body: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        check_model(self.model, "anthropic/claude-sonnet-4-5")
        if (self.messages is None) is (self.text is None):
            raise ValueError("give messages, or a text, and not both")
        if self.messages is not None:
            force_setattr(self, "messages", typed_messages(self.messages))
        if self.tools is not None:
            force_setattr(self, "tools", typed_tools(self.tools))

    @property
    def conversation(self) -> Sequence[Message]:
        """``messages`` as structs; a ``text`` as one message of the user."""
        if self.messages is None:
            return typed_messages([{"role": "user", "content": self.text}])
        return cast("Sequence[Message]", self.messages)


class TokenCount(ApiResponse, repr_omit_defaults=True, frozen=True, kw_only=True):
    """The number of tokens of a prompt.

    :param source: who says so: ``"provider"``, a ``"tokenizer"`` on this machine, or an ``"estimate"`` by length
    """

    input_tokens: int = 0
    source: Literal["provider", "tokenizer", "estimate"] = "provider"
    model: str = ""
