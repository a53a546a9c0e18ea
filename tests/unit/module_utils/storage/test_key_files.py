"""The lines and files of the fleet's keys, the spool, and the packed program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.commands import run_command
from ansible.module_utils.dlrm_fleet.base.documents import read_json
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage import (
    key_files as storage_files,
    keys as storage_keys,
    pack as storage_bundle,
)
from ansible.module_utils.dlrm_fleet.storage.node import spool

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK dlrm-fleet-read"
PACKAGE = Path(storage_bundle.__file__).parents[1]
RUN_ID = "20260131T120000Z-0a1b2c"


def line(**change: object) -> str:
    values = {
        "public": PUBLIC,
        "mode": "read",
        "fleet": "lab",
        "sources": ["192.0.2.20"],
        "python": "/usr/bin/python3",
        "program": "/opt/p.pyz",
        "root": "/srv/dlrm",
        **change,
    }
    return storage_keys.key_line(**values)  # type: ignore[arg-type]


def test_a_line_opens_one_command_from_one_place() -> None:
    assert line() == (
        'restrict,from="192.0.2.20",command="/usr/bin/python3 -I /opt/p.pyz gate read /srv/dlrm" '
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK dlrm-fleet:lab:read"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"public": "no key"},
        {"public": f'command="sh" {PUBLIC}'},
        {"sources": []},
        {"sources": ['*",command="sh']},
        {"fleet": 'x" y'},
        {"mode": "shell"},
        {"root": '/srv/"x'},
        {"root": "/srv/\\x"},
        {"root": "/srv/x\nssh-ed25519 AAAA"},
        {"fleet": "lab\n"},
        {"sources": ["192.0.2.20\n"]},
        {"public": "ssh-ed25519 AAAA\nssh-ed25519 BBBB"},
    ],
)
def test_what_could_open_more_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FleetError):
        line(**change)


def test_other_lines_and_other_fleets_stay() -> None:
    others = b"ssh-ed25519 AAAA me\n# a comment\nssh-rsa BBBB dlrm-fleet:other:read\n"
    old = others + b"restrict ssh-ed25519 CCCC dlrm-fleet:lab:read\n"
    assert storage_keys.merged(old, "lab", []) == others
    assert storage_keys.merged(old, "lab", [line()]) == others + f"{line()}\n".encode()
    assert storage_keys.merged(b"", "lab", []) == b""


def test_known_hosts_name_the_port_and_replace_the_same_host(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    host = {"address": "192.0.2.10", "port": 22, "keys": ["ssh-ed25519 AAAA"]}
    assert storage_files.know_host(folder, host)
    assert storage_files.know_host(folder, {**host, "port": 2222})
    assert not storage_files.know_host(folder, host)
    assert storage_files.know_host(folder, {**host, "keys": ["ssh-ed25519 BBBB"]})
    assert sorted((folder / "known_hosts").read_text().splitlines()) == [
        "192.0.2.10 ssh-ed25519 BBBB",
        "[192.0.2.10]:2222 ssh-ed25519 AAAA",
    ]


def test_what_others_wrote_into_known_hosts_keeps_its_bytes(tmp_path: Path) -> None:
    foreign = b"\xff\n# caf\xe9\r\n192.0.2.100 ssh-ed25519 CCCC\nno end"
    (tmp_path / "known_hosts").write_bytes(foreign)
    host = {"address": "192.0.2.10", "port": 22, "keys": ["ssh-ed25519 AAAA"]}
    assert storage_files.know_host(tmp_path, host)
    after = foreign + b"\n192.0.2.10 ssh-ed25519 AAAA\n"
    assert (tmp_path / "known_hosts").read_bytes() == after


@pytest.mark.parametrize("keys", [[], None, "ssh-ed25519 AAAA", ["ssh-ed25519 AAAA"] * 17])
def test_a_host_has_some_keys_and_not_any_number(tmp_path: Path, keys: object) -> None:
    with pytest.raises(FleetError, match="a list of 1 to 16 keys is wanted"):
        storage_files.know_host(tmp_path, {"address": "192.0.2.10", "port": 22, "keys": keys})


def test_a_host_shows_only_keys_that_ssh_takes(tmp_path: Path) -> None:
    """An old machine's DSA key would otherwise be refused with all its others."""
    (tmp_path / "ssh_host_dsa_key.pub").write_text("ssh-dss AAAA root@old\n")
    (tmp_path / "ssh_host_rsa_key.pub").write_bytes(b"ssh-rsa BBBB caf\xe9\n")
    assert storage_keys.host_keys(tmp_path) == ["ssh-rsa BBBB"]
    (tmp_path / "ssh_host_rsa_key.pub").unlink()
    with pytest.raises(FleetError, match="there is no ssh_host"):
        storage_keys.host_keys(tmp_path)


@pytest.mark.parametrize("address", ["*", "a b", "a,b", "!a", "@revoked", "a\n", "#a"])
def test_a_pattern_is_no_known_host(address: str) -> None:
    with pytest.raises(FleetError, match="not a plain address"):
        storage_keys.known_hosts([{"address": address, "port": 22, "keys": ["k k"]}])


def test_keys_are_made_once_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    assert storage_files.ensure_keys(folder, run_command, True) == (True, {"read": "", "write": ""})
    assert not folder.exists()
    changed, public = storage_files.ensure_keys(folder, run_command, False)
    assert changed
    assert public["read"] != public["write"]
    assert (folder / "read").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert storage_files.ensure_keys(folder, run_command, False) == (False, public)
    assert storage_files.remove_keys(folder, check=False)
    assert not folder.exists()
    assert not storage_files.remove_keys(folder, check=False)


def test_a_killed_making_of_a_key_is_made_good(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    for name in ("read.partial", "read.partial.pub", "write"):
        (folder / name).write_text("torn")
    _changed, public = storage_files.ensure_keys(folder, run_command, False)
    assert public["write"].startswith("ssh-ed25519 ")
    rc, out, _err = run_command(["ssh-keygen", "-y", "-f", str(folder / "write")])
    assert (rc, out.split()[:2]) == (0, public["write"].split()[:2])


def test_the_spool_waits_until_the_record_is_there(tmp_path: Path) -> None:
    path = spool.entry_path(tmp_path, RUN_ID, "arm-01")
    document = {"schema_version": 1, "run_id": RUN_ID}
    assert spool.write_entry(path, document, check=True)
    assert not path.exists()
    assert spool.write_entry(path, document)
    assert not spool.write_entry(path, document)
    assert spool.paths(tmp_path) == [path]
    assert read_json(path) == document
    assert spool.mark_collected(tmp_path, RUN_ID, "arm-01")
    assert spool.paths(tmp_path) == []
    assert (tmp_path / "spool/collected" / RUN_ID / "arm-01.json").exists()
    assert not spool.mark_collected(tmp_path, RUN_ID, "arm-01")


def test_only_entries_of_runs_wait(tmp_path: Path) -> None:
    for host in ("b", "a"):
        spool.write_entry(spool.entry_path(tmp_path, RUN_ID, host), {"schema_version": 1})
    spool.write_entry(tmp_path / "spool/collected/c.json", {"schema_version": 1})
    assert [path.name for path in spool.paths(tmp_path)] == ["a.json", "b.json"]


def test_one_collects_at_a_time(tmp_path: Path) -> None:
    with (
        spool.locked(tmp_path, RUN_ID, "arm-01"),
        spool.locked(tmp_path, RUN_ID, "arm-02", wait=False),
        pytest.raises(FleetError, match="another process is collecting it"),
        spool.locked(tmp_path, RUN_ID, "arm-01", wait=False),
    ):
        pass
    with spool.locked(tmp_path, RUN_ID, "arm-01", wait=False):
        pass


def test_the_program_is_equal_for_equal_code_and_runs_alone(tmp_path: Path) -> None:
    program = tmp_path / "storage.pyz"
    program.write_bytes(storage_bundle.build(PACKAGE))
    assert program.read_bytes() == storage_bundle.build(PACKAGE)
    visit = [sys.executable, "-I", str(program), "visit", str(tmp_path)]
    done = subprocess.run(visit, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    gate = [sys.executable, "-I", str(program), "gate", "read", "/srv/dlrm"]
    done = subprocess.run(gate, capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert done.stderr.startswith("dlrm-fleet: refused")
    with pytest.raises(FleetError, match="it is not module_utils/dlrm_fleet"):
        storage_bundle.build(tmp_path)
