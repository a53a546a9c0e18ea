"""Placement of workers and model, on machines that are made up or read from made-up files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dlrm_bench.memory.placement import WORKER_BYTES, decide, describe, home, mapped, worker_cpus
from dlrm_bench.memory.topology import Cpu, Node, Topology, parse_list, read_topology

GB = 10**9


def machine(
    nodes: Mapping[int, int],
    cpus_of: Mapping[int, list[int]],
    threads: int = 1,
    distances: Mapping[int, Mapping[int, int]] | None = None,
) -> Topology:
    """`nodes`: GB available on each; with two threads a core, CPU n and n + all/2 share one."""
    numbers = sorted(cpu for cpus in cpus_of.values() for cpu in cpus)
    cores = len(numbers) // threads
    cpus = [
        Cpu(cpu, cpu % cores if threads > 1 else cpu, node, node)
        for node, cpus in cpus_of.items()
        for cpu in cpus
    ]
    having = tuple(Node(n, gb * GB, (distances or {}).get(n, {})) for n, gb in nodes.items())
    available = sum(nodes.values()) * GB
    return Topology(tuple(sorted(cpus, key=lambda c: c.number)), having, available, available)


ONE = machine({0: 100}, {0: [0, 1, 2, 3]})
TWO = machine({0: 100, 1: 100}, {0: [0, 1], 1: [2, 3]})


def test_one_node_has_one_copy_for_all() -> None:
    placed = decide(ONE, 20 * GB, 30 * GB, huge=True)
    assert placed.copies == ((0,),)
    assert [placed.copy_of(cpu) for cpu in placed.cpus] == [0, 0, 0, 0]
    assert placed.where == "copy"


def test_one_node_without_huge_pages_keeps_the_file() -> None:
    placed = decide(ONE, 20 * GB, 30 * GB, huge=False)
    assert (placed.copies, placed.where) == ((), "mapped file")
    assert "no huge pages" in placed.why
    assert len(placed.cpus) == 4


def test_each_of_two_nodes_has_its_copy_even_without_huge_pages() -> None:
    for huge in (True, False):
        placed = decide(TWO, 20 * GB, 30 * GB, huge)
        assert placed.copies == ((0,), (1,))
        assert [placed.copy_of(cpu) for cpu in placed.cpus] == [0, 0, 1, 1]
        assert placed.where == "copy on each node"


def test_where_two_copies_do_not_fit_one_is_interleaved_and_where_none_does_the_file_stays() -> (
    None
):
    kept = 4 * WORKER_BYTES + 10 * GB  # 5 % of 200 GB
    most = 200 * GB - kept
    two_copies = decide(TWO, 20 * GB, most - 40 * GB, huge=True)
    assert two_copies.copies == ((0,), (1,))
    interleaved = decide(TWO, 20 * GB, most - 40 * GB + 1, huge=True)
    assert interleaved.copies == ((0, 1),)
    assert [interleaved.copy_of(cpu) for cpu in interleaved.cpus] == [0, 0, 0, 0]
    assert interleaved.where == "interleaved copy"
    assert interleaved.why.startswith("a copy on each of 2 nodes would need 200.0 GB, 200.0 GB are")
    none = decide(TWO, 20 * GB, most - 20 * GB + 1, huge=True)
    assert none.copies == ()
    assert "one copy on 2 nodes in turns would need" in none.why


def test_a_full_node_gets_no_copy_however_empty_the_other() -> None:
    placed = decide(machine({0: 20, 1: 300}, {0: [0], 1: [1]}), 20 * GB, 0, huge=True)
    assert placed.copies == ((0, 1),)
    assert "would need 21.0 GB of node 0, 20.0 GB are available" in placed.why


def test_only_nodes_with_workers_get_copies() -> None:
    placed = decide(machine({0: 100, 1: 100}, {1: [2, 3]}), 20 * GB, 0, huge=True)
    assert placed.copies == ((1,),)


def test_workers_on_a_node_without_memory_use_the_nearest_that_has() -> None:
    distances = {1: {0: 32, 1: 10, 2: 12}}
    topology = machine({0: 100, 1: 0, 2: 100}, {0: [0], 1: [1], 2: [2]}, distances=distances)
    assert [home(topology, node) for node in (0, 1, 2)] == [0, 2, 2]
    placed = decide(topology, 20 * GB, 0, huge=True)
    assert placed.copies == ((0,), (2,))
    assert [placed.copy_of(cpu) for cpu in placed.cpus] == [0, 1, 1]


def test_a_machine_that_tells_no_memory_keeps_the_file() -> None:
    assert decide(machine({0: 0}, {0: [0]}), 1, 0, huge=True).copies == ()


def test_workers_run_on_all_threads_or_on_one_of_each_core() -> None:
    topology = machine({0: 100, 1: 100}, {0: [0, 1, 4, 5], 1: [2, 3, 6, 7]}, threads=2)
    assert [cpu.number for cpu in worker_cpus(topology)] == list(range(8))
    assert [cpu.number for cpu in worker_cpus(topology, one_a_core=True)] == [0, 1, 2, 3]
    assert [c.number for c in decide(topology, GB, 0, True, one_a_core=True).cpus] == [0, 1, 2, 3]


def test_the_facts_name_what_was_found() -> None:
    placed = decide(TWO, 20 * GB, 0, huge=True)
    found = describe(placed, [0, 1], 20 * GB, [{"0": 5}, {"1": 4, "0": 1}], [8, 6, 7, 9], "refused")
    assert found["copies"] == [
        {"nodes": [0], "bytes_by_node": {"0": 5}},
        {"nodes": [1], "bytes_by_node": {"1": 4, "0": 1}},
    ]
    assert found["least_huge_page_bytes"] == 6
    assert [worker["node"] for worker in found["workers"]] == [0, 0, 1, 1]
    assert found["node_binding_refused"] == "refused"
    plain = describe(mapped(ONE, "told to"), [0], 1, [], [0, 0, 0, 0])
    assert (plain["model"], plain["why"], plain["copies"]) == ("mapped file", "told to", [])
    assert "node_binding_refused" not in plain


@pytest.mark.parametrize(
    ("text", "wanted"), [("0-2,8", [0, 1, 2, 8]), ("0", [0]), ("", []), ("3,5-6\n", [3, 5, 6])]
)
def test_the_kernels_lists(text: str, wanted: list[int]) -> None:
    assert parse_list(text) == wanted


class Files:
    """The files under / in which a kernel describes a machine."""

    def __init__(self, root: Path, available_kb: int = 1000) -> None:
        self.root = root
        self.write("proc/meminfo", f"MemTotal: 4000 kB\nMemAvailable: {available_kb} kB\n")

    def write(self, path: str, text: str) -> None:
        """Write one file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def cpu(self, number: int, siblings: str, package: int, name: str = "core_cpus_list") -> None:
        """Write a CPU's core and package."""
        folder = f"sys/devices/system/cpu/cpu{number}/topology"
        self.write(f"{folder}/{name}", siblings + "\n")
        self.write(f"{folder}/physical_package_id", f"{package}\n")

    def node(self, number: int, cpus: str, free_kb: int, distance: str) -> None:
        """Write a node's files; half of its free memory is page cache."""
        folder = f"sys/devices/system/node/node{number}"
        self.write(f"{folder}/cpulist", cpus + "\n")
        self.write(f"{folder}/distance", distance + "\n")
        half = free_kb // 2
        text = f"Node {number} MemFree: {half} kB\nNode {number} Active(file): {half} kB\n"
        self.write(f"{folder}/meminfo", text + f"Node {number} AnonPages: 77 kB\n")

    def nodes(self, text: str) -> None:
        """Write the list of nodes that are online."""
        self.write("sys/devices/system/node/online", text + "\n")


def test_two_nodes_with_two_threads_a_core_of_a_restricted_set(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for cpu in range(8):
        files.cpu(cpu, f"{cpu % 4},{cpu % 4 + 4}", cpu % 4 // 2)
    files.node(0, "0-1,4-5", 600, "10 21")
    files.node(1, "2-3,6-7", 400, "21 10")
    files.nodes("0-1")
    # CPU 3 is offline or not allowed, so the caller does not ask for it.
    found = read_topology({7, 0, 4, 2}, tmp_path)
    assert found.cpus == (Cpu(0, 0, 0, 0), Cpu(2, 2, 1, 1), Cpu(4, 0, 0, 0), Cpu(7, 3, 1, 1))
    assert [node.available for node in found.nodes] == [600 * 1024, 400 * 1024]
    assert found.nodes[1].distances == {0: 21, 1: 10}
    assert (found.total, found.available) == (4000 * 1024, 1000 * 1024)


def test_a_kernel_without_numa_or_sibling_files(tmp_path: Path) -> None:
    Files(tmp_path)
    found = read_topology({0, 1}, tmp_path)
    assert found.cpus == (Cpu(0, 0, None, 0), Cpu(1, 1, None, 0))
    assert found.nodes == (Node(0, 1000 * 1024),)


def test_older_names_unknown_packages_and_nodes_that_begin_at_2(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.cpu(0, "0-1", -1, name="thread_siblings_list")
    files.node(2, "1", 500, "10")
    files.nodes("2")
    assert read_topology({0, 1}, tmp_path).cpus == (Cpu(0, 0, None, 2), Cpu(1, 1, None, 2))


def test_a_node_whose_memory_is_forbidden_has_none(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.node(0, "0", 600, "10 21")
    files.node(1, "1", 400, "21 10")
    files.nodes("0-1")
    files.write("proc/self/status", "Name:\tx\nMems_allowed_list:\t1\n")
    assert [node.available for node in read_topology({0, 1}, tmp_path).nodes] == [0, 400 * 1024]


@pytest.mark.parametrize(
    ("group", "wanted"),
    [
        ({"memory.max": "max", "memory.current": "5"}, 1000 * 1024),
        (
            {
                "memory.max": "500000",
                "memory.current": "300000",
                "memory.stat": "anon 7\nactive_file 1000\ninactive_file 2000\n",
            },
            203_000,
        ),
        (
            {
                "memory/memory.limit_in_bytes": "500000",
                "memory/memory.usage_in_bytes": "600000",
                "memory/memory.stat": "active_file 9\ntotal_active_file 10\n",
            },
            0,
        ),
        ({"memory/memory.limit_in_bytes": str(1 << 63)}, 1000 * 1024),
    ],
    ids=["v2 unlimited", "v2", "v1", "v1 unlimited"],
)
def test_a_control_groups_limit_counts(tmp_path: Path, group: dict[str, str], wanted: int) -> None:
    files = Files(tmp_path)
    for name, text in group.items():
        files.write(f"sys/fs/cgroup/{name}", text)
    assert read_topology({0}, tmp_path).available == wanted
