"""Bad input to weights, dataset, calibrate: refusals name file, place, remedy; nothing is left."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_file import write
from test_dataset import FOLDER, damaged, flip, prepared, user_files, write_files

from conftest import Pipeline, StageRoot
from dlrm_bench.data import names as bins
from dlrm_bench.data.query_set import SampleFiles
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.readable import require_file, unreadable
from dlrm_bench.int8.fit import check_finite
from dlrm_bench.int8.model import load_int8
from dlrm_bench.network.dlrm import row_counts
from dlrm_bench.weights.dump import load_dump

ROWS = row_counts(3000)
SHARD = "sharded/model/model.sparse_arch.embedding_bag_collection.embedding_bags.t_cat_2.weight_0_0"


def nothing_left(output: Path) -> bool:
    return {path.name for path in output.iterdir()} <= {"attempts", "model_weights"} and not any(
        path.is_file() for path in (output / "model_weights").rglob("*.partial")
    )


@pytest.fixture
def source(demo: Pipeline, tmp_path: Path) -> Path:
    """A user's copy of complete weights, where the stage finds it."""
    folder = tmp_path / "weights" / "source"
    shutil.copytree(demo.stages["weights"].output / "model_weights", folder)
    return folder


def weights_refusal(demo: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    message = Pipeline(tmp_path, **demo.parameters).refusal(monkeypatch, "weights", FOLDER)
    # Without metadata and stage.json the folder cannot be mistaken for weights.
    output = tmp_path / "weights/output"
    assert not (output / "stage.json").exists()
    assert not (output / "model_weights/.snapshot_metadata").exists()
    assert nothing_left(output)
    return message


def test_a_nan_among_the_weights_is_named(
    demo: Pipeline, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.fromfile(source / SHARD, "<f4")
    values[5 * 128 + 7] = np.nan
    values.tofile(source / SHARD)
    message = weights_refusal(demo, tmp_path, monkeypatch)
    assert SHARD in message
    assert "t_cat_2.weight' is nan at row 5, column 7, wanted a finite number" in message
    assert "Fetch the file again" in message


def test_an_infinite_bias_in_a_slab_is_named(
    demo: Pipeline, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slab = np.fromfile(source / "batched/0", "<f4")
    # The slab begins with the bottom MLP's first weight [512, 13], then its bias.
    slab[512 * 13 + 3] = -np.inf
    slab.tofile(source / "batched/0")
    message = weights_refusal(demo, tmp_path, monkeypatch)
    assert "dense_arch.model._mlp.0._linear.bias' is -inf at row 3, wanted" in message
    assert "batched/0" in message


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, f"file '{SHARD}' is missing"),
    "short": (lambda path: path.write_bytes(b"xy"), f"file '{SHARD}' has 2 bytes, wanted"),
    "forbidden": (lambda path: path.chmod(0), f"file '{SHARD}' cannot be read: it may not be"),
    "folder": (
        lambda path: path.unlink() or path.mkdir(),  # type: ignore[func-returns-value]
        f"file '{SHARD}' cannot be read: it is a folder",
    ),
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)
def test_a_shard_that_cannot_be_read_is_named(
    demo: Pipeline,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path], Any],
    words: str,
) -> None:
    fault(source / SHARD)
    message = weights_refusal(demo, tmp_path, monkeypatch)
    assert words in message
    assert "Fetch the weights again" in message


def md5_list(folder: Path) -> list[str]:
    """Lines as md5sum writes them one folder above."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  ./source/{path.relative_to(folder)}"
        for path in files
    ]


def test_files_equal_to_an_md5_list_are_taken_and_counted(
    demo: Pipeline, source: Path, tmp_path: Path
) -> None:
    lines = md5_list(source)
    (source / "weights.md5").write_text("\n".join(lines) + "\n")
    root = Pipeline(tmp_path, **demo.parameters).run("weights", FOLDER)
    facts = root.document()["facts"]
    assert facts["files_with_listed_md5"] == facts["files"] == len(lines)
    assert facts["mlcommons_metadata"] is False


def bsd(line: str) -> str:
    return f"MD5 ({line[34:]}) = {line[:32]}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda lines: "\n".join(map(bsd, lines)), id="BSD's form"),
        pytest.param(lambda lines: "\ufeff" + "\r\n".join(lines), id="byte order mark"),
        pytest.param(lambda lines: "# made by us\n\n" + "\n".join(lines), id="comment"),
        pytest.param(lambda lines: "\n".join(lines).replace("  ", "\t"), id="tabs"),
        pytest.param(lambda lines: "\n".join(lines).replace("  ", " *"), id="binary mode"),
    ],
)
def test_each_form_of_an_md5_list_is_read(
    demo: Pipeline, source: Path, tmp_path: Path, text: Callable[[list[str]], str]
) -> None:
    lines = md5_list(source)
    (source / "weights.md5").write_text(text(lines), encoding="utf-8")
    root = Pipeline(tmp_path, **demo.parameters).run("weights", FOLDER)
    assert root.document()["facts"]["files_with_listed_md5"] == len(lines)


def test_a_list_counts_for_what_it_names_here(demo: Pipeline, source: Path, tmp_path: Path) -> None:
    """Both downloads of MLCommons in one folder: the click log's lists name no weights."""
    weights = source / "model_weights"
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    for path in files:
        target = weights / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    (source / "day_23_dense.npy.md5").write_text(f"{'0' * 32}  day_23_dense.npy\n")
    (source / "day_23_labels.npy.md5").write_text("0" * 32 + "\n")
    metadata = weights / ".snapshot_metadata"
    md5 = hashlib.md5(metadata.read_bytes()).hexdigest()
    (source / "metadata.md5").write_text(f"{md5}  model_weights/.snapshot_metadata\n")
    root = Pipeline(tmp_path, **demo.parameters).run("weights", FOLDER)
    assert root.document()["facts"]["files_with_listed_md5"] == 1


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        pytest.param(
            lambda lines: ["0" * 32 + line[32:] if SHARD in line else line for line in lines],
            ["t_cat_2.weight_0_0' is damaged: its md5 is", "lists " + "0" * 32, "Fetch the file"],
            id="other md5",
        ),
        pytest.param(
            lambda lines: [*lines, "0" * 32 + "  batched/one_more"],
            ["file 'batched/one_more' of the md5 list is missing", "Fetch the weights again"],
            id="file missing",
        ),
        pytest.param(
            lambda lines: [*lines, "<html>"],
            ["weights.md5' cannot be used", "is '<html>', wanted an md5", "Correct the list"],
            id="no list",
        ),
    ],
)
def test_weights_unlike_their_md5_list_are_refused(
    demo: Pipeline,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edit: Callable[[list[str]], list[str]],
    words: list[str],
) -> None:
    (source / "weights.md5").write_text("\n".join(edit(md5_list(source))) + "\n")
    message = weights_refusal(demo, tmp_path, monkeypatch)
    for word in words:
        assert word in message


def forbidden(folder: Path) -> None:
    (folder / "day_23_sparse_multi_hot.npz").chmod(0)


def overlong(folder: Path) -> None:
    with (folder / "day_23_dense.npy").open("ab") as file:
        file.write(bytes(52))


def negative_rows(folder: Path) -> None:
    path = folder / "day_23_labels.npy"
    path.write_bytes(path.read_bytes().replace(b"(40, 1)", b"(-4, 1)"))


DAY_FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "forbidden": (forbidden, "day_23_sparse_multi_hot.npz' cannot be read: it may not be read"),
    "overlong": (overlong, "'day_23_dense.npy' cannot be used: 52 bytes follow its 40 rows"),
    "negative": (negative_rows, "'day_23_labels.npy' cannot be used: its shape is [-4, 1]"),
}


@pytest.mark.parametrize(("fault", "words"), DAY_FAULTS.values(), ids=DAY_FAULTS)
def test_a_log_that_cannot_be_read_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path], None],
    words: str,
) -> None:
    message = prepared(tmp_path, damaged(fault), None).refusal(monkeypatch, "dataset", FOLDER)
    assert words in message
    assert {path.name for path in (tmp_path / "dataset/output").iterdir()} <= {"attempts"}


def test_damage_behind_the_rows_in_use_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 20 of 40 rows are scored and 5 calibrate: the flipped byte in row 39 is never converted.
    monkeypatch.setattr(bins, "CALIBRATION_ROWS", 5)

    def damage(folder: Path) -> None:
        write_files(folder, user_files(40))
        flip(folder, "24.npy")

    message = prepared(tmp_path, damage, None).refusal(monkeypatch, "dataset", FOLDER)
    assert "day_23_sparse_multi_hot.npz:24.npy' is damaged" in message
    assert {path.name for path in (tmp_path / "dataset/output").iterdir()} <= {"attempts"}


def test_what_is_no_readable_file_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert unreadable(tmp_path / "file") == ""
    assert unreadable(tmp_path) == "it is a folder, wanted a file"
    assert unreadable(tmp_path / "none") == "it is not there, wanted a file"
    (tmp_path / "file").chmod(0)
    with pytest.raises(StageError) as refused:
        require_file(tmp_path / "file", "Bring it")
    assert "may not be read (Permission denied). Let the user who owns" in str(refused.value)


def changed_set(demo: Pipeline, folder: Path, change: Callable[[Path], None]) -> Pipeline:
    """The demo's stages with a changed calibration set; its stage.json lists the new sizes."""
    copy = StageRoot(folder / "changed")
    for name in (bins.CALIBRATION_DENSE_NAME, bins.CALIBRATION_SPARSE_NAME):
        shutil.copy(demo.stages["dataset"].output / name, copy.output / name)
    change(copy.output)
    outputs = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": ""}
        for path in copy.output.iterdir()
    ]
    (copy.output / "stage.json").write_text(json.dumps({"outputs": outputs}))
    pipeline = Pipeline(folder, **demo.parameters)
    pipeline.stages = {"dump": demo.stages["dump"], "dataset": copy}
    return pipeline


def replace(name: str, change: Callable[[np.ndarray[Any, Any]], Any]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, change(np.load(folder / name)))


def with_id(value: int) -> Callable[[np.ndarray[Any, Any]], Any]:
    def change(ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        ids[0, 213] = value
        return ids

    return change


SET_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "id": (
        replace(bins.CALIBRATION_SPARSE_NAME, with_id(36)),
        "row 0 of table 25 has id 36, wanted 0..35",
    ),
    "dtype": (
        replace(bins.CALIBRATION_SPARSE_NAME, lambda ids: ids.astype(np.int64)),
        "it is int64[4000, 214], wanted int32[rows, 214]",
    ),
    "width": (
        replace(bins.CALIBRATION_DENSE_NAME, lambda x: x[:, :12]),
        "it is float32[4000, 12], wanted float32[rows, 13]",
    ),
    "rows": (
        replace(bins.CALIBRATION_DENSE_NAME, lambda x: x[:-1]),
        "'calibration_dense.npy' has 3999 rows, 'calibration_sparse.npy' has 4000",
    ),
    "cut": (
        lambda folder: (folder / bins.CALIBRATION_DENSE_NAME).write_bytes(b"\x93NUM"),
        "calibration_dense.npy' cannot be used: it is not a whole .npy array",
    ),
}


@pytest.mark.parametrize(("fault", "words"), SET_FAULTS.values(), ids=SET_FAULTS)
def test_a_bad_calibration_set_is_refused(
    demo: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Path], None],
    words: str,
) -> None:
    message = changed_set(demo, tmp_path, fault).refusal(monkeypatch, "calibrate")
    assert words in message
    assert not (tmp_path / "calibrate/output/dlrm_int8.pt").exists()


def test_a_dump_with_nan_is_not_quantized() -> None:
    rows = torch.zeros(4, 3)
    check_finite("x", rows)
    rows[2, 1] = torch.nan
    with pytest.raises(StageError, match="tensor 'x' is nan at row 102, column 1"):
        check_finite("x", rows, 100)
    with pytest.raises(StageError, match="tensor 'x' is nan at row 93, column 1"):
        check_finite("x", rows, rows=np.array([5, 7, 93, 94]))
    with pytest.raises(StageError, match="tensor 'b' is inf at row 1, wanted"):
        check_finite("b", torch.tensor([0.0, torch.inf]))


def test_an_int8_file_of_other_weights_or_types_is_refused(demo: Pipeline, tmp_path: Path) -> None:
    path = demo.stages["calibrate"].output / "dlrm_int8.pt"
    content = load_int8(path, ROWS)
    load_int8(path, ROWS, content["source_sha256"])
    with pytest.raises(StageError) as refused:
        load_int8(path, ROWS, "0" * 64)
    wanted = f"the dump with sha256 {content['source_sha256']}, the request's has {'0' * 64}"
    assert wanted in str(refused.value)
    assert "-e force_stages=calibrate" in str(refused.value)
    name = "over_arch.model._mlp.0"
    for key, value, words in (
        (f"{name}.codes", content[f"{name}.codes"].view(torch.uint8), "uint8, wanted torch.int8"),
        (f"{name}.scale", content[f"{name}.scale"] * torch.nan, "values that are not finite"),
        (f"{name}.bias", [1, 2], f"tensor '{name}.bias' is missing"),
        ("row_counts", None, "its tables have None rows"),
    ):
        changed = write(tmp_path / "changed.pt", {**content, key: value})
        with pytest.raises(StageError, match=words):
            load_int8(changed, ROWS)


@pytest.mark.parametrize("load", [load_dump, load_int8])
def test_a_model_file_that_cannot_be_read_is_refused(load: Any, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="it is a folder, wanted a file"):
        load(tmp_path, ROWS)
    path = tmp_path / "model.pt"
    with pytest.raises(StageError, match="it is not there, wanted a file"):
        load(path, ROWS)
    path.touch(mode=0)
    with pytest.raises(StageError, match="it may not be read"):
        load(path, ROWS)


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("dense.bin", lambda path: path.chmod(0), "it may not be read"),
        ("sparse.bin", lambda path: (path.unlink(), path.mkdir()), "it is a folder"),
        ("trace.txt", Path.unlink, "it is not there"),
        ("trace.txt", lambda path: path.write_bytes(b"\xff, 1, 1\n"), "not 'start, end, length'"),
        ("trace.txt", lambda path: path.write_text("0, 99999999999999999999, 1\n"), "not 'start"),
    ],
)
def test_a_query_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, fault: Callable[[Path], Any], words: str
) -> None:
    (tmp_path / "trace.txt").write_text("0, 2, 2\n")
    (tmp_path / "dense.bin").write_bytes(bytes(2 * 52))
    (tmp_path / "sparse.bin").write_bytes(bytes(2 * 860))
    files = [tmp_path / file for file in ("dense.bin", "sparse.bin", "trace.txt")]
    assert SampleFiles(*files).rows == 2
    fault(tmp_path / name)
    with pytest.raises(StageError, match=words) as refused:
        SampleFiles(*files)
    assert name in str(refused.value)
