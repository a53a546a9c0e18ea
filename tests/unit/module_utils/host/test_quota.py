"""The quota that stands on containers, from laid-out cgroups of both versions."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.host.quota import cpu_quota

CGROUPS = "sys/fs/cgroup"
HALF, THREE = "50000 100000", "300000 100000"


def found(files: dict[str, str]) -> float | None:
    return cpu_quota(lambda path: files.get(path, ""), threads=8)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, None, id="no cgroups"),
        pytest.param({"cpu.max": "max 100000"}, None, id="no quota"),
        pytest.param({"cpu.max": HALF}, 0.5, id="the host is a container"),
        pytest.param({"system.slice/cpu.max": THREE}, 3.0, id="the host's slice"),
        pytest.param({"docker/cpu.max": THREE}, 3.0, id="Docker without systemd"),
        pytest.param({"machine.slice/cpu.max": THREE}, 3.0, id="Podman"),
        pytest.param({"cpu.max": THREE, "system.slice/cpu.max": HALF}, 0.5, id="the least counts"),
        pytest.param({"user.slice/cpu.max": HALF}, None, id="of logins alone"),
        pytest.param({"cpu.max": "800000 100000"}, None, id="as many cores as there are"),
        pytest.param({"cpu.max": "100000 0"}, None, id="no period"),
        pytest.param({"cpu.max": "x y"}, None, id="no number"),
        pytest.param({"cpu.max": f"{'9' * 30} 1"}, None, id="no number of the kernel's"),
        pytest.param(
            {"cpu/docker/cpu.cfs_quota_us": "150000", "cpu/docker/cpu.cfs_period_us": "100000"},
            1.5,
            id="v1",
        ),
        pytest.param(
            {"cpu,cpuacct/cpu.cfs_quota_us": "25000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            0.25,
            id="v1, the host is a container",
        ),
        pytest.param(
            {"cpu/docker/cpu.cfs_quota_us": "-1", "cpu/docker/cpu.cfs_period_us": "100000"},
            None,
            id="v1, no quota",
        ),
    ],
)
def test_the_least_quota_on_the_way_to_a_container_counts(
    files: dict[str, str], cores: float | None
) -> None:
    assert found({f"{CGROUPS}/{name}": text for name, text in files.items()}) == cores


@pytest.mark.parametrize(
    ("parent", "folder"),
    [
        ("bench.slice", "bench.slice"),
        ("bench-int8.slice", "bench.slice"),
        ("bench-int8.slice", "bench.slice/bench-int8.slice"),
        ("/lab/bench", "lab"),
        ("/lab/bench", "lab/bench"),
    ],
)
def test_a_parent_that_the_engine_is_told_counts_with_all_above_it(
    parent: str, folder: str
) -> None:
    said = {"etc/docker/daemon.json": f'{{"debug": true, "cgroup-parent": "{parent}"}}'}
    # As a slice lies in its parents' folders.
    quota = {f"{CGROUPS}/{folder}/cpu.max": HALF}
    assert found({**said, **quota}) == 0.5
    assert found({**said, f"{CGROUPS}/system.slice/cpu.max": HALF}) is None


@pytest.mark.parametrize("parent", ["../../etc", "", "..", "a\\nb"])
def test_a_parent_that_leaves_the_cgroups_is_none(parent: str) -> None:
    said = {"etc/docker/daemon.json": f'{{"cgroup-parent": "{parent}"}}'}
    assert found({**said, f"{CGROUPS}/docker/cpu.max": HALF}) == 0.5
