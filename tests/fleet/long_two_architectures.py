"""A fleet of two architectures: the controller builds for its own, and the other builds for itself.

One host only claims the other architecture. The test shows who makes, keeps and loads which image.
Not collected by name: tests/long/fleet.sh runs it.
"""

from __future__ import annotations

import json
import platform

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
    [path] = fleet.storage.shell(f"cd {STORE}/images && ls */*.json").split()
    assert path.split("/")[0] == platform.machine()
    kept = json.loads(fleet.storage.shell(f"cat {STORE}/images/{path}"))
    assert kept["builder_kind"] == "controller"
    assert image_id(hosts[0], kept["name"]) == kept["id"], output[-3000:]
    assert image_id(hosts[1], kept["name"]) != kept["id"]
    words = " ".join(output.split())
    assert (
        f"Each host builds {kept['name']} for itself, as no machine builds it for {OTHER}" in words
    )
    assert f"localhost has the architecture {platform.machine()}" in words
