"""What a request is likely to use, before it is sent."""

from functools import lru_cache

import msgspec

from ..types import ImageGenerationRequest, SearchRequest, SpeechRequest, Usage
from ._estimate import BYTES_PER_TOKEN

# Where a request may set the limit of its output, each operation by its own name.
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def output_limit(request: msgspec.Struct, usual: int) -> int:
    """How many tokens the reply to a request may have, all its choices together.

    :param usual: what is taken for one choice of a request that sets no limit
    :return: 0 for operations whose requests have no limit to set
    """
    names, several = _limits_of(type(request))
    for name in names:
        limit: int | None = getattr(request, name)
        if limit:
            break
    else:
        limit = usual if names else 0
    choices: int | None = getattr(request, several) if several else None
    return limit * (choices or 1)


@lru_cache(maxsize=256)
def _limits_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, ...], str]:
    """Name the fields of a request that may limit its output, and the one that asks for several choices, if any."""
    fields = kind.__struct_fields__
    return tuple(name for name in _LIMITS if name in fields), "n" if "n" in fields else ""


def expected_usage(request: msgspec.Struct, *, size: int, usual_output: int) -> Usage:
    """Guess what a request uses: a token for each four bytes, its output limit, and what else it says the number of.

    :param size: bytes of what is sent
    :param usual_output: tokens of one choice, where the request sets no limit
    """
    sent, made = -(-size // BYTES_PER_TOKEN), output_limit(request, usual_output)
    return Usage(
        prompt_tokens=sent,
        completion_tokens=made,
        total_tokens=sent + made,
        characters=len(request.input) if isinstance(request, SpeechRequest) else None,
        searches=1 if isinstance(request, SearchRequest) else None,
        images=request.n or 1 if isinstance(request, ImageGenerationRequest) else None,
    )
