"""A user's files: md5 lists beside the click log, pages saved as files, whose files they are."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_dataset import FOLDER, prepared, user_files, write_files

from conftest import Pipeline

LIST = "dlrm-v2-preprocessed-dataset.md5"
LOGIN = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>"
PAGE = "it is an HTML page ('Sign in'), probably a server's login or error page, not "


def listed_log(folder: Path) -> None:
    """A log with the list beside it, as MLCommons' downloader leaves both."""
    write_files(folder, user_files(40))
    lines = [
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  ./{path.name}"
        for path in sorted(folder.iterdir())
    ]
    # Both downloads may lie in one folder: what names other files counts for nothing.
    lines.append(f"{'0' * 32}  ./model_weights/.snapshot_metadata")
    (folder / LIST).write_text("\n".join(lines) + "\n")


def test_one_changed_float_is_found_by_the_list_beside_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = []

    def change(folder: Path) -> None:
        listed_log(folder)
        path = folder / "day_23_dense.npy"
        sums.append(hashlib.md5(path.read_bytes()).hexdigest())
        dense = np.load(path)
        dense[3, 5] = np.nextafter(dense[3, 5], np.float32(9))
        np.save(path, dense)
        sums.append(hashlib.md5(path.read_bytes()).hexdigest())

    message = prepared(tmp_path, change, None).refusal(monkeypatch, "dataset", FOLDER)
    assert "day_23_dense.npy' is damaged" in message
    assert f"its md5 is {sums[1]}, '{LIST}' lists {sums[0]}" in message
    assert {path.name for path in (tmp_path / "dataset/output").iterdir()} <= {"attempts"}


def test_a_log_like_its_list_is_taken_and_is_not_mlcommons_own(tmp_path: Path) -> None:
    facts = prepared(tmp_path, listed_log, None).run("dataset", FOLDER).document()["facts"]
    assert facts.get("files_with_listed_md5") == 3
    assert facts.get("published") is False
    assert "it has 40 rows, MLCommons' day 23 has 178274637" in facts["published_by"]


@pytest.mark.parametrize("name", ["day_23_dense.npy", "day_23_sparse_multi_hot.npz", LIST])
def test_a_login_page_saved_as_part_of_the_log_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def save(folder: Path) -> None:
        listed_log(folder)
        (folder / name).write_text(LOGIN)

    message = prepared(tmp_path, save, None).refusal(monkeypatch, "dataset", FOLDER)
    assert f"{name}' cannot be read: {PAGE}{name}. Fetch the file again, logged in" in message


@pytest.fixture
def weights(demo: Pipeline, tmp_path: Path) -> Path:
    """A user's copy of complete weights, where the stage finds it."""
    folder = tmp_path / "weights" / "source"
    shutil.copytree(demo.stages["weights"].output / "model_weights", folder)
    return folder


SAVED: dict[str, Callable[[Path], Path]] = {
    "metadata": lambda folder: folder / ".snapshot_metadata",
    "slab": lambda folder: folder / "batched/0",
    "md5 list": lambda folder: folder / "weights.md5",
}


@pytest.mark.parametrize("place", SAVED.values(), ids=SAVED)
def test_a_login_page_saved_among_the_weights_is_named(
    demo: Pipeline,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[Path], Path],
) -> None:
    path = place(weights)
    path.write_text(LOGIN)
    message = Pipeline(tmp_path, **demo.parameters).refusal(monkeypatch, "weights", FOLDER)
    assert f"{PAGE}{path.name}" in message
    assert path.name in message.partition(" cannot be read: ")[0]


def test_weights_say_whether_they_are_mlcommons_own(
    demo: Pipeline, weights: Path, tmp_path: Path
) -> None:
    facts = Pipeline(tmp_path, **demo.parameters).run("weights", FOLDER).document()["facts"]
    assert facts.get("published") is False
    assert "md5 of .snapshot_metadata" in facts["published_by"]
    made = demo.stages["weights"].document()["facts"]
    assert (made.get("published"), made.get("published_by")) == (False, "made here, not MLCommons'")
