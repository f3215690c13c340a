"""What embeddings cost: a call that brings 16 vectors of 1536 numbers, and the decoding in it.

    python benchmarks/embeddings.py               about half a minute
    python benchmarks/embeddings.py --repeats 3   quicker, and less certain

CPU time of calls to a loopback server in a process of its own, one client after the other in turns, each in a fresh
process. Both clients ask for base64, which is the default of both, and make numbers of it. The cost of decoding is
that of a call with all the vectors, less that of a call with one vector of one number: reading the larger body from
the socket is in it. The peers' environment is that of overhead.py.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import process_time

import _peers
from _canned import EMBEDDING_MODEL, embeddings_body
from _tables import Table, show

VECTORS, DIMENSIONS = 16, 1536
# The project's own bar: how many times as long openai-python must take to decode.
BAR = 3.0

Call = Callable[[], Awaitable[int]]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests of one connection: with all vectors, or with the smallest where the input is one text."""
    bodies = {many: embeddings_body(*size) for many, size in ((True, (VECTORS, DIMENSIONS)), (False, (1, 1)))}
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        asked = json.loads(await reader.readexactly(length))
        body = bodies[len(asked["input"]) > 1]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)


async def run_server() -> None:
    """Print the port, and serve until standard input closes."""
    server = await asyncio.start_server(_quietly, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


async def _quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await serve(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def run_client(name: str, url: str, calls: int) -> None:
    """Print the CPU microseconds of a call with all vectors, and of one with the smallest."""
    many, one = [f"text {number}" for number in range(VECTORS)], ["text"]
    if name == "liter":
        from liter import LlmClient

        ours = LlmClient(api_key="sk-benchmark", base_url=url)

        async def embed(texts: list[str]) -> int:
            reply = await ours.embed(model=EMBEDDING_MODEL, input=texts)
            return sum(len(item.embedding) for item in reply.data)

    else:
        from openai import AsyncOpenAI

        theirs = AsyncOpenAI(api_key="sk-benchmark", base_url=url)

        async def embed(texts: list[str]) -> int:
            reply = await theirs.embeddings.create(model=EMBEDDING_MODEL, input=texts)
            return sum(len(item.embedding) for item in reply.data)

    assert await embed(many) == VECTORS * DIMENSIONS
    assert await embed(one) == 1
    costs = []
    for texts in (many, one):
        started = process_time()
        for _ in range(calls):
            await embed(texts)
        costs.append((process_time() - started) / calls * 1e6)
    print(json.dumps(costs), flush=True)


def measure(pythons: dict[str, Path], repeats: int, calls: int) -> dict[str, tuple[float, float]]:
    """Give the least cost of a call, and of the decoding in it, for each client."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in pythons}
    command: list[str | Path] = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        for _ in range(repeats):
            for name, python in pythons.items():
                asked = [python, __file__, "--client", name, url, str(calls)]
                done = subprocess.run(asked, capture_output=True, text=True, check=True)
                whole, smallest = json.loads(done.stdout)
                found[name].append((whole, whole - smallest))
        server.communicate()
    return {name: (min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)) for name, pairs in found.items()}


def main() -> int:
    """Measure, print a table, and say whether the bar is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument(
        "--venv", type=Path, default=Path(__file__).with_name(".venv-peers"), help="where the peers live"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(run_server())
        return 0
    if arguments.client:
        name, url, calls = arguments.client
        asyncio.run(run_client(name, url, int(calls)))
        return 0
    peers = _peers.prepare(arguments.venv).absolute()
    costs = measure({"liter": Path(sys.executable), "openai": peers}, arguments.repeats, arguments.calls)
    rows = tuple(
        (
            f"{name} {_peers.version(Path(sys.executable) if name == 'liter' else peers, distribution)}",
            f"{costs[name][0]:,.0f}",
            f"{costs[name][1]:,.0f}",
            f"{costs[name][1] / costs['liter'][1]:.1f}",
        )
        for name, distribution in (("liter", "liter-sdk"), ("openai", "openai"))
    )
    columns = ("client", "a call", "of it decoding", "x liter")
    ratio = costs["openai"][1] / costs["liter"][1]
    numpy = f"numpy {_peers.version(peers, 'numpy')}: openai-python decodes with it where it is installed"
    verdict = f"openai takes {ratio:.1f} times as long to decode, the bar is {BAR:g}"
    verdict += ": pass" if ratio >= BAR else ": MISSED"
    title = f"CPU of {VECTORS} x {DIMENSIONS} numbers, in us, best of {arguments.repeats}"
    show([Table(title, columns, rows, (verdict, numpy))])
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
