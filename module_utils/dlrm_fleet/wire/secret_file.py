"""The file of a source's secrets: read, checked against the source, and what a container gets.

One line each; blank lines and lines that begin with # are left out. For URLs: a whole URL with its
userinfo or signature, or one that ends in / before its query, for every URL below it. For a .uri:
`Header: value`, for all files of its scheme and host. For an rclone remote: `option = value`, as in
rclone.conf. Messages name lines by number and never quote them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

from ..base.errors import FleetError
from .source_parts import (
    Url,
    is_beside_signature,
    is_secret_option,
    is_secret_parameter,
    parameter_name,
)

LARGEST_FILE = 1024**2
# A shorter value is no secret that could be told from other text.
SHORTEST_VALUE = 4
TODO = "Correct the file (docs/inventories.md, 'How do I give a secret?')"
_SECTION = re.compile(r"\[[^\[\]]+\]")
_OPTION = re.compile(r"([A-Za-z0-9_]+)\s*=\s*(\S.*)")
_HEADER = re.compile(r"([A-Za-z0-9-]+):\s*(\S.*)")
# These are the downloader's own.
_NOT_GIVEN = frozenset(
    ("accept-encoding", "connection", "content-length", "host", "if-range", "range")
)


@dataclass(frozen=True)
class SourceSecret:
    """`urls`: URL of the source -> whole URL; `options`: of the remote, with its type.

    `headers`: scheme and host, as in https://data.example.com -> header -> value.
    """

    urls: dict[str, str] = field(default_factory=dict, repr=False)
    options: dict[str, str] = field(default_factory=dict, repr=False)
    headers: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    def document(self) -> dict[str, Any]:
        """What the container reads at /dlrm/secret.json."""
        return {
            "schema_version": 1,
            "urls": self.urls,
            "options": self.options,
            "headers": self.headers,
            "hidden": self.hidden(),
        }

    def hidden(self) -> list[str]:
        """Every text that must not be shown, longest first."""
        values = {form for value in self._values() for form in _forms(value)}
        return sorted((v for v in values if len(v) >= SHORTEST_VALUE), key=lambda v: (-len(v), v))

    def _values(self) -> Iterator[str]:
        for name, value in self.options.items():
            if is_secret_option(name, value):
                yield value
        for headers in self.headers.values():
            for value in headers.values():
                yield value
                # The token of 'Bearer TOKEN' alone, too.
                yield value.rpartition(" ")[2]
        for plain, whole in self.urls.items():
            known = Url.read(plain)
            url = Url.read(whole)
            if known is None or url is None:
                continue
            userinfo = url.userinfo[:-1]
            yield userinfo
            yield userinfo.partition(":")[2]
            # As the header of a request has it.
            yield base64.b64encode(unquote_to_bytes(userinfo)).decode()
            for parameter in url.parameters:
                name, value = parameter_name(parameter), parameter.partition("=")[2]
                unknown = parameter not in known.parameters and not is_beside_signature(name)
                if unknown or is_secret_parameter(name):
                    yield value


def _forms(value: str) -> set[str]:
    """As written, and as a URL or a program may write it."""
    return {value, unquote(value), unquote_plus(value), quote(value, safe="")}


def read_secret(text: str, source: dict[str, Any], what: str) -> SourceSecret:
    """The secrets of a typed source; FleetError with `what` for a text that does not fit it."""
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    for number, line in lines:
        if not line.isascii() or not line.isprintable():
            raise FleetError(what, f"line {number} has a control character or no ASCII", TODO)
    if not lines:
        raise FleetError(what, "it holds no line", TODO)
    if source["kind"] == "urls":
        return SourceSecret(urls=_urls(lines, source["urls"], what))
    if source["kind"] == "uri":
        return SourceSecret(headers=_headers(lines, source["uri"], what))
    if source["kind"] == "rclone":
        return SourceSecret(options=_options(lines, source["remote"], what))
    raise FleetError(what, "a folder needs no secret", "Leave the file out")


def _urls(lines: list[tuple[int, str]], wanted: list[dict[str, str]], what: str) -> dict[str, str]:
    given = [(number, _whole_url(number, line, what)) for number, line in lines]
    used: set[int] = set()
    found: dict[str, str] = {}
    for entry in wanted:
        plain = Url.read(entry["url"])
        if plain is None:
            continue
        fitting = [(number, url) for number, url in given if _is_same(url, plain)]
        if not fitting:
            below = [(number, url) for number, url in given if _is_below(plain, url)]
            longest = max((len(url.path) for _number, url in below), default=0)
            fitting = [(number, url) for number, url in below if len(url.path) == longest]
        if len(fitting) > 1:
            numbers = " and ".join(str(number) for number, _url in fitting)
            raise FleetError(what, f"lines {numbers} are for the same URL", TODO)
        for number, url in fitting:
            used.add(number)
            found[entry["url"]] = _joined(plain, url)
    for number, _url in given:
        if number not in used:
            why = (
                f"line {number} fits no URL of the source: scheme, host and path must be the same,"
                " and every parameter of the source's URL must be in the line"
            )
            raise FleetError(what, why, TODO)
    return found


def _whole_url(number: int, line: str, what: str) -> Url:
    url = Url.read(line)
    if url is None or url.scheme.lower() not in ("http://", "https://") or not url.host:
        raise FleetError(what, f"line {number} is no http or https URL", TODO)
    if " " in line or url.fragment:
        raise FleetError(what, f"line {number} has a blank or a fragment (#)", TODO)
    if not url.userinfo and not url.parameters:
        raise FleetError(what, f"line {number} has neither userinfo nor a query", TODO)
    return url


def _is_same(url: Url, plain: Url) -> bool:
    if url.place != plain.place:
        return False
    return not url.parameters or set(plain.parameters) <= set(url.parameters)


def _is_below(plain: Url, url: Url) -> bool:
    return (
        url.place[:2] == plain.place[:2]
        and url.path.endswith("/")
        and plain.path.startswith(url.path)
        and ".." not in unquote(plain.path).split("/")
    )


def _joined(plain: Url, url: Url) -> str:
    """The line's own URL, or the source's URL with the line's userinfo and query."""
    if url.path == plain.path and url.parameters:
        return url.text()
    more = tuple(one for one in url.parameters if one not in plain.parameters)
    return Url(
        plain.scheme, url.userinfo, plain.host, plain.path, plain.parameters + more, ""
    ).text()


def _headers(lines: list[tuple[int, str]], uri: str, what: str) -> dict[str, dict[str, str]]:
    headers: dict[str, str] = {}
    for number, line in lines:
        read = _HEADER.fullmatch(line)
        if read is None or line.startswith(("http:", "https:")):
            raise FleetError(what, f"line {number} is not 'Header: value'", TODO)
        name = read.group(1)
        if name.lower() in _NOT_GIVEN:
            raise FleetError(what, f"line {number} gives a header that is the downloader's", TODO)
        if name.lower() in (known.lower() for known in headers):
            raise FleetError(what, f"line {number} gives a header a second time", TODO)
        headers[name] = read.group(2)
    scheme, rest = uri.split("://", 1)
    return {f"{scheme}://{rest.split('/', 1)[0]}".lower(): headers}


def _options(lines: list[tuple[int, str]], remote: str, what: str) -> dict[str, str]:
    """With `type`, which a remote of the form :type,...:path names itself."""
    options: dict[str, str] = {}
    for number, line in lines:
        if _SECTION.fullmatch(line) and not options:
            continue
        read = _OPTION.fullmatch(line)
        if read is None:
            raise FleetError(what, f"line {number} is not 'option = value'", TODO)
        if read.group(1) in options:
            raise FleetError(what, f"line {number} gives an option a second time", TODO)
        options[read.group(1)] = read.group(2).strip()
    backend = re.match(r":([a-z0-9]+)", remote)
    if backend is None and "type" not in options:
        raise FleetError(what, "a remote with a name needs the line 'type = ...'", TODO)
    if backend is not None and options.setdefault("type", backend.group(1)) != backend.group(1):
        raise FleetError(what, "its type is not that of the source's remote", TODO)
    if len(options) < 2:
        raise FleetError(what, "it holds no option but the type", TODO)
    return options
