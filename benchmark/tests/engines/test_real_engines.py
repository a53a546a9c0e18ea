"""Both measured stages with the real engines on the demo's real files, under the real LoadGen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import DEMO, Pipeline, StageRoot
from dlrm_bench.frame.precisions import PRECISIONS

pytestmark = pytest.mark.measures


def measure(demo: Pipeline, folder: Path, stage: str, precision: str) -> StageRoot:
    """Run the stage on the outputs of the demo's stages."""
    model = PRECISIONS[precision].model.stage
    inputs = {name: demo.stages[name].output for name in ("dataset", model)}
    root = StageRoot(folder / stage)
    parameters: dict[str, Any] = {"precision": precision, "min_duration_seconds": 1, **DEMO}
    root.ask(stage, inputs, **parameters)
    done = root.run()
    assert done.returncode == 0, done.stderr
    return root


def facts_of(root: StageRoot) -> dict[str, Any]:
    return dict(json.loads((root.output / "stage.json").read_text())["facts"])


def test_bf16_passes_the_gate(demo: Pipeline, tmp_path: Path) -> None:
    facts = facts_of(measure(demo, tmp_path, "accuracy", "bf16"))
    assert facts["passed"] is True
    assert facts["retention"] >= 0.9999


@pytest.mark.parametrize("precision", PRECISIONS)
def test_answers_under_loadgen_are_the_models(
    demo: Pipeline, tmp_path: Path, precision: str
) -> None:
    root = measure(demo, tmp_path, "performance", precision)
    facts = facts_of(root)
    assert facts["quantization"] == PRECISIONS[precision].quantization
    assert facts["reference"]["passed"] is True, facts["reference"]
    assert facts["reference"]["pairs"] >= 32
    assert facts["pairs_computed"] == facts["pairs_issued"] > 0
    assert facts["evidence"]["major_faults"] == 0
    assert "Result is : VALID" in (root.output / "mlperf_log_summary.txt").read_text()
