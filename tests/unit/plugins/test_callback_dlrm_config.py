"""Where this project's ansible.cfg is not in effect, a playbook says so and runs nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
PLAYBOOKS = [
    "run_benchmark.yml",
    *(f"playbooks/{path.name}" for path in sorted((REPOSITORY / "playbooks").glob("*.yml"))),
]
PARTS = ("playbooks", "plugins", "library", "module_utils", "roles", "inventories")


def ran(
    playbook: Path, folder: Path, home: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Without a setting of the user's own."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    root = ["-e", f"dlrm_host_root={home}/root"]
    local = str(REPOSITORY / "inventories/local")
    return subprocess.run(
        [ANSIBLE_PLAYBOOK, str(playbook), "-i", local, "-e", "precision=int8", *root, *options],
        cwd=folder,
        env={**plain, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Why, before any play."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "PLAY" not in done.stdout
    assert "precision" not in done.stdout + done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    made.mkdir()
    for name in PARTS:
        shutil.copytree(REPOSITORY / name, made / name, symlinks=True)
    for name in ("run_benchmark.yml", "ansible.cfg"):
        shutil.copy(REPOSITORY / name, made / name)
    return made


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_in_another_folder(name: str, home: Path) -> None:
    said = refused(ran(REPOSITORY / name, home, home))
    assert f"the settings of this project, {REPOSITORY}/ansible.cfg, are not in effect" in said
    assert "no file is, only Ansible's own defaults are" in said
    assert f"The command was started in {home}" in said
    assert f"export ANSIBLE_CONFIG={REPOSITORY}/ansible.cfg" in said


def test_in_a_folder_with_another_ansible_cfg(home: Path) -> None:
    (home / "ansible.cfg").write_text("[defaults]\nforks = 5\n")
    said = refused(ran(REPOSITORY / "run_benchmark.yml", home, home))
    assert f"are not in effect; {home}/ansible.cfg is." in said


def test_with_another_one_in_the_environment(home: Path, checkout: Path) -> None:
    other = home / "other.cfg"
    other.write_text("[defaults]\nforks = 5\n")
    done = ran(checkout / "run_benchmark.yml", checkout, home, ANSIBLE_CONFIG=str(other))
    said = refused(done)
    assert f"{other} is. The environment variable ANSIBLE_CONFIG names '{other}'" in said


def test_in_a_checkout_that_everybody_may_write_to(home: Path, checkout: Path) -> None:
    checkout.chmod(0o777)
    said = refused(ran(Path("run_benchmark.yml"), checkout, home))
    assert f"everybody may write to the folder {checkout} (mode 0777)" in said
    assert f"chmod o-w {checkout}" in said


def test_with_a_file_of_the_project_that_lacks_its_lines(home: Path, checkout: Path) -> None:
    own = checkout / "own.cfg"
    own.write_text("[defaults]\nroles_path = roles\n")
    done = ran(checkout / "run_benchmark.yml", home, home, ANSIBLE_CONFIG=str(own))
    said = refused(done)
    assert f"{own} does not set library, module_utils, action_plugins" in said


def test_named_in_the_environment_it_works_anywhere(home: Path) -> None:
    """The request is read, and refused for its own fault."""
    config = str(REPOSITORY / "ansible.cfg")
    done = ran(REPOSITORY / "run_benchmark.yml", home, home, "-e", "seed=x", ANSIBLE_CONFIG=config)
    assert done.returncode != 0
    assert "seed: 'x' is not allowed" in done.stdout + done.stderr
