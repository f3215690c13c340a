"""A string that does not print."""

from typing import NoReturn


class Secret:
    """An API key or token that masks itself wherever text is made of it.

    ``repr``, ``str``, f-strings, ``%`` formatting and logging show ``Secret('***')``; pickling and
    copying through pickle raise, so a key cannot reach a log, a trace or a queue by accident.
    The text comes out only by :meth:`reveal`.

    Two secrets are equal when their texts are; a secret never equals a plain string.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a Secret is made of a str, not {type(text).__name__}")
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Call this at the wire and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not pickle: send the name of where it is kept, not the key")


class BearerToken(Secret):
    """A token that goes into the authorization header, wherever the keys of its provider go."""

    __slots__ = ()
