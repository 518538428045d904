"""Licences: what a distribution says of its own, and whether the policy's patterns accept it."""

import re
from collections.abc import Callable, Mapping

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from registry.domain.wildcards import fits

_TOKEN = re.compile(r"[()]|[^\s()]+")
_BINDS = {"OR": 1, "AND": 2}
_CLASSIFIER = "License ::"
# What is longer is a licence's text; its first line is its name, as a rule.
_LONGEST = 1000


def licence_of(metadata: Mapping[str, object]) -> str | None:
    """What core metadata says about the licence, the plainest of it: the SPDX expression, else the classifiers, else the text's first line.

    Several classifiers stand on a line each, as one cannot tell whether they are a choice. None where nothing is said.
    """
    expression = metadata.get("license_expression")
    if isinstance(expression, str) and expression.strip():
        return expression.strip()
    classifiers = metadata.get("classifiers")
    if isinstance(classifiers, tuple | list):
        last = [str(one).rpartition("::")[2].strip() for one in classifiers if str(one).startswith(_CLASSIFIER)]
        # "License :: OSI Approved" says that it has one, not which.
        if named := [one for one in last if one and one != "OSI Approved"]:
            return "\n".join(named)
    text = metadata.get("license")
    lines = [line.strip() for line in text.splitlines() if line.strip()] if isinstance(text, str) else []
    return lines[0] if lines and lines[0].upper() != "UNKNOWN" else None


def accepted(licence: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> bool:
    """Whether a file under `licence` may be used where `allow` (empty: all) and `deny` are patterns of licences, in any case.

    Each line must be accepted. A line that is an SPDX expression is taken at its word: of an OR one side will do, of an AND both must.
    A licence with an exception (WITH) fits patterns of itself and of the whole. Any other line is a licence as it stands.
    """

    def good(words: str) -> bool:
        text = words.lower()
        forms = {text, text.partition(" with ")[0]}
        if any(fits(pattern.lower(), form) for pattern in deny for form in forms):
            return False
        return not allow or any(fits(pattern.lower(), form) for pattern in allow for form in forms)

    lines = [line.strip() for line in licence.splitlines() if line.strip()]
    return bool(lines) and all(_holds(line, good) for line in lines)


def _holds(line: str, good: Callable[[str], bool]) -> bool:
    try:
        if len(line) > _LONGEST:
            return good(line[:_LONGEST])
        expression = canonicalize_license_expression(line)
    except (InvalidLicenseExpression, RecursionError, MemoryError):
        return good(line)
    return _evaluated(_TOKEN.findall(expression), good)


def _evaluated(tokens: list[str], good: Callable[[str], bool]) -> bool:
    # Two stacks, as of a pocket calculator: nothing recurses however deep the parentheses are. The expression is known to be well-formed.
    values: list[bool] = []
    pending: list[str] = []

    def settle(least: int) -> None:
        while pending and _BINDS.get(pending[-1], 0) >= least:
            right, left = values.pop(), values.pop()
            values.append((left and right) if pending.pop() == "AND" else (left or right))

    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token == "(":  # noqa: S105 - a parenthesis
            pending.append(token)
        elif token == ")":  # noqa: S105
            settle(1)
            pending.pop()
        elif token in _BINDS:
            settle(_BINDS[token])
            pending.append(token)
        elif position < len(tokens) and tokens[position] == "WITH":
            values.append(good(f"{token} WITH {tokens[position + 1]}"))
            position += 2
        else:
            values.append(good(token))
    settle(1)
    return values[0]
