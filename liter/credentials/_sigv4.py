"""AWS Signature Version 4: a request and keys in, a signed request out. No I/O, and no clock.

What is signed is a text of fixed form, the canonical request; what signs it is a key made of the secret for one day,
one region and one service. After AWS's reference, "Create a signed AWS API request".
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import msgspec

from .._errors import AuthenticationError
from .._http import HttpRequest, RawHeaders
from .._secret import Secret

ALGORITHM = "AWS4-HMAC-SHA256"

_UNRESERVED = "-_.~"
_BLANKS = re.compile(r"\s+")

# service.region.suffix, of the public partitions and of private networks.
_HOST = re.compile(r"(?:[\w-]+\.)+([a-z]{2,4}(?:-[a-z]+)+-\d+)\.(?:vpce\.)?(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)")

# OpenAI's protocol on Bedrock.
_MANTLE = "bedrock-mantle"

# What the signature vouches for, beside all that begins with x-amz-. Others (accept-encoding, traceparent) may be
# changed by proxies on the way, and AWS does not ask for them.
_SIGNED = frozenset({"host", "content-type"})


class AwsKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Access keys of an AWS identity.

    :param session_token: comes with keys that are lent for a time
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None

    def __post_init__(self) -> None:
        token = self.session_token.reveal() if self.session_token else ""
        for name, text in (("access_key_id", self.access_key_id), ("session_token", token)):
            if not text.isascii() or not text.isprintable() or text != text.strip():
                raise ValueError(f"{name} has a blank at an end, a line break or a character outside ASCII")
        if not self.access_key_id or not self.secret_access_key:
            raise ValueError("access_key_id and secret_access_key must not be empty")


class SigV4Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Signs requests to one service.

    :param region: such as ``"us-east-1"``, for addresses that do not tell; AWS's own do, and what they tell counts
    :param service: the name that AWS signs under; by default that of the host: ``"bedrock-mantle"`` for the hosts of
        that name, ``"bedrock"`` for all others
    """

    keys: AwsKeys
    region: str | None = None
    service: str | None = None

    def sign(self, request: HttpRequest, when: datetime) -> HttpRequest:
        """Add date, session token and authorization to a finished request. What it had of these is replaced.

        :param when: the time of signing; AWS takes it within five minutes of its own
        :raises AuthenticationError: neither the address nor the signer tells the region
        """
        host = str(request.origin).partition("://")[2]
        region = region_of(host) or self.region
        if region is None:
            raise AuthenticationError(
                f"{host} does not tell the AWS region to sign for: set AWS_REGION, or pass region to the credentials"
            )
        service = self.service or (_MANTLE if host.startswith(f"{_MANTLE}.") else "bedrock")
        body_hash = hashlib.sha256(request.body).hexdigest()
        stamp = amz_date(when)
        own: list[tuple[bytes, bytes]] = [(b"x-amz-date", stamp.encode())]
        if self.keys.session_token:
            own.append((b"x-amz-security-token", self.keys.session_token.reveal().encode()))
        if service == _MANTLE:
            # It wants to be told what the others work out.
            own.append((b"x-amz-content-sha256", body_hash.encode()))
        replaced = {b"authorization", b"x-amz-content-sha256", b"x-amz-date", b"x-amz-security-token"}
        headers: RawHeaders = (*(pair for pair in request.headers if pair[0] not in replaced), *own)
        texts = [("host", host), *((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)]
        canonical, signed = canonical_request(
            request.method,
            request.target.decode("ascii"),
            [(name, value) for name, value in texts if name in _SIGNED or name.startswith("x-amz-")],
            body_hash,
        )
        scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
        proof = signature(self.keys.secret_access_key, scope, string_to_sign(canonical, stamp, scope))
        authorization = (
            f"{ALGORITHM} Credential={self.keys.access_key_id}/{scope}, SignedHeaders={signed}, Signature={proof}"
        )
        return msgspec.structs.replace(request, headers=(*headers, (b"authorization", authorization.encode("ascii"))))


def region_of(host: str) -> str | None:
    """The region that one of AWS's hosts is in."""
    match = _HOST.fullmatch(host)
    return match and match.group(1)


def amz_date(when: datetime) -> str:
    """A time as ``x-amz-date`` has it: ``20260102T030405Z``. :raises ValueError: it has no time zone"""
    if when.tzinfo is None:
        raise ValueError("the time of signing must have a time zone: datetime.now(UTC)")
    return when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def canonical_request(
    method: str, target: str, headers: Iterable[tuple[str, str]], body_hash: str, *, normalize: bool = True
) -> tuple[str, str]:
    """The text that is signed, and the names of the headers in it.

    :param target: path and query as sent; a path that is percent-encoded is encoded once more
    :param headers: those to sign, ``host`` among them, in the order they are sent
    :param normalize: take ``//`` and dot segments out of the path (all services but S3)
    """
    path, _, query = target.partition("?")
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(_BLANKS.sub(" ", value.strip()))
    names = sorted(fields)
    lines = [f"{name}:{','.join(fields[name])}\n" for name in names]
    signed = ";".join(names)
    path = quote(_normal(path) if normalize else path or "/", safe="/" + _UNRESERVED)
    return "\n".join((method, path, _canonical_query(query), "".join(lines), signed, body_hash)), signed


def string_to_sign(canonical: str, stamp: str, scope: str) -> str:
    """The text that the signature is made of. ``scope`` is ``date/region/service/aws4_request``."""
    return "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))


def signature(secret: Secret, scope: str, text: str) -> str:
    """Sign a text with the key that the secret gives for a scope."""
    key = ("AWS4" + secret.reveal()).encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe=_UNRESERVED)


def _normal(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return "/" + "/".join(kept) + tail
