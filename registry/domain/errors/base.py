"""What all errors are, and how they quote what they tell of."""


class RegistryError(Exception):
    """Base of every error a caller may be told about; `str()` is a sentence for that caller."""


def shown(text: str, limit: int = 120) -> str:
    """Quote `text` so that it can stand in a message, a header or a log line: printable ASCII, at most about `limit` characters."""
    quoted = ascii(text)
    return quoted if len(quoted) <= limit else f"{quoted[: limit - 4]}...{quoted[0]}"
