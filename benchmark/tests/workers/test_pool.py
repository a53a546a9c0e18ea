"""Real worker processes with toy engines: what they compute, which one does, and how they fail."""

from __future__ import annotations

import functools
import mmap
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from offline_support import BINS, LENGTHS, toy, toy_score, write_dataset

from dlrm_bench.data.query_set import QuerySet, SampleFiles
from dlrm_bench.network.arrays import Array
from dlrm_bench.workers.pool import Batch, RunTotals, WorkerError, WorkerPool, batch_pairs, group
from dlrm_bench.workers.process import populate_mappings

pytestmark = pytest.mark.measures


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    folder = write_dataset(tmp_path_factory.mktemp("dataset"))
    return SampleFiles(*(folder / name for name in BINS))


def silent(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def whole_set(files: SampleFiles) -> Iterator[QuerySet]:
    query_set = QuerySet(files, range(files.samples), silent)
    yield query_set
    query_set.close()


def new_pool(engine: str, *arguments: object, cores: list[int] | None = None) -> WorkerPool:
    return WorkerPool(functools.partial(toy, engine, *arguments), max(LENGTHS), cores=cores)


class Answers:
    """Collects what `done` gets."""

    def __init__(self) -> None:
        self.pairs: dict[int, list[Array]] = {}

    def __call__(self, batch: Batch, results: Array) -> None:
        for position, part in zip(
            range(batch.first, batch.last),
            np.split(results, np.cumsum(batch.spans[:, 1])[:-1]),
            strict=True,
        ):
            self.pairs.setdefault(position, []).append(part.copy())


def run_query(pool: WorkerPool, query_set: QuerySet, query: list[int]) -> tuple[Answers, RunTotals]:
    answers = Answers()
    spans = query_set.spans(np.array(query))
    totals = pool.run(group(spans, pool.best_batch, len(pool.cores)), answers)
    return answers, totals


def check_answers(answers: Answers, files: SampleFiles, query: list[int]) -> None:
    assert sorted(answers.pairs) == list(range(len(query)))
    for position, sample in enumerate(query):
        rows = slice(files.starts[sample], files.starts[sample + 1])
        (given,) = answers.pairs[position]
        wanted = toy_score(files.dense[rows])
        assert (given[:, 0] == wanted).all()
        assert (given[:, 1] == files.label_sparse[rows, 0]).all()


@pytest.mark.parametrize("best_batch", [64, 400, 100000])
def test_every_sample_gets_its_rows_scores_and_labels(
    files: SampleFiles, whole_set: QuerySet, best_batch: int
) -> None:
    query = [3, 0, 5, 1, 4, 2]
    with new_pool("ToyEngine", best_batch) as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        answers, totals = run_query(pool, whole_set, query)
        assert pool.engine_name == "ToyEngine"
    check_answers(answers, files, query)
    assert totals.pairs == sum(LENGTHS)


def test_a_repeated_sample_is_computed_each_time(files: SampleFiles, whole_set: QuerySet) -> None:
    query = list(range(files.samples)) * 6
    with new_pool("ToyEngine") as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        answers, totals = run_query(pool, whole_set, query)
    check_answers(answers, files, query)
    assert totals.pairs == 6 * sum(LENGTHS)


def test_engines_see_every_pair_of_a_repeated_query(
    tmp_path: Path, files: SampleFiles, whole_set: QuerySet
) -> None:
    with new_pool("Counting", str(tmp_path)) as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        run_query(pool, whole_set, [0, 0, 0, 1, 1, 1])
    seen = sum(int(line) for path in tmp_path.iterdir() for line in path.read_text().split())
    assert seen == 3 * (LENGTHS[0] + LENGTHS[1])


def test_each_worker_is_pinned_and_works(whole_set: QuerySet) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with new_pool("ToyEngine", 100, 2e-4) as pool:
        pool.wait_ready(silent)
        assert pool.cores == cores
        assert [os.sched_getaffinity(pid) for pid in pool.pids] == [{core} for core in cores]
        pool.attach(whole_set)
        _, totals = run_query(pool, whole_set, list(range(6)) * 4 * len(cores))
    assert all(worker for worker in totals.done)


def test_a_set_can_be_released_and_another_loaded(files: SampleFiles) -> None:
    with new_pool("ToyEngine") as pool:
        pool.wait_ready(silent)
        for samples in ([0, 1, 2], [3, 4, 5]):
            query_set = QuerySet(files, samples, silent)
            pool.attach(query_set)
            answers, _ = run_query(pool, query_set, samples)
            check_answers(answers, files, samples)
            pool.detach()
            mapped = [Path(f"/proc/{pid}/maps").read_text() for pid in pool.pids]
            query_set.close()
            # The memory for results stays; the query set is gone from every worker.
            assert [text.count("memfd:dlrm-bench") for text in mapped] == [1] * len(pool.pids)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        pytest.param("raise", "RuntimeError: table 3 has no row 17", id="exception"),
        pytest.param("poison", "300 scores are not finite", id="not a number"),
        pytest.param("kill", "it was ended by SIGKILL", id="killed"),
        pytest.param("exit", "it exited with code 7", id="exit"),
    ],
)
def test_a_failed_inference_names_worker_batch_and_cause(
    whole_set: QuerySet, action: str, words: str
) -> None:
    cores = [min(os.sched_getaffinity(0))]
    with new_pool("RowFault", action, cores=cores) as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        with pytest.raises(WorkerError) as failed:
            # Sample 1 holds row 150 and stands alone in the second batch.
            pool.run(group(whole_set.spans(np.array([5, 1, 3])), 400, most=400), Answers())
    message = str(failed.value)
    assert words in message
    assert f"worker 0 on core {cores[0]}" in message
    assert "batch 1 (1 samples, 300 pairs)" in message


def test_a_killed_worker_is_noticed_while_the_others_work(whole_set: QuerySet) -> None:
    with new_pool("ToyEngine", 400, 1e-3) as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        victim = pool.pids[-1]
        threading.Timer(1.0, os.kill, (victim, signal.SIGKILL)).start()
        with pytest.raises(WorkerError, match=rf"process {victim}\) died .* SIGKILL"):
            run_query(pool, whole_set, list(range(6)) * 1000)


def test_a_worker_killed_while_idle_is_noticed(whole_set: QuerySet) -> None:
    with new_pool("ToyEngine") as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        os.kill(pool.pids[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match="worker 0 .* SIGKILL"):
            while True:
                pool.check_alive()
                time.sleep(0.01)


def test_an_engine_that_cannot_be_made_is_named() -> None:
    with (
        new_pool("NoEngine") as pool,
        pytest.raises(WorkerError, match="failed while loading the engine: FileNotFoundError"),
    ):
        pool.wait_ready(silent)


def test_a_hung_worker_does_not_hang_the_pool(whole_set: QuerySet) -> None:
    class Late(Exception):
        """Stands for what a deadline raises."""

    hung = threading.Event()

    def tick() -> None:
        if hung.is_set():
            raise Late

    maker = functools.partial(toy, "RowFault", "hang")
    with WorkerPool(maker, max(LENGTHS), tick=tick) as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        threading.Timer(1.0, hung.set).start()
        with pytest.raises(Late):
            run_query(pool, whole_set, [1, 1])
        pids = pool.pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_query_set_is_resident_in_every_worker_before_work(whole_set: QuerySet) -> None:
    with new_pool("ToyEngine") as pool:
        pool.wait_ready(silent)
        pool.attach(whole_set)
        size = -(-whole_set.bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        for pid in pool.pids:
            assert (size, size) in mapped_and_resident(pid, "/memfd:dlrm-bench (deleted)")


def test_a_mapped_file_is_made_resident(tmp_path: Path) -> None:
    path, size = tmp_path / "weights.pt", 8 << 20
    path.write_bytes(os.urandom(size))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert resident_bytes(path) == 0
    assert populate_mappings(path) == size
    assert resident_bytes(path) == size
    mapped.close()


def resident_bytes(path: Path) -> int:
    """Resident bytes of this file's mappings in this process."""
    return sum(resident for _, resident in mapped_and_resident(os.getpid(), str(path)))


def mapped_and_resident(pid: int, name: str) -> list[tuple[int, int]]:
    """Size of each of a process's mappings of this name, and its bytes that are in memory."""
    found = []
    lines = iter(Path(f"/proc/{pid}/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(name):
            size, resident = (
                1024 * int(next(part for part in lines if part.startswith(field)).split()[1])
                for field in ("Size:", "Rss:")
            )
            found.append((size, resident))
    return found


def test_batches_are_whole_samples_in_order_near_the_best_size() -> None:
    lengths = np.random.default_rng(1).choice([100, 200, 300, 700], 1000)
    spans = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
    batches = list(group(spans, 512, workers=4))
    assert np.concatenate([b.spans for b in batches]).tolist() == spans.tolist()
    assert [b.first for b in batches] == [0, *np.cumsum([len(b.spans) for b in batches])[:-1]]
    assert [b.number for b in batches] == list(range(len(batches)))
    sizes = [int(b.spans[:, 1].sum()) for b in batches]
    assert max(sizes) <= 4 * 512
    assert min(sizes[:50]) > 4 * 512 - 700
    # The last batches are smaller: no worker is left alone with a large one.
    assert max(sizes[-4:-1]) <= 700
    assert np.mean(sizes[-4:]) < np.mean(sizes[:50]) / 2


@pytest.mark.parametrize(
    ("best_batch", "pairs"),
    [
        pytest.param(126, 2016, id="a small one often enough to be worth its messages"),
        pytest.param(512, 2048, id="four"),
        pytest.param(4096, 16_384, id="never fewer than four"),
    ],
)
def test_a_batch_is_several_of_the_engines(best_batch: int, pairs: int) -> None:
    assert batch_pairs(best_batch) == pairs
