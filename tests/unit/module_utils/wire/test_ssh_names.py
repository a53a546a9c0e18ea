from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.wire.ssh_names import checked_address, checked_login
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed


@pytest.mark.parametrize(
    "user", ["bench", "root", "a", "bench@lab.example", "LAB\\bench", "first.last", "_x-1"]
)
def test_users_of_hosts_and_directories(user: str) -> None:
    assert checked_login(user, "cannot reach it") == user


REFUSED: list[object] = [
    *("-oProxyCommand=id", "-l", "@a", "a\\", "a b", "a\n", "a\nb", "a\x00", "a\x7f", "ä"),
    *("a'b", 'a"b', "a$b", "a;b", "a`b", "%r", "a%b", "a|b", "a/b", "a:b", "a" * 257, 7, ["a"]),
]


@pytest.mark.parametrize("user", REFUSED)
def test_what_ssh_or_a_shell_would_read_is_refused(user: object) -> None:
    with pytest.raises(Malformed, match=r"cannot reach it: user .* is not a valid name"):
        checked_login(user, "cannot reach it")


@pytest.mark.parametrize("user", ["", None])
def test_nobody_takes_the_place_of_an_unknown_user(user: object) -> None:
    with pytest.raises(Malformed, match="the login user is not known. Set ansible_user"):
        checked_login(user, "cannot reach it")


@pytest.mark.parametrize("address", ["192.0.2.10", "2001:db8::1", "fe80::1%eth0", "a.example"])
def test_addresses(address: str) -> None:
    assert checked_address(address, "cannot reach it") == address


@pytest.mark.parametrize("address", ["", None, "-oX", "a b", "a,b", "*", "!a", "@a", "a\n", "#a"])
def test_no_address(address: object) -> None:
    with pytest.raises(Malformed, match=r"address .* is not a valid name"):
        checked_address(address, "cannot reach it")
