"""Advice: what is odd in core metadata, and no reason to refuse it, since old and new build tools write such things."""

import re

from packaging.metadata import Metadata, RawMetadata, parse_email

from registry.domain.errors import shown

# More than any build tool writes; each requirement costs a parse.
_HEADER_BYTES = 64 << 10
_MOST, _LONGEST = 10, 240
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
# "Private :: Do Not Upload" and the like exist to be unknown.
_PRIVATE = "Private ::"


def advice(raw: bytes) -> tuple[str, ...]:
    """Sentences about the headers of METADATA or PKG-INFO, at most eleven: printable ASCII, each of at most 240 characters."""
    head = _BLANK_LINE.split(raw, maxsplit=1)[0]
    if len(head) > _HEADER_BYTES:
        return (f"The metadata has more than {_HEADER_BYTES:,} bytes of headers, which were not looked at",)
    try:
        known, unknown = parse_email(head)
        found = [f"The metadata field {shown(key, 60)} is unknown or cannot be read" for key in unknown]
        found += _of_fields(known)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        found = [f"The metadata cannot be read in full: {error}"]
    kept = [_printable(sentence) for sentence in dict.fromkeys(found)]
    return (*kept[:_MOST], *([f"There are {len(kept) - _MOST:,} more such things in the metadata"] if len(kept) > _MOST else []))


def _of_fields(known: RawMetadata) -> list[str]:
    try:
        Metadata.from_raw(known)
        found = []
    except ExceptionGroup as group:
        found = [f"The metadata is not up to the specification: {error}" for error in group.exceptions]
    # Imported with the first upload: it is half a megabyte.
    from trove_classifiers import classifiers, deprecated_classifiers  # noqa: PLC0415

    for classifier in known.get("classifiers", []):
        if classifier in deprecated_classifiers:
            found.append(f"The classifier {shown(classifier, 100)} is deprecated")
        elif classifier not in classifiers and not classifier.startswith(_PRIVATE):
            found.append(f"The classifier {shown(classifier, 100)} is unknown")
    return found


def _printable(sentence: str) -> str:
    text = ascii(sentence)[1:-1].replace("\\'", "'")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
