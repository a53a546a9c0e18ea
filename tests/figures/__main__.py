"""The figures of docs/storage.md and docs/clouds.md, in ratios of one run.

    PYTHONPATH=tests python -m figures pull|equal|cut|restore|slow [--gib 4] [--repeats 3]
    PYTHONPATH=tests python -m figures nothing-to-do [--hosts 8 16 32] [--repeats 3]
    PYTHONPATH=tests python -m figures aws|gcp [--machines 100]

Hosts are containers of this machine, a cloud is a stand-in. Each line is one JSON document.
"""

from __future__ import annotations

import argparse

from . import cloud, nothing_to_do, transfers


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m figures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("figure", choices=[*transfers.FIGURES, "nothing-to-do", "aws", "gcp"])
    parser.add_argument("--gib", type=float, default=4, help="size of the four files together")
    parser.add_argument("--hosts", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    if chosen.figure in transfers.FIGURES:
        transfers.measure(chosen.figure, chosen.gib, chosen.repeats)
    elif chosen.figure == "nothing-to-do":
        nothing_to_do.measure(chosen.hosts, chosen.repeats)
    else:
        cloud.measure(chosen.figure, chosen.machines)


main()
