"""A stand-in for Docker's API on a socket. As Docker does, it loads every tag of an archive."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import socketserver
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


def archive(tags: list[str], content: str) -> tuple[str, bytes]:
    """(the image's digest, an archive as Docker 20.10 writes it)"""
    config = json.dumps({"os": "linux", "content": content}).encode()
    digest = hashlib.sha256(config).hexdigest()
    entry = {"Config": f"{digest}.json", "RepoTags": tags, "Layers": ["ab/layer.tar"]}
    files = {
        f"{digest}.json": config,
        "ab/layer.tar": b"a layer",
        "manifest.json": json.dumps([entry]).encode(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return f"sha256:{digest}", buffer.getvalue()


class Docker:
    """`images`: tag -> digest; `asked`: what was asked of it, such as "POST /build".

    `refusal`: why it builds nothing.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.images: dict[str, str] = {}
        self.asked: list[str] = []
        self.refusal = ""

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def listed(self) -> list[dict[str, Any]]:
        return [self.shown(digest) for digest in sorted(set(self.images.values()))]

    def shown(self, digest: str) -> dict[str, Any]:
        tags = sorted(tag for tag, image in self.images.items() if image == digest)
        return {"Id": digest, "RepoTags": tags, "RepoDigests": []}

    def load(self, content: bytes) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            manifest = tar.extractfile("manifest.json")
            assert manifest is not None
            [entry] = json.load(manifest)
        for tag in entry["RepoTags"]:
            self.images[tag] = f"sha256:{entry['Config'].removesuffix('.json')}"
        return list(entry["RepoTags"])

    def build(self, tag: str) -> None:
        self.images[tag] = archive([tag], "built")[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    docker: Docker

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "socket"

    def answer(self, document: Any, status: int = 200) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def read(self) -> tuple[str, dict[str, list[str]], bytes]:
        """(path without the version, query, body)"""
        parts = urlsplit(self.path)
        path = unquote(re.sub(r"^/v[0-9.]+", "", parts.path))
        self.docker.asked.append(f"{self.command} {path}")
        if self.headers.get("Transfer-Encoding") == "chunked":
            blocks = []
            while size := int(self.rfile.readline(), 16):
                blocks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return path, parse_qs(parts.query), b"".join(blocks)
        size = int(self.headers.get("Content-Length") or 0)
        return path, parse_qs(parts.query), self.rfile.read(size)

    def do_GET(self) -> None:
        path, _, _ = self.read()
        name = path.removeprefix("/images/").rpartition("/")[0]
        if path == "/version":
            self.answer({"ApiVersion": "1.41"})
        elif path == "/info":
            self.answer({"Architecture": os.uname().machine, "ServerVersion": "20.10"})
        elif path == "/images/json":
            self.answer(self.docker.listed())
        elif path.endswith("/get"):
            self.answer(archive([name], "built")[1])
        elif name in self.docker.images.values():
            self.answer(self.docker.shown(name))
        else:
            self.answer({"message": f"no such image: {name}"}, 404)

    def do_POST(self) -> None:
        path, query, body = self.read()
        if path == "/images/load":
            tags = self.docker.load(body)
            self.answer({"stream": "".join(f"Loaded image: {tag}\n" for tag in tags)})
        elif self.docker.refusal:
            self.answer({"error": self.docker.refusal})
        else:
            self.docker.build(query["t"][0])
            self.answer({"stream": "Successfully built\n"})


@contextmanager
def running(socket: Path) -> Iterator[Docker]:
    docker = Docker(socket)
    handler = type("Bound", (Handler,), {"docker": docker})
    with socketserver.ThreadingUnixStreamServer(str(socket), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield docker
        finally:
            server.shutdown()
            thread.join()
