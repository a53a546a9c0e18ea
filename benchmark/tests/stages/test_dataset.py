"""Stage dataset: which rows go where, planted labels, and every refusal."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from conftest import Pipeline
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import MULTI_HOT, Fp32Model, row_counts
from dlrm_bench.weights.dump import load_dump

FULL = 40_000_000
FOLDER = {"kind": "folder", "path": "/dlrm/source"}
Files = dict[str, Any]


def user_files(rows: int, top: int = FULL, seed: int = 3) -> Files:
    """The official layout in memory, ids below `top`."""
    rng = np.random.default_rng(seed)
    sizes = row_counts(top)
    return {
        "dense": np.log(3 + rng.exponential(50, (rows, 13))).astype(np.float32),
        "labels": (rng.random((rows, 1)) < 0.1).astype(np.int32),
        "ids": [
            rng.integers(0, n, (rows, h), np.int32) for n, h in zip(sizes, MULTI_HOT, strict=True)
        ],
    }


def write_files(folder: Path, files: Files) -> None:
    folder.mkdir(exist_ok=True)
    np.save(folder / "day_23_dense.npy", files["dense"])
    np.save(folder / "day_23_labels.npy", files["labels"])
    members = {str(table): ids for table, ids in enumerate(files["ids"])}
    np.savez(folder / "day_23_sparse_multi_hot.npz", **members)


def read_bins(folder: Path) -> tuple[Array, Array, Array]:
    dense = np.fromfile(folder / "terabyte_processed_test_v2_dense.bin", "<f4").reshape(-1, 13)
    both = np.fromfile(folder / "terabyte_processed_test_v2_label_sparse.bin", "<i4")
    both = both.reshape(-1, 215)
    return dense, both[:, 0], both[:, 1:]


def prepared(folder: Path, write: Callable[[Path], None], demo: Pipeline | None) -> Pipeline:
    """A pipeline whose dataset stage finds files; official if there is no demo to plant from."""
    official = {"profile": "official", "row_cap": None}
    pipeline = Pipeline(folder, **{**(demo.parameters if demo else official), "data_rows": None})
    if demo:
        pipeline.stages["weights"] = demo.stages["weights"]
    source = folder / "dataset" / "source"
    source.parent.mkdir(parents=True)
    write(source)
    return pipeline


def convert(folder: Path, files: Files, demo: Pipeline | None = None) -> Path:
    """Run the stage on a user's files; its output folder."""
    pipeline = prepared(folder, lambda source: write_files(source, files), demo)
    return pipeline.run("dataset", FOLDER).output


def test_demo_has_the_promised_rows_and_auc(demo: Pipeline) -> None:
    folder = demo.stages["dataset"].output
    dense, labels, ids = read_bins(folder)
    p = np.load(folder / "planted_probability.npy").astype(np.float64)
    assert dense.shape == (4000, 13)
    assert ids.shape == (4000, 214)
    assert (ids < np.repeat(row_counts(3000), MULTI_HOT)).all()
    assert p.shape == (4000,)
    assert roc_auc_score(labels, p) >= 0.80
    weighted = np.concatenate([p, 1 - p])
    truth = np.repeat([1, 0], len(p))
    assert roc_auc_score(truth, np.concatenate([p, p]), sample_weight=weighted) >= 0.80
    assert np.load(folder / "calibration_dense.npy").shape == (4000, 13)
    described = json.loads((folder / "dataset.json").read_text())
    assert (described["rows"], described["source"], described["planted"]) == (
        4000,
        "synthetic",
        True,
    )
    assert len((folder / "aggregation_trace.txt").read_text().splitlines()) == described["samples"]


def test_labels_are_planted_from_the_fp32_model(demo: Pipeline) -> None:
    folder = demo.stages["dataset"].output
    dense, labels, ids = read_bins(folder)
    rows = row_counts(3000)
    weights = load_dump(demo.stages["dump"].output / "dlrm-multihot-pytorch.pt", rows)
    wanted = Fp32Model(weights).forward(torch.from_numpy(dense), torch.from_numpy(ids.copy()))
    p = np.load(folder / "planted_probability.npy")
    np.testing.assert_allclose(p, wanted.numpy(), rtol=1e-4)
    # 4000 labels are drawn: 6 standard deviations of their mean are below 0.04.
    assert abs(labels.mean() - p.mean()) < 0.04


def test_the_same_request_gives_the_same_bytes(demo: Pipeline, tmp_path: Path) -> None:
    again = Pipeline(tmp_path, **demo.parameters)
    again.stages["weights"] = demo.stages["weights"]
    found = again.run("dataset").document()["outputs"]
    assert found == demo.stages["dataset"].document()["outputs"]


def test_official_keeps_rows_and_labels_and_scores_no_calibration_row(tmp_path: Path) -> None:
    files = user_files(20_001)
    files["dense"][:, 0] = np.arange(20_001)
    folder = convert(tmp_path, files)
    dense, labels, ids = read_bins(folder)
    whole = np.concatenate(files["ids"], 1)
    # ceil(20001 / 2)
    assert np.array_equal(dense, files["dense"][:10_001])
    assert np.array_equal(labels, files["labels"][:10_001, 0])
    assert np.array_equal(ids, whole[:10_001])
    calibration = np.load(folder / "calibration_dense.npy")
    assert np.array_equal(calibration, files["dense"][10_001:])
    assert np.array_equal(np.load(folder / "calibration_sparse.npy"), whole[10_001:])
    assert not set(calibration[:, 0]) & set(dense[:, 0])
    assert not (folder / "planted_probability.npy").exists()
    assert json.loads((folder / "dataset.json").read_text())["source"] == "user"


def test_demo_takes_full_size_ids_modulo_the_cap(demo: Pipeline, tmp_path: Path) -> None:
    files = user_files(3001)
    folder = convert(tmp_path, files, demo)
    dense, _, ids = read_bins(folder)
    limits = np.repeat(row_counts(3000), MULTI_HOT)
    assert np.array_equal(ids, (np.concatenate(files["ids"], 1) % limits)[:1501])
    assert np.array_equal(dense, files["dense"][:1501])
    assert len(np.load(folder / "planted_probability.npy")) == 1501


def test_200_rows_of_a_users_log_are_refused_before_anything_is_measured(
    demo: Pipeline, tmp_path: Path
) -> None:
    """The gate's 0.80 lies inside the interval of what 100 pairs say even of fp32."""
    pipeline = prepared(tmp_path, lambda source: write_files(source, user_files(200)), demo)
    root, done = pipeline.attempt("dataset", FOLDER)
    assert done.returncode != 0
    assert (
        "the 100 pairs that the click log gives are too few for the AUC gate"
        in root.status()["message"]
    )
    assert not (root.output / "stage.json").exists()


def edited(change: Callable[[Files], None]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        files = user_files(40)
        change(files)
        write_files(folder, files)

    return write


def damaged(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_files(folder, user_files(40))
        change(folder)

    return write


def put(files: Files, name: str, row: int, column: int, value: Any) -> None:
    files[name][row, column] = value


def put_id(files: Files, table: int, row: int, value: int) -> None:
    files["ids"][table][row, 0] = value


def flip(folder: Path, member: str) -> None:
    """Change one byte of a member's last row."""
    path = folder / "day_23_sparse_multi_hot.npz"
    with zipfile.ZipFile(path) as archive:
        following = archive.infolist()[archive.namelist().index(member) + 1]
    content = bytearray(path.read_bytes())
    content[following.header_offset - 4] ^= 1
    path.write_bytes(content)


def cut(folder: Path) -> None:
    path = folder / "day_23_sparse_multi_hot.npz"
    path.write_bytes(path.read_bytes()[:-100])


def without_member(folder: Path) -> None:
    members = {str(t): ids for t, ids in enumerate(user_files(40)["ids"]) if t != 25}
    np.savez(folder / "day_23_sparse_multi_hot.npz", **members)


def compressed(folder: Path) -> None:
    members = {str(t): ids for t, ids in enumerate(user_files(40)["ids"])}
    np.savez_compressed(folder / "day_23_sparse_multi_hot.npz", **members)


def as_folder(folder: Path) -> None:
    (folder / "day_23_labels.npy").unlink()
    (folder / "day_23_labels.npy").mkdir()


REFUSALS = {
    "dtype of dense": (
        edited(lambda f: f.update(dense=f["dense"].astype(np.float64))),
        ["day_23_dense.npy", "dtype is float64, wanted float32"],
    ),
    "dtype of ids": (
        edited(lambda f: f["ids"].__setitem__(3, f["ids"][3].astype(np.int64))),
        ["day_23_sparse_multi_hot.npz:3.npy", "dtype is int64, wanted int32"],
    ),
    "column too few": (
        edited(lambda f: f.update(dense=f["dense"][:, :12])),
        ["day_23_dense.npy", "shape is [40, 12], wanted [rows, 13]"],
    ),
    "hot too many": (
        edited(lambda f: f["ids"].__setitem__(9, np.zeros((40, 8), np.int32))),
        ["9.npy", "shape is [40, 8], wanted [rows, 7]"],
    ),
    "flat labels": (
        edited(lambda f: f.update(labels=f["labels"][:, 0])),
        ["day_23_labels.npy", "shape is [40], wanted [rows, 1]"],
    ),
    "fewer labels": (
        edited(lambda f: f.update(labels=f["labels"][:39])),
        ["day_23_labels.npy", "39 rows, 'day_23_dense.npy' has 40"],
    ),
    "fewer ids": (
        edited(lambda f: f["ids"].__setitem__(20, f["ids"][20][:39])),
        ["20.npy", "39 rows"],
    ),
    "one row": (edited(lambda f: f.update(user_files(1))), ["1 rows, wanted at least 2"]),
    "label 2": (
        edited(lambda f: put(f, "labels", 17, 0, 2)),
        ["day_23_labels.npy", "row 17 is 2, wanted 0 or 1"],
    ),
    "nan": (
        edited(lambda f: put(f, "dense", 7, 5, np.nan)),
        ["day_23_dense.npy", "row 7, column 5 is nan, wanted a finite number"],
    ),
    "id too high": (
        edited(lambda f: put_id(f, 5, 11, 3)),
        ["row 11 of member '5.npy' has id 3, wanted 0..2"],
    ),
    "id negative": (
        edited(lambda f: put_id(f, 0, 12, -1)),
        ["row 12 of member '0.npy' has id -1"],
    ),
    "flipped byte": (
        damaged(lambda folder: flip(folder, "24.npy")),
        ["day_23_sparse_multi_hot.npz:24.npy' is damaged", "CRC-32"],
    ),
    "cut zip": (damaged(cut), ["day_23_sparse_multi_hot.npz'", "not a whole zip file"]),
    "compressed zip": (damaged(compressed), ["member '0.npy' is compressed", "numpy.savez"]),
    "no member": (damaged(without_member), ["has no member '25.npy'"]),
    "no file": (
        damaged(lambda folder: (folder / "day_23_dense.npy").unlink()),
        ["day_23_dense.npy' cannot be read", "is not there"],
    ),
    "folder": (damaged(as_folder), ["day_23_labels.npy' cannot be read", "is a folder"]),
    "text": (
        damaged(lambda folder: (folder / "day_23_labels.npy").write_text("label\n1\n")),
        ["day_23_labels.npy", "not an .npy array"],
    ),
}


@pytest.mark.parametrize(("write", "words"), REFUSALS.values(), ids=REFUSALS)
def test_bad_files_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path], None],
    words: list[str],
) -> None:
    message = prepared(tmp_path, write, None).refusal(monkeypatch, "dataset", FOLDER)
    for word in words:
        assert word in message
    # The message ends with a remedy.
    assert message.rsplit(". ", 1)[1].startswith(("Bring", "Fetch", "Write"))
    left = {path.name for path in (tmp_path / "dataset/output").iterdir()}
    assert left <= {"attempts"}


@pytest.mark.parametrize("stage", ["weights", "dataset"])
def test_official_without_a_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    pipeline = Pipeline(tmp_path, profile="official", row_cap=None, data_rows=None)
    assert "_source is not set" in pipeline.refusal(monkeypatch, stage)
