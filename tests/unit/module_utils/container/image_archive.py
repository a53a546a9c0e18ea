"""Image archives as releases of Docker write them, and members that they never write."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import Any

NAME = "dlrm-bench:0123456789ab"
LAYER = b"a layer"
CONFIG = json.dumps({"architecture": "amd64", "os": "linux"}).encode()

Files = dict[str, Any]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ID = f"sha256:{sha256(CONFIG)}"


def legacy(tags: Any = None) -> Files:
    """As Docker 20.10 writes it; a value that is no bytes is written as JSON."""
    layer = "ab" * 32
    return {
        f"{sha256(CONFIG)}.json": CONFIG,
        f"{layer}/": None,
        f"{layer}/VERSION": b"1.0",
        f"{layer}/json": {},
        f"{layer}/layer.tar": LAYER,
        "manifest.json": [
            {
                "Config": f"{sha256(CONFIG)}.json",
                "RepoTags": [NAME] if tags is None else tags,
                "Layers": [f"{layer}/layer.tar"],
            }
        ],
        "repositories": {"dlrm-bench": {NAME.split(":")[1]: layer}},
    }


def oci_manifest(layer: bytes = LAYER) -> bytes:
    digests = {"config": sha256(CONFIG), "layer": sha256(layer)}
    return json.dumps(
        {
            "schemaVersion": 2,
            "config": {"digest": f"sha256:{digests['config']}", "size": len(CONFIG)},
            "layers": [{"digest": f"sha256:{digests['layer']}", "size": len(layer)}],
        }
    ).encode()


def oci(manifest: bytes | None = None) -> Files:
    """As Docker 25 and later write it; `manifest` in place of oci_manifest()."""
    manifest = manifest or oci_manifest()
    annotations = {
        "io.containerd.image.name": f"docker.io/library/{NAME}",
        "org.opencontainers.image.ref.name": NAME.split(":")[1],
    }
    blobs = {f"blobs/sha256/{sha256(one)}": one for one in (CONFIG, LAYER, manifest)}
    return {
        "blobs/": None,
        "blobs/sha256/": None,
        **blobs,
        "index.json": {
            "schemaVersion": 2,
            "manifests": [{"digest": f"sha256:{sha256(manifest)}", "annotations": annotations}],
        },
        "manifest.json": [
            {
                "Config": f"blobs/sha256/{sha256(CONFIG)}",
                "RepoTags": [NAME],
                "Layers": [f"blobs/sha256/{sha256(LAYER)}"],
                "LayerSources": {},
            }
        ],
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "repositories": {"dlrm-bench": {NAME.split(":")[1]: "ab" * 32}},
    }


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def written(
    files: Files,
    more: list[tuple[tarfile.TarInfo, bytes]] | None = None,
    form: int = tarfile.PAX_FORMAT,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, content in files.items():
            if content is None:
                tar.addfile(member(name.rstrip("/"), type=tarfile.DIRTYPE)[0])
            else:
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                tar.addfile(member(name, data)[0], io.BytesIO(data))
        for info, data in more or []:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
