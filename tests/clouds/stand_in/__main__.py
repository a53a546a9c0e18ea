"""One stand-in in its own process: python -m tests.clouds.stand_in aws PORT [PIDFILE]."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from .aws import AwsServer
from .gcp import GcpServer


def main() -> None:
    kinds: dict[str, type[AwsServer | GcpServer]] = {"aws": AwsServer, "gcp": GcpServer}
    server = kinds[sys.argv[1]](int(sys.argv[2]))
    server.reset()
    if len(sys.argv) > 3:
        Path(sys.argv[3]).write_text(str(os.getpid()))
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


main()
