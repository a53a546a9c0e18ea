"""A machine's host key comes only from its cloud's own channel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
from ansible.module_utils.dlrm_fleet.cloud.commands import write_host_keys
from ansible.module_utils.dlrm_fleet.cloud.host_keys import from_console, merge, write
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

import dlrm_instance_info
from fleet.engine import REPOSITORY

from .test_conformance import names
from .worlds import FLEET, GcpWorld, World

sys.path.insert(0, str(REPOSITORY / "tests/unit/library"))

from module_runner import run_module


def new_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_keys_come_from_the_clouds_channel(world: World, pace: Pace, tmp_path: Path) -> None:
    key = new_key(tmp_path / "host")
    world.show_host_key(names(2)[0], key)
    made = acquire(world.provider(), FLEET, world.machines(2), pace)
    pace.patience = 0.2
    file = tmp_path / "known_hosts"
    file.write_text("other.example ssh-ed25519 AAAA\n")
    missing = write_host_keys(world.provider(), made.machines, str(file), pace)
    # The second machine's key never appeared, so the machine is named as missing.
    assert missing == names(2)[1:]
    first = made.machines[0]
    lines = file.read_text().splitlines()
    assert lines[0] == "other.example ssh-ed25519 AAAA"
    assert set(lines[1:]) == {
        f"{first.private_address} {key}",
        *([f"{first.public_address} {key}"] if first.public_address else []),
    }


def test_an_addresss_old_key_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_bytes(b"10.0.0.1 ssh-ed25519 OLD\n# \xff\r\n10.0.0.10 ssh-ed25519 B\n")
    new = {"10.0.0.1": ["ssh-rsa N"]}
    assert write(str(file), new) is True
    assert file.read_bytes() == b"# \xff\r\n10.0.0.10 ssh-ed25519 B\n10.0.0.1 ssh-rsa N\n"
    assert write(str(file), new) is False
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_only_keys_of_plain_addresses_get_in() -> None:
    old = b"10.0.0.1 ssh-ed25519 OLD\n"
    evil = "ssh-ed25519 AAAA\n* ssh-ed25519 EVIL"
    assert merge(old, {"10.0.0.1": [evil]}) == old
    assert merge(old, {"10.0.0.1": [evil, "ssh-rsa N"]}) == b"10.0.0.1 ssh-rsa N\n"
    assert merge(old, {"10.0.0.2\n*": ["ssh-rsa N"], "*": ["ssh-rsa N"]}) == old
    assert merge(old, {}, gone=["10.0.0.1"]) == b""


def test_a_machine_adds_no_line_of_its_choice(
    world: World, pace: Pace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is root on a machine writes its guest attributes and its console."""
    key = new_key(tmp_path / "host")
    kind, base64 = key.split()
    [made] = acquire(world.provider(), FLEET, world.machines(1), pace).machines
    if isinstance(world, GcpWorld):
        shown = {kind: base64, "ssh-rsa": "AAAA\n* ssh-ed25519 EVIL", "x\n* ssh-rsa": "EVIL"}
        world.server.host_keys[made.name] = shown
    else:
        world.show_host_key(made.name, f"{key}\n* ssh-ed25519 EVIL")
    file = tmp_path / "known_hosts"
    file.write_text("other.example ssh-ed25519 AAAA\n")
    asked = {**world.settings(), "fleet": FLEET, "known_hosts": str(file)}
    answer = run_module(dlrm_instance_info, capsys, **asked)
    assert answer["host_keys_missing"] == [], answer
    addresses = sorted(filter(None, (made.public_address, made.private_address)))
    first, *others = file.read_text().splitlines()
    assert first == "other.example ssh-ed25519 AAAA"
    assert {f"{address} {key}" for address in addresses} <= set(others)
    # It may show any key, but as its own.
    assert {line.split(" ")[0] for line in others} == set(addresses)


def test_a_console_without_a_whole_block_gives_none() -> None:
    assert from_console("x\n-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA root@x\n") == []
