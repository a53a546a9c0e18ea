"""Why a login is refused, in the words of ssh, sudo and Python, and what to do about it."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.support.ways.login import refusal

SSH = [
    ("ssh: Could not resolve hostname bench-1: Name or service not known", "does not resolve"),
    ("No ED25519 host key is known for 192.0.3.1 and you have requested strict", "host key"),
    ("@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@", "host key"),
    ("bench@x: Permission denied (publickey,password).", "does not let user bench in"),
    (
        "Warning: Identity file /x/key not accessible: No such file or directory.\n"
        "bench@x: Permission denied (publickey).",
        "file is not there",
    ),
    (
        "@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nPermission denied (publickey)",
        "others may read",
    ),
    ("ssh: connect to host x port 22: Connection refused", "nothing listens"),
    ("ssh: connect to host x port 22: Connection timed out", "firewall"),
    ("Connection timed out during banner exchange", "firewall"),
    ("ssh: connect to host x port 22: No route to host", "no route"),
    ("kex_exchange_identification: Connection closed by remote host", "before the login"),
]
ROOT = [
    ("sudo: sorry, you must have a tty to run sudo", "terminal", "!requiretty"),
    ("sudo: a password is required", "password", "NOPASSWD"),
    ("Missing sudo password", "password", "--ask-become-pass"),
    ("bench is not in the sudoers file.", "may not become root", "NOPASSWD"),
    ("/bin/sh: 1: sudo: not found", "no sudo", "Install"),
    ("/bin/sh: 1: /usr/bin/python3: not found", "no Python", "Install python3"),
    ("ansible-core requires a minimum of Python version 3.8. Current: 3.6", "too old", "3.9"),
]


@pytest.mark.parametrize(("said", "why"), SSH)
def test_ssh(said: str, why: str) -> None:
    error = refusal("connection", said, "bench-01", "bench", "192.168.0.9")
    assert why in error.why
    assert error.todo
    assert "{" not in str(error)


@pytest.mark.parametrize(("said", "why", "todo"), ROOT)
def test_root(said: str, why: str, todo: str) -> None:
    error = refusal("become", said, "bench-01", "bench")
    assert why in error.why
    assert todo in error.todo


def test_an_address_of_examples_is_named_as_one() -> None:
    error = refusal("connection", "Connection timed out", "bench-01", "bench", "192.0.2.11")
    assert "address of examples" in error.todo
    assert "hosts.yml" in error.todo


def test_other_words_are_quoted() -> None:
    error = refusal("connection", "debug\nssh: something new\n", "bench-01", "", "192.168.0.9")
    assert error.why == "ssh: something new"
