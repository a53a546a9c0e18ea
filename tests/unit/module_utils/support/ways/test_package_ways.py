"""Where pip and apt would look, read as they read it."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.dlrm_fleet.support.ways import packages

DEFAULT = "https://index.example/simple"
DEB822 = """Types: deb
URIs: http://b.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Enabled: no
"""


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_pip_reads_its_environment_before_its_files(tmp_path: Path) -> None:
    write(tmp_path, "etc/pip.conf", "[global]\nindex-url = https://a.example/simple/\ncert = /c\n")
    found = packages.pip_settings(tmp_path, {}, DEFAULT)
    assert (found.index, found.through.certificates) == ("https://a.example/simple", "/c")
    found = packages.pip_settings(
        tmp_path,
        {"PIP_INDEX_URL": "https://b.example/simple", "https_proxy": "http://p:3128"},
        DEFAULT,
    )
    assert found.index == "https://b.example/simple"
    assert found.through.proxies == {"https": "http://p:3128"}
    assert packages.pip_settings(tmp_path, {"PIP_NO_INDEX": "1"}, DEFAULT).index == ""


def test_pip_without_settings_asks_its_default(tmp_path: Path) -> None:
    assert packages.pip_settings(tmp_path, {}, DEFAULT).index == DEFAULT


def test_apt_in_both_notations(tmp_path: Path) -> None:
    write(tmp_path, "etc/apt/sources.list", "# x\ndeb [arch=amd64] http://a.example/d stable x\n")
    write(tmp_path, "etc/apt/sources.list.d/debian.sources", DEB822)
    assert packages.apt_indexes(tmp_path) == [
        "http://a.example/d/dists/stable/InRelease",
        "http://b.example/debian/dists/bookworm/InRelease",
        "http://b.example/debian/dists/bookworm-updates/InRelease",
    ]


def test_apt_through_its_proxy(tmp_path: Path) -> None:
    write(tmp_path, "etc/apt/apt.conf.d/90", 'Acquire::http::Proxy "http://p:3142";\n')
    assert packages.apt_through(tmp_path).proxies == {"http": "http://p:3142"}


def test_what_is_installed(tmp_path: Path) -> None:
    write(tmp_path, "var/lib/dpkg/info/rsync.list", "")
    write(tmp_path, "var/lib/dpkg/info/libc6:amd64.list", "")
    assert packages.not_installed(tmp_path, ["rsync", "libc6", "docker.io"]) == ["docker.io"]


def test_the_family_of_a_distribution(tmp_path: Path) -> None:
    assert packages.family(tmp_path) == ""
    write(tmp_path, "etc/os-release", 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos"\n')
    assert packages.family(tmp_path) == "RedHat"
