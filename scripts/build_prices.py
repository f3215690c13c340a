"""Build the price snapshot, liter/money/prices.json, from the installed genai-prices and scripts/prices.toml.

    python scripts/build_prices.py 2026-11-25

The day is the version of the snapshot. One line for each provider, so that a change shows where it is.
"""

import sys
import tomllib
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import msgspec
from genai_prices.data import providers as genai_providers
from msgspec.structs import replace

from liter.money._genai_prices import PROVIDERS, converted
from liter.money._price import read_price, row_of
from liter.money._schema import Factor, ProviderRows, Row

ROOT = Path(__file__).parents[1]
SNAPSHOT = ROOT / "liter/money/prices.json"
BY_HAND = ROOT / "scripts/prices.toml"

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class ByHand(msgspec.Struct, forbid_unknown_fields=True):
    """What scripts/prices.toml says."""

    free: list[str]
    same: dict[str, str]
    fees: dict[str, dict[str, Decimal]]
    factors: dict[str, list[Factor]]
    prices: dict[str, object]


def by_hand() -> ByHand:
    """Read what was entered by hand."""
    return msgspec.convert(tomllib.loads(BY_HAND.read_text(encoding="utf-8"), parse_float=Decimal), ByHand)


def merged(entered: ByHand) -> dict[str, ProviderRows]:
    """Give everything, by provider."""
    providers = converted(genai_providers)
    # Google Cloud has the prices of the Gemini API, and surcharges for regions that the other does not have.
    providers["vertex"] = ProviderRows(models=providers["gemini"].models, fallback=providers["gemini"].fallback)
    for name, entry in entered.prices.items():
        provider, _, model = name.partition("/")
        entries = entry if isinstance(entry, list) else [entry]
        add(providers, provider, row_of(model, [read_price(one) for one in entries], own=True))
    for provider, fees in entered.fees.items():
        providers[provider] = replace(providers[provider], fees=dict(fees))
    for provider, factors in entered.factors.items():
        providers[provider] = replace(providers[provider], factors=tuple(factors))
    providers |= {provider: ProviderRows(free=True) for provider in entered.free}
    return providers


def add(providers: dict[str, ProviderRows], provider: str, row: Row) -> None:
    """Put a row before the others of its provider, in place of the one of its name."""
    rows = providers.get(provider, ProviderRows())
    own = [one for one in rows.models if one.own]
    rest = [one for one in rows.models if not one.own and one.id != row.id]
    providers[provider] = replace(rows, models=(*own, row, *rest))


def snapshot(day: str) -> bytes:
    """Make the file."""
    entered = by_hand()
    head = {
        "version": day,
        "source": f"genai-prices {version('genai-prices')}, and prices entered by hand",
        # Their names are others' names, too.
        "same": {**PROVIDERS, **entered.same},
    }
    lines = [
        f"{msgspec.json.encode(name).decode()}:{_ENCODER.encode(rows).decode()}"
        for name, rows in sorted(merged(entered).items())
    ]
    body = msgspec.json.encode(head).decode().removesuffix("}")
    return (body + ',\n"providers":{\n' + ",\n".join(lines) + "\n}}\n").encode()


if __name__ == "__main__":
    SNAPSHOT.write_bytes(snapshot(date.fromisoformat(sys.argv[1]).isoformat()))
