"""The metrics, by the conventions in use."""

from typing import TYPE_CHECKING

from ..types import Usage
from . import _names as names
from ._request import Attributes
from ._response import modalities, token_counts

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter

_TOKEN_CLASSES = ("input_tokens", "output_tokens", "cache_read.input_tokens", "cache_write.input_tokens")


class Instruments:
    """What is measured of calls, attempts and layers.

    :param semconv: ``"compat"`` has the metrics that dashboards query today, ``"latest"`` those of the conventions'
        main branch, ``"dual"`` both
    """

    def __init__(self, meter: "Meter", semconv: names.Semconv) -> None:
        self._compat = semconv != "latest"
        self._latest = semconv != "compat"

        def seconds(name: str, buckets: tuple[float, ...] = names.DURATION_BUCKETS, what: str = "") -> "Histogram":
            return meter.create_histogram(
                name, unit="s", description=what, explicit_bucket_boundaries_advisory=list(buckets)
            )

        def tokens(name: str, what: str) -> "Histogram":
            return meter.create_histogram(
                name, unit="{token}", description=what, explicit_bucket_boundaries_advisory=list(names.TOKEN_BUCKETS)
            )

        # Operations that are no inference keep this one in "latest".
        self._duration = seconds(names.DURATION, what="Duration of a call")
        if self._compat:
            self._tokens = tokens(names.TOKEN_USAGE, "Tokens used by a call")
            self._first_chunk = seconds(names.OPERATION_FIRST_CHUNK, what="Time to the first chunk of a stream")
            self._per_chunk = seconds(names.OPERATION_PER_CHUNK, what="Time from one chunk of a stream to the next")
        if self._latest:
            self._inference_duration = seconds(names.INFERENCE_DURATION, what="Duration of an inference")
            self._inference_first = seconds(names.INFERENCE_FIRST_CHUNK, what="Time to the first chunk of a stream")
            self._inference_next = seconds(names.INFERENCE_PER_CHUNK, what="Time from one chunk to the next")
            self._inference_input = tokens(names.INFERENCE_INPUT, "Input tokens of an inference")
            self._inference_output = tokens(names.INFERENCE_OUTPUT, "Output tokens of an inference")
            self._counters = {
                kind: meter.create_counter(names.INFERENCE_TOKENS.format(kind), unit="{token}", description="Tokens")
                for kind in (*_TOKEN_CLASSES, "reasoning.output_tokens")
            }
        self._cost = meter.create_histogram(
            names.COST_METRIC,
            unit="{USD}",
            description="Cost of a call, all its attempts together",
            explicit_bucket_boundaries_advisory=list(names.COST_BUCKETS),
        )
        self._http = seconds(names.HTTP_DURATION, names.HTTP_BUCKETS, "Duration of one request on the wire")
        self._attempts = meter.create_counter(names.ATTEMPTS_METRIC, unit="{attempt}", description="Requests made")
        self._retry_delay = seconds(names.RETRY_DELAY, what="Wait before a retry")
        self._rate_limit = seconds(names.RATE_LIMIT_WAIT, what="Wait for a rate limit")
        self._cache = meter.create_counter(names.CACHE_REQUESTS, unit="{request}", description="Look-ups in a cache")
        self._fallbacks = meter.create_counter(names.FALLBACKS, unit="{fallback}", description="Moves to another model")
        self._hedges = meter.create_counter(names.HEDGES, unit="{attempt}", description="Extra attempts of hedges")
        self._circuit = meter.create_counter(
            names.CIRCUIT_CHANGES, unit="{change}", description="Changes of a circuit breaker's state"
        )

    def duration(self, seconds: float, attributes: Attributes, error: str | None, context: "Context") -> None:
        """Record a call's duration."""
        if error is not None:
            attributes = {**attributes, names.ERROR_TYPE: error}
        inference = attributes[names.OPERATION] in names.INFERENCE
        if self._compat or not inference:
            self._duration.record(seconds, attributes, context)
        if self._latest and inference:
            self._inference_duration.record(seconds, attributes, context)

    def first_chunk(self, seconds: float, attributes: Attributes, context: "Context") -> None:
        """Record the time to a stream's first chunk."""
        if self._compat:
            self._first_chunk.record(seconds, attributes, context)
        if self._latest and attributes[names.OPERATION] in names.INFERENCE:
            self._inference_first.record(seconds, attributes, context)

    def next_chunk(self, seconds: float, attributes: Attributes, context: "Context") -> None:
        """Record the time from the end of one chunk to the end of the next."""
        if self._compat:
            self._per_chunk.record(seconds, attributes, context)
        if self._latest and attributes[names.OPERATION] in names.INFERENCE:
            self._inference_next.record(seconds, attributes, context)

    def usage(self, usage: Usage, attributes: Attributes, context: "Context") -> None:
        """Record the tokens that a provider reported."""
        operation = str(attributes[names.OPERATION])
        tokens_in, tokens_out = token_counts(usage, operation)
        if self._compat:
            for kind, count in (("input", tokens_in), ("output", tokens_out)):
                if count is not None:
                    self._tokens.record(count, {**attributes, names.TOKEN_TYPE: kind}, context)
        if self._latest and operation in names.INFERENCE:
            given, made = usage.prompt_tokens_details, usage.completion_tokens_details
            if tokens_in is not None:
                self._inference_input.record(tokens_in, attributes, context)
                self._count("input_tokens", tokens_in, modalities(given), attributes, context)
                read, write = (given.cached_tokens, given.cache_write_tokens) if given else (0, 0)
                self._count("cache_read.input_tokens", read or 0, {}, attributes, context)
                self._count("cache_write.input_tokens", write or 0, {}, attributes, context)
            if tokens_out is not None:
                self._inference_output.record(tokens_out, attributes, context)
                self._count("output_tokens", tokens_out, modalities(made), attributes, context)
                thought = made.reasoning_tokens if made else 0
                self._count("reasoning.output_tokens", thought or 0, {}, attributes, context)

    def _count(self, kind: str, total: int, parts: dict[str, int], attributes: Attributes, context: "Context") -> None:
        # The modalities part the total: what is left belongs to none that was told.
        rest = total - sum(parts.values())
        if rest < 0:
            parts, rest = {}, total
        for modality, count in {**parts, "unknown": rest}.items():
            if count:
                self._counters[kind].add(count, {**attributes, names.TOKEN_MODALITY: modality}, context)

    def cost(self, amount: float, attributes: Attributes, context: "Context") -> None:
        """Record what a call cost, in US dollars."""
        self._cost.record(amount, attributes, context)

    def attempt(self, attributes: Attributes, context: "Context") -> None:
        """Count a request on the wire."""
        self._attempts.add(1, attributes, context)

    def http(self, seconds: float, attributes: Attributes, context: "Context") -> None:
        """Record the duration of a request on the wire."""
        self._http.record(seconds, attributes, context)

    def event(self, name: str, event: object, attributes: Attributes, context: "Context") -> None:
        """Count what a layer tells. ``name`` is the event's, in snake case."""
        match name:
            case "retrying":
                self._retry_delay.record(getattr(event, "wait", 0.0), attributes, context)
            case "rate_limit_waiting":
                self._rate_limit.record(getattr(event, "wait", 0.0), attributes, context)
            case "falling_back":
                self._fallbacks.add(1, attributes, context)
            case "hedging":
                self._hedges.add(1, attributes, context)
            case "cache_hit" | "cache_miss":
                self._cache.add(1, {**attributes, names.CACHE_RESULT: name.removeprefix("cache_")}, context)
            case "circuit_opened" | "circuit_closed" | "cooling_down":
                state = name.removeprefix("circuit_")
                self._circuit.add(1, {**attributes, names.CIRCUIT_STATE: state}, context)
            case _:
                pass
