"""The client's methods: many calls at once."""

import os
import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from ._calls import Calls
from ._many import Mapped, race
from ._number import is_whole
from ._options import CallOptions
from .types import ApiResponse, ChatCompletionResponse

if TYPE_CHECKING:
    from ._client import LlmClient


class ManyMethods(Calls):
    """Many calls at once."""

    def map(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        *,
        concurrency: int = 10,
        on_error: Literal["raise", "return"] = "raise",
        ordered: bool = False,
        checkpoint: "str | os.PathLike[str] | None" = None,
        progress: bool | None = None,
        **options: object,
    ) -> Mapped[ApiResponse]:
        """Make one call for each request, so many at a time, and iterate over the results as they come::

            async with client.map(requests, concurrency=20) as results:
                async for result in results:
                    print(result.index, result.value.text)

        Requests are structs, mappings with the keywords of ``chat``, or lines of OpenAI's batch files
        (``custom_id``, ``url``, ``body``). They are taken one by one, as calls are done and their results taken: the
        input may be longer than memory, and a slow reader slows the calls down. A bare ``async for`` works too;
        leave it early only by ``aclose``.

        :param concurrency: how many calls at a time
        :param on_error: ``"raise"`` ends it at the first call that fails; ``"return"`` gives such a result its error
        :param ordered: results in the order of the requests, at the price of waiting for slow ones
        :param checkpoint: a file in which results are written down before they are handed out. A run that was killed
            goes on where it was: what is done comes from the file, with ``restored`` set. Calls that failed are made
            again
        :param progress: whether a line on standard error tells how far it is; by default if that is a terminal, and a
            checkpoint is kept
        :param options: of every call: ``timeout``, ``tags``, ``extra_headers``, ...
        :raises ValueError: an option that makes no sense; and, when iterated over, a request that makes none
        """
        if not is_whole(concurrency) or concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency!r}")
        if on_error not in ("raise", "return"):
            raise ValueError(f"on_error must be 'raise' or 'return', not {on_error!r}")
        unknown = options.keys() - set(CallOptions.__struct_fields__)
        if unknown:
            raise ValueError(f"unknown option {min(unknown)!r}: calls take {', '.join(CallOptions.__struct_fields__)}")
        shown = checkpoint is not None and sys.stderr.isatty() if progress is None else progress
        return Mapped[ApiResponse](
            cast("LlmClient", self),
            requests,
            concurrency=concurrency,
            on_error=on_error,
            ordered=ordered,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=shown,
            options=options,
        )

    async def race(self, models: Sequence[str], /, **keywords: object) -> ChatCompletionResponse:
        """Ask several models the same, all at once, and return the first good answer. Takes what ``chat`` takes.

        The others are hung up on before it returns. What they used is on their providers' bills all the same.

        :raises ValueError: no models, or a parameter that is unknown or makes no sense
        :raises LlmError: all failed: the error of the last, with the others' in its notes
        """
        if isinstance(models, str) or not isinstance(models, Sequence) or not models:
            raise ValueError("give the models as a list that is not empty")
        if "model" in keywords:
            raise ValueError("give the models as a list, and no model")
        return await race(cast("LlmClient", self), models, keywords)
