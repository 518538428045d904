"""Configuration: one file, the environment and the command line become one value, or a sentence that says what would be right."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.config import (
    Config,
    InvalidConfig,
    describe,
    directory,
    duration,
    endpoints,
    identity_patterns,
    interval,
    load_config,
    optional_file,
    size,
    switch,
    url,
)
from registry.domain.curation.policy import Policy
from registry.domain.curation.severity import Severity
from registry.domain.filenames import Kind

EXAMPLE = Path(__file__).parent.parent / "config.example.ini"
SETTINGS = list(describe())
# A line of its own for the sentence, the next for the key: what an editor of the file sees together.
_SETTING = re.compile(r"# (?P<doc>[^\n]+)\n(?P<key>\w+) =(?: (?P<default>[^\n]*))?(?:\n|$)")


def documented() -> list[tuple[str, str, str, str]]:
    """Every setting of the example file: section, key, default, sentence."""
    found = []
    for section in EXAMPLE.read_text(encoding="utf-8").split("\n[")[1:]:
        name, _, body = section.partition("]\n")
        found += [(name, match["key"], match["default"] or "", match["doc"]) for match in _SETTING.finditer(body)]
    return found


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None, override: dict[tuple[str, str], str] | None = None) -> Config:
    """The configuration of a file with this text."""
    path = tmp_path / "registry.ini"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ=environ or {}, override=override)


def test_the_example_file_is_the_defaults() -> None:
    """The example file, as it is, configures exactly what no file does."""
    assert load_config(EXAMPLE, environ={}) == load_config(None, environ={}) == Config()


def test_the_example_file_holds_every_setting_and_no_other() -> None:
    """The example file has every key in its section and order, with its default and the sentence that explains it."""
    assert documented() == SETTINGS


def test_the_example_file_sets_nothing_without_a_sentence() -> None:
    """No line of the example file sets a key outside the pattern that the test above reads."""
    lines = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line and not line.startswith(("#", "["))]
    assert len(lines) == len(SETTINGS)


@pytest.mark.parametrize(("section", "key", "default", "doc"), SETTINGS)
def test_every_setting_is_explained(section: str, key: str, default: str, doc: str) -> None:
    """Every setting has one line of explanation, and its default, as written, gives its default value."""
    assert re.fullmatch(r"\S[^\n]{10,135}\.", doc)
    assert load_config(None, environ={}, override={(section, key): default}) == Config()


def test_a_missing_key_keeps_its_default(tmp_path: Path) -> None:
    """A file names only what it changes; an empty one changes nothing."""
    assert load(tmp_path, "") == Config()
    changed = load(tmp_path, "[server]\ngrace = 5m\n")
    assert changed == attrs.evolve(Config(), server=attrs.evolve(Config().server, grace=300.0))


def test_the_environment_beats_the_file_and_the_command_line_beats_both(tmp_path: Path) -> None:
    """The last word is the command line's, then the environment's, then the file's."""
    text, environ = "[uploads]\nmax_file_size = 1K\naccept_identical = yes\n", {"REGISTRY__UPLOADS__MAX_FILE_SIZE": "2K"}
    assert load(tmp_path, text).uploads.max_file_size == 1024
    assert load(tmp_path, text, environ).uploads.max_file_size == 2048
    assert load(tmp_path, text, environ, {("uploads", "max_file_size"): "3K"}).uploads.max_file_size == 3072
    assert load(tmp_path, text, environ, {("uploads", "max_file_size"): "3K"}).uploads.accept_identical is True


@pytest.mark.parametrize(("section", "key", "default", "doc"), SETTINGS)
def test_every_setting_has_a_variable(section: str, key: str, default: str, doc: str) -> None:
    """REGISTRY__SECTION__KEY is read for every setting, in capitals or not, and surrounding blanks do not matter."""
    others = {
        "max_file_size": "7",
        "pages": "7",
        "files": "7",
        "accept_identical": "yes",
        "enabled": "no",
        "ahead": "no",
        "external_url": "http://other.test",
        "url": "http://other.test",
        "projects": "their/* = our/*",
        "identities": "https://issuer.test https://them.test/*",
        "reserved": "acme-*",
        "kinds": "wheel",
        "unknown_licence": "deny",
        "min_age_for": "torch-* = 30d",
        "not_after": "2026-11-21",
        "yanked": "hide",
        "osv_severity": "low",
        "exceptions": "app until 2026-12-01 because of a test",
        "checks": "strict -record +linux-tags",
        "mode": "stream",
        "allow_private": "10.0.0.0/8",
    }
    other = others.get(key, "tcp:7" if key == "listen" else "7")
    for variable in (f"REGISTRY__{section}__{key}".upper(), f"REGISTRY__{section}__{key}"):
        assert load_config(None, environ={variable: f" {other} "}) == load_config(None, environ={}, override={(section, key): other})
        assert load_config(None, environ={variable: other}) != Config()


def test_further_upstreams_have_sections_of_their_own(tmp_path: Path) -> None:
    """A section [upstream:NAME] is one more index, and REGISTRY__UPSTREAM_NAME__KEY its variable; it needs a url."""
    text = "[upstream:torch]\nurl = https://wheels.test/whl\nnames = Torch, torch.*\npriority = 3\n"
    ((name, found),) = load(tmp_path, text, {"REGISTRY__UPSTREAM_TORCH__PASSWORD": "hush"}).upstreams
    assert (name, found.url, found.names, found.priority) == ("torch", "https://wheels.test/whl/", ("torch", "torch-*"), 3)
    assert found.password is not None
    assert (found.password.reveal(), "hush" in repr(found)) == ("hush", False)
    for text in ("[upstream:torch]\nmode = cache\n", "[upstream:To rch]\nurl = https://x.test\n", "[upstream:x]\ncache_size = 1G\n"):
        with pytest.raises(InvalidConfig, match=r"upstream"):
            load(tmp_path, text)


def test_other_variables_are_not_ours() -> None:
    """Variables without the prefix, and the prefix of something else, are left alone."""
    assert load_config(None, environ={"REGISTRY_URL": "x", "REGISTRY": "y", "XREGISTRY__SERVER__GRACE": "z"}) == Config()


def test_the_environment_is_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment of its own, the configuration reads the one it runs in."""
    monkeypatch.setenv("REGISTRY__SERVER__GRACE", "11s")
    assert load_config().server.grace == 11


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[sever]\n", r"there is no section \[sever\]; did you mean server\?"),
        (
            "[xyzzy]\nkey = 1\n",
            r"there is no section \[xyzzy\]; there are server, uploads, cache, storage, .*, upstream, names, curation",
        ),
        ("[DEFAULT]\ngrace = 1\n", r"there is no section \[DEFAULT\]"),
        ("[server]\nlisten_on = x\n", r"section \[server\] has no key 'listen_on'; did you mean listen\?"),
        ("[cache]\nxyzzy = x\n", r"section \[cache\] has no key 'xyzzy'; there are pages, files"),
        ("[server]\ngrace = soon\n", r"\[server\] grace = 'soon' cannot be used: use a duration such as 30s, 5m, 12h or 7d"),
        ("[server]\ngrace = 5m ; five\n", r"\[server\] grace = '5m ; five' cannot be used"),
        ("[server]\nhead_timeout = 0\n", r"\[server\] head_timeout = '0' cannot be used: use a duration of at least 1s"),
        ("[storage]\nsweep_every = 0\n", r"\[storage\] sweep_every = '0' cannot be used: use a duration of at least 1s"),
        ("[server]\ndata_dir =\n", r"\[server\] data_dir = '' cannot be used: use the path of a directory"),
        ("[server]\nlisten =\n", r"\[server\] listen = '' cannot be used: use a Twisted endpoint description"),
        ("[server]\nexternal_url = packages\n", r"\[server\] external_url = 'packages' cannot be used: use an address such as https://"),
        ("[uploads]\nmax_file_size = big\n", r"\[uploads\] max_file_size = 'big' cannot be used: use a number of bytes such as 5G"),
        ("[upstream]\nenabled = maybe\n", r"\[upstream\] enabled = 'maybe' cannot be used: use yes or no"),
        ("grace = 1\n", "is not INI"),
        ("[server]\ngrace\n", "is not INI"),
        ("[server]\ngrace = 1\ngrace = 2\n", "is not INI.*grace"),
        ("[server]\n[server]\n", "is not INI.*server"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, text: str, expected: str) -> None:
    """An unknown section or key, a bad value and a broken file name the file, the place and what would be right."""
    with pytest.raises(InvalidConfig, match=r"registry\.ini") as refused:
        load(tmp_path, text)
    assert re.search(expected, str(refused.value), re.DOTALL)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        (
            "REGISTRY__SERVER__GRACES",
            "1",
            r"environment variable REGISTRY__SERVER__GRACES: section \[server\] has no key 'graces'; did you mean grace\?",
        ),
        (
            "REGISTRY__SEVER__GRACE",
            "1",
            r"environment variable REGISTRY__SEVER__GRACE: there is no section \[sever\]; did you mean server\?",
        ),
        (
            "REGISTRY__SERVER__GRACE",
            "soon",
            r"environment variable REGISTRY__SERVER__GRACE: \[server\] grace = 'soon' cannot be used: use a duration",
        ),
        ("REGISTRY__SERVER__DATA_DIR", "", r"environment variable REGISTRY__SERVER__DATA_DIR: \[server\] data_dir = '' cannot be used"),
        ("REGISTRY__GRACE", "1", r"environment variable REGISTRY__GRACE: write REGISTRY__SECTION__KEY"),
        ("REGISTRY__", "1", r"environment variable REGISTRY__: write REGISTRY__SECTION__KEY"),
    ],
)
def test_a_mistake_in_the_environment_is_told(variable: str, value: str, expected: str) -> None:
    """A variable that cannot be used is named, with what would be right."""
    with pytest.raises(InvalidConfig, match=expected):
        load_config(None, environ={variable: value})


def test_a_mistake_on_the_command_line_is_told() -> None:
    """A bad option is not blamed on a file."""
    with pytest.raises(InvalidConfig, match=r"^command line: \[server\] external_url = 'x' cannot be used"):
        load_config(None, environ={}, override={("server", "external_url"): "x"})


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A missing file, a directory and a file of other bytes are named with the reason."""
    with pytest.raises(InvalidConfig, match=r"cannot read the configuration file .*absent\.ini: No such file"):
        load_config(tmp_path / "absent.ini", environ={})
    with pytest.raises(InvalidConfig, match=r"cannot read the configuration file .*: Is a directory"):
        load_config(tmp_path, environ={})
    (tmp_path / "binary.ini").write_bytes(b"[server]\ndata_dir = \xff\n")
    with pytest.raises(InvalidConfig, match=r"binary\.ini is not INI"):
        load_config(tmp_path / "binary.ini", environ={})


def test_percent_signs_mean_themselves(tmp_path: Path) -> None:
    """Nothing in a value is interpolated."""
    assert load(tmp_path, "[server]\ndata_dir = /a%20b%(home)s\n").server.data_dir == Path("/a%20b%(home)s")


def test_several_endpoints_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    """`listen` may repeat, one description a line; commas and colons belong to the description."""
    listening = load(tmp_path, "[server]\nlisten =\n  tcp:8080\n\n  ssl:443:privateKey=k.pem:extraCertChain=a,b\n").server.listen
    assert listening == ("tcp:8080", "ssl:443:privateKey=k.pem:extraCertChain=a,b")
    assert endpoints("unix:/run/registry.sock") == ("unix:/run/registry.sock",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("1048576", 1 << 20),
        ("1k", 1 << 10),
        ("64M", 64 << 20),
        ("5G", 5 << 30),
        ("5 GB", 5 << 30),
        ("5GiB", 5 << 30),
        ("2t", 2 << 40),
        ("7B", 7),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    """A size is a whole number with a unit in powers of 1024."""
    assert size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("1.5", 1.5), ("250ms", 0.25), ("30s", 30), ("5m", 300), ("12H", 43200), ("7 d", 604800), ("3650d", 315360000)],
)
def test_durations(text: str, expected: float) -> None:
    """A duration is a number with a unit, in seconds without one."""
    assert duration(text) == expected


@pytest.mark.parametrize(
    ("parse", "right", "wrong"),
    [
        (interval, "1", "0.999"),
        (interval, "1000ms", "999ms"),
        (interval, "3650d", "3650.1d"),
        (duration, "3650d", "315360001"),
    ],
)
def test_the_ends_of_durations(parse: Callable[[str], float], right: str, wrong: str) -> None:
    """An interval is at least a second, and no duration is over ten years: beyond both, timers do not work."""
    assert parse(right) > 0
    with pytest.raises(ValueError, match=r"use a duration of at (least|most)"):
        parse(wrong)


@pytest.mark.parametrize("text", ["", " ", "-1", "+1", "1.5G", "G", "5X", "5 GG", "0x10", "1e3", "1_000", "\u0661", "5\u212a", "9" * 5000])
def test_what_is_no_size(text: str) -> None:
    """Signs, fractions, other units and other alphabets' digits are refused."""
    with pytest.raises(ValueError, match=r".+"):
        size(text)


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "s", "1.", ".5", "5 weeks", "1h30m", "inf", "nan", "1e3", "\u0661s", "5\u017f", "9" * 5000]
)
def test_what_is_no_duration(text: str) -> None:
    """Signs, words, sums, other alphabets' letters and what is longer than a life are refused."""
    with pytest.raises(ValueError, match="use a duration"):
        duration(text)


@given(st.one_of(st.text(max_size=12), st.text("0123456789.kmgtibshd\u212a\u017f\u0130 ", max_size=8)))
def test_only_value_errors_are_raised(text: str) -> None:
    """Any text is a number that is not negative, or a ValueError with a sentence."""
    for parse in (size, duration, interval):
        try:
            found = parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - most texts are refused; what matters is that nothing else comes out
            continue
        assert 0 <= found < float("inf")


@given(st.integers(0, 10**9), st.sampled_from([("", 0), ("K", 10), ("m", 20), ("GiB", 30), (" tb", 40)]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: tuple[str, int]) -> None:
    """Units multiply, whatever their case and form."""
    assert size(f"{number}{unit[0]}") == number << unit[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("https://packages.example.com", "https://packages.example.com"),
        ("https://packages.example.com/", "https://packages.example.com"),
        ("http://localhost:8080/registry/", "http://localhost:8080/registry"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTPS://Packages.example.com", "HTTPS://Packages.example.com"),
        ("https://packages.example.com:80", "https://packages.example.com:80"),
    ],
)
def test_addresses(text: str, expected: str) -> None:
    """An address may have a port and a path; a trailing slash is dropped."""
    assert url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "packages.example.com",
        "//packages.example.com",
        "ftp://packages.example.com",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user@packages.example.com",
        "https://:secret@packages.example.com",
        "https://@packages.example.com",
        "https://packages.example.com?",
        "https://packages.example.com?a=b",
        "https://packages.example.com#",
        "https://packages.example.com/#a",
        "https://packages.example.com:99999",
        "https://packages.example.com:port",
        "https://[::1",
        "https://packages.example.com/\r\nX: y",
        "https://packages.example.com/a b",
        "https://packages.example.com/caf\u00e9",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Other schemes, users, queries, fragments, bad ports and line breaks are refused (hardening rows 3 and 7)."""
    with pytest.raises(ValueError, match=r"use an address such as https://packages\.example\.com"):
        url(text)


@pytest.mark.parametrize(("text", "port"), [("http://packages.example.com:80", 80), ("https://packages.example.com:443/", 443)])
def test_a_default_port_is_refused(text: str, port: int) -> None:
    """With a default port spelt out, pip would not send its credentials to the files' addresses."""
    with pytest.raises(ValueError, match=f"leave out the port, {port} is the default"):
        url(text)


@given(st.one_of(st.text(max_size=30), st.text("htps:/[]@?#%.0189a\r\n ", max_size=20).map("https://{}".format)))
def test_any_address_is_plain_or_refused(text: str) -> None:
    """Any text is an address that can stand in a page and a header, or a ValueError."""
    try:
        found = url(text)
    except ValueError:
        return
    assert found == "" or (found.isascii() and found.isprintable() and not set(found) & set(" ?#@") and not found.endswith("/"))


@pytest.mark.parametrize("word", ["yes", "on", "true", "1", "Yes", "ON"])
def test_yes(word: str) -> None:
    """Yes in the usual words, in any case."""
    assert switch(word) is True


@pytest.mark.parametrize("word", ["no", "off", "false", "0", "No", "OFF"])
def test_no(word: str) -> None:
    """No in the usual words, in any case."""
    assert switch(word) is False


@pytest.mark.parametrize("word", ["", "y", "maybe", "2", "yes no"])
def test_neither(word: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="use yes or no"):
        switch(word)


def test_directories() -> None:
    """A directory is any path, but never the empty one, which would mean wherever the server happens to start."""
    assert directory("/var/lib/registry") == Path("/var/lib/registry")
    for wrong in ("", "a\0b"):
        with pytest.raises(ValueError, match="use the path of a directory"):
            directory(wrong)


def test_a_file_may_be_none() -> None:
    """A file that may be left out is any path, or none for the empty text."""
    assert optional_file("/etc/registry/trusted_root.json") == Path("/etc/registry/trusted_root.json")
    assert optional_file("") is None
    with pytest.raises(ValueError, match="use the path of a file"):
        optional_file("a\0b")


def test_identities_are_pairs() -> None:
    """Accepted identities are an issuer and a pattern a line, in their order; no line is nobody."""
    assert identity_patterns("") == identity_patterns("\n  \n") == ()
    assert identity_patterns("https://a.test https://b.test/*\n\n  http://c.test\t*@d.test \n") == (
        ("https://a.test", "https://b.test/*"),
        ("http://c.test", "*@d.test"),
    )


@pytest.mark.parametrize("line", ["https://a.test", "https://a.test b c", "a.test b", "https://*.test b", "* *", "https://a.test = b"])
def test_what_is_no_pair_of_issuer_and_identity(line: str) -> None:
    """A line without both, with more, or with a star in the issuer is refused, whatever stands beside it."""
    for text in (line, f"https://a.test b\n{line}"):
        with pytest.raises(ValueError, match="write an issuer and an identity pattern a line"):
            identity_patterns(text)


def test_curation_is_one_policy(tmp_path: Path) -> None:
    """What [names] and [curation] say, on lines and with commas, is the policy that files are judged by."""
    text = """
[names]
reserved = Acme_*, ours
  theirs.*
[curation]
deny = evil-*
  requests <2.31
  # numpy is commented out
  pip
allow = *
kinds = sdist
licences_deny = AGPL-*, SSPL-1.0
licences_allow = MIT
  BSD-*
unknown_licence = deny
min_age = 7d
min_age_for = torch-* = 30d
  inner = 0
not_after = 2026-11-21
yanked = hide
osv = advisories
osv_severity = none
exceptions =
  requests ==2.32.0 until 2026-12-01 because it is urgent
"""
    config = load(tmp_path, text)
    policy = config.policy()
    assert config.curation.osv == Path("advisories")
    assert policy.reserved == ("acme-*", "ours", "theirs-*")
    assert [choice.text for choice in policy.deny.all] == ["evil-*", "requests <2.31", "pip"]
    assert [choice.pattern for choice in policy.allow.all] == ["*"]
    assert policy.kinds == {Kind.SDIST}
    assert (policy.licences_deny, policy.licences_allow, policy.unknown_licence) == (("AGPL-*", "SSPL-1.0"), ("MIT", "BSD-*"), False)
    assert (policy.min_age, policy.min_age_for) == (timedelta(days=7), (("torch-*", timedelta(days=30)), ("inner", timedelta())))
    assert policy.not_after == datetime(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC)
    assert (policy.hide_yanked, policy.osv_severity) == (True, Severity.NONE)
    assert [(one.choice.text, one.reason) for one in policy.exceptions] == [("requests ==2.32.0", "it is urgent")]


def test_without_a_word_about_curation_the_policy_is_the_default(tmp_path: Path) -> None:
    """No setting means the policy that refuses only what nobody could install."""
    assert load(tmp_path, "").policy() == Policy()


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("deny", "requests 2.31", "write one a line, such as evil-* or requests <2.31"),
        ("deny", "requests <banana", "is no version specifier"),
        ("deny", "-x", "is no pattern of names"),
        ("allow", "a b", "write one a line"),
        ("kinds", "egg", "use wheel, sdist or both"),
        ("kinds", "", "use wheel, sdist or both"),
        ("unknown_licence", "yes", "use allow or deny"),
        ("min_age", "-1", "use a duration"),
        ("min_age_for", "torch-*", "write a pattern of names and a duration a line"),
        ("min_age_for", "torch-* = soon", "use a duration"),
        ("min_age_for", "t/h = 1d", "is no pattern of names"),
        ("not_after", "tomorrow", "neither a date such as 2026-11-21 nor an instant"),
        ("yanked", "no", "use show or hide"),
        ("osv_severity", "bad", "use none, low, medium, high or critical"),
        ("exceptions", "requests until 2026-12-01", "gives no reason"),
        ("exceptions", "requests because of me", "is no exception; write one a line"),
        ("exceptions", "requests until soon because of me", "neither a date"),
        ("exceptions", "requests 2 until 2026-12-01 because of me", "write one a line"),
    ],
)
def test_a_slip_in_the_policy_is_told(tmp_path: Path, key: str, value: str, right: str) -> None:
    """A line that would mean nothing, or something else than was meant, is refused with what would be right."""
    with pytest.raises(InvalidConfig, match=rf"\[curation\] {key} = .* cannot be used: .*{re.escape(right)}"):
        load(tmp_path, f"[curation]\n{key} = {value}\n")


@pytest.mark.parametrize("value", ["acme/*", "-acme", "*-", "acme, -"])
def test_a_reserved_name_that_no_project_can_have_is_told(tmp_path: Path, value: str) -> None:
    """A pattern that fits no name at all would reserve nothing, so it is refused (hardening row 24)."""
    with pytest.raises(InvalidConfig, match=r"\[names\] reserved = .* is no pattern of names"):
        load(tmp_path, f"[names]\nreserved = {value}\n")


def test_configuration_is_inert() -> None:
    """A configuration cannot be changed once it is read."""
    config = load_config(None, environ={})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.server.grace = 1.0  # type: ignore[misc]
