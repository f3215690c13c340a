"""A port for a server that is started later, or again."""

import secrets
import socket


def free_port() -> int:
    """Find a port that nobody listens at, nor 10,000 above it, where a node of a Redis cluster listens to others.

    Both are below those that systems give to whoever asks for any port (Linux from 32,768 on): another process,
    such as one that runs other tests, could be given it before the server is there, or while it is down.
    """
    for _ in range(1000):
        port = 10_000 + secrets.randbelow(12_000)
        try:
            for each in (port, port + 10_000):
                with socket.socket() as free:
                    free.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port
    raise RuntimeError("no port from 10000 to 22000 is free")
