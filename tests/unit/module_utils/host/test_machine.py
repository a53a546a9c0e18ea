"""Facts of a machine, read from recorded or written trees of /proc and /sys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.host.machine import (
    HostReader,
    compress_list,
    expand_list,
    find_problems,
    nearest_folder,
    read_host,
)

TREES = Path(__file__).resolve().parents[2] / "fixtures" / "hosts"
ARCHITECTURES = {
    "amd_zen5_vm": "x86_64",
    "graviton4": "aarch64",
    "axion": "aarch64",
    "intel_spr_two_sockets": "x86_64",
}


def lay_out(tmp_path: Path, name: str, changes: dict[str, str | None] | None = None) -> HostReader:
    tree = json.loads((TREES / f"{name}.json").read_text())
    tree.update(changes or {})
    for path, text in tree.items():
        if text is not None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
    (tmp_path / "dev/shm").mkdir(parents=True)
    return HostReader(tmp_path, ARCHITECTURES[name])


def describe(tmp_path: Path, name: str, **changes: str | None) -> dict[str, Any]:
    reader = lay_out(
        tmp_path, name, {key.replace("__", "/"): text for key, text in changes.items()}
    )
    return read_host(reader, name, "a-hostname", str(tmp_path / "srv/dlrm"))


@pytest.mark.parametrize(
    ("name", "model", "true_flags"),
    [
        pytest.param("amd_zen5_vm", "AMD EPYC", {"avx512_vnni", "avx512_bf16", "bf16"}, id="AMD"),
        pytest.param("graviton4", "Arm Neoverse V2", {"i8mm", "bf16", "sve2"}, id="Graviton4"),
        pytest.param("axion", "Arm Neoverse V2", {"i8mm", "bf16", "sve2"}, id="Axion"),
        pytest.param(
            "intel_spr_two_sockets",
            "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
            {"amx", "avx512_vnni", "avx512_bf16", "bf16"},
            id="Intel",
        ),
    ],
)
def test_model_and_instruction_sets(
    tmp_path: Path, name: str, model: str, true_flags: set[str]
) -> None:
    cpu = describe(tmp_path, name)["cpu"]
    assert cpu["model"] == model
    assert {flag for flag, there in cpu["flags"].items() if there} == true_flags
    assert set(cpu["flags"]) == {"amx", "avx512_vnni", "avx512_bf16", "bf16", "i8mm", "sve2"}


def test_neoverse_n2_is_not_v2(tmp_path: Path) -> None:
    tree = json.loads((TREES / "graviton4.json").read_text())
    cobalt = tree["proc/cpuinfo"].replace("0xd4f", "0xd49")
    assert describe(tmp_path, "graviton4", proc__cpuinfo=cobalt)["cpu"]["model"] == (
        "Arm Neoverse N2"
    )


def test_unknown_arm_core_is_named_by_its_numbers(tmp_path: Path) -> None:
    tree = json.loads((TREES / "graviton4.json").read_text())
    other = tree["proc/cpuinfo"].replace("0xd4f", "0xfff")
    model = describe(tmp_path, "graviton4", proc__cpuinfo=other)["cpu"]["model"]
    assert model == "unknown: implementer 0x41, part 0xfff"


def test_topology_counts_what_the_process_may_use(tmp_path: Path) -> None:
    cpu = describe(tmp_path, "intel_spr_two_sockets")["cpu"]
    assert (cpu["sockets"], cpu["cores"], cpu["threads"]) == (2, 4, 8)
    assert cpu["allowed_cpus"] == "0-1,4-5"
    assert (cpu["allowed_sockets"], cpu["allowed_cores"], cpu["allowed_threads"]) == (1, 2, 4)


def test_topology_without_sysfs_counts_processors(tmp_path: Path) -> None:
    tree = json.loads((TREES / "axion.json").read_text())
    changes: dict[str, str | None] = {
        path: None for path in tree if path.startswith("sys/devices/system/cpu/")
    }
    reader = lay_out(tmp_path, "axion", changes)
    cpu = read_host(reader, "axion", "h", "/")["cpu"]
    assert (cpu["sockets"], cpu["cores"], cpu["threads"]) == (1, 4, 4)


def test_numa_nodes_with_their_memory(tmp_path: Path) -> None:
    assert describe(tmp_path, "intel_spr_two_sockets")["numa_nodes"] == [
        {"node": 0, "cpus": "0-1,4-5", "memory_gib": 31.4},
        {"node": 1, "cpus": "2-3,6-7", "memory_gib": 31.4},
    ]


@pytest.mark.parametrize(
    ("name", "cloud", "instance_type", "virtual"),
    [
        ("amd_zen5_vm", None, None, True),
        ("graviton4", "aws", "r8g.2xlarge", True),
        ("axion", "gcp", None, True),
        ("intel_spr_two_sockets", "azure", None, True),
    ],
)
def test_cloud_from_firmware_tables(
    tmp_path: Path, name: str, cloud: str | None, instance_type: str | None, virtual: bool
) -> None:
    machine = describe(tmp_path, name)["machine"]
    assert machine["cloud"] == cloud
    assert machine["instance_type"] == instance_type
    assert machine["virtual"] is virtual


def test_hyper_v_outside_azure_is_no_cloud(tmp_path: Path) -> None:
    machine = describe(
        tmp_path, "intel_spr_two_sockets", sys__class__dmi__id__chassis_asset_tag=None
    )["machine"]
    assert machine["cloud"] is None
    assert machine["virtual"] is True


def test_metal_is_not_virtual(tmp_path: Path) -> None:
    machine = describe(tmp_path, "graviton4", sys__class__dmi__id__product_name="r8g.metal-48xl\n")[
        "machine"
    ]
    assert machine["instance_type"] == "r8g.metal-48xl"
    assert machine["virtual"] is False


def test_system_memory_and_tuning(tmp_path: Path) -> None:
    host = describe(tmp_path, "graviton4")
    assert host["os"] == {"name": "Ubuntu", "version": "24.04", "kernel": "6.8.0-1024-aws"}
    assert host["memory"] == {"total_gib": 61.93, "available_gib": 61.26, "swap_gib": 0.0}
    assert host["cgroup_version"] == 2
    assert host["tuning"] == {
        "transparent_huge_pages": "madvise",
        "huge_page_defrag": "madvise",
        "governor": None,
        "numa_balancing": False,
        "smt": False,
    }
    assert host["hostname"] == "a-hostname"
    assert host["schema_version"] == 1


def test_tuning_of_another_machine(tmp_path: Path) -> None:
    tuning = describe(tmp_path, "intel_spr_two_sockets")["tuning"]
    assert tuning["transparent_huge_pages"] == "never"
    assert tuning["governor"] == "performance"
    assert tuning["numa_balancing"] is True
    assert tuning["smt"] is True


def test_an_empty_tree_is_described_without_error(tmp_path: Path) -> None:
    host = read_host(HostReader(tmp_path, "x86_64"), "h", "h", str(tmp_path))
    assert host["cpu"]["threads"] == 0
    assert host["memory"]["total_gib"] is None
    assert find_problems(host, {"memory_gib": 1, "instruction_sets": []}) == []


def test_disk_is_measured_where_the_root_will_be_made(tmp_path: Path) -> None:
    assert nearest_folder(tmp_path / "not" / "yet") == tmp_path
    host = describe(tmp_path, "axion")
    assert host["disk"]["free_gib"] > 0
    assert host["disk"]["total_gib"] >= host["disk"]["free_gib"]
    assert host["shm_gib"] > 0


def problems(tmp_path: Path, name: str, needs: dict[str, Any]) -> list[str]:
    return find_problems(describe(tmp_path, name), needs)


def test_memory_problem_says_needed_and_found(tmp_path: Path) -> None:
    assert problems(tmp_path, "axion", {"memory_gib": 250}) == [
        "Host 'axion' needs 250 GiB of memory, found 31.4 GiB installed; use a larger machine, "
        "or use profile=demo."
    ]


def test_exactly_what_is_needed_is_enough(tmp_path: Path) -> None:
    host = describe(tmp_path, "axion")
    assert find_problems(host, {"memory_gib": host["memory"]["total_gib"]}) == []


def test_disk_and_shm_problems(tmp_path: Path) -> None:
    found = problems(tmp_path, "axion", {"disk_gib": 1e9, "shm_gib": 1e9})
    assert len(found) == 2
    assert f"1e+09 GiB of disk at '{tmp_path}/srv/dlrm', found" in found[0]
    assert "1e+09 GiB of shared memory at '/dev/shm', found" in found[1]


def test_instruction_set_problem_names_what_is_there(tmp_path: Path) -> None:
    assert problems(tmp_path, "axion", {"instruction_sets": ["amx"]}) == [
        "Host 'axion' needs the instruction set amx, its CPU 'Arm Neoverse V2' has "
        "bf16, i8mm, sve2; use another machine type."
    ]


def test_either_of_two_instruction_sets_is_enough(tmp_path: Path) -> None:
    needs = {"instruction_sets": ["avx512_vnni|i8mm"], "memory_gib": 16, "disk_gib": 0}
    assert problems(tmp_path, "graviton4", needs) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-2,5", [0, 1, 2, 5]), ("", []), ("7", [7]), ("0-1,4-5,9", [0, 1, 4, 5, 9])],
)
def test_cpu_lists(text: str, numbers: list[int]) -> None:
    assert expand_list(text) == numbers
    assert compress_list(numbers) == text
