"""One accounting over all recorded traffic: which codec each exchange is assigned to, and what of it is lost."""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from ._accounting import OPERATIONS, assigned, lost, provider_of, refused
from .conftest import RECORDINGS, Record

_WANTED = re.compile(r'"operation": ?"(?:' + "|".join(OPERATIONS) + '")')

# What is not decoded, or not as a plain reading has it, by id and with the reason.
REASONS: Mapping[str, tuple[str, ...]] = {
    "Anthropic's text completions, which no model that is served has": (
        "23d346dcc55fe3ac22b7", "7fdc39dd0e00a7dc5d4e", "b2112d872aacdc1d0b7c", "dd06af81b7c9a4096be3",
        "e552dc4f9444d20c6be1", "a976e259a9d0be964ea6",
    ),
    "two replies in one stream, the first of them cut: made by hand for a test of its repository": (
        "e0747f4b4077bef35bdc",
    ),
    "the recorder put a stream of the chat API under the path of Responses": (
        "f6d3879bb7fee70f83eb", "c77cfc3bc65cef4c6751", "102680f73832644c80c8", "10073822c8728a8415b8",
        "ea486f54f6ffdcbb97f1",
    ),
    "OpenAI's form by InvokeModel; liter speaks Converse to these models": (
        "a3808fe43e30475439e4", "22a3874adb48464202a6", "bc89d1e4a98557acc332", "29d2f82f1e05a3438f2c",
        "97c06d7e1d72fcc556b1", "c84ce8cae8cbc4444fa7", "351460c78e889637b0f6", "e7f3a221b8ef6fcb6ce8",
        "4c36d3c261d4693555c3", "575d9b2b71d84ff96044",
    ),
    "a plain prompt by InvokeModel; liter speaks Converse to those of these models that have it": (
        "429cbce3e06acedc21af", "ad7f113e48624c07dcfe", "b2dbf4eeeec817f49ee4", "a4ca46272bf90134b772",
        "2d81a05469399a2dcb3c", "132f919bfab20bc92f3e", "7f097b9b7ce1e70bd7b2", "c0919c146d6cf8706dcb",
        "754ea8122f3b4bef0b9b", "2e6e48b67cf96491666a", "e386806e7765310ed758", "e6b6c96cc671b641931b",
        "863ed71c4870cd5d0fd8", "b7b3b59b7de995e30e53", "52039950ce1db76184dc", "1db39dcdf5ce157a09e8",
        "2238f7555318480474cc", "e2b8d80135eb2481d6bb", "7493d13b21711d059440", "9bb7e3055159b8ea0f68",
        "05bd966ae6bdade7b5dc", "4329eb47fcabf189fbe4", "1455bc0f4598d9779d7f", "e041702aabe07ec42ef0",
    ),
    "the recorder left a quotation mark after the last event": (
        "df5eef632793644399f8",
    ),
    "Cohere's first version of chats; liter speaks the second": (
        "dfb8155bfd07c83d49a8", "6f75fe318a57fffe19cf", "c56bbf9a6d503e419341", "ed51304418c7564706ef",
        "fc581f192b2e6a8b83ea", "b508f7f0f5ed6b3785f6", "01ae954561a061ce086a", "8f3ec78f23526d4725c8",
        "9953e9ff33ef684f01c3", "1289231a8abf2017a6f9", "b171881b66a18d313b4c", "424dfed84883383a5ca9",
    ),
    "its thoughts stand in its text, and its citation counts from behind them": (
        "07f0776f1f6ba13b63a3",
    ),
    "Cohere's text generation, which is no longer served": (
        "ee8fb6080faa293c415c", "a0ba173730be1e6e0e81", "36385e8ad42a14b491c6", "7d4e5ec92574129b82cc",
        "52c6e807c597ca79458f",
    ),
    "Ollama's generation of text; liter speaks OpenAI's completions to it": (
        "e466e812b986cfdc5550", "c9847b6693c94393ab3f", "e7f78d88efa8e60f4966", "02e1dc5457a10ea25c0a",
        "3209cf9b27f1465bc44e", "559d819908ce09457d76", "de6ddd2a7d06b875ac58", "140766a3ab1c29ee71b7",
        "60074ea2dd4788c128f0",
    ),
    "the compaction of a conversation is no operation of liter's": (
        "e26069d456bed9a5c1af", "e2170a33797420016759", "9c1dd368c51244618023",
    ),
    "a beta of watsonx' text generation": (
        "757e249ad6a04530edd3", "417a945b1857a741d240",
    ),
}  # fmt: skip
EXCEPTIONS: Mapping[str, str] = {name: reason for reason, names in REASONS.items() for name in names}


# What is asked in a form that liter speaks.
SPOKEN = frozenset({"chat", "responses", "messages", "generate_content", "converse", "embeddings"})


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Every recorded exchange that makes text or vectors."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recorded traffic at {RECORDINGS}")
    return list(_all())


def _all() -> Iterator[Record]:
    for path in sorted(RECORDINGS.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                # The others are not even parsed.
                if _WANTED.search(line):
                    record = json.loads(line)
                    if record["operation"] in OPERATIONS:
                        yield record


def test_ninety_nine_in_a_hundred_decode_without_loss(records, events_of):
    """Text, calls, reasoning, stop reasons, usage, vectors and errors; all others are listed, each with its reason."""
    rng = random.Random(7)
    counts, wrong = Counter(), {}
    for record in records:
        counts[record["operation"]] += 1
        whose = assigned(record)
        if record["status"] >= 400:
            told = refused(record, provider_of(record, ""))
        else:
            told = "no operation" if whose is None else lost(record, whose, events_of, rng)
        if told:
            wrong[record["id"]] = (record["provider"], record["operation"], record["path"][-70:], told)
    unlisted = {name: told for name, told in wrong.items() if name not in EXCEPTIONS}
    assert not unlisted
    assert not EXCEPTIONS.keys() - wrong.keys(), "what is listed, and is decoded now"
    assert counts.total() > 8000
    assert len(wrong) <= counts.total() * 0.01
    newest = {record["id"]: record["operation"] for record in records if record["operation"] in SPOKEN}
    assert len(wrong.keys() & newest.keys()) <= len(newest) * 0.004
