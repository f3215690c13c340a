"""What the order of layers means: which orders cannot mean what they say, and how a stack is explained."""

from collections.abc import Callable, Sequence
from types import FunctionType

from ._contract import Layer
from ._errors import LlmError, NotFoundError
from .middleware import (
    Budget,
    Cache,
    CircuitBreaker,
    Concurrency,
    CostTracking,
    Fallback,
    Guardrails,
    Hedge,
    Hooks,
    Ledger,
    Mock,
    RateLimit,
    Retry,
    Router,
    Tracing,
)
from .money import PriceBook

_ONE_BILL = "the bill of a call is the sum of its attempts, and each would be billed with those before it"

# Outside, inside, and why that cannot be meant. The other order is right.
_WRONG: tuple[tuple[type, type, str], ...] = (
    (RateLimit, Cache, "a hit would use up the limit, though nothing is sent"),
    (Concurrency, Cache, "a hit would wait for a permit, though nothing is sent"),
    (Hedge, Cache, "the raced attempt would wait for the answer to the first, as identical calls do"),
    (Concurrency, Guardrails, "a request that is blocked would wait for a permit, though nothing is sent"),
    (RateLimit, Guardrails, "a request that is blocked would use up the limit, though nothing is sent"),
    (Hedge, Fallback, "it would race whole chains of models, each to its end; hedge each model's own attempts"),
    (Retry, Tracing, "each try would be a call of its own, and a failure that was mended an error; see attempt spans"),
    (Hedge, Tracing, "each of the raced attempts would be a call of its own; see attempt spans"),
    (
        Retry,
        Budget,
        "it is asked before each attempt anyway, and a refused one would give back what the next needs",
    ),
    (Hedge, Budget, "it is asked before each attempt anyway, and each of those raced would be a call of its own"),
    (Retry, Ledger, "each attempt would wait for the disk, and be written down as a call of its own"),
    (Hedge, Ledger, "each of the raced attempts would be written down as a call of its own"),
    (Budget, Ledger, "what the budget counts for an attempt without a known cost would not be written down"),
    (Retry, CostTracking, _ONE_BILL),
    (Fallback, CostTracking, _ONE_BILL),
    (Hedge, CostTracking, _ONE_BILL),
    (CostTracking, Tracing, "the call's span would end before its bill is known"),
    (Cache, CostTracking, "a hit would have no cost, and it is known to be 0"),
    (Hedge, Retry, "each of the raced attempts would be retried, and the slow one with them"),
    (CircuitBreaker, Cache, "while it is open nobody would get what is kept, though nothing is sent for that"),
    (Router, Cache, "what is kept would be found at one deployment and not at another, and not while all are out"),
    (CircuitBreaker, Fallback, "the model that fails would be found well as long as another one answers for it"),
    (Router, Fallback, "a deployment would answer for other models, and no model to go to could be a pool"),
    (Router, Retry, "each retry would go to the deployment that has just failed, while others are up"),
    (CircuitBreaker, Router, "all deployments would be out with some of them; each has a circuit of its own"),
)

# Inside these, a layer sees attempts: they may go inwards more than once for a call.
_REPEATING = (Retry, Fallback, Hedge)


def check_order(layers: Sequence[Layer]) -> None:
    """Refuse a stack whose order cannot mean what it says.

    :raises ValueError: with the reason, and the order that would be right
    """
    retries = [layer for layer in layers if isinstance(layer, Retry)]
    if len(retries) > 1:
        tries = " x ".join(str(1 + retry.max_retries) for retry in retries)
        raise ValueError(f"middleware: {len(retries)} Retry layers multiply, to {tries} attempts: keep one")
    if len([layer for layer in layers if isinstance(layer, Hedge)]) > 1:
        raise ValueError("middleware: two Hedge layers multiply, as each races the attempts of the other: keep one")
    if len([layer for layer in layers if isinstance(layer, Fallback)]) > 1:
        raise ValueError(
            "middleware: two Fallback layers multiply, as each model of one leads to all of the other: keep one, "
            "with the models of both"
        )
    if len([layer for layer in layers if isinstance(layer, CostTracking)]) > 1:
        raise ValueError("middleware: two CostTracking layers would write two bills over each other: keep one")
    _check_twice(layers)
    _check_pools([layer for layer in layers if isinstance(layer, Router)])
    _check_tracing([layer for layer in layers if isinstance(layer, Tracing)])
    for position, layer in enumerate(layers):
        # A function may let a call through, all else answers every call.
        if isinstance(layer, Mock) and not callable(layer.response) and position < len(layers) - 1:
            raise ValueError(
                f"middleware: nothing inside Mock is ever reached: {layers[position + 1]!r} must be outside"
            )
        traced = any(isinstance(outer, Tracing) for outer in layers[:position])
        for inner in layers[position + 1 :]:
            if traced and isinstance(inner, Tracing):
                continue  # held together by the one outside: it is meant to see less
            for outside, inside, reason in _WRONG:
                if isinstance(layer, outside) and isinstance(inner, inside):
                    raise ValueError(
                        f"middleware: {inside.__name__} is inside {outside.__name__}: {reason}. "
                        f"Right is [{inside.__name__}, ..., {outside.__name__}]"
                    )


def check_models(layers: Sequence[Layer], route: Callable[[str], object], prices: PriceBook | None) -> None:
    """Refuse models to go to that no call could be sent to: a mistake must not wait for an outage to show.

    :param route: finds the way to a model
    :param prices: the client's price book
    :raises ValueError: with the layer, the model, and what was probably meant; or a pool's model without a price, where
        prices are compared
    """
    for layer in layers:
        if isinstance(layer, Router):
            # A pool's name is a model's, too, for who calls it.
            named = {f"pools[{pool!r}]": (pool, *models) for pool, models in layer.models.items()}
            layer.check_prices(prices)
        elif isinstance(layer, Fallback):
            named = {"models": tuple(target.model for target in layer.targets)}
        else:
            continue
        for field, models in named.items():
            for model in models:
                try:
                    route(model)
                except NotFoundError as error:
                    raise ValueError(f"middleware: {type(layer).__name__}, {field}: {error.message}") from None
                except LlmError:
                    pass  # a fact of an operation, or of a key: calls tell


def _check_twice(layers: Sequence[Layer]) -> None:
    """Refuse what would be done twice: a layer, or a function of the application's at one turn of a call."""
    hooked: set[tuple[str, int]] = set()
    for position, layer in enumerate(layers):
        # A function of the application's own may mean to be there twice.
        if not isinstance(layer, FunctionType) and any(layer is other for other in layers[:position]):
            raise ValueError(f"middleware: {layer!r} is there twice, and would do its work twice: leave one out")
        if isinstance(layer, Hooks):
            given = {(turn, id(hook)) for turn in layer.__struct_fields__ if (hook := getattr(layer, turn)) is not None}
            for turn, _ in sorted(given & hooked):
                name = getattr(layer, turn).__name__ if hasattr(getattr(layer, turn), "__name__") else "a function"
                raise ValueError(f"middleware: two Hooks have {name} as {turn}, which would run twice: leave one out")
            hooked |= given


def _check_pools(routers: Sequence[Router]) -> None:
    for position, router in enumerate(routers):
        for outer in routers[:position]:
            for pool in sorted(outer.models.keys() & router.models.keys()):
                raise ValueError(
                    f"middleware: two Router layers have a pool {pool!r}, and the inner one would get no calls: "
                    "rename one, or put all deployments into one pool"
                )


def _check_tracing(tracing: Sequence[Tracing]) -> None:
    for position, layer in enumerate(tracing):
        innermost = position == len(tracing) - 1
        if innermost and layer.settings.route:
            raise ValueError(
                "middleware: Tracing(route=True) holds together the calls of a Tracing further in, and there is none"
            )
        if not innermost and not layer.settings.route:
            raise ValueError(
                "middleware: two Tracing layers would count each call twice: keep one, or give the outer route=True"
            )


def explain(layers: Sequence[Layer], innermost: object) -> str:
    """Describe a stack, outermost first: each layer, whether it sees calls or attempts, and its settings."""
    rows: list[tuple[str, str]] = []
    sees = "calls"
    for layer in layers:
        rows.append((sees, getattr(layer, "__name__", None) or repr(layer)))
        if isinstance(layer, _REPEATING):
            sees = "attempts"
    rows.append((sees, repr(innermost)))
    width = len(str(len(rows)))
    return "\n".join(f"{number:>{width}}. {sees:<8}  {what}" for number, (sees, what) in enumerate(rows, 1))
