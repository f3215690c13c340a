"""What a request is likely to use, before it is sent."""

from typing import cast

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
    fields = request.__struct_fields__
    limit, any_limit = 0, False
    for name in _LIMITS:
        if name in fields:
            any_limit = True
            limit = limit or cast("int | None", getattr(request, name)) or 0
    if not any_limit:
        return 0
    return (limit or usual) * (cast("int | None", getattr(request, "n", None)) or 1)


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
