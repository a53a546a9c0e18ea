"""Writes torchrec_snapshot.tar.gz: torchrec's own DLRM_DCN over 8 ranks, saved by torchsnapshot.

The layout is that of MLCommons' weights, scaled down: 26 tables of dimension 4. The big tables are
sharded by row over the ranks, and torchsnapshot cuts their shards once more. Small tensors are
batched into slabs; one of the rest is chunked. Each value follows from its name and position
(expected() below), so a test needs no second copy.

Run it by hand (the tests do not install these packages):
    python3.11 -m venv v; v/bin/pip install torch==2.13.0 torchmetrics==1.0.3 tensordict \
        pyre-extensions tqdm pyyaml aiofiles aiohttp importlib-metadata nest-asyncio psutil
    v/bin/pip install --no-deps fbgemm-gpu-cpu==1.8.0 torchrec==1.8.0 torchsnapshot==0.1.0
    v/bin/python write_torchrec_snapshot.py torchrec_snapshot
    tar czf torchrec_snapshot.tar.gz torchrec_snapshot
"""

from __future__ import annotations

import os
import sys
import zlib

import numpy as np

RANKS, DIM = 8, 4
ROW_WISE = {0: 400, 9: 403, 19: 31, 20: 64, 21: 40}
ROWS = tuple(ROW_WISE.get(table, 3 + table % 4) for table in range(26))
# 25 rows of a shard: MLCommons' shards of 5,000,000 rows are cut at 1,048,576.
SHARD_BYTES = 25 * DIM * 4


def expected(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of the tensor with this torchrec name; exact in float32."""
    count = int(np.prod(shape))
    base = zlib.crc32(name.encode()) % 1000
    return (base + np.arange(count, dtype=np.float32) / 4096).astype(np.float32).reshape(shape)


def write(rank: int, folder: str) -> None:
    """Write the part of one rank of the eight."""
    import torch
    import torch.distributed as dist
    import torchsnapshot
    from torch.distributed._shard.sharded_tensor import ShardedTensor
    from torchrec import EmbeddingBagCollection, EmbeddingBagConfig
    from torchrec.distributed import DistributedModelParallel
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
    from torchrec.distributed.sharding_plan import (
        construct_module_sharding_plan,
        row_wise,
        table_wise,
    )
    from torchrec.distributed.types import ShardingPlan
    from torchrec.models.dlrm import DLRM_DCN, DLRMTrain

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(RANKS))
    dist.init_process_group("gloo")
    tables = [
        EmbeddingBagConfig(
            name=f"t_cat_{t}", embedding_dim=DIM, num_embeddings=rows, feature_names=[f"cat_{t}"]
        )
        for t, rows in enumerate(ROWS)
    ]
    model = DLRMTrain(
        DLRM_DCN(
            embedding_bag_collection=EmbeddingBagCollection(
                tables=tables, device=torch.device("meta")
            ),
            dense_in_features=13,
            dense_arch_layer_sizes=[6, 5, DIM],
            over_arch_layer_sizes=[8, 7, 6, 5, 1],
            dcn_num_layers=3,
            dcn_low_rank_dim=2,
            dense_device=torch.device("cpu"),
        )
    )
    sharder = EmbeddingBagCollectionSharder()
    # As the planner shards them at full size; tables this small it would not shard at all.
    by_table = construct_module_sharding_plan(
        model.model.sparse_arch.embedding_bag_collection,
        {
            f"t_cat_{t}": row_wise() if t in ROW_WISE else table_wise(rank=t % RANKS)
            for t in range(26)
        },
        sharder=sharder,
        local_size=RANKS,
        world_size=RANKS,
        device_type="cpu",
    )
    plan = ShardingPlan({"model.sparse_arch.embedding_bag_collection": by_table})
    sharded = DistributedModelParallel(
        module=model, device=torch.device("cpu"), plan=plan, sharders=[sharder]
    )
    for name, value in sharded.state_dict().items():
        whole = torch.from_numpy(expected(name, tuple(value.shape)))
        if isinstance(value, ShardedTensor):
            for shard in value.local_shards():
                row, column = shard.metadata.shard_offsets
                rows, columns = shard.metadata.shard_sizes
                shard.tensor.detach().copy_(whole[row : row + rows, column : column + columns])
        else:
            value.detach().copy_(whole)
    torchsnapshot.Snapshot.take(path=folder, app_state={"model": sharded}, replicated=["**"])
    dist.barrier()


def main() -> None:
    """Start the ranks."""
    import torch.multiprocessing as mp

    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT="29571",
        TORCHSNAPSHOT_ENABLE_BATCHING="1",
        TORCHSNAPSHOT_MAX_SHARD_SIZE_BYTES_OVERRIDE=str(SHARD_BYTES),
        TORCHSNAPSHOT_MAX_CHUNK_SIZE_BYTES_OVERRIDE="1024",
        TORCHSNAPSHOT_SLAB_SIZE_THRESHOLD_BYTES_OVERRIDE=str(SHARD_BYTES),
    )
    mp.spawn(write, args=(sys.argv[1],), nprocs=RANKS)


if __name__ == "__main__":
    main()
