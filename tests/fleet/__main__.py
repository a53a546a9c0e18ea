"""`make fleet-demo`: the whole path on SSH hosts and a storage node made of containers."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .engine import REPOSITORY
from .hosts import STORAGE, Fleet

SMALL: dict[str, Any] = {"row_cap": 2000, "data_rows": 4000, "min_duration": 2}


def demo(fleet: Fleet, keep: bool) -> int:
    fleet.start()
    asked = fleet.command(precision="int8", **SMALL)
    print("Running:", " ".join(asked), flush=True)
    ended = subprocess.run(asked, cwd=REPOSITORY, env=fleet.environment(), check=False)
    print(
        fleet.storage.shell("cd /srv/dlrm-storage && find runs artifacts report | sort | head -60")
    )
    if keep:
        login = f"ssh -i {fleet.keys}/login -o UserKnownHostsFile={fleet.keys}/known_hosts"
        for host in fleet.hosts.values():
            print(f"{host.name}: {login} bench@{host.address}")
        input("Enter ends the demo and removes the hosts. ")
    return ended.returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=3, help=f"benchmark hosts beside {STORAGE}")
    parser.add_argument("--keep", action="store_true", help="wait for Enter before removing them")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dlrm-fleet-demo-") as folder:
        fleet = Fleet(Path(folder), count=chosen.hosts, name="demo")
        try:
            return demo(fleet, chosen.keep)
        finally:
            fleet.close_connections()
            fleet.remove()


if __name__ == "__main__":
    sys.exit(main())
