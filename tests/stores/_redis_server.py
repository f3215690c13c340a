"""A Redis server for tests that need a real one."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from .._free_port import free_port


class Server:
    """A Redis server in a directory of its own. What it is asked to keep on disk, it does.

    :param options: further ones of the command line
    """

    def __init__(self, directory: Path, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
        self.port: int = free_port()
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""),
            *("--unixsocket", str(directory / "socket"), "--appendonly", "yes", "--appendfsync", "always", *options),
        ]
        self.socket = directory / "socket"
        self.url = f"redis://127.0.0.1:{self.port}/1"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                if self.ask("PING") == b"+PONG":
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                pytest.skip(f"redis-server does not know one of {' '.join(self._command[1:])}")
            time.sleep(0.01)
        raise RuntimeError("redis-server does not answer within 5 s")

    def ask(self, *commands: str) -> bytes:
        """Send commands in line, and return the first line of the last answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            for command in commands:
                connection.sendall(command.encode() + b"\r\n")
                answer = connection.recv(65536)
        return answer.split(b"\r\n")[0]

    @property
    def connections(self) -> int:
        """How many it has accepted until now."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"INFO stats\r\n")
            stats = connection.recv(65536).decode()
        return int(stats.split("total_connections_received:")[1].split()[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
