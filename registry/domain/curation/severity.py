"""How bad a vulnerability is, in the words of CVSS."""

from enum import IntEnum
from functools import lru_cache


class Severity(IntEnum):
    """CVSS's qualitative severity ratings, from the least to the worst."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def parse(cls, text: str) -> "Severity":
        """The severity called `text`. Raises ValueError."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError("use none, low, medium, high or critical") from None

    @property
    def word(self) -> str:
        """As it is written in the configuration."""
        return self.name.lower()


# GitHub's advisories say it in a word beside the vector.
_WORDS = {"low": Severity.LOW, "moderate": Severity.MEDIUM, "medium": Severity.MEDIUM, "high": Severity.HIGH, "critical": Severity.CRITICAL}
_LONGEST = 400


def in_words(text: object) -> Severity | None:
    """The severity that an advisory database's word means, None for no word of theirs."""
    return _WORDS.get(text.lower()) if isinstance(text, str) else None


@lru_cache(maxsize=4096)
def rated(kind: str, vector: str) -> Severity | None:
    """The base severity of a CVSS vector of OSV's type `kind` (CVSS_V2, CVSS_V3, CVSS_V4), None where it is none that can be read."""
    # Imported with the first advisory: most registries have none.
    from cvss import CVSS2, CVSS3, CVSS4  # noqa: PLC0415
    from cvss.exceptions import CVSSError  # noqa: PLC0415

    if len(vector) > _LONGEST:
        return None
    try:
        match kind:
            case "CVSS_V2":
                word = CVSS2(vector).severities()[0]
            case "CVSS_V3":
                word = CVSS3(vector).severities()[0]
            case "CVSS_V4":
                word = CVSS4(vector).severity
            case _:
                return None
    except (CVSSError, ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return Severity.parse(str(word))
