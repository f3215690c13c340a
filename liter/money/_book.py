"""The price book: what models cost, by provider, time and terms."""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import cast

import msgspec
from msgspec.structs import replace

from ..types import Usage
from ._cost import Cost
from ._price import Price, read_price, row_of
from ._provider_prices import ModelPrices, ProviderPrices
from ._rates import Charge
from ._schema import ProviderRows, Row, Snapshot, in_utc
from ._terms import terms_in

_LOGGER = logging.getLogger("liter")

_ZERO = Decimal(0)

# Names of models come from callers and from replies: what is remembered about them is bounded.
_REMEMBERED = 4096


class PriceBook:
    """What models cost. Immutable: to add or replace prices, make another with :meth:`with_`.

    ``PriceBook.default()`` is the one that comes with liter. Its data are read when a price is first asked for.

    :ivar version: the day of the prices; with a suffix where they were added to
    :ivar source: where they are from
    """

    def __init__(
        self,
        *,
        version: str = "",
        source: str = "",
        providers: "Mapping[str, ProviderRows | msgspec.Raw] | None" = None,
        same: Mapping[str, str] | None = None,
        own: "Mapping[str, tuple[Row, ...]] | None" = None,
    ) -> None:
        self.version = version
        self.source = source
        self._providers = dict(providers or {})
        self._same = dict(same or {})
        self._own = dict(own or {})
        self._decoded: dict[str, ProviderPrices | None] = {}
        self._own_prices = {name: ProviderPrices(ProviderRows(models=rows)) for name, rows in self._own.items()}
        self._found: dict[tuple[str, str], ModelPrices | None] = {}
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @staticmethod
    def default() -> "PriceBook":
        """The prices that come with this version of liter."""
        return _default()

    @staticmethod
    def live() -> "PriceBook":
        """The prices of the installed ``genai-prices``, as it has them at this moment, updates of its own included.

        What it does not know of (images, searches, geographies) is that of ``PriceBook.default()``.

        :raises ImportError: it is not installed
        """
        from ._genai_prices import live_providers

        version, providers = live_providers()
        default = _default()
        for name, rows in providers.items():
            known = default._prices(name)
            if known is not None:
                own = tuple(row for row in known.rows.models if row.own)
                ids = {row.id for row in own}
                kept = tuple(row for row in rows.models if row.id not in ids)
                providers[name] = replace(known.rows, models=own + kept, fallback=rows.fallback)
        return PriceBook(
            version=version,
            source="the installed genai-prices",
            providers={**default._providers, **providers},
            same=default._same,
        )

    @staticmethod
    def from_file(path: "str | Path") -> "PriceBook":
        """Read prices from a TOML or JSON file; these, and no others: ``PriceBook.default().with_(...)`` adds them.

        A table ``prices`` has one entry for each model, ``"provider/model"``, with the fields of ``Price``, or a list
        of such entries; ``version`` names the whole. See docs/cost.md.

        :raises ValueError: the file cannot be read so; it names the place
        """
        import json
        import tomllib

        where = Path(path)
        text = where.read_text(encoding="utf-8")
        try:
            if where.suffix == ".toml":
                told: object = tomllib.loads(text, parse_float=Decimal)
            else:
                told = json.loads(text, parse_float=Decimal)
            listed = msgspec.convert(told, _File)
            prices = {
                model: tuple(map(read_price, cast("list[object]", entry) if isinstance(entry, list) else [entry]))
                for model, entry in listed.prices.items()
            }
            own = _rows(prices)
        except (ValueError, msgspec.ValidationError) as error:
            raise ValueError(f"{where}: {error}") from error
        return PriceBook(version=listed.version or where.name, source=str(where), own=own)

    def with_(
        self, prices: "PriceBook | Mapping[str, Price | Sequence[Price]]", *, version: str | None = None
    ) -> "PriceBook":
        """Make a book with more prices, which come before those of this one.

        :param prices: by ``"provider/model"``: a ``Price``, or several: at different times, or on different terms; or
            another book, as from ``from_file``
        :param version: of the new book; by default this one's, with that of the other, or a digest of what was added
        :raises ValueError: a key is not ``provider/model``, or a price makes no sense
        """
        import hashlib

        if isinstance(prices, PriceBook):
            added, providers, same = prices._own, prices._providers, prices._same
        else:
            added, providers, same = _rows(prices), {}, {}
        if version is None and isinstance(prices, PriceBook) and prices.version:
            version = f"{self.version}+{prices.version}" if self.version else prices.version
        if version is None:
            digest = hashlib.sha256(msgspec.json.encode([added, providers], order="sorted")).hexdigest()[:8]
            version = f"{self.version}+{digest}" if self.version else digest
        own = {name: added.get(name, ()) + self._own.get(name, ()) for name in self._own.keys() | added.keys()}
        return PriceBook(
            version=version,
            source=self.source,
            providers={**self._providers, **providers},
            same={**self._same, **same},
            own=own,
        )

    def find(self, provider: str, model: str) -> ModelPrices | None:
        """Look a model up. Names ignore case; ``None`` where there is no price for it."""
        key = (provider, model)
        try:
            return self._found[key]
        except KeyError:
            found = self._look_up(provider, model.lower())
            with self._lock:
                if len(self._found) >= _REMEMBERED:
                    self._found.clear()
                self._found[key] = found
            return found

    def _look_up(self, provider: str, model: str) -> ModelPrices | None:
        own = self._own_prices.get(provider)
        theirs = self._prices(provider)
        rows = ProviderRows() if theirs is None else theirs.rows
        if own is not None and (found := own.find(model)) is not None:
            return ModelPrices(*found, rows, model, foreign=False)
        if theirs is None:
            return None
        if rows.free:
            return ModelPrices(Row(id=model, prices=()), "pattern", rows, model, foreign=False)
        others = [prices for name in rows.fallback if (prices := self._prices(name)) is not None]
        for find in (ProviderPrices.find, ProviderPrices.find_dated):
            if (found := find(theirs, model)) is not None:
                return ModelPrices(*found, rows, model, foreign=False)
            for other in others:
                if (found := find(other, model)) is not None:
                    return ModelPrices(*found, rows, model, foreign=True)
        return None

    def _prices(self, provider: str) -> ProviderPrices | None:
        name = self._same.get(provider, provider)
        try:
            return self._decoded[name]
        except KeyError:
            rows = self._providers.get(name)
            if isinstance(rows, msgspec.Raw):
                rows = _PROVIDER.decode(rows)
            prices = self._decoded[name] = None if rows is None else ProviderPrices(rows)
            return prices

    def price(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        when: datetime | None = None,
        terms: Mapping[str, str] | None = None,
    ) -> Cost | None:
        """Price a usage. What the provider reports as its price is the total, and the computed one stands beside it.

        :param when: when the request was made; without a time zone in UTC. By default now
        :param terms: on which terms, beside those that the usage tells: ``{"processing": "batch"}``,
            ``{"geography": "eu"}``, ``{"size": "1024x1024"}``
        :return: ``None`` where the model has no price, and the provider reported none
        :raises ValueError: the usage contradicts itself where that changes the price: its parts come to more than the
            whole
        """
        if usage.others and usage.reported_cost is None:
            parts = [replace(usage, others=None), *usage.others.values()]
            models = [model, *usage.others]
            return Cost.sum(
                self.price(provider, name, part, when=when, terms=terms)
                for name, part in zip(models, parts, strict=True)
            )
        found = self.find(provider, model)
        if found is None:
            return _reported(usage, None, self.version, None)
        if not found.row.prices:
            free = Cost(total=_ZERO, computed=_ZERO, price_version=self.version, match=found.match)
            return _reported(usage, None, self.version, found) or free
        card = found.card(terms_in(usage, terms), partial(in_utc, when))
        if card is None or not card.rates:
            # The list has the model, and no price for it, or none at that time.
            return _reported(usage, None, self.version, None)
        try:
            charge = card.charge(usage)
        except ValueError:
            if usage.reported_cost is None:
                raise
            return _reported(usage, None, self.version, None)
        if usage.reported_cost is not None:
            return _reported(usage, charge, self.version, found)
        return Cost(
            total=charge.total,
            classes=charge.classes,
            computed=charge.total,
            price_version=self.version,
            match=found.match,
            unpriced=charge.unpriced,
            assumed=charge.assumed,
        )

    def warn(self, provider: str, model: str, what: str) -> None:
        """Say once, for each model, why something has no price."""
        key = (provider, model)
        with self._lock:
            if key in self._told or len(self._told) >= _REMEMBERED:
                return
            self._told.add(key)
        _LOGGER.warning("the cost of %s/%s is unknown: %s", provider, model, what)

    def __repr__(self) -> str:
        return f"PriceBook({self.version!r})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prices: dict[str, object]
    version: str = ""


_PROVIDER = msgspec.json.Decoder(ProviderRows)


@cache
def _default() -> PriceBook:
    told = msgspec.json.decode(Path(__file__).with_name("prices.json").read_bytes(), type=Snapshot)
    return PriceBook(version=told.version, source=told.source, providers=told.providers, same=told.same)


def _reported(usage: Usage, charge: Charge | None, version: str, found: ModelPrices | None) -> Cost | None:
    if usage.reported_cost is None:
        return None
    whole = charge is not None and not charge.unpriced
    return Cost(
        total=usage.reported_cost,
        classes=charge.classes if charge is not None else {},
        source="provider",
        computed=charge.total if charge is not None and whole else None,
        reported=usage.reported_cost,
        price_version=version if charge is not None else None,
        match=None if found is None else found.match,
        assumed=() if charge is None else charge.assumed,
    )


def _rows(prices: "Mapping[str, Price | Sequence[Price]]") -> dict[str, tuple[Row, ...]]:
    if not isinstance(prices, Mapping):
        raise ValueError(f'prices must be a PriceBook, or prices by "provider/model", not {prices!r}')
    rows: dict[str, tuple[Row, ...]] = {}
    for name, price in prices.items():
        provider, slash, model = name.partition("/") if isinstance(name, str) else ("", "", "")
        if not (provider and slash and model):
            raise ValueError(f'prices are by "provider/model", as "openai/gpt-4o", not {name!r}')
        several: object = (price,) if isinstance(price, Price) else price
        if not isinstance(several, list | tuple):
            raise ValueError(f"{name}: a price is a Price(...), or a list of them, not {several!r}")
        for one in cast("Sequence[object]", several):
            if not isinstance(one, Price):
                raise ValueError(f"{name}: a price is a Price(...), or a list of them, not {one!r}")
        row = row_of(model, cast("Sequence[Price]", several))
        # A provider of one's own may be called as another is for short: its prices stay.
        for known in dict.fromkeys((provider, provider_name(provider))):
            rows[known] = (*rows.get(known, ()), row)
    return rows


def provider_name(name: str) -> str:
    """The name that routes and prices have for a provider, of one that a caller may have written."""
    # The names alone: no codec is loaded with them.
    from ..providers._entry import canonical

    return canonical(name) or name
