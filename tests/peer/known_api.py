"""The differences of `compare_api.py` that are meant: each line of its report, with the reason."""

KNOWN_API: dict[str, str] = {}
