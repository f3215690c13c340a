"""Signature Version 4 against published vectors."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._http import HttpRequest
from liter._secret import Secret
from liter.credentials._sigv4 import (
    ALGORITHM,
    AwsKeys,
    SigV4Signer,
    amz_date,
    canonical_request,
    signature,
    string_to_sign,
)

VECTORS = Path(__file__).parents[2] / "../shared/vectors/sigv4.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["cases"] if VECTORS.exists() else []
SUITE = [case for case in CASES if "query" in case]
BEDROCK = [case for case in CASES if case["name"].startswith("bedrock: ")]
MANTLE = [case for case in CASES if "as_published" in case]

# The credentials of AWS's published examples.
KEYS = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BODY = b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}'
REQUEST = HttpRequest(
    method="POST",
    base_url="https://bedrock-runtime.us-east-1.amazonaws.com",
    path="/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
    headers=((b"content-type", b"application/json"), (b"accept", b"application/json")),
    body=BODY,
)


def header(request: HttpRequest, name: bytes) -> str:
    [value] = [value for key, value in request.headers if key == name]
    return value.decode()


def check(told: Mapping[str, Any], canonical: str, signed: str, context: Mapping[str, Any]) -> None:
    """Compare all stages of a signature with a vector's."""
    stamp = amz_date(datetime.fromisoformat(context["timestamp"]))
    scope = f"{stamp[:8]}/{context['region']}/{context['service']}/aws4_request"
    text = string_to_sign(canonical, stamp, scope)
    assert canonical == told["canonical_request"]
    assert text == told["string_to_sign"]
    secret = Secret(context["credentials"]["secret_access_key"])
    assert signature(secret, scope, text) == told["signature"]
    assert canonical.split("\n")[-2] == signed


@pytest.mark.skipif(not CASES, reason=f"no vectors at {VECTORS}")
def test_all_vectors_are_there():
    """The vectors are not skipped by halves."""
    assert (len(SUITE), len(BEDROCK), len(MANTLE)) == (38, 5, 1)


@pytest.mark.parametrize("case", SUITE, ids=lambda case: case["name"])
def test_a_vector_of_the_suite_signed_in_headers(case):
    """Canonical request, text to sign and signature are those of AWS's suite."""
    context, request = case["context"], case["request"]
    body_hash = hashlib.sha256(request["body"].encode()).hexdigest()
    headers = [*request["headers"], ["X-Amz-Date", amz_date(datetime.fromisoformat(context["timestamp"]))]]
    token = context["credentials"].get("token")
    if token and not context.get("omit_session_token"):
        headers.append(["X-Amz-Security-Token", token])
    if context["sign_body"]:
        headers.append(["x-amz-content-sha256", body_hash])
    canonical, signed = canonical_request(
        request["method"], request["target"], headers, body_hash, normalize=context["normalize"]
    )
    check(case["header"], canonical, signed, context)


@pytest.mark.parametrize("case", SUITE, ids=lambda case: case["name"])
def test_a_vector_of_the_suite_signed_in_the_query(case):
    """The same with the signature's facts in the query, as presigned addresses have them."""
    context, request = case["context"], case["request"]
    stamp = amz_date(datetime.fromisoformat(context["timestamp"]))
    names = ";".join(sorted({name.lower() for name, _ in request["headers"]}))
    scope = f"{stamp[:8]}/{context['region']}/{context['service']}/aws4_request"
    facts = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{context['credentials']['access_key_id']}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-SignedHeaders": names,
        "X-Amz-Expires": str(context["expiration_in_seconds"]),
    }
    token = context["credentials"].get("token")
    if token and not context.get("omit_session_token"):
        facts["X-Amz-Security-Token"] = token
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in facts.items())
    target = request["target"] + ("&" if "?" in request["target"] else "?") + query
    canonical, signed = canonical_request(
        request["method"],
        target,
        request["headers"],
        hashlib.sha256(request["body"].encode()).hexdigest(),
        normalize=context["normalize"],
    )
    check(case["query"], canonical, signed, context)


@pytest.mark.parametrize("case", BEDROCK, ids=lambda case: case["name"])
def test_a_vector_for_bedrock(case):
    """A finished request is signed as botocore signs it: the encoded path is encoded once more."""
    context = case["context"]
    credentials = context["credentials"]
    token = credentials.get("token")
    keys = AwsKeys(
        access_key_id=credentials["access_key_id"],
        secret_access_key=Secret(credentials["secret_access_key"]),
        session_token=Secret(token) if token else None,
    )
    url = urlsplit(case["request"]["url"])
    content_type = ((b"content-type", b"application/json"),) if case["request"]["method"] == "POST" else ()
    request = HttpRequest(
        method=case["request"]["method"],
        base_url=f"{url.scheme}://{url.netloc}",
        path=url.path + (f"?{url.query}" if url.query else ""),
        headers=(*content_type, (b"traceparent", b"00-0-0-00")),
        body=case["request"]["body"].encode(),
    )
    signed = SigV4Signer(keys=keys, region=context["region"]).sign(
        request, datetime.fromisoformat(context["timestamp"])
    )
    assert header(signed, b"authorization") == case["header"]["authorization"]
    assert header(signed, b"x-amz-date") == case["header"]["x-amz-date"]
    assert signed.headers[: len(request.headers)] == request.headers
    assert (signed.body, signed.target) == (request.body, request.target)


@pytest.mark.parametrize("case", MANTLE, ids=lambda case: case["name"])
def test_a_vector_for_bedrock_with_a_hash_of_the_body(case):
    """The host tells region and service, and is told the hash of the body, which is signed too."""
    told = case["as_published"]
    url = urlsplit(told["request"]["url"])
    keys = AwsKeys(
        access_key_id=told["credentials"]["accessKeyId"],
        secret_access_key=Secret(told["credentials"]["secretAccessKey"]),
        session_token=Secret(told["credentials"]["sessionToken"]),
    )
    request = HttpRequest(
        method="POST",
        base_url=f"{url.scheme}://{url.netloc}",
        path=url.path,
        headers=((b"content-type", told["request"]["contentType"].encode()),),
        body=told["request"]["body"].encode(),
    )
    signed = SigV4Signer(keys=keys).sign(request, datetime.fromisoformat(told["signingDate"]))
    assert header(signed, b"x-amz-content-sha256") == told["expected"]["payloadHash"]
    assert header(signed, b"authorization") == told["expected"]["authorization"]


@pytest.mark.parametrize(
    ("token", "proof"),
    [
        (None, "867cc07812a3c633adf47a4d2af4cc0f4bf932cc518f86a733825b070e44b986"),
        ("SESSIONTOKEN", "84c4476daaeeaaf4f7e21d6476b9df07fc3d3240093c918eda14f9eccd9fad0f"),
    ],
)
def test_a_request_to_converse(token, proof):
    """The signature of a chat request is the one that botocore makes, with and without a session token."""
    keys = AwsKeys(
        access_key_id=KEYS.access_key_id,
        secret_access_key=KEYS.secret_access_key,
        session_token=Secret(token) if token else None,
    )
    signed = SigV4Signer(keys=keys, region="us-east-1").sign(REQUEST, WHEN)
    assert header(signed, b"authorization").endswith(f"Signature={proof}")


def test_a_request_is_signed_anew():
    """What an earlier signature left behind is replaced, and the time may be of any zone."""
    signer = SigV4Signer(keys=KEYS, region="us-east-1")
    once = signer.sign(REQUEST, WHEN - timedelta(minutes=1))
    again = signer.sign(once, WHEN.astimezone(timezone(timedelta(hours=5))))
    assert again == signer.sign(REQUEST, WHEN)


def test_a_port_that_is_not_the_usual_one_is_signed():
    """The host is signed as the transport sends it."""
    canonical, _ = canonical_request("POST", "/", [("host", "localhost:8080")], "")
    assert "host:localhost:8080\n" in canonical
    local = HttpRequest(method="POST", base_url="http://localhost:8080/x", path="/y")
    plain = HttpRequest(method="POST", base_url="http://localhost/x", path="/y")
    signer = SigV4Signer(keys=KEYS, region="us-east-1")
    assert header(signer.sign(local, WHEN), b"authorization") != header(signer.sign(plain, WHEN), b"authorization")


def test_a_time_without_a_zone_is_refused():
    """A naive time could be any: nothing is signed with it, and nothing goes out unsigned."""
    with pytest.raises(ValueError, match="time zone"):
        SigV4Signer(keys=KEYS, region="us-east-1").sign(REQUEST, WHEN.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"access_key_id": "AKID\n"}, "access_key_id"),
        ({"access_key_id": ""}, "must not be empty"),
        ({"secret_access_key": Secret("")}, "must not be empty"),
        ({"session_token": Secret("tökën")}, "session_token"),
    ],
)
def test_keys_that_cannot_be_right(fields, complaint):
    """Keys that no header can carry are refused when they are made."""
    with pytest.raises(ValueError, match=complaint):
        AwsKeys(**{"access_key_id": "AKIDEXAMPLE", "secret_access_key": Secret("secret"), **fields})


def test_keys_do_not_show():
    """Neither secret nor token is in the text of keys or signer."""
    keys = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("hush"), session_token=Secret("hush"))
    assert "hush" not in repr(SigV4Signer(keys=keys, region="us-east-1"))


@given(st.text("/.a%~ é", max_size=30))
def test_a_normal_path_is_one_already(path):
    """Normalising is idempotent, and the path always begins with a slash."""
    canonical, _ = canonical_request("GET", "/" + path, [("host", "h")], "")
    line = canonical.split("\n")[1]
    assert line.startswith("/")
    assert "//" not in line
    assert not {".", ".."} & set(line.split("/"))
