"""Stage repositories: checks that this image holds the LoadGen that results require."""

from __future__ import annotations

import json

from dlrm_bench.frame.context import StageContext
from dlrm_bench.measure import loadgen
from dlrm_bench.measure.offline import versions


def run(ctx: StageContext) -> None:
    """Verify version, source hash, embedded mlperf.conf and random seeds; write provenance.json."""
    ctx.status.update("verifying LoadGen")
    found = loadgen.provenance(ctx.scratch_dir)
    loadgen.verify(found)
    document = {**found, "versions": versions()}
    ctx.facts.update(document)
    with ctx.open_output("provenance.json") as file:
        file.write((json.dumps(document, indent=1) + "\n").encode())
