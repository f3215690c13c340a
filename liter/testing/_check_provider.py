"""The conformance kit for codecs: does one keep the contract of :class:`liter.providers.Provider`?

A codec is pure: calls in, bytes out, and the reverse. So the kit needs no event loop and no network; it needs to be
told how the provider answers, see :class:`WireSample`, and then sends these bytes whole, cut anywhere, cut off and
damaged.
"""

import contextlib
import pickle
import random
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

from .._call import Call
from .._errors import (
    AuthenticationError,
    BadRequestError,
    InvalidHeaderError,
    LlmError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
)
from .._http import Headers, HttpRequest, parse_base_url
from ..providers import Provider
from ..transport import framer
from ..types import ChatCompletionChunk, ChatCompletionResponse, accumulate
from ._check_provider_sample import ADDRESS, KEY, ProviderConformanceError, WireSample, chat

_FRAME_LIMIT = 1 << 20
# Enough that each kind of damage meets each kind of place, and all of it takes well under a second.
_DAMAGES = 200
_CUTS = 20

# Statuses that mean the same everywhere, whatever the body is.
_FACTS: Sequence[tuple[int, type[LlmError]]] = (
    (401, AuthenticationError),
    (404, NotFoundError),
    (422, BadRequestError),
    (429, RateLimitedError),
    (500, ServerError),
    (503, ServiceUnavailableError),
)
_BODIES = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"<html><title>Bad gateway</title></html>",
    b"\xff\xfe",
    b'{"error": 5}',
)


def check_provider(provider: Provider, sample: WireSample, *, seed: int = 0) -> None:
    """Check that a codec keeps the contract, for chats.

    It must: make the same request of the same call, for the address of the call, with the key in a header and nowhere
    else, and without touching file or socket; read the sample's reply and stream, however the stream is cut; tell a
    stream that is cut off from one that ends; answer damaged bytes with an ``LlmError`` and nothing else; make an
    error of any refusal, by the fact and not by the form, which pickles; and never print the key.

    :param sample: how the provider answers
    :param seed: of the cuts and the damage
    :raises ProviderConformanceError: it does not; the message names the rule
    """
    with _no_io():
        _check_names(provider)
        _check_requests(provider)
        _check_replies(provider, sample, random.Random(seed))
        if sample.stream:
            _check_streams(provider, sample, random.Random(seed))
        _check_errors(provider, sample)


def _require(holds: object, rule: str) -> None:
    if not holds:
        raise ProviderConformanceError(rule)


def _check_names(provider: Provider) -> None:
    _require(isinstance(provider.name, str) and provider.name and "/" not in provider.name, "name must be a word")
    if provider.base_url and "{" not in provider.base_url:
        parse_base_url(provider.base_url)
    _require(isinstance(provider.key_variables, tuple), "key_variables must be a tuple of str")
    _require("chat" in provider.operations, "operations must have 'chat': that is what is checked")
    _require(provider.request_id(Headers()) is None, "request_id must be None where no header tells it")


def _check_requests(provider: Provider) -> None:
    for stream in (False, True):
        call = chat(provider.name, stream=stream)
        request = provider.encode(call)
        _require(request == provider.encode(call), "encode must make the same request of the same call")
        _require(request.method.isupper() and request.path.isascii(), "method and path must be as on the wire")
        _require(
            request.origin == parse_base_url(ADDRESS).origin, f"the request must go to the call's base_url, {ADDRESS}"
        )
        _require(request.base_url.startswith(ADDRESS), f"base_url and path must begin with the call's, {ADDRESS}")
        names = [name for name, _ in request.headers]
        _require(all(name == name.lower() for name in names), "names of headers must be in lower case")
        _require(not {b"host", b"content-length"} & set(names), "host and content-length are the transport's")
        _require(KEY.encode() not in request.body and KEY not in request.path, "the key belongs into a header only")
        _require(any(KEY.encode() in value for _, value in request.headers), "the key must be in a header")
        _check_callers_headers(provider, call, request)
    without = _headers(provider.encode(chat(provider.name, key=None)))
    _require(b"none" not in without.get(b"authorization", b"").lower(), "without a key, no header may stand for it")
    for key in ("sk\r\nx-evil: 1", "sk-\u00e9", "sk 1"):
        try:
            made = provider.encode(chat(provider.name, key=key))
        except InvalidHeaderError:
            continue
        _require(
            not any(b"\r" in value or b"\n" in value for _, value in made.headers), "a key must not break a header"
        )
    _require(KEY not in repr(provider), "repr must not show a key")


def _check_callers_headers(provider: Provider, call: Call[object], request: HttpRequest) -> None:
    own = next((name for name, value in request.headers if KEY.encode() not in value), b"accept")
    given = ((own, b"mine"), (b"x-mine", b"yes"))
    made = provider.encode(chat(provider.name, stream=call.stream, headers=given)).headers
    told = [value for name, value in made if name == own]
    _require(
        told == [b"mine"] and (b"x-mine", b"yes") in made,
        f"the caller's headers must be sent, and replace the codec's own of the same name: {own.decode()} is {told}",
    )


def _headers(request: HttpRequest) -> dict[bytes, bytes]:
    return dict(request.headers)


def _check_replies(provider: Provider, sample: WireSample, chance: random.Random) -> None:
    call = chat(provider.name)
    value = provider.decode(call, sample.reply, Headers())
    _require(isinstance(value, ChatCompletionResponse), f"decode must give a ChatCompletionResponse, not {value!r}")
    text = _text(value)
    _require(text == sample.text, f"decode must read all of the text: {text!r} is not {sample.text!r}")
    usage = provider.usage(call, value)
    _require(usage is None or usage.total_tokens >= usage.prompt_tokens, "total_tokens must hold prompt_tokens")
    for damaged in _damaged(sample.reply, chance):
        _only_llm_errors("decode", damaged, partial(provider.decode, call, damaged, Headers()))


def _text(value: object) -> str:
    message = value.choices[0].message if isinstance(value, ChatCompletionResponse) and value.choices else None
    return "" if message is None else message.text


def _check_streams(provider: Provider, sample: WireSample, chance: random.Random) -> None:
    call = chat(provider.name, stream=True)
    stream = sample.stream
    cuts = [[stream], [stream[at : at + 1] for at in range(len(stream))]]
    for _ in range(_CUTS):
        places = sorted(chance.sample(range(len(stream)), k=min(5, len(stream))))
        cuts.append([stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)])
    for pieces in cuts:
        chunks = _read(provider, call, pieces)
        text = _text(accumulate(chunks))
        _require(text == sample.text, f"a stream must say the same however it is cut: {text!r} is not {sample.text!r}")
    whole = provider.open_stream(call)
    given = whole.whole(sample.reply)
    _require(_text(accumulate(_chunks(given))) == sample.text, "whole must read a plain reply in place of a stream")
    _require(whole.done, "after whole, the stream must be done")
    if sample.has_end:
        _check_cut_off(provider, call, stream)
    for damaged in _damaged(stream, chance):
        _only_llm_errors("a stream", damaged, partial(_read, provider, call, [damaged]))


def _check_cut_off(provider: Provider, call: Call[object], stream: bytes) -> None:
    try:
        _read(provider, call, [stream[: len(stream) // 2]])
    except LlmError:
        return
    raise ProviderConformanceError("end must raise StreamingError when the stream is cut off in its middle")


def _read(provider: Provider, call: Call[object], pieces: Sequence[bytes]) -> list[ChatCompletionChunk]:
    """Read a stream as the exchange does."""
    decoder = provider.open_stream(call)
    frames = framer(decoder.framing, _FRAME_LIMIT)
    feed: Callable[[object], Sequence[object]] = decoder.feed  # type: ignore[assignment] # of the decoder's own framing
    events: list[object] = []
    for piece in pieces:
        for frame in frames.feed(piece):
            if decoder.done:
                break
            given = feed(frame)
            for event in given:
                _require(isinstance(decoder.opening(event), bool), "opening must be a bool")
            events += given
    if not decoder.done:
        for frame in frames.end():
            events += feed(frame)
        events += decoder.end()
        _require(decoder.done, "after end without an error, the stream must be done")
    return _chunks(events)


def _chunks(events: Sequence[object]) -> list[ChatCompletionChunk]:
    chunks = [event for event in events if isinstance(event, ChatCompletionChunk)]
    _require(len(chunks) == len(events), "a chat's events must be ChatCompletionChunk")
    return chunks


def _check_errors(provider: Provider, sample: WireSample) -> None:
    call = chat(provider.name)
    for body in (sample.error, *_BODIES):
        for status in range(300, 600):
            error = provider.error(call, status, Headers(), body)
            _require(isinstance(error, LlmError), f"error must give an LlmError, for status {status} too")
            _require(error.provider == provider.name, "an error must name its provider")
        for status, fact in _FACTS:
            if body is sample.error:
                continue
            error = provider.error(call, status, Headers(), body)
            _require(isinstance(error, fact), f"status {status} is {fact.__name__}, not {type(error).__name__}")
    error = provider.error(call, 429, Headers(((b"retry-after", b"7"),)), sample.error)
    _require(error.retry_after == 7, "an error must tell the wait of retry-after")
    _require(str(pickle.loads(pickle.dumps(error))) == str(error), "an error must pickle")  # noqa: S301 # our own
    _require(KEY not in repr(error), "an error must not show the key")


def _damaged(body: bytes, chance: random.Random) -> Iterator[bytes]:
    """A body cut off anywhere, with bytes changed, parts doubled or left out."""
    for _ in range(_DAMAGES):
        at = chance.randrange(len(body) + 1)
        to = min(len(body), at + chance.randrange(1, 12))
        match chance.randrange(4):
            case 0:
                yield body[:at]
            case 1:
                yield body[:at] + chance.randbytes(to - at) + body[to:]
            case 2:
                yield body[:to] + body[at:]
            case _:
                yield body[:at] + body[to:]


def _only_llm_errors(what: str, body: bytes, read: Callable[[], object]) -> None:
    try:
        read()
    except LlmError:
        pass
    except ProviderConformanceError:
        raise
    except Exception as error:  # whatever it is, is what is looked for
        raise ProviderConformanceError(
            f"damaged bytes must raise LlmError and nothing else: {what} raised {error!r} for {body[:2000]!r}"
        ) from error


# An audit hook cannot be taken away again, so there is one for good, which looks only while a check runs.
_watched = threading.local()
_IO = ("socket.", "subprocess.", "os.system", "open")


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if getattr(_watched, "on", False) and event.startswith(_IO) and not _of_imports(event, arguments):
        raise ProviderConformanceError(f"a codec does no I/O, but there was {event}{arguments!r}")


def _of_imports(event: str, arguments: tuple[object, ...]) -> bool:
    """Modules that are loaded at their first use."""
    return event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".so"))


_hooked: list[bool] = []


@contextlib.contextmanager
def _no_io() -> Generator[None, None, None]:
    if not _hooked:
        sys.addaudithook(_look)
        _hooked.append(True)
    _watched.on = True
    try:
        yield
    finally:
        _watched.on = False
