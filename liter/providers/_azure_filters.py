"""What Azure's content filters found: beside the reply, as OpenAI's form has no place for it."""

from collections.abc import Mapping
from typing import cast

import msgspec

JsonObject = dict[str, object]

_SEVERITIES = ("safe", "low", "medium", "high")


class _Choice(msgspec.Struct, frozen=True, gc=False):
    index: int = 0
    content_filter_results: JsonObject | None = None
    # Where a filter failed; its name is no mistake.
    content_filter_result: JsonObject | None = None


class _Body(msgspec.Struct, frozen=True, gc=False):
    prompt_filter_results: list[JsonObject] | None = None
    # Its name in older versions of the API.
    prompt_annotations: list[JsonObject] | None = None
    choices: list[_Choice] = []


_BODY = msgspec.json.Decoder(_Body)


class FilterResults:
    """Collects what the filters tell, of one reply: a stream tells it piece by piece, and the worst counts."""

    def __init__(self) -> None:
        self._prompt: list[JsonObject] | None = None
        self._choices: dict[str, JsonObject] = {}

    def add(self, data: bytes) -> JsonObject | None:
        """Look into a body, or a chunk. All that is known now, in the form of ``native``; ``None`` for nothing new."""
        if b"_filter_result" not in data and b'"prompt_annotations"' not in data:
            return None
        try:
            told = _BODY.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Odd results are no reason to lose a reply: they are in its ``raw``.
            return None
        prompt = told.prompt_filter_results or told.prompt_annotations
        new = prompt is not None and prompt != self._prompt
        self._prompt = prompt or self._prompt
        for choice in told.choices:
            for results in (choice.content_filter_results, choice.content_filter_result):
                if results:
                    known = self._choices.setdefault(str(choice.index), {})
                    for category, result in results.items():
                        if known.get(category) != result and _rank(result) >= _rank(known.get(category)):
                            known[category] = result
                            new = True
        if not new:
            return None
        native: JsonObject = {}
        if self._prompt:
            native["prompt_filter_results"] = self._prompt
        if self._choices:
            native["content_filter_results"] = {index: dict(results) for index, results in self._choices.items()}
        return native or None


def _rank(result: object) -> tuple[bool, int]:
    if not isinstance(result, Mapping):
        return (False, -1)
    fields = cast("Mapping[str, object]", result)
    severity = fields.get("severity")
    found = bool(fields.get("filtered") or fields.get("detected"))
    return (found, _SEVERITIES.index(severity) if severity in _SEVERITIES else 0)
