"""Command line of the container: `dlrm-bench stage` does what /dlrm/request.json asks."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dlrm_bench import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, return the exit code."""
    parser = argparse.ArgumentParser(prog="dlrm-bench", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("stage", help="make the outputs request.json asks for")
    parser.parse_args(argv)
    # Imported late: --help must not need the numeric packages a stage imports.
    from dlrm_bench.runner import run_stage

    return run_stage()
