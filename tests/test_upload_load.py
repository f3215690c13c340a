"""Files larger than memory: what sending them takes, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells how much memory was used"),
]

MIB = 1024 * 1024

# Prints by how many MiB the process grew, what it took in all, and the seconds.
UPLOAD = """
import json, sys, time
from pathlib import Path

import anyio
from liter import LlmClient
from liter.testing import Simulator

path, http2 = Path(sys.argv[1]), sys.argv[2] == "http2"


async def main():
    simulator = Simulator(keep_bodies=False)
    base_url = "https://simulator/v1" if http2 else "http://simulator/v1"
    async with (
        simulator.serve_memory(http2=http2) as network,
        LlmClient(api_key="sk", base_url=base_url, http2=http2, network_backend=network, timeout=600) as client,
    ):
        # Whatever is loaded when it is needed first is loaded now.
        await client.create_file(file=b"x" * 300_000, filename="small.bin", purpose="batch")
        peak()
        before, began = peak(), time.monotonic()
        file = await client.create_file(file=path, purpose="batch")
        seconds = time.monotonic() - began
    request = simulator.requests[-1]
    assert request.http_version == ("2" if http2 else "1.1")
    assert file.bytes == path.stat().st_size
    assert request.size > file.bytes > len(request.body)
    most = peak()
    print(json.dumps([most - before, most, seconds]))


def peak():
    # The most that was resident since the last call.
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


anyio.run(main, backend=sys.argv[3])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("version", ["http11", "http2"])
@pytest.mark.parametrize("size", [48 * MIB, pytest.param(3072 * MIB, marks=pytest.mark.load)], ids=["48M", "3G"])
@pytest.mark.timeout(600)
def test_an_upload_takes_no_memory_to_speak_of(tmp_path: Path, size: int, version: str, backend: str) -> None:
    """Sender and receiver together grow by less than 16 MiB, whatever the file's size."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(size)  # it has no blocks on the disk, and reads as zeros
    command = [sys.executable, "-c", UPLOAD, str(path), version, backend]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, peak, seconds = json.loads(done.stdout)
    # Shown by pytest -s.
    told = f"{size / MIB:.0f} MiB by {version} on {backend}: {seconds:.1f} s, +{grown:.1f} MiB, {peak:.0f} MiB in all"
    sys.stdout.write(told + "\n")
    assert grown < 16
