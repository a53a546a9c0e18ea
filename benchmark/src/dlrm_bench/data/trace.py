"""The aggregation trace: which rows form each sample, by MLCommons' procedure and random seed.

A sample is 100..700 pairs, drawn from 20 equally likely values; the full size's trace has
md5 3db90209564316f2506c99cc994ad0b2, equal to the published one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SEED = 123
SIZES = (*(100,) * 2, *(200,) * 12, *(300,) * 2, 400, 500, 600, 700)


def sample_ends(rows: int) -> np.ndarray[Any, Any]:
    """Row after the last of each sample, int64 [samples]; the last sample is cut at `rows`."""
    state = np.random.RandomState(SEED)
    # Draw as many as could be needed: their number does not change the first ones.
    draws = state.randint(0, len(SIZES), size=rows // min(SIZES) + 1)
    ends = np.cumsum(np.asarray(SIZES, np.int64)[draws])
    count = int(np.searchsorted(ends, rows)) + 1
    ends = ends[:count]
    ends[-1] = rows
    return ends


def trace_text(rows: int) -> tuple[str, int]:
    """The file's text, "start, end, length" a line, and the number of samples."""
    ends = sample_ends(rows).tolist()
    starts = [0, *ends[:-1]]
    lines = [f"{start}, {end}, {end - start}\n" for start, end in zip(starts, ends, strict=True)]
    return "".join(lines), len(lines)
