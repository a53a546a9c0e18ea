"""The image's name depends on content and base only."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.dlrm_fleet.base.errors import FleetError
from ansible.module_utils.dlrm_fleet.container.image import (
    base_identity,
    check_same,
    content_sha256,
    context_files,
    image_name,
)

BASE = f"debian@sha256:{'a' * 64}"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmark"
    for name, text in {
        "Dockerfile": "FROM x\n",
        ".dockerignore": "tests\n",
        "src/dlrm_bench/b.py": "b = 1\n",
        "src/dlrm_bench/a.py": "a = 1\n",
        "src/dlrm_bench/tests/inner.py": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_known_context_has_a_known_name(context: Path) -> None:
    """Golden: a change of the hash renames every image and reruns accuracy everywhere."""
    content = content_sha256(context, BASE)
    assert content == "938fc160c4cfcca392a0c1a52736e1611658e4421665b92d82bc014474273bf2"
    assert image_name(content) == f"dlrm-bench:{content[:12]}"


def test_order_is_by_path(context: Path) -> None:
    names = [path.relative_to(context).as_posix() for path in context_files(context)]
    assert names == [
        ".dockerignore",
        "Dockerfile",
        "src/dlrm_bench/a.py",
        "src/dlrm_bench/b.py",
        "src/dlrm_bench/tests/inner.py",
    ]


def touch(name: str) -> Callable[[Path], None]:
    def change(context: Path) -> None:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("anything")

    return change


def change_text(context: Path) -> None:
    (context / "src/dlrm_bench/a.py").write_text("a = 2\n")


def make_executable(context: Path) -> None:
    (context / "src/dlrm_bench/a.py").chmod(0o755)


def rename(context: Path) -> None:
    (context / "src/dlrm_bench/a.py").rename(context / "src/dlrm_bench/c.py")


def make_link(context: Path) -> None:
    (context / "src/dlrm_bench/a.py").unlink()
    (context / "src/dlrm_bench/a.py").symlink_to("b.py")


@pytest.mark.parametrize(
    "change",
    [change_text, make_executable, rename, make_link, touch("src/new.py"), touch("src/tests/x")],
)
def test_what_changes_the_image_changes_its_name(
    context: Path, change: Callable[[Path], None]
) -> None:
    before = content_sha256(context, BASE)
    change(context)
    assert content_sha256(context, BASE) != before


def group_writable(context: Path) -> None:
    (context / "src/dlrm_bench/a.py").chmod(0o664)


def old(context: Path) -> None:
    os.utime(context / "src/dlrm_bench/a.py", (1, 1))


@pytest.mark.parametrize(
    "change",
    [
        group_writable,
        old,
        touch("tests/test_a.py"),
        touch("bench/speed.py"),
        touch("wheels/torch-2.whl"),
        touch("ca/ca.crt"),
        touch(".pytest_cache/x"),
        touch("src/.hidden"),
        touch("src/dlrm_bench/__pycache__/a.pyc"),
        touch("src/dlrm_bench/a.pyc"),
        touch("src/dlrm_bench.egg-info/PKG-INFO"),
    ],
)
def test_what_does_not_reach_the_image_does_not_change_its_name(
    context: Path, change: Callable[[Path], None]
) -> None:
    before = content_sha256(context, BASE)
    change(context)
    assert content_sha256(context, BASE) == before


def test_a_copy_elsewhere_has_the_same_name(context: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(context, tmp_path / "elsewhere" / "b")
    assert content_sha256(copy, BASE) == content_sha256(context, BASE)


def test_another_base_changes_the_name(context: Path) -> None:
    assert content_sha256(context, BASE) != content_sha256(context, BASE.replace("a", "b"))


def write_archive(path: Path, manifest: object, name: str = "./manifest.json") -> Path:
    data = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("name", ["manifest.json", "./manifest.json"])
def test_an_archive_is_known_by_its_tag_and_hash(tmp_path: Path, name: str) -> None:
    manifest = [{"Config": "c.json", "RepoTags": ["dlrm-base:0123456789ab"]}]
    archive = write_archive(tmp_path / "base.tar", manifest, name)
    reference, identity = base_identity("", archive)
    assert reference == "dlrm-base:0123456789ab"
    assert identity.startswith("sha256:")
    assert len(identity) == 71


def test_a_digest_reference_is_its_own_identity() -> None:
    assert base_identity(BASE, None) == (BASE, BASE)


@pytest.mark.parametrize("base", ["debian:bookworm-slim", "", "debian@sha256:12"])
def test_a_base_without_digest_is_refused(base: str) -> None:
    with pytest.raises(FleetError, match=f"base image '{base}' is not pinned"):
        base_identity(base, None)


def test_archives_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no such file"):
        base_identity("", tmp_path / "absent.tar")
    (tmp_path / "text.tar").write_text("not a tar")
    with pytest.raises(FleetError, match="cannot be read as a tar archive"):
        base_identity("", tmp_path / "text.tar")
    with pytest.raises(FleetError, match="its manifest.json has no tag"):
        base_identity("", write_archive(tmp_path / "other.tar", [{"RepoTags": None}]))
    with pytest.raises(FleetError, match="its manifest.json has no tag"):
        base_identity("", write_archive(tmp_path / "third.tar", [], "something.json"))


def test_a_context_without_dockerfile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="there is no Dockerfile"):
        content_sha256(tmp_path, BASE)


def test_a_socket_or_pipe_is_refused(context: Path) -> None:
    os.mkfifo(context / "src" / "pipe")
    with pytest.raises(FleetError, match="neither a file, a folder nor a link"):
        content_sha256(context, BASE)


def test_two_images_of_one_architecture_are_refused() -> None:
    images = {"b": "sha256:2", "a": "sha256:1", "arm": "sha256:3"}
    architectures = {"b": "x86_64", "a": "x86_64", "arm": "aarch64"}
    check_same("dlrm-bench:1", "aarch64", images, architectures)
    check_same("dlrm-bench:1", "x86_64", {**images, "b": "sha256:1"}, architectures)
    with pytest.raises(FleetError) as caught:
        check_same("dlrm-bench:1", "x86_64", images, architectures)
    assert str(caught.value) == (
        "The hosts of this run have different images dlrm-bench:1 (x86_64): a has sha256:1; b has "
        "sha256:2. Remove it from them (docker image rm dlrm-bench:1) and run again: they then "
        "load the one that was built for all."
    )
