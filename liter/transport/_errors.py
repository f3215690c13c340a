"""Translates what httpcore and the network raise into our errors: the one table at this edge."""

import ssl

import anyio
import httpcore

from .._errors import InternalError, LlmError, LlmTimeoutError, NetworkError

# What a transport may raise. httpcore's errors have no common root, so they stand one by one.
TRANSPORT_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    OSError,
)


def translate(error: Exception, *, connect: float | None = None) -> LlmError:
    """Make the error that tells a caller what happened. Raise it ``from`` the other.

    :param connect: the connect limit in seconds, for the message
    """
    told = str(error) or type(error).__name__
    match error:
        case httpcore.ConnectTimeout():
            limit = "" if connect is None else f" within {connect:g} s"
            return LlmTimeoutError(f"could not connect{limit}", limit="connect", seconds=connect)
        case httpcore.PoolTimeout():
            return LlmTimeoutError(told, limit="connect")
        case httpcore.TimeoutException():
            return LlmTimeoutError(told)
        case httpcore.ProxyError():
            return NetworkError(f"the proxy refused: {told}", connected=False)
        case httpcore.ConnectError():
            return NetworkError(f"could not connect: {told}", connected=False, retryable=not _is_certificate(error))
        case httpcore.LocalProtocolError() | httpcore.UnsupportedProtocol():
            return InternalError(f"liter made a request that is not HTTP: {told}")
        case httpcore.RemoteProtocolError():
            return NetworkError(told)
        case _:
            return NetworkError(f"the connection broke: {told}")


def _is_certificate(error: BaseException | None) -> bool:
    """Whether a certificate was refused: trying again does not make it a better one."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
