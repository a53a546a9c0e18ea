from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.storage.keys import known_hosts
from ansible.module_utils.dlrm_fleet.wire.ssh_keys import checked_host_key, is_host_key
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPZGhvAH9"
ECDSA = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI="


@pytest.mark.parametrize("key", [ED25519, ECDSA, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB=="])
def test_a_host_key_is_kept_as_it_is(key: str) -> None:
    assert checked_host_key(key, "cannot keep it") == key


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(f"{ED25519}\n", id="line feed"),
        pytest.param(f"{ED25519}\n* {ED25519}", id="a line of its choice"),
        pytest.param(f"{ED25519} comment", id="comment"),
        pytest.param(f"@cert-authority * {ED25519}", id="marker"),
        pytest.param("ssh-ed25519 ", id="empty"),
        pytest.param("none AAAA", id="unknown type"),
        pytest.param("ssh-ed25519 AAAA\x00", id="control character"),
        pytest.param(7, id="no text"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_more_or_less_than_a_key_is_refused(key: object) -> None:
    assert not is_host_key(key)
    with pytest.raises(Malformed, match="is not a public SSH host key"):
        checked_host_key(key, "cannot keep it")
    with pytest.raises(Malformed, match=r"cannot keep the SSH keys of '192.0.2.7'"):
        known_hosts([{"address": "192.0.2.7", "port": 22, "keys": [key]}])
