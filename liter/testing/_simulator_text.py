"""Text made up from a seed, and a rule to count tokens.

A token is a run of characters that are not blank, with the blanks before it. A prompt costs the tokens of its texts,
4 more for each message, 100 for each part that is no text, and the tokens of its tools' JSON.
"""

import random
import re
from collections.abc import Iterable, Sequence

import msgspec

_TOKEN = re.compile(r"\s*\S+(?:\s+\Z)?|\s+")

# Some with more than one byte a character, a character that JSON need not escape but that ends a line in Python
# (U+2028), and one outside the basic plane: what decoders get wrong.
_TEXT = (
    "the a river model quiet answer carries green mountain seven letters under water before morning light and "
    "small engines count paper boats while old clocks forget their names café naïve Zürich 日本 слово 🙂 line\u2028end"
)
WORDS = tuple(_TEXT.split(" "))

MESSAGE_TOKENS = 4
PART_TOKENS = 100


def tokenize(text: str) -> list[str]:
    """Take a text apart into tokens. Joined, they are the text again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """Count the tokens of a text."""
    return len(tokenize(text))


def prompt_tokens(contents: Iterable[object], tools: Sequence[object] = ()) -> int:
    """Count the tokens of a prompt.

    :param contents: each message's content, as a string or a list of parts
    """
    total = sum(count_tokens(msgspec.json.encode(tool).decode()) for tool in tools)
    for content in contents:
        total += MESSAGE_TOKENS
        for part in parts_of(content):
            total += PART_TOKENS if part is None else count_tokens(part)
    return total


def parts_of(content: object) -> list[str | None]:
    """Return the texts in a message's content, and ``None`` for each part that is no text."""
    if isinstance(content, str):
        return [content]
    parts: list[str | None] = []
    for part in msgspec.convert(content or [], list[dict[str, object]]):
        text = part.get("text")
        parts.append(text if isinstance(text, str) else None)
    return parts


def text_of(content: object) -> str:
    """Return the text in a message's content."""
    return "".join(part for part in parts_of(content) if part is not None)


def sentences(rng: random.Random, count: int) -> str:
    """Make up sentences."""
    made: list[str] = []
    for _ in range(count):
        words = rng.choices(WORDS, k=rng.randint(4, 9))
        made.append(" ".join([words[0].capitalize(), *words[1:]]) + ".")
    return " ".join(made)
