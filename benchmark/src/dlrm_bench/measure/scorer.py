"""Computes the AUC from LoadGen's accuracy log, record by record.

A record is {"seq_id", "qsl_idx", "data"}; data is hex of little-endian float32 (prediction, label)
for each pair of the sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlrm_bench.frame.errors import StageError
from dlrm_bench.network.arrays import Array

CHUNK = 1 << 22
AGAIN = "Run again with -e force_stages={}; if it fails again, report it as a bug"


@dataclass(frozen=True)
class Predictions:
    """Score and label of each row of the test half, in row order; both [rows]."""

    scores: Array
    labels: Array
    samples: int


def read_predictions(
    log: Path, starts: Array, labels: Array, progress: Callable[[int, int], None]
) -> Predictions:
    """Read the whole log; StageError unless each row is scored once and has the .bin file's label.

    `starts`: int64 [samples + 1]; `labels`: int8 [rows], from the .bin file.
    """
    samples, rows = len(starts) - 1, int(starts[-1])
    scores: Array = np.zeros(rows, dtype=np.float32)
    seen: Array = np.zeros(samples, dtype=bool)
    for number, (sample, pairs) in enumerate(_records(log)):
        if not 0 <= sample < samples:
            raise _refused(log, f"qsl_idx {sample} is not one of the {samples} samples")
        if seen[sample]:
            raise _refused(log, f"qsl_idx {sample} occurs twice, wanted once")
        seen[sample] = True
        first, last = int(starts[sample]), int(starts[sample + 1])
        if len(pairs) != last - first:
            wanted = f"wanted {last - first}"
            raise _refused(log, f"qsl_idx {sample} has {len(pairs)} pairs, {wanted}")
        if not np.isfinite(pairs[:, 0]).all():
            raise _refused(log, f"qsl_idx {sample} has a prediction that is not a number")
        wrong = np.flatnonzero(pairs[:, 1] != labels[first:last])
        if wrong.size:
            row = first + int(wrong[0])
            given, right = pairs[wrong[0], 1], labels[row]
            what = f"qsl_idx {sample} gives row {row} the label {given:g}"
            raise _refused(log, f"{what}, but the .bin file has {right}")
        scores[first:last] = pairs[:, 0]
        if number % 256 == 0:
            progress(number, samples)
    missing = np.flatnonzero(~seen)
    if missing.size:
        named = ", ".join(str(n) for n in missing[:5])
        raise _refused(log, f"{missing.size} of {samples} samples are missing: qsl_idx {named}")
    return Predictions(scores, labels, samples)


@dataclass(frozen=True)
class Comparison:
    """A performance run's logged answers compared with the accuracy run's."""

    records: int
    samples: int
    pairs: int
    #: Sample of the first record whose predictions differ in any bit; -1 if none differs.
    first_difference: int
    differing: int


def compare_answers(sampled: Path, accuracy: Path) -> Comparison:
    """Compare each record of a performance run's log, bit by bit, with the accuracy run's record.

    StageError for logs that are cut or hold no record, and for a sample that the accuracy run has
    not answered.
    """
    wanted: dict[int, list[bytes]] = {}
    records = pairs = 0
    for sample, answers in _records(sampled):
        wanted.setdefault(sample, []).append(answers.tobytes())
        records, pairs = records + 1, pairs + len(answers)
    if not records:
        raise _refused(sampled, "it holds no answer", "audit")
    samples, differing, first = len(wanted), 0, -1
    for sample, answers in _records(accuracy):
        right = answers.tobytes()
        wrong = sum(given != right for given in wanted.pop(sample, []))
        first = sample if wrong and first < 0 else first
        differing += wrong
    if wanted:
        raise _refused(accuracy, f"the audited sample {min(wanted)} is missing")
    return Comparison(records, samples, pairs, first, differing)


def _records(log: Path) -> Iterator[tuple[int, Array]]:
    ended = False
    with log.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.strip().rstrip(b",")
            if line in (b"[", b""):
                continue
            if line == b"]":
                ended = True
                continue
            try:
                record = json.loads(line)
                data = bytes.fromhex(record["data"])
                pairs = np.frombuffer(data, dtype="<f4").reshape(-1, 2)
                sample = int(record["qsl_idx"])
            except (ValueError, KeyError, TypeError) as error:
                raise _refused(log, f"line {number} is not a record ({error})") from error
            yield sample, pairs
    if not ended:
        raise _refused(log, "it is cut, the closing ']' is missing")


def _refused(log: Path, why: str, stage: str = "accuracy") -> StageError:
    return StageError(f"accuracy log '{log}' cannot be scored", why, AGAIN.format(stage))


def auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve of 0/1 labels; ties count half. Sums are exact integers."""
    weights = (labels != 0).astype(np.uint32)
    positive = int(weights.sum(dtype=np.int64))
    negative = len(weights) - positive
    if not positive or not negative:
        raise StageError(
            "AUC is undefined",
            f"{positive} labels are positive and {negative} negative, wanted both kinds",
            "Use data with clicks and non-clicks",
        )
    twice, below = 0, 0
    for sorted_weights, starts in _tie_groups(scores, weights):
        ups = np.add.reduceat(sorted_weights.astype(np.int64), starts)
        downs = np.diff(np.append(starts, len(sorted_weights))) - ups
        before = below + np.cumsum(downs) - downs
        twice += int((ups * (2 * before + downs)).sum())
        below += int(downs.sum())
    return twice / (2 * positive * negative)


def soft_auc(scores: Array, probability: Array) -> float:
    """AUC when pair i is positive with weight p[i] and negative with weight 1 - p[i].

    No label is drawn, so the figure carries no label noise. Ties count half.
    """
    weights = np.ascontiguousarray(probability, dtype=np.float32).view(np.uint32)
    area = below = positive = 0.0
    for sorted_weights, starts in _tie_groups(scores, weights):
        p = sorted_weights.view(np.float32).astype(np.float64)
        ups, downs = np.add.reduceat(p, starts), np.add.reduceat(1 - p, starts)
        before = below + np.cumsum(downs) - downs
        area += float((ups * (before + downs / 2)).sum())
        below += float(downs.sum())
        positive += float(ups.sum())
    return area / (positive * below)


def _tie_groups(scores: Array, weights: Array) -> Iterator[tuple[Array, Array]]:
    """Yield chunks of weights (uint32) by ascending score, and where each group of ties starts.

    A chunk cuts no tie. Score and weight are packed in one 64-bit key and sorted in place: 8 bytes
    a pair.
    """
    if len(scores) != len(weights):
        raise ValueError(f"{len(scores)} scores have {len(weights)} weights, wanted one each")
    # + 0.0 turns -0.0 into 0.0; then the unsigned order of `keys` is the order of the scores.
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)
    sign = np.uint32(1 << 31)
    keys = np.where(bits & sign, ~bits, bits | sign).astype(np.uint64)
    del bits
    keys <<= np.uint64(32)
    keys |= weights
    keys.sort()
    first = 0
    while first < len(keys):
        last = min(first + CHUNK, len(keys))
        after = ((int(keys[last - 1]) >> 32) + 1) << 32
        last = int(np.searchsorted(keys, np.uint64(after))) if after < 1 << 64 else len(keys)
        chunk = keys[first:last]
        tie = chunk >> np.uint64(32)
        starts = np.flatnonzero(np.concatenate([[True], tie[1:] != tie[:-1]]))
        yield (chunk & np.uint64(0xFFFFFFFF)).astype(np.uint32), starts
        first = last


def accuracy_text(area: float, predictions: Predictions, log_sha256: str) -> str:
    """accuracy.txt: the line the official checker reads, then the untruncated log's sha256."""
    good = int(((predictions.scores.round() != 0) == (predictions.labels != 0)).sum())
    total = len(predictions.scores)
    return (
        f"AUC={100 * area:.3f}%, accuracy={100 * good / total:.3f}%, good={good}, total={total}, "
        f"queries={predictions.samples}\nhash={log_sha256}\n"
    )
