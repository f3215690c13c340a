"""What a budget reserves for an attempt, and what it settles for it."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Literal

import msgspec
from msgspec.structs import replace

from .._contract import Attempt, Call
from .._errors import BudgetExceededError
from .._http import HttpRequest
from ..money import Cost, ModelPrices, Price, PriceBook, expected_usage, is_free, terms_of
from ._budget_bound import Ceiling, UnboundedError, has_price, most_used
from ._budget_limit import Amount, dollars

# Where the request has no limit: about a page of text.
_USUAL_OUTPUT = 500

# How much the latest attempt counts for what the next is expected to cost.
_WEIGHT = 0.1

# Models that are kept in mind.
_MOST_MODELS = 1024

# A price may begin to hold between the reservation and the sending.
_SOON = timedelta(minutes=1)


class Quote(msgspec.Struct, frozen=True):
    """What an attempt is expected to cost.

    :param amount: what to reserve, in 1e-12 US dollars
    :param book: where its price is; ``None``: it has none, and is not counted
    :param guess: the cost by the size of the request, in the same unit, for what is learned from it
    """

    amount: int
    book: PriceBook | None
    guess: int = 0


class Quoter:
    """Knows what attempts cost.

    :param book: where prices are; ``None``: the client's
    :param hard: whether to reserve an upper bound, not an expectation
    """

    def __init__(
        self,
        book: PriceBook | None,
        *,
        hard: bool,
        unknown: Literal["refuse", "allow"] | Price,
        bound: Callable[[Call[object]], Amount | None] | None,
        image_tokens: int | None,
        output_tokens: int | None,
    ) -> None:
        self._book = book
        self._hard = hard
        self._unknown = unknown
        self._bound = bound
        self._image_tokens = image_tokens
        self._output_tokens = output_tokens
        # Of models whose prices do not depend on the time. The book has each of these prices in mind, too.
        self._ceilings: dict[ModelPrices, Ceiling] = {}
        # Cost by guess, of late.
        self._means: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def quote(self, call: Call[object], request: HttpRequest) -> Quote | None:
        """Quote an attempt that is about to be sent; ``None``: it costs nothing.

        :raises BudgetExceededError: it has no price, or no bound
        """
        provider, model = call.route.provider, call.route.model
        # Moderation without a model is OpenAI's, which is free of charge.
        if is_free(call.operation) or (call.operation == "moderate" and not model):
            return None
        book = self._book or call.prices or PriceBook.default()
        found = book.find(provider, model)
        if found is not None and not has_price(found, datetime.now(UTC)):
            found = None
        if found is None and isinstance(self._unknown, Price):
            book = book.with_({f"{provider}/{model}": self._unknown})
            found = book.find(provider, model)
        told = None if self._bound is None else self._bound(call)
        if found is None:
            if self._unknown == "refuse":
                raise BudgetExceededError(
                    f"{provider}/{model} has no price, so the budget cannot tell what it costs: "
                    f"give the budget prices= with one, or unknown='allow'",
                    code="local_budget_price",
                )
            return Quote(0 if told is None else _picodollars(told), None)
        if self._hard:
            return Quote(self._most(call, request, found) if told is None else _picodollars(told), book)
        return self._expect(call, request, book, found, told)

    def _most(self, call: Call[object], request: HttpRequest, found: ModelPrices) -> int:
        try:
            # A reply is never longer than the model's whole context.
            longest = self._output_tokens if self._output_tokens is not None else found.row.context
            use = most_used(call, request, image_tokens=self._image_tokens, output_tokens=longest)
            return _picodollars(self._ceiling(found).most(use))
        except UnboundedError as error:
            raise BudgetExceededError(
                f"a hard budget needs to know what a call costs at most: {error}", code="local_budget_bound"
            ) from None

    def _ceiling(self, found: ModelPrices) -> Ceiling:
        ceiling = self._ceilings.get(found)
        if ceiling is None:
            now = datetime.now(UTC)
            ceiling = Ceiling(found, (now, now + _SOON))
            if found.timeless:
                if len(self._ceilings) >= _MOST_MODELS:
                    self._ceilings.clear()
                self._ceilings[found] = ceiling
        return ceiling

    def _expect(
        self, call: Call[object], request: HttpRequest, book: PriceBook, found: ModelPrices, told: Amount | None
    ) -> Quote:
        usage = expected_usage(call.request, size=len(request.body), usual_output=_USUAL_OUTPUT)
        output = min(usage.completion_tokens, _USUAL_OUTPUT)
        usage = replace(usage, completion_tokens=output, total_tokens=usage.prompt_tokens + output)
        cost = book.price(call.route.provider, call.route.model, usage, terms=terms_of(call.request))
        # Where the size tells nothing, as for sound, it is the mean of what such calls cost that counts.
        guess = (0 if cost is None else cost.picodollars) or 1
        mean = self._means.get((call.operation, call.route.provider, call.route.model), 1.0)
        amount = int(guess * mean)
        return Quote(amount if told is None else min(amount, _picodollars(told)), book, guess)

    def cost(self, quote: Quote, attempt: Attempt) -> int:
        """What an attempt that is over cost, in 1e-12 US dollars. One that was not sent cost nothing."""
        if not attempt.number or quote.book is None:
            return 0 if attempt.cost is None or not attempt.number else attempt.cost.picodollars
        if attempt.cost is None:
            attempt.cost = self._price(quote, quote.book, attempt)
        return attempt.cost.picodollars

    def settled(self, quote: Quote, attempt: Attempt) -> int:
        """The same, and learn from it."""
        amount = self.cost(quote, attempt)
        if not self._hard and quote.guess and amount:
            name = (attempt.operation, attempt.provider, attempt.model)
            mean = self._means.pop(name, None)
            latest = amount / quote.guess
            self._means[name] = latest if mean is None else mean + _WEIGHT * (latest - mean)
            if len(self._means) > _MOST_MODELS:
                self._means.popitem(last=False)
        return amount

    def _price(self, quote: Quote, book: PriceBook, attempt: Attempt) -> Cost:
        """Price an attempt that no layer has priced."""
        if attempt.usage is not None:
            try:
                cost = book.price(attempt.provider, attempt.model, attempt.usage)
            except ValueError:  # the usage contradicts itself
                cost = None
            if cost is not None:
                return cost
        elif attempt.status is not None and attempt.status >= 400:
            return Cost.unbilled()
        return Cost(total=dollars(quote.amount), estimated=True)


def _picodollars(amount: Amount) -> int:
    exact = Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)
    return int(exact.scaleb(12).to_integral_value(ROUND_CEILING))
