"""The benchmark image's name: a hash over build context and base, equal on every machine.

Two builds of equal content have one name and are two images. check_same() refuses them where one
machine built for all hosts.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ..base.documents import sha256_file
from ..base.errors import FleetError

# At the context's top. tests, bench: not copied into the image. ca: only the builder reads it.
# wheels: this machine's own stock; requirements*.txt pins by hash what is installed from it.
OUTSIDE = ("tests", "bench", "ca", "wheels")
CACHES = ("__pycache__",)
CACHE_SUFFIXES = (".pyc", ".egg-info", ".partial")
DIGEST_REFERENCE = re.compile(r"^[^\s@]+@sha256:[0-9a-f]{64}$")


def content_sha256(context: Path, base: str) -> str:
    """Hexadecimal, over paths, executable bits and bytes below `context`, then `base`.

    Times, owners and the machine do not enter. Raises FleetError.
    """
    if not (context / "Dockerfile").is_file():
        raise FleetError(
            f"cannot name the image of {str(context)!r}",
            "there is no Dockerfile",
            "Set dlrm_image_context_dir to the folder benchmark/ of this repository",
        )
    digest = hashlib.sha256()
    for path in context_files(context):
        kind, content = _kind_and_content(path)
        name = path.relative_to(context).as_posix()
        digest.update(f"{name}\0{kind}\0{content}\n".encode())
    digest.update(f"base\0{base}\n".encode())
    return digest.hexdigest()


def context_files(context: Path) -> list[Path]:
    """The files that enter the hash; their order depends on neither filesystem nor locale."""
    return sorted(_walk(context, context), key=lambda path: path.relative_to(context).as_posix())


def _walk(folder: Path, context: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if _skipped(path.name, folder == context):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, context)
        else:
            yield path


def _skipped(name: str, at_top: bool) -> bool:
    if name.startswith("."):
        return name != ".dockerignore"
    if at_top and name in OUTSIDE:
        return True
    return name in CACHES or name.endswith(CACHE_SUFFIXES)


def _kind_and_content(path: Path) -> tuple[str, str]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "link", str(path.readlink())
    if not stat.S_ISREG(mode):
        raise FleetError(
            f"cannot hash {str(path)!r}", "it is neither a file, a folder nor a link", "Remove it"
        )
    return ("executable" if mode & stat.S_IXUSR else "file"), sha256_file(path)


def base_identity(base: str, base_archive: Path | None) -> tuple[str, str]:
    """(what the build's FROM names, what enters the hash). Raises FleetError.

    Both are the digest reference `base`; with an archive, its first tag and its sha256.
    """
    if base_archive is not None:
        return _archive_tag(base_archive), f"sha256:{sha256_file(base_archive)}"
    if not DIGEST_REFERENCE.fullmatch(base):
        raise FleetError(
            f"base image {base!r} is not pinned",
            "it must name a digest, such as debian@sha256:<64 hexadecimal digits>",
            "Give the digest, or an archive made by tools/base_archive.sh as base_archive",
        )
    return base, base


def _archive_tag(archive: Path) -> str:
    """The first tag in an archive as `docker save` writes it."""
    what = f"cannot use {str(archive)!r} as base image"
    todo = "Remove it and make a new one with tools/base_archive.sh"
    try:
        with tarfile.open(archive) as tar:
            names = set(tar.getnames())
            name = "manifest.json" if "manifest.json" in names else "./manifest.json"
            member = tar.extractfile(name)
            manifest = json.load(member) if member is not None else []
        return str(manifest[0]["RepoTags"][0])
    except FileNotFoundError:
        raise FleetError(what, "there is no such file", todo) from None
    except (OSError, tarfile.TarError) as error:
        raise FleetError(what, f"it cannot be read as a tar archive ({error})", todo) from None
    except (KeyError, IndexError, TypeError, ValueError):
        why = "its manifest.json has no tag, but 'docker save' writes one"
        raise FleetError(what, why, todo) from None


def image_name(content: str) -> str:
    return f"dlrm-bench:{content[:12]}"


def check_same(
    name: str, architecture: str, images: dict[str, str], architectures: dict[str, str]
) -> None:
    """Refuses different images of one architecture on hosts that were to load a builder's image.

    `images`: host -> the engine's digest; `architectures`: host -> as its kernel names it.
    """
    alike = {host: images[host] for host in sorted(images) if architectures[host] == architecture}
    if len(set(alike.values())) > 1:
        raise FleetError(
            f"The hosts of this run have different images {name} ({architecture})",
            "; ".join(f"{host} has {digest}" for host, digest in alike.items()),
            f"Remove it from them (docker image rm {name}) and run again: they then load the one "
            "that was built for all",
        )
