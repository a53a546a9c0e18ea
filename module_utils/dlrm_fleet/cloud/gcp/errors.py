"""Translates Google's exceptions and failed operations to kinds of refusals."""

from __future__ import annotations

import re
from typing import Any

from ..errors import (
    BAD_PARAMETER,
    CAPACITY,
    CREDENTIALS,
    EXISTS,
    NOT_FOUND,
    PERMISSION,
    QUOTA,
    SERVER,
    THROTTLING,
    UNKNOWN,
    CloudError,
    refusal,
)

# What a failed operation says: https://cloud.google.com/compute/docs/troubleshooting
OPERATION_CODES = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": CAPACITY,
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": CAPACITY,
    "RESOURCE_POOL_EXHAUSTED": CAPACITY,
    "STOCKOUT": CAPACITY,
    "QUOTA_EXCEEDED": QUOTA,
    "RATE_LIMIT_EXCEEDED": THROTTLING,
    "RESOURCE_OPERATION_RATE_EXCEEDED": THROTTLING,
    "PERMISSIONS_ERROR": PERMISSION,
    "RESOURCE_ALREADY_EXISTS": EXISTS,
    "RESOURCE_NOT_FOUND": BAD_PARAMETER,
    "UNSUPPORTED_OPERATION": BAD_PARAMETER,
    "INVALID_USAGE": BAD_PARAMETER,
}
STATUS = {
    400: BAD_PARAMETER,
    401: CREDENTIALS,
    403: PERMISSION,
    404: NOT_FOUND,
    409: EXISTS,
    412: BAD_PARAMETER,
    429: THROTTLING,
}
_DENIED = re.compile(r"Required '([\w.]+)' permission")
_LIMITED = ("rateLimitExceeded", "userRateLimitExceeded")


def translate(error: Exception, action: str) -> CloudError:
    """`action`: the permission's name (compute.instances.create)."""
    status = getattr(error, "code", None)
    if status is None or not hasattr(error, "errors"):
        return _without_answer(error, action)
    message = str(getattr(error, "message", "")) or str(error)
    reasons = [str(item.get("reason", "")) for item in getattr(error, "errors", []) or []]
    number = int(status)
    kind = STATUS.get(number, SERVER if number >= 500 else UNKNOWN)
    if kind == PERMISSION:
        if any(reason in _LIMITED for reason in reasons) or "Rate Limit Exceeded" in message:
            kind = THROTTLING
        elif "quotaExceeded" in reasons or "Quota '" in message:
            kind = QUOTA
        else:
            denied = _DENIED.search(message)
            action = denied.group(1) if denied else action
    return refusal(kind, "Google Cloud", action, message, code=str(number))


def operation_error(operation: Any, action: str) -> CloudError:
    """The refusal of a finished operation that failed."""
    first = operation.error.errors[0]
    code, message = str(first.code), str(first.message)
    kind = OPERATION_CODES.get(code, UNKNOWN)
    if int(operation.http_error_status_code or 0) >= 500 and kind == UNKNOWN:
        kind = SERVER
    return refusal(kind, "Google Cloud", action, message, code=code)


def _without_answer(error: Exception, action: str) -> CloudError:
    """The cloud gave no whole answer: no credentials, no connection, or wrong arguments."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    module = type(error).__module__
    if module.startswith("google.auth") and "TransportError" not in kinds:
        return refusal(CREDENTIALS, "Google Cloud", action, str(error))
    if isinstance(error, (TypeError, ValueError)) and not module.startswith(("requests", "urllib")):
        return refusal(BAD_PARAMETER, "Google Cloud", action, str(error))
    return refusal(SERVER, "Google Cloud", action, f"{type(error).__name__}: {error}")
