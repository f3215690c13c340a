"""Anthropic's message batches, from the server's side: a list of requests in, lines of results out."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import WINDOW, Answer, Job, JobResult
from ._simulator_steps import Data, End, Head, Step, json_answer
from ._wire_openai_operations import CREATED
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

_LIMIT = 20
# What is sent of results at a time.
_PIECE = 64 * 1024


class _Request(Struct):
    custom_id: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    params: msgspec.Raw


class _Create(Struct, forbid_unknown_fields=True):
    requests: Annotated[list[_Request], Meta(min_length=1, max_length=100_000)]


_CREATE = msgspec.json.Decoder(_Create)


class MessageBatches:
    """The batches that a simulated Anthropic works through.

    :param seconds: how long each takes
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._jobs: dict[str, Job] = {}

    def answer(self, request: ReceivedRequest, headers: Headers, answer: Answer) -> list[Step]:
        """Answer a request under ``/messages/batches``.

        :param answer: answers each request of a batch
        """
        path, _, query = request.path.partition("?")
        now = request.started
        match request.method, path.partition("/messages/batches")[2].strip("/").split("/"):
            case "POST", [""]:
                return json_answer(headers, self._told(self._create(request, answer), now))
            case "GET", [""]:
                return self._list(headers, parse_qs(query), now)
            case "GET", [batch_id]:
                told = self._told(self._find(batch_id), now)
                # While it is under way, it says when to ask again.
                return json_answer(headers if told["ended_at"] else (("retry-after", "10"), *headers), told)
            case "POST", [batch_id, "cancel"]:
                job = self._find(batch_id)
                if job.progress(now).ended is None and job.cancelled is None:
                    job.cancelled = now
                return json_answer(headers, self._told(job, now))
            case "GET", [batch_id, "results"]:
                return self._results(headers, self._find(batch_id), now)
            case _:
                raise Refusal(405, "Method Not Allowed")

    def _create(self, request: ReceivedRequest, answer: Answer) -> Job:
        try:
            asked = _CREATE.decode(request.body)
        except msgspec.DecodeError as error:
            raise Refusal(400, str(error)) from error
        results: list[JobResult] = []
        for one in asked.requests:
            if any(result.custom_id == one.custom_id for result in results):
                raise Refusal(400, f"requests: the custom_id {one.custom_id} is not unique")
            status, body = answer("/v1/messages", bytes(one.params))
            results.append(JobResult(one.custom_id, status, body))
        digest = hashlib.sha256(f"{len(self._jobs)}".encode() + request.body).hexdigest()[:24]
        job = self._jobs[f"msgbatch_{digest}"] = Job(f"msgbatch_{digest}", request.started, self._seconds, results, {})
        return job

    def _find(self, batch_id: str) -> Job:
        if batch_id not in self._jobs:
            raise Refusal(404, f"Message Batch {batch_id} not found.")
        return self._jobs[batch_id]

    def _results(self, headers: Headers, job: Job, now: float) -> list[Step]:
        progress = job.progress(now)
        if progress.ended is None:
            raise Refusal(404, f"Message Batch {job.id} has no available results.")
        lines = [_line(result) for result in progress.results]
        state = "canceled" if progress.state == "cancelled" else "expired"
        lines += [_encoded({"custom_id": name, "result": {"type": state}}) for name in progress.rest]
        content = b"".join(lines)
        pieces = [content[at : at + _PIECE] for at in range(0, len(content), _PIECE)]
        return [Head(200, (("content-type", "application/x-jsonl"), *headers)), *map(Data, pieces), End()]

    def _told(self, job: Job, now: float) -> JsonObject:
        progress = job.progress(now)
        ended, cancelled = progress.ended, job.cancelled
        over = 0 if ended is None else len(progress.rest)
        state = "in_progress" if cancelled is None else "canceling"
        return {
            "id": job.id,
            "type": "message_batch",
            "processing_status": state if ended is None else "ended",
            "request_counts": {
                "processing": len(progress.rest) - over,
                "succeeded": len(progress.results) - progress.failed,
                "errored": progress.failed,
                "canceled": over if progress.state == "cancelled" else 0,
                "expired": over if progress.state == "expired" else 0,
            },
            "created_at": _time(job.started),
            "expires_at": _time(job.started + WINDOW),
            "ended_at": None if ended is None else _time(ended),
            "cancel_initiated_at": None if cancelled is None else _time(cancelled),
            "archived_at": None,
            "results_url": None if ended is None else f"https://api.anthropic.com/v1/messages/batches/{job.id}/results",
        }

    def _list(self, headers: Headers, query: dict[str, list[str]], now: float) -> list[Step]:
        jobs = [*reversed(self._jobs.values())]
        if "after_id" in query:
            jobs = jobs[[job.id for job in jobs].index(self._find(query["after_id"][0]).id) + 1 :]
        limit = int(query.get("limit", [str(_LIMIT)])[0])
        page = [self._told(job, now) for job in jobs[:limit]]
        first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        return json_answer(headers, {"data": page, "has_more": len(jobs) > limit, "first_id": first, "last_id": last})


def _line(result: JobResult) -> bytes:
    if result.status >= 400:
        return _encoded(
            {"custom_id": result.custom_id, "result": {"type": "errored", "error": msgspec.Raw(result.body)}}
        )
    message = msgspec.json.decode(result.body)
    message["usage"]["service_tier"] = "batch"
    return _encoded({"custom_id": result.custom_id, "result": {"type": "succeeded", "message": message}})


def _encoded(line: JsonObject) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _time(started: float) -> str:
    return datetime.fromtimestamp(CREATED + started, UTC).isoformat()
