"""Which engine computes a precision: the table's order, what this CPU runs, what is forced."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlrm_bench.engines import choice
from dlrm_bench.engines.choice import Candidate, Choice
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.precisions import PRECISIONS, read

TABLE = Path(choice.__file__).parent.parent / "precisions.yml"


def maker(name: str) -> Any:
    """An engine that is what it was made with."""
    return lambda path, rows, best_batch=7: (name, best_batch)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, Candidate]:
    """Precision fp8 with two engines; a test changes what they offer."""
    offered = {name: Candidate(name, maker(name), (7, 9)) for name in ("quick", "sure")}
    for name in offered:
        offer = lambda name=name: [offered[name]]  # noqa: E731
        monkeypatch.setitem(choice.ENGINES, name, offer)
    entry = replace(PRECISIONS["int8"], engines=["quick", "sure"])
    monkeypatch.setitem(PRECISIONS, "fp8", entry)
    monkeypatch.delenv(choice.force("fp8"), raising=False)
    return offered


def load(chosen: Choice | None = None) -> Any:
    return choice.load_engine("fp8", Path("model.pt"), [1], chosen)


def names() -> list[str]:
    return [candidate.engine for candidate in choice.candidates("fp8")]


def test_every_engine_of_the_table_is_known() -> None:
    assert {name for one in PRECISIONS.values() for name in one.engines} == set(choice.ENGINES)


def test_an_unknown_field_of_the_table_is_refused(tmp_path: Path) -> None:
    assert read(TABLE) == PRECISIONS
    changed = tmp_path / "precisions.yml"
    changed.write_text(TABLE.read_text().replace("auc_gate:", "gate:"))
    with pytest.raises(TypeError, match="gate"):
        read(changed)


def test_the_tables_first_engine_runs_untuned(made_up: dict[str, Candidate]) -> None:
    assert load() == ("quick", 7)
    assert names() == ["quick", "sure"]
    assert load(Choice("sure", 9)) == ("sure", 9)


def test_one_that_this_cpu_does_not_run_is_passed_over(
    made_up: dict[str, Candidate], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made_up["quick"] = made_up["quick"]._replace(why_not="it is not installed")
    assert load() == ("sure", 7)
    assert "fp8 is not computed by quick: it is not installed" in caplog.text
    assert names() == ["sure"]
    with pytest.raises(StageError, match="the tuned fp8 engine 'quick' cannot be used"):
        load(Choice("quick", 7))


def test_one_that_only_tune_may_choose_does_not_run_untuned(made_up: dict[str, Candidate]) -> None:
    made_up["quick"] = made_up["quick"]._replace(why_not_untuned="it was never timed here")
    assert load() == ("sure", 7)
    assert names() == ["sure", "quick"]
    assert load(Choice("quick", 9)) == ("quick", 9)


def test_where_none_runs_the_last_says_why(made_up: dict[str, Candidate]) -> None:
    for name in made_up:
        made_up[name] = made_up[name]._replace(why_not="no")
    assert load() == ("sure", 7)
    assert names() == []


def test_a_forced_engine_runs_even_where_it_would_be_passed_over(
    made_up: dict[str, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up["quick"] = made_up["quick"]._replace(why_not="it is not installed")
    monkeypatch.setenv(choice.force("fp8"), "quick")
    assert load() == ("quick", 7)
    monkeypatch.setenv(choice.force("fp8"), "abacus")
    with pytest.raises(StageError, match="there is no fp8 engine 'abacus'"):
        load()
