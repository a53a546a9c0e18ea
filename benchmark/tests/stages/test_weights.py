"""Stage weights: made, adopted from a folder, fetched by URL and by rclone."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Pipeline, StageRoot

FOLDER = {"kind": "folder", "path": "/dlrm/source"}


def outputs(root: StageRoot) -> dict[str, str]:
    return {o["name"]: o["sha256"] for o in root.document()["outputs"]}


def files_below(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


@pytest.fixture
def weights(demo: Pipeline) -> Path:
    """A finished model_weights folder."""
    return demo.stages["weights"].output / "model_weights"


class Breaking(http.server.BaseHTTPRequestHandler):
    """Serves a folder; the first answer for each large file breaks off half-way."""

    broken: set[str]
    ranges: list[str]
    folder: Path

    def do_GET(self) -> None:
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        asked = self.headers.get("Range")
        start = int(asked.split("=")[1].rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        content = content[start:]
        if asked:
            self.ranges.append(f"{path.name} {asked}")
        elif len(content) > 1 << 16 and not self.broken:
            self.broken.add(self.path)
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, *_arguments: Any) -> None:
        """Logs nothing."""


@pytest.fixture
def server(weights: Path) -> Iterator[tuple[str, type[Breaking]]]:
    handler = type(
        "Handler", (Breaking,), {"broken": set(), "ranges": [], "folder": weights.parent}
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", handler
        serving.shutdown()


def url_list(base: str, weights: Path) -> list[dict[str, str]]:
    return [
        {
            "url": f"{base}/model_weights/{name}",
            "md5": hashlib.md5((weights / name).read_bytes()).hexdigest(),
        }
        for name in files_below(weights)
    ]


def test_made_weights_are_a_whole_snapshot(demo: Pipeline, weights: Path) -> None:
    made = demo.stages["weights"]
    assert sorted(outputs(made)) == [f"model_weights/{n}" for n in files_below(weights)]
    name = "model_weights/.snapshot_metadata"
    assert outputs(made)[name] == hashlib.sha256((made.output / name).read_bytes()).hexdigest()
    assert made.document()["facts"]["source"] == "synthetic"


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    demo: Pipeline, tmp_path: Path
) -> None:
    again = Pipeline(tmp_path / "same", **demo.parameters).run("weights")
    assert outputs(again) == outputs(demo.stages["weights"])
    other = Pipeline(tmp_path / "other", **{**demo.parameters, "seed": 2}).run("weights")
    assert outputs(other) != outputs(again)


def test_a_folder_is_adopted_with_its_hashes(demo: Pipeline, weights: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, **demo.parameters)
    root = StageRoot(tmp_path / "weights")
    (root.root / "source").symlink_to(weights.parent)
    adopted = pipeline.run("weights", FOLDER)
    assert outputs(adopted) == outputs(demo.stages["weights"])


def test_a_folder_with_a_short_file_is_refused(
    demo: Pipeline, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "weights" / "source"
    for name in files_below(weights):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((weights / name).read_bytes())
    (source / "batched/0").write_bytes(b"short")
    pipeline = Pipeline(tmp_path, **demo.parameters)
    message = pipeline.refusal(monkeypatch, "weights", FOLDER)
    assert "file 'batched/0' has 5 bytes, wanted" in message


def test_urls_are_fetched_and_resumed(
    demo: Pipeline, weights: Path, tmp_path: Path, server: tuple[str, type[Breaking]]
) -> None:
    base, handler = server
    source = {"kind": "urls", "urls": url_list(base, weights)}
    fetched = Pipeline(tmp_path, **demo.parameters).run("weights", source)
    assert outputs(fetched) == outputs(demo.stages["weights"])
    assert len(handler.ranges) == 1
    assert not handler.ranges[0].endswith("bytes=0-")


@pytest.mark.parametrize("fault", ["md5", "404", "scheme", "name"])
def test_urls_that_do_not_hold_are_refused(
    demo: Pipeline,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[str, type[Breaking]],
    fault: str,
) -> None:
    urls = url_list(server[0], weights)
    first = urls[0]
    md5 = first["md5"]
    words = {
        "md5": f"its md5 is {md5}",
        "404": "HTTP 404",
        "scheme": "neither http nor https",
        "name": "leaves the folder",
    }
    change = {
        "md5": {"md5": "0" * 32},
        "404": {"url": f"{server[0]}/nothing"},
        "scheme": {"url": "file:///etc/passwd"},
        "name": {"name": "../escape"},
    }
    first.update(change[fault])
    pipeline = Pipeline(tmp_path, **demo.parameters)
    message = pipeline.refusal(monkeypatch, "weights", {"kind": "urls", "urls": urls})
    assert words[fault] in message
    assert first["url"] in message


def test_rclone_fetches_a_remote(demo: Pipeline, weights: Path, tmp_path: Path) -> None:
    source = {"kind": "rclone", "remote": f":local:{weights}"}
    fetched = Pipeline(tmp_path, **demo.parameters).run("weights", source)
    assert outputs(fetched) == outputs(demo.stages["weights"])


def test_rclone_takes_options_from_the_secret(
    demo: Pipeline, weights: Path, tmp_path: Path
) -> None:
    root = StageRoot(tmp_path / "weights")
    secret = {"type": "alias", "remote": str(weights.parent)}
    document = {"schema_version": 1, "urls": {}, "options": secret, "hidden": []}
    (root.root / "secret.json").write_text(json.dumps(document))
    source = {"kind": "rclone", "remote": f":alias:{weights.name}"}
    fetched = Pipeline(tmp_path, **demo.parameters).run("weights", source)
    assert outputs(fetched) == outputs(demo.stages["weights"])


def test_rclone_says_what_it_missed(
    demo: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"kind": "rclone", "remote": f":local:{tmp_path}/nowhere"}
    pipeline = Pipeline(tmp_path, **demo.parameters)
    message = pipeline.refusal(monkeypatch, "weights", source)
    assert "nowhere" in message
    assert "directory not found" in message
