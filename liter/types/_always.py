"""Fields that are encoded whatever their value, in structs that else leave out what has its default."""

from itertools import repeat
from typing import TypeVar

import msgspec

T = TypeVar("T")


def always(default: T) -> T:
    """Make a field that is encoded although it has its default: OpenAI's own clients ask for it.

    msgspec leaves out what equals a plain default, and cannot know what a factory would give.
    """
    field: T = msgspec.field(default_factory=repeat(default).__next__)
    return field
