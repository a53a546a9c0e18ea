"""An image archive is read before it is loaded: one image, one tag, the promised digest."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.dlrm_fleet.container import archive_members
from ansible.module_utils.dlrm_fleet.container.archive import check_image, read_archive
from ansible.module_utils.dlrm_fleet.wire.strict_json import Malformed
from image_archive import (
    CONFIG,
    ID,
    LAYER,
    NAME,
    Files,
    legacy,
    member,
    oci,
    oci_manifest,
    sha256,
    written,
)

WHAT = "refused the archive"


def examine(content: bytes, name: str = NAME, image_id: str = ID) -> tuple[str, ...]:
    image = read_archive(io.BytesIO(content), WHAT)
    check_image(image, WHAT, name, image_id)
    return image.ids


def refusal(content: bytes, **wanted: str) -> str:
    with pytest.raises(Malformed) as caught:
        examine(content, **wanted)
    assert str(caught.value).startswith(WHAT)
    return str(caught.value)


def test_an_archive_of_docker_20_is_read() -> None:
    assert examine(written(legacy())) == (ID,)


def test_an_archive_of_docker_25_is_read() -> None:
    """Its image has two digests: which one an engine uses depends on its image store."""
    both = examine(written(oci()))
    assert both == (ID, f"sha256:{sha256(oci_manifest())}")
    assert examine(written(oci()), image_id=both[1]) == both


def test_a_layer_that_is_there_twice_may_be_a_link() -> None:
    """Docker 20.10 saves equal layers so."""
    link = member("cd/layer.tar", type=tarfile.SYMTYPE, linkname=f"../{'ab' * 32}/layer.tar")
    files = legacy()
    files["manifest.json"][0]["Layers"].append("cd/layer.tar")
    assert examine(written(files, [link])) == (ID,)


@pytest.mark.parametrize("made", [legacy, oci])
@pytest.mark.parametrize(
    "tags", [[NAME, "debian:12", "dlrm-bench:1"], [NAME, NAME], [], None, NAME, [None], [7]]
)
def test_any_other_number_of_tags_is_refused(made: Callable[[], Files], tags: Any) -> None:
    files = made()
    files["manifest.json"][0]["RepoTags"] = tags
    assert "one tag alone is wanted" in refusal(written(files))


def test_another_tag_is_refused() -> None:
    assert "has the tag 'dlrm-bench:0123456789ab', wanted is dlrm-bench:other" in refusal(
        written(legacy()), name="dlrm-bench:other"
    )


@pytest.mark.parametrize("made", [legacy, oci])
def test_another_image_is_refused(made: Callable[[], Files]) -> None:
    wanted = f"sha256:{'0' * 64}"
    assert f"wanted is {wanted}" in refusal(written(made()), image_id=wanted)


def test_a_configuration_of_another_content_is_refused() -> None:
    """Its name alone promises the digest."""
    files = {**legacy(), f"{sha256(CONFIG)}.json": b"{}"}
    assert "has sha256" in refusal(written(files))


@pytest.mark.parametrize("entries", [[], {}, "x", None, [1], [[]]])
def test_a_manifest_of_no_image_is_refused(entries: Any) -> None:
    refusal(written({**legacy(), "manifest.json": json.dumps(entries).encode()}))


def test_two_images_are_refused() -> None:
    files = legacy()
    files["manifest.json"] *= 2
    assert "has 2 images, one is wanted" in refusal(written(files))


@pytest.mark.parametrize(
    "field",
    ["repoTags", "REPOTAGS", "config", "layer\N{LATIN SMALL LETTER LONG S}", "\N{KELVIN SIGN}ey"],
)
def test_a_field_that_the_engine_reads_in_another_way_is_refused(field: str) -> None:
    """Go's parser ignores case, also that of two letters outside ASCII."""
    files = legacy()
    files["manifest.json"][0][field] = ["debian:12"]
    assert "read in two ways" in refusal(written(files))


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"debian": {"12": "ab"}},
        {"dlrm-bench": {}},
        {"dlrm-bench": {"0123456789ab": "ab", "other": "ab"}},
        {"dlrm-bench": {"0123456789ab": "ab"}, "debian": {"12": "ab"}},
        [],
    ],
)
def test_repositories_must_name_the_tag_alone(found: Any) -> None:
    assert "'repositories' must name" in refusal(written({**legacy(), "repositories": found}))


def changed_index(change: Callable[[dict[str, Any]], object]) -> bytes:
    files = oci()
    change(files["index.json"])
    return written(files)


def test_an_index_must_name_the_image_alone() -> None:
    entry = oci()["index.json"]["manifests"][0]
    assert "must name one manifest" in refusal(
        changed_index(lambda index: index["manifests"].append(entry))
    )
    assert "must name one manifest" in refusal(changed_index(lambda index: index.clear()))
    for given in (
        None,
        {},
        {"io.containerd.image.name": "docker.io/library/debian:12"},
        {**entry["annotations"], "org.opencontainers.image.ref.name": "12"},
    ):
        files = oci()
        files["index.json"]["manifests"][0]["annotations"] = given
        assert "its index.json must name" in refusal(written(files))


def test_an_index_of_another_image_is_refused() -> None:
    other = json.dumps({"os": "linux"}).encode()
    manifest = oci_manifest().replace(sha256(CONFIG).encode(), sha256(other).encode())
    files = oci()
    files["index.json"]["manifests"][0]["digest"] = f"sha256:{sha256(manifest)}"
    for blob in (other, manifest):
        files[f"blobs/sha256/{sha256(blob)}"] = blob
    assert "name different images" in refusal(written(files))


def test_a_blob_of_another_content_is_refused() -> None:
    files = oci()
    files[f"blobs/sha256/{sha256(oci_manifest())}"] = b"{}"
    assert "has sha256" in refusal(written(files))


def test_a_layout_without_index_is_refused() -> None:
    files = oci()
    del files["index.json"]
    assert "has no file 'index.json'" in refusal(written(files))


@pytest.mark.parametrize("made", [legacy, oci])
def test_a_layer_that_is_missing_is_refused(made: Callable[[], Files]) -> None:
    files = {name: content for name, content in made().items() if content != LAYER}
    assert "layer" in refusal(written(files))


def test_a_layer_that_only_the_index_names_is_refused() -> None:
    assert "layer sha256:" in refusal(written(oci(oci_manifest(b"another layer"))))


def test_a_huge_configuration_is_refused_unread() -> None:
    huge = b" " * (5 * 1024**2)
    files = {**legacy(), f"{sha256(huge)}.json": huge}
    files["manifest.json"][0]["Config"] = f"{sha256(huge)}.json"
    assert "has more than" in refusal(written(files), image_id=f"sha256:{sha256(huge)}")


ODD: dict[str, tuple[tarfile.TarInfo, bytes]] = {
    "a link outside": member("x", type=tarfile.SYMTYPE, linkname="../../etc/passwd"),
    "a link outside and back": member("x", type=tarfile.SYMTYPE, linkname="../manifest.json"),
    "an absolute link": member("x", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a link to nothing": member("x", type=tarfile.SYMTYPE, linkname="y"),
    "a hard link": member("x", type=tarfile.LNKTYPE, linkname="manifest.json"),
    "a pipe": member("x", type=tarfile.FIFOTYPE),
    "a device": member("x", type=tarfile.BLKTYPE),
    "a path upward": member("../x"),
    "an absolute path": member("/x"),
    "another spelling": member("./manifest.json", b"[]"),
    "a line feed": member("x\ny"),
    "a name again": member("manifest.json", b"[]"),
    "a folder of a file's name": member("manifest.json", type=tarfile.DIRTYPE),
    "a file below a file": member("manifest.json/x"),
    "a name in an extended header": member("x", pax_headers={"path": "y"}),
    "a sparse file": member("x", pax_headers={"GNU.sparse.major": "1"}),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_a_member_that_is_no_plain_file_is_refused(odd: tuple[tarfile.TarInfo, bytes]) -> None:
    refusal(written(legacy(), [odd]))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_a_long_name_is_refused(form: int) -> None:
    """Each format writes it in a way of its own."""
    refusal(written(legacy(), [member(f"{'x' * 60}/{'y' * 60}", b"")], form))


@pytest.mark.parametrize(
    "content",
    [b"{" * 100, b"[" * 100_000, b"NaN", b'[{"a": 1, "a": 2}]', b"\xff", b""],
)
def test_a_manifest_that_is_not_strict_json_is_refused(content: bytes) -> None:
    refusal(written({**legacy(), "manifest.json": content}))


def test_a_huge_manifest_is_refused_unread() -> None:
    huge = b"[" + b" " * (8 * 1024**2) + b"]"
    assert "has more than" in refusal(written({**legacy(), "manifest.json": huge}))


def test_a_huge_header_is_refused_unread() -> None:
    """tarfile reads an extended header at once."""
    odd = member("x", pax_headers={"comment": "x" * (2 * 1024**2)})
    assert "a header that is too long" in refusal(written(legacy(), [odd]))


def test_too_many_members_are_refused() -> None:
    many = [member(f"x{number}") for number in range(archive_members.MOST_MEMBERS)]
    assert "more than 2000 members" in refusal(written(legacy(), many))


def test_a_member_of_negative_size_ends() -> None:
    """Some releases of tarfile read such a member for ever."""
    content = bytearray(written({"x": b""}, None)[:1024] + written(legacy()))
    content[124:136] = b"\xff" * 10 + b"\xfa\x00"
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    refusal(bytes(content))


def test_a_truncated_archive_is_refused() -> None:
    whole = written(legacy())
    end = len(whole.rstrip(b"\0"))
    for size in (0, 100, 512, 2000, end // 2, end, end + 512):
        refusal(whole[:size])


def test_what_follows_the_end_is_refused() -> None:
    assert "goes on after its end" in refusal(written(legacy()) + written(oci()))
    damaged = written(legacy()).rstrip(b"\0") + b"\0" * 512 + b"x" * 4096 + b"\0" * 2048
    assert "goes on after its end" in refusal(damaged)
    assert "goes on after its end" in refusal(written(legacy()) + b"\0" * 10**6)


def test_a_compressed_archive_is_refused_unread() -> None:
    """A bomb: 1 GiB of zeros would be read from 1 MB."""
    assert "no plain tar archive" in refusal(gzip.compress(written(legacy())))
    assert "no plain tar archive" in refusal(gzip.compress(b"\0" * 10**7))
