"""What run.json says a result may be compared with."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.judge.rules import DEMO_MARK
from judged_run import judged, passing, set_fact


@pytest.fixture
def given() -> dict[str, Any]:
    return passing()


REFERENCE = {"against": "torch fp32", "pairs": 512, "max_abs_difference": 2e-8, "passed": True}


def test_a_record_says_what_it_compares_with(given: dict[str, Any]) -> None:
    given["request"]["parameters"].update(precision="int8", row_cap=1000)
    set_fact("performance", versions={"torch": "2.13.0"}, reference=REFERENCE)(given)
    assert judged(given).comparability == {
        "marks": [DEMO_MARK],
        "identical": ["model's layers", "aggregation", "seeds"],
        "differs": {
            "kernels": "torch-int8 1, PyTorch 2.13.0",
            "batching": "400 pairs a call, 2 workers",
            "quantization": "int8 weights per output channel, activations per pair, "
            "embeddings per row",
            "weights and data": "scaled down, tables of 1000 rows",
            "rules": "min_duration 1 s, fewer samples",
        },
        "reference": REFERENCE,
    }


def test_a_tuned_run_says_so(given: dict[str, Any]) -> None:
    set_fact("performance", versions={"torch": "2.13.0"}, tuned=True)(given)
    kernels = judged(given).comparability["differs"]["kernels"]
    assert kernels == "torch-int8 1, PyTorch 2.13.0, chosen by stage tune"


def test_an_official_run_differs_in_kernels_batching_and_quantization_alone(
    given: dict[str, Any],
) -> None:
    given["request"]["parameters"].update(profile="official", precision="fp32")
    found = judged(given).comparability
    assert found["identical"] == ["model", "data", "aggregation trace", "seeds", "rules"]
    assert list(found["differs"]) == ["kernels", "batching", "quantization"]
    assert found["differs"]["quantization"] == "none"
    assert found["reference"] is None


def test_without_a_performance_run_nothing_is_compared(given: dict[str, Any]) -> None:
    given["performance"] = None
    assert judged(given).comparability == {"marks": [DEMO_MARK]}
