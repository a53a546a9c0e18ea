"""Spans and sums in words. Pure."""

from __future__ import annotations


def span(seconds: float) -> str:
    """5400 -> '1 h 30 min'; 90 -> '1 min 30 s'."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    parts = [(hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"


def usd(value: float) -> str:
    return f"{value:.2f} USD"
