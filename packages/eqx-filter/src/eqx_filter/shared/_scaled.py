"""Numbers as texts of three digits and a prefix."""

_UNITS = ("", "k", "M", "G", "T", "P", "E")


def scaled(number: float, unit: str = "") -> str:
    """Tell a number with three digits and a prefix, as `1.23 M`."""
    power = 0
    while number >= 999.5 and power < len(_UNITS) - 1:
        number, power = number / 1000, power + 1
    digits = 0 if power == 0 or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f} {_UNITS[power]}{unit}".rstrip()
