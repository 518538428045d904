"""Reading the configuration: INI, environment and command line, and what is wrong with them."""

import os
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import attrs

from registry.config.sections import Config, known_sections
from registry.config.upstream import UpstreamIndex

_PREFIX = "REGISTRY__"
_FURTHER = re.compile(r"upstream[:_]([a-z0-9][a-z0-9-]{0,63})", re.ASCII)


class InvalidConfig(Exception):
    """The configuration cannot be used; `str()` names the section, the key and what would be right."""


def load_config(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    override: Mapping[tuple[str, str], str] | None = None,
) -> Config:
    """Read `path` (INI; None: defaults only), then the environment (`REGISTRY__SECTION__KEY`), then `override`, the last word winning.

    Raises `InvalidConfig` with section, key and what would be right for an unknown key or a bad value, wherever it came from.
    """
    settings: dict[tuple[str, str], tuple[str, str]] = {}  # section, key -> value, where it came from
    if path is not None:
        settings.update(_read_ini(Path(path)))
    for variable, value in sorted((os.environ if environ is None else environ).items()):
        if variable.startswith(_PREFIX):
            section, separator, key = variable.removeprefix(_PREFIX).lower().partition("__")
            if not separator:
                raise InvalidConfig(f"environment variable {variable}: write REGISTRY__SECTION__KEY, such as REGISTRY__SERVER__DATA_DIR")
            settings[section, key] = (value, f"environment variable {variable}")
    for name, value in (override or {}).items():
        settings[name] = (value, "command line")
    return _build(settings)


def _read_ini(path: Path) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    parser = ConfigParser(interpolation=None, default_section="", comment_prefixes=("#", ";"), inline_comment_prefixes=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise InvalidConfig(f"cannot read the configuration file {path}: {error.strerror}") from None
    except (IniError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"the configuration file {path} is not INI: {error}") from None
    for section in parser.sections():
        _section(section, str(path))
        for key, value in parser.items(section):
            yield (section, key), (value, str(path))


def _build(settings: Mapping[tuple[str, str], tuple[str, str]]) -> Config:
    values: dict[str, dict[str, object]] = {}
    further: dict[str, dict[str, object]] = {}
    for (section, key), (text, source) in settings.items():
        keys = {known.name: known for known in attrs.fields(_section(section, source))}
        if key not in keys:
            raise InvalidConfig(f"{source}: section [{section}] has no key {key!r}{_suggest(key, keys)}")
        try:
            named = _further(section)
            where = values.setdefault(section, {}) if named is None else further.setdefault(named, {})
            where[key] = keys[key].metadata["parse"](text.strip())
        except ValueError as error:
            raise InvalidConfig(f"{source}: [{section}] {key} = {text!r} cannot be used: {error}") from None
    upstreams = tuple((name, UpstreamIndex(**cast("dict[str, Any]", keys))) for name, keys in further.items())
    for name, index in upstreams:
        if not index.url:
            raise InvalidConfig(f"[upstream:{name}] needs a url: the address of the index")
    return Config(**{section: known_sections()[section](**keys) for section, keys in values.items()}, upstreams=upstreams)


def _section(name: str, source: str) -> type[Any]:
    if _further(name) is not None:
        return UpstreamIndex
    if name not in known_sections():
        raise InvalidConfig(f"{source}: there is no section [{name}]{_suggest(name, known_sections())}")
    return known_sections()[name]


def _further(section: str) -> str | None:
    """The name of a further upstream that `section` is about; in a variable's name an underscore stands for the colon."""
    match = _FURTHER.fullmatch(section)
    return match[1] if match is not None else None


def _suggest(word: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
