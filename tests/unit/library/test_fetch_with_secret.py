"""From the file of secrets to the download: the container's code asks a server that wants both."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.wire.secret_file import read_secret

REPOSITORY = Path(__file__).resolve().parents[3]
SIGNATURE = "5167a7d3b0c4fe11"
PASSWORD = "pa5sw0rd!"
CONTENT = b"clicks\n" * 1000
FETCH = """
import sys
from pathlib import Path
from dlrm_bench.frame import download, sources
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.request import Request
from dlrm_bench.frame.status import StatusWriter
download.ATTEMPTS = 1
root = Path(sys.argv[1])
request = Request.read(root / "request.json")
attempt = root / "output/attempts/1"
attempt.mkdir(parents=True)
status = StatusWriter(attempt / "status.json", request)
try:
    print(sources.fetch(StageContext(request, root / "output", status)))
except StageError as error:
    status.fail(str(error))
    sys.exit(str(error))
"""


class Guarded(http.server.BaseHTTPRequestHandler):
    """Gives the file for signature and password; tells a stranger what it asked for."""

    requests: list[tuple[str, str]]
    elsewhere: str

    def do_GET(self) -> None:
        wanted = base64.b64encode(f"joe:{PASSWORD}".encode()).decode()
        given = self.headers.get("Authorization", "")
        self.requests.append((self.path, given))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"{self.elsewhere}/open")
            self.end_headers()
            return
        signed = self.path == f"/signed?sig={SIGNATURE}"
        if self.path == "/open" or signed or given == f"Basic {wanted}":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)
            return
        self.send_error(403, f"Forbidden {self.path} {given}")

    def log_message(self, *_arguments: Any) -> None:
        """Logs nothing."""


@dataclass(frozen=True)
class Server:
    port: int
    requests: list[tuple[str, str]]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def server() -> Iterator[Server]:
    handler = type("Handler", (Guarded,), {"requests": [], "elsewhere": ""})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        # Another name of this machine: to a client another host.
        handler.elsewhere = f"http://localhost:{serving.server_port}"  # type: ignore[attr-defined]
        yield Server(serving.server_port, handler.requests)  # type: ignore[attr-defined]
        serving.shutdown()


def fetch(root: Path, source: dict[str, Any], text: str = "") -> subprocess.CompletedProcess[str]:
    """What the container does with its request.json and secret.json."""
    root.mkdir(exist_ok=True)
    example = json.loads((REPOSITORY / "docs/contracts/examples/request.json").read_text())
    (root / "request.json").write_text(json.dumps({**example, "attempt": 1, "source": source}))
    if text:
        document = read_secret(text, source, "cannot use it").document()
        (root / "secret.json").write_text(json.dumps(document))
    environment = {
        **os.environ,
        "DLRM_ROOT": str(root),
        "PYTHONPATH": str(REPOSITORY / "benchmark/src"),
        "PATH": f"{root.parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [sys.executable, "-c", FETCH, str(root)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def urls(*addresses: str) -> dict[str, Any]:
    md5 = hashlib.md5(CONTENT).hexdigest()
    return {"kind": "urls", "urls": [{"url": address, "md5": md5} for address in addresses]}


def files(root: Path) -> dict[str, bytes]:
    folder = root / "output/fetched/files"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_untold(root: Path, ended: subprocess.CompletedProcess[str], *secrets: str) -> None:
    told = ended.stdout + ended.stderr
    told += "".join(
        path.read_text(errors="replace") for path in (root / "output").rglob("*") if path.is_file()
    )
    for secret in secrets:
        assert secret not in told


def test_signature_and_password_open_the_files(server: Server, tmp_path: Path) -> None:
    source = urls(f"{server.address}/signed", f"{server.address}/private")
    text = (
        f"{server.address}/signed?sig={SIGNATURE}\n"
        f"http://joe:pa5sw0rd%21@127.0.0.1:{server.port}/private\n"
    )
    ended = fetch(tmp_path / "a", source, text)
    assert ended.returncode == 0, ended.stderr
    assert files(tmp_path / "a") == {"signed": CONTENT, "private": CONTENT}
    assert_untold(tmp_path / "a", ended, SIGNATURE, PASSWORD)


def test_without_them_the_server_refuses(server: Server, tmp_path: Path) -> None:
    ended = fetch(tmp_path / "a", urls(f"{server.address}/signed"))
    assert f"cannot fetch '{server.address}/signed': HTTP 403 Forbidden" in ended.stderr


def test_a_refusal_that_repeats_the_secret_is_told_without_it(
    server: Server, tmp_path: Path
) -> None:
    text = f"http://joe:wr0ngword@127.0.0.1:{server.port}/signed?sig=wr0ngsig\n"
    ended = fetch(tmp_path / "a", urls(f"{server.address}/signed"), text)
    assert ended.returncode == 1
    assert ("/signed?sig=wr0ngsig", "Basic am9lOndyMG5nd29yZA==") in server.requests
    assert "HTTP 403 Forbidden /signed?sig=[redacted] Basic [redacted]" in ended.stderr
    assert "whether the signature in its secret file is valid" in ended.stderr
    assert_untold(tmp_path / "a", ended, "wr0ng", "am9lOndyMG5nd29yZA")


def test_another_host_gets_no_password(server: Server, tmp_path: Path) -> None:
    text = f"http://joe:pa5sw0rd%21@127.0.0.1:{server.port}/moved\n"
    ended = fetch(tmp_path / "a", urls(f"{server.address}/moved"), text)
    assert ended.returncode == 0, ended.stderr
    assert [path for path, given in server.requests if given] == ["/moved"]
    assert files(tmp_path / "a") == {"moved": CONTENT}


RCLONE = """#!/bin/sh
# Keeps its command line and configuration, and says what a careless program says.
while [ $# -gt 0 ]; do
    echo "$1" >>"$(dirname "$0")/argv"
    if [ "$1" = --config ]; then
        cat "$2" >"$(dirname "$0")/config"
        stat -c %a "$(dirname "$2")" >"$(dirname "$0")/mode"
    fi
    shift
done
echo "denied for $(sed -n 's/^secret_access_key = //p' "$(dirname "$0")/config")" >&2
exit 3
"""


@pytest.mark.parametrize(
    ("remote", "section", "named"),
    [
        (":s3,provider=AWS:bucket/x", "source", "source,provider=AWS:bucket/x"),
        ("r2:bucket/x", "r2", "r2:bucket/x"),
    ],
)
def test_rclone_reads_it_from_a_configuration_in_memory(
    tmp_path: Path, remote: str, section: str, named: str
) -> None:
    rclone = tmp_path / "rclone"
    rclone.write_text(RCLONE)
    rclone.chmod(0o755)
    text = f"type = s3\naccess_key_id = AKID\nsecret_access_key = {SIGNATURE}\n"
    ended = fetch(tmp_path / "a", {"kind": "rclone", "remote": remote}, text)
    assert ended.returncode == 1
    assert (tmp_path / "config").read_text() == f"[{section}]\n{text}"
    assert (tmp_path / "mode").read_text() == "700\n"
    arguments = (tmp_path / "argv").read_text()
    assert SIGNATURE not in arguments
    assert named in arguments.splitlines()
    assert f"cannot fetch '{remote}': rclone ended with 3: denied for [redacted]." in ended.stderr
    assert_untold(tmp_path / "a", ended, SIGNATURE)
    assert "denied for [redacted]" in (tmp_path / "a/output/attempts/1/rclone.txt").read_text()
