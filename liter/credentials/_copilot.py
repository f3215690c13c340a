"""GitHub Copilot's token: a GitHub token exchanged for one that lasts half an hour, and the address it is good for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import msgspec
from msgspec.structs import replace

from .._errors import AuthenticationError, LlmTimeoutError, NotFoundError
from .._http import Headers, HttpRequest, RawHeaders, parse_base_url
from .._secret import Secret
from .._version import __version__
from ..providers._classify import classify
from ..transport import TRANSPORT_ERRORS, Transport, translate
from ._refreshing import Fetched, Refreshing

_PROVIDER = "github-copilot"
_GITHUB = "https://api.github.com"
_PATH = "/copilot_internal/v2/token"

# What is told where no other address comes with the token.
DEFAULT_ADDRESS = "https://api.githubcopilot.com"

# Copilot serves integrations that it knows; this is the one that chats of editors name.
_INTEGRATION = "vscode-chat"

# Seconds for one exchange, and for its connection.
_LIMIT = 30.0
_CONNECT = 10.0
_MOST_BYTES = 256 * 1024

# Where a token does not say how long it lasts: seen are 25 to 30 minutes.
_LIFE = timedelta(minutes=20)


class _Endpoints(msgspec.Struct, frozen=True):
    api: str | None = None


class _Told(msgspec.Struct, frozen=True):
    token: str
    expires_at: float | None = None
    refresh_in: float | None = None
    endpoints: _Endpoints | None = None


_TOLD = msgspec.json.Decoder(_Told)


class CopilotSigner(msgspec.Struct, frozen=True, kw_only=True):
    """Puts Copilot's token and headers into a request, and sends it to the address that the token is good for.

    :param address: where the API lives for the holder of the token
    :param headers: what every request has to say of the client
    """

    token: Secret
    address: str
    headers: RawHeaders

    def sign(self, request: HttpRequest, when: datetime, /) -> HttpRequest:
        """Return the request as Copilot takes it. One to an address of the caller's own keeps that."""
        given = {name for name, _ in request.headers}
        vision = ((b"copilot-vision-request", b"true"),) if b'"image_url"' in request.body else ()
        own = tuple(pair for pair in (*self.headers, *vision) if pair[0] not in given)
        kept = tuple(pair for pair in request.headers if pair[0] != b"authorization")
        token = (b"authorization", b"Bearer " + self.token.reveal().encode("ascii"))
        is_default = parse_base_url(request.base_url).origin == parse_base_url(DEFAULT_ADDRESS).origin
        return replace(
            request,
            base_url=self.address if is_default else request.base_url,
            headers=(*kept, *own, token),
        )


class CopilotCredentials(Refreshing):
    """Copilot's short-lived tokens, each exchanged for a GitHub token when it is needed.

    :param github_token: an OAuth token of a user who has Copilot
    :param editor: name and version of the program, as Copilot wants to be told
    :param integration: id of the integration; Copilot serves those that it knows
    :param transport: to send the exchange over; by default a new one each time
    :param now: the wall clock
    """

    def __init__(
        self,
        github_token: str | Secret,
        *,
        editor: str = f"liter/{__version__}",
        integration: str = _INTEGRATION,
        transport: Transport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(now=now)
        token = github_token if isinstance(github_token, Secret) else Secret(github_token)
        text = token.reveal()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("github_token must be a GitHub token, without blanks: was it copied whole?")
        self._token = token
        self._transport = transport
        self._headers: RawHeaders = (
            (b"editor-version", _header(editor, "editor")),
            (b"editor-plugin-version", _header(editor, "editor")),
            (b"copilot-integration-id", _header(integration, "integration")),
        )

    async def fetch(self) -> Fetched:
        """Exchange the GitHub token.

        :raises AuthenticationError: GitHub does not know the token, or its user has no Copilot
        :raises LlmError: the exchange failed otherwise
        """
        request = HttpRequest(
            method="GET",
            base_url=_GITHUB,
            path=_PATH,
            headers=(
                (b"accept", b"application/json"),
                (b"user-agent", self._headers[0][1]),
                (b"authorization", b"token " + self._token.reveal().encode("ascii")),
                *self._headers,
            ),
        )
        if self._transport is not None:
            status, headers, body = await _exchange(self._transport, request)
        else:
            transport = Transport()
            try:
                status, headers, body = await _exchange(transport, request)
            finally:
                await transport.aclose()
        if status != 200:
            error = classify(body, status=status, provider=_PROVIDER, headers=headers)
            if isinstance(error, NotFoundError):
                raise AuthenticationError(
                    f"GitHub has no Copilot token for this user: {error.message}", status=status, provider=_PROVIDER
                )
            raise error
        return self._read(body)

    def _read(self, body: bytes) -> Fetched:
        try:
            told = _TOLD.decode(body)
            address = (told.endpoints and told.endpoints.api) or DEFAULT_ADDRESS
            parse_base_url(address)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            # Without its cause: that has the body, and the body has a token.
            raise AuthenticationError(
                f"GitHub's answer is no Copilot token: {type(error).__name__}", provider=_PROVIDER
            ) from None
        now = self._now()
        if told.expires_at is not None:
            expires = datetime.fromtimestamp(told.expires_at, UTC)
        else:
            expires = now + (_LIFE if told.refresh_in is None else timedelta(seconds=told.refresh_in))
        signer = CopilotSigner(token=Secret(told.token), address=address.rstrip("/"), headers=self._headers)
        return Fetched(credential=signer, expires=expires)


def _header(text: str, name: str) -> bytes:
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError(f"{name} must be printable ASCII, such as 'liter/1.0', not {text!r}")
    return text.encode("ascii")


async def _exchange(transport: Transport, request: HttpRequest) -> tuple[int, Headers, bytes]:
    """Send a request, and read its whole answer."""
    deadline = anyio.current_time() + _LIMIT
    with anyio.CancelScope(deadline=deadline):
        try:
            response = await transport.send(request, connect=_CONNECT, deadline=deadline, fresh=True)
            try:
                pieces: list[bytes] = []
                while (piece := await response.read_chunk()) and sum(map(len, pieces)) < _MOST_BYTES:
                    pieces.append(piece)
                return response.status, response.headers, b"".join(pieces)
            finally:
                await response.aclose()
        except TRANSPORT_ERRORS as error:
            raise translate(error, connect=_CONNECT) from error
    raise LlmTimeoutError(f"GitHub gave no Copilot token within {_LIMIT:g} s", provider=_PROVIDER)
