"""How a key goes into a request."""

from typing import Literal

import msgspec

from .._http import RawHeaders
from .._secret import BearerToken, Secret
from ._headers import credential

# Tokens of Entra ID are JSON Web Tokens, which all begin so; Azure's keys are hexadecimal, or have no such beginning.
_TOKEN = b"eyJ"


class Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a provider wants to be told who is calling.

    :param kind: ``bearer``: a key or token in the authorization header; ``header``: in a header of its own;
        ``azure``: likewise, but tokens of Entra ID in the authorization header; ``query``: in the URL; ``basic``: user
        name and password; ``sigv4``, ``oci``: requests are signed; ``google``: a bearer token that google-auth fetches;
        ``copilot``: one that a GitHub token is exchanged for; ``none``: all are welcome, but a key may be given
    :param header: the header's name, for ``header`` and ``azure``
    :param value: the header's value, in which ``{key}`` stands for the key
    :param parameter: the query parameter's name, for ``query``
    :param service: the name that goes into the signature, for ``sigv4``
    :param scope: what the token is for, for ``google``
    """

    kind: Literal["bearer", "header", "azure", "query", "basic", "sigv4", "google", "copilot", "oci", "none"] = "bearer"
    header: str = "authorization"
    value: str = "{key}"
    parameter: str = ""
    service: str = ""
    scope: str = ""

    def headers(self, key: Secret | None) -> RawHeaders:
        """The headers that a key makes; none without a key.

        :raises InvalidHeaderError: the key has blanks or characters that no header can carry
        """
        if not key:
            return ()
        text = credential(key)
        token = isinstance(key, BearerToken) or (self.kind == "azure" and text.startswith(_TOKEN))
        if token or self.kind not in ("header", "azure"):
            return ((b"authorization", b"Bearer " + text),)
        before, _, after = self.value.partition("{key}")
        return ((self.header.lower().encode(), before.encode() + text + after.encode()),)


BEARER = Auth()
