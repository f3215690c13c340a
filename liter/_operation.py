"""How a client's methods take their arguments: a request struct, or its fields as keywords.

The request struct is the only list of an operation's parameters. Type checkers and editors see its
constructor's keywords, joined with those of ``CallOptions``, through a ``ParamSpec``; at run time the
keywords are parted and the struct is made of its own.
"""

import difflib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Generic, NoReturn, ParamSpec, Protocol, TypeVar, cast, overload

import msgspec

from ._options import DEFAULTS, CallOptions
from ._pages import Pages

Request = TypeVar("Request", bound=msgspec.Struct)
Request_contra = TypeVar("Request_contra", bound=msgspec.Struct, contravariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Item = TypeVar("Item")
Options = ParamSpec("Options")
Keywords = ParamSpec("Keywords")

if TYPE_CHECKING:
    from ._client import LlmClient

    Run = Callable[[LlmClient, Request, CallOptions], Awaitable[Result]]

_OPTION_NAMES = frozenset(CallOptions.__struct_fields__)

# So many parameters are named where one is asked for that there is none of.
_FEW = 8

# Methods that stream under a name that is not their own with "_stream" at its end.
_STREAMED = {"create_response": "response_stream", "image_generate": "image_stream"}


class Method(Protocol[Request_contra, Result_co, Options, Keywords]):  # pyright: ignore[reportInvalidTypeVarUse] # it is an argument: contravariant
    """A client's method, as its caller sees it."""

    @overload
    async def __call__(
        self, request: Request_contra, /, *args: Options.args, **options: Options.kwargs
    ) -> Result_co: ...
    @overload
    async def __call__(self, *args: Keywords.args, **keywords: Keywords.kwargs) -> Result_co: ...


class Operation(Generic[Request, Result, Options, Keywords]):
    """Descriptor that gives the client the method. Made by :func:`operation`."""

    def __init__(self, request_type: type[Request], run: "Run[Request, Result]") -> None:
        self._request_type = request_type
        self._run = run
        self._bound: type[_Bound[Request, Result]] | None = None
        self.__doc__ = run.__doc__
        self.__name__: str = run.__name__

    @overload
    def __get__(self, client: None, owner: type) -> "Operation[Request, Result, Options, Keywords]": ...
    @overload
    def __get__(self, client: "LlmClient", owner: type) -> Method[Request, Result, Options, Keywords]: ...
    def __get__(self, client: "LlmClient | None", owner: type) -> object:
        if client is None:
            return self
        bound = self._bound
        if bound is None:
            bound = self._bound = cast("type[_Bound[Request, Result]]", _bound_as(self.__name__))
        return bound(self._request_type, self._run, client)

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(self._request_type)


class _Bound(Generic[Request, Result]):
    __slots__ = ("_client", "_request_type", "_run")

    def __init__(
        self,
        request_type: type[Request],
        run: "Run[Request, Result]",
        client: "LlmClient",
    ) -> None:
        self._request_type = request_type
        self._run = run
        self._client = client

    async def __call__(self, request: Request | None = None, /, *more: object, **keywords: object) -> Result:
        asked, options = self._asked(request, more, keywords)
        return await self._run(self._client, asked, options)

    def _asked(
        self, request: Request | None, more: tuple[object, ...], keywords: dict[str, object]
    ) -> tuple[Request, CallOptions]:
        """Part what was given into the request and the call's options."""
        given = {name: keywords.pop(name) for name in _OPTION_NAMES & keywords.keys()}
        options = CallOptions(**given) if given else DEFAULTS  # type: ignore[arg-type] # each is checked where it is used
        if request is None and not more:
            return self._make(keywords), options
        if more or not isinstance(request, self._request_type):
            fields = msgspec.structs.fields(self._request_type)
            names = [field.name for field in fields if field.required] or [fields[0].name]
            raise ValueError(
                f"{self.__name__} takes keywords, as {self.__name__}({', '.join(f'{name}=...' for name in names)}), or "
                f"one {self._request_type.__name__}, and not {type(request).__name__}"
            )
        if keywords:
            raise ValueError(f"a ready {type(request).__name__} was given: set {', '.join(keywords)} on it")
        return request, options

    def _make(self, keywords: dict[str, object]) -> Request:
        if "extra_body" in keywords and not isinstance(keywords["extra_body"], Mapping | None):
            raise ValueError(f"extra_body must be a mapping of fields, not {type(keywords['extra_body']).__name__}")
        try:
            return self._request_type(**keywords)
        except TypeError:
            known = self._request_type.__struct_fields__
            for name in keywords:
                if name not in known:
                    raise ValueError(f"unknown parameter {name!r}: {self._meant(name)}") from None
            missing = [
                field.name
                for field in msgspec.structs.fields(self._request_type)
                if field.required and field.name not in keywords
            ]
            if missing:
                raise ValueError(f"{missing[0]!r} is missing") from None
            raise

    def _meant(self, name: str) -> str:
        """What a caller may have meant by a parameter that there is none of."""
        known = self._request_type.__struct_fields__
        method = self.__name__
        streamed = _STREAMED.get(method, f"{method}_stream")
        if name == "stream" and method.endswith("_stream"):
            return f"leave it out, {method} always streams"
        if name == "stream" and hasattr(type(self._client), streamed):
            return f"for a stream there is {streamed}"
        near = difflib.get_close_matches(name, [*known, *_OPTION_NAMES], n=1)
        if near:
            meant = f"did you mean {near[0]!r}?"
        elif len(known) <= _FEW:
            meant = f"{method} takes {', '.join(name for name in known if name != 'extra_body')}."
        else:
            meant = ""
        if "extra_body" in known:
            meant += f"{' ' if meant else ''}What a provider takes beyond these goes in extra_body"
        return meant.removesuffix(".")

    @property
    def __doc__(self) -> str | None:  # type: ignore[override] # each method has its own
        return self._run.__doc__

    @property
    def __name__(self) -> str:
        return self._run.__name__

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(self._request_type)

    @property
    def completions(self) -> NoReturn:
        # Who comes from OpenAI's SDK writes this. A __getattr__ would tell more, and make each call slower.
        raise AttributeError(
            f"client.{self.__name__} is the method itself: client.{self.__name__}(...), no .completions"
        )

    def __repr__(self) -> str:
        return f"<method {self._run.__name__} of {self._client!r}>"


def _bound_as(name: str) -> type[_Bound[msgspec.Struct, object]]:
    """Make the class of one method: Python calls a coroutine that is never awaited by the name of its function."""
    function = cast("FunctionType", vars(_Bound)["__call__"])
    call = FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
    call.__qualname__ = f"LlmClient.{name}"
    return type("_Bound", (_Bound,), {"__slots__": (), "__call__": call})


class PagedMethod(Protocol[Request_contra, Item, Result, Options, Keywords]):  # pyright: ignore[reportInvalidTypeVarUse] # as above
    """A client's method that lists, as its caller sees it: it returns at once, and fetches when asked."""

    @overload
    def __call__(
        self, request: Request_contra, /, *args: Options.args, **options: Options.kwargs
    ) -> Pages[Item, Result]: ...
    @overload
    def __call__(self, *args: Keywords.args, **keywords: Keywords.kwargs) -> Pages[Item, Result]: ...


class PagedOperation(Generic[Request, Item, Result, Options, Keywords]):
    """Descriptor that gives the client a method that lists. Made by :func:`paged`."""

    def __init__(self, request_type: type[Request], run: "Run[Request, Result]") -> None:
        self._request_type = request_type
        self._run = run
        self.__doc__ = run.__doc__
        self.__name__: str = run.__name__

    @overload
    def __get__(self, client: None, owner: type) -> "PagedOperation[Request, Item, Result, Options, Keywords]": ...
    @overload
    def __get__(self, client: "LlmClient", owner: type) -> PagedMethod[Request, Item, Result, Options, Keywords]: ...
    def __get__(self, client: "LlmClient | None", owner: type) -> object:
        return self if client is None else _BoundPages(self._request_type, self._run, client)

    @property
    def __signature__(self) -> inspect.Signature:
        return _signature(self._request_type)


class _BoundPages(_Bound[Request, Result]):
    __slots__ = ()

    def __call__(  # type: ignore[override] # not fetched yet
        self, request: Request | None = None, /, *more: object, **keywords: object
    ) -> Pages[object, Result]:
        asked, options = self._asked(request, more, keywords)

        def fetch(request: msgspec.Struct) -> Awaitable[Result]:
            return self._run(self._client, cast("Request", request), options)

        return Pages(fetch, asked)


def _signature(request_type: type[msgspec.Struct]) -> inspect.Signature:
    keywords = [
        *inspect.signature(request_type).parameters.values(),
        *inspect.signature(CallOptions).parameters.values(),
    ]
    return inspect.Signature([p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in keywords])


def operation(
    request_type: type[Request], options: Callable[Options, object], keywords: Callable[Keywords, object]
) -> "Callable[[Run[Request, Result]], Operation[Request, Result, Options, Keywords]]":
    """Make a client's method of a function of client, request and options.

    ``options`` and ``keywords`` are for type checkers: ``CallOptions``, and a class with the fields of both structs.
    """

    def make(
        run: "Run[Request, Result]",
    ) -> Operation[Request, Result, Options, Keywords]:
        return Operation(request_type, run)

    return make


def paged(
    request_type: type[Request],
    item_type: type[Item],
    options: Callable[Options, object],
    keywords: Callable[Keywords, object],
) -> "Callable[[Run[Request, Result]], PagedOperation[Request, Item, Result, Options, Keywords]]":
    """Make a client's method that lists of a function that fetches one page.

    ``item_type``, ``options`` and ``keywords`` are for type checkers, see :func:`operation`.
    """

    def make(run: "Run[Request, Result]") -> PagedOperation[Request, Item, Result, Options, Keywords]:
        return PagedOperation(request_type, run)

    return make
