"""A server that speaks the wires of providers, and fails as they do: for tests, the same each time."""

import random
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSListener

from ..credentials import AwsKeys
from ._faults import FAULTS, Fault, HtmlPage, Refuse
from ._network import MemoryNetwork
from ._network_stream import BUFFER_SIZE, MemoryStream
from ._request_limit import RequestLimit
from ._simulator_exchange import Connections, Exchange, Incoming, Ledger, ReceivedRequest
from ._simulator_http2 import PREFACE, serve_http2
from ._simulator_http11 import GONE, serve_http11
from ._simulator_jobs import BATCH_SECONDS
from ._simulator_model import Model, ModelReply, Replier
from ._simulator_steps import Step, whole_answer, with_latency
from ._wire_anthropic import AnthropicWire
from ._wire_azure import AzureWire
from ._wire_bedrock import BedrockWire
from ._wire_cohere import CohereWire
from ._wire_document_intelligence import DocumentIntelligenceWire
from ._wire_gemini import GeminiWire
from ._wire_mistral import MistralWire
from ._wire_openai import OpenAIWire
from ._wire_protocol import Refusal, Wire
from ._wire_search import SEARCH_WIRES
from ._wire_vertex import ClaudeOnVertexWire
from ._wire_xai import XaiWire

MODELS = ("gpt-simulated", "claude-simulated", "gemini-simulated")


class SimulatorServer(msgspec.Struct, frozen=True):
    """A simulator on a real socket.

    :param base_url: ``http://127.0.0.1:<port>/v1``, for both wires
    """

    base_url: str
    host: str
    port: int


class Simulator:
    """A provider for tests: chat completions as OpenAI and Azure, messages as Anthropic, Converse as Bedrock,
    generateContent as Google, chats as Cohere and Mistral, models as all of them, under any prefix; batches as
    OpenAI, Anthropic, Mistral, Google and xAI; searches as all engines of liter's, and OCR as Mistral and
    Azure Document Intelligence. Mistral, Cohere, xAI and search engines are told from others by their hosts, or by
    their name in a prefix: ``/mistral/v1``, ``/tavily``.

    Serve it in memory, in virtual time, or on a loopback socket; HTTP/1.1 and HTTP/2. Answers depend on the seed, the
    request and the order of requests alone. Requests are checked as the providers do: a key, the required fields,
    the route; the model ``"no-such-model"`` is unknown. Not for load tests: it is made to be exact.

    :param seed: of texts, ids and random faults
    :param reply: what the model says, instead of sentences made up: a string, a :class:`ModelReply`, or a function of
        the :class:`ReceivedRequest` that returns one of them
    :param api_key: the only key accepted; by default any key is
    :param aws_keys: what requests to Bedrock must be signed with; by default a signature only has to be well formed
    :param models: names for the list of models
    :param faults: a script, one entry for each request in the order they arrive; ``None`` answers as it should, and so
        does the simulator when the script is at its end
    :param fault_rate: the share of requests, 0 to 1, that a fault happens to when the script is at its end
    :param fault_kinds: what those faults are picked from; by default one of each kind that does not stall for ever
    :param limit: of requests, which it enforces and tells of in headers; by default none
    :param batch_seconds: how long a batch takes, whose requests are answered one after another in that time
    :param latency: seconds before the head of an answer
    :param event_latency: seconds before each event of a stream
    :param keep_bodies: whether all of a request's body is kept; without, of what is larger than 128 KiB its beginning
        and its end, and the rest is counted: for uploads that are larger than memory
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        reply: str | ModelReply | Replier | None = None,
        api_key: str | None = None,
        aws_keys: AwsKeys | None = None,
        models: Sequence[str] = MODELS,
        faults: Sequence[Fault | None] = (),
        fault_rate: float = 0.0,
        fault_kinds: Sequence[Fault] = FAULTS,
        limit: RequestLimit | None = None,
        batch_seconds: float = BATCH_SECONDS,
        latency: float = 0.0,
        event_latency: float = 0.0,
        keep_bodies: bool = True,
    ) -> None:
        if not 0 <= fault_rate <= 1:
            raise ValueError(f"fault_rate is a share of requests, 0 to 1, not {fault_rate}")
        if not batch_seconds > 0:
            raise ValueError(f"batch_seconds must be more than 0, not {batch_seconds}")
        if fault_rate and not fault_kinds:
            raise ValueError("fault_rate needs fault_kinds to pick from")
        self._model = Model(seed, reply)
        self._api_key = api_key
        self._script = list(reversed(faults))
        self._fault_rate = fault_rate
        self._fault_kinds = fault_kinds
        self._limit = limit
        self._latency = latency
        self._event_latency = event_latency
        self._keep_bodies = keep_bodies
        self._random = random.Random(f"{seed} faults")
        # The first that speaks a request's language answers it.
        self._wires: tuple[Wire, ...] = (
            *SEARCH_WIRES,
            DocumentIntelligenceWire(),
            ClaudeOnVertexWire(models),
            GeminiWire(models, batch_seconds),
            AnthropicWire(models, batch_seconds),
            BedrockWire(models, api_key=api_key, keys=aws_keys),
            CohereWire(models),
            MistralWire(models, batch_seconds),
            AzureWire(models, batch_seconds),
            XaiWire(models, batch_seconds),
            OpenAIWire(models, batch_seconds),
        )
        self._ledger = Ledger()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests received, in order of arrival, and what came of them."""
        return self._ledger.requests

    @property
    def connections(self) -> Connections:
        """Connections open now, and in all."""
        return self._ledger.connections

    @property
    def in_flight(self) -> int:
        """Requests being answered now."""
        return self._ledger.in_flight

    @property
    def max_in_flight(self) -> int:
        """The most requests that were being answered at one time."""
        return self._ledger.max_in_flight

    @property
    def bytes_generated(self) -> int:
        """Bytes of answers' bodies generated so far."""
        return self._ledger.bytes_generated

    @property
    def bytes_after_disconnect(self) -> int:
        """Of those, bytes generated for a client that had left: about 0 if clients close when they leave."""
        return self._ledger.bytes_after_disconnect

    @asynccontextmanager
    async def serve_memory(
        self, *, http2: bool = False, buffer_size: int = BUFFER_SIZE
    ) -> AsyncGenerator[MemoryNetwork, None]:
        """Serve at all hosts and ports of a network in memory; a client takes it as its ``network_backend``.

        Leaving the block ends every connection.

        :param http2: choose HTTP/2 where the client's TLS offers it
        :param buffer_size: bytes on their way in each direction of a connection
        """
        network = MemoryNetwork(http2=http2, buffer_size=buffer_size)
        async with self._serving(network.listen()):
            yield network

    @asynccontextmanager
    async def serve(
        self, *, host: str = "127.0.0.1", port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncGenerator[SimulatorServer, None]:
        """Serve at a real socket. Leaving the block ends every connection.

        :param port: 0 for any that is free
        :param ssl_context: for TLS; HTTP/2 where its ALPN protocols have it and the client's do
        """
        sockets = await anyio.create_tcp_listener(local_host=host, local_port=port)
        bound: int = sockets.extra(SocketAttribute.local_port)
        listener: Listener[ByteStream] = sockets
        if ssl_context is not None:
            listener = TLSListener(sockets, ssl_context, standard_compatible=False)
        scheme = "http" if ssl_context is None else "https"
        shown = f"[{host}]" if ":" in host else host
        async with self._serving(listener):
            yield SimulatorServer(base_url=f"{scheme}://{shown}:{bound}/v1", host=host, port=bound)

    @asynccontextmanager
    async def _serving(self, listener: Listener[ByteStream] | Listener[MemoryStream]) -> AsyncGenerator[None, None]:
        failure: Exception | None = None
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve_connection)
            try:
                yield
            except Exception as error:  # noqa: BLE001 # raised again below, as it was and not in a group
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _serve_connection(self, stream: ByteStream) -> None:
        connections = self._ledger.connections
        connections.open += 1
        connections.total += 1
        accept = partial(self._accept, connections.total)
        try:
            received = b""
            while PREFACE.startswith(received) and len(received) < len(PREFACE):
                received += await stream.receive()
            if received.startswith(PREFACE):
                await serve_http2(stream, received, accept, keep_bodies=self._keep_bodies)
            else:
                await serve_http11(stream, received, accept, keep_bodies=self._keep_bodies)
        except GONE:
            # The client left between two requests.
            pass
        finally:
            connections.open -= 1
            # Closing is quick: nothing says goodbye.
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    def _accept(self, connection: int, incoming: Incoming) -> Exchange:
        ledger = self._ledger
        body = bytes(incoming.body)
        request = ReceivedRequest(
            method=incoming.method,
            path=incoming.path,
            headers=incoming.headers,
            body=body,
            json=_decode(body),
            size=incoming.body.size,
            connection=connection,
            http_version=incoming.http_version,
            started=anyio.current_time(),
        )
        ledger.requests.append(request)
        wire = next(wire for wire in self._wires if wire.speaks(request))
        counted = None if self._limit is None else self._limit.count()
        fault = self._next_fault()
        refused = isinstance(fault, Refuse | HtmlPage) or (counted is not None and counted.refusal is not None)
        answer = self._unanswered(wire) if refused else self._answer(request, wire)
        steps = with_latency(answer, self._latency, self._event_latency)
        if counted is not None:
            steps = counted.apply(steps, wire)
        if fault is not None:
            request.fault = type(fault).__name__
            steps = fault.apply(steps, wire)
        return Exchange(request, steps, ledger)

    def _request_id(self) -> str:
        number = len(self._ledger.requests)
        return f"req_{self._model.random(f'request {number}').getrandbits(128):032x}"

    def _unanswered(self, wire: Wire) -> list[Step]:
        """What a refusal is made of: the wire is not asked, so that nothing is done or kept."""
        return whole_answer(200, wire.headers(self._request_id()), "application/json", b"")

    def _answer(self, request: ReceivedRequest, wire: Wire) -> list[Step]:
        request_id = self._request_id()
        headers = wire.headers(request_id)
        try:
            key = wire.key(request)
            if key is None:
                raise Refusal(401, "No API key was provided.")
            if self._api_key is not None and key not in ("", self._api_key):
                raise Refusal(401, "Incorrect API key provided.")
            return wire.answer(request, self._model, headers)
        except Refusal as refusal:
            body = wire.error(refusal, request_id)
            return whole_answer(refusal.status, headers, "application/json", body)

    def _next_fault(self) -> Fault | None:
        if self._script:
            return self._script.pop()
        if self._fault_rate and self._random.random() < self._fault_rate:
            return self._random.choice(self._fault_kinds)
        return None

    def __repr__(self) -> str:
        return (
            f"<Simulator {len(self.requests)} requests, {self.in_flight} in flight, "
            f"{self.connections.open} connections open>"
        )


def _decode(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
