"""Arguments of a call that Vertex AI streams value by value, each with its place in the whole.

``{"jsonPath": "$.steps[0].name", "stringValue": "Bo", "willContinue": true}`` is followed by pieces of the same text
until one says no more of ``willContinue``. Arrays are kept by index until the end, so that an index costs nothing.
"""

import re
from collections.abc import Mapping
from typing import cast

from ._gemini_json import JsonObject, number_of, objects_of, text_of

Node = dict["str | int", object]

# Deeper than any schema that a provider takes.
_DEEPEST = 64
_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")


class PartialArguments:
    """Puts the values of one call together."""

    def __init__(self) -> None:
        self._root: Node = {}
        self._growing: dict[str, list[str]] = {}
        self._whole: JsonObject = {}

    def add(self, pieces: object) -> None:
        """Take the values of one event. A piece without a place that can be read is left out.

        :raises ValueError: the values contradict each other
        """
        for piece in objects_of(pieces):
            path = text_of(piece.get("jsonPath")) or ""
            steps = _steps(path)
            if not steps:
                continue
            text = text_of(piece.get("stringValue"))
            if text is None:
                self._set(steps, _value(piece))
                continue
            if path not in self._growing:
                self._growing[path] = []
                self._set(steps, self._growing[path])
            self._growing[path].append(text)
            if piece.get("willContinue") is not True:
                del self._growing[path]

    def update(self, whole: JsonObject) -> None:
        """Take arguments that came whole."""
        self._whole.update(whole)

    def whole(self) -> JsonObject:
        """The arguments as far as they came."""
        made = cast("JsonObject", _made(self._root)) if self._root else {}
        return {**self._whole, **made}

    def _set(self, steps: list[str | int], value: object) -> None:
        node = self._root
        for step in steps[:-1]:
            inner = node.setdefault(step, {})
            if not isinstance(inner, dict):
                raise ValueError("an argument that is a value cannot hold others")
            node = cast("Node", inner)
        node[steps[-1]] = value


def _steps(path: str) -> list[str | int]:
    if not path.startswith("$") or len(path) > 4096:
        return []
    steps: list[str | int] = []
    place = 1
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None or len(steps) == _DEEPEST:
            return []
        name, index, single, double = match.groups()
        quoted = single if single is not None else double
        steps.append(int(index) if index is not None else name if name is not None else re.sub(r"\\(.)", r"\1", quoted))
        place = match.end()
    return steps if steps and isinstance(steps[0], str) else []


def _value(piece: Mapping[str, object]) -> object:
    if isinstance(piece.get("boolValue"), bool):
        return piece["boolValue"]
    return number_of(piece.get("numberValue")) if "numberValue" in piece else None


def _made(node: object) -> object:
    if isinstance(node, list):
        return "".join(cast("list[str]", node))
    if not isinstance(node, dict):
        return node
    held = cast("Node", node)
    if held and all(isinstance(step, int) for step in held):
        return [_made(held[step]) for step in sorted(held, key=int)]
    return {str(step): _made(value) for step, value in held.items()}
