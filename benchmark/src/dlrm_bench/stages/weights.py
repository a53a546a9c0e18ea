"""Stage weights: the model's weights as a torchsnapshot, the user's or synthetic."""

from __future__ import annotations

import functools

from dlrm_bench.data import synthetic
from dlrm_bench.frame import published
from dlrm_bench.frame.context import StageContext
from dlrm_bench.frame.errors import StageError
from dlrm_bench.frame.md5_lists import Md5Lists
from dlrm_bench.frame.sources import Progress, fetch
from dlrm_bench.network.dlrm import DIM, row_counts, table_name, weight_shapes
from dlrm_bench.weights.named import (
    FOLDER,
    copy_checked,
    find_snapshot,
    open_weights,
    snapshot_name,
)
from dlrm_bench.weights.snapshot import METADATA
from dlrm_bench.weights.snapshot_writer import SnapshotWriter


def run(ctx: StageContext) -> None:
    """Outputs: model_weights/ with .snapshot_metadata, as MLCommons ships it."""
    if ctx.request.source is None:
        if not ctx.request.parameters.demo:
            raise StageError(
                "profile 'official' has no weights",
                "weights_source is not set",
                "Set weights_source to a folder, an rclone remote, a list of URLs or a .uri's URL",
            )
        _make(ctx)
    else:
        _adopt(ctx)


def _make(ctx: StageContext) -> None:
    seed = ctx.request.parameters.seed
    rows = row_counts(ctx.request.parameters.row_cap)
    writer = SnapshotWriter(lambda name: ctx.open_output(f"{FOLDER}/{name}"))
    progress = Progress(ctx.status, "making weights", sum(rows), "rows/s")
    for table, count in enumerate(rows):
        name = snapshot_name(table_name(table))
        writer.table(name, (count, DIM), functools.partial(synthetic.table_rows, seed, table))
        progress.add(count)
    ctx.status.update("scaling the last layer")
    dense = synthetic.dense_weights(seed, rows)
    writer.slab({snapshot_name(name): values for name, values in dense.items()})
    writer.close()
    ctx.facts["source"] = "synthetic"
    ctx.facts.update(published.fact(False, published.SYNTHETIC))


def _adopt(ctx: StageContext) -> None:
    parameters = ctx.request.parameters
    fetched = fetch(ctx)
    source = fetched.folder
    folder = find_snapshot(source)
    rows = row_counts(parameters.row_cap)
    ctx.status.update("checking weights")
    lists = Md5Lists(folder, [] if folder == source else [source])
    lists.add(fetched.md5, source / fetched.sums)
    snapshot = open_weights(folder, rows, more_rows=parameters.demo, listed=lists.missing())
    wanted = [snapshot_name(name) for name in weight_shapes(rows)]
    names = [*snapshot.files(), METADATA]
    total = sum((folder / name).stat().st_size for name in names)
    progress = Progress(ctx.status, "copying weights", total, "bytes/s")
    listed, metadata_md5 = 0, ""
    for name in names:
        with ctx.open_output(f"{FOLDER}/{name}") as output:
            metadata_md5 = copy_checked(snapshot, name, wanted, output)
            listed += lists.check(name, metadata_md5)
        progress.add(output.bytes)
        if folder.is_relative_to(ctx.fetched_dir):
            # Fetched files are not kept twice: at full size that would be 105 GB more.
            (folder / name).unlink()
    ctx.facts["source"] = ctx.request.source.kind if ctx.request.source else ""
    ctx.facts["files"] = len(names)
    ctx.facts["files_with_listed_md5"] = listed
    ctx.facts["mlcommons_metadata"] = metadata_md5 == published.METADATA_MD5
    all_listed = fetched.publishers and listed == len(names)
    by = fetched.sums if all_listed else ""
    ctx.facts.update(published.of_weights(metadata_md5, by))
