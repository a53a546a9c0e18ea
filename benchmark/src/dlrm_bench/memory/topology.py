"""CPUs, cores, memory nodes and free memory, as the kernel shows them to this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Files of the container's own control group, v2 and v1: limit, usage, page cache and its fields.
_CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", ("active_file", "inactive_file")),
    (
        *("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
        ("total_active_file", "total_inactive_file"),
    ),
)


@dataclass(frozen=True)
class Cpu:
    """A hardware thread that may be used."""

    number: int
    core: int  # lowest CPU number among the threads of its physical core
    package: int | None
    node: int


@dataclass(frozen=True)
class Node:
    """A memory node; `available`: bytes free or in page cache, 0 if this process may not use it."""

    number: int
    available: int
    distances: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """What this process may use; `total` and `available` are bytes of memory."""

    cpus: tuple[Cpu, ...]
    nodes: tuple[Node, ...]
    total: int
    available: int


def read_topology(cpus: Iterable[int], root: Path = Path("/")) -> Topology:
    """The topology of these CPUs and all nodes; one plain node if the kernel has no such files."""
    system, memory = root / "sys/devices/system", _meminfo(root / "proc/meminfo")
    available = min(memory.get("MemAvailable", 0), _group_available(root / "sys/fs/cgroup"))
    numbers = parse_list(_text(system / "node/online"))
    allowed = _allowed_nodes(root / "proc/self/status") or set(numbers)
    node_of = {
        cpu: node
        for node in numbers
        for cpu in parse_list(_text(system / f"node/node{node}/cpulist"))
    }
    nodes = tuple(_node(system / "node", number, numbers, allowed) for number in numbers)
    return Topology(
        tuple(
            _cpu(system / "cpu", cpu, node_of.get(cpu, min(numbers, default=0)))
            for cpu in sorted(cpus)
        ),
        nodes or (Node(0, available),),
        memory.get("MemTotal", 0),
        available,
    )


def parse_list(text: str) -> list[int]:
    """The kernel's lists: '0-2,8' is 0, 1, 2, 8."""
    found: list[int] = []
    for part in text.split(","):
        if part.strip():
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def _cpu(folder: Path, number: int, node: int) -> Cpu:
    topology = folder / f"cpu{number}/topology"
    # The second name is that of kernels before 5.3.
    siblings = _text(topology / "core_cpus_list") or _text(topology / "thread_siblings_list")
    package = _text(topology / "physical_package_id")
    known = int(package) if package and int(package) >= 0 else None
    return Cpu(number, min(parse_list(siblings), default=number), known, node)


def _node(folder: Path, number: int, numbers: Sequence[int], allowed: set[int]) -> Node:
    """Lines of a node's meminfo begin with 'Node 0 '."""
    here = folder / f"node{number}"
    memory = _meminfo(here / "meminfo") if number in allowed else {}
    free = sum(memory.get(name, 0) for name in ("MemFree", "Active(file)", "Inactive(file)"))
    distances = [int(word) for word in _text(here / "distance").split()]
    return Node(number, free, dict(zip(numbers, distances, strict=False)))


def _meminfo(path: Path) -> dict[str, int]:
    """Bytes by name."""
    found = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            found[name.split()[-1]] = 1024 * int(words[0])
    return found


def _allowed_nodes(status: Path) -> set[int]:
    for line in _text(status).splitlines():
        if line.startswith("Mems_allowed_list:"):
            return set(parse_list(line.partition(":")[2]))
    return set()


def _group_available(folder: Path) -> int:
    """Bytes that the control group's limit leaves; page cache counts as free."""
    for limit, usage, stat, cached in _CGROUPS:
        with suppress(ValueError):  # 'max', or no such file.
            left = int(_text(folder / limit)) - int(_text(folder / usage))
            lines = (line.split() for line in _text(folder / stat).splitlines())
            return max(0, left + sum(int(value) for name, value in lines if name in cached))
    return 1 << 62


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="ascii").strip()
    return ""
