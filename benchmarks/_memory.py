"""Peak memory of this process."""

import re
import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Give the greatest resident size this process has had, in bytes.

    On Linux from ``VmHWM``: ``ru_maxrss`` survives ``exec`` there, so a child starts with its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if peak:
            return int(peak[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
