"""From nothing to a record, with kills on the way. The tests build on each other, in file order."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy
import pytest

from .fleet import REPOSITORY, Fleet, containers, kill_controller, wait_for_stage

STAGES = ["repositories", "weights", "dataset", "dump", "calibrate", "accuracy", "performance"]


def assert_sound(record: dict[str, Any]) -> None:
    """A valid record: no error line in LoadGen's log, a soft AUC of at least 0.80."""
    schema = json.loads((REPOSITORY / "docs/contracts/run.schema.json").read_text())
    jsonschema.validate(record, schema)
    assert record["verdict"]["status"] == "passed", record["verdict"]
    assert record["performance"]["valid"] is True
    assert record["performance"]["errors"] == []
    assert record["performance"]["samples_per_second"] > 0
    assert 0.80 <= record["accuracy"]["soft_auc"] < 1
    assert "demo: not comparable" in record["comparability"]["marks"]


def assert_attempts(fleet: Fleet, **different: int) -> None:
    wanted = {**dict.fromkeys(STAGES, 1), **different}
    assert {stage: fleet.attempts(stage) for stage in STAGES} == wanted


def assert_confined(container: dict[str, Any]) -> None:
    host = container["HostConfig"]
    assert host["Privileged"] is False
    assert container["Config"]["User"].split(":")[0] not in ("", "0", "root")
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert [name.removeprefix("CAP_") for name in host["CapAdd"]] == ["SYS_NICE"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert host["ReadonlyRootfs"] is True
    writable = [bind["Destination"] for bind in container["Mounts"] if bind["RW"]]
    assert writable == ["/dlrm/output"]


def test_check_mode_on_a_bare_machine_lists_everything(fleet: Fleet) -> None:
    output = fleet.run("--check", "--diff", precision="int8")
    assert [stage for stage in STAGES if f"{stage} would run" not in output] == [], output
    assert not fleet.root.exists()
    assert not fleet.storage.exists()


def test_killed_during_calibrate(fleet: Fleet) -> None:
    process = fleet.start(precision="int8")
    container = wait_for_stage(fleet, "calibrate", process)
    kill_controller(process)
    assert_confined(container)
    assert fleet.stage_documents("calibrate") == [], "calibrate had ended before the kill"


def test_same_command_attaches_and_is_killed_during_performance(fleet: Fleet) -> None:
    process = fleet.start(precision="int8")
    container = wait_for_stage(fleet, "performance", process)
    time.sleep(1)
    kill_controller(process)
    assert_confined(container)
    assert fleet.stage_documents("performance") == [], "performance had ended before the kill"
    assert fleet.runs() == []


def test_same_command_finishes_each_stage_ran_once(fleet: Fleet) -> None:
    output = fleet.run(precision="int8")
    assert "adopted" in output or "collected" in output
    assert_attempts(fleet)
    [record] = fleet.runs()
    assert_sound(record)
    assert "MLPerf Results Summary" in output
    assert containers(mount=fleet.folder) == []


def test_the_seeds_names_hold(fleet: Fleet) -> None:
    home = fleet.home
    for name in ("dlrm-multihot-pytorch.pt", f"{platform.machine()}_dlrm_int8.pt"):
        assert (home / "model" / name).stat().st_size > 0
    for name in ("dense", "label_sparse"):
        assert (home / f"data/terabyte_processed_test_v2_{name}.bin").stat().st_size > 0
    summary = (home / "results/int8/mlperf_log_summary.txt").read_text()
    assert "Result is : VALID" in summary


def test_the_record_lies_whole_on_the_storage_node(fleet: Fleet) -> None:
    [record] = fleet.runs()
    folder = fleet.storage / "runs" / record["run_id"] / "local"
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True
    )
    for name in ("performance/mlperf_log_detail.txt", "accuracy/accuracy.txt", "host.json"):
        assert (folder / name).stat().st_size > 0
    assert (fleet.storage / "report/index.html").read_text().count("<svg") >= 1


def test_again_measures_anew_and_skips_the_rest(fleet: Fleet) -> None:
    output = fleet.run(precision="int8")
    first, second = fleet.runs()
    assert_sound(second)
    assert first["run_id"] != second["run_id"]
    assert_attempts(fleet, performance=2)
    assert [stage for stage in STAGES[:-1] if f"{stage} skipped because" not in output] == [], (
        output
    )


def test_a_closed_run_changes_nothing(fleet: Fleet) -> None:
    before = sorted(fleet.folder.rglob("*"))
    run_id = fleet.runs()[-1]["run_id"]
    output = fleet.run(precision="int8", run_id=run_id)
    assert "changed=0" in output.rsplit("PLAY RECAP", 1)[1].split("local", 1)[1]
    assert sorted(fleet.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("variables", "damage", "said"),
    [
        pytest.param({"verify": True}, "flip", "sha256", id="one-byte-flipped-with-verify"),
        pytest.param({}, "cut", "bytes", id="one-byte-cut"),
    ],
)
def test_a_damaged_output_is_made_anew(
    fleet: Fleet, variables: dict[str, Any], damage: str, said: str
) -> None:
    [document] = fleet.stage_documents("calibrate")
    path = next(fleet.root.glob("stages/calibrate/*/dlrm_int8.pt"))
    path.chmod(0o644)
    with path.open("r+b") as file:
        if damage == "cut":
            file.truncate(path.stat().st_size - 1)
        else:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))
    attempts = fleet.attempts("calibrate")
    output = fleet.run(precision="int8", **variables)
    reasons = [line for line in output.splitlines() if "dlrm_int8.pt" in line and said in line]
    assert reasons, output
    assert fleet.attempts("calibrate") == attempts + 1
    [remade] = fleet.stage_documents("calibrate")
    assert remade["outputs"] == document["outputs"], "the same inputs gave other bytes"
    assert_sound(fleet.runs()[-1])


def test_fp32_with_what_tune_chose(fleet: Fleet) -> None:
    output = fleet.run(precision="fp32", tune=True)
    record = fleet.runs()[-1]
    assert_sound(record)
    assert record["request"]["parameters"]["precision"] == "fp32"
    assert "calibrate skipped: not part of a request with precision=fp32" in output
    assert fleet.attempts("dump") == 1
    [tuned] = fleet.stage_documents("tune")
    [measured] = [
        document
        for document in fleet.stage_documents("performance")
        if document["run_id"] == record["run_id"]
    ]
    assert measured["facts"]["tuned"] is True
    assert measured["facts"]["best_batch"] == tuned["facts"]["choice"]["batch"]


def write_official_layout(folder: Path, rows: int) -> None:
    """day_23 as MLCommons ships it, ids up to each full table's last row."""
    sizes = [40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282]
    sizes += [
        10,
        2209,
        11938,
        155,
        4,
        976,
        14,
        40000000,
        40000000,
        40000000,
        590152,
        12973,
        108,
        36,
    ]
    hot = [3, 2, 1, 2, 6, 1, 1, 1, 1, 7, 3, 8, 1, 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1]
    random = numpy.random.default_rng(7)
    folder.mkdir()
    numpy.save(folder / "day_23_dense.npy", random.random((rows, 13), dtype=numpy.float32))
    numpy.save(folder / "day_23_labels.npy", random.integers(0, 2, (rows, 1), dtype=numpy.int32))
    ids: dict[str, Any] = {}
    for table, (size, width) in enumerate(zip(sizes, hot, strict=True)):
        ids[str(table)] = random.integers(0, size, (rows, width), dtype=numpy.int32)
        ids[str(table)][0, 0] = size - 1
    numpy.savez(folder / "day_23_sparse_multi_hot.npz", **ids)


def test_the_users_own_log(fleet: Fleet) -> None:
    folder = fleet.folder / "day_23"
    write_official_layout(folder, rows=6001)
    fleet.run(precision="int8", data_source=str(folder), data_rows=None)
    record = fleet.runs()[-1]
    assert_sound(record)
    assert record["accuracy"]["pairs"] == 3001, "the test half is the first ceil(n/2) rows"
