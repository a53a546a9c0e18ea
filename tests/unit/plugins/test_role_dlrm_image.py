"""The role loads nothing but the one image that a builder made; a stand-in for Docker sees it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker_api
import playbook
import pytest

ARCHITECTURE = os.uname().machine
BASE = f"debian@sha256:{'a' * 64}"


class World:
    """One machine is measured and keeps the images; the controller is the same machine."""

    def __init__(self, folder: Path, docker: docker_api.Docker) -> None:
        self.folder = folder
        self.docker = docker
        (folder / "context").mkdir()
        (folder / "context" / "Dockerfile").write_text("FROM debian\n")
        for name in ("host", "storage"):
            (folder / name).mkdir()

    @property
    def name(self) -> str:
        """As module dlrm_image_info computes it."""
        content = hashlib.sha256()
        dockerfile = hashlib.sha256(b"FROM debian\n").hexdigest()
        content.update(f"Dockerfile\0file\0{dockerfile}\n".encode())
        content.update(f"base\0{BASE}\n".encode())
        return f"dlrm-bench:{content.hexdigest()[:12]}"

    @property
    def entry(self) -> Path:
        return (
            self.folder
            / "storage"
            / "images"
            / ARCHITECTURE
            / f"{self.name}.json".replace(":", "-")
        )

    def keep(self, archive: bytes, image_id: str, **fields: Any) -> None:
        """The storage node keeps this archive."""
        sha256 = hashlib.sha256(archive).hexdigest()
        stored = self.folder / "storage" / "store" / "sha256" / sha256[:2] / sha256
        stored.parent.mkdir(parents=True)
        stored.write_bytes(archive)
        entry = {
            "schema_version": 2,
            "name": self.name,
            "id": image_id,
            "architecture": ARCHITECTURE,
            "bytes": len(archive),
            "sha256": sha256,
            "builder": "localhost",
            "builder_kind": "controller",
            "saved_at": "2026-01-31T12:00:00Z",
            **fields,
        }
        self.entry.parent.mkdir(parents=True)
        self.entry.write_text(json.dumps(entry))

    def play(self, *options: str, **more: Any) -> playbook.Ended:
        here = str(self.folder)
        variables: dict[str, Any] = {
            "ansible_become": False,
            "dlrm_image_context_dir": f"{here}/context",
            "dlrm_image_base": BASE,
            "dlrm_image_build_dir": f"{here}/build",
            "dlrm_image_python": sys.executable,
            "dlrm_image_architecture": ARCHITECTURE,
            "dlrm_image_fleet": ["node1"],
            "dlrm_image_storage_node": "node1",
            "dlrm_image_storage_root": f"{here}/storage",
            "dlrm_image_host_root": f"{here}/host",
            # By its name before: role dlrm_storage of an earlier release brings the image.
            "dlrm_image_travels": True,
            "dlrm_storage_node": "node1",
            "dlrm_storage_root": f"{here}/storage",
            "dlrm_storage_host_root": f"{here}/host",
            **more,
        }
        role = {"name": str(playbook.REPOSITORY / "roles/dlrm_image")}
        tasks = [
            {"name": "Include", "ansible.builtin.include_role": role},
            {"name": "Say", "ansible.builtin.debug": {"msg": "it is {{ dlrm_image_id }}"}},
        ]
        return playbook.run(self.folder / "play", tasks, *options, variables=variables)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with (
        # A socket's path has at most 107 characters.
        tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as folder,
        docker_api.running(Path(folder) / "s") as docker,
    ):
        monkeypatch.setenv("DOCKER_HOST", docker.address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        for name in ("PIP_CERT", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name, raising=False)
        yield World(tmp_path, docker)


def test_an_archive_of_three_tags_is_not_loaded(world: World) -> None:
    """Docker would load all three, one of them over another image that is there."""
    debian = docker_api.archive(["debian:12"], "the host's own")[0]
    world.docker.images["debian:12"] = debian
    image_id, forged = docker_api.archive([world.name, "debian:12", "dlrm-bench:other"], "forged")
    world.keep(forged, image_id)
    ended = world.play()
    assert world.docker.images == {"debian:12": debian}, ended.output[-3000:]
    assert ended.code == 2
    assert "one tag alone is wanted" in ended.words
    assert "node1 loaded nothing" in ended.words
    assert not list((world.folder / "build").iterdir())
    assert not list((world.folder / "host" / "incoming").iterdir())


def test_an_archive_of_another_image_is_not_loaded(world: World) -> None:
    promised, _ = docker_api.archive([world.name], "promised")
    world.keep(docker_api.archive([world.name], "other")[1], promised)
    ended = world.play()
    assert world.docker.images == {}, ended.output[-3000:]
    assert ended.code == 2
    assert f"wanted is {promised}" in ended.words


def test_the_promised_image_is_loaded(world: World) -> None:
    image_id, archive = docker_api.archive([world.name], "promised")
    world.keep(archive, image_id)
    ended = world.play()
    assert ended.code == 0, ended.output[-3000:]
    assert world.docker.images == {world.name: image_id}
    assert f"it is {image_id}" in ended.words
    assert not list((world.folder / "build").iterdir())
    assert "POST /build" not in world.docker.asked


def test_what_a_measured_host_saved_is_made_anew(world: World) -> None:
    """The entry is of an earlier release."""
    image_id, archive = docker_api.archive([world.name], "of a measured host")
    world.keep(archive, image_id, schema_version=1, saved_from="node1")
    ended = world.play()
    assert ended.code == 0, ended.output[-3000:]
    built = docker_api.archive([world.name], "built")[0]
    assert world.docker.images == {world.name: built}
    assert "which kept the image of a measured host" in ended.words
    assert f"localhost builds {world.name} for {ARCHITECTURE}" in ended.words
    assert "POST /build" in world.docker.asked
    entry = json.loads(world.entry.read_text())
    assert (entry["id"], entry["builder"]) == (built, "localhost")
    stored = world.folder / "storage/store/sha256" / entry["sha256"][:2] / entry["sha256"]
    assert stored.stat().st_size == entry["bytes"]
    assert not list(world.folder.rglob("image.*"))


def test_the_storage_node_builds_where_the_controller_does_not(world: World) -> None:
    """It measures as well, and its image is found by the next command."""
    ended = world.play(dlrm_image_builders=["node1"])
    assert ended.code == 0, ended.output[-3000:]
    assert json.loads(world.entry.read_text())["builder_kind"] == "storage"
    world.docker.asked.clear()
    again = world.play(dlrm_image_builders=["node1"])
    assert again.code == 0, again.output[-3000:]
    assert not any(asked.startswith("POST") for asked in world.docker.asked)


def test_a_machine_named_for_it_builds(world: World) -> None:
    """Even if --limit leaves it out. The controller carries its archive to the storage node."""
    cheap = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "dlrm_image_python": sys.executable,
    }
    inventory = world.folder / "cheap.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"cheap": cheap}}}))
    builders = ["cheap", "node1"]
    ended = world.play("-i", str(inventory), "--limit", "node1", dlrm_image_builders=builders)
    assert ended.code == 0, ended.output[-3000:]
    built = docker_api.archive([world.name], "built")[0]
    assert world.docker.images == {world.name: built}
    entry = json.loads(world.entry.read_text())
    assert (entry["builder"], entry["builder_kind"], entry["id"]) == ("cheap", "named", built)
    assert not list(world.folder.rglob("image.*"))


def test_a_host_for_which_nobody_builds_keeps_its_own(world: World) -> None:
    own = docker_api.archive([world.name], "its own")[0]
    world.docker.images[world.name] = own
    ended = world.play(dlrm_image_architecture="another")
    assert ended.code == 0, ended.output[-3000:]
    assert f"Each host builds {world.name} for itself" in ended.words
    assert f"localhost has the architecture {ARCHITECTURE}" in ended.words
    assert f"it is {own}" in ended.words
    assert world.docker.images == {world.name: own}
    assert not list((world.folder / "storage").rglob("*.json"))


def test_a_build_that_fails_is_said_by_each_host(world: World) -> None:
    world.docker.refusal = "no space left"
    ended = world.play()
    assert ended.code == 2
    assert f"node1 cannot get the image {world.name}" in ended.words
    assert f"Building {world.name} on localhost failed" in ended.words, ended.output[-3000:]
    assert not world.entry.exists()
    assert "no space left" in (world.folder / "cache/dlrm-fleet/build/failed.log").read_text()
    assert not list(world.folder.rglob("image.*"))
