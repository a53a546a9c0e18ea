"""What the gate of the fleet's keys has checked is what rsync gets, whatever is swapped meanwhile.

The packed program runs as sshd runs it. A stand-in for rsync swaps a path and starts the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_run import REPOSITORY
from module_runner import run_module

import dlrm_storage_program

# Its first argument is the packed program, of any release.
GATE = """
import sys
sys.path.insert(0, sys.argv[1])
try:
    from dlrm_fleet.storage import program
except ImportError:
    from dlrm_fleet import storage_program as program
program.SAFE_PATH = sys.argv[2]
sys.exit(program.main(["gate", sys.argv[3], sys.argv[4]]))
"""
SSH = """#!/bin/bash
while [[ $1 == -* ]]; do shift 2; done
shift
export SSH_ORIGINAL_COMMAND="$*"
exec {python} -I -c '{gate}' {program} {programs}:"$PATH" {mode} {root}
"""
SWAP = """#!/bin/bash
{swap}
exec {rsync} "$@"
"""
MANY = ["--relative", "--no-implied-dirs"]
ONE = ["--append"]


class Host:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.programs, self.arrived = (folder / n for n in ("root", "bin", "arrived"))
        self.temporary = folder / "temporary"
        for path in (self.root / "incoming", self.programs, self.arrived, self.temporary):
            path.mkdir(parents=True)
        self.secret = folder / "secret"
        self.secret.write_text("secret")
        self.good = self.root / "stage.json"
        self.good.write_text("honest")
        self.program = folder / "storage.pyz"
        package = REPOSITORY / "module_utils" / "dlrm_fleet"
        run_module(dlrm_storage_program, capsys, package=str(package), dest=str(self.program))

    def rsync(
        self, mode: str, swap: str, options: list[str], *paths: str
    ) -> subprocess.CompletedProcess[str]:
        """`swap`: what the planter does once the gate has let the command through."""
        rsync = shutil.which("rsync")
        names = {"python": sys.executable, "gate": GATE, "program": self.program, "mode": mode}
        texts = {
            "ssh": SSH.format(programs=self.programs, root=self.root, **names),
            "rsync": SWAP.format(swap=swap, rsync=rsync),
        }
        for name, text in texts.items():
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        command = ["--copy-links", "--no-protect-args", "--no-perms", "--no-times", *options]
        return subprocess.run(
            [str(rsync), *command, "-e", str(self.programs / "ssh"), "--", *paths],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )

    def has_arrived(self) -> dict[str, str]:
        files = [path for path in self.arrived.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.arrived)): path.read_text() for path in files}


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, capsys)


@pytest.mark.parametrize("options", [ONE, MANY], ids=["one", "many"])
def test_a_link_in_place_of_a_checked_file_is_not_followed(host: Host, options: list[str]) -> None:
    dot = "/." if options is MANY else ""
    swap = f"ln -sfn {host.secret} {host.good}"
    done = host.rsync("read", swap, options, f"host:{dot}{host.good}", f"{host.arrived}/")
    name = str(host.good).lstrip("/") if options is MANY else host.good.name
    assert host.has_arrived() == {name: "honest"}, done.stderr
    assert host.good.is_symlink()


def test_a_link_in_place_of_a_folder_above_is_not_followed(host: Host) -> None:
    stage, other = host.root / "stages", host.secret.parent / "other"
    for folder, text in ((stage, "honest"), (other, "secret")):
        folder.mkdir()
        (folder / "log").write_text(text)
    swap = f"mv {stage} {stage}.old; ln -s {other} {stage}"
    done = host.rsync("read", swap, ONE, f"host:{stage}/log", f"{host.arrived}/")
    assert host.has_arrived() == {"log": "honest"}, done.stderr


def test_a_link_in_place_of_incoming_gets_nothing(host: Host) -> None:
    elsewhere = host.secret.parent / "home"
    elsewhere.mkdir()
    sent = host.secret.parent / "authorized_keys"
    sent.write_text("a key of the sender's")
    incoming = host.root / "incoming"
    swap = f"mv {incoming} {incoming}.old; ln -s {elsewhere} {incoming}"
    done = host.rsync("write", swap, ONE, str(sent), f"host:{incoming}/")
    assert list(elsewhere.iterdir()) == [], done.stderr
    assert (host.root / "incoming.old" / sent.name).read_text() == "a key of the sender's"


def test_published_names_a_missing_file_and_many_files_come_as_before(host: Host) -> None:
    link = host.root / "model.bin"
    link.symlink_to("stage.json")
    more = [host.root / f"log.{number}" for number in range(300)]
    for path in more:
        path.write_text(path.name)
    paths = [f"host:/.{path}" for path in (link, host.good, *more)]
    done = host.rsync("read", "", MANY, *paths, f"{host.arrived}/")
    assert done.returncode == 0, done.stderr
    found = host.has_arrived()
    assert len(found) == 302
    assert found[str(link).lstrip("/")] == "honest"
    missing = host.rsync("read", "", ONE, f"host:{host.root}/none", f"{host.arrived}/")
    assert missing.returncode == 23
    assert "No such file or directory (2)" in missing.stderr
    assert list(host.temporary.iterdir()) == []
