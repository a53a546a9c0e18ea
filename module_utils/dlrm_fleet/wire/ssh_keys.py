"""SSH host keys as another machine shows them: one line each, of a type that OpenSSH knows."""

from __future__ import annotations

import re

from .strict_json import Malformed, shown

# Field 2 and 3 of a line of known_hosts, sshd(8).
HOST_KEY = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9-]+@openssh\.com)"
    r" [A-Za-z0-9+/]{1,8192}={0,2}"
)


def is_host_key(text: object) -> bool:
    """`type base64`, without a comment and without a second line."""
    return isinstance(text, str) and HOST_KEY.fullmatch(text) is not None


def checked_host_key(text: object, what: str) -> str:
    """The key; Malformed for anything else, which would be more than a key in known_hosts."""
    if not is_host_key(text):
        raise Malformed(what, f"{shown(str(text))} is not a public SSH host key")
    return str(text)
