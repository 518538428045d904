"""Explaining names over HTTP: what is said of upstreams and files, to whom, and what is not."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from registry.config import Curation, Names, Upstream, UpstreamIndex
from registry.domain.curation.choices import Choices
from registry.domain.releases import LONGEST_NAME
from registry.testing import NOON, FakeUpstream, MemoryNetwork, MemoryRegistry, registry_in_memory, sdist, wheel
from registry.testing.registry import FORGIVING
from registry.testing.troubles import instead, status
from tests.rest.api import Api
from tests.web.doors import GROUP, PLACES, PROJECT, PROVENANCE, House, house

ONE, TWO = wheel("demo", "1.0"), sdist("demo", "2.0")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    config = evolve(FORGIVING, names=Names(reserved=("acme-*",)), curation=Curation(deny=Choices.parse("demo <2"), min_age=86400.0))
    with house(tmp_path / "data", config) as made:
        yield made


def explained(home: House, name: str, place: str = PROJECT) -> object:
    """The whole answer."""
    answer = home.ask(f"{place}/packages/pypi/explain/{name}")
    assert (answer.code, answer.headers["content-type"], answer.headers["cache-control"]) == (200, "application/json", "no-store")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.json


@pytest.mark.parametrize("place", PLACES)
def test_every_file_has_its_verdict(home: House, place: str) -> None:
    """The answer has whose the name is, who was asked and what came of it, and of every file its source, rule, reason and end."""
    young = wheel("demo", "3.0")
    home.offer(ONE, TWO)
    home.offer(young, uploaded_at=NOON - timedelta(hours=23))
    assert explained(home, "Demo", place) == {
        "name": "demo",
        "standing": "forwarded",
        "rule": "not held here",
        "reason": "demo is not held here, so upstreams are asked; the first that has it is the only one that counts",
        "upstreams": [{"upstream": "upstream", "outcome": "miss", "found": True, "fetched_at": "2030-06-15T12:00:00.000Z", "error": None}],
        "files": [
            {
                "filename": ONE.filename,
                "version": "1.0",
                "source": "upstream",
                "kept": False,
                "rule": "deny-list",
                "reason": "Blocked by deny-list: demo 1.0 is denied here (demo <2); use another, or ask whoever runs this registry",
                "until": None,
            },
            {
                "filename": TWO.filename,
                "version": "2.0",
                "source": "upstream",
                "kept": True,
                "rule": "allow",
                "reason": None,
                "until": None,
            },
            {
                "filename": young.filename,
                "version": "3.0",
                "source": "upstream",
                "kept": False,
                "rule": "cooldown",
                "reason": (
                    "Blocked by cooldown until 2030-06-15T13:00Z: demo 3.0 was uploaded 2030-06-14T13:00Z, too lately; "
                    "use an older version, or ask whoever runs this registry for an exception"
                ),
                "until": "2030-06-15T13:00:00.000Z",
            },
        ],
    }
    told = explained(home, "demo", place)
    assert isinstance(told, dict)
    assert told["upstreams"][0]["outcome"] == "hit"


def test_an_upstream_that_fails_is_told_with_its_sentence(home: House) -> None:
    """What kept an upstream from answering is said as on the page, and what it said before counts while it does."""
    home.offer(TWO)
    home.upstream.on("/simple/demo/", status(503))
    told = explained(home, "demo")
    assert isinstance(told, dict)
    (asking,) = told["upstreams"]
    assert (asking["outcome"], asking["found"], told["files"], told["standing"]) == ("failed", None, [], "forwarded")
    page = home.door("page", PROJECT, wheel("demo"))
    assert (page.code, page.json["message"]) == (503, f"503 Service Unavailable - {asking['error']}")
    home.upstream.calm()
    explained(home, "demo")
    home.network.advance(3600)
    home.upstream.on("/simple/demo/", status(503))
    told = explained(home, "demo")
    assert isinstance(told, dict)
    assert (told["upstreams"][0]["outcome"], [file["kept"] for file in told["files"]]) == ("stale", [True])


def test_ours_is_told_to_who_may_read_it(home: House) -> None:
    """A name that is published where the caller may look is ours, with its files, and nobody is asked about it."""
    home.offer(ONE)
    home.registry.upload("team%2Flib", TWO)
    for place in PLACES:
        told = explained(home, "demo", place)
        assert isinstance(told, dict)
        assert (told["standing"], told["rule"], told["upstreams"]) == ("ours", "published here", [])
        assert [(file["filename"], file["source"], file["kept"], file["rule"]) for file in told["files"]] == [
            (TWO.filename, "local", True, "local")
        ]
    assert home.upstream.requests == []


def test_a_private_name_is_told_from_a_name_that_nobody_has_by_nothing(home: House) -> None:
    """Of a name that is published where the caller may not look he is told the very same as of one that is nowhere (hardening row 31).

    Reserved names are told to be that, whether or not they are published; and an answer never names a project.
    """
    home.registry.project("root/secret")
    for name in ("hidden", "acme-hidden"):
        assert home.registry.upload("root%2Fsecret", wheel(name)).code == 201
    for place in PLACES:
        for hidden, nowhere in (("hidden", "nowhere"), ("acme-hidden", "acme-nowhere")):
            one, other = (home.ask(f"{place}/packages/pypi/explain/{name}") for name in (hidden, nowhere))
            assert (one.code, one.body.replace(hidden.encode(), nowhere.encode())) == (other.code, other.body)
            assert one.headers.keys() == other.headers.keys()
            assert b"secret" not in one.body
        assert home.standing(place, "hidden") == "nothing"
        assert home.standing(place, "acme-hidden") == "reserved"
    assert not home.upstream.mentions("hidden")
    assert Api(home.registry, home.registry.root_token).put("/groups/team", pypi_package_requests_forwarding=False).code == 200
    for place in PLACES:
        assert home.standing(place, "hidden") == home.standing(place, "nowhere") == "off"
    shown = home.ask("projects/root%2Fsecret/packages/pypi/explain/hidden", token=home.registry.root_token).json
    assert (shown["standing"], len(shown["files"])) == ("ours", 1)


def test_a_shared_name_that_is_held_elsewhere_is_one_like_others(home: House) -> None:
    """Leave to fetch a name of ours does not tell a reader that it is ours: he sees none of it (hardening row 31)."""
    home.offer(wheel("fork"))
    home.registry.project("root/secret")
    home.registry.upload("root%2Fsecret", wheel("fork", "9.0"))
    home.share("fork")
    told = explained(home, "fork")
    assert isinstance(told, dict)
    assert (told["standing"], [file["source"] for file in told["files"]]) == ("forwarded", ["upstream"])
    home.registry.upload("team%2Flib", wheel("fork", "8.0"))
    assert home.standing(PROJECT, "fork") == "shared"


@pytest.mark.parametrize("name", ["%20", "x-", "_x", "%E2%84%AA", "a%2Fb"])
def test_what_is_no_name_is_not_found(home: House, name: str) -> None:
    """Text that can be nobody's name is 404, and asked of nobody (hardening row 1)."""
    assert home.ask(f"{PROJECT}/packages/pypi/explain/{name}").code == 404
    assert home.upstream.requests == []


def test_nobody_is_asked_about_what_is_longer_than_any_name(home: House) -> None:
    """No file can be of a name that is longer than file names are: upstream is not asked, and nothing is kept of it (hardening row 1)."""
    for length, asked in ((LONGEST_NAME, 1), (LONGEST_NAME + 1, 0)):
        name = "x" * length
        assert home.door("page", PROJECT, wheel(name)).code == 404
        assert home.upstream.asked(f"/simple/{name}/") == asked
    assert home.standing(PROJECT, "x" * (LONGEST_NAME + 1)) == "unserved"


def test_it_takes_what_the_page_takes(home: House) -> None:
    """Who may not read the page is answered as there: 401 without a credential, 404 for a project he does not see (hardening row 26)."""
    home.registry.project("root/secret")
    for path, token, code in (
        (f"{PROJECT}/packages/pypi/explain/demo", "", 401),
        ("projects/root%2Fsecret/packages/pypi/explain/demo", None, 404),
        (f"{GROUP}/packages/pypi/explain/demo", home.registry.token("ann", "read_user"), 403),
    ):
        wire = home.registry.ask("GET", f"/api/v4/{path}", token=home.token if token is None else token or None)
        assert wire.code == code, path
        assert (
            wire.code
            == home.registry.ask(
                "GET", f"/api/v4/{path.replace('explain', 'simple')}", token=home.token if token is None else token or None
            ).code
        )
    assert home.upstream.requests == []


def two(tmp_path: Path, **first: object) -> tuple[MemoryRegistry, House, FakeUpstream]:
    """A registry with two upstreams, the second called late."""
    network, early, late = MemoryNetwork(), FakeUpstream(), FakeUpstream()
    network.serve(early.site(network), "early.test")
    network.serve(late.site(network), "late.test")
    config = evolve(
        FORGIVING,
        upstream=Upstream(url="http://early.test/simple/", **first),  # type: ignore[arg-type]
        upstreams=(("late", UpstreamIndex(url="http://late.test/simple/", priority=1)),),
    )
    registry = registry_in_memory(tmp_path / "data", config=config, network=network)
    return registry, House(registry=registry, network=network, upstream=early, token=registry.root_token), late


def test_the_first_that_has_a_name_is_the_last_that_is_asked(tmp_path: Path) -> None:
    """Upstreams are told in their order, up to the one that counts; a failure of one is the end of it, as for the page."""
    registry, home, late = two(tmp_path)
    late.add(ONE)
    told = explained(home, "demo", "projects/1")
    assert isinstance(told, dict)
    assert [(one["upstream"], one["found"]) for one in told["upstreams"]] == [("upstream", False), ("late", True)]
    assert [file["source"] for file in told["files"]] == ["late"]
    late.add(wheel("other"))
    home.upstream.on("/simple/other/", status(500))
    told = explained(home, "other", "projects/1")
    assert isinstance(told, dict)
    assert [(one["upstream"], one["outcome"]) for one in told["upstreams"]] == [("upstream", "failed")]
    assert told["files"] == []
    registry.close()


def test_clients_that_are_sent_elsewhere_are_told_so(tmp_path: Path) -> None:
    """In mode redirect nobody is asked here, and that is the outcome."""
    registry, home, _ = two(tmp_path, mode="redirect")
    told = explained(home, "demo", "projects/1")
    assert isinstance(told, dict)
    assert [(one["upstream"], one["outcome"], one["found"]) for one in told["upstreams"]] == [("upstream", "redirect", None)]
    assert home.upstream.requests == []
    registry.close()


def test_names_that_no_upstream_is_asked_about(tmp_path: Path) -> None:
    """Where no upstream takes a name, that is the answer, whoever has it."""
    network = MemoryNetwork()
    upstream = Upstream(url="http://early.test/simple/", names=("torch-*",))
    registry = registry_in_memory(tmp_path / "data", config=evolve(FORGIVING, upstream=upstream), network=network)
    home = House(registry=registry, network=network, upstream=FakeUpstream(), token=registry.root_token)
    assert home.standing("projects/1", "demo") == "unserved"
    registry.close()


# --- the integrity route and the project JSON, of upstreams' files -----------------------------------------------------------------


def test_an_upstreams_provenance_is_written_anew(home: House) -> None:
    """It says what the upstream's says, in our bytes and with our headers."""
    home.offer(TWO)
    answer = home.door("integrity", PROJECT, TWO)
    assert (answer.code, answer.json) == (200, PROVENANCE)
    assert answer.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert b'": ' not in answer.body


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"<html>", 502), (b'{"version": 2, "attestation_bundles": []}', 502), (b'{"version": 1}', 502), (b"[" * 100_000, 502)],
)
def test_what_is_no_provenance_is_not_passed_on(home: House, body: bytes, code: int) -> None:
    """Markup, other versions and other shapes are the upstream's fault: 502, and not a byte of them goes on (hardening row 8)."""
    home.offer(TWO)
    home.upstream.on("/provenance", instead(body, "application/json"))
    answer = home.door("integrity", PROJECT, TWO)
    assert answer.code == code
    assert b"<html>" not in answer.body


def test_no_provenance_is_404(home: House) -> None:
    """A file that the upstream has none of, one that it tells of and does not have, and another version's name are 404."""
    home.upstream.add(TWO)
    assert home.door("integrity", PROJECT, TWO).code == 404
    other = wheel("demo", "2.0")
    home.upstream.add(other, provenance="http://index.test/gone")
    home.network.advance(600)
    assert home.door("integrity", PROJECT, other).code == 404
    top = f"{PROJECT}/packages/pypi/integrity/demo"
    assert home.ask(f"{top}/9.9/{TWO.filename}/provenance").code == 404


def test_the_project_json_tells_what_is_known(home: House) -> None:
    """Of an upstream's name the JSON has the files that are let in and, once its core metadata is kept, what that says."""
    wanted = wheel("demo", "2.0", requires_python=">=3.9")
    home.offer(ONE, wanted, requires_python=">=3.9")
    told = home.door("json", PROJECT, wanted)
    assert (told.json["info"]["version"], told.json["info"]["summary"], told.json["info"]["requires_python"]) == ("2.0", "", ">=3.9")
    assert list(told.json["releases"]) == ["2.0"]
    assert told.json["urls"][0]["digests"] == {"sha256": wanted.sha256}
    assert (told.headers["x-cache"], home.door("json", PROJECT, wanted).headers["x-cache"]) == ("miss", "hit")
    assert home.door("metadata", PROJECT, wanted).code == 200
    told = home.door("json", PROJECT, wanted)
    assert (told.json["info"]["summary"], told.json["info"]["description"]) == ("for tests", "A description.\n")


def test_the_project_json_of_a_shared_name_is_that_of_both(home: House) -> None:
    """Ours and the upstream's releases stand beside each other, and the newest speaks for the name, whoever has it."""
    home.offer(wheel("fork", "2.0"), wheel("fork", "1.0"))
    home.registry.upload("team%2Flib", wheel("fork", "1.0", payload=b"ours"), fields={"summary": "declared"})
    home.share("fork")
    told = home.door("json", PROJECT, wheel("fork")).json
    assert {version: [one["digests"]["sha256"] for one in files] for version, files in told["releases"].items()} == {
        "1.0": [wheel("fork", "1.0", payload=b"ours").sha256],
        "2.0": [wheel("fork", "2.0").sha256],
    }
    assert told["info"]["version"] == "2.0"
    mine = home.door("release", PROJECT, wheel("fork", "1.0")).json["info"]
    assert (mine["version"], mine["summary"]) == ("1.0", "for tests")
    home.registry.upload("team%2Flib", wheel("fork", "3.0"))
    assert home.door("json", PROJECT, wheel("fork")).json["info"]["summary"] == "for tests"


def test_a_client_of_a_redirecting_upstream_has_no_project_json(tmp_path: Path) -> None:
    """An upstream's clients are sent to its pages; there is no address of its JSON to send bots to."""
    registry, home, _ = two(tmp_path, mode="redirect")
    assert home.door("page", "projects/1", ONE).code == 302
    assert home.door("json", "projects/1", ONE).code == 404
    registry.close()
