"""Translates botocore's exceptions to kinds of refusals."""

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
    STALE,
    THROTTLING,
    UNKNOWN,
    CloudError,
    refusal,
)

CODES = {
    CREDENTIALS: (
        "AuthFailure", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken",
        "ExpiredTokenException", "RequestExpired", "SignatureDoesNotMatch",
        "InvalidSignatureException", "MissingAuthenticationToken", "OptInRequired",
    ),
    PERMISSION: ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"),
    QUOTA: (
        "VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded",
        "VolumeLimitExceeded", "MaxIOPSLimitExceeded", "ServiceQuotaExceededException",
        "AddressLimitExceeded",
    ),
    CAPACITY: (
        "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity",
        "InsufficientReservedInstanceCapacity", "SpotMaxPriceTooLow", "Unsupported",
        "UnfulfillableCapacity",
    ),
    THROTTLING: (
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException",
        "EC2ThrottledException", "RequestThrottled", "RequestThrottledException", "SlowDown",
    ),
    SERVER: (
        "InternalError", "InternalFailure", "InternalServerException", "ServiceUnavailable",
        "Unavailable", "ServiceUnavailableException", "InternalServerError",
    ),
    STALE: ("IdempotentInstanceTerminated",),
    EXISTS: ("IdempotentParameterMismatch", "ConflictException"),
    NOT_FOUND: ("ResourceNotFoundException", "NotFoundException"),
}  # fmt: skip
_KINDS = {code: kind for kind, codes in CODES.items() for code in codes}
_DENIED = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")


def translate(error: Exception, action: str) -> CloudError:
    """`action`: as IAM names it (ec2:RunInstances)."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    if not response:
        return _without_answer(error, action)
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", "")) or str(error)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    kind = _kind(code, status)
    if kind == PERMISSION:
        denied = _DENIED.search(message)
        action = denied.group(1) if denied else action
    return refusal(kind, "AWS", action, message, code=code)


def _kind(code: str, status: int) -> str:
    if code in _KINDS:
        return _KINDS[code]
    if code.endswith(".NotFound") and code.startswith(("InvalidInstance", "InvalidVolume")):
        return NOT_FOUND
    if code.endswith(".NotFound") and code.startswith("InvalidAllocation"):
        return NOT_FOUND
    if code.startswith(("Invalid", "Missing", "Malformed", "Validation", "UnknownParameter")):
        return BAD_PARAMETER
    if status == 429:
        return THROTTLING
    return SERVER if status >= 500 else UNKNOWN


def _without_answer(error: Exception, action: str) -> CloudError:
    """The cloud gave no whole answer: no credentials, no connection, or wrong arguments."""
    name = type(error).__name__
    if any(word in name for word in ("Credential", "Token", "Login", "SSO", "ProfileNotFound")):
        return refusal(CREDENTIALS, "AWS", action, str(error))
    if name in ("ParamValidationError", "InvalidRegionError", "NoRegionError"):
        return refusal(BAD_PARAMETER, "AWS", action, str(error))
    return refusal(SERVER, "AWS", action, f"{name}: {error}")
