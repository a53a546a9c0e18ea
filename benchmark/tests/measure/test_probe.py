"""target_qps computed from a probe's speed, with the noise that probes have."""

from __future__ import annotations

import numpy as np
import pytest

from dlrm_bench.measure.loadgen import SLACK
from dlrm_bench.measure.probe import Plan, expected_rate, plan, probe_samples, repeat
from dlrm_bench.network.arrays import Array
from dlrm_bench.workers.pool import Batch, group

SIZES = np.array([100] * 2 + [200] * 12 + [300] * 2 + [400, 500, 600, 700])


def order_lengths(samples: int) -> Array:
    return SIZES[np.random.default_rng(1).integers(0, len(SIZES), samples)]


def issued(planned: Plan, min_duration: int) -> int:
    """The samples that LoadGen issues at target_qps, in its own arithmetic."""
    return int(SLACK * min_duration * planned.target_qps)


@pytest.mark.parametrize("pairs_per_second", [700.0, 6000.0, 390000.0])
@pytest.mark.parametrize("min_duration", [10, 600])
def test_noisy_probes_hardly_ever_end_invalid(pairs_per_second: float, min_duration: int) -> None:
    lengths = order_lengths(222)
    ends = np.cumsum(np.tile(lengths, 1 + int(2 * pairs_per_second * min_duration / lengths.sum())))
    noise = np.random.default_rng(2).normal(1.0, 0.03, 200)
    invalid, outside = 0, 0
    for factor in noise:
        planned = plan(pairs_per_second * factor, lengths, min_duration)
        assert issued(planned, min_duration) == planned.samples
        duration = ends[planned.samples - 1] / pairs_per_second
        invalid += duration < min_duration
        outside += not 1.02 <= duration / min_duration <= 1.20
    assert invalid / len(noise) < 0.01
    assert outside / len(noise) < 0.03


def test_without_noise_the_run_lasts_as_aimed() -> None:
    planned = plan(6000.0, order_lengths(222), 10)
    assert 11.0 <= planned.expected_seconds <= 11.0 + 700 / 6000
    assert planned.samples_per_second == pytest.approx(planned.samples / planned.expected_seconds)


def test_the_order_counts_not_the_average() -> None:
    large_first = np.array([700] * 50 + [100] * 50)
    # 7,699 pairs are wanted: eleven large samples, or the fifty small ones and four large.
    assert plan(6999.0, large_first, 1).samples == 11
    assert plan(6999.0, large_first[::-1], 1).samples == 54


def test_the_official_minimum_is_kept() -> None:
    planned = plan(1000.0, order_lengths(204800), 600, min_samples=24576)
    assert planned.samples == 24576
    assert planned.expected_seconds > 6000


def test_a_neighbours_share_is_expected_back_at_most_once() -> None:
    assert expected_rate(busy=100.0, undisturbed=100.5) == 100.5
    assert expected_rate(busy=60.0, undisturbed=100.0) == 100.0
    assert expected_rate(busy=10.0, undisturbed=100.0) == 40.0


def test_a_probe_takes_the_first_samples_of_the_order() -> None:
    lengths = np.array([100, 200, 300, 400])
    assert probe_samples([3, 1, 0, 2], 450, lengths) == [3, 1]
    assert probe_samples([3, 1, 0, 2], 10**9, lengths) == [3, 1, 0, 2]


def test_repeating_batches_numbers_them_anew() -> None:
    batches = list(group(np.array([[0, 100], [100, 100]]), 100))
    again = list(repeat(batches, lambda number: number == 5))
    assert [b.number for b in again] == [0, 1, 2, 3, 4]
    assert [b.first for b in again] == [0, 1, 0, 1, 0]
    assert all(isinstance(b, Batch) for b in again)
