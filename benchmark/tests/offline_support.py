"""Small data in the real layout, toy engines, and a stage run with one of them.

`python offline_support.py ENGINE` does what `dlrm-bench stage` does, with an engine of this file.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conftest import StageRoot
from dlrm_bench.measure.loadgen import Settings
from dlrm_bench.network.arrays import Array

LENGTHS = (100, 300, 200, 700, 100, 400)
BINS = (
    "terabyte_processed_test_v2_dense.bin",
    "terabyte_processed_test_v2_label_sparse.bin",
    "aggregation_trace.txt",
)


def write_dataset(folder: Path, lengths: Sequence[int] = LENGTHS, planted: bool = True) -> Path:
    """A dataset stage's output; dense[0] of row r is r, so that a toy's answer shows its row."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, ends = sum(lengths), np.cumsum(lengths)
    rng = np.random.default_rng(7)
    dense = rng.random((rows, 13), dtype=np.float32)
    dense[:, 0] = np.arange(rows)
    probability = toy_score(dense)
    label_sparse = rng.integers(0, 100, (rows, 215), dtype=np.int32)
    label_sparse[:, 0] = rng.random(rows) < probability
    dense.tofile(folder / BINS[0])
    label_sparse.tofile(folder / BINS[1])
    trace = "".join(f"{e - n}, {e}, {n}\n" for e, n in zip(ends, lengths, strict=True))
    (folder / BINS[2]).write_text(trace)
    names = list(BINS)
    if planted:
        np.save(folder / "planted_probability.npy", probability)
        names.append("planted_probability.npy")
    document = {"rows": rows, "samples": len(lengths), "pairs": rows, "planted": planted}
    (folder / "dataset.json").write_text(json.dumps(document))
    return promise(folder, [*names, "dataset.json"])


def write_weights(folder: Path, name: str) -> Path:
    """A file in place of the model; toy engines have no weights."""
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"toy" * 10000)
    return promise(folder, [name])


def promise(folder: Path, names: Sequence[str]) -> Path:
    """stage.json with these outputs, which is all conftest's StageRoot needs of it."""
    outputs = [
        {
            "name": name,
            "bytes": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for name in names
    ]
    (folder / "stage.json").write_text(json.dumps({"outputs": outputs}))
    return folder


def toy_score(dense: Array) -> Array:
    """A probability for each row, spread over 0.02..0.98, the same in any batch."""
    return (0.02 + 0.96 * np.modf(dense[:, 0] * np.float32(0.6180339887))[0]).astype(np.float32)


class ToyEngine:
    """Scores with toy_score, as slowly as the test wants."""

    def __init__(self, best_batch: int = 400, seconds_a_pair: float = 2e-5) -> None:
        self.best_batch = best_batch
        self.seconds_a_pair = seconds_a_pair

    def forward(self, dense: Array, ids: Array) -> Array:
        """As an Engine's."""
        assert ids.shape == (len(dense), 214)
        assert dense.dtype == np.float32 and ids.dtype == np.int32
        time.sleep(len(dense) * self.seconds_a_pair)
        return toy_score(dense)


class RowFault(ToyEngine):
    """Does something bad at one row: an early one, so that every run meets it."""

    def __init__(self, action: str, row: int = 150) -> None:
        super().__init__()
        self.action, self.row = action, row

    def forward(self, dense: Array, ids: Array) -> Array:
        """Scores of all rows but that one."""
        if (dense[:, 0] == self.row).any():
            if self.action == "raise":
                raise RuntimeError("table 3 has no row 17")
            if self.action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.action == "exit":
                os._exit(7)
            if self.action == "hang":
                time.sleep(3600)
            if self.action == "poison":
                return super().forward(dense, ids) * np.float32("nan")
        return super().forward(dense, ids)


class Counting(ToyEngine):
    """Writes the pairs of each call to a file of its process."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / str(os.getpid())

    def forward(self, dense: Array, ids: Array) -> Array:
        """Scores, and writes the number of pairs."""
        with self.path.open("a") as file:
            file.write(f"{len(dense)}\n")
        return super().forward(dense, ids)


class NoEngine:
    """Cannot be made."""

    def __init__(self) -> None:
        raise FileNotFoundError("/dlrm/inputs/dump/model.pt")


class Reversed(ToyEngine):
    """The worst engine: it predicts the opposite."""

    def forward(self, dense: Array, ids: Array) -> Array:
        """One minus the probability."""
        return 1 - super().forward(dense, ids)


def toy(kind: str, *arguments: Any) -> ToyEngine:
    """An engine by class name; a top-level function, so that worker processes can call it."""
    engine: ToyEngine = globals()[kind](*arguments)
    return engine


def start_with(engine: str, root: StageRoot) -> subprocess.Popen[bytes]:
    """Start root's stage in a process of its own; `engine` as in 'RowFault:raise'."""
    arguments, environment = _command(engine, root)
    return subprocess.Popen(arguments, env=environment)


def run_with(engine: str, root: StageRoot) -> subprocess.CompletedProcess[str]:
    """The same, and wait for its end."""
    arguments, environment = _command(engine, root)
    return subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def _command(engine: str, root: StageRoot) -> tuple[list[str], dict[str, str]]:
    _, environment = root.command()
    here = Path(__file__)
    path = os.pathsep.join([str(here.parent), environment.get("PYTHONPATH", "")])
    return [sys.executable, str(here), engine], {**environment, "PYTHONPATH": path}


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def main() -> int:
    """Run the asked stage with the engine named on the command line."""
    import offline_support

    from dlrm_bench.measure import (
        loadgen,
        offline as offline_run,
        probe,
        server as server_run,
        server_rate as server_performance,
    )
    from dlrm_bench.runner import run_stage
    from dlrm_bench.serving import queue_model
    from dlrm_bench.stages import accuracy

    kind, *arguments = sys.argv[1].split(":")
    values = [_number(argument) for argument in arguments]
    maker = functools.partial(offline_support.toy, kind, *values)
    offline_run.engine_maker = lambda ctx: maker
    if "PROBE_FACTOR" in os.environ:
        factor, rate = float(os.environ["PROBE_FACTOR"]), probe.expected_rate
        probe.expected_rate = lambda *rates: factor * rate(*rates)
    server_performance.LEAST_TRIAL_SECONDS = server_performance.MOST_TRIAL_SECONDS = 0.5
    if "SERVER_RATE" in os.environ:
        queue_model.highest_rate = lambda *_: float(os.environ["SERVER_RATE"])
        server_run.DEMO_MIN_QUERIES = 60
    if "SERVER_LATENCY_MS" in os.environ:
        widen_latency(int(os.environ["SERVER_LATENCY_MS"]), loadgen)
    if "SET_SAMPLES" in os.environ:
        small = int(os.environ["SET_SAMPLES"])
        setattr(accuracy, "Settings", functools.partial(in_small_sets, small))  # noqa: B010
    return run_stage()


def in_small_sets(samples: int, **values: Any) -> Settings:
    """The stage's settings, but LoadGen loads sets of this size one after the other."""
    return Settings(**{**values, "performance_sample_count": samples})


def widen_latency(milliseconds: int, module: Any) -> None:
    """Widen LoadGen's Server bound in user.conf and for the trials; defaults stay as they are."""
    conf = module.Settings.user_conf
    line = f"{module.MODEL}.Server.target_latency = {milliseconds}\n"
    module.Settings.user_conf = lambda settings: conf(settings) + line
    module.SERVER_LATENCY_SECONDS = milliseconds / 1000


if __name__ == "__main__":
    sys.exit(main())
