"""Closing a network stream without awaiting."""

import httpcore


def close_nowait(stream: httpcore.AsyncNetworkStream) -> None:
    """Run ``stream.aclose()`` as far as it goes without suspending.

    The streams of anyio and Trio close their socket first and only then reach a checkpoint, so this
    closes it for sure, also where nothing can be awaited: in finalizers, and in a cleanup that must not be
    cancelled.
    """
    closing = stream.aclose()
    try:
        closing.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001 # a socket that cannot be closed cleanly is gone all the same
        return
    closing.close()
