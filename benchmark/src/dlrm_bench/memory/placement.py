"""Where workers run and where the model's bytes lie: decided from the topology alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dlrm_bench.memory.topology import Cpu, Node, Topology

#: Bytes of a worker's private memory: Python, PyTorch, packed weights, buffers.
WORKER_BYTES = 300_000_000
#: Share of all memory, and of a node's part in a copy, that stays free for everything else.
RESERVE = 0.05


@dataclass(frozen=True)
class Placement:
    """One worker runs on each of `cpus`; the pages of a copy are interleaved over its nodes."""

    cpus: tuple[Cpu, ...]
    why: str
    #: Node with workers -> itself, or the nearest node that has memory.
    homes: Mapping[int, int] = field(default_factory=dict)
    copies: tuple[tuple[int, ...], ...] = ()  # none: the model is mapped from its file

    @property
    def where(self) -> str:
        """The model's place in a few words."""
        if not self.copies:
            return "mapped file"
        if len(self.copies[0]) > 1:
            return "interleaved copy"
        return "copy on each node" if len(self.copies) > 1 else "copy"

    def copy_of(self, cpu: Cpu) -> int:
        """Index of the copy that a worker on this CPU uses."""
        at = self.homes[cpu.node]
        return next(index for index, nodes in enumerate(self.copies) if at in nodes)


def worker_cpus(topology: Topology, one_a_core: bool = False) -> tuple[Cpu, ...]:
    """Every CPU, or the first of each physical core; ascending."""
    if not one_a_core:
        return topology.cpus
    first: dict[int, Cpu] = {}
    for cpu in topology.cpus:
        first.setdefault(cpu.core, cpu)
    return tuple(first.values())


def home(topology: Topology, node: int) -> int:
    """The node itself if it has memory available, else the nearest node that has."""
    nodes = {found.number: found for found in topology.nodes}
    having = [found.number for found in topology.nodes if found.available]
    distances = nodes[node].distances if node in nodes else {}
    return min(having, key=lambda other: (other != node, distances.get(other, 255)), default=node)


def mapped(topology: Topology, why: str, one_a_core: bool = False) -> Placement:
    """A placement without copies: the model stays in its file's page cache."""
    cpus = worker_cpus(topology, one_a_core)
    return Placement(cpus, why, {cpu.node: home(topology, cpu.node) for cpu in cpus})


def decide(
    topology: Topology, model_bytes: int, other_bytes: int, huge: bool, one_a_core: bool = False
) -> Placement:
    """A copy on each node with workers, else one copy interleaved over them, else the mapped file.

    `other_bytes`: what the run will need beside model and workers. `huge`: the kernel gives shared
    memory huge pages; without them a copy is of no use on a machine of one node.
    """
    start = mapped(topology, "", one_a_core)
    nodes = sorted(set(start.homes.values()))
    if len(nodes) == 1 and not huge:
        return replace(start, why="one node, and shared memory gets no huge pages from this kernel")
    kept = other_bytes + len(start.cpus) * WORKER_BYTES + int(RESERVE * topology.total)
    options: list[tuple[tuple[int, ...], ...]] = [tuple((node,) for node in nodes)]
    if len(nodes) > 1:
        options.append((tuple(nodes),))
    reasons: list[str] = []
    for copies in options:
        short = _shortage(topology, model_bytes, kept, copies)
        if not short:
            why = f"{_count(copies)} of {_gb(model_bytes)} fits, with {_gb(kept)} kept for the rest"
            return replace(start, why="; ".join([*reasons, why]), copies=copies)
        reasons.append(f"{_count(copies)} {short}")
    return replace(start, why="; ".join(reasons))


def describe(
    placement: Placement,
    nodes: Sequence[int],
    model_bytes: int,
    bytes_by_node: Sequence[Mapping[str, int]],
    huge_page_bytes: Sequence[int],
    refused: str = "",
) -> dict[str, Any]:
    """The placement as docs/contracts/run.schema.json describes it.

    `bytes_by_node`: of each copy, as read back; `huge_page_bytes`: of the model in huge pages, by
    worker; `refused`: why memory could not be bound to a node.
    """
    found: dict[str, Any] = {
        "model": placement.where,
        "why": placement.why,
        "model_bytes": model_bytes,
        "least_huge_page_bytes": min(huge_page_bytes),
        "copies": [
            {"nodes": list(meant), "bytes_by_node": dict(found)}
            for meant, found in zip(placement.copies, bytes_by_node, strict=True)
        ],
        "nodes": list(nodes),
        "workers": [
            {
                "cpu": cpu.number,
                "core": cpu.core,
                "package": cpu.package,
                "node": cpu.node,
                "huge_page_bytes": huge,
            }
            for cpu, huge in zip(placement.cpus, huge_page_bytes, strict=True)
        ],
    }
    return {**found, "node_binding_refused": refused} if refused else found


def _shortage(
    topology: Topology, model_bytes: int, kept: int, copies: tuple[tuple[int, ...], ...]
) -> str:
    wanted = len(copies) * model_bytes + kept
    if wanted > topology.available:
        return f"would need {_gb(wanted)}, {_gb(topology.available)} are available"
    nodes: dict[int, Node] = {node.number: node for node in topology.nodes}
    for copy in copies:
        share = int((1 + RESERVE) * model_bytes / len(copy))
        for node in copy:
            if share > nodes[node].available:
                free = _gb(nodes[node].available)
                return f"would need {_gb(share)} of node {node}, {free} are available"
    return ""


def _count(copies: tuple[tuple[int, ...], ...]) -> str:
    if len(copies[0]) > 1:
        return f"one copy on {len(copies[0])} nodes in turns"
    return f"a copy on each of {len(copies)} nodes" if len(copies) > 1 else "one copy"


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
