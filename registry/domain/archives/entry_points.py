"""entry_points.txt of a wheel: whether installers can read it and make its scripts."""

import configparser
import re

from registry.domain.archives.refusals import member, refusal

# The entry points specification: groups are dotted words; "Within a value, readers must accept and ignore spaces around the colon, between
# the object reference and the left square bracket, between the extra names and the square brackets and colons delimiting them".
_GROUP = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_SCRIPT = re.compile(r"[\w.-]+")
_OBJECT = re.compile(r"[\w.]+(?:\s*:\s*[\w.]+)?\s*(?:\[[\w\s,.-]*\])?")
_SCRIPTS = frozenset({"console_scripts", "gui_scripts"})
# configparser looks at every blank in a run once more for each blank before it.
_BLANKS = re.compile(r"(?<=\S)[^\S\n]{2,}+")


def demand_entry_points(raw: bytes) -> None:
    """Refuse an entry_points.txt that does not parse, or has a script that could not be made."""
    # Names keep their case; "=" is the only delimiter, since values have a colon.
    parser = configparser.RawConfigParser(delimiters=("=",), default_section="\0", inline_comment_prefixes=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(_BLANKS.sub(" ", raw.decode("utf-8-sig")))
    except (configparser.Error, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise refusal(f"has an entry_points.txt that cannot be read: {member(problem)}; correct it and build again") from None
    for group in parser.sections():
        if not _GROUP.fullmatch(group):
            raise refusal(f"has a group {member(group)} in its entry_points.txt: use letters, digits and '_', joined by dots")
        if group in _SCRIPTS:
            _demand_scripts(group, parser.items(group))


def _demand_scripts(group: str, scripts: list[tuple[str, str]]) -> None:
    for name, target in scripts:
        if not _SCRIPT.fullmatch(name):
            raise refusal(f"has a script {member(name)} in {group} of its entry_points.txt: use letters, digits, '_', '.' and '-'")
        if not _OBJECT.fullmatch(target):
            raise refusal(f"has a script {member(name)} in its entry_points.txt that is {member(target)}: write it as module:function")
