"""How well an AUC is known: its 95 % interval over pairs drawn anew from the same source."""

from __future__ import annotations

import math

import numpy as np

from dlrm_bench.network.arrays import Array

#: The two-sided 95 % quantile of the normal distribution.
QUANTILE = 1.96
#: Pairs of the whole of day 23; no log is longer.
MOST_PAIRS = 89_137_319


def influence(scores: Array, weights: Array) -> Array:
    """What each pair adds to the AUC's deviation, float64 [pairs]; the sum is 0.

    Pair i is positive with weight w[i] and negative with weight 1 - w[i]; labels are weights 0 and
    1. The root of the sum of squares is the AUC's standard error. For labels it is that of DeLong,
    DeLong and Clarke-Pearson (Biometrics 44, 1988, 837-845) with m for m - 1; it is computed from
    ranks as by Sun and Xu (IEEE Signal Processing Letters 21, 2014, 1389-1393). Weights make it
    the infinitesimal jackknife of the same ratio of sums. Ties count half.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    w = np.asarray(weights, dtype=np.float64)[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    counts = np.diff(np.append(starts, len(ranked)))
    ups = np.add.reduceat(w, starts)
    downs = counts - ups
    positive, negative = float(ups.sum()), float(downs.sum())
    below = (np.cumsum(downs) - downs / 2) / negative
    above = 1 - (np.cumsum(ups) - ups / 2) / positive
    area = float((ups * below).sum()) / positive
    result = np.empty(len(w))
    result[order] = w * np.repeat((below - area) / positive, counts) + (1 - w) * np.repeat(
        (above - area) / negative, counts
    )
    return result


def around(value: float, deviations: Array) -> list[float]:
    """[low, high] of `value`, whose influences are `deviations`."""
    half = QUANTILE * math.sqrt(float(np.square(deviations).sum()))
    return [value - half, value + half]


def pairs_needed(pairs: int, low: float, high: float, asked: float) -> int | None:
    """How many pairs give an interval that `asked` does not lie in, if the value stays.

    An interval shrinks with the root of the number of pairs. None: more than MOST_PAIRS.
    """
    half, distance = (high - low) / 2, abs((low + high) / 2 - asked)
    if not half:
        return 0
    if pairs * half**2 > MOST_PAIRS * distance**2:
        return None
    return math.ceil(pairs * (half / distance) ** 2)
