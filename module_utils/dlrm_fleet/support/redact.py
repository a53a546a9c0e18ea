"""Takes secrets out of text before it leaves a machine. Pure.

Every pattern repeats only bounded parts, or parts that a match consumes, so that the time is linear
in the text's length (tests/unit/module_utils/support/test_redact.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from ..wire.source_parts import is_beside_signature, is_secret_parameter

REDACTED = "[redacted]"
# Of one line: a log's longest useful line is far shorter.
LINE_CHARACTERS = 16 * 1024
# A shorter known value would be found in half of all texts.
SHORTEST_KNOWN = 4
# A name whose value is a secret; a longer name that contains it counts, too.
_NAME = (
    r"(?:password|passwd|passphrase|(?<![a-z])pass(?![a-z])|secret|token|credential|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|private[_-]?key(?:[_-]?id)?|account[_-]?key|authorization|cookie|client[_-]?secret"
    r"|session[_-]?key|encryption[_-]?key|connection[_-]?string)"
)
_NAMED = re.compile(_NAME, re.IGNORECASE)
# ?name= of a URL, and --name of a program, each with what its value may be.
_PARAMETER = (re.compile(r"(?<=[?&])([A-Za-z0-9_.%-]{1,64})="), re.compile(r"[^&\s\"'<>\\]+"))
_OPTION = (
    re.compile(r"(?<![\w-])--?([A-Za-z0-9][\w-]{0,64})\s{1,20}"),
    re.compile(r"[^\s\"',;]+"),
)
# The rest of a text in quotes; one that begins with \" is JSON inside a JSON string.
_QUOTED = r"\"[^\"\\]*(?:\\[\s\S][^\"\\]*){0,2000}\"|\"[^\"]*\"|\\\"[^\"]*\"|'[^']*'"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # PEM and OpenSSH private keys, also on one line as JSON has them, also cut off.
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"
            r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        REDACTED,
    ),
    # Ansible Vault: header and hexadecimal lines.
    (
        re.compile(r"\$ANSIBLE_VAULT;[^\s]{0,200}(?:(?:\s|\\n){1,20}[0-9a-f]{16,})*"),
        REDACTED,
    ),
    # scheme://user:password@host, RFC 3986 userinfo.
    (re.compile(r"(?<=://)[^/\s\"'@]+@"), f"{REDACTED}@"),
    (
        re.compile(r"\b(Bearer|Basic)\s{1,20}[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE),
        rf"\1 {REDACTED}",
    ),
    # Names with values: JSON (also inside a JSON string), YAML, shell, rclone's remotes.
    (
        re.compile(
            rf"({_NAME}[A-Za-z0-9_.-]{{0,64}}\\?[\"']?\s{{0,20}}[:=]\s{{0,20}})"
            rf"({_QUOTED}|[^\s,;&\"'{{}}\[\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # Tokens that say by themselves what they are.
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), REDACTED),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{35}"), REDACTED),
    (re.compile(r"\bya29\.[A-Za-z0-9_-]{10,}"), REDACTED),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}"), REDACTED),
    (re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), REDACTED),
    (
        re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        REDACTED,
    ),
)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """The text without keys, passwords, tokens, cloud credentials, userinfo and signatures.

    `known`: secrets of this machine, which go wherever they stand. Long lines lose their middle.
    """
    for value in sorted(set(known), key=len, reverse=True):
        for form in {value, json.dumps(value)[1:-1]}:
            if len(form) >= SHORTEST_KNOWN:
                text = text.replace(form, REDACTED)
    text = _without_values(text, *_PARAMETER, _is_parameter)
    text = _without_values(text, *_OPTION, _is_named)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return cap_lines(text)


def _is_parameter(name: str) -> bool:
    name = name.lower()
    return is_secret_parameter(name) or is_beside_signature(name) or _is_named(name)


def _is_named(name: str) -> bool:
    return _NAMED.search(name) is not None


def _without_values(
    text: str, names: re.Pattern[str], values: re.Pattern[str], secret: Callable[[str], bool]
) -> str:
    """The text without the values that follow a name that is secret."""
    kept, at = [], 0
    for found in names.finditer(text):
        # Inside a value that is gone already, or before one that stays.
        if found.start() < at or not secret(found.group(1)):
            continue
        value = values.match(text, found.end())
        if value is None:
            continue
        kept += [text[at : found.end()], REDACTED]
        at = value.end()
    return "".join([*kept, text[at:]])


def cap_lines(text: str) -> str:
    """Each line with at most LINE_CHARACTERS: the ends stay, the middle goes."""
    if len(text) <= LINE_CHARACTERS:
        return text
    return "".join(_capped(line) for line in text.splitlines(keepends=True))


def _capped(line: str) -> str:
    if len(line) <= LINE_CHARACTERS:
        return line
    half = LINE_CHARACTERS // 2 - 40
    return f"{line[:half]}[{len(line) - 2 * half} characters left out]{line[-half:]}"
