"""What every reply of a provider has in common."""

import difflib
from collections.abc import Iterator

import msgspec

from ._answer import Answer
from ._vector import plain

JsonObject = dict[str, object]


class ApiResponse(Answer, msgspec.Struct, repr_omit_defaults=True, frozen=True, kw_only=True, dict=True):
    """The base of all replies.

    The facts of the answer (``request_id``, ``headers``, ``raw``, ``attempts``, ``origin``, ``cost``) travel beside the
    fields: they are not encoded, not compared, and ``msgspec.structs.replace`` leaves them behind.

    Beside attributes, a reply can be read like a dict: ``response["choices"][0]["message"]["content"]``.
    """

    def to_dict(self) -> JsonObject:
        """The reply as plain dicts and lists."""
        fields: JsonObject = msgspec.to_builtins(self, enc_hook=plain)
        return fields

    def to_json(self, *, indent: int = 0) -> str:
        """The reply as JSON text; with ``indent``, on several lines."""
        encoded = msgspec.json.encode(self, enc_hook=plain)
        return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()

    def __getitem__(self, name: str) -> object:
        """A field by its name, as plain dicts and lists. :raises KeyError: there is no such field"""
        if name not in self.__struct_fields__:
            near = difflib.get_close_matches(name, self.__struct_fields__, n=1)
            raise KeyError(f"{name}: did you mean {near[0]!r}?" if near else name)
        value: object = msgspec.to_builtins(getattr(self, name), enc_hook=plain)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.__struct_fields__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__struct_fields__)

    def __len__(self) -> int:
        return len(self.__struct_fields__)

    def keys(self) -> tuple[str, ...]:
        """The names of the fields."""
        return self.__struct_fields__

    def get(self, name: str, default: object = None) -> object:
        """A field by its name, as plain dicts and lists; ``default`` where there is no such field."""
        try:
            return self[name]
        except KeyError:
            return default
