"""Serves the clouds until standard input ends.

unshare --mount --net python -m tests.inventories.stand_in FOLDER
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import aws, azure, google, namespace


class Handler(BaseHTTPRequestHandler):
    """Passes each request to the cloud whose host name the client used."""

    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        host = self.headers.get("host", "").partition(":")[0]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        cloud = google if host in google.HOSTS else azure
        headers = {key.lower(): value for key, value in self.headers.items()}
        try:
            status, document = cloud.answer(host, self.command, self.path, headers, body)
        except Exception as error:  # the client sees it, and so the failing test's output
            status, document = 500, {"error": {"code": "StandIn", "message": repr(error)}}
        answer = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _serve

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        sys.stderr.write(f"{code} {self.headers.get('host')} {self.requestline}\n")


def main() -> None:
    folder = Path(sys.argv[1])
    names = google.HOSTS + azure.HOSTS
    namespace.raise_loopback()
    namespace.answer_for(names, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 443), Handler)
    server.socket = namespace.server_context(names, folder).wrap_socket(
        server.socket, server_side=True
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    moto = aws.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    moto.stop()


main()
