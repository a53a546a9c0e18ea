"""A fleet of two architectures has two images, each made once and kept under its own name.

One host only claims the other architecture. The test shows who makes, keeps and loads which image.
Not collected by name: tests/long/fleet.sh runs it.
"""

from __future__ import annotations

import json
import platform
import re

from .hosts import Fleet
from .test_rerun import STORE, fleet, image_id, play

__all__ = ["fleet"]
OTHER = "another"


def test_two_architectures_have_two_images(fleet: Fleet) -> None:
    hosts = fleet.benchmark_hosts
    for host in hosts:
        host.shell("docker image ls --quiet dlrm-bench | xargs -r docker image rm --force")
    inventory = fleet.write_inventory(fleet.folder / "two", hosts)
    document = json.loads((inventory / "hosts.yml").read_text())
    document["all"]["hosts"][hosts[1].name]["dlrm_image_architecture"] = OTHER
    (inventory / "hosts.yml").write_text(json.dumps(document))
    output = play(fleet, "tests/fleet/playbooks/prepare.yml", inventory)
    paths = fleet.storage.shell(f"cd {STORE}/images && ls */*.json").split()
    assert sorted(path.split("/")[0] for path in paths) == sorted([platform.machine(), OTHER])
    for host, architecture in zip(hosts, (platform.machine(), OTHER), strict=True):
        [path] = [path for path in paths if path.startswith(f"{architecture}/")]
        kept = json.loads(fleet.storage.shell(f"cat {STORE}/images/{path}"))
        assert image_id(host, kept["name"]) == kept["id"], output[-3000:]
    made = re.findall(r"included: \S+/dlrm_image/tasks/build\.yml for (.*)", output)
    assert sorted(", ".join(made).split(", ")) == [host.name for host in hosts], made
