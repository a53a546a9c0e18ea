"""prepare_data.yml, then rerun.yml on a machine that never saw the weights; one image for both."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .engine import REPOSITORY
from .hosts import Fleet, Host

SMALL: dict[str, Any] = {"precision": "int8", "row_cap": 2000, "data_rows": 4000, "min_duration": 2}
ROOT = "/srv/dlrm"
STORE = "/srv/dlrm-storage"


def asked(fleet: Fleet, playbook: str, inventory: Path, **variables: Any) -> list[str]:
    return fleet.command(
        "-e",
        json.dumps(SMALL),
        playbook=playbook,
        inventory=inventory,
        **{
            "dlrm_storage_key_file": "",
            "dlrm_image_shared": True,
            "dlrm_image_context_dir": str(fleet.folder / "benchmark"),
            **variables,
        },
    )


def play(
    fleet: Fleet, playbook: str, inventory: Path, succeeds: bool = True, **variables: Any
) -> str:
    process = fleet.popen(asked(fleet, playbook, inventory, **variables))
    output, _ = process.communicate(timeout=1500)
    assert (process.returncode == 0) is succeeds, f"exit {process.returncode}\n{output[-8000:]}"
    return output


def kept_image(fleet: Fleet) -> tuple[str, str]:
    """(name, digest) of the one the storage node keeps."""
    entry = json.loads(fleet.storage.shell(f"cat {STORE}/images/*/*.json"))
    return entry["name"], entry["id"]


def image_id(host: Host, name: str) -> str:
    return host.engine("image", "inspect", "--format", "{{.Id}}", name).strip()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """bench-01 prepares; bench-02, which has not even the image, measures."""
    made = Fleet(tmp_path_factory.mktemp("rerun"), count=2, name="rerun")
    try:
        made.start()
        # A copy, because an edit meanwhile would change the image.
        shutil.copytree(REPOSITORY / "benchmark", made.folder / "benchmark")
        cheap, measures = made.benchmark_hosts
        made.write_inventory(made.folder / "lab", [measures], (cheap,))
        measures.shell("docker image ls --quiet dlrm-bench | xargs -r docker image rm --force")
        yield made
    finally:
        made.close_connections()
        made.remove()


def test_prepared_once_a_fleet(fleet: Fleet) -> None:
    cheap = fleet.benchmark_hosts[0]
    output = play(fleet, "playbooks/prepare_data.yml", fleet.folder / "lab")
    assert "Making on bench-01: calibrate" in output
    kept = fleet.storage.shell(f"cd {STORE}/stages && ls */*/stage.json | cut -d/ -f1").split()
    assert kept == ["calibrate", "dataset", "dump", "weights"]
    runs = f"{ROOT}/runs/*"
    assert cheap.shell(f"ls {runs}/closed.json").strip().endswith("closed.json")
    name, digest = kept_image(fleet)
    assert image_id(cheap, name) == digest
    entry = json.loads(fleet.storage.shell(f"cat {STORE}/images/*/*.json"))
    assert (entry["builder"], entry["builder_kind"]) == (cheap.name, "named")
    attempts = f"ls -d {ROOT}/stages/*/*/attempts/* | wc -l"
    before = cheap.shell(attempts)
    again = play(fleet, "playbooks/prepare_data.yml", fleet.folder / "lab")
    assert "Nothing to do: storage-01 has what hosts restore for this request." in again
    assert "changed=0" in again.rsplit("PLAY RECAP", 1)[1]
    assert cheap.shell(attempts) == before


def test_rerun_measures_without_weights(fleet: Fleet) -> None:
    host = fleet.benchmark_hosts[1]
    output = play(fleet, "playbooks/rerun.yml", fleet.folder / "lab")
    assert "calibrate" in output and "restored from storage-01" in output
    name, digest = kept_image(fleet)
    assert image_id(host, name) == digest
    for stage in ("weights", "dump"):
        assert host.shell(f"ls {ROOT}/stages/{stage}/*").split() == ["elsewhere.json"]
        assert f"{stage} skipped because" in output
    made = host.shell(f"cd {ROOT}/stages && ls -d */*/attempts | cut -d/ -f1").split()
    assert made == ["accuracy", "performance", "repositories"]
    [path] = fleet.storage.shell(f"ls {STORE}/runs/*/bench-02/run.json").split()
    record = json.loads(fleet.storage.run("cat", path))
    assert record["verdict"]["status"] == "passed", record["verdict"]
    folder = path.removesuffix("/run.json")
    fleet.storage.shell(f"cd {folder} && sha256sum --check --strict --quiet SHA256SUMS")
    kept = fleet.storage.shell(f"ls {folder}/stages").split()
    assert {"weights.json", "dump.json", "calibrate.json", "dataset.json"} <= set(kept)


def test_what_nobody_prepared_is_refused(fleet: Fleet) -> None:
    host = fleet.benchmark_hosts[1]
    output = play(fleet, "playbooks/rerun.yml", fleet.folder / "lab", succeeds=False, seed=7)
    assert "does not have what bench-02 needs: calibrate" in output
    assert "playbooks/prepare_data.yml" in output
    assert host.shell(f"ls -d {ROOT}/stages/weights/* | wc -l").strip() == "1"


def test_a_machine_too_small_is_refused_with_the_numbers(fleet: Fleet) -> None:
    official = {"profile": "official", "weights_source": "lab:weights", "data_source": "lab:data"}
    fixed: dict[str, Any] = {"row_cap": "", "data_rows": "", "min_duration": ""}
    output = play(
        fleet, "playbooks/rerun.yml", fleet.folder / "lab", succeeds=False, **official, **fixed
    )
    assert "needs 232 GiB of memory, found" in output
    assert "needs 465 GiB of disk at '/srv/dlrm', found" in output


def test_two_images_of_one_name_are_each_hosts_own_or_made_one(fleet: Fleet) -> None:
    """Two images, as two hosts have them that each built its own."""
    host = fleet.benchmark_hosts[1]
    name, kept = kept_image(fleet)
    host.shell(f"printf 'FROM {name}\\nLABEL other=1\\n' | docker build --tag {name} -")
    other = image_id(host, name)
    assert other != kept
    playbook = "tests/fleet/playbooks/prepare.yml"
    play(fleet, playbook, fleet.inventory, dlrm_image_shared=False)
    assert image_id(host, name) == other
    # Only here bench-01 is named to build and is not measured.
    play(fleet, playbook, fleet.folder / "lab")
    assert image_id(host, name) == kept


def test_an_image_of_a_measured_host_is_not_loaded(fleet: Fleet) -> None:
    """Here bench-01 is measured: its image is made anew by the controller, which has it already."""
    name, _ = kept_image(fleet)
    product = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", name],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    output = play(fleet, "tests/fleet/playbooks/prepare.yml", fleet.inventory)
    assert f"localhost builds {name}" in output
    entry = json.loads(fleet.storage.shell(f"cat {STORE}/images/*/*.json"))
    assert entry["builder_kind"] == "controller"
    assert entry["id"] == (product or entry["id"])
    assert {image_id(host, name) for host in fleet.benchmark_hosts} == {entry["id"]}
