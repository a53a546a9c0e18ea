"""LoadGen's provenance: the facts found, and the refusal of each difference."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import StageRoot
from dlrm_bench.frame.errors import StageError
from dlrm_bench.measure import loadgen


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The record that the image's build writes."""
    path = tmp_path / "loadgen.json"
    document = {"name": loadgen.NAME, "version": "5.1.1", "sdist_sha256": loadgen.SDIST_SHA256}
    path.write_text(json.dumps(document))
    return path


def test_this_loadgen_is_the_pinned_one(tmp_path: Path, record: Path) -> None:
    found = loadgen.provenance(tmp_path, record)
    loadgen.verify(found)
    assert found["version"] == "5.1.1"
    assert found["provenance"] == "by hash"
    assert found["mlperf_conf_sha256"] == loadgen.MLPERF_CONF_SHA256
    # Random seeds as LoadGen itself reads them from the configuration it carries.
    assert found["seeds"] == {
        "qsl_rng_seed": 1780908523862526354,
        "sample_index_rng_seed": 14771362308971278857,
        "schedule_rng_seed": 18209322760996052031,
    }


def test_asking_twice_gives_the_same(tmp_path: Path) -> None:
    # In one process, the second FromConfig would not read mlperf.conf, so the seeds would be 0.
    assert loadgen.effective_seeds(tmp_path) == loadgen.effective_seeds(tmp_path) == loadgen.SEEDS


def spoil_version(found: dict[str, Any]) -> None:
    found["version"] = "5.1.0"


def spoil_seed(found: dict[str, Any]) -> None:
    found["seeds"]["schedule_rng_seed"] = 1


def spoil_conf(found: dict[str, Any]) -> None:
    found["mlperf_conf_sha256"] = "00"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(spoil_version, "version is '5.1.0', wanted '5.1.1'", id="version"),
        pytest.param(spoil_seed, "seed schedule_rng_seed is '1', wanted '18209", id="seed"),
        pytest.param(spoil_conf, "mlperf_conf_sha256 is '00', wanted '8a24d0", id="conf"),
    ],
)
def test_another_loadgen_is_refused(
    tmp_path: Path, record: Path, spoil: Callable[[dict[str, Any]], None], words: str
) -> None:
    found = copy.deepcopy(loadgen.provenance(tmp_path, record))
    spoil(found)
    with pytest.raises(StageError) as refused:
        loadgen.verify(found)
    assert words in str(refused.value)
    assert "Build the image again" in str(refused.value)


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    found = loadgen.provenance(tmp_path, tmp_path / "missing.json")
    with pytest.raises(StageError, match="sdist_sha256 is 'unknown', wanted '4059adc2"):
        loadgen.verify(found)


def test_the_stage_writes_what_it_verified(
    new_stage: Callable[[str], StageRoot], record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = new_stage("repositories")
    root.ask("repositories")
    monkeypatch.setenv("DLRM_LOADGEN_RECORD", str(record))
    done = root.run()
    assert done.returncode == 0, done.stderr
    document = json.loads((root.output / "provenance.json").read_text())
    assert document["sdist_sha256"] == loadgen.SDIST_SHA256
    assert document["seeds"] == loadgen.SEEDS
    assert document["versions"]["loadgen"] == "5.1.1"
    assert document["versions"]["torch"]
    assert root.document()["facts"]["provenance"] == "by hash"
