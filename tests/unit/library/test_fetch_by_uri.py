"""A .uri and the list beside it: what is fetched, what is refused, and who gets the headers."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from test_fetch_with_secret import assert_untold, fetch

FILES = {"model_weights/.snapshot_metadata": b"{}", "model_weights/a b/0": b"weights" * 100_000}
LOGIN = b"<!DOCTYPE html>\n<html><head><title>Sign in &middot; Access</title></head></html>"
TOKEN = "5167a7d3b0c4fe11"


@dataclass
class Site:
    """What the server has at which path, and what it was asked for."""

    address: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    etag: str = '"1"'
    token: str = ""
    ranges: bool = True
    cut: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"{self.address}/metadata/weights.uri"

    def publish(self, files: dict[str, bytes], base: str = "") -> None:
        lines = [f"{hashlib.md5(one).hexdigest()}  ./{name}" for name, one in files.items()]
        self.content = {
            "/metadata/weights.uri": f"{base or self.address}/base\n".encode(),
            "/metadata/weights.md5": "\n".join(lines).encode(),
            **{f"/base/{name.replace(' ', '%20')}": one for name, one in files.items()},
        }


class Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append(
            (self.path, self.headers.get("X-Token", ""), self.headers.get("Range", ""))
        )
        if site.token and self.headers.get("X-Token") != site.token:
            self.send_error(403)
            return
        if self.path not in site.content:
            self.send_error(404)
            return
        content = site.content[self.path]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", site.etag) == site.etag
        start = int(asked[1]) if asked and same and site.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", site.etag)
        self.send_header("Content-Type", site.types.get(self.path, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : site.cut.pop(self.path, len(content))])

    def log_message(self, *_arguments: Any) -> None:
        """Logs nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    handler = type("Handler", (Handler,), {"site": found})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        found.address = f"http://127.0.0.1:{serving.server_port}"
        found.publish(FILES)
        yield found
        serving.shutdown()


def source(site: Site) -> dict[str, Any]:
    return {"kind": "uri", "uri": site.uri}


def fetched(root: Path) -> dict[str, bytes]:
    folder = root / "output/fetched/files"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refusal(root: Path, site: Site, text: str = "") -> str:
    ended = fetch(root, source(site), text)
    assert ended.returncode == 1, ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_the_files_of_the_list_are_fetched(site: Site, tmp_path: Path) -> None:
    ended = fetch(tmp_path / "a", source(site))
    assert ended.returncode == 0, ended.stderr
    assert fetched(tmp_path / "a") == FILES
    assert len(site.requests) == 2 + len(FILES)


@pytest.mark.parametrize("changed", ["etag", "no ranges", "content"])
def test_a_file_that_changed_on_the_server_is_fetched_anew(
    site: Site, tmp_path: Path, changed: str
) -> None:
    large = "/base/model_weights/a%20b/0"
    parts = tmp_path / "a/output/fetched"
    name = "model_weights/a b/0"
    for folder, text in (("parts", b"other"), ("marks", b'"0"' if changed == "etag" else b"")):
        (parts / folder / name).parent.mkdir(parents=True)
        (parts / folder / name).write_bytes(text)
    site.ranges = changed != "no ranges"
    ended = fetch(tmp_path / "a", source(site))
    assert ended.returncode == 0, ended.stderr
    assert fetched(tmp_path / "a") == FILES
    asked = [given for path, _token, given in site.requests if path == large]
    # Without an ETag, only the md5 tells that the bytes are another version's.
    assert asked == (["bytes=5-", ""] if changed == "content" else ["bytes=5-"])


def test_headers_of_the_secret_open_a_gated_bucket(site: Site, tmp_path: Path) -> None:
    site.token = TOKEN
    assert "HTTP 403 Forbidden. Check the URL and who may read it" in refusal(tmp_path / "a", site)
    ended = fetch(tmp_path / "b", source(site), f"X-Token: {TOKEN}\n")
    assert ended.returncode == 0, ended.stderr
    assert fetched(tmp_path / "b") == FILES
    assert_untold(tmp_path / "b", ended, TOKEN)


def test_another_host_gets_no_header(site: Site, tmp_path: Path) -> None:
    # Another name of this machine: to a client another host.
    site.publish(FILES, site.address.replace("127.0.0.1", "localhost"))
    ended = fetch(tmp_path / "a", source(site), f"X-Token: {TOKEN}\n")
    assert ended.returncode == 0, ended.stderr
    given = {path for path, token, _range in site.requests if token}
    assert given == {"/metadata/weights.uri", "/metadata/weights.md5"}


@pytest.mark.parametrize("path", ["metadata/weights.uri", "metadata/weights.md5", "base/x"])
@pytest.mark.parametrize("said", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_login_page_in_place_of_a_file_is_named(
    site: Site, tmp_path: Path, path: str, said: str
) -> None:
    site.publish({"x": b"weights"})
    site.content[f"/{path}"] = LOGIN
    site.types[f"/{path}"] = said
    told = refusal(tmp_path / "a", site)
    assert (
        f"cannot fetch '{site.address}/{path}': the server sent an HTML page"
        " ('Sign in · Access'), probably a server's login or error page, not the file."
    ) in told


def test_a_login_page_takes_no_place_of_what_has_arrived(site: Site, tmp_path: Path) -> None:
    site.publish({"x": b"weights"})
    part = tmp_path / "a/output/fetched/parts/x"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"wei")
    site.content["/base/x"], site.types["/base/x"], site.ranges = LOGIN, "text/html", False
    assert "the server sent an HTML page" in refusal(tmp_path / "a", site)
    assert part.read_bytes() == b"wei"


MD5 = "0" * 32
BAD = {
    "no address": ({"uri": b"weights"}, "weights.uri': it holds 'weights', wanted one http"),
    "two": ({"uri": b"http://a/b\nhttp://a/c"}, "it holds 'http://a/b http://a/c', wanted one"),
    "user": ({"uri": b"http://joe:x@a/b"}, "wanted one http or https address"),
    "file": ({"uri": b"file:///etc"}, "wanted one http or https address"),
    "large": ({"uri": b"http://a/" + b"b" * 5000}, "weights.uri': it has more than 4096 bytes"),
    "empty": ({"md5": b"# none\n"}, "weights.md5': it names 0 files"),
    "above": ({"md5": f"{MD5}  ../x".encode()}, "it names '../x', which leaves the folder"),
    "root": ({"md5": f"{MD5}  /etc/x".encode()}, "it names '/etc/x', which leaves the folder"),
    "control": ({"md5": f"{MD5}  a\x1bb".encode()}, "which leaves the folder"),
    "twice": ({"md5": f"{MD5}  x\n{'1' * 32}  ./x".encode()}, "it names 'x' twice, with two md5"),
    "no list": ({"md5": b"hello"}, "line 1 is 'hello', wanted an md5, two spaces and a path"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD)
def test_what_a_uri_or_its_list_may_not_say_is_refused(
    site: Site, tmp_path: Path, change: dict[str, bytes], words: str
) -> None:
    for kind, content in change.items():
        site.content[f"/metadata/weights.{kind}"] = content
    assert words in refusal(tmp_path / "a", site)


def test_a_list_that_was_cut_is_no_shorter_list(site: Site, tmp_path: Path) -> None:
    site.cut["/metadata/weights.md5"] = 60
    assert "the connection ended after 60 bytes after 1 attempts" in refusal(tmp_path / "a", site)


def test_a_wrong_md5_is_refused_with_both_sums(site: Site, tmp_path: Path) -> None:
    site.publish({"x": b"weights"})
    site.content["/base/x"] = b"Weights"
    found, wanted = (hashlib.md5(one).hexdigest() for one in (b"Weights", b"weights"))
    assert f"its md5 is {found} (7 bytes), wanted {wanted}" in refusal(tmp_path / "a", site)
