"""What a result may be compared with: its marks, and how it differs from MLCommons' reference."""

from __future__ import annotations

from typing import Any

from ..base.lenient import as_dict, facts_of
from .rules import DEMO_MARK, SERVER_LATENCY_MS, SERVER_MIN_QUERIES, UNVERIFIED_MARK

# What is the same as in MLCommons' reference implementation of dlrm-v2.
OFFICIAL_IDENTICAL = ("model", "data", "aggregation trace", "seeds", "rules")
DEMO_IDENTICAL = ("model's layers", "aggregation", "seeds")
QUANTIZATION = {
    "fp32": "none",
    "bf16": "bfloat16 products with fp32 sums; fp32 embedding tables",
    "int8": "int8 weights per output channel, activations per pair, embeddings per row",
}

AUDIT_NAMES = ("test", "passed", "compared_samples", "compared_pairs", "differing")

Document = dict[str, Any]


def marks(request: Document) -> list[str]:
    """The request's marks, and always the mark of its profile: no demo result goes unmarked."""
    given = [str(mark) for mark in request.get("marks") or []]
    profile = as_dict(request.get("parameters")).get("profile")
    own = UNVERIFIED_MARK if profile == "official" else DEMO_MARK
    return given if own in given else [*given, own]


def comparability(
    request: Document, performance: Document | None, audit: Document | None = None
) -> Document:
    """Marks, and what equals MLCommons' reference and what differs (docs/native.md)."""
    result: Document = {"marks": marks(request)}
    if performance is None:
        return result
    facts, parameters = facts_of(performance), as_dict(request.get("parameters"))
    official = parameters.get("profile") == "official"
    torch = as_dict(facts.get("versions")).get("torch", "of an unknown version")
    differs = {
        "kernels": f"{facts.get('engine')}, PyTorch {torch}",
        "batching": f"{facts.get('best_batch')} pairs a call, {facts.get('workers')} workers",
        "quantization": QUANTIZATION.get(str(parameters.get("precision")), "not stated"),
    }
    if facts.get("tuned"):
        differs["kernels"] += ", chosen by stage tune"
    if parameters.get("scenario") == "server":
        differs["batching"] = (
            f"queries waiting are cut into parts of at most {facts.get('pairs_of_a_part')} pairs, "
            f"{facts.get('workers')} workers; LoadGen coalesces none; in the order of arrival, "
            f"but for {facts.get('queries_put_back', 0)} put back as not all could be in time"
        )
    if not official:
        differs["weights and data"] = f"scaled down, tables of {parameters.get('row_cap')} rows"
        differs["rules"] = f"min_duration {parameters.get('min_duration_seconds')} s, fewer samples"
        if parameters.get("scenario") == "server":
            differs["rules"] += (
                f"; 1,000 queries at least of {SERVER_MIN_QUERIES:,}; "
                f"the bound is {SERVER_LATENCY_MS} ms too"
            )
    identical = OFFICIAL_IDENTICAL if official else DEMO_IDENTICAL
    reference = as_dict(facts.get("reference")) or None
    result.update(identical=list(identical), differs=differs, reference=reference)
    if audit is not None:
        result["audit"] = {name: facts_of(audit).get(name) for name in AUDIT_NAMES}
    return result
