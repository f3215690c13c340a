"""OpenAI's batches, from the server's side: files of requests in, files of results out."""

import hashlib
import re
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import WINDOW, Answer, Job, JobResult, Progress
from ._simulator_steps import Step, json_answer
from ._wire_openai_files import FilesStore
from ._wire_openai_operations import CREATED
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

_LIMIT = 20
_ENDPOINTS = re.compile(
    r"(/v1)?/(chat/completions|completions|responses|embeddings|moderations|images/generations|fim/completions|ocr)"
)


class _Create(Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: JsonObject | None = None


class Line(Struct):
    """A line of an input file. Mistral's tell no method and no address."""

    custom_id: str
    body: msgspec.Raw
    method: str = "POST"
    url: str | None = None


_CREATE = msgspec.json.Decoder(_Create)
_LINE = msgspec.json.Decoder(Line)


class BatchesStore:
    """The batches that a simulated provider works through.

    :param seconds: how long each takes
    """

    def __init__(self, files: FilesStore, seconds: float) -> None:
        self.files = files
        self._seconds = seconds
        self.jobs: dict[str, Job] = {}
        self._outputs: dict[str, tuple[str | None, str | None]] = {}

    def answer(self, request: ReceivedRequest, headers: Headers, answer: Answer) -> list[Step]:
        """Answer a request under ``/batches``.

        :param answer: answers each request of a batch
        """
        path, _, query = request.path.partition("?")
        match request.method, path.partition("/batches")[2].strip("/").split("/"):
            case "POST", [""]:
                try:
                    asked = _CREATE.decode(request.body)
                except msgspec.DecodeError as error:
                    raise Refusal(400, str(error)) from error
                if asked.completion_window != "24h":
                    raise Refusal(400, f"Invalid completion_window: {asked.completion_window}")
                facts: JsonObject = {
                    "endpoint": asked.endpoint,
                    "input_file_id": asked.input_file_id,
                    "completion_window": asked.completion_window,
                    "metadata": asked.metadata,
                }
                job = self.create("batch_", request.started, asked.input_file_id, asked.endpoint, facts, answer)
                return json_answer(headers, self._told(job, request.started))
            case "GET", [""]:
                return self._list(headers, parse_qs(query), request.started)
            case "GET", [batch_id]:
                return json_answer(headers, self._told(self.find(batch_id), request.started))
            case "POST", [batch_id, "cancel"]:
                job = self.find(batch_id)
                self.cancel(job, request.started)
                return json_answer(headers, self._told(job, request.started))
            case _:
                raise Refusal(405, f"{request.method} is no method of {path}.")

    def create(
        self,
        prefix: str,
        started: float,
        file_id: str,
        endpoint: str,
        facts: JsonObject,
        answer: Answer,
    ) -> Job:
        """Make a job of a file of requests.

        :param started: when, in seconds of the event loop
        :param answer: answers each of them
        """
        if not _ENDPOINTS.fullmatch(endpoint):
            raise Refusal(400, f"Invalid endpoint: {endpoint}", param="endpoint")
        content = self.files.content(file_id)
        results: list[JobResult] = []
        errors: list[JsonObject] = []
        model: object = None
        for number, text in enumerate(content.splitlines(), 1):
            try:
                line = _LINE.decode(text)
            except msgspec.DecodeError as error:
                errors.append({"code": "invalid_json_line", "line": number, "message": str(error), "param": None})
                continue
            if line.url not in (None, endpoint):
                told = f"The URL provided for this request does not match the batch endpoint {endpoint}."
                errors.append({"code": "mismatched_url", "line": number, "message": told, "param": "url"})
                continue
            if any(result.custom_id == line.custom_id for result in results):
                told = f"The custom_id {line.custom_id} is used more than once."
                errors.append({"code": "duplicate_custom_id", "line": number, "message": told, "param": "custom_id"})
                continue
            status, body = answer(endpoint, bytes(line.body))
            results.append(JobResult(line.custom_id, status, body))
            model = model or msgspec.json.decode(line.body).get("model")
        digest = hashlib.sha256(f"{len(self.jobs)} {file_id}".encode()).hexdigest()[:24]
        job = Job(f"{prefix}{digest}", started, self._seconds, results, {"model": model, **facts}, errors)
        self.jobs[job.id] = job
        return job

    def find(self, batch_id: str) -> Job:
        """A job by its id. :raises Refusal: there is none"""
        if batch_id not in self.jobs:
            raise Refusal(404, f"No batch found with id '{batch_id}'.")
        return self.jobs[batch_id]

    def cancel(self, job: Job, now: float) -> None:
        """Stop a job."""
        if job.progress(now).ended is not None:
            raise Refusal(409, f"Cannot cancel a batch with status '{job.progress(now).state}'.")
        job.cancelled = job.cancelled if job.cancelled is not None else now

    def outputs(self, job: Job, progress: Progress) -> tuple[str | None, str | None]:
        """The ids of the files of a job's good results, and of the others; there are none before its end."""
        if progress.ended is None or progress.state == "failed":
            return None, None
        if job.id not in self._outputs:
            good = [_line(result) for result in progress.results if result.status < 400]
            bad = [_line(result) for result in progress.results if result.status >= 400]
            bad += [_unserved(name, progress.state) for name in progress.rest]
            made: list[str | None] = []
            for kind, lines in (("output", good), ("error", bad)):
                file = self.files.add(f"{job.id}_{kind}.jsonl", b"".join(lines), "batch_output") if lines else {}
                made.append(None if not lines else str(file["id"]))
            self._outputs[job.id] = made[0], made[1]
        return self._outputs[job.id]

    def _told(self, job: Job, now: float) -> JsonObject:
        progress = job.progress(now)
        output, error = self.outputs(job, progress)
        created = CREATED + int(job.started)
        ended = None if progress.ended is None else CREATED + int(progress.ended)
        total = 0 if progress.state in ("validating", "failed") else len(progress.results) + len(progress.rest)
        return {
            "id": job.id,
            "object": "batch",
            **job.facts,
            "errors": {"object": "list", "data": job.errors} if progress.state == "failed" else None,
            "status": progress.state,
            "output_file_id": output,
            "error_file_id": error,
            "created_at": created,
            "in_progress_at": None if progress.state in ("validating", "failed") else created + 1,
            "expires_at": created + int(WINDOW),
            "cancelling_at": None if job.cancelled is None else CREATED + int(job.cancelled),
            **{
                f"{state}_at": ended if progress.state == state else None
                for state in ("completed", "failed", "expired", "cancelled")
            },
            "request_counts": {
                "total": total,
                "completed": len(progress.results) - progress.failed,
                "failed": progress.failed,
            },
        }

    def _list(self, headers: Headers, query: dict[str, list[str]], now: float) -> list[Step]:
        jobs = [*reversed(self.jobs.values())]
        if "after" in query:
            jobs = jobs[[job.id for job in jobs].index(self.find(query["after"][0]).id) + 1 :]
        limit = int(query.get("limit", [str(_LIMIT)])[0])
        page = [self._told(job, now) for job in jobs[:limit]]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return json_answer(headers, {"object": "list", "data": page, "has_more": len(jobs) > limit, **ends})


def _line(result: JobResult) -> bytes:
    digest = hashlib.sha256(result.custom_id.encode() + result.body).hexdigest()
    response = {"status_code": result.status, "request_id": digest[32:], "body": msgspec.Raw(result.body)}
    told = {"id": f"batch_req_{digest[:24]}", "custom_id": result.custom_id, "response": response, "error": None}
    return msgspec.json.encode(told) + b"\n"


def _unserved(custom_id: str, state: str) -> bytes:
    why = "before the completion window expired" if state == "expired" else "as the batch was cancelled"
    error = {"code": f"batch_{state}", "message": f"This request could not be executed {why}."}
    digest = hashlib.sha256(custom_id.encode()).hexdigest()[:24]
    told = {"id": f"batch_req_{digest}", "custom_id": custom_id, "response": None, "error": error}
    return msgspec.json.encode(told) + b"\n"
