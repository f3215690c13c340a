"""On which terms a usage is billed."""

from collections.abc import Mapping

from ..types import Usage

# Words for: nothing special.
STANDARD = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "global", "not_available"})

_NO_TERMS: Mapping[str, str] = {}


def terms_in(usage: Usage, terms: Mapping[str, str] | None) -> Mapping[str, str]:
    """The terms that are not the standard ones."""
    tier, speed, geography = usage.service_tier, usage.speed, usage.inference_geo
    if (
        (tier is None or tier in STANDARD)
        and (speed is None or speed in STANDARD)
        and (geography is None or geography in STANDARD)
        and usage.search_context_size is None
    ):
        if not terms:
            return _NO_TERMS
        told: dict[str, str | None] = {}
    else:
        told = {
            "speed": speed,
            "geography": geography,
            "search_context_size": usage.search_context_size,
            # Anthropic reports a batch as a tier.
            ("processing" if tier == "batch" else "service_tier"): tier,
        }
    told.update(terms or _NO_TERMS)
    return {name: value for name, value in told.items() if value is not None and value.lower() not in STANDARD}
