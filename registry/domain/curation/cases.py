"""Cases that a policy is tested with, offline: a file as it might come from an upstream, and what ought to become of it."""

from collections.abc import Callable
from configparser import ConfigParser, SectionProxy
from configparser import Error as IniError
from datetime import datetime
from difflib import get_close_matches
from typing import TypeVar

from attrs import frozen

from registry.domain.curation.judging import ALLOW, EXCEPTION, Rule, Verdict, judge
from registry.domain.curation.policy import Policy
from registry.domain.errors import InvalidSetting, RegistryError
from registry.domain.model import File, ProjectStatus
from registry.domain.moments import parse_moment
from registry.domain.names import Name
from registry.domain.releases import parse_status

T = TypeVar("T")

_KEYS = ("name", "version", "filename", "uploaded", "yanked", "status", "licence", "now", "expect")
_NEEDED = ("name", "version", "expect")
_EXPECTED = (ALLOW, EXCEPTION, *(rule.value for rule in Rule))
_YANKED = {"no": None, "yes": ""}


@frozen(kw_only=True)
class Case:
    """One case. `expect` is `allow`, which is also right for what an exception lets in, `exception`, or the rule that refuses."""

    title: str
    name: Name
    status: ProjectStatus
    file: File
    licence: str | None
    now: datetime
    expect: str

    def judged(self, policy: Policy) -> Verdict:
        """What the policy says."""
        return judge(policy, self.name, self.status, self.file, self.now, self.licence)

    def fulfilled(self, verdict: Verdict) -> bool:
        """Whether that is what was expected."""
        return verdict.allowed if self.expect == ALLOW else verdict.rule == self.expect


def read_cases(text: str, now: datetime) -> tuple[Case, ...]:
    """The cases of an INI text, a section each, in its order; `now` is the moment of those that name none.

    Keys: `name`, `version` and `expect`; `filename` (a pure wheel, unless said), `uploaded` (a date is its end, UTC; unknown), `yanked`
    (`no`, `yes` or the reason), `status` (active), `licence` (unknown; one a line), `now`. Raises `InvalidSetting` with section and key.
    """
    parser = ConfigParser(interpolation=None, default_section="", comment_prefixes=("#", ";"), inline_comment_prefixes=None)
    try:
        parser.read_string(text, "cases")
    except IniError as error:
        raise InvalidSetting(what="The file of cases", value="", allowed=f"it is not INI: {error}") from None
    if not parser.sections():
        raise InvalidSetting(what="The file of cases", value="", allowed="it has no section; write one for each case")
    return tuple(_read(parser[title], now) for title in parser.sections())


def _read(given: SectionProxy, now: datetime) -> Case:
    title = given.name
    for key in given:
        if key not in _KEYS:
            close = get_close_matches(key, _KEYS, n=1)
            raise _wrong(
                title, key, given[key], f"there is no such key; {f'did you mean {close[0]}?' if close else 'use ' + ', '.join(_KEYS)}"
            )
    for key in _NEEDED:
        if not given.get(key, ""):
            raise _wrong(title, key, "", "say it: a case needs name, version and expect")
    if given["expect"] not in _EXPECTED:
        raise _wrong(title, "expect", given["expect"], f"use one of {', '.join(_EXPECTED)}")

    def told(key: str, parse: Callable[[str], T]) -> T | None:
        text = given.get(key, "")
        try:
            return parse(text) if text else None
        except RegistryError as error:
            raise _wrong(title, key, text, str(error)) from None

    name, version, yanked = told("name", Name), given["version"], given.get("yanked", "no")
    assert name is not None  # it is one of the needed ones
    file = File(
        id=0,
        filename=given.get("filename", f"{name.normalized.replace('-', '_')}-{version}-py3-none-any.whl"),
        version=version,
        sha256="",
        size=None,
        requires_python="",
        uploaded_at=told("uploaded", parse_moment),
        yanked=_YANKED.get(yanked.lower(), yanked),
    )
    return Case(
        title=title,
        name=name,
        status=told("status", parse_status) or ProjectStatus.ACTIVE,
        file=file,
        licence=given.get("licence") or None,
        now=told("now", parse_moment) or now,
        expect=given["expect"],
    )


def _wrong(title: str, key: str, value: str, allowed: str) -> InvalidSetting:
    return InvalidSetting(what=f"[{title}] {key}", value=value, allowed=allowed)
