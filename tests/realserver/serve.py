"""Serve a model with llama.cpp's own HTTP server on this machine, until standard input ends.

    python serve.py MODEL.gguf PORT [--pool MEAN|RANK] [--key KEY]

Chats by default, vectors with ``--pool MEAN``, scores with ``--pool RANK``. Needs ``xllamacpp``: it brings the server.
"""

import argparse
import sys

import xllamacpp


def main() -> None:
    """Serve, and say so on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("port", type=int)
    parser.add_argument("--pool", choices=("MEAN", "RANK"))
    parser.add_argument("--key")
    given = parser.parse_args()
    settings = xllamacpp.CommonParams()
    settings.model.path = given.model
    settings.hostnames = ["127.0.0.1"]
    settings.port = given.port
    settings.n_ctx = 4096
    settings.n_parallel = 2
    settings.n_gpu_layers = 0
    settings.warmup = False
    settings.offline = True
    settings.use_jinja = True
    if given.pool:
        settings.embedding = True
        settings.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{given.pool}")
    if given.key:
        settings.api_keys = [given.key]
    server = xllamacpp.Server(settings)
    print("serving at", server.listening_address, flush=True)  # noqa: T201 # the tests read it
    sys.stdin.read()


if __name__ == "__main__":
    main()
