"""Login users and addresses as ssh(1) gets them: words that it cannot take for anything else."""

from __future__ import annotations

import re

from .strict_json import Malformed, shown

# user, user@domain and DOMAIN\user. No blank, no quote, no '$' and no '%', which ssh or a shell
# would read; no backslash at the end, which ssh refuses.
LOGIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@+\\-]{0,254}[A-Za-z0-9_.+-])?")
# A name, an IPv4 address, or an IPv6 address with its zone.
ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:%-]{0,254}")


def checked_login(text: object, what: str) -> str:
    """The login user. Nobody takes root's place for one that is not known."""
    if not text:
        why = "the login user is not known"
        raise Malformed(what, why, "Set ansible_user of that host in the inventory")
    if not isinstance(text, str) or not LOGIN.fullmatch(text):
        allowed = "letters, digits and _.@+\\- are allowed, as in user@domain and DOMAIN\\user"
        raise Malformed(what, f"user {shown(str(text))} is not a valid name", allowed)
    return text


def checked_address(text: object, what: str) -> str:
    if not isinstance(text, str) or not ADDRESS.fullmatch(text):
        raise Malformed(what, f"address {shown(str(text))} is not a valid name")
    return text
