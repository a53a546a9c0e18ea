"""Where pip and apt would get what a host lacks: their own settings, read as they read them."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .fetching import Through

# pip's files for all users and for root, the weaker first (pip's documentation, "Configuration").
PIP_FILES = (
    *("etc/xdg/pip/pip.conf", "etc/pip.conf"),
    *("root/.pip/pip.conf", "root/.config/pip/pip.conf"),
)
# One line of sources.list(5), without its options.
ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", re.MULTILINE)
APT_PROXY = re.compile(r'Acquire::(https?)::Proxy\s+"([^"]+)"', re.IGNORECASE)
MOST_MIRRORS = 4
# os-release(5): ID, or one of ID_LIKE -> the name of the role's file of packages.
FAMILIES = {
    "debian": "Debian",
    "ubuntu": "Debian",
    "amzn": "Amazon",
    "rhel": "RedHat",
    "fedora": "RedHat",
    "centos": "RedHat",
}


@dataclass(frozen=True)
class Pip:
    """`index`: empty where pip asks none; `others`: it looks elsewhere, too."""

    index: str
    through: Through
    others: bool


def pip_settings(root: Path, environment: Mapping[str, str], default: str) -> Pip:
    """pip's settings; `environment`: what dlrm_host_pip_environment gives it.

    `default`: the index that pip asks where nothing sets one.
    """
    found: dict[str, str] = {}
    for name in (*PIP_FILES, environment.get("PIP_CONFIG_FILE", "").lstrip("/")):
        found.update(_section(root / name) if name else {})
    for name, value in environment.items():
        if name.startswith("PIP_"):
            found[name[len("PIP_") :].lower().replace("_", "-")] = str(value)
    names = {name.lower(): str(value) for name, value in environment.items()}
    proxies = {
        scheme: found.get("proxy") or names[f"{scheme}_proxy"]
        for scheme in ("http", "https")
        if found.get("proxy") or names.get(f"{scheme}_proxy")
    }
    index = "" if found.get("no-index", "") in ("1", "true", "yes") else found.get("index-url")
    through = Through(proxies, found.get("cert", ""), str(root / "root/.netrc"))
    others = bool(found.get("extra-index-url") or found.get("find-links"))
    return Pip((default if index is None else index).rstrip("/"), through, others)


def _section(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, configparser.Error):
        return {}
    sections = [name for name in ("global", "install") if parser.has_section(name)]
    return {key: value for name in sections for key, value in parser.items(name)}


def apt_indexes(root: Path) -> list[str]:
    """The first file that apt fetches from each of its first mirrors."""
    found: list[str] = []
    for uri, suite in _apt_sources(root / "etc/apt"):
        if not uri.startswith(("http://", "https://")):
            continue
        base = uri.rstrip("/")
        place = f"{base}/{suite}" if suite.endswith("/") else f"{base}/dists/{suite}/"
        found.append(f"{place}InRelease")
    return list(dict.fromkeys(found))[:MOST_MIRRORS]


def _apt_sources(folder: Path) -> Iterator[tuple[str, str]]:
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        yield from ONE_LINE.findall(_text(path))
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        for paragraph in re.split(r"\n\s*\n", _text(path)):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", paragraph, re.MULTILINE))
            if fields.get("Enabled", "yes").lower() == "no" or "deb" not in fields.get("Types", ""):
                continue
            for uri in fields.get("URIs", "").split():
                yield from ((uri, suite) for suite in fields.get("Suites", "").split())


def apt_through(root: Path) -> Through:
    folder = root / "etc/apt"
    texts = [_text(path) for path in [*sorted(folder.glob("apt.conf.d/*")), folder / "apt.conf"]]
    proxies = {scheme.lower(): proxy for text in texts for scheme, proxy in APT_PROXY.findall(text)}
    return Through({scheme: proxy for scheme, proxy in proxies.items() if proxy != "DIRECT"})


def lacks_lists(root: Path) -> bool:
    return not any((root / "var/lib/apt/lists").glob("*_Packages*"))


def not_installed(root: Path, names: list[str]) -> list[str]:
    """Those of dpkg's packages that are not there."""
    folder = root / "var/lib/dpkg/info"
    return [
        name
        for name in names
        if not (folder / f"{name}.list").exists() and not any(folder.glob(f"{name}:*.list"))
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def family(root: Path) -> str:
    """Debian, Amazon or RedHat; empty for another distribution."""
    fields = dict(re.findall(r"^(ID|ID_LIKE)=\"?([^\"\n]*)", _text(root / "etc/os-release"), re.M))
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    return next((FAMILIES[name] for name in names if name in FAMILIES), "")
