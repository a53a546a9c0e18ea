"""The first bytes of a URL, or why they do not come."""

from __future__ import annotations

import base64
import netrc
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import unquote, urlsplit, urlunsplit

from ...base.errors import FleetError

# Less than SECONDS of all ways, so that the reason is told rather than "no answer".
SECONDS = 4.0
FIRST_BYTES = 512
HTML = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
NAME_TODO = "Correct the address, or the machine's DNS (/etc/resolv.conf)"
ANSWERS = {
    401: ("it wants a user and a password", "Give them, see docs/inventories.md"),
    403: ("it forbids the access", "Renew the credentials or the signature, or ask its operator"),
    404: ("it knows no such file", "Correct the address"),
    407: ("the proxy wants a user and a password", "Give them in the proxy's address"),
    429: ("it answers no more requests for now", "Wait, or use a mirror"),
}


@dataclass(frozen=True)
class Answer:
    """`size`: of the whole, None where the server does not say it."""

    status: int
    size: int | None
    first: bytes


@dataclass(frozen=True)
class Through:
    """How requests go out: proxies by scheme, a bundle of certificates, a file of passwords."""

    proxies: Mapping[str, str]
    certificates: str = ""
    netrc: str = ""


def first_bytes(url: str, through: Through, what: str) -> Answer:
    """FleetError says why not; the URL is not quoted in it, because it may be signed."""
    try:
        with _opener(through).open(_request(url, through), timeout=SECONDS) as reply:
            first = reply.read(FIRST_BYTES)
            return Answer(reply.status, _size(reply.status, reply.headers), first)
    except urllib.error.HTTPError as error:
        why, todo = ANSWERS.get(error.code, (f"it answers {error.reason or 'an error'}", ""))
        raise FleetError(what, f"HTTP {error.code}: {why}", todo) from None
    except urllib.error.URLError as error:
        raise _worded(what, error.reason) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _worded(what, error) from None


def is_page(first: bytes) -> bool:
    return HTML.match(first) is not None


def host_of(url: str) -> str:
    """What a message shows of a URL: neither user nor query."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def _opener(through: Through) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=through.certificates or None)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(dict(through.proxies)),
        urllib.request.HTTPSHandler(context=context),
    )


def _request(url: str, through: Through) -> urllib.request.Request:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("only http and https can be asked")
    parts = urlsplit(url)
    user, _at, netloc = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=netloc)))
    request.add_header("Range", f"bytes=0-{FIRST_BYTES - 1}")
    user = unquote(user) or _known_user(through.netrc, parts.hostname or "")
    if user:
        basic = base64.b64encode(user.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {basic}")
    return request


def _known_user(path: str, host: str) -> str:
    try:
        found = netrc.netrc(path).authenticators(host) if path else None
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{found[0]}:{found[2]}" if found else ""


def _size(status: int, headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    if status == 206:
        text = headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isdecimal() else None


def _worded(what: str, reason: object) -> FleetError:
    if isinstance(reason, socket.gaierror):
        return FleetError(what, "the server's name does not resolve", NAME_TODO)
    if isinstance(reason, ssl.SSLCertVerificationError):
        todo = "Give the bundle that signs it (PIP_CERT), or add it to the machine's certificates"
        return FleetError(what, f"its certificate is not trusted: {reason.verify_message}", todo)
    if isinstance(reason, ConnectionRefusedError):
        return FleetError(what, "nothing listens there", "Correct the address or the proxy")
    if isinstance(reason, (TimeoutError, socket.timeout)):
        todo = "Let this connection through the firewall, or set a mirror or a proxy"
        return FleetError(what, f"no answer within {SECONDS:g} s", todo)
    return FleetError(what, str(reason) or type(reason).__name__, "Set a mirror or a proxy")
