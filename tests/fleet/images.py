"""What a fleet's hosts start from: a prepared root file system, and the product's image.

The product's own roles make both once. Both are kept; their names are hashes of their sources.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from .engine import REPOSITORY, HarnessError, command, docker

# What role dlrm_host's outcome depends on.
HOST_SOURCES = ("roles/dlrm_host", "inventories/common/group_vars/all/dlrm_host.yml")

# Label of an engine's volume that hosts start from.
ENGINE = "dlrm-fleet.test-host=engine"

# The newest of each kind stay: this work tree's, and another work tree's.
KEPT = 2

# Written last into a copied volume.
WHOLE = ".dlrm-test-whole"


def program(name: str) -> str:
    """Of the same virtual environment as this Python."""
    return str(Path(sys.executable).parent / name)


def ansible_environment(**more: str) -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), **more}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _tree(*names: str) -> str:
    """One sha256 over the files at or below these paths of the repository."""
    lines = []
    for name in names:
        path = REPOSITORY / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                lines.append(f"{file.relative_to(REPOSITORY)} {content}")
    return _digest(*lines)


def host_image() -> str:
    """A freshly installed machine with an engine (tests/fleet/images)."""
    return command(str(REPOSITORY / "tests/fleet/images/build.sh"), "engine").split()[-1]


def product_image() -> str:
    """The name of this work tree's benchmark image, as role dlrm_image finds it."""
    archive = REPOSITORY / ".cache" / f"base-image-{os.uname().machine}.tar"
    dockerfile = (REPOSITORY / "benchmark/Dockerfile").read_text().splitlines()
    base = next(line for line in dockerfile if line.startswith("ARG BASE="))
    arguments = {
        "context_dir": str(REPOSITORY / "benchmark"),
        "base": base.removeprefix("ARG BASE="),
    }
    if archive.exists():
        arguments["base_archive"] = str(archive)
    asked = [program("ansible"), "localhost", "-i", "localhost,", "-c", "local"]
    asked += ["-m", "dlrm_image_info", "-a", json.dumps(arguments)]
    asked += ["-e", f"ansible_python_interpreter={sys.executable}"]
    environment = ansible_environment(
        ANSIBLE_LOAD_CALLBACK_PLUGINS="1", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"
    )
    ended = subprocess.run(
        asked, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment
    )
    try:
        task = json.loads(ended.stdout)["plays"][0]["tasks"][0]
        return str(task["hosts"]["localhost"]["name"])
    except (ValueError, KeyError, IndexError):
        said = ended.stdout[-800:] + ended.stderr[-800:]
        raise HarnessError(f"cannot name the product's image: {said}") from None


def has_image(name: str) -> bool:
    return bool(docker("image", "ls", "--quiet", name).strip())


def has_files(volume: str, image: str) -> bool:
    """Whether the volume holds a whole copy; what a killed copy left is removed."""
    if not docker("volume", "ls", "--quiet", "--filter", f"name=^{volume}$").strip():
        return False
    run = ("run", "--rm", "--network", "none", "--entrypoint", "cat")
    if docker(*run, "--volume", f"{volume}:/v:ro", image, f"/v/{WHOLE}", check=False) == "whole\n":
        return True
    docker("volume", "rm", volume)
    return False


def names(host: str, product: str) -> tuple[str, str]:
    """(prepared root file system, volume of the engine's files with the product's image)."""
    prepared = f"dlrm-test-host-prepared:{_digest(host, _tree(*HOST_SOURCES))}"
    return prepared, f"dlrm-test-engine-{_digest(host, product)}"


def remove_superseded() -> None:
    """Remove what hosts of older sources started from, unless a running host uses it."""
    # An image is removed after the images made of it; each list is newest first.
    for kind in ("prepared", "engine", "bare"):
        listed = docker("image", "ls", "--format", "{{.ID}}", f"dlrm-test-host-{kind}").split()
        for identity in listed[KEPT:]:
            docker("image", "rm", identity, check=False)
    form = "{{.CreatedAt}} {{.Name}}"
    volumes = docker("volume", "ls", "--quiet", "--filter", f"label={ENGINE}").split()
    if volumes:
        made = docker("volume", "inspect", "--format", form, *volumes).splitlines()
        for line in sorted(made, reverse=True)[KEPT:]:
            docker("volume", "rm", line.split()[-1], check=False)


def copy_volume(source: str, target: str, image: str) -> None:
    """Copy a container engine's files, with all their attributes."""
    script = f"cp --archive /from/. /to/ && echo whole >/to/{WHOLE}"
    docker(
        *("run", "--rm", "--network", "none", "--entrypoint", "sh"),
        *("--volume", f"{source}:/from:ro", "--volume", f"{target}:/to", image, "-c", script),
    )


def share_volume(source: str, target: str, image: str) -> None:
    """The same for a host, but files of layers are hard links, so 32 hosts share them.

    That is safe: an engine never writes into an image's layer, and the source has no containers.
    """
    # Links do not cross mounts: the folder of all volumes is one.
    found = docker("volume", "inspect", "--format", "{{.Mountpoint}}", source).strip()
    volumes = Path(found).parents[1]
    script = (
        f"set -e; cd /v/{source}/_data; to=/v/{target}/_data; cp --archive --link overlay2 $to;"
        " find . -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp --archive -t $to {} +;"
        f" echo whole >$to/{WHOLE}"
    )
    docker(
        *("run", "--rm", "--network", "none", "--entrypoint", "sh", "--volume", f"{volumes}:/v"),
        *(image, "-c", script),
    )


def lend(product: str, container: str) -> None:
    """Pipe the image from engine to engine, without an archive of a gigabyte on the disk."""
    save = subprocess.Popen(["docker", "save", product], stdout=subprocess.PIPE)
    load = subprocess.run(
        ["docker", "exec", "--interactive", container, "docker", "load", "--quiet"],
        stdin=save.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    if save.wait() != 0 or load.returncode != 0:
        raise HarnessError(f"cannot lend {product} to {container}: {load.stderr[-800:]}")
