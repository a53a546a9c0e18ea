"""Stage audit: TEST01. A performance run must give the accuracy run's answers, bit for bit."""

from __future__ import annotations

from dlrm_bench.frame.context import StageContext
from dlrm_bench.measure.loadgen import ACCURACY_LOG
from dlrm_bench.measure.scorer import compare_answers
from dlrm_bench.stages import performance


def run(ctx: StageContext) -> None:
    """Measure with audit.config and compare; a difference is a finding (passed: false)."""
    accuracy = ctx.input("accuracy", ACCURACY_LOG)
    performance.measure(ctx, audit=True)
    ctx.status.update("comparing answers")
    found = compare_answers(ctx.output_dir / ACCURACY_LOG, accuracy)
    passed = found.differing == 0
    said = (
        f"TEST01 {'PASS' if passed else 'FAIL'}: {found.records} answers compared bit by bit, "
        f"of {found.samples} samples, {found.pairs} pairs in all; {found.differing} differ"
    )
    with ctx.open_output("verify_accuracy.txt") as file:
        file.write(f"{said}\n".encode("ascii"))
    ctx.facts.update(
        test="TEST01",
        compared_records=found.records,
        compared_samples=found.samples,
        compared_pairs=found.pairs,
        differing=found.differing,
        first_difference=found.first_difference if not passed else None,
        passed=passed,
        said=said,
    )
