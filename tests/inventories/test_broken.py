"""A broken inventory ends the command; it must never become an empty fleet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Clouds

LIST = ["ansible", "all", "--list-hosts"]


@pytest.fixture
def copy(clouds: Clouds, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "inventories"
    shutil.copytree(clouds.inventories, folder, symlinks=True)
    yield folder


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "said"),
    [
        ("local", "hosts.yml", "  hosts:", " hosts:", "hosts.yml"),
        ("local", "isa.yml", "lookup(", "lokup(", "lokup"),
        ("onprem", "hosts.yml", "children:", "children", "hosts.yml"),
        ("aws", "aws_ec2.yml", "amazon.aws.aws_ec2", "amazon.aws.ec2", "amazon.aws.ec2"),
        ("aws", "aws_ec2.yml", "aws_tags.role", "aws_tags.rule", "rule"),
        ("gcp", "gcp_compute.yml", "auth_kind: application", "auth_kind: none", "auth_kind"),
        ("gcp", "gcp_compute.yml", "- dlrm-fleet", "- YOUR-PROJECT", "YOUR-PROJECT"),
        ("azure", "azure_rm.yml", "tags.project |", "tags.project |||", "||"),
        ("azure", "azure_rm.yml", "tags.role", "tags.rule", "rule"),
    ],
)
def test_a_mistake_in_the_file_fails(
    clouds: Clouds, copy: Path, name: str, file: str, old: str, new: str, said: str
) -> None:
    config = copy / name / file
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    done = clouds.run(*LIST, "-i", str(copy / name))
    assert done.returncode != 0, done.stdout
    assert said in done.stderr


@pytest.mark.parametrize(
    ("name", "environment", "said"),
    [
        ("aws", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
        ("gcp", {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"}, "/nowhere.json"),
        ("gcp", {"REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}, "certificate"),
        ("azure", {"AZURE_TENANT": "44444444-4444-4444-4444-444444444444"}, "tenant"),
        ("azure", {"REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}, "certificate"),
    ],
)
def test_a_cloud_that_does_not_answer_fails(
    clouds: Clouds, name: str, environment: dict[str, str], said: str
) -> None:
    done = clouds.run(*LIST, "-i", str(clouds.inventories / name), **environment)
    assert done.returncode != 0, done.stdout
    assert said in done.stderr


@pytest.mark.parametrize("name", ["local", "onprem", "aws", "gcp", "azure"])
def test_common_is_linked_not_copied(name: str) -> None:
    folder = ROOT / "inventories" / name
    for part in ("groups.yml", "group_vars"):
        assert (folder / part).is_symlink()
        assert (folder / part).resolve() == (ROOT / "inventories" / "common" / part).resolve()
