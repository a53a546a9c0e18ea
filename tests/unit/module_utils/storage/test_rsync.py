"""The rsync command, and the messages of its failures."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.storage.rsync import (
    copy_command,
    reach,
    ssh_command,
    worded_failure,
)

SOURCE = {"address": "192.0.2.10", "user": "ubuntu", "port": 2222, "key_file": "/home/a b/key"}


def test_local_copy() -> None:
    command = copy_command(None, "/srv/a b", "/store/x.partial")
    assert command[0] == "rsync"
    assert command[-3:] == ["--", "/srv/a b", "/store/x.partial"]
    assert "-e" not in command


def test_remote_copy() -> None:
    command = copy_command(SOURCE, "/srv/a", "/store/x")
    assert command[-3:] == ["--", "192.0.2.10:/srv/a", "/store/x"]
    assert command[command.index("-e") + 1] == ssh_command(SOURCE)
    assert "--append" in command
    assert not {"-z", "--compress"} & set(command)


def test_ssh_checks_host_keys_and_never_asks() -> None:
    command = ssh_command(SOURCE)
    assert command.startswith("ssh -i '/home/a b/key' -p 2222 -l ubuntu ")
    assert "-o StrictHostKeyChecking=yes" in command
    assert "-o BatchMode=yes" in command
    assert "-o 'Ciphers=^aes128-gcm@openssh.com,aes256-gcm@openssh.com'" in command
    assert "UserKnownHostsFile" not in command
    assert "-o UserKnownHostsFile=/k" in ssh_command({**SOURCE, "known_hosts_file": "/k"})
    assert " -p 22 " in ssh_command({**SOURCE, "port": None})


FLEET = {"address": "192.0.2.10", "user": "u", "port": 22, "fleet_dir": "/k", "key_file": ""}


def test_each_mode_has_the_fleets_own_key() -> None:
    found = reach({**FLEET, "jump": "", "known_hosts_file": None}, "write")
    assert found == {
        "address": "192.0.2.10",
        "user": "u",
        "port": 22,
        "key_file": "/k/write",
        "known_hosts_file": "/k/known_hosts",
    }
    found = reach({**FLEET, "jump": "b@192.0.2.5", "known_hosts_file": "/h"}, "read")
    assert found is not None
    assert (found["key_file"], found["known_hosts_file"]) == ("/k/read", "/h")
    assert found["jump"] == "b@192.0.2.5"


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_users_own_key_serves_both_modes(mode: str) -> None:
    found = reach({**FLEET, "key_file": "/mine"}, mode)
    assert found == {"address": "192.0.2.10", "user": "u", "port": 22, "key_file": "/mine"}


@pytest.mark.parametrize(
    "options", [None, {}, {**FLEET, "address": ""}, {**FLEET, "address": None}]
)
def test_without_an_address_it_is_this_machine(options: dict[str, object] | None) -> None:
    assert reach(options, "read") is None


def test_a_host_without_any_key_is_refused() -> None:
    with pytest.raises(FleetError, match="neither key_file nor fleet_dir is set"):
        reach({**FLEET, "fleet_dir": ""}, "read")


def test_an_ipv6_address_is_bracketed() -> None:
    command = copy_command({**SOURCE, "address": "2001:db8::1"}, "/srv/a", "/store/x")
    assert "[2001:db8::1]:/srv/a" in command


BAD_NAMES: list[dict[str, str | None]] = [
    {"address": "-oProxyCommand=x"},
    {"address": ""},
    {"user": "a b"},
    {"user": "-l"},
    {"user": "u\n"},
]


@pytest.mark.parametrize("change", BAD_NAMES)
def test_names_that_could_be_options_are_refused(change: dict[str, str | None]) -> None:
    with pytest.raises(FleetError, match="is not a valid name"):
        copy_command({**SOURCE, **change}, "/srv/a", "/store/x")


@pytest.mark.parametrize("change", [{"address": "-o"}, {"user": ""}, {"user": None}, {"user": "-"}])
def test_they_are_refused_before_anything_is_measured(change: dict[str, str | None]) -> None:
    with pytest.raises(FleetError, match="is not a valid name|the login user is not known"):
        reach({**FLEET, **change}, "read")


@pytest.mark.parametrize("user", ["bench@lab.example", "LAB\\bench"])
def test_a_directorys_user_arrives_at_ssh_as_it_is(user: str, tmp_path: Path) -> None:
    """Real rsync divides -e into words; a stand-in for ssh keeps them."""
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done >{tmp_path}/words\nexit 255\n')
    program.write_text(program.read_text().replace("echo", "printf '%s\\n'"))
    program.chmod(0o755)
    source = {**SOURCE, "user": user, "jump": f"{user}@192.0.2.5:2200"}
    command = copy_command(source, "/srv/a", str(tmp_path / "x"))
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, check=False)
    words = (tmp_path / "words").read_text().splitlines()
    assert words[words.index("-l") + 1] == user
    assert words[words.index("192.0.2.10") + 1] == "rsync"
    [proxy] = [word for word in words if word.startswith("ProxyCommand=")]
    bastion = shlex.split(proxy)
    assert bastion[bastion.index("-l") + 1] == user
    assert bastion[-2:] == ["[%h]:%p", "192.0.2.5"]


@pytest.mark.parametrize(
    "jump", ["b", "@h", "b@", "b@h:", "b@h:x", "b@h\n", "-o@h", "b@-o", "b@h i"]
)
def test_a_bastion_of_another_shape_is_refused(jump: str) -> None:
    with pytest.raises(FleetError, match="wanted user@host or user@host:port"):
        ssh_command({**SOURCE, "jump": jump})


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(FleetError, match="cannot fetch 'a:b': the path must be absolute"):
        copy_command(None, "a:b", "/store/x")


@pytest.mark.parametrize(
    ("rc", "stderr", "text"),
    [
        (11, "rsync: write failed: No space left on device (28)", "on the storage node is full"),
        (255, "Host key verification failed.", "does not know that host's SSH key. Add its key"),
        (255, "ubuntu@192.0.2.10: Permission denied (publickey).", "the SSH key was refused"),
        (23, 'failed to open "/srv/a": Permission denied (13)', "login user may not read the file"),
        (23, 'link_stat "/srv/a" failed: No such file or directory (2)', "no such file any more"),
        (127, "bash: line 1: rsync: command not found", "rsync is missing there"),
        (255, "ssh: connect to host: No route to host", "connection could not be made): ssh: conn"),
        (30, "", "rsync ended with 30 (nothing arrived for 120 s): it says nothing"),
        (99, "odd", "rsync ended with 99 (see rsync(1)): odd"),
    ],
)
def test_failures_in_words(rc: int, stderr: str, text: str) -> None:
    message = str(worded_failure(SOURCE, "/srv/a", "/store", rc, stderr))
    assert message.startswith("cannot fetch '/srv/a' from ubuntu@192.0.2.10: ")
    assert text in message
