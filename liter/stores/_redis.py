"""The store of many machines: a Redis server, where each step is one Lua script."""

import importlib.util
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import anyio

from .._loop import EventLoop
from .._number import is_number
from . import _gcra
from ._account import (
    Account,
    Balance,
    Reserved,
    check_accounts,
    check_keys,
    check_lease,
    check_settled,
    kept_for,
)
from ._redis_account_scripts import BALANCES, RENEW, RESERVE, RESET, SETTLE
from ._redis_scripts import ADJUST, SWAP, TAKE
from ._redis_session import Argument, RedisSession
from ._store import Bucket, StoreError, Taken

if TYPE_CHECKING:
    import coredis


# What Redis Cluster spreads keys by, in place of the whole key.
_HASH_TAG = re.compile(r"\{[^}]+\}")


class RedisStore:
    """Keeps everything on a Redis server (5 or later): for many machines. Needs ``pip install 'liter-sdk[redis]'``.

    Time is the server's, so the clocks of its clients do not matter; it is not for tests in virtual time. Every key
    expires, but accounts of money that are for good. The memory of the server is bounded by its own ``maxmemory``; with
    ``maxmemory-policy volatile-lru`` it drops the least recently used where room is needed, accounts too; with
    ``noeviction`` steps then fail.

    Each event loop has one connection, made when it is first needed, and again after it broke. A step is never
    repeated, as it may have been done: what was under way when the connection broke is a ``StoreError``. A cancelled
    caller leaves a whole step or none.

    On a Redis Cluster, give a prefix with a part in braces, as ``prefix="{liter}:"``: so all keys are at one node, as
    a step that takes several of them needs. It is found by asking any node, whose address is the URL's.

    :param url: ``redis://[[user]:password@]host[:port][/database]``, ``rediss://...`` for TLS, or
        ``unix://[[user]:password@]/path/to/socket[?db=database]``; percent-encoded
    :param prefix: put before every key; ``"liter:"`` by default. Stores of one prefix share what they keep
    :param timeout: seconds that a step may take, and making a connection; 2 by default. Then it is a ``StoreError``
    :param ssl_context: for ``rediss://``; by default one that checks the server's certificate and name
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "liter:",
        timeout: float = 2.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._parts = _parse(url)
        if not isinstance(cast("object", prefix), str) or not prefix:
            raise ValueError(f"prefix must be a text that keeps the store's keys from others', not {prefix!r}")
        if not (is_number(timeout) and 0 < timeout <= 3600):
            raise ValueError(f"timeout must be above 0 and at most 3600 seconds, not {timeout!r}")
        if ssl_context is not None and self._parts.scheme != "rediss":
            raise ValueError(f"ssl_context is for rediss:// only, not {self._parts.scheme}://")
        if importlib.util.find_spec("coredis") is None:
            raise ImportError("RedisStore needs coredis: pip install 'liter-sdk[redis]'")
        self._prefix = prefix
        self._timeout = timeout
        self._ssl_context = ssl_context
        if self._parts.scheme == "rediss" and ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        self._sessions: dict[EventLoop, RedisSession] = {}
        self._closed = False

    def __repr__(self) -> str:
        where = self._parts.hostname or self._parts.path
        return f"{type(self).__name__}({where!r}, prefix={self._prefix!r}{', closed' if self._closed else ''})"

    async def take(self, buckets: Sequence[Bucket]) -> Taken:
        """Take from all buckets, or from none: see :meth:`Store.take`."""
        _gcra.check_buckets(buckets, taken=True)
        if not buckets:
            return Taken(granted=True)
        answer = await self._run_script(TAKE, *self._arguments(buckets))
        match answer:
            case [bytes() as wait, int() as index]:
                return Taken(granted=False, wait=float(wait), bucket=index)
            case _:
                return Taken(granted=True)

    async def adjust(self, buckets: Sequence[Bucket]) -> None:
        """Give back, or take into debt: see :meth:`Store.adjust`."""
        _gcra.check_buckets(buckets, taken=False)
        if buckets:
            await self._run_script(ADJUST, *self._arguments(buckets))

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under ``key``, or ``None``."""
        kept = await self._run(lambda session: session.run(b"GET", self._value_key(key)))
        return kept if isinstance(kept, bytes) else None

    async def put(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds."""
        _gcra.check_ttl(ttl)
        name, left = self._value_key(key), _milliseconds(ttl)
        await self._run(lambda session: session.run(b"SET", name, value, b"PX", left))

    async def swap(self, key: str, expected: bytes | None, value: bytes | None, *, ttl: float) -> bool:
        """Replace ``expected`` by ``value``, if it is what is kept now: see :meth:`Store.swap`."""
        _gcra.check_ttl(ttl)
        arguments: list[Argument] = [
            int(expected is not None),
            expected or b"",
            int(value is not None),
            value or b"",
            _milliseconds(ttl),
        ]
        return await self._run_script(SWAP, [self._value_key(key)], arguments) == 1

    async def delete(self, key: str) -> None:
        """Forget ``key``."""
        await self._run(lambda session: session.run(b"DEL", self._value_key(key)))

    async def reserve(self, name: str, accounts: Sequence[Account], *, lease: float) -> Reserved:
        """Reserve on all accounts, or on none: see :meth:`Store.reserve`."""
        check_accounts(accounts, lease)
        arguments: list[Argument] = [name, repr(lease)]
        for account in accounts:
            arguments += [account.limit, account.amount, repr(kept_for(account, lease))]
        keys = self._account_keys([account.key for account in accounts])
        answer = cast("list[object]", await self._run_script(RESERVE, keys, arguments))
        refused = cast("int", answer[0])
        balances = tuple(_balances(answer[1:]))
        return Reserved(granted=refused < 0, account=None if refused < 0 else refused, balances=balances)

    async def settle(self, name: str, keys: Sequence[str], amount: int) -> list[Balance] | None:
        """Turn what was reserved into what was spent: see :meth:`Store.settle`."""
        check_keys(keys)
        check_settled(amount)
        answer = cast("list[object]", await self._run_script(SETTLE, self._account_keys(keys), [name, amount]))
        return _balances(answer[1:]) if answer[0] == 1 else None

    async def renew(self, name: str, keys: Sequence[str], *, lease: float) -> bool:
        """Hold a reservation for longer: see :meth:`Store.renew`."""
        check_keys(keys)
        check_lease(lease)
        return await self._run_script(RENEW, self._account_keys(keys), [name, repr(lease)]) == 1

    async def balances(self, keys: Sequence[str]) -> list[Balance]:
        """Return what is on accounts: see :meth:`Store.balances`."""
        answer = await self._run_script(BALANCES, self._account_keys(keys), [])
        return _balances(cast("list[object]", answer))

    async def reset(self, keys: Sequence[str]) -> None:
        """Forget what was spent: see :meth:`Store.reset`."""
        await self._run_script(RESET, self._account_keys(keys), [])

    async def aclose(self) -> None:
        """Close the connections. Other methods then raise ``StoreError``."""
        self._closed = True
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()
        here = sessions.get(EventLoop.current())
        if here is not None:
            with anyio.move_on_after(self._timeout, shield=True):
                await here.wait_closed()

    def _value_key(self, key: str) -> str:
        return f"{self._prefix}value:{key}"

    def _account_keys(self, keys: Sequence[str]) -> list[str]:
        return [f"{self._prefix}{kind}:{key}" for key in keys for kind in ("account", "leases")]

    def _arguments(self, buckets: Sequence[Bucket]) -> tuple[list[str], list[Argument]]:
        keys = [f"{self._prefix}bucket:{bucket.key}" for bucket in buckets]
        arguments: list[Argument] = []
        for bucket in buckets:
            arguments += [repr(bucket.amount / bucket.refill), repr(bucket.capacity / bucket.refill)]
        return keys, arguments

    async def _run_script(self, script: str, keys: list[str], arguments: list[Argument]) -> object:
        return await self._run(lambda session: session.run_script(script, keys, arguments))

    async def _run(self, step: Callable[[RedisSession], Awaitable[object]]) -> object:
        from coredis.exceptions import ConnectionError as LostError
        from coredis.exceptions import MovedError, ReadOnlyError, RedisError

        if self._closed:
            raise StoreError("the store is closed")
        session = self._session()
        try:
            with anyio.fail_after(self._timeout):
                return await step(session)
        except (TimeoutError, LostError, OSError) as error:
            # One connection carries all steps of the loop: when one is stuck or lost, so are those behind it.
            session.close()
            why = f"no answer within {self._timeout:g} s" if isinstance(error, TimeoutError) else str(error)
            raise StoreError(f"{self!r}: {why}") from error
        except (MovedError, ReadOnlyError) as error:
            # Nothing was done. The server was the right one when it was connected to; the next step asks for it again.
            session.close()
            raise StoreError(f"{self!r}: {_told(error)}") from error
        except RedisError as error:
            raise StoreError(f"{self!r}: {_told(error)}") from error

    def _session(self) -> RedisSession:
        loop = EventLoop.current()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            if session is not None:
                session.close()
            self._sessions[loop] = session = RedisSession(
                self._connect,
                self._timeout,
                on_end=lambda: self._sessions.pop(loop, None),
                tls=self._ssl_context,
                home=self._value_key("") if _HASH_TAG.search(self._prefix) else None,
            )
        return session

    def _connect(self, node: tuple[str, int] | None) -> "coredis.Redis[bytes]":
        import coredis
        from coredis.retry import NoRetryPolicy

        parts = self._parts
        host, port = node or (parts.hostname, parts.port or 6379)
        return coredis.Redis(
            host,
            port,
            _database(parts),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            unix_socket_path=unquote(parts.path) if parts.scheme == "unix" else None,
            ssl_context=self._ssl_context,
            connect_timeout=self._timeout,
            stream_timeout=self._timeout,
            decode_responses=False,
            verify_version=False,
            retry_policy=NoRetryPolicy(),
        )


def _told(error: Exception) -> str:
    from coredis.exceptions import ClusterCrossSlotError, MovedError, ReadOnlyError

    if isinstance(error, ReadOnlyError):
        return "the server is a replica by now"
    if isinstance(error, MovedError | ClusterCrossSlotError):
        return "the server is a node of a cluster, and has not all keys: give a prefix in braces, as prefix='{liter}:'"
    return str(error)


def _balances(answer: Sequence[object]) -> list[Balance]:
    amounts = [int(amount) for amount in answer if isinstance(amount, bytes)]
    return [
        Balance(spent=spent, reserved=reserved) for spent, reserved in zip(amounts[::2], amounts[1::2], strict=True)
    ]


def _milliseconds(seconds: float) -> int:
    # Redis refuses times beyond 2**63 ms; this is 285,000 years.
    return max(1, round(min(seconds * 1000, 9e15)))


def _parse(url: str) -> SplitResult:
    """Check a URL. No message shows it, as it may hold a password."""
    if not isinstance(cast("object", url), str):
        raise ValueError(f"url must be a text, as redis://host:6379/0, not of type {type(url).__name__}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("url must have a port that is a number: redis://host:6379/0") from error
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(f"url must begin with redis://, rediss:// or unix://, not {parts.scheme!r}")
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise ValueError("url must name a socket: unix:///path/to/socket")
    if parts.scheme != "unix" and not parts.hostname:
        raise ValueError(f"url must name a host: {parts.scheme}://host:6379/0")
    if port == 0:
        raise ValueError("url must have a port above 0: redis://host:6379/0")
    unknown = {name for name, _ in parse_qsl(parts.query)} - {"db"}
    if unknown:
        raise ValueError(f"url has options that are not known: {', '.join(sorted(unknown))}; only db is")
    try:
        _database(parts)
    except ValueError as error:
        raise ValueError("url must have one database, and that a number: redis://host:6379/0") from error
    return parts


def _database(parts: SplitResult) -> int:
    given = [value for _, value in parse_qsl(parts.query)]
    if parts.scheme != "unix" and (path := parts.path.strip("/")):
        given.append(path)
    databases = {int(value) for value in given or ["0"]}
    if len(databases) > 1 or min(databases) < 0:
        raise ValueError("a database is one number, from 0 on")
    return databases.pop()
