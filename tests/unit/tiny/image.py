"""Makes the image from this machine's shell and a few tools, with their libraries."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import docker

TOOLS = (
    *("sh", "cat", "date", "grep", "head", "id", "ls", "mv", "sed", "sha256sum", "sleep", "stat"),
    "tr",
)
SCRIPT = Path(__file__).with_name("dlrm-bench")


def make(name: str) -> str:
    """The image's id."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in ("tmp", "open", "dlrm", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            # The engine gives a tmpfs the mode of the folder that it covers.
            everybody = folder in ("tmp", "open")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if everybody else 0o755
            tar.addfile(entry)
        for source, target in _files():
            tar.add(source, target, filter=_as_root)
    client = docker.from_env(timeout=300)
    repository, _, tag = name.partition(":")
    path = "ENV PATH=/usr/bin"
    client.api.import_image_from_data(
        archive.getvalue(), repository=repository, tag=tag, changes=[path]
    )
    return str(client.images.get(name).id)


def remove(name: str) -> None:
    docker.from_env().images.remove(name, force=True)


def _files() -> list[tuple[str, str]]:
    files = {"/usr/bin/dlrm-bench": str(SCRIPT)}
    for tool in (*TOOLS, "timeout"):
        found = shutil.which(tool)
        assert found is not None, f"{tool} is not on PATH"
        real = str(Path(found).resolve())
        files[f"/usr/bin/{tool}"] = real
        linked = subprocess.run(["ldd", real], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", linked):
            files[library] = str(Path(library).resolve())
    files["/bin/sh"] = files["/usr/bin/sh"]
    return [(source, target) for target, source in sorted(files.items())]


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry
