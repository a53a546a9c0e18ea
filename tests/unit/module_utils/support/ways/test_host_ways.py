"""The ways of a host against servers of this machine: each fault is named with its remedy."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.support.ways.of_host import Host, trials
from ansible.module_utils.dlrm_fleet.support.ways.trying import try_all
from ansible.module_utils.dlrm_fleet.wire.ways import Way

PAGES = {
    "/simple/docker/": (200, b"links"),
    "/data.bin": (206, b"\0\1\2"),
    "/login.bin": (200, b"<!DOCTYPE html><title>Log in</title>"),
    "/expired.bin": (403, b""),
    "/huge.bin": (206, b"\0"),
}


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, content = PAGES.get(self.path.partition("?")[0], (404, b""))
        self.send_response(status)
        if status == 206:
            size = 10**18 if self.path.startswith("/huge.bin") else len(content)
            self.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{size}")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "etc/apt").mkdir(parents=True)
    owner = (os.getuid(), os.getgid())
    return Host("bench-01", tmp_path / "root", owner, "", system=tmp_path)


def tried(host: Host) -> dict[str, Way]:
    return {way.what: way for way in try_all(trials(host))}


def source(url: str) -> dict[str, Any]:
    return {"kind": "urls", "urls": [{"url": url, "md5": "0" * 32, "name": "data.bin"}]}


def test_what_is_not_needed_is_skipped_with_a_reason(host: Host) -> None:
    found = tried(host)
    assert {way.state for way in found.values()} == {"skipped"}
    assert found["pip"].why == "the host has all packages"
    assert "no container engine" in found["engine sees root"].why


def test_pip_asks_its_index_for_the_first_missing_package(host: Host, url: str) -> None:
    host.lacking = ["docker"]
    host.pip_environment = {"PIP_INDEX_URL": f"{url}/simple"}
    assert tried(host)["pip"].state == "ok"
    host.pip_environment = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    way = tried(host)["pip"]
    assert (way.state, way.end) == ("failed", "http://127.0.0.1:9/simple")
    assert "dlrm_host_pip_environment" in way.todo


def test_a_password_in_an_address_is_not_shown(host: Host) -> None:
    host.lacking = ["docker"]
    host.pip_environment = {"PIP_INDEX_URL": "http://me:hunter2@127.0.0.1:9/simple"}
    assert "hunter2" not in str(tried(host)["pip"])


def test_apt_names_what_a_run_needs_from_the_mirror(host: Host) -> None:
    (host.system / "etc/apt/sources.list").write_text("deb http://127.0.0.1:9/debian b main\n")
    host.wanted = ["rsync"]
    way = tried(host)["apt"]
    assert (way.state, way.end) == ("failed", "http://127.0.0.1:9/debian")
    assert "A run needs rsync" in way.todo


@pytest.mark.parametrize(
    ("name", "state", "why"),
    [
        ("data.bin", "ok", "are free"),
        ("none.bin", "failed", "HTTP 404"),
        ("expired.bin", "failed", "HTTP 403"),
        ("login.bin", "failed", "HTML page in place of the file"),
        ("huge.bin", "failed", "its files have"),
    ],
)
def test_the_first_bytes_of_a_source(host: Host, url: str, name: str, state: str, why: str) -> None:
    host.sources = {"dataset": source(f"{url}/{name}?X-Amz-Signature=hunter2")}
    way = tried(host)["source of dataset"]
    assert (way.state, why in way.why) == (state, True), way
    assert "hunter2" not in str(way)


def test_a_source_whose_stage_is_made_prevents_nothing(host: Host, url: str) -> None:
    made = host.root / "stages/dataset/0123/stage.json"
    made.parent.mkdir(parents=True)
    made.write_text("{}")
    host.sources = {"dataset": source(f"{url}/none.bin")}
    assert tried(host)["source of dataset"].state == "note"


def test_a_folder_that_is_not_there_is_empty_or_has_an_empty_file(host: Host) -> None:
    folder = host.system / "criteo"
    host.sources = {"dataset": {"kind": "folder", "path": str(folder)}}
    assert "no such folder" in tried(host)["source of dataset"].why
    folder.mkdir()
    assert "no file in it" in tried(host)["source of dataset"].why
    (folder / "day_23").write_bytes(b"")
    assert "day_23 is empty" in tried(host)["source of dataset"].why
    (folder / "day_23").write_bytes(b"\0" * 1000)
    way = tried(host)["source of dataset"]
    assert (way.state, way.why) == ("ok", "1.0 kB")
