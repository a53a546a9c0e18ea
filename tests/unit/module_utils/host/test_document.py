"""Which machines have the same type."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.host.document import machine_type, read_host
from ansible.module_utils.dlrm_fleet.host.machine import read_host as describe
from test_machine import ARCHITECTURES, lay_out


def described(tmp_path: Path, name: str) -> dict[str, Any]:
    return describe(lay_out(tmp_path / name, name), "bench-01", "ip-10-0-0-1", "/srv/dlrm")


def test_each_recorded_machine_has_a_type_of_its_own(tmp_path: Path) -> None:
    types = {machine_type(described(tmp_path, name)) for name in ARCHITECTURES}
    assert None not in types
    assert len(types) == len(ARCHITECTURES)


@pytest.mark.parametrize(
    ("part", "changes", "same"),
    [
        ("cpu", {"model": "another"}, False),
        ("cpu", {"stepping": "9"}, False),
        ("cpu", {"allowed_threads": 1}, False),
        ("cpu", {"allowed_cores": 1}, False),
        ("cpu", {"quota_cores": 1.5}, False),
        ("cpu", {"flags": {}}, False),
        ("cpu", {"microcode": "0x1"}, True),
        ("cpu", {"allowed_cpus": "2-3"}, True),
        ("memory", {"total_gib": 1.0}, True),
        ("machine", {"instance_type": "other"}, True),
    ],
)
def test_type_is_cpu_and_how_much_of_it_may_be_used(
    tmp_path: Path, part: str, changes: dict[str, Any], same: bool
) -> None:
    host = described(tmp_path, "intel_spr_two_sockets")
    other = copy.deepcopy(host)
    other[part].update(changes)
    other.update(name="bench-02", hostname="elsewhere")
    assert (machine_type(host) == machine_type(other)) is same


def test_without_a_quota_the_type_is_that_of_earlier_releases(tmp_path: Path) -> None:
    host = described(tmp_path, "graviton4")
    assert host["cpu"]["quota_cores"] is None
    earlier = copy.deepcopy(host)
    del earlier["cpu"]["quota_cores"]
    assert machine_type(host) == machine_type(earlier)
    assert "quota" not in str(machine_type(host))


def test_architecture_is_of_the_type(tmp_path: Path) -> None:
    host = described(tmp_path, "axion")
    assert machine_type(host) != machine_type({**host, "architecture": "x86_64"})


@pytest.mark.parametrize("text", ["", "{", "{}", '{"cpu": null}', '{"cpu": {"model": "a"}}'])
def test_a_host_that_says_too_little_has_no_type(tmp_path: Path, text: str) -> None:
    if text:
        (tmp_path / "host.json").write_text(text)
    assert machine_type(read_host(tmp_path)) is None


def test_host_json_is_read_back(tmp_path: Path) -> None:
    host = described(tmp_path, "graviton4")
    (tmp_path / "host.json").write_text(json.dumps(host))
    assert machine_type(read_host(tmp_path)) == machine_type(host)
