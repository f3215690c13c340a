"""The input of ``liter map``: a batch file in OpenAI's form, a request on each line."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from .._many import MapStats
from .._many._request import task_of
from ._run import UsageError

_LINE = msgspec.json.Decoder(dict[str, object])


class BatchInput:
    """The requests of a file, all looked at before the first is made. It is read twice, and not kept in memory.

    :param model: takes the place of every request's own
    :ivar ids: for each ``custom_id``, what its result is called: the same for the same request
    :raises UsageError: a line is no request; says which, and what it should be
    """

    def __init__(self, path: Path, model: str | None) -> None:
        self._path = path
        self._model = model
        self.ids: dict[str, str] = {}
        for number, line in self._lines():
            where = f"{path}, line {number}"
            custom_id = line.get("custom_id")
            if not isinstance(custom_id, str) or not custom_id:
                raise UsageError(f"{where}: custom_id must be a text that names the request, not {custom_id!r}")
            if custom_id in self.ids:
                raise UsageError(f"{where}: custom_id {custom_id!r} stands on an earlier line too; each needs its own")
            if line.get("method", "POST") != "POST":
                raise UsageError(f"{where}: method must be POST, not {line['method']!r}")
            if "url" not in line or "body" not in line:
                raise UsageError(f"{where}: a request has custom_id, method, url and body")
            try:
                task_of(number, line)
            except ValueError as error:
                raise UsageError(f"{where}: {str(error).partition(': ')[2]}") from error
            self.ids[custom_id] = result_id(line)

    def __len__(self) -> int:
        return len(self.ids)

    def _lines(self) -> Iterator[tuple[int, dict[str, object]]]:
        with self._path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.isspace():
                    continue
                try:
                    line = _LINE.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise UsageError(f"{self._path}, line {number}: {error}") from error
                body = line.get("body")
                if self._model is not None and isinstance(body, Mapping):
                    line["body"] = {**cast("Mapping[str, object]", body), "model": self._model}
                yield number, line

    def without(self, done: frozenset[str]) -> Iterator[Mapping[str, object]]:
        """Give the requests, as ``client.map`` takes them, except those that are done."""
        for _, line in self._lines():
            if line["custom_id"] not in done:
                yield line


class Remaining:
    """What is left of the requests, for ``client.map``. Its length is that of the whole, for the bar.

    :param limit: it ends when the run has cost so many US dollars, or an unknown amount; ``None`` is none
    """

    def __init__(self, requests: BatchInput, done: frozenset[str], limit: float | None) -> None:
        self._requests = requests
        self._done = done
        self._limit = limit
        self.stats: MapStats | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for line in self._requests.without(self._done):
            if self.stopped is not None:
                return
            yield line

    @property
    def stopped(self) -> str | None:
        """Why no more is taken; ``None`` as long as it is."""
        if self._limit is None or self.stats is None:
            return None
        if self.stats.cost is None:
            return "what a call costs is unknown, and --max-cost was given"
        return f"--max-cost {self._limit:g} is reached" if float(self.stats.cost) >= self._limit else None


def result_id(line: Mapping[str, object]) -> str:
    """What the result of a request is called. It tells requests apart that have the same ``custom_id``."""
    text = msgspec.json.encode([line["url"], line["body"]], order="sorted")
    return f"batch_req_{hashlib.blake2b(text, digest_size=12).hexdigest()}"
