"""Numbers, durations and prices in words. Pure."""

from __future__ import annotations


def duration(seconds: float, hours: bool = False) -> str:
    """35 -> 0:35; 3730 -> 1:02:10. `hours`: also where there are none, 3130 -> 0:52:10."""
    hour, minute, second = _parts(seconds)
    return f"{hour}:{minute:02d}:{second:02d}" if hour or hours else f"{minute}:{second:02d}"


def span(seconds: float) -> str:
    """5400 -> '1 h 30 min'; 90 -> '1 min 30 s'."""
    hour, minute, second = _parts(seconds)
    parts = [(hour, "h"), (minute, "min"), (0 if hour else second, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"


def _parts(seconds: float) -> tuple[int, int, int]:
    """Hours, minutes and seconds; a time that has passed is no time."""
    whole = max(0, int(seconds))
    return whole // 3600, whole // 60 % 60, whole % 60


def number(value: float, unit: str = "") -> str:
    """1234567 rows/s -> '1.2 M rows/s'; bytes/s -> 'GB/s'."""
    scaled, prefix = float(value), ""
    for step in ("k", "M", "G", "T"):
        if abs(scaled) < 1000:
            break
        scaled, prefix = scaled / 1000, step
    digits = f"{scaled:.1f}" if prefix or scaled != int(scaled) else f"{scaled:.0f}"
    if unit.startswith("bytes"):
        return f"{digits} {prefix}B{unit[len('bytes') :]}"
    return " ".join(part for part in (digits, prefix, unit) if part)


def usd(value: float) -> str:
    return f"{value:.2f} USD"
