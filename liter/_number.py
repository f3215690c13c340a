"""Numbers that somebody gave: from a file or an environment they may be texts, and a comparison would not say so."""


def is_number(value: object) -> bool:
    """Whether it is a number, and neither a truth value nor a text."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether it is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)
