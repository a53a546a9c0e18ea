"""Stage performance under the real LoadGen, with toy engines."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from offline_support import LENGTHS, run_with, start_with, write_dataset, write_weights

from conftest import StageRoot
from dlrm_bench.measure.loadgen import ended_too_soon

pytestmark = pytest.mark.measures

NewStage = Callable[[str], StageRoot]
SAMPLES = LENGTHS * 2


def ask(root: StageRoot, tmp_path: Path, **parameters: Any) -> None:
    """request.json for int8 over a small data set."""
    dataset = write_dataset(tmp_path / "dataset", SAMPLES)
    weights = write_weights(tmp_path / "calibrate", "dlrm_int8.pt")
    root.ask("performance", {"dataset": dataset, "calibrate": weights}, **parameters)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> StageRoot:
    """One finished run."""
    folder = tmp_path_factory.mktemp("performance")
    root = StageRoot(folder / "root")
    ask(root, folder, min_duration_seconds=2)
    done = run_with("ToyEngine:400:0.0001", root)
    assert done.returncode == 0, done.stderr
    return root


def detail(root: StageRoot, prefix: str = "") -> dict[str, Any]:
    """Last value of each key of LoadGen's detail log."""
    lines = (root.output / f"{prefix}mlperf_log_detail.txt").read_text().splitlines()
    entries = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    return {entry["key"]: entry["value"] for entry in entries}


def test_loadgen_ran_once_with_v51s_settings(measured: StageRoot) -> None:
    found = detail(measured)
    assert not [key for key in found if key.startswith(("error_", "warning_"))]
    assert found["effective_scenario"] == "Offline"
    assert found["effective_test_mode"] == "PerformanceOnly"
    assert found["effective_min_duration_ms"] == 2000
    assert found["effective_performance_sample_count"] == len(SAMPLES)
    assert found["effective_qsl_rng_seed"] == 1780908523862526354
    assert found["effective_sample_index_rng_seed"] == 14771362308971278857
    assert found["effective_schedule_rng_seed"] == 18209322760996052031


def test_pairs_computed_are_pairs_issued(measured: StageRoot) -> None:
    facts, found = measured.document()["facts"], detail(measured)
    assert facts["samples_per_query"] == found["effective_samples_per_query"]
    # LoadGen issues far more samples than there are: each was computed as often as it was issued.
    assert facts["samples_per_query"] > 2 * len(SAMPLES)
    assert facts["pairs_computed"] == facts["pairs_issued"] > 2 * sum(SAMPLES)


def test_the_probe_decides_the_query(measured: StageRoot) -> None:
    facts, found = measured.document()["facts"], detail(measured)
    # The first run's, in case LoadGen ran again because the machine was much faster than probed.
    first = [*facts["superseded_runs"], found][0]
    probe = facts["probe"]
    assert probe["samples"] == first.get("samples", facts["samples_per_query"])
    assert probe["target_qps"] == first.get("target_qps", facts["target_qps"])
    assert probe["samples_per_second"] > 0
    assert_target(measured, facts["target_qps"])


def assert_target(root: StageRoot, target_qps: float, prefix: str = "") -> None:
    """user.conf holds the target_qps that was in force."""
    found = detail(root, prefix)
    assert found["effective_target_qps"] == pytest.approx(target_qps, rel=1e-4)
    assert f"target_qps = {target_qps!r}\n" in (root.output / f"{prefix}user.conf").read_text()


def test_a_run_that_ends_too_soon_is_run_again(
    new_stage: NewStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fiftieth of the probe's rate, which is four times the rate of a sleeping engine.
    monkeypatch.setenv("PROBE_FACTOR", "0.02")
    root = new_stage("performance")
    ask(root, tmp_path, min_duration_seconds=2)
    done = run_with("ToyEngine:400:0.0001", root)
    assert done.returncode == 0, done.stderr
    facts, outputs = root.document()["facts"], {o["name"] for o in root.document()["outputs"]}
    summary = (root.output / "mlperf_log_summary.txt").read_text()
    assert "Result is : VALID" in summary
    found = detail(root)
    assert not [key for key in found if key.startswith(("error_", "warning_"))]
    assert found["result_validity"] == "VALID"
    assert found["effective_samples_per_query"] == facts["samples_per_query"]
    assert found["effective_qsl_rng_seed"] == 1780908523862526354
    assert_target(root, facts["target_qps"])
    # There is more than one only if the machine's speed changes much while the test runs.
    assert 1 <= len(facts["superseded_runs"]) < 4
    for number, short in enumerate(facts["superseded_runs"], 1):
        prefix = f"superseded_{number}_"
        assert short["files"] == [
            prefix + name
            for name in ("mlperf_log_summary.txt", "mlperf_log_detail.txt", "user.conf")
        ]
        assert set(short["files"]) <= outputs
        assert short["why"] == f"it measured {short['seconds']:.2f} s of 2 s"
        assert short["seconds"] < 2
        found = detail(root, prefix)
        assert found["result_validity"] == "INVALID"
        assert found["effective_samples_per_query"] == short["samples"]
        assert_target(root, short["target_qps"], prefix)
        assert short["target_qps"] < facts["target_qps"]
        said = f"measured {short['seconds']:.2f} s of 2 s: running again with "
        assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(("", ""), True, id="too short"),
        pytest.param(("INVALID", "VALID"), False, id="valid"),
        pytest.param(("Min queries satisfied : Yes", "Min queries satisfied : NO"), False, id="2"),
        pytest.param(("No errors encountered", "2 errors encountered"), False, id="errors"),
        pytest.param(("Min duration satisfied : NO", ""), False, id="no word of it"),
    ],
)
def test_nothing_but_the_length_is_a_reason_to_run_again(
    change: tuple[str, str], again: bool
) -> None:
    summary = """Samples per second: 90605.5
Result is : INVALID
  Min duration satisfied : NO
  Min queries satisfied : Yes
  Early stopping satisfied: Yes
Recommendations:
 * Increase expected QPS so the loadgen pre-generates a larger (coalesced) query.

No warnings encountered during test.

No errors encountered during test.
"""
    assert ended_too_soon(summary) is True
    assert ended_too_soon(summary.replace(*change)) is again


def test_facts_say_what_the_figure_rests_on(measured: StageRoot) -> None:
    facts = measured.document()["facts"]
    assert facts["workers"] == len(facts["cores"]) == len(os.sched_getaffinity(0))
    assert facts["query_set_bytes"] == sum(SAMPLES) * 912
    assert [worker["cpu"] for worker in facts["placement"]["workers"]] == facts["cores"]
    assert (facts["engine"], facts["best_batch"]) == ("ToyEngine", 400)
    assert facts["versions"]["loadgen"] == "5.1.1"
    # They are chosen among the query's samples; one may be chosen twice.
    assert 32 <= facts["reference"].pop("pairs") <= 32 * len(SAMPLES)
    assert facts["reference"] == {
        "against": "the same engine, each sample alone",
        "max_abs_difference": 0.0,
        "tolerance": 1e-5,
        "passed": True,
    }
    evidence = facts["evidence"]
    assert evidence["major_faults"] == 0
    assert 0 <= evidence["steal_percent"] <= 100
    assert 0 <= evidence["other_load_percent"] <= 100
    assert evidence["mean_frequency_mhz"] is None or evidence["mean_frequency_mhz"] > 100


def test_logs_and_user_conf_are_outputs(measured: StageRoot) -> None:
    names = [o["name"] for o in measured.document()["outputs"]]
    assert [name for name in names if not name.startswith("superseded_")] == [
        "mlperf_log_accuracy.json",
        "mlperf_log_detail.txt",
        "mlperf_log_summary.txt",
        "user.conf",
    ]
    summary = (measured.output / "mlperf_log_summary.txt").read_text()
    assert re.search(r"^Samples per second: [\d.]+$", summary, re.M)
    assert "No errors encountered during test." in summary


def phase(root: StageRoot) -> str:
    """The phase in status.json, or empty before it exists."""
    path = root.output / "attempts" / "1" / "status.json"
    return str(root.status()["phase"]) if path.exists() else ""


def pids_of(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


def test_a_worker_killed_under_loadgen_ends_the_run(new_stage: NewStage, tmp_path: Path) -> None:
    root, counted = new_stage("performance"), tmp_path / "pids"
    counted.mkdir()
    ask(root, tmp_path, min_duration_seconds=3600)
    process = start_with(f"Counting:{counted}", root)
    try:
        while process.poll() is None and phase(root) != "measuring":
            time.sleep(0.1)
        victim = pids_of(counted)[0]
        os.kill(victim, signal.SIGKILL)
        # The run itself would take an hour.
        assert process.wait(60) == 1
    finally:
        process.kill()
    status = root.status()
    assert (status["state"], status["phase"]) == ("failed", "measuring")
    assert re.search(rf"worker \d+ on core \d+ \(process {victim}\) died", status["message"])
    assert "SIGKILL" in status["message"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids_of(counted))


def test_no_worker_outlives_the_stage(new_stage: NewStage, tmp_path: Path) -> None:
    root, counted = new_stage("performance"), tmp_path / "pids"
    counted.mkdir()
    ask(root, tmp_path, min_duration_seconds=3600)
    process = start_with(f"Counting:{counted}", root)
    while process.poll() is None and phase(root) != "measuring":
        time.sleep(0.1)
    process.kill()
    process.wait()
    pids = pids_of(counted)
    assert pids
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.1)


def test_a_failed_probe_fails_the_stage(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("performance")
    ask(root, tmp_path)
    done = run_with("RowFault:raise", root)
    assert done.returncode == 1
    assert "RuntimeError: table 3 has no row 17" in root.status()["message"]


def test_official_needs_the_full_performance_set(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("performance")
    ask(root, tmp_path, profile="official", row_cap=None, min_duration_seconds=600)
    done = run_with("ToyEngine", root)
    assert done.returncode == 1
    message = root.status()["message"]
    assert "has 12 samples, but LoadGen's performance set needs 204800" in message


def test_a_run_that_cannot_end_in_time_is_not_begun(new_stage: NewStage, tmp_path: Path) -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    root = new_stage("performance")
    deadline = soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    ask(root, tmp_path, min_duration_seconds=3600, deadline=deadline)
    done = run_with("ToyEngine", root)
    assert done.returncode == 1
    message = root.status()["message"]
    assert "the performance run cannot end in time" in message
    assert deadline in message
