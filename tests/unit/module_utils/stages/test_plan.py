"""Keys and plans over the real catalogue."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.base.documents import canonical_json, sha256_text
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.request.request import normalise, request_sha256
from ansible.module_utils.dlrm_fleet.stages import catalogue
from ansible.module_utils.dlrm_fleet.stages.key import stage_key
from ansible.module_utils.dlrm_fleet.stages.plan import Plan, PlannedStage

from product_tables import CATALOGUE, PRECISIONS

EXTRA = {
    "image": "dlrm-bench:1",
    "run_id": "20260131T120000Z-0a1b2c",
    "architecture": "x86_64",
    "cpu": "architecture=x86_64, model=a, allowed_threads=2",
}
# Keys that earlier releases gave to requests and stages: results must still be found by them.
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
PINNED_KEYS = json.loads((FIXTURES / "keys.json").read_text())
REQUESTS: dict[str, dict[str, Any]] = {
    "int8": {"precision": "int8"},
    "fp32": {"precision": "fp32"},
    "bf16 tuned server": {"precision": "bf16", "tune": "true", "scenario": "server"},
    "official": {
        "precision": "int8",
        "profile": "official",
        "weights_source": "/w",
        "data_source": ":s3,provider=x:b/p",
        "audit": "test01",
    },
}
OUTPUTS = {
    "dataset": ["aggregation_trace.txt", "calibration_dense.npy", "terabyte_dense.bin"],
    "dump": ["dlrm-multihot-pytorch.pt"],
    "tune": ["choice.json", "tuning.json"],
}


class Disk:
    """Finished stages by name; the test gives the sha256 of outputs."""

    def __init__(self, *done: str, sha256: dict[str, str] | None = None) -> None:
        self.done = done
        self.sha256 = sha256 or {}

    def read(self, stage: str, key: str) -> dict[str, Any] | None:
        if stage not in self.done:
            return None
        outputs = [
            {"name": name, "bytes": 1, "sha256": self.sha256.get(name, "00")}
            for name in OUTPUTS.get(stage, [f"{stage}.bin"])
        ]
        return {"key": key, "outputs": outputs}


ALL = Disk(*(stage["name"] for stage in CATALOGUE["stages"] if stage["name"] != "audit"))


def planned(
    disk: Disk = ALL,
    extra: dict[str, str] | None = None,
    files: list[dict[str, str]] | None = None,
    stages: dict[str, Any] = CATALOGUE,
    **variables: Any,
) -> dict[str, PlannedStage]:
    request = normalise({"precision": "int8", **variables}, stages.get("precisions", PRECISIONS))
    merged: dict[str, str | None] = {**EXTRA, **(extra or {})}
    found = Plan(stages, request, merged, disk.read, lambda _folder: files).stages()
    return {stage.name: stage for stage in found}


def changed(one: dict[str, PlannedStage], other: dict[str, PlannedStage]) -> list[str]:
    return [name for name in one if name in other and one[name].key != other[name].key]


def test_calibrate_belongs_to_int8_alone() -> None:
    always = [s["name"] for s in CATALOGUE["stages"] if s["name"] not in ("audit", "tune")]
    assert list(planned()) == always
    assert list(planned(audit="test01")) == [*always, "audit"]
    assert "calibrate" not in planned(precision="fp32")
    assert list(planned()["performance"].inputs) == ["dataset", "calibrate"]
    assert list(planned(precision="fp32")["performance"].inputs) == ["dataset", "dump"]


def test_bare_disk_knows_only_keys_that_wait_for_nothing() -> None:
    found = planned(Disk())
    known = [name for name, stage in found.items() if stage.key is not None]
    assert known == ["repositories", "weights"]
    assert found["calibrate"].waits_for == "known once dump is done and dataset is done"
    found = planned(Disk(), extra={"image": "", "run_id": ""})
    assert found["repositories"].waits_for == "known once the image is known"


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        pytest.param({"seed": 2}, ["weights", "dataset"], id="seed"),
        pytest.param(
            {"row_cap": 1000},
            ["weights", "dataset", "dump", "calibrate", "accuracy", "performance"],
            id="row_cap",
        ),
        pytest.param({"data_rows": 9000}, ["dataset"], id="data_rows"),
        pytest.param({"min_duration": 11}, ["performance"], id="min_duration"),
        pytest.param({"precision": "fp32"}, ["accuracy", "performance"], id="precision"),
        pytest.param({"verify": True, "deadline": "2h"}, [], id="how it is watched"),
        pytest.param({"extra": {"run_id": "other"}}, ["performance"], id="run"),
        pytest.param(
            {"extra": {"image": "b"}}, ["repositories", "accuracy", "performance"], id="image"
        ),
        pytest.param({"extra": {"architecture": "aarch64"}}, [], id="architecture"),
        pytest.param({"extra": {"cpu": "another"}}, [], id="cpu"),
    ],
)
def test_a_key_changes_only_with_what_decides_its_bytes(
    other: dict[str, Any], wanted: list[str]
) -> None:
    assert changed(planned(), planned(**other)) == wanted


def test_tune_stands_between_calibrate_and_accuracy_where_it_is_asked() -> None:
    found = planned(tune="true", audit="test01")
    assert list(found)[4:6] == ["calibrate", "tune"]
    assert list(found["tune"].inputs) == ["dataset", "calibrate"]
    # It reads nothing of the half that is scored.
    assert [o["name"] for o in found["tune"].inputs["dataset"][1]] == ["calibration_dense.npy"]
    for reader in ("accuracy", "performance", "audit"):
        assert [o["name"] for o in found[reader].inputs["tune"][1]] == ["choice.json"]
    assert list(planned(tune=True, precision="fp32")["tune"].inputs) == ["dataset", "dump"]
    assert changed(planned(), found) == ["accuracy", "performance"]


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        pytest.param({"extra": {"cpu": "another"}}, ["tune"], id="cpu"),
        pytest.param({"scenario": "server"}, ["tune", "accuracy", "performance"], id="scenario"),
        pytest.param({"min_duration": 11}, ["performance"], id="min_duration"),
        pytest.param({"data_rows": 9000}, ["dataset"], id="rows alone: the files decide"),
        pytest.param({"extra": {"run_id": "other"}}, ["performance"], id="run"),
        pytest.param(
            {"extra": {"image": "b"}},
            ["repositories", "tune", "accuracy", "performance"],
            id="image",
        ),
    ],
)
def test_tune_is_keyed_by_image_and_machine_type(other: dict[str, Any], wanted: list[str]) -> None:
    assert changed(planned(tune=True), planned(tune=True, **other)) == wanted


def test_another_choice_remakes_what_was_gated_and_other_figures_do_not() -> None:
    base = planned(tune=True)
    chosen = planned(Disk(*ALL.done, sha256={"choice.json": "11"}), tune=True)
    assert changed(base, chosen) == ["accuracy", "performance"]
    assert changed(base, planned(Disk(*ALL.done, sha256={"tuning.json": "11"}), tune=True)) == []


def test_an_unknown_machine_type_is_waited_for() -> None:
    found = planned(extra={"cpu": ""}, tune=True)
    assert found["tune"].waits_for == "known once the cpu is known"
    assert found["accuracy"].waits_for == "known once tune is done"
    assert planned(extra={"cpu": ""})["accuracy"].key is not None


def test_only_named_input_files_enter_a_key() -> None:
    base = planned()
    for name, wanted in {
        "calibration_dense.npy": ["calibrate", "accuracy"],
        "terabyte_dense.bin": ["accuracy", "performance"],
        "dlrm-multihot-pytorch.pt": ["calibrate"],
    }.items():
        disk = Disk(*ALL.done, sha256={name: "11"})
        assert changed(base, planned(disk)) == wanted, name


def test_a_raised_recipe_changes_the_key() -> None:
    raised = copy.deepcopy(CATALOGUE)
    raised["stages"][3]["recipe"] = 2
    assert changed(planned(), planned(stages=raised)) == ["dump"]


def test_a_folder_counts_by_names_and_content_not_by_its_place() -> None:
    files = [{"name": "a", "sha256": "1"}, {"name": "b", "sha256": "2"}]
    base = planned(files=files, data_source="/here")
    assert changed(base, planned(files=files[::-1], data_source="/there")) == []
    renamed = [{"name": "c", "sha256": "1"}, files[1]]
    assert changed(base, planned(files=renamed, data_source="/here")) == ["dataset"]
    edited = [{"name": "a", "sha256": "3"}, files[1]]
    assert changed(base, planned(files=edited, data_source="/here")) == ["dataset"]
    waiting = planned(files=None, data_source="/here")["dataset"]
    assert waiting.waits_for == "known once the files of /here are hashed"


def test_a_remote_counts_by_its_name() -> None:
    base = planned(data_source="r2:a")
    assert changed(base, planned(data_source="r2:b")) == ["dataset"]
    assert changed(base, planned()) == ["dataset"]


def test_keys_are_stable_across_releases() -> None:
    # A changed key means that no earlier result is found again: it must not change by accident.
    entry = {
        "name": "dump",
        "recipe": 2,
        "parameters": ["row_cap", "profile"],
        "key_extra": ["image"],
    }
    inputs = [{"stage": "weights", "name": "b", "sha256": "2"}]
    inputs += [{"stage": "weights", "name": "a", "sha256": "1"}]
    key = stage_key(
        entry,
        "native",
        {"profile": "demo", "row_cap": None, "seed": 1},
        inputs,
        None,
        {"image": "dlrm-bench:1", "run_id": "x"},
    )
    text = (
        '{"extra":{"image":"dlrm-bench:1"},"implementation":"native",'
        '"inputs":[["weights","a","1"],["weights","b","2"]],'
        '"parameters":{"profile":"demo","row_cap":null},"recipe":2,"source":null,"stage":"dump"}'
    )
    assert key == hashlib.sha256(text.encode()).hexdigest()


def test_links_carry_architecture_and_precision() -> None:
    entry = catalogue.stage(CATALOGUE, "calibrate")
    parameters = normalise({"precision": "int8"}, PRECISIONS)["parameters"]
    assert catalogue.links(entry, parameters, "aarch64") == [
        ("dlrm_int8.pt", "model/aarch64_dlrm_int8.pt")
    ]
    entry = catalogue.stage(CATALOGUE, "performance")
    assert catalogue.links(entry, parameters, "aarch64")[0][1] == (
        "results/int8/mlperf_log_summary.txt"
    )
    assert catalogue.is_measured(entry)
    assert catalogue.is_measured(catalogue.stage(CATALOGUE, "tune"))
    assert not catalogue.is_measured(catalogue.stage(CATALOGUE, "accuracy"))


def test_wrong_catalogues_and_stages_are_refused_in_words() -> None:
    with pytest.raises(FleetError, match="schema_version must be 1, found 2"):
        catalogue.stages({**CATALOGUE, "schema_version": 2})
    swapped = {**CATALOGUE, "stages": CATALOGUE["stages"][::-1]}
    with pytest.raises(FleetError, match=r"'audit'.*its input 'dataset' is not an earlier"):
        catalogue.stages(swapped)
    with pytest.raises(FleetError, match=r"no stage 'dmp': the stages are repositories, weights"):
        catalogue.stage(CATALOGUE, "dmp")


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("int8", "0f8cb12d5373690164d7c6f4beb6b291b10f6368e0bae11393df121f36cd91d4"),
        ("fp32", "71d74682d5d74511f25587e4139775ffb734862948759254fe828bf1aa6dd12a"),
    ],
)
def test_normalised_requests_stay_byte_for_byte(name: str, sha256: str) -> None:
    assert sha256_text(canonical_json(normalise(REQUESTS[name], PRECISIONS))) == sha256


def test_a_precision_of_the_table_takes_its_models_stages() -> None:
    made_up = {"model": {"stage": "dump"}, "marks": ["experimental"]}
    table = {**PRECISIONS, "fp8": made_up}
    stages = {**CATALOGUE, "precisions": table}
    request = normalise({"precision": "fp8"}, table)
    assert request["marks"] == ["demo: not comparable", "experimental"]
    found = planned(stages=stages, precision="fp8")
    assert "calibrate" not in found
    assert list(found["performance"].inputs) == ["dataset", "dump"]
    made_up["model"] = {"stage": "calibrate"}
    found = planned(stages=stages, precision="fp8")
    assert list(found["performance"].inputs) == ["dataset", "calibrate"]


def test_a_catalogue_of_an_earlier_release_names_its_precisions_itself() -> None:
    text = json.dumps(CATALOGUE["stages"]).replace(
        '{"model": ["calibrate"]}', '{"precision": ["int8"]}'
    )
    old = {
        "schema_version": 1,
        "implementation": "native",
        "stages": json.loads(
            text.replace('{"model": ["dump"]}', '{"precision": ["fp32", "bf16"]}')
        ),
    }
    assert catalogue.stages(old) == old["stages"]
    assert changed(planned(), planned(stages=old)) == []


def test_a_plan_reads_a_finished_stage_once_until_it_is_forgotten() -> None:
    read: list[str] = []

    def counted(stage: str, key: str) -> dict[str, Any] | None:
        read.append(stage)
        return ALL.read(stage, key)

    request, extra = normalise({"precision": "int8"}, PRECISIONS), dict[str, "str | None"](EXTRA)
    plan = Plan(CATALOGUE, request, extra, counted, lambda _folder: None)
    assert plan.stage("calibrate").document is not None
    assert sorted(read) == ["calibrate", "dataset", "dump", "weights"]
    plan.stages()
    assert len(read) == len(set(read)) == len(plan.entries)
    plan.forget("dump")
    plan.stages()
    assert read[len(plan.entries) :] == ["dump"]


def test_what_becomes_known_in_the_midst_of_a_call_is_planned_then() -> None:
    disk = Disk("weights")
    request, extra = normalise({"precision": "int8"}, PRECISIONS), dict[str, "str | None"](EXTRA)
    plan = Plan(CATALOGUE, request, extra, disk.read, lambda _folder: None)
    assert plan.stage("accuracy").key is None
    disk.done = ALL.done
    assert plan.stage("accuracy").key == planned()["accuracy"].key


@pytest.mark.parametrize("name", PINNED_KEYS)
def test_keys_of_finished_stages_stay_what_they_were(name: str) -> None:
    everything = Disk(*(stage["name"] for stage in CATALOGUE["stages"]))
    found = planned(everything, files=[{"name": "a", "sha256": "11"}], **REQUESTS[name])
    keys = {stage: (one.key or "")[:16] for stage, one in found.items()}
    request = request_sha256(normalise(REQUESTS[name], PRECISIONS))[:16]
    assert {"request": request, **keys} == PINNED_KEYS[name]
