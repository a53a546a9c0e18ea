"""What the machine is, read from /proc, /sys and /etc below a root path.

Needs no package, no network; formats: proc(5), the kernel's Documentation/ABI, os-release(5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from .quota import cpu_quota

GIB = 1024**3

# (implementer, part) of MIDR_EL1, as /proc/cpuinfo shows them.
ARM_CORES = {
    ("0x41", "0xd0c"): "Arm Neoverse N1",
    ("0x41", "0xd40"): "Arm Neoverse V1",
    ("0x41", "0xd49"): "Arm Neoverse N2",
    ("0x41", "0xd4f"): "Arm Neoverse V2",
    ("0x41", "0xd84"): "Arm Neoverse V3",
    ("0x41", "0xd8e"): "Arm Neoverse N3",
}
# Our name -> the kernel's names; any of them counts.
FLAGS = {
    "amx": ("amx_int8",),
    "avx512_vnni": ("avx512_vnni",),
    "avx512_bf16": ("avx512_bf16",),
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "i8mm": ("i8mm",),
    "sve2": ("sve2",),
}
# Azure's virtual machines carry this tag; Hyper-V elsewhere does not.
AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"


class HostReader:
    """Reads below `root`; `architecture` is uname's machine of the host that `root` shows."""

    def __init__(self, root: Path, architecture: str) -> None:
        self.root = root
        self.architecture = architecture

    def text(self, path: str) -> str:
        """Empty when there is no such file or it may not be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def fields(self, path: str, separator: str = ":") -> dict[str, str]:
        """`name : value` lines; of a repeated name the first counts."""
        result: dict[str, str] = {}
        for line in self.text(path).splitlines():
            name, found, value = line.partition(separator)
            if found:
                result.setdefault(name.strip(), value.strip())
        return result


def read_host(reader: HostReader, name: str, hostname: str, path: str) -> dict[str, Any]:
    """The document host.json; `path` is the folder whose filesystem is measured."""
    return {
        "schema_version": 1,
        "name": name,
        "hostname": hostname,
        "architecture": reader.architecture,
        "cpu": read_cpu(reader),
        "numa_nodes": read_numa(reader),
        "memory": read_memory(reader),
        "shm_gib": filesystem(reader.root / "dev/shm")["total_gib"],
        "disk": {"path": path, **filesystem(nearest_folder(Path(path)))},
        "os": read_os(reader),
        "cgroup_version": cgroup_version(reader),
        "machine": read_machine(reader),
        "tuning": read_tuning(reader),
    }


def read_cpu(reader: HostReader) -> dict[str, Any]:
    info = reader.fields("proc/cpuinfo")
    places = _places(reader)
    allowed = expand_list(reader.fields("proc/self/status").get("Cpus_allowed_list", ""))
    allowed = sorted(set(allowed) & set(places)) or sorted(places)
    kernel_flags = set((info.get("flags") or info.get("Features") or "").split())
    implementer, part = info.get("CPU implementer"), info.get("CPU part")
    model = info.get("model name") or ARM_CORES.get((implementer or "", part or ""))
    return {
        "model": model or f"unknown: implementer {implementer}, part {part}",
        "vendor": info.get("vendor_id") or implementer,
        "part": part,
        "family": _integer(info.get("cpu family")),
        "model_number": _integer(info.get("model")),
        "stepping": info.get("stepping") or info.get("CPU revision"),
        "microcode": info.get("microcode"),
        "sockets": _count(places, list(places), 1),
        "cores": _count(places, list(places), 2),
        "threads": len(places),
        "allowed_cpus": compress_list(allowed),
        "allowed_sockets": _count(places, allowed, 1),
        "allowed_cores": _count(places, allowed, 2),
        "allowed_threads": len(allowed),
        "quota_cores": cpu_quota(reader.text, len(allowed)),
        "flags": {ours: not kernel_flags.isdisjoint(names) for ours, names in FLAGS.items()},
    }


def _places(reader: HostReader) -> dict[int, tuple[int, str]]:
    """Online CPU -> (socket, core). A core is named by its threads, since core_id may repeat."""
    online = expand_list(reader.text("sys/devices/system/cpu/online"))
    if not online:
        listed = re.findall(r"^processor\s*:\s*(\d+)", reader.text("proc/cpuinfo"), re.MULTILINE)
        online = [int(number) for number in listed]
    places = {}
    for cpu in online:
        topology = f"sys/devices/system/cpu/cpu{cpu}/topology"
        # -1: the firmware does not say; such a machine has one socket.
        socket = max(_integer(reader.text(f"{topology}/physical_package_id")) or 0, 0)
        places[cpu] = (socket, reader.text(f"{topology}/thread_siblings_list") or str(cpu))
    return places


def _count(places: dict[int, tuple[int, str]], cpus: list[int], depth: int) -> int:
    return len({places[cpu][:depth] for cpu in cpus})


def read_numa(reader: HostReader) -> list[dict[str, Any]]:
    nodes = []
    for node in expand_list(reader.text("sys/devices/system/node/online")):
        folder = f"sys/devices/system/node/node{node}"
        total = re.search(r"MemTotal:\s*(\d+) kB", reader.text(f"{folder}/meminfo"))
        nodes.append(
            {
                "node": node,
                "cpus": reader.text(f"{folder}/cpulist"),
                "memory_gib": _gib(int(total[1]) * 1024) if total else None,
            }
        )
    return nodes


def read_memory(reader: HostReader) -> dict[str, float | None]:
    info = reader.fields("proc/meminfo")
    sizes = {name: _kib(info.get(name)) for name in ("MemTotal", "MemAvailable", "SwapTotal")}
    return {
        "total_gib": sizes["MemTotal"],
        "available_gib": sizes["MemAvailable"],
        "swap_gib": sizes["SwapTotal"],
    }


def filesystem(path: Path) -> dict[str, float | None]:
    """Sizes of path's filesystem in GiB; free is what an unprivileged user may still write."""
    try:
        stat = os.statvfs(path)
    except OSError:
        return {"total_gib": None, "free_gib": None}
    return {
        "total_gib": _gib(stat.f_blocks * stat.f_frsize),
        "free_gib": _gib(stat.f_bavail * stat.f_frsize),
    }


def nearest_folder(path: Path) -> Path:
    """path, or the parent in which it would be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def read_os(reader: HostReader) -> dict[str, str | None]:
    release = reader.fields("etc/os-release", "=")
    return {
        "name": release.get("NAME", "").strip("\"'") or None,
        "version": release.get("VERSION_ID", "").strip("\"'") or None,
        "kernel": reader.text("proc/sys/kernel/osrelease") or None,
    }


def cgroup_version(reader: HostReader) -> int | None:
    if (reader.root / "sys/fs/cgroup/cgroup.controllers").exists():
        return 2
    return 1 if (reader.root / "sys/fs/cgroup/memory").exists() else None


def read_machine(reader: HostReader) -> dict[str, Any]:
    """Vendor and cloud from the firmware's tables; the instance type only where they name it."""
    dmi = "sys/class/dmi/id"
    vendor, product = reader.text(f"{dmi}/sys_vendor"), reader.text(f"{dmi}/product_name")
    cloud = _cloud(vendor, reader.text(f"{dmi}/chassis_asset_tag"))
    flags = reader.fields("proc/cpuinfo").get("flags", "").split()
    metal = cloud == "aws" and ".metal" in product
    return {
        "vendor": vendor or None,
        "product": product or None,
        "cloud": cloud,
        "instance_type": product if cloud == "aws" and "." in product else None,
        "virtual": "hypervisor" in flags or (cloud is not None and not metal) or "KVM" in product,
    }


def _cloud(vendor: str, asset_tag: str) -> str | None:
    if vendor == "Amazon EC2":
        return "aws"
    if vendor == "Google":
        return "gcp"
    return "azure" if asset_tag == AZURE_ASSET_TAG else None


def read_tuning(reader: HostReader) -> dict[str, Any]:
    huge_pages = "sys/kernel/mm/transparent_hugepage"
    numa_balancing = _integer(reader.text("proc/sys/kernel/numa_balancing"))
    return {
        "transparent_huge_pages": _chosen(reader.text(f"{huge_pages}/enabled")),
        "huge_page_defrag": _chosen(reader.text(f"{huge_pages}/defrag")),
        "governor": reader.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "numa_balancing": None if numa_balancing is None else numa_balancing != 0,
        "smt": {"1": True, "0": False}.get(reader.text("sys/devices/system/cpu/smt/active")),
    }


def find_problems(host: dict[str, Any], needs: dict[str, Any]) -> list[str]:
    """A sentence for each need that is not met. A need counts as met where the amount is unknown.

    Installed memory counts, not free memory: a running stage of ours uses some, and the next
    command must be able to attach to it.

    needs: memory_gib, disk_gib, shm_gib; instruction_sets, where "a|b" means either.
    """
    problems = []
    amounts = (
        ("memory_gib", "memory", host["memory"]["total_gib"], "installed", MEMORY_REMEDY),
        ("disk_gib", f"disk at {host['disk']['path']!r}", host["disk"]["free_gib"], "free", DISK),
        ("shm_gib", "shared memory at '/dev/shm'", host["shm_gib"], "there", SHM_REMEDY),
    )
    for key, what, found, state, remedy in amounts:
        wanted = needs.get(key)
        if wanted is not None and found is not None and found < wanted:
            problems.append(
                f"Host {host['name']!r} needs {wanted:g} GiB of {what}, "
                f"found {found:.1f} GiB {state}; {remedy}."
            )
    flags = host["cpu"]["flags"]
    for wanted in needs.get("instruction_sets") or []:
        if not any(flags.get(name) for name in wanted.split("|")):
            names = " or ".join(wanted.split("|"))
            found_names = ", ".join(sorted(name for name in flags if flags[name])) or "none we use"
            problems.append(
                f"Host {host['name']!r} needs the instruction set {names}, its CPU "
                f"{host['cpu']['model']!r} has {found_names}; use another machine type."
            )
    return problems


MEMORY_REMEDY = "use a larger machine, or use profile=demo"
DISK = "free some, set dlrm_host_root to a larger disk, or use profile=demo"
SHM_REMEDY = "remount it larger (mount -o remount,size=...)"


def expand_list(text: str) -> list[int]:
    """The kernel's CPU list: '0-2,5' -> [0, 1, 2, 5]."""
    numbers: list[int] = []
    for part in text.split(","):
        if match := re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part):
            numbers.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return numbers


def compress_list(numbers: list[int]) -> str:
    """[0, 1, 2, 5] -> '0-2,5'."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(str(number) for number in part) for part in parts)


def _chosen(text: str) -> str | None:
    """'always [madvise] never' -> 'madvise'."""
    match = re.search(r"\[([^\]]+)\]", text)
    return match[1] if match else None


def _integer(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?\d+", text) else None


def _kib(text: str | None) -> float | None:
    """'24684092 kB' in GiB."""
    match = re.match(r"(\d+) kB", text or "")
    return _gib(int(match[1]) * 1024) if match else None


def _gib(size: int) -> float:
    return round(size / GIB, 2)
