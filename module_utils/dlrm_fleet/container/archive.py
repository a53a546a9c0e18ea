"""An image archive as `docker save` writes it, read before the container engine loads it.

The engine gives each tag in an archive to an image, over tags that are there. So an archive must
hold one image with one tag. Docker up to 24 writes <config>.json and <layer>/layer.tar; later ones
an OCI layout (index.json, blobs/sha256/) with the same manifest.json. Both are read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..wire.fields import SHA256
from ..wire.strict_json import Limits, Malformed, parse, shown
from .archive_members import Members, read_members

# A manifest of an image of 1,000 layers has 200 kB.
DOCUMENT = Limits(size=4 * 1024**2, depth=32, nodes=50_000)
CONFIG = re.compile(r"(?:blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.json)")
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
FULL_NAME, SHORT_NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class ArchivedImage:
    """`config` and `manifest`: sha256 of these documents; `manifest` is '' without an OCI layout.

    An engine names an image by the one, or, with containerd's image store, by the other.
    """

    tag: str
    config: str
    manifest: str

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"sha256:{digest}" for digest in (self.config, self.manifest) if digest)


def read_archive(handle: BinaryIO, what: str) -> ArchivedImage:
    """The one image in the archive; Malformed, which begins with `what`, if it is another one."""
    reader = _Reader(read_members(handle, what), what)
    entry = reader.manifest()
    tag, config = reader.tag(entry), reader.config(entry)
    reader.check_layers(entry)
    reader.check_repositories(tag)
    return ArchivedImage(tag, config, reader.oci_manifest(tag, config))


def check_image(image: ArchivedImage, what: str, name: str, image_id: str) -> None:
    """Malformed unless the archive's image is `name` with the engine's digest `image_id`."""
    if image.tag != name:
        raise Malformed(what, f"its image has the tag {shown(image.tag)}, wanted is {name}")
    if image_id not in image.ids:
        raise Malformed(what, f"its image is {' or '.join(image.ids)}, wanted is {image_id}")


class _Reader:
    """The documents of one archive."""

    def __init__(self, members: Members, what: str) -> None:
        self.members = members
        self.what = what

    def refusal(self, why: str) -> Malformed:
        return Malformed(self.what, why)

    def manifest(self) -> dict[str, Any]:
        entries = self._document("manifest.json")
        if not isinstance(entries, list) or len(entries) != 1:
            count = len(entries) if isinstance(entries, list) else "no list of"
            raise self.refusal(f"its manifest.json has {count} images, one is wanted")
        return self._object(entries[0], "manifest.json")

    def tag(self, entry: dict[str, Any]) -> str:
        tags = entry.get("RepoTags")
        if not isinstance(tags, list) or len(tags) != 1 or not isinstance(tags[0], str):
            found = shown(str(tags))
            raise self.refusal(f"its image has the tags {found}, one tag alone is wanted")
        return tags[0]

    def config(self, entry: dict[str, Any]) -> str:
        """Its sha256, which is computed and must be the one in its file's name."""
        name = entry.get("Config")
        match = CONFIG.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            raise self.refusal("its manifest.json names no configuration by sha256")
        digest = match[1] or match[2]
        self._hashed(match[0], digest)
        return digest

    def check_layers(self, entry: dict[str, Any]) -> None:
        layers = entry.get("Layers")
        if not isinstance(layers, list) or not layers:
            raise self.refusal("its manifest.json names no layers")
        for layer in layers:
            if not isinstance(layer, str) or not self.members.has(layer):
                raise self.refusal(f"its layer {shown(str(layer))} is missing")

    def check_repositories(self, tag: str) -> None:
        """Older engines take the tags from this file."""
        if "repositories" not in self.members.files:
            return
        repository, _, version = tag.rpartition(":")
        found = self._document("repositories")
        versions = found.get(repository) if isinstance(found, dict) else None
        if not isinstance(versions, dict) or len(found) != 1 or list(versions) != [version]:
            raise self.refusal(f"its file 'repositories' must name {shown(tag)} alone")

    def oci_manifest(self, tag: str, config: str) -> str:
        """The sha256 of the image's OCI manifest; '' where the archive has no OCI layout."""
        if not {"index.json", "oci-layout"} & self.members.files.keys():
            return ""
        index = self._object(self._document("index.json"), "index.json")
        entries = index.get("manifests")
        if not isinstance(entries, list) or len(entries) != 1:
            raise self.refusal("its index.json must name one manifest")
        entry = self._object(entries[0], "index.json")
        self._check_annotations(entry.get("annotations"), tag)
        digest = self._digest(entry, "index.json")
        manifest = self._object(
            self._parsed(self._hashed(f"blobs/sha256/{digest}", digest)), "its OCI manifest"
        )
        place = "its OCI manifest"
        if self._digest(self._object(manifest.get("config"), place), place) != config:
            raise self.refusal("its index.json and its manifest.json name different images")
        layers = manifest.get("layers")
        if not isinstance(layers, list) or not layers:
            raise self.refusal("its OCI manifest names no layers")
        for layer in layers:
            blob = self._digest(self._object(layer, place), place)
            if not self.members.has(f"blobs/sha256/{blob}"):
                raise self.refusal(f"its layer sha256:{blob} is missing")
        return digest

    def _check_annotations(self, value: Any, tag: str) -> None:
        names = value if isinstance(value, dict) else {}
        allowed = {
            FULL_NAME: (tag, f"docker.io/library/{tag}"),
            SHORT_NAME: (tag, f"docker.io/library/{tag}", tag.rpartition(":")[2]),
        }
        given = {key: names[key] for key in allowed if key in names}
        if not given or any(text not in allowed[key] for key, text in given.items()):
            raise self.refusal(f"its index.json must name {shown(tag)} alone")

    def _digest(self, entry: dict[str, Any], place: str) -> str:
        digest = entry.get("digest")
        match = DIGEST.fullmatch(digest) if isinstance(digest, str) else None
        if match is None:
            raise self.refusal(f"a digest in {place} is no sha256")
        return match[1]

    def _object(self, value: Any, place: str) -> dict[str, Any]:
        """The engine's parser ignores case in names of fields, and the last of two counts."""
        if not isinstance(value, dict):
            raise self.refusal(f"{place} has a {type(value).__name__} where an object is wanted")
        names = {name.lower() for name in value}
        if len(names) != len(value) or not all(name.isascii() for name in value):
            raise self.refusal(f"{place} has names of fields that can be read in two ways")
        return value

    def _document(self, name: str) -> Any:
        return self._parsed(self.members.content(name, DOCUMENT.size))

    def _parsed(self, content: bytes) -> Any:
        return parse(content, self.what, DOCUMENT)

    def _hashed(self, name: str, digest: str) -> bytes:
        content = self.members.content(name, DOCUMENT.size)
        found = hashlib.sha256(content).hexdigest()
        if not SHA256.fullmatch(digest) or found != digest:
            raise self.refusal(f"{shown(name)} has sha256 {found}")
        return content
