"""Which parts of a source are secret: userinfo and signatures of a URL, keys in a remote. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

# scheme://, authority, path, query, fragment, as they are written: nothing is decoded or joined.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\\]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
# Names of parameters that sign a URL or give access (AWS, Google, Azure, CloudFront and others).
_SECRET_WORD = re.compile(
    r"token|secret|password|passwd|passphrase|credential|signature|api[_-]?key|access[_-]?key"
    r"|accesskeyid|googleaccessid|auth[_-]?key|authorization|session[_-]?id|jwt|hmac"
)
_SECRET_NAMES = frozenset({"sig", "sign", "auth", "sas", "pass", "pwd", "hdnts", "hdnea"})
# What stands beside a signature and changes with it. Alone it is no secret.
_BESIDE_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "x-obs-")
_BESIDE_NAMES = frozenset(
    (
        *("se", "sp", "sr", "st", "sv", "spr", "sip", "si", "ss", "srt", "skoid", "sktid", "skt"),
        *("ske", "sks", "skv", "sdd", "scid", "saoid", "suoid", "expires", "expiry", "policy"),
        *("key-pair-id", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid"),
    )
)
# An option of a remote that names a file, an address or a program holds no secret itself.
_OPEN_OPTION = re.compile(
    r"(_file|_url|_path|_command|_agent|_exchange|_expiry|_id)$|^(ask_|no_|disable_|use_|public_)"
)
_SECRET_OPTION = re.compile(
    r"pass|secret|token|credential|cookie|headers|access_grant|api_?key|access_key|mnemonic"
    r"|sas_url|2fa|(^|_)key(_pem|_base64)?$"
)
_REMOTE_HEAD = re.compile(r":[a-z0-9]+")
# One option in rclone's notation. In quotes, a doubled quote stands for one.
_OPTION = re.compile(
    r",([A-Za-z0-9_]+)(?:=(\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[^,:\"'][^,:]*|))?(?=[,:])"
)


@dataclass(frozen=True)
class Parted:
    """A source without its secrets, the lines of a secret file for them, and what they are."""

    plain: Any
    lines: tuple[str, ...] = ()
    found: str = ""


@dataclass(frozen=True)
class Url:
    """A URL in its parts; `parameters`: the query's, as written."""

    scheme: str
    userinfo: str
    host: str
    path: str
    parameters: tuple[str, ...]
    fragment: str

    @classmethod
    def read(cls, text: str) -> Url | None:
        """None for what is no URL with a scheme."""
        parts = _URL.fullmatch(text)
        if parts is None:
            return None
        scheme, authority, path, query, fragment = (part or "" for part in parts.groups())
        userinfo, _at, host = authority.rpartition("@")
        parameters = tuple(query[1:].split("&")) if query else ()
        return cls(scheme, f"{userinfo}{_at}", host, path, parameters, fragment)

    @property
    def place(self) -> tuple[str, str, str]:
        """Scheme, host and path: which object it is, whoever asks for it."""
        return (self.scheme.lower(), self.host.lower(), self.path)

    def text(self) -> str:
        query = f"?{'&'.join(self.parameters)}" if self.parameters else ""
        return f"{self.scheme}{self.userinfo}{self.host}{self.path}{query}{self.fragment}"


def parameter_name(parameter: str) -> str:
    return unquote_plus(parameter.split("=", 1)[0]).lower()


def is_secret_parameter(name: str) -> bool:
    """Whether a query's parameter of this name, in small letters, gives access."""
    return name in _SECRET_NAMES or _SECRET_WORD.search(name) is not None


def is_beside_signature(name: str) -> bool:
    """Whether it belongs to a signature: when it was made, until when and for what it holds."""
    return name in _BESIDE_NAMES or name.startswith(_BESIDE_PREFIXES)


def part_url(text: str) -> Parted:
    """The line is the whole URL."""
    url = Url.read(text)
    if url is None:
        return Parted(text)
    names = [parameter_name(one) for one in (*url.parameters, *url.fragment[1:].split("&"))]
    signed = any(is_secret_parameter(name) for name in names)
    if not url.userinfo and not signed:
        return Parted(text)
    kept = url.parameters
    if signed:
        kept = tuple(
            one
            for one in url.parameters
            if not is_secret_parameter(parameter_name(one))
            and not is_beside_signature(parameter_name(one))
        )
    plain = Url(url.scheme, "", url.host, url.path, kept, "" if signed else url.fragment)
    found = "a user or password before its host" if url.userinfo else "a signature or token"
    return Parted(plain.text(), (text,), found)


def options_of(remote: str) -> tuple[list[tuple[str, str, str]], str] | None:
    """([(as written, name, value)], the rest from the last colon on) of `:backend,...:path`.

    None when rclone could not read it either.
    """
    head = _REMOTE_HEAD.match(remote)
    if head is None:
        return None
    at, options = head.end(), []
    while (one := _OPTION.match(remote, at)) is not None:
        options.append((one.group(0), one.group(1), _unquoted(one.group(2) or "")))
        at = one.end()
    return (options, remote[at:]) if remote[at : at + 1] == ":" else None


def _unquoted(value: str) -> str:
    quote = value[:1]
    return value[1:-1].replace(quote * 2, quote) if quote and quote in "\"'" else value


def is_secret_option(name: str, value: str) -> bool:
    """Whether an option of an rclone remote holds a secret."""
    if part_url(value).found:
        return True
    if value.lower() in ("", "true", "false"):
        return False
    name = name.lower()
    if name == "access_key_id" or name.endswith("sas_url"):
        return True
    return _SECRET_OPTION.search(name) is not None and _OPEN_OPTION.search(name) is None


def part_remote(remote: str) -> Parted:
    """Each line is one option of the remote, `name = value`."""
    read = options_of(remote)
    if read is None:
        return Parted(remote)
    options, rest = read
    secret = [(name, value) for _text, name, value in options if is_secret_option(name, value)]
    if not secret:
        return Parted(remote)
    kept = [text for text, name, value in options if not is_secret_option(name, value)]
    head = remote[: remote.index(options[0][0])]
    found = f"the option {', '.join(sorted({name for name, _ in secret}))}"
    lines = tuple(f"{name} = {value}" for name, value in secret)
    return Parted("".join([head, *kept, rest]), lines, found)


def part_source(value: Any) -> Parted:
    """Of a source as a user gives it: a folder, a remote, or a list of {url, md5}."""
    if isinstance(value, str):
        return part_remote(value) if value.startswith(":") else part_url(value)
    if not isinstance(value, list):
        return Parted(value)
    plain: list[Any] = []
    lines: list[str] = []
    found = ""
    for item in value:
        text = item.get("url") if isinstance(item, dict) else item
        parted = part_url(text) if isinstance(text, str) else Parted(text)
        plain.append({**item, "url": parted.plain} if isinstance(item, dict) else parted.plain)
        lines += parted.lines
        found = found or parted.found
    return Parted(plain, tuple(lines), found) if found else Parted(value)
