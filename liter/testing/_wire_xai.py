"""xAI's wire, from the server's side: OpenAI's, but for its batches, which tell counts, and give results in pages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from ._simulator_exchange import ReceivedRequest
from ._simulator_jobs import Job, JobResult, each
from ._simulator_model import Model
from ._simulator_steps import Step, json_answer
from ._wire_openai import OpenAIWire
from ._wire_openai_operations import CREATED
from ._wire_protocol import Headers, Refusal

JsonObject = dict[str, object]

# The largest page of results.
_PAGE_SIZE = 100
_ENDPOINT = "/v1/chat/completions"


class _Create(Struct):
    name: str
    input_file_id: str


_CREATE = msgspec.json.Decoder(_Create)


class XaiWire(OpenAIWire):
    """OpenAI's wire with xAI's batches. It is spoken to xAI's host, and under prefixes that have its name."""

    def speaks(self, request: ReceivedRequest) -> bool:
        return request.headers.get("host", "").endswith("x.ai") or "/xai/" in request.path

    def answer(self, request: ReceivedRequest, model: Model, headers: Headers) -> list[Step]:
        path, _, query = request.path.partition("?")
        if "/batches" not in path:
            return super().answer(request, model, headers)
        store, now = self._batches, request.started
        batch_id, _, verb = path.partition("/batches")[2].strip("/").replace(":", "/").partition("/")
        match request.method, batch_id, verb:
            case "POST", "", "":
                try:
                    asked = _CREATE.decode(request.body)
                except msgspec.DecodeError as error:
                    raise Refusal(400, str(error)) from error
                facts: JsonObject = {"name": asked.name}
                answer = each(self, model, request, headers)
                made = store.create("batch_", now, asked.input_file_id, _ENDPOINT, facts, answer)
                return json_answer(headers, _told(made, now))
            case "GET", "", "":
                given = parse_qs(query)
                start, size = int(given.get("pagination_token", ["0"])[0]), int(given.get("limit", ["20"])[0])
                jobs = [*reversed(store.jobs.values())]
                page = [_told(job, now) for job in jobs[start : start + size]]
                return json_answer(headers, {"batches": page, "pagination_token": _token(start + size, len(jobs))})
            case "GET", _, "":
                return json_answer(headers, _told(store.find(batch_id), now))
            case "POST", _, "cancel":
                job = store.find(batch_id)
                store.cancel(job, now)
                return json_answer(headers, _told(job, now))
            case "GET", _, "results":
                given = parse_qs(query)
                start = int(given.get("pagination_token", ["0"])[0])
                size = min(_PAGE_SIZE, int(given.get("limit", [str(_PAGE_SIZE)])[0]))
                results = store.find(batch_id).progress(now).results
                page = [_result(result) for result in results[start : start + size]]
                return json_answer(headers, {"results": page, "pagination_token": _token(start + size, len(results))})
            case _:
                raise Refusal(405, f"{request.method} is no method of {path}.")


def _told(job: Job, now: float) -> JsonObject:
    progress = job.progress(now)
    looking = progress.state == "validating"
    rest, over = len(progress.rest), progress.ended is not None
    refused = progress.state == "failed"
    return {
        "batch_id": job.id,
        "name": job.facts["name"],
        "create_time": _time(job.started),
        "expire_time": _time(job.started + 30 * 24 * 3600),
        "cancel_time": None if job.cancelled is None else _time(job.cancelled),
        "cancel_by_xai_message": str(job.errors[0]["message"]) if refused else None,
        "state": {
            "num_requests": 0 if looking or refused else len(progress.results) + rest,
            "num_pending": 0 if looking or refused or over else rest,
            "num_success": len(progress.results) - progress.failed,
            "num_error": progress.failed,
            "num_cancelled": rest if over and not refused else 0,
        },
    }


def _result(result: JobResult) -> JsonObject:
    if result.status >= 400:
        message: Sequence[str] | str = msgspec.json.decode(result.body)["error"]["message"]
        outcome: JsonObject = {"error": {"code": 3 if result.status == 400 else 13, "message": message}}
    else:
        outcome = {"response": {"chat_get_completion": msgspec.Raw(result.body)}}
    return {"batch_request_id": result.custom_id, "batch_result": outcome}


def _token(end: int, count: int) -> str | None:
    return str(end) if end < count else None


def _time(started: float) -> str:
    return datetime.fromtimestamp(CREATED + started, UTC).isoformat()
