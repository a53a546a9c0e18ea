"""A real engine with a tiny image, and a host's root below tmp_path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny import image
from tiny.machine import Machine


@pytest.fixture(scope="session")
def tiny_image() -> Iterator[str]:
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        pytest.fail(f"These tests need a container engine on this machine: {error}")
    name = f"dlrm-tiny:{os.getpid()}"
    image.make(name)
    yield name
    image.remove(name)


@pytest.fixture
def machine(tmp_path: Path, tiny_image: str) -> Iterator[Machine]:
    made = Machine(tmp_path / "root", tiny_image)
    yield made
    made.remove_containers()
