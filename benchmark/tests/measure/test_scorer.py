"""AUC compared with scikit-learn's, and every way in which an accuracy log can be wrong."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dlrm_bench.frame.errors import StageError
from dlrm_bench.measure import scorer
from dlrm_bench.network.arrays import Array

STARTS = np.array([0, 3, 5, 9])


def silent(_done: int, _total: int) -> None:
    pass


def cases() -> list[tuple[str, Array, Array]]:
    rng = np.random.default_rng(3)
    clicks = rng.random(30000) < 0.03
    plain = rng.random(30000).astype(np.float32) + 0.2 * clicks.astype(np.float32)
    return [
        ("continuous", plain, clicks),
        ("ties", np.round(plain, 1), clicks),
        ("all equal", np.full(1000, 0.5, np.float32), clicks[:1000]),
        ("two", np.array([0.2, 0.1], np.float32), np.array([1, 0])),
        (
            "negative and -0",
            np.array([-0.0, 0.0, -2, -1, 3], np.float32),
            np.array([1, 0, 0, 1, 1]),
        ),
        ("denormal", np.array([1e-45, 0, 3e-45, 1], np.float32), np.array([1, 0, 0, 1])),
        ("extremes", np.array([np.finfo(np.float32).max, 1, -1], np.float32), np.array([1, 0, 1])),
    ]


@pytest.mark.parametrize(("name", "scores", "labels"), cases(), ids=[c[0] for c in cases()])
@pytest.mark.parametrize("chunk", [7, 1 << 22])
def test_auc_is_scikit_learns(
    name: str, scores: Array, labels: Array, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "CHUNK", chunk)
    wanted = roc_auc_score(labels, scores.astype(np.float64))
    assert abs(scorer.auc(scores, labels.astype(np.int8)) - wanted) < 1e-9


@pytest.mark.parametrize("digits", [7, 2])
def test_soft_auc_is_auc_of_both_labels_weighted(digits: int) -> None:
    rng = np.random.default_rng(4)
    p = rng.random(5000).astype(np.float32)
    scores = np.round(p + 0.3 * rng.random(5000).astype(np.float32), digits)
    labels, twice = np.repeat([1, 0], len(p)), np.concatenate([scores, scores])
    weights = np.concatenate([p.astype(np.float64), 1 - p.astype(np.float64)])
    wanted = roc_auc_score(labels, twice.astype(np.float64), sample_weight=weights)
    assert abs(scorer.soft_auc(scores, p) - wanted) < 1e-9


def test_permuted_predictions_know_nothing() -> None:
    rng = np.random.default_rng(5)
    p = rng.beta(1, 6, 60000).astype(np.float32)
    labels = (rng.random(60000) < p).astype(np.int8)
    assert scorer.auc(p, labels) > 0.7
    permuted = rng.permutation(p)
    assert abs(scorer.auc(permuted, labels) - 0.5) < 0.01
    assert abs(scorer.soft_auc(permuted, p) - 0.5) < 0.01


def test_one_kind_of_label_has_no_auc() -> None:
    with pytest.raises(StageError, match="0 labels are positive and 3 negative"):
        scorer.auc(np.zeros(3, np.float32), np.zeros(3, np.int8))


def records() -> list[dict[str, object]]:
    """Three samples, not in the order of rows; scores 0.0, 0.1 ... and label row % 2."""
    found = []
    for seq, sample in enumerate([2, 0, 1]):
        rows = np.arange(STARTS[sample], STARTS[sample + 1])
        pairs = np.stack([rows / 10, rows % 2], axis=1).astype("<f4")
        data = pairs.tobytes().hex().upper()
        found.append({"seq_id": seq, "qsl_idx": sample, "data": data})
    return found


def write_log(path: Path, entries: list[dict[str, object]]) -> Path:
    """Write the entries in LoadGen's own line layout."""
    body = ",\n".join(json.dumps(e).replace("{", "{ ").replace("}", " }") for e in entries)
    path.write_text(f"[\n{body}\n]\n")
    return path


LABELS = np.arange(9, dtype=np.int8) % 2


def test_predictions_come_back_in_row_order(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", records())
    read = scorer.read_predictions(log, STARTS, LABELS, silent)
    assert read.scores.tolist() == (np.arange(9) / 10).astype(np.float32).tolist()
    assert read.samples == 3


def shorten(entries: list[dict[str, object]]) -> None:
    entries[0]["data"] = str(entries[0]["data"])[16:]


def flip_label(entries: list[dict[str, object]]) -> None:
    pairs = np.frombuffer(bytes.fromhex(str(entries[1]["data"])), "<f4").reshape(-1, 2).copy()
    pairs[1, 1] = 0
    entries[1]["data"] = pairs.tobytes().hex()


def poison(entries: list[dict[str, object]]) -> None:
    pairs = np.frombuffer(bytes.fromhex(str(entries[1]["data"])), "<f4").reshape(-1, 2).copy()
    pairs[0, 0] = np.nan
    entries[1]["data"] = pairs.tobytes().hex()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda e: e.pop(1), "1 of 3 samples are missing: qsl_idx 0", id="missing"),
        pytest.param(lambda e: e.append(e[0]), "qsl_idx 2 occurs twice", id="duplicate"),
        pytest.param(lambda e: e[0].update(qsl_idx=3), "qsl_idx 3 is not one of the 3", id="odd"),
        pytest.param(shorten, "qsl_idx 2 has 3 pairs, wanted 4", id="short sample"),
        pytest.param(flip_label, "gives row 1 the label 0, but the .bin file has 1", id="label"),
        pytest.param(poison, "qsl_idx 0 has a prediction that is not a number", id="nan"),
        pytest.param(lambda e: e[2].pop("data"), "line 4 is not a record", id="no data"),
        pytest.param(lambda e: e[2].update(data="abc"), "line 4 is not a record", id="odd hex"),
    ],
)
def test_a_log_that_is_not_whole_is_refused(
    tmp_path: Path, spoil: Callable[[list[dict[str, object]]], object], words: str
) -> None:
    entries = records()
    spoil(entries)
    log = write_log(tmp_path / "log", entries)
    with pytest.raises(StageError) as refused:
        scorer.read_predictions(log, STARTS, LABELS, silent)
    assert words in str(refused.value)


def test_a_cut_log_is_refused(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", records())
    log.write_text(log.read_text().rstrip().rstrip("]"))
    with pytest.raises(StageError, match="the closing ']' is missing"):
        scorer.read_predictions(log, STARTS, LABELS, silent)


def test_accuracy_txt_is_what_the_official_checker_reads(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", records())
    read = scorer.read_predictions(log, STARTS, LABELS, silent)
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    text = scorer.accuracy_text(0.802412, read, digest)
    auc_lines = [m for line in text.splitlines() if (m := re.match(r"^AUC=([\d\.]+).*", line))]
    hashes = [m for line in text.splitlines() if (m := re.match(r"^hash=([\w\d]+)$", line))]
    assert [m.group(1) for m in auc_lines] == ["80.241"]
    assert [m.group(1) for m in hashes] == [digest]
    assert "total=9, queries=3" in text
