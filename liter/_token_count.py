"""Tokens counted on this machine, for providers that do not count: by a tokenizer, or by length."""

import msgspec

from .types import CountTokensRequest, TokenCount

# What a chat puts around each message, and before the reply: OpenAI's own figures for its tokenizers.
_PER_MESSAGE = 3
_PER_REPLY = 3

# English prose has some four characters to a token; in other scripts, one character is a token or more.
_CHARACTERS = 4
_BYTES_OF_OTHERS = 2


def count_here(request: CountTokensRequest) -> TokenCount:
    """Count without the provider, and say how."""
    texts = _texts(request)
    model = request.model.rpartition("/")[2]
    around = 0 if request.messages is None else _PER_MESSAGE * len(request.messages) + _PER_REPLY
    if request.tokenizer is not None:
        counted = sum(map(request.tokenizer, texts))
        return TokenCount(input_tokens=counted + around, source="tokenizer", model=model)
    return TokenCount(input_tokens=sum(map(estimate, texts)) + around, source="estimate", model=model)


def estimate(text: str) -> int:
    """About how many tokens a text has: a quarter of its ASCII characters, half the bytes of all others.

    Off by up to two times for code, and for scripts that the tokenizer does not know well.
    """
    size = len(text.encode("utf-8", "replace"))
    plain = sum(character.isascii() for character in text) if size != len(text) else size
    return -(-plain // _CHARACTERS) + -(-(size - plain) // _BYTES_OF_OTHERS)


def _texts(request: CountTokensRequest) -> list[str]:
    if request.text is not None:
        return [request.text]
    # Roles, names and calls are tokens too.
    messages = [msgspec.json.encode(message).decode() for message in request.conversation]
    contents = [
        message.content if isinstance(message.content, str) else text
        for message, text in zip(request.conversation, messages, strict=True)
    ]
    tools = [msgspec.json.encode(tool).decode() for tool in request.tools or ()]
    return [*contents, *tools]
