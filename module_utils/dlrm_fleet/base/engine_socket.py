"""HTTP over the container engine's Unix socket, for what needs no Docker SDK."""

from __future__ import annotations

import http.client
import socket


class EngineSocket(http.client.HTTPConnection):
    """A connection to the engine at socket `path`; `seconds`: longest time of one answer."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
