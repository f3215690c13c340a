"""The Gemini API's batches, from the server's side: long-running operations."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import Answer, Job, JobResult
from ._wire_openai_operations import CREATED
from ._wire_protocol import Refusal

JsonObject = dict[str, object]

BATCHES = re.compile(r"/batches(?:/([^/:]+))?(?::(cancel))?$")

_STATES = {"validating": "PENDING", "in_progress": "RUNNING", "completed": "SUCCEEDED", "cancelling": "RUNNING"}
_LIMIT = 20


class _Facts(Struct, frozen=True):
    key: str = ""


class _Request(Struct):
    request: msgspec.Raw
    metadata: _Facts = _Facts()


class _Requests(Struct):
    requests: Annotated[list[_Request], Meta(min_length=1)]


class _Input(Struct):
    requests: _Requests


class _Batch(Struct, rename="camel"):
    display_name: str
    input_config: _Input


class _Create(Struct):
    batch: _Batch


_CREATE = msgspec.json.Decoder(_Create)


class GeminiBatches:
    """The batches that a simulated Gemini API works through.

    :param seconds: how long each takes
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._jobs: dict[str, Job] = {}

    def create(self, request: ReceivedRequest, model: str, answer: Answer) -> JsonObject:
        """Make a batch of requests for one model.

        :param answer: answers each of them
        """
        try:
            asked = _CREATE.decode(request.body).batch
        except msgspec.DecodeError as error:
            raise Refusal(400, str(error)) from error
        path = f"/v1beta/models/{model}:generateContent"
        results = [
            JobResult(one.metadata.key, *answer(path, bytes(one.request)))
            for one in asked.input_config.requests.requests
        ]
        digest = hashlib.sha256(f"{len(self._jobs)}".encode() + request.body).hexdigest()[:24]
        facts: JsonObject = {"model": f"models/{model}", "displayName": asked.display_name}
        job = self._jobs[digest] = Job(f"batches/{digest}", request.started, self._seconds, results, facts)
        return self._told(job, request.started)

    def answer(self, request: ReceivedRequest) -> JsonObject:
        """Answer a request under ``/batches``."""
        path, _, query = request.path.partition("?")
        found = BATCHES.search(path)
        batch_id, verb = (None, None) if found is None else found.groups()
        now = request.started
        if batch_id is None:
            asked = parse_qs(query)
            start, size = int(asked.get("pageToken", ["0"])[0]), int(asked.get("pageSize", [str(_LIMIT)])[0])
            jobs = [*reversed(self._jobs.values())]
            more: JsonObject = {"nextPageToken": str(start + size)} if len(jobs) > start + size else {}
            return {"operations": [self._told(job, now) for job in jobs[start : start + size]], **more}
        job = self._jobs.get(batch_id)
        if job is None:
            raise Refusal(404, f"Batch {batch_id} not found.")
        if verb is None:
            return self._told(job, now)
        if job.cancelled is None:
            job.cancelled = now
        return {}

    def _told(self, job: Job, now: float) -> JsonObject:
        progress = job.progress(now)
        state = _STATES.get(progress.state, progress.state.upper())
        done = len(progress.results)
        counts = {
            "requestCount": done + len(progress.rest),
            "successfulRequestCount": done - progress.failed,
            "failedRequestCount": progress.failed,
            "pendingRequestCount": len(progress.rest),
        }
        told: JsonObject = {
            "name": job.id,
            "metadata": {
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
                **job.facts,
                "createTime": _time(job.started),
                "updateTime": _time(now),
                # Google leaves out what is zero, and writes 64-bit integers as text.
                "batchStats": {name: str(count) for name, count in counts.items() if count},
                "state": f"BATCH_STATE_{state}",
                "name": job.id,
                **({} if progress.ended is None else {"endTime": _time(progress.ended)}),
            },
        }
        if progress.ended is not None:
            told["done"] = True
            told["response"] = {"inlinedResponses": {"inlinedResponses": [_result(one) for one in progress.results]}}
        return told


def _result(result: JobResult) -> JsonObject:
    body = msgspec.json.decode(result.body)
    what = {"response": body} if result.status < 400 else {"error": body["error"]}
    return {**what, "metadata": {"key": result.custom_id}}


def _time(started: float) -> str:
    return datetime.fromtimestamp(CREATED + started, UTC).isoformat().replace("+00:00", "Z")
