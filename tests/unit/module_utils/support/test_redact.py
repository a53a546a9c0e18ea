"""Secrets are removed; what explains a failure stays."""

from __future__ import annotations

import pytest
from ansible.module_utils.dlrm_fleet.support.redact import REDACTED, redact
from planted_secrets import SECRETS


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_gone(name: str) -> None:
    text, secret = SECRETS[name]
    assert secret in text
    clean = redact(text)
    assert secret not in clean
    assert REDACTED in clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        '{"stage": "dump", "key": "0123456789abcdef", "sha256": "ab12", "bytes": 7}',
        "dlrm_storage_root: /srv/dlrm-storage",
        "passed: 3 of 4 hosts, 2 stages were bypassed",
        "samples/s 18,309.50 LoadGen VALID",
        "https://host/path?rows=3&seed=1",
        "ssh: connect to host 192.0.2.13 port 22: Connection refused",
        "stage performance, key 0123, attempt 2, exit 137",
    ],
)
def test_what_explains_stays(text: str) -> None:
    assert redact(text) == text


def test_what_surrounds_a_secret_stays() -> None:
    assert redact('{"password": "x y", "host": "a"}') == f'{{"password": {REDACTED}, "host": "a"}}'
    assert redact("https://joe:pa55@host/x?sig=1&rows=2") == (
        f"https://{REDACTED}@host/x?sig={REDACTED}&rows=2"
    )
