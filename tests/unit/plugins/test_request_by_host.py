"""What may differ by host does, and what may not is refused with hosts and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import request_play
from request_play import Inventory, Read

OFFICIAL = '{"precision": "int8", "profile": "official"}'


def read(folder: Path, a: dict[str, Any], b: dict[str, Any], *options: str) -> Read:
    return request_play.read(Inventory(folder, {"a": a, "b": b}), *options)


def test_values_that_differ_are_refused_with_hosts_and_values(tmp_path: Path) -> None:
    ended = read(
        tmp_path,
        {"precision": "int8", "data_rows": 5000},
        {"precision": "fp32", "data_rows": 9000},
    )
    assert ended.code != 0, ended.words
    assert "precision: 'int8' on a, 'fp32' on b." in ended.words
    assert "data_rows: 5000 on a, 9000 on b." in ended.words
    assert "set it in group_vars/all, or with -e" in ended.words


def test_one_spelling_or_another_is_no_difference(tmp_path: Path) -> None:
    ended = read(
        tmp_path, {"tune": "yes", "seed": 7}, {"tune": True, "seed": "7"}, "-e", "precision=int8"
    )
    assert ended.code == 0, ended.words
    assert ended.hosts["b"]["request"]["parameters"]["seed"] == 7


def test_a_host_outside_the_limit_does_not_count(tmp_path: Path) -> None:
    ended = read(tmp_path, {"seed": 1}, {"seed": 2}, "-e", "precision=int8", "--limit", "b")
    assert ended.code == 0, ended.words
    assert ended.hosts["b"]["request"]["parameters"]["seed"] == 2


def test_each_host_has_its_own_sources(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("https://x.example/w/?sig=abcdefghijklmnop\n")
    secret.chmod(0o600)
    urls = [{"url": "https://x.example/w/w.npz", "md5": "0" * 32}]
    ended = read(
        tmp_path,
        {"weights_source": "/data/weights", "data_source": "/data/{{ inventory_hostname }}"},
        {
            "weights_source": urls,
            "weights_secret_file": str(secret),
            "data_source": "/data/{{ inventory_hostname }}",
        },
        "-e",
        OFFICIAL,
    )
    assert ended.code == 0, ended.words
    a, b = (ended.hosts[name] for name in "ab")
    assert a["request"]["sources"]["data_source"]["path"] == "/data/a"
    assert b["request"]["sources"]["data_source"]["path"] == "/data/b"
    assert b["request"]["parameters"]["data_source"] == "/data/b"
    assert b["request"]["sources"]["weights_source"]["kind"] == "urls"
    assert (a["secrets"], b["secrets"]) == ({}, {"weights_source": str(secret)})
    # A run on a host is known by what is measured there, so also under another --limit.
    assert a["sha256"] != b["sha256"]


def test_a_source_on_some_hosts_only_is_refused(tmp_path: Path) -> None:
    ended = read(tmp_path, {"data_source": "/data"}, {}, "-e", "precision=int8")
    assert ended.code != 0, ended.words
    assert "data_source: '/data' on a, not given on b." in ended.words


def test_a_bad_value_of_one_host_is_refused_with_its_name(tmp_path: Path) -> None:
    ended = read(tmp_path, {"seed": 7}, {"seed": "seven"}, "-e", "precision=int8")
    assert ended.code != 0, ended.words
    assert "b: seed: 'seven' is not allowed" in ended.words


def test_values_of_a_group_hold_for_its_hosts(tmp_path: Path) -> None:
    inventory = Inventory(
        tmp_path, {"a": {}, "b": {}}, groups={"benchmark_hosts": {"precision": "bf16"}}
    )
    ended = request_play.read(inventory)
    assert ended.code == 0, ended.words
    assert {one["request"]["parameters"]["precision"] for one in ended.hosts.values()} == {"bf16"}
