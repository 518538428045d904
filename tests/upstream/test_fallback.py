"""Ours stays ours: what is never asked of an upstream, never mixed with what it has, and never mentioned to it."""

from collections.abc import Iterable

import pytest
from attrs import evolve
from twisted.logger import LogEvent, formatEvent

from registry.config import Names, UpstreamIndex
from registry.domain.access import Role, Visibility
from registry.domain.curation.course import OURS_FIRST
from registry.domain.names import Name
from registry.testing import OPERATOR, Answer, Built, FakeUpstream, done, sdist, wheel
from registry.testing.troubles import HTML, JSON, status
from tests.beyond import HOST, Beyond, configured, file_path, page_path
from tests.conftest import Start

# What somebody else publishes under the name of ours, with a version that nobody could resist.
THEIRS = wheel("acme-tool", "99.0", payload=b"theirs")
OURS = wheel("acme-tool", "1.0", payload=b"ours")
SPELLINGS = ["acme-tool", "Acme.Tool", "ACME__tool", "acme-tool.txt"]


def attacked(start: Start, **settings: object) -> Beyond:
    """A registry beside an upstream where somebody has published under the name of ours."""
    upstream = FakeUpstream()
    upstream.add(THEIRS, sdist("acme-tool", "99.0"), wheel("demo"))
    return start(upstream, configured(**settings))  # type: ignore[arg-type] # keys of the configuration


def publish(beyond: Beyond, built: Built = OURS, project: int = 1) -> None:
    """Publish a file here."""
    answer = beyond.registry.upload(project, built, token=beyond.token)
    assert answer.code == 201, answer


def share(beyond: Beyond, name: str = "acme-tool", project: int = 1, *, shared: bool = True) -> None:
    """Let a project fetch a name of ours, too, or no longer."""
    done(beyond.registry.store.upstream.share(project, Name(name), OPERATOR, shared=shared))


def everything(beyond: Beyond, place: str = "projects/1") -> list[Answer]:
    """What every door says about THEIRS."""
    paths = [page_path(spelling, place) for spelling in SPELLINGS]
    paths += [file_path(THEIRS, place), f"{file_path(THEIRS, place)}.metadata", file_path(sdist("acme-tool", "99.0"), place)]
    top = f"/api/v4/{place}/packages/pypi"
    paths += [f"{top}/+simple/acme-tool/", f"{top}/pypi/acme-tool/json", f"{top}/pypi/acme-tool/99.0/json", f"{top}/explain/acme-tool"]
    paths += [f"{top}/integrity/acme-tool/99.0/{THEIRS.filename}/provenance"]
    return [beyond.ask(path, headers={"Accept": kind}) for path in paths for kind in (JSON, HTML)]


def unmixed(answers: Iterable[Answer]) -> bool:
    """Whether nothing of theirs is in any of these."""
    return not any(b"99.0-py3" in answer.body or b"99.0.tar" in answer.body or answer.body == THEIRS.content for answer in answers)


def silent(beyond: Beyond, events: Iterable[LogEvent]) -> bool:
    """Whether the upstream was told nothing of the name, nothing was looked up for it, and nothing was logged of it."""
    told = any(beyond.upstream.mentions(word) for word in ("acme", "99.0"))
    said = [event for event in events if "acme" in (formatEvent(event) or "").lower()]
    return not told and not said and beyond.upstream.requests == []


# --- names that are never asked about ---


@pytest.mark.parametrize("visibility", list(Visibility))
def test_a_name_in_any_project_is_never_asked_about(start: Start, log_events: list[LogEvent], visibility: Visibility) -> None:
    """A name that any project holds, whoever may see it, is nowhere asked upstream and says nothing of theirs (hardening row 24)."""
    beyond = attacked(start)
    elsewhere = beyond.registry.project("root/elsewhere", visibility).id
    publish(beyond, project=elsewhere)
    log_events.clear()
    assert unmixed(everything(beyond))
    assert {beyond.page(spelling).code for spelling in SPELLINGS} == {404}
    assert unmixed(everything(beyond, f"projects/{elsewhere}"))
    assert beyond.page("acme-tool", place=f"projects/{elsewhere}").json["versions"] == ["1.0"]
    assert silent(beyond, log_events)


def test_a_stranger_learns_no_more_than_that_there_is_none(start: Start, log_events: list[LogEvent]) -> None:
    """To who may not see the project that holds it, the name is 404 like one that nobody has (hardening row 31)."""
    beyond = attacked(start)
    beyond.registry.user("eve")
    beyond.registry.project("root/open", Visibility.PUBLIC)
    publish(beyond)
    token, place = beyond.registry.token("eve"), "projects/2"
    ours, nobodys = (beyond.ask(page_path(name, place), token=token) for name in ("acme-tool", "nobodys-name"))
    assert (ours.code, nobodys.code) == (404, 404)
    assert ours.text.replace("acme-tool", "x") == nobodys.text.replace("nobodys-name", "x")
    assert not beyond.upstream.mentions("acme")


@pytest.mark.parametrize("how", ["file", "package", "project"])
def test_a_name_that_was_once_published_stays_ours(start: Start, log_events: list[LogEvent], how: str) -> None:
    """Deleting the file, the package or the whole project gives the name to nobody else; a restart neither."""
    beyond = attacked(start)
    project = beyond.registry.project("root/gone").id
    publish(beyond, project=project)
    base, headers = f"/api/v4/projects/{project}", [("PRIVATE-TOKEN", beyond.token)]
    path = {"file": f"{base}/packages/1/package_files/1", "package": f"{base}/packages/1", "project": base}[how]
    assert beyond.registry.ask("DELETE", path, headers).code in {202, 204}
    log_events.clear()
    for _ in range(2):
        assert unmixed(everything(beyond))
        assert beyond.page("acme-tool").code == 404
        beyond.restart()
    assert silent(beyond, log_events)


def test_a_reserved_name_is_never_asked_about(start: Start, log_events: list[LogEvent]) -> None:
    """A name that `[names] reserved` fits is ours before anything is published, in every spelling; its neighbours are not."""
    beyond = attacked(start, names=Names(reserved=("acme-*",)))
    assert unmixed(everything(beyond))
    assert {beyond.page(spelling).code for spelling in SPELLINGS} == {404}
    assert silent(beyond, log_events)
    assert beyond.page("acmetool").code == 404
    assert beyond.upstream.asked("/simple/acmetool/") == 1


@pytest.mark.parametrize(
    "filename", ["acme-tool-99.0.tar.gz", "acme_tool-99.0.tar.gz", "Acme.Tool-99.0.zip", "acme_tool-99.0-py3-none-any.whl"]
)
def test_no_spelling_of_a_file_name_leads_past_the_guard(start: Start, log_events: list[LogEvent], filename: str) -> None:
    """The name is read out of a file name in every way that it could be meant, and if one of them is ours nobody is asked (row 1)."""
    beyond = attacked(start)
    publish(beyond)
    log_events.clear()
    path = file_path(evolve(THEIRS, filename=filename))
    assert beyond.ask(path).code == 404
    assert silent(beyond, log_events)


@pytest.mark.parametrize(
    "name",
    [
        "acme%20tool",
        "acme-tool%20",
        "acme%2Ftool",
        "_acme-tool",
        "acme-tool-",
        "acme%00tool",
        "acme%E2%84%AA-tool",
        "%C3%A9",
        "---",
        "%2e%2e",
    ],
)
def test_what_is_no_name_is_never_asked_about(start: Start, name: str) -> None:
    """What is not a name by PEP 508 goes nowhere: not found or not a path, and not a word upstream (hardening row 1)."""
    beyond = attacked(start)
    assert beyond.ask(page_path(name)).code in {400, 404}
    assert beyond.upstream.requests == []


# --- publishing a name that is an upstream's, too ---


@pytest.mark.parametrize("before", ["never asked", "kept", "ready"])
def test_publishing_a_name_takes_it_at_once(start: Start, before: str) -> None:
    """From the request after the upload on a name is ours alone: pages that were cached or ready are not given again, nor files."""
    beyond = attacked(start)
    group = beyond.registry.group("team")
    beyond.registry.project("team/tools")
    places = ("projects/1", "projects/2", f"groups/{group.id}/-")
    for _ in range({"never asked": 0, "kept": 1, "ready": 3}[before]):
        for place in places:
            assert (beyond.page("acme-tool", place=place).code, beyond.ask(file_path(THEIRS, place)).code) == (200, 200)
    publish(beyond)
    assert [beyond.page("acme-tool", place=place).code for place in places] == [200, 404, 404]
    assert beyond.page("acme-tool").json["versions"] == ["1.0"]
    for place in places:
        for method in ("GET", "HEAD"):
            assert beyond.ask(file_path(THEIRS, place), method).code == 404
    assert unmixed(everything(beyond))


def test_publishing_a_name_while_it_is_being_asked_about(start: Start) -> None:
    """Who asks after the upload is not given what an older question brings, though that is still on its way."""
    beyond = attacked(start)
    gate = beyond.upstream.hold("/simple/acme-tool/")
    early = beyond.begin(page_path("acme-tool"), headers={"Accept": JSON})
    assert beyond.upstream.asked() == 1
    publish(beyond)
    late = beyond.page("acme-tool")
    assert late.json["versions"] == ["1.0"]
    gate.open()
    beyond.settle(early)
    for _ in range(3):
        assert beyond.page("acme-tool").json["versions"] == ["1.0"]
    assert beyond.page("acme-tool", place="projects/1", accept=HTML).text.count("<a ") == 1
    assert beyond.upstream.asked() == 1


# --- names that are shared ---


def versions(beyond: Beyond, place: str = "projects/1") -> list[str]:
    return list(beyond.page("acme-tool", place=place).json["versions"])


def test_a_shared_name_has_files_of_both(start: Start) -> None:
    """Where an administrator allows it the page has ours first and theirs after; in every other project the name stays ours alone."""
    beyond = attacked(start, names=Names(reserved=("acme-*",)))
    publish(beyond)
    share(beyond)
    beyond.registry.project("root/other")
    assert versions(beyond) == ["1.0", "99.0"]
    assert [entry.get("_source", {}).get("upstream", "ours") for entry in beyond.files("acme-tool").values()] == [
        "ours",
        "upstream",
        "upstream",
    ]
    assert beyond.ask(file_path(THEIRS)).body == THEIRS.content
    assert beyond.page("acme-tool", place="projects/2").code == 404
    assert beyond.ask(file_path(THEIRS, "projects/2")).code == 404
    share(beyond, shared=False)
    assert versions(beyond) == ["1.0"]
    assert beyond.ask(file_path(THEIRS)).code == 404


def test_of_one_file_name_there_is_one_file_and_it_is_ours(start: Start) -> None:
    """Of a shared name, what both have under one file name is ours on the page, and theirs is at no door (hardening row 24)."""
    beyond = attacked(start)
    mine, same = wheel("acme-tool", "99.0", payload=b"patched"), "acme-tool"
    share(beyond)
    assert beyond.ask(file_path(THEIRS)).body == THEIRS.content
    publish(beyond, mine)
    assert beyond.files(same)[mine.filename]["hashes"] == {"sha256": mine.sha256}
    assert beyond.ask(file_path(mine)).body == mine.content
    for path in (file_path(THEIRS), f"{file_path(THEIRS)}.metadata"):
        for method in ("GET", "HEAD"):
            answer = beyond.ask(path, method)
            assert (answer.code, OURS_FIRST in answer.reason) == (403, True)


def test_what_is_ours_is_given_while_the_upstream_fails(start: Start) -> None:
    """A shared name whose upstream cannot be asked has our files, marked as stale; as soon as it answers it has both again."""
    beyond = attacked(start)
    publish(beyond)
    share(beyond)
    beyond.upstream.on("/simple/acme-tool/", status(503))
    answer = beyond.page("acme-tool")
    assert (answer.json["versions"], answer.headers["x-cache"], "warning" in answer.headers) == (["1.0"], "stale", True)
    beyond.upstream.calm()
    beyond.pass_time(31)
    assert versions(beyond) == ["1.0", "99.0"]


def test_a_group_shares_what_all_of_its_holders_share(start: Start) -> None:
    """A group's page mixes a name only if every project of it that holds the name may."""
    beyond = attacked(start)
    group = beyond.registry.group("team")
    first, second = (beyond.registry.project(f"team/{name}").id for name in ("one", "two"))
    publish(beyond, project=first)
    place = f"groups/{group.id}/-"
    share(beyond, project=first)
    assert versions(beyond, place) == ["1.0", "99.0"]
    publish(beyond, wheel("acme-tool", "2.0"), project=second)
    assert versions(beyond, place) == ["1.0", "2.0"]
    assert beyond.ask(file_path(THEIRS, place)).code == 404


# --- names that only some indexes are asked about ---


def test_an_index_hears_only_of_names_that_it_is_for(start: Start) -> None:
    """An index with patterns is asked about names that fit them, page or file, and about no other."""
    beyond = start(
        config=configured(
            names=None, url=f"http://{HOST}/simple/", more=[("torch", UpstreamIndex(url="http://torch.test/simple/", names=("torch*",)))]
        )
    )
    torch = FakeUpstream()
    beyond.network.serve(torch.site(beyond.network), "torch.test")
    for path in (page_path("demo"), page_path("secret-name"), file_path(wheel("demo")), file_path(wheel("secret-name"))):
        beyond.ask(path)
    assert torch.requests == []
    assert beyond.page("torch").code == 404
    assert torch.asked() == 1


# --- who may ask ---


@pytest.mark.parametrize("role", [None, Role.GUEST])
def test_readers_may_ask(start: Start, role: Role | None) -> None:
    """Whoever may install from a place may have what its upstreams have; whoever may not causes no request."""
    beyond = attacked(start)
    beyond.registry.user("ann")
    beyond.registry.project("root/closed")
    if role is not None:
        beyond.registry.member("root/closed", "ann", role)
    token = beyond.registry.token("ann")
    assert beyond.ask(page_path("demo", "projects/2"), token=token).code == (404 if role is None else 200)
    assert beyond.upstream.asked() == (0 if role is None else 1)
