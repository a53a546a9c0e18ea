"""Stage tune with the real engines, and how accuracy and performance use its choice."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEMO, Pipeline, StageRoot
from dlrm_bench.engines import choice as engines
from dlrm_bench.engines.choice import Choice
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.network.dlrm import row_counts
from dlrm_bench.serving.pool import LEAST_PART
from dlrm_bench.tuning import contenders as contender_rules, race as tune
from dlrm_bench.tuning.contenders import (
    UNDISTURBED,
    WALL,
    CalibrationPairs,
    Contender,
    check,
    choose,
    compared_by,
)
from dlrm_bench.workers.pool import batch_pairs

pytestmark = pytest.mark.measures

MODEL = {name: precision.model.stage for name, precision in PRECISIONS.items()}
HERE = Path(__file__)


def ask(
    demo: Pipeline,
    folder: Path,
    stage: str,
    precision: str,
    tuned: StageRoot | None = None,
    **parameters: Any,
) -> StageRoot:
    """Write the stage's request; its inputs come from the demo's stages and a choice."""
    inputs = {name: demo.stages[name].output for name in ("dataset", MODEL[precision])}
    if tuned is not None:
        inputs["tune"] = tuned.output
    root = StageRoot(folder / stage)
    root.ask(stage, inputs, precision=precision, tune=True, **{**DEMO, **parameters})
    if stage == "tune":
        only_calibration(root)
    return root


def only_calibration(root: StageRoot) -> None:
    """Leave tune only the calibration set of the data set, as stages.json does."""
    path = root.root / "request.json"
    request = json.loads(path.read_text())
    given = request["inputs"]["dataset"]
    request["inputs"]["dataset"] = [f for f in given if f["name"].startswith("calibration_")]
    path.write_text(json.dumps(request))


def run_quickly(root: StageRoot, fault: str = "", seconds: float = 1.0) -> Any:
    """Run the stage in a process of its own, with little time for its rounds."""
    return subprocess.run(
        command(fault, seconds), env=environment(root), capture_output=True, text=True, check=False
    )


def environment(root: StageRoot) -> dict[str, str]:
    """This file runs as a program, too, which imports what lies a folder above it."""
    return {**root.command()[1], "PYTHONPATH": str(HERE.parents[1])}


def command(fault: str = "", seconds: float = 1.0) -> list[str]:
    return [sys.executable, str(HERE), str(seconds), fault]


@pytest.fixture(scope="module", params=["int8", "fp32"])
def tuned(
    demo: Pipeline, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[str, StageRoot]:
    """A precision and its finished stage."""
    root = ask(demo, tmp_path_factory.mktemp("tuned"), "tune", request.param)
    done = run_quickly(root)
    assert done.returncode == 0, done.stderr
    return request.param, root


def test_every_candidate_is_recorded_and_the_best_is_chosen(tuned: tuple[str, StageRoot]) -> None:
    precision, root = tuned
    found = json.loads((root.output / "tuning.json").read_text())
    offered = [(c.engine, batch) for c in engines.candidates(precision) for batch in c.batches]
    timed = found["candidates"]
    assert [(c["engine"], c["batch"]) for c in timed] == offered
    for candidate in timed:
        assert candidate["rejected"] is None
        assert candidate["max_abs_difference"] <= found["reference"]["tolerance"]
        assert len(candidate["rounds"]) >= tune.LEAST_ROUNDS
        assert all(r["pairs"] > 0 and r["pairs_per_second"] > 0 for r in candidate["rounds"])
    figure = found["compared_by"]
    best = max(c[figure] for c in timed)
    chosen = found["choice"]
    [speed] = [
        c[figure] for c in timed if (c["engine"], c["batch"]) == (chosen["engine"], chosen["batch"])
    ]
    assert speed >= 0.98 * best
    assert json.loads((root.output / "choice.json").read_text()) == chosen
    facts = root.document()["facts"]
    assert facts["choice"] == chosen
    assert (facts["workers"], chosen["threads_per_worker"]) == (len(facts["cores"]), 1)
    assert [worker["cpu"] for worker in facts["placement"]["workers"]] == facts["cores"]
    assert found["image"] == "dlrm-bench:test"


@pytest.mark.parametrize("pick", [0, -1])
def test_accuracy_and_performance_run_the_choice(
    demo: Pipeline, tmp_path: Path, tuned: tuple[str, StageRoot], pick: int
) -> None:
    precision, root = tuned
    candidate = engines.candidates(precision)[pick]
    # Not the default, whichever was fastest: the test must see that the choice was used.
    decided = choice_of(tmp_path / "decided", candidate.engine, candidate.batches[-1])
    names = {c["engine"]: c["name"] for c in root.document()["facts"]["candidates"]}
    for stage in ("accuracy", "performance"):
        asked = ask(demo, tmp_path, stage, precision, decided, min_duration_seconds=1)
        done = asked.run()
        assert done.returncode == 0, done.stderr
        facts = asked.document()["facts"]
        assert facts["engine"] == names[candidate.engine]
        assert facts["best_batch"] == candidate.batches[-1]
        assert (facts["tuned"], facts["threads_per_worker"]) == (True, 1)
        # tune timed the model placed as here: otherwise another choice might be better.
        assert facts["placement"]["model"] == root.document()["facts"]["placement"]["model"]
        if stage == "performance":
            assert facts["reference"]["passed"] is True


def choice_of(folder: Path, engine: str, batch: int, threads: int = 1) -> StageRoot:
    """A finished tune stage with this choice."""
    root = StageRoot(folder)
    text = json.dumps({"engine": engine, "batch": batch, "threads_per_worker": threads})
    (root.output / "choice.json").write_text(text)
    promised = {
        "name": "choice.json",
        "bytes": len(text),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    (root.output / "stage.json").write_text(json.dumps({"outputs": [promised]}))
    return root


@pytest.mark.parametrize(
    ("engine", "threads", "words"),
    [
        ("abacus", 1, "the tuned int8 engine 'abacus' cannot be used"),
        ("pytorch", 2, "it asks for 2 threads a worker"),
    ],
)
def test_a_choice_of_another_image_is_refused(
    demo: Pipeline, tmp_path: Path, engine: str, threads: int, words: str
) -> None:
    decided = choice_of(tmp_path / "decided", engine, 64, threads)
    root = ask(demo, tmp_path, "accuracy", "int8", decided)
    assert root.run().returncode == 1
    message = root.status()["message"]
    assert words in message
    assert "-e force_stages=tune" in message


def test_a_candidate_with_wrong_scores_is_rejected_and_named(
    demo: Pipeline, tmp_path: Path
) -> None:
    root, batch = (
        ask(demo, tmp_path, "tune", "fp32"),
        contender_rules.contenders("fp32")[0].choice.batch,
    )
    done = run_quickly(root, f"off {batch} 2e-5")
    assert done.returncode == 0, done.stderr
    found = json.loads((root.output / "tuning.json").read_text())
    rejected = [c for c in found["candidates"] if c["rejected"]]
    assert {c["batch"] for c in rejected} == {batch}
    assert f"a score of {batch + 100} pairs is 2" in rejected[0]["rejected"]
    assert rejected[0]["rounds"] == []
    assert found["choice"]["batch"] != batch
    assert found["is_default"] is False


def test_where_none_is_left_it_says_why(demo: Pipeline, tmp_path: Path) -> None:
    root = ask(demo, tmp_path, "tune", "int8")
    assert run_quickly(root, "off 0 1e-7").returncode == 1
    message = root.status()["message"]
    assert message.startswith("no int8 engine can be chosen: ")
    for candidate in engines.candidates("int8"):
        for batch in candidate.batches:
            assert f"{candidate.engine} {batch}: a score of" in message
    assert "run without -e tune=true" in message
    assert not (root.output / "choice.json").exists()


def test_killed_half_way_it_leaves_nothing(demo: Pipeline, tmp_path: Path) -> None:
    root = ask(demo, tmp_path, "tune", "int8")
    process = subprocess.Popen(command(seconds=600.0), env=environment(root))
    ends = time.monotonic() + 240
    while not is_timing(root) and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.2)
    assert is_timing(root)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert {p.name for p in root.output.iterdir()} == {"attempts"}


def is_timing(root: StageRoot) -> bool:
    try:
        return bool(root.status()["phase"] == "timing candidates")
    except (OSError, ValueError):
        return False


def test_its_deadline_ends_it(demo: Pipeline, tmp_path: Path) -> None:
    root = ask(demo, tmp_path, "tune", "int8", deadline="2026-01-01T00:00:00Z")
    assert run_quickly(root).returncode == 1
    assert "its deadline 2026-01-01T00:00:00Z came before" in root.status()["message"]
    assert not (root.output / "stage.json").exists()


def test_server_times_parts(demo: Pipeline, tmp_path: Path) -> None:
    root = ask(demo, tmp_path, "tune", "bf16", scenario="server")
    done = run_quickly(root)
    assert done.returncode == 0, done.stderr
    for candidate in root.document()["facts"]["candidates"]:
        assert candidate["rejected"] is None
        assert candidate["max_abs_difference"] <= 0.05
        # Samples have hundreds of pairs; a part's are a multiple of LEAST_PART.
        assert all(one["pairs"] % LEAST_PART == 0 for one in candidate["rounds"])


def test_a_tuned_run_without_its_choice_is_refused(demo: Pipeline, tmp_path: Path) -> None:
    root = ask(demo, tmp_path, "accuracy", "int8")
    assert root.run().returncode == 1
    assert "stage 'accuracy' needs input 'choice.json' of stage 'tune'" in root.status()["message"]


def test_a_candidate_that_raises_is_rejected() -> None:
    def make() -> Any:
        raise RuntimeError("no such instruction")

    one, nothing = Contender(Choice("a", 4)), np.zeros(8, np.float32)
    check(one, make, pairs_of(8).arrays, nothing, 1.0)
    assert one.rejected == "RuntimeError: no such instruction"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_rejected(value: float) -> None:
    class Bad:
        best_batch = 4

        def forward(self, dense: Any, ids: Any) -> Any:
            return np.full(len(dense), value, np.float32)

    one = Contender(Choice("a", 4))
    check(one, Bad, pairs_of(8).arrays, np.zeros(8, np.float32), 1.0)
    assert one.rejected
    assert json.dumps(one.facts(), allow_nan=False)


def pairs_of(count: int) -> CalibrationPairs:
    return CalibrationPairs(np.zeros((count, 13), np.float32), np.zeros((count, 214), np.int32))


@pytest.mark.parametrize("batch", [56, 126, 512, 1024, 4096])
@pytest.mark.parametrize("pairs", [900, 30_000])
def test_batches_are_those_of_the_middle_of_a_query(batch: int, pairs: int) -> None:
    found = pairs_of(pairs).batches(batch)
    for one in found:
        # No batch is shrunk: with one more sample it would be too large.
        assert one.spans[:, 1].sum() > batch_pairs(batch) - 700
    covered = {int(at) for one in found for at, _ in one.spans}
    assert len(covered) == len(pairs_of(pairs).cuts)


def test_parts_are_of_one_size_and_within_the_set() -> None:
    parts = pairs_of(1000).parts(192)
    assert [tuple(part.spans[0]) for part in parts] == [(at, 192) for at in range(0, 768 + 1, 192)]
    assert [tuple(part.spans[0]) for part in pairs_of(100).parts(192)] == [(0, 100)]


def raced(**speeds: float) -> list[Contender]:
    return [
        Contender(Choice(name, 1), rounds=[{WALL: speed}] * 3) for name, speed in speeds.items()
    ]


def test_a_tie_goes_to_the_default() -> None:
    default = Choice("default", 1)
    assert choose(raced(default=99.1, other=100.0), default, WALL).choice.engine == "default"
    assert choose(raced(default=98.9, other=100.0), default, WALL).choice.engine == "other"
    assert choose(raced(other=100.0, third=99.9), default, WALL).choice.engine == "other"


def test_one_slow_round_does_not_decide() -> None:
    steady, bumpy = raced(steady=100.0)[0], Contender(Choice("bumpy", 1))
    bumpy.rounds = [{WALL: v} for v in (150.0, 90.0, 5000.0, 80.0, 85.0)]
    assert choose([bumpy, steady], Choice("none", 1), WALL) is steady


def test_beside_other_load_cpu_time_compares() -> None:
    quiet = {"steal_percent": 0.1, "other_load_percent": 0.9}
    assert compared_by(quiet) == WALL
    assert compared_by({**quiet, "steal_percent": 3.0}) == UNDISTURBED
    assert compared_by({**quiet, "other_load_percent": 30.0}) == UNDISTURBED
    disturbed, slow = Contender(Choice("a", 1)), Contender(Choice("b", 1))
    disturbed.rounds = [{WALL: 50.0, UNDISTURBED: 100.0}] * 3
    slow.rounds = [{WALL: 60.0, UNDISTURBED: 60.0}] * 3
    assert choose([slow, disturbed], slow.choice, UNDISTURBED) is disturbed


def test_the_default_is_what_runs_untuned(demo: Pipeline) -> None:
    rows = row_counts(DEMO["row_cap"])
    for precision, stage in MODEL.items():
        [path] = list(demo.stages[stage].output.glob("*.pt"))
        untuned = engines.load_engine(precision, path, rows)
        first = contender_rules.contenders(precision)[0].choice
        chosen = engines.load_engine(precision, path, rows, first)
        assert type(chosen) is type(untuned)
        assert getattr(chosen, "name", "") == getattr(untuned, "name", "")
        assert chosen.best_batch == untuned.best_batch == first.batch


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_worker_maps_the_model_once_for_all_candidates(
    demo: Pipeline, tmp_path: Path, precision: str
) -> None:
    [path] = list(demo.stages[MODEL[precision]].output.glob("*.pt"))
    (tmp_path / "turn").write_bytes(b"\0")
    choices = [contender.choice for contender in contender_rules.contenders(precision)]
    before = mappings(path)
    contest = tune.Contest(precision, path, row_counts(DEMO["row_cap"]), choices, tmp_path / "turn")
    assert mappings(path) == before + 1
    turns, batches = tune.Turns(tmp_path / "turn"), []
    for turns.now in range(len(choices)):
        batches.append(contest.best_batch)
    assert batches == [choice.batch for choice in choices]


def mappings(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(f" {path}\n")


def main() -> int:
    """Run the request's stage with little time, and a fault in engines of one batch or of all."""
    from dlrm_bench.runner import run_stage
    from dlrm_bench.stages import tune as stage

    stage.SECONDS["demo"] = float(sys.argv[1])
    if sys.argv[2]:
        _, batch, off = sys.argv[2].split()
        spoil(stage, int(batch), float(off))
    return run_stage()


def spoil(stage: Any, batch: int, off: float) -> None:
    """Make engines of this batch (0: of any) score one pair of each call a little off."""
    load = stage.load_engine

    def load_spoilt(precision: str, path: Path, rows: Any, choice: Choice) -> Any:
        engine = load(precision, path, rows, choice)
        if batch in (0, choice.batch):
            forward = engine.forward

            def wrong(dense: Any, ids: Any) -> Any:
                scores = forward(dense, ids)
                scores[-1] += np.float32(off) * (-1 if scores[-1] > 0.5 else 1)
                return scores

            engine.forward = wrong
        return engine

    stage.load_engine = load_spoilt


if __name__ == "__main__":
    sys.exit(main())
