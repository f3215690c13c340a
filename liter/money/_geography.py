"""Where a provider's address is, where that changes its prices."""

import re
from functools import lru_cache

_OPENAI = re.compile(r"^https://([a-z]{2,4})\.api\.openai\.com(?:[:/]|$)")
_VERTEX = re.compile(
    r"^https://(?:([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.([a-z0-9-]+)\.rep\.googleapis\.com)(?:[:/]|$)"
)


@lru_cache(maxsize=256)
def geography_of(provider: str, base_url: str) -> str | None:
    """The region, as the address has it: ``"eu"``, ``"europe-west4"``; ``None`` for one of the whole world."""
    if provider == "openai":
        match = _OPENAI.match(base_url)
        return match and match.group(1)
    if provider.startswith("vertex"):
        match = _VERTEX.match(base_url)
        return match and (match.group(1) or match.group(2))
    return None
