"""Copies of the model file in shared memory: same bytes, same scores, nothing left behind."""

from __future__ import annotations

import errno
import functools
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from offline_support import LENGTHS, toy

from conftest import Pipeline
from dlrm_bench.engines.choice import load_engine
from dlrm_bench.engines.kernel import instruction_sets
from dlrm_bench.frame.errors import StageError
from dlrm_bench.int8.model import load_int8
from dlrm_bench.memory import placed_model, resident
from dlrm_bench.memory.placed_model import PlacedModel, bind_memory, place
from dlrm_bench.memory.placement import mapped
from dlrm_bench.memory.resident import HUGE_PAGE, ResidentFile, gives_huge_pages
from dlrm_bench.memory.topology import read_topology
from dlrm_bench.network.arrays import Array
from dlrm_bench.network.dlrm import MULTI_HOT, row_counts, table_name
from dlrm_bench.workers.pool import WorkerError, WorkerPool
from dlrm_bench.workers.process import MakeEngine

ROWS = row_counts(3000)
CPUS = sorted(os.sched_getaffinity(0))


def silent(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three parts and a bit of a fourth."""
    path = tmp_path / "model.pt"
    path.write_bytes(np.random.default_rng(3).bytes(3 * placed_model.PART_BYTES + 12345))
    return path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed_model, "PART_BYTES", 2 * HUGE_PAGE)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    resident._adopted.clear()
    assert copies_here() == []


def copies_here() -> list[str]:
    """Mappings and descriptors of copies in this process."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    links = [os.fspath(fd.readlink()) for fd in open_descriptors()]
    return [line for line in lines + links if "memfd:dlrm-model" in line]


def open_descriptors() -> list[Path]:
    """Open descriptors, without the listing's own, which is closed again."""
    return [path for path in list(Path("/proc/self/fd").iterdir()) if path.is_symlink()]


def copied(path: Path, *copies: tuple[int, ...]) -> PlacedModel:
    """A model with these copies, without a check for room; every node is this machine's first."""
    topology = read_topology(CPUS)
    placement = replace(mapped(topology, "made"), copies=copies or ((topology.cpus[0].node,),))
    return PlacedModel(path, topology, placement)


def test_every_copy_has_the_files_bytes(path: Path) -> None:
    node = read_topology(CPUS).cpus[0].node
    model, told = copied(path, (node,), (node, node)), list[tuple[int, int]]()
    model.load(lambda done, total: told.append((done, total)), lambda: None)
    size = path.stat().st_size
    assert told[-1] == (2 * size, 2 * size)
    for copy in model._copies:
        assert copy.bytes[:size] == path.read_bytes()
    model.close()


def test_another_process_sees_it_read_only_by_its_descriptor(path: Path) -> None:
    model = copied(path)
    model.load(silent, lambda: None)
    descriptor = model.descriptor(CPUS[0])
    assert descriptor is not None
    theirs = ResidentFile(path.stat().st_size, os.dup(descriptor))
    assert theirs.address % HUGE_PAGE == 0
    assert theirs.bytes[: theirs.size] == path.read_bytes()
    lines = Path("/proc/self/maps").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{theirs.address:x}-"))
    assert line.split()[1] == "r--s"
    theirs.close()
    theirs.unmap()
    model.close()


def test_huge_pages_are_those_the_kernel_counts(path: Path) -> None:
    copy = ResidentFile(4 * HUGE_PAGE)
    copy.bytes[0] = 1
    assert copy.huge_page_bytes() <= HUGE_PAGE
    copy.make_huge(HUGE_PAGE, 3 * HUGE_PAGE)
    found = copy.huge_page_bytes()
    if gives_huge_pages():
        assert found >= 2 * HUGE_PAGE
    copy.populate()
    lies = copy.bytes_by_node()
    assert not lies or sum(lies.values()) == 4 * HUGE_PAGE
    copy.unmap()
    copy.close()


@pytest.mark.parametrize("event", ["deadline", "truncated"])
def test_a_copy_that_is_not_finished_leaves_nothing(path: Path, event: str) -> None:
    class Late(Exception):
        """Stands for what a deadline raises."""

    def tick() -> None:
        if event == "deadline":
            raise Late

    model = copied(path)
    if event == "truncated":
        os.truncate(path, 5 * HUGE_PAGE)
    # An earlier test's stage may still have threads in this process.
    before = set(threading.enumerate())
    with pytest.raises(Late if event == "deadline" else StageError):
        model.load(silent, tick)
    assert copies_here() == []
    assert set(threading.enumerate()) <= before


def test_memory_is_bound_in_the_asking_thread_or_the_refusal_is_worded() -> None:
    said: list[str] = []
    node = read_topology(CPUS).cpus[0].node
    for asked in (node, 1000):
        thread = threading.Thread(target=lambda n=asked: said.append(bind_memory(n)))
        thread.start()
        thread.join()
    assert said[0] in ("", "Operation not permitted")
    assert said[1] != ""


def test_a_refused_binding_is_recorded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed_model, "bind_memory", lambda _node: "Operation not permitted")
    model = copied(path)
    model.load(silent, lambda: None)
    facts = model.facts([0] * len(CPUS))
    model.close()
    assert facts["node_binding_refused"] == "Operation not permitted"


@pytest.mark.parametrize(
    ("precision_copied", "setting", "why"),
    [
        (False, "", "never copied"),
        (True, placed_model.MAPPED, "DLRM_TEST_TABLES"),
        (True, "", "would need"),
    ],
)
def test_what_is_not_copied_is_read_and_said(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    precision_copied: bool,
    setting: str,
    why: str,
) -> None:
    monkeypatch.setenv(placed_model.TABLES, setting)
    monkeypatch.setattr(placed_model, "gives_huge_pages", lambda: True)
    caplog.set_level(logging.INFO, "dlrm_bench")
    told: list[tuple[int, int]] = []
    model = place(
        path, CPUS, precision_copied, 10**15, lambda done, total: told.append((done, total))
    )
    assert model.descriptor(CPUS[0]) is None
    assert why in model.placement.why
    assert f"mapped file ({model.placement.why})" in caplog.text
    assert told[-1] == (path.stat().st_size,) * 2


def test_cores_alone_on_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(placed_model.WORKERS, placed_model.CORES)
    model = place(path, CPUS, False, 0, silent)
    cores = [cpu.core for cpu in model.placement.cpus]
    assert sorted(set(cores)) == cores


# The real int8 file


@pytest.fixture(scope="module")
def int8(demo: Pipeline) -> Path:
    return demo.stages["calibrate"].output / "dlrm_int8.pt"


def random_pairs(count: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    ids = [rng.integers(0, rows, (count, n)) for rows, n in zip(ROWS, MULTI_HOT, strict=True)]
    dense = rng.random((count, 13), dtype=np.float32)
    return dense, np.concatenate(ids, axis=1).astype(np.int32)


@pytest.mark.parametrize("name", ["pytorch", *instruction_sets()])
def test_scores_are_the_mapped_files_to_the_last_bit(
    int8: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DLRM_TEST_INT8_ENGINE", name)
    dense, ids = random_pairs(700)
    wanted = load_engine("int8", int8, ROWS).forward(dense, ids)
    copy = filled(int8)
    scores = load_engine("int8", int8, ROWS).forward(dense, ids)
    assert (scores.view(np.int32) == wanted.view(np.int32)).all()
    # The engine reads the copy: with other rows in it, scores change.
    rows = load_int8(int8, ROWS)[f"{table_name(20)}.rows"]
    rows[:, :128] ^= 1
    changed = load_engine("int8", int8, ROWS).forward(dense, ids)
    assert (changed != wanted).any()
    del rows
    copy.unmap()
    copy.close()


def filled(path: Path) -> ResidentFile:
    """This process's own copy, adopted."""
    copy = ResidentFile(path.stat().st_size)
    copy.bytes[: copy.size] = path.read_bytes()
    resident.adopt(path, copy)
    return copy


def test_every_tensor_lies_on_the_copy_and_is_equal(int8: Path) -> None:
    wanted = load_int8(int8, ROWS)
    copy = filled(int8)
    content = load_int8(int8, ROWS)
    assert set(content) == set(wanted)
    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            assert copy.address <= value.data_ptr() < copy.address + copy.size
            assert torch.equal(value, wanted[name])
        else:
            assert value == wanted[name]
    del content, value
    copy.unmap()
    copy.close()


def test_a_tensor_that_is_not_mapped_is_refused(int8: Path) -> None:
    copy = filled(int8)
    with pytest.raises(StageError, match="tensor 'x' is not mapped from the file"):
        resident.rebased(int8, {"x": torch.zeros(4)})
    copy.unmap()
    copy.close()


# In worker processes


class Where:
    """A toy that scores by the mappings of its process, and ends with it."""

    best_batch = 64

    def __init__(self, path: str) -> None:
        self.content = load_int8(Path(path), ROWS)

    def forward(self, dense: Array, ids: Array) -> Array:
        """Not used."""
        raise NotImplementedError


def make_where(path: str) -> Where:
    return Where(path)


pools = pytest.mark.measures


@pools
def test_workers_map_the_copy_and_not_the_file(int8: Path) -> None:
    model = copied(int8)
    model.load(silent, lambda: None)
    maker: MakeEngine = functools.partial(make_where, str(int8))
    with WorkerPool(maker, 100, int8, model=model) as pool:
        pool.wait_ready(silent)
        assert copies_here() == []
        for pid in pool.pids:
            maps = Path(f"/proc/{pid}/maps").read_text()
            assert "memfd:dlrm-model" in maps
            assert "dlrm_int8.pt" not in maps
        facts = pool.placement
    assert [worker["cpu"] for worker in facts["workers"]] == CPUS == pool.cores
    whole = -(-int8.stat().st_size // HUGE_PAGE) * HUGE_PAGE
    assert facts["model_bytes"] == int8.stat().st_size
    if gives_huge_pages():
        assert facts["least_huge_page_bytes"] == whole
    for copy in facts["copies"]:
        assert sum(copy["bytes_by_node"].values()) in (whole, 0)


@pools
def test_a_failed_start_leaves_no_copy(path: Path) -> None:
    model = copied(path)
    model.load(silent, lambda: None)
    maker: MakeEngine = functools.partial(toy, "NoEngine")
    with (
        pytest.raises(WorkerError, match="FileNotFoundError"),
        WorkerPool(maker, max(LENGTHS), path, model=model) as pool,
    ):
        pool.wait_ready(silent)
    assert copies_here() == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pool.pids)


def test_memory_that_is_refused_leaves_the_model_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"x" * 4096)

    def refuse(_name: str) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("os.memfd_create", refuse)
    model = place(file, CPUS, True, 0, silent)
    assert model.descriptor(CPUS[0]) is None
    assert "a copy was refused" in model.placement.why
    assert "Cannot allocate memory" in model.placement.why
