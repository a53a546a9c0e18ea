"""A machine's host key comes only from its cloud's own channel."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
from ansible.module_utils.dlrm_fleet.cloud.commands import write_host_keys
from ansible.module_utils.dlrm_fleet.cloud.host_keys import from_console, merge, write
from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

from .test_conformance import names
from .worlds import FLEET, World


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
    text = merge("10.0.0.1 ssh-ed25519 OLD\n10.0.0.10 ssh-ed25519 B\n", {"10.0.0.1": ["ssh-rsa N"]})
    assert text == "10.0.0.10 ssh-ed25519 B\n10.0.0.1 ssh-rsa N\n"
    assert write(str(tmp_path / "k"), text) is True
    assert write(str(tmp_path / "k"), text) is False


def test_a_console_without_a_whole_block_gives_none() -> None:
    assert from_console("x\n-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA root@x\n") == []
