"""Patterns in which `*` stands for any text, empty too, and everything else for itself."""


def fits(pattern: str, text: str) -> bool:
    """Whether the whole `text` is one of those that `pattern` means.

    Each piece between stars is looked for once, from where the last one ended: no pattern makes this slow.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
