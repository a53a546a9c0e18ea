"""Doctor and support bundle report every machine, also those that do not answer."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

import pytest
from ssh_machines import RUN_ID, Machines

from fleet.engine import docker

SECRET = "hunter2" + "-of-the-test"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("help"))
    try:
        made.start("far-01", "off-01")
        docker("stop", "--time", "0", made.container("off-01"))
        yield made
    finally:
        made.remove()


def test_the_doctor_names_what_prevents_a_run(machines: Machines) -> None:
    unmet = {"dlrm_host_memory_gib": 10**6}
    inventory = machines.inventory("examined", {"here": {}, "far-01": unmet, "off-01": {}})
    ended = machines.play(inventory, playbook="playbooks/doctor.yml")
    assert ended.returncode != 0, ended.stdout
    assert "here: ready" in ended.stdout, ended.stdout
    assert "far-01: NOT ready" in ended.stdout
    assert "needs 1e+06 GiB of memory" in ended.stdout
    assert "off-01: NOT ready" in ended.stdout
    assert "missing connection, from the controller to off-01" in ended.stdout
    assert "Not ready: far-01, off-01." in " ".join(ended.stdout.split()), ended.stdout


def test_the_doctor_passes_a_host_that_is_ready(machines: Machines) -> None:
    inventory = machines.inventory("ready", {"here": {}})
    ended = machines.play(inventory, playbook="playbooks/doctor.yml")
    assert ended.returncode == 0, ended.stdout
    assert not (machines.folder / "root/host.json").exists()


def test_a_bundle_of_each_machine_holds_no_secret(machines: Machines) -> None:
    told = {"ansible_become_password": SECRET}
    inventory = machines.inventory("bundled", {"here": {}, "far-01": told, "off-01": told})
    attempt = machines.folder / "root/stages/dump/0123/attempts/1"
    attempt.mkdir(parents=True)
    (attempt / "log.txt").write_text(f"started\npassword={SECRET}\nfailed with 137\n")
    ended = machines.play(inventory, playbook="playbooks/support.yml")
    assert ended.returncode == 0, ended.stdout
    names, texts = [], []
    for path in sorted((machines.folder / "verdicts/support").iterdir()):
        with tarfile.open(path) as bundle:
            for member in bundle.getmembers():
                file = bundle.extractfile(member)
                assert file is not None
                names.append(member.name)
                texts.append(file.read().decode())
    found = dict(zip(names, texts, strict=True))
    assert not [name for name, text in found.items() if SECRET in text]
    assert "failed with 137" in found["here/root/stages/dump/0123/attempts/1/log.txt"]
    assert f"here/storage_root/runs/{RUN_ID}/here/run.json" in found
    assert f"here/root/runs/{RUN_ID}/run.lock" in found
    assert "[core 2." in found["localhost/machine/ansible_version.txt"]
    assert '"far-01"' in found["localhost/inventory.json"]
    assert "off-01/unreachable.txt" in found
    assert "far-01/machine/uname.txt" in found
