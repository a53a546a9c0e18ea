"""Scenario Server under the real LoadGen, with toy engines.

Tests that are not about latency widen LoadGen's latency bound: no test may fail because the machine
was busy.
"""

from __future__ import annotations

import functools
import json
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from offline_support import LENGTHS, run_with, toy, toy_score, write_dataset, write_weights

from conftest import StageRoot
from dlrm_bench.measure.loadgen import too_slow
from dlrm_bench.measure.server_rate import TRIALS
from dlrm_bench.serving.pool import LEAST_PART, MOST_PART, ServingPool, even_part, part_pairs
from dlrm_bench.serving.waiting_line import Query, WaitingLine
from dlrm_bench.workers.pool import Batch, RunTotals, WorkerPool

pytestmark = pytest.mark.measures

NewStage = Callable[[str], StageRoot]
SAMPLES = LENGTHS * 2
WIDE_MS = "60000"


def ask(root: StageRoot, stage: str, tmp_path: Path, **parameters: Any) -> Path:
    """request.json for int8 over a small data set; returns the data set's folder."""
    dataset = write_dataset(tmp_path / "dataset", SAMPLES)
    weights = write_weights(tmp_path / "calibrate", "dlrm_int8.pt")
    inputs = {"dataset": dataset, "calibrate": weights}
    root.ask(stage, inputs, scenario="server", **parameters)
    return dataset


def detail(root: StageRoot, prefix: str = "") -> dict[str, Any]:
    """Last value of each key of LoadGen's detail log."""
    lines = (root.output / f"{prefix}mlperf_log_detail.txt").read_text().splitlines()
    entries = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    return {entry["key"]: entry["value"] for entry in entries}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> StageRoot:
    """One finished run, with a latency bound that even a busy machine holds."""
    folder = tmp_path_factory.mktemp("server")
    root = StageRoot(folder / "root")
    ask(root, "performance", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVER_LATENCY_MS", WIDE_MS)
        # A sleeping engine looks to the probe as if neighbours slowed it down fourfold.
        patch.setenv("PROBE_FACTOR", "0.25")
        done = run_with("ToyEngine:200:0.00001", root)
    assert done.returncode == 0, done.stderr
    return root


def test_loadgen_ran_as_a_server_with_v51s_settings(measured: StageRoot) -> None:
    found = detail(measured)
    assert not [key for key in found if key.startswith(("error_", "warning_"))]
    assert found["effective_scenario"] == "Server"
    assert found["effective_test_mode"] == "PerformanceOnly"
    assert found["requested_server_coalesce_queries"] is False
    assert found["effective_samples_per_query"] == 1
    assert found["effective_target_latency_percentile"] == 0.99
    assert found["effective_min_query_count"] == 1000
    assert found["effective_schedule_rng_seed"] == 18209322760996052031
    assert found["result_validity"] == "VALID"


def test_every_query_is_computed(measured: StageRoot) -> None:
    facts, found = measured.document()["facts"], detail(measured)
    # There are far more queries than samples: each query was computed.
    assert found["result_query_count"] >= 1000 > 2 * len(SAMPLES)
    assert facts["pairs_computed"] == facts["pairs_issued"] > 1000 * min(SAMPLES)
    assert facts["reference"]["passed"] is True
    assert facts["reference"]["pairs"] > 0
    assert facts["evidence"]["major_faults"] is not None


def test_the_facts_are_loadgens(measured: StageRoot) -> None:
    facts, found = measured.document()["facts"], detail(measured)
    scheduled = found["result_scheduled_samples_per_sec"]
    assert facts["scheduled_samples_per_second"] == pytest.approx(scheduled, rel=1e-3)
    assert facts["latency_p99_ms"] == found["result_99.00_percentile_latency_ns"] / 1e6
    assert facts["target_qps"] == pytest.approx(found["effective_target_qps"], rel=1e-4)
    assert facts["samples_per_query"] == 1
    assert len(facts["trials"]) == TRIALS


def test_a_run_that_misses_60_ms_is_run_again_at_a_lower_rate(
    new_stage: NewStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = new_stage("performance")
    ask(root, "performance", tmp_path)
    # All workers together manage 66 queries/s of 300 pairs: at 120 to 198 queries/s a queue grows.
    monkeypatch.setenv("SERVER_RATE", "200")
    slow = 5e-5 * len(os.sched_getaffinity(0))
    done = run_with(f"ToyEngine:64:{slow}", root)
    assert done.returncode == 0, done.stderr
    facts, found = root.document()["facts"], detail(root)
    assert found["effective_target_latency_ns"] == 60_000_000
    assert found["result_validity"] == "INVALID"
    assert facts["latency_p99_ms"] > 60
    # Queries that cannot be in time are put back, but still answered.
    assert 0 < facts["queries_put_back"] <= found["result_query_count"]
    assert facts["pairs_computed"] == facts["pairs_issued"]
    rates = [short["target_qps"] for short in facts["superseded_runs"]] + [facts["target_qps"]]
    assert rates == pytest.approx([198, 194, 184, 160, 120])
    for number, short in enumerate(facts["superseded_runs"], 1):
        assert detail(root, f"superseded_{number}_")["result_validity"] == "INVALID"
        assert short["why"].endswith("the bound is 60 ms")


def test_a_machine_too_slow_for_any_rate_is_told_so(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("performance")
    # A part of 64 pairs takes 80 ms: no rate holds 60 ms, on any machine.
    ask(root, "performance", tmp_path)
    done = run_with("ToyEngine:64:0.00125", root)
    assert done.returncode != 0
    message = root.status()["message"]
    assert "no rate holds 60 ms" in message
    assert "scenario=offline" in message


def test_accuracy_answers_every_sample_once(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("accuracy")
    dataset = ask(root, "accuracy", tmp_path)
    done = run_with("ToyEngine:150:0.000002", root)
    assert done.returncode == 0, done.stderr
    facts, found = root.document()["facts"], detail(root)
    assert found["effective_scenario"] == "Server"
    assert facts["samples"] == len(SAMPLES)
    assert facts["pairs"] == facts["pairs_computed"] == sum(SAMPLES)
    assert facts["passed"] is True
    # Samples longer than a part come back whole, with each pair in its place.
    log = json.loads((root.output / "mlperf_log_accuracy.json").read_text())
    assert sorted(entry["qsl_idx"] for entry in log) == list(range(len(SAMPLES)))
    dense = np.fromfile(dataset / "terabyte_processed_test_v2_dense.bin", "<f4").reshape(-1, 13)
    starts = np.cumsum((0, *SAMPLES))
    for entry in log:
        first = starts[entry["qsl_idx"]]
        answer = np.frombuffer(bytes.fromhex(entry["data"]), "<f4").reshape(-1, 2)[:, 0]
        assert np.array_equal(answer, toy_score(dense[first : first + len(answer)]))
        assert len(answer) == SAMPLES[entry["qsl_idx"]]


def test_a_dead_worker_ends_the_run(new_stage: NewStage, tmp_path: Path) -> None:
    root = new_stage("accuracy")
    ask(root, "accuracy", tmp_path)
    done = run_with("RowFault:kill", root)
    assert done.returncode != 0
    assert not (root.output / "stage.json").exists()
    assert "ended by SIGKILL" in root.status()["message"]


def query(pairs: int) -> Query:
    return Query(0, 0, 0, np.empty((pairs, 2), dtype=np.float32))


def test_a_part_takes_twelve_milliseconds_at_most_and_never_has_many_pairs() -> None:
    assert part_pairs(10_600, 1024) == part_pairs(300, 1024) == LEAST_PART
    assert part_pairs(10_700, 1024) == part_pairs(200_000, 1024) == MOST_PART


def test_a_part_is_one_call_of_the_engine() -> None:
    assert part_pairs(29_000, 120) == 120
    assert part_pairs(29_000, 32) == LEAST_PART  # Smaller ones would cost more than they gain.


@pytest.mark.parametrize(
    ("kind", "policy"), [(ServingPool, os.SCHED_BATCH), (WorkerPool, os.SCHED_OTHER)]
)
def test_workers_take_no_cpu_from_the_thread_that_serves(
    kind: type[WorkerPool], policy: int
) -> None:
    with kind(functools.partial(toy, "ToyEngine"), 10) as pool:
        pool.wait_ready(lambda _done, _of: None)
        assert {os.sched_getscheduler(pid) for pid in pool.pids} == {policy}
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pool.pids} == {kind.niceness}


@pytest.mark.parametrize(
    ("pairs", "workers", "held", "wanted"),
    [
        pytest.param(200, 2, 0, 100, id="one query on two idle workers"),
        pytest.param(700, 2, 0, 175, id="in as few parts as there may be, all alike"),
        pytest.param(700, 2, 175, 175, id="the same worker's second"),
        pytest.param(270, 192, 0, LEAST_PART, id="many workers"),
        pytest.param(10_000, 2, 192, 185, id="a queue"),
        pytest.param(100, 2, 192, LEAST_PART, id="more in work than its share"),
    ],
)
def test_parts_are_even(pairs: int, workers: int, held: int, wanted: int) -> None:
    assert even_part(pairs, workers, held, 192) == wanted


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(("", ""), True, id="late"),
        pytest.param(("INVALID", "VALID"), False, id="valid"),
        pytest.param(("Min queries satisfied : Yes", "Min queries satisfied : NO"), False, id="2"),
        pytest.param(("No errors encountered", "2 errors encountered"), False, id="errors"),
    ],
)
def test_nothing_but_latency_is_a_reason_for_a_lower_rate(
    change: tuple[str, str], again: bool
) -> None:
    summary = """Completed samples per second    : 367.80
Result is : INVALID
  Performance constraints satisfied : NO
  Min duration satisfied : Yes
  Min queries satisfied : Yes
  Early stopping satisfied: NO

No errors encountered during test.
"""
    assert too_slow(summary.replace(*change)) is again


def test_answers_are_copied_before_their_slot_is_written_anew() -> None:
    """A worker writes the next part into a slot as soon as it is given one."""
    pool: Any = ServingPool.__new__(ServingPool)
    slot, first = np.full((4, 2), 7, dtype=np.float32), query(4)
    first.results.fill(0)
    handle = SimpleNamespace(index=0, slots=[1], held={0: (None, 0)})
    pool._handles, pool._results = [handle], [slot]
    pool.line, pool._arrivals = WaitingLine(None), deque()
    pool.line.add(first, 0, 0.0)
    pool._parts, pool._stopping = {0: pool.line.take(4, 0, 0.0)}, True
    pool._pairs_in_work = pool._pairs_begun = 4
    pool._serving_totals = RunTotals([[]])
    answered: list[Query] = []
    pool._answered = answered.append

    def hand_out() -> None:
        if 0 in handle.slots:
            slot.fill(-1)

    pool._hand_out = hand_out
    pool._messages = lambda *_: [(handle, ("done", 0, 4, 0.0, 0.0, 0))]
    pool._serve()
    assert answered == [first]
    assert (first.results == 7).all()
    assert pool._pairs_in_work == pool._pairs_begun == 0


def test_a_query_wakes_the_serving_thread_once() -> None:
    """Otherwise the thread would spin until the next query, on a core that a worker needs."""
    pool = ServingPool(functools.partial(toy, "ToyEngine"), 10, cores=[])
    with pool:
        pool.serve(64, None, lambda _query: None, lambda _serve: lambda: None)
        pool.submit(query(4))
        assert pool._selector.select(0)
        pool._messages("serving", 0.0)
        assert not pool._selector.select(0)
        pool.stop()


def test_half_of_what_workers_are_at_counts_as_done() -> None:
    """With one part that a worker computes and one part that waits behind it."""
    pool: Any = ServingPool.__new__(ServingPool)
    given: list[Batch] = []
    handle = SimpleNamespace(index=0, slots=[0, 1], held={})
    pool._handles = [handle]
    pool._most, pool._parts, pool._number = 100, {}, 0
    pool._pairs_in_work = pool._pairs_begun = 0
    pool.line, pool._arrivals = WaitingLine(None), deque([query(160)])

    def give(to: Any, batch: Batch) -> None:
        to.held[batch.number] = (batch, to.slots.pop())
        given.append(batch)

    pool._give, pool._patience = give, lambda: None
    pool._hand_out()
    assert [batch.pairs for batch in given] == [80, 80]
    assert pool._pairs_left() == 120
