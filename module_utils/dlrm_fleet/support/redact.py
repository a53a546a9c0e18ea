"""Takes secrets out of text before it leaves a machine. Pure."""

from __future__ import annotations

import re

REDACTED = "[redacted]"
# A name whose value is a secret; a longer name that contains it counts, too.
_NAME = (
    r"(?:password|passwd|passphrase|(?<![a-z])pass(?![a-z])|secret|token|credential|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|private[_-]?key(?:[_-]?id)?|account[_-]?key|authorization|cookie|client[_-]?secret"
    r"|session[_-]?key|encryption[_-]?key|connection[_-]?string)"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # PEM and OpenSSH private keys, also on one line as JSON has them, also cut off.
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        REDACTED,
    ),
    # Ansible Vault: header and hexadecimal lines.
    (re.compile(r"\$ANSIBLE_VAULT;[^\s]*(?:(?:\s|\\n)+[0-9a-f]{16,})*"), REDACTED),
    # scheme://user:password@host, RFC 3986 userinfo.
    (re.compile(r"(?<=://)[^/\s\"'@]+@"), f"{REDACTED}@"),
    # Signed URLs and their like: AWS, GCP, Azure SAS; ?name=value.
    (
        re.compile(
            r"([?&](?:X-(?:Amz|Goog)-[A-Za-z-]+|Signature|sig|se|sp|sv|AWSAccessKeyId"
            rf"|GoogleAccessId|Key-Pair-Id|Policy|[A-Za-z_-]*{_NAME}[A-Za-z_-]*)=)[^&\s\"'<>\\]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # Options of programs: --name value.
    (
        re.compile(rf"(--?[A-Za-z0-9_-]*{_NAME}[A-Za-z0-9_-]*\s+)[^\s\"',;]+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    # Names with values: JSON (also inside a JSON string), YAML, shell, rclone's remotes.
    (
        re.compile(
            rf"((?<![A-Za-z0-9])[A-Za-z0-9_.-]*{_NAME}[A-Za-z0-9_.-]*\\?[\"']?"
            r"\s*[:=]\s*)"
            r"(\\?\"(?:[^\"\\]|\\[^\"])*\\?\"|'[^']*'|[^\s,;&\"'{}\[\]]+)",
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
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), REDACTED),
)


def redact(text: str) -> str:
    """The text without keys, passwords, tokens, cloud credentials, userinfo and signatures."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
