"""A server in memory that answers as a function says: for wires that the simulator does not speak."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import h11
import msgspec

from liter.testing import MemoryNetwork

Answer = tuple[int, Mapping[str, str], bytes]


class Received(msgspec.Struct):
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        """The body."""
        return json.loads(self.body)


def said(body: object, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON."""
    return status, {"content-type": "application/json", **headers}, json.dumps(body).encode()


@asynccontextmanager
async def answering(
    answer: Callable[[Received], Answer], received: list[Received] | None = None
) -> AsyncIterator[MemoryNetwork]:
    """A network on which every host answers so; what came is kept in ``received``."""
    network = MemoryNetwork()
    listener = network.listen()

    async def serve(stream: object) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while True:
                    event = connection.next_event()
                    if event is h11.NEED_DATA:
                        connection.receive_data(await stream.receive())
                    elif isinstance(event, h11.Request):
                        request, body = event, b""
                    elif isinstance(event, h11.Data):
                        body += bytes(event.data)
                    elif isinstance(event, h11.EndOfMessage):
                        headers = {name.decode(): value.decode() for name, value in request.headers}
                        came = Received(request.method.decode(), request.target.decode(), headers, body)
                        if received is not None:
                            received.append(came)
                        status, told, content = answer(came)
                        response = h11.Response(
                            status_code=status, headers=[*told.items(), ("content-length", str(len(content)))]
                        )
                        sent = connection.send(response) + connection.send(h11.Data(data=content))
                        await stream.send(sent + connection.send(h11.EndOfMessage()))
                        connection.start_next_cycle()
                    else:
                        return
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        try:
            yield network
        except Exception as error:  # noqa: BLE001 # raised below: alone, and not in a group
            failure = error
        finally:
            await listener.aclose()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
