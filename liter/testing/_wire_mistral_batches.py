"""Mistral's batch jobs, from the server's side: OpenAI's files of lines, told of in words of its own."""

from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import Answer, Job
from ._simulator_steps import Step, json_answer
from ._wire_openai_batches import BatchesStore
from ._wire_openai_operations import CREATED
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

_STATUS = {
    "validating": "QUEUED",
    "in_progress": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILED",
    "cancelling": "CANCELLATION_REQUESTED",
    "cancelled": "CANCELLED",
    "expired": "TIMEOUT_EXCEEDED",
}


class _Create(Struct, forbid_unknown_fields=True):
    input_files: Annotated[list[str], Meta(min_length=1)]
    endpoint: str
    model: str
    metadata: dict[str, str] | None = None
    timeout_hours: Annotated[int, Meta(ge=1, le=168)] = 24


_CREATE = msgspec.json.Decoder(_Create)


class BatchJobs:
    """The jobs of a simulated Mistral, kept as OpenAI's batches."""

    def __init__(self, store: BatchesStore) -> None:
        self._store = store

    def answer(self, request: ReceivedRequest, headers: Headers, answer: Answer) -> list[Step]:
        """Answer a request under ``/batch/jobs``."""
        path, _, query = request.path.partition("?")
        store, now = self._store, request.started
        match request.method, path.partition("/batch/jobs")[2].strip("/").split("/"):
            case "POST", [""]:
                try:
                    asked = _CREATE.decode(request.body)
                except msgspec.DecodeError as error:
                    raise Refusal(422, str(error)) from error
                facts: JsonObject = {
                    "input_files": asked.input_files,
                    "endpoint": asked.endpoint,
                    "model": asked.model,
                    "metadata": asked.metadata,
                }
                job = store.create("", now, asked.input_files[0], asked.endpoint, facts, answer)
                return json_answer(headers, self._told(job, now))
            case "GET", [""]:
                asked_for = parse_qs(query)
                page, size = int(asked_for.get("page", ["0"])[0]), int(asked_for.get("page_size", ["100"])[0])
                jobs = [*reversed(store.jobs.values())]
                data = [self._told(job, now) for job in jobs[page * size : (page + 1) * size]]
                return json_answer(headers, {"object": "list", "data": data, "total": len(jobs)})
            case "GET", [job_id]:
                return json_answer(headers, self._told(store.find(job_id), now))
            case "POST", [job_id, "cancel"]:
                job = store.find(job_id)
                store.cancel(job, now)
                return json_answer(headers, self._told(job, now))
            case _:
                raise Refusal(405, "Method Not Allowed")

    def _told(self, job: Job, now: float) -> JsonObject:
        progress = job.progress(now)
        output, error = self._store.outputs(job, progress)
        done = len(progress.results)
        return {
            "id": job.id,
            "object": "batch",
            **job.facts,
            "output_file": output,
            "error_file": error,
            "errors": [{"message": one["message"], "count": 1} for one in job.errors] if progress.ended else [],
            "outputs": None,
            "status": _STATUS[progress.state],
            "created_at": CREATED + int(job.started),
            "total_requests": done + len(progress.rest),
            "completed_requests": done,
            "succeeded_requests": done - progress.failed,
            "failed_requests": progress.failed,
            "started_at": None if progress.state == "validating" else CREATED + int(job.started) + 1,
            "completed_at": None if progress.ended is None else CREATED + int(progress.ended),
        }
