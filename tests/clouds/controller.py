"""A controller in its own process, which tests kill: python -m tests.clouds.controller FILE."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ansible.module_utils


def main() -> None:
    ansible.module_utils.__path__.append(str(Path(__file__).parents[2] / "module_utils"))
    from ansible.module_utils.dlrm_fleet.cloud.acquire import acquire
    from ansible.module_utils.dlrm_fleet.cloud.desired import machines
    from ansible.module_utils.dlrm_fleet.cloud.registry import make
    from ansible.module_utils.dlrm_fleet.cloud.release import release
    from ansible.module_utils.dlrm_fleet.cloud.retry import Pace

    asked = json.loads(Path(sys.argv[1]).read_text())
    pace = Pace(**asked["pace"])
    provider = make(**asked["settings"])
    if asked["do"] == "release":
        release(provider, asked["fleet"], pace)
    else:
        wanted = machines(asked["fleet"], asked["groups"], list(asked["groups"]), asked["ttl"])
        acquire(provider, asked["fleet"], wanted, pace)


main()
