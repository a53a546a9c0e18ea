"""Sums of MLCommons' own files, as published, and whether files are these.

| files | md5 | sha256 |
| --- | --- | --- |
| day_23_*.npy, .npz | mlcommons/training, recommendation_v2/torchrec_dlrm/md5sums_*.txt, and
mlcommons/mlperf-automations, script/get-preprocessed-dataset-criteo/checksums.txt |
GoogleCloudPlatform/PerfKitBenchmarker, perfkitbenchmarker/linux_packages/dlrm.py |
| .snapshot_metadata | mlcommons/inference, issue 1619 (2024-08-09) | none found |
| the weights' other files | no repository has them: only the list beside MLCommons' .uri | none |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sums:
    """Both sums of one file, in hexadecimal digits."""

    md5: str
    sha256: str


#: No other log has as many rows: only a log of this length is compared with CLICK_LOG.
CLICK_LOG_ROWS = 178_274_637
CLICK_LOG = {
    "day_23_dense.npy": Sums(
        "cdf7af87cbc7e9b468c0be46b1767601",
        "127dadd27ec933c4fc16223fc54609478891b7a51cf6f4de3781543c36f6fcc2",
    ),
    "day_23_labels.npy": Sums(
        "dd68f93301812026ed6f58dfb0757fa7",
        "b650f2fd015b8e45461e82ada9ff5eb6e31bb918ddf4968e42aef4f7f5040aad",
    ),
    "day_23_sparse_multi_hot.npz": Sums(
        "c46b7e31ec6f2f8768fa60bdfc0f6e40",
        "6d2afc30d35c16e8b98f1ef0531dd620b6a0f32072b3a1d1b4eb1badb2ac3d70",
    ),
}
CLICK_LOG_BY = "md5 in mlcommons/training, sha256 in GoogleCloudPlatform/PerfKitBenchmarker"
METADATA_MD5 = "a145bf8ba38d71137f8601876896d8d9"
METADATA_BY = "md5 of .snapshot_metadata in mlcommons/inference issue 1619"
SYNTHETIC = "made here, not MLCommons'"


def fact(published: bool | None, by: str) -> dict[str, bool | str | None]:
    """For stage.json: whether all files are MLCommons' own (None: nobody can tell), and by what."""
    return {"published": published, "published_by": by}


def of_weights(metadata_md5: str, publishers_list: str) -> dict[str, bool | str | None]:
    """The fact on a snapshot. `publishers_list`: MLCommons' own, which every file agrees with."""
    if publishers_list:
        return fact(True, f"md5 of every file in {publishers_list}")
    if metadata_md5 != METADATA_MD5:
        return fact(False, METADATA_BY)
    return fact(None, f"{METADATA_BY} agrees; sums of the other files are not published there")


def of_click_log(
    rows: int, sums: Mapping[str, Sums], publishers_list: str
) -> dict[str, bool | str | None]:
    """The fact on a log of `rows` rows; `sums`: of its files, where it has CLICK_LOG_ROWS."""
    if publishers_list:
        return fact(True, f"md5 of every file in {publishers_list}")
    if rows != CLICK_LOG_ROWS:
        return fact(False, f"it has {rows} rows, MLCommons' day 23 has {CLICK_LOG_ROWS}")
    return fact(all(sums.get(name) == one for name, one in CLICK_LOG.items()), CLICK_LOG_BY)
