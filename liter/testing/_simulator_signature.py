"""Checks the signature of a request as AWS does."""

import hashlib
import hmac
import re

from ..credentials import AwsKeys
from ..credentials._sigv4 import ALGORITHM, canonical_request, signature, string_to_sign
from ._simulator_exchange import ReceivedRequest
from ._wire_protocol import Refusal

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/]+)/((\d{{8}})/[a-z0-9-]+/bedrock/aws4_request), "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def check_signature(request: ReceivedRequest, keys: AwsKeys | None) -> None:
    """Check the signature of a request. The time of signing is not compared with any clock.

    :param keys: what it must be signed with; ``None``: it only has to be well formed
    :raises Refusal: as AWS would refuse it
    """
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    stamp = request.headers.get("x-amz-date", "")
    if match is None or not stamp.startswith(match.group(3)):
        raise Refusal(403, "The authorization header is not well formed.", code="IncompleteSignatureException")
    key_id, scope, _, signed, proof = match.groups()
    if keys is None:
        return
    if key_id != keys.access_key_id:
        message = "The security token included in the request is invalid."
        raise Refusal(403, message, code="UnrecognizedClientException")
    names = signed.split(";")
    canonical, _ = canonical_request(
        request.method,
        request.path,
        [(name, request.headers.get(name, "")) for name in names],
        hashlib.sha256(request.body).hexdigest(),
    )
    expected = signature(keys.secret_access_key, scope, string_to_sign(canonical, stamp, scope))
    if not hmac.compare_digest(expected, proof) or not {"host", "x-amz-date"} <= set(names):
        message = "The request signature we calculated does not match the signature you provided."
        raise Refusal(403, message, code="InvalidSignatureException")
