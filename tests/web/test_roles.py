"""Who gets what by his role, or by a token that has none of a person: every kind of place, through both doors."""

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import count

import pytest
from attrs import frozen

from registry.domain.access import Role, Visibility
from registry.testing import FORM_TYPE, Answer, MemoryRegistry, done, form, registry_in_memory, wheel

# Projects of one group: visibility, and what it means for packages (GitLab's package_registry_access_level).
PROJECTS = {
    "public": ("public", "enabled"),
    "internal": ("internal", "enabled"),
    "private": ("private", "enabled"),
    "off": ("public", "disabled"),
    "open": ("private", "public"),  # anybody may pull, nobody else may know
    "shut": ("public", "private"),  # anybody may know, members may pull
}
GROUPS = ("public", "internal", "private")
HELD = wheel("held")
_versions = count(1)

# What a letter stands for: "+" is what the caller wants, whatever that is there.
REFUSALS = {"u": (401, "401 Unauthorized"), "f": (403, "403 Forbidden"), "h": (404, "404 {} Not Found")}

ALL, NONE, STRANGER_WRITES = "+++f++", "ffffff", "ffhfhf"
NOT_HERE = "uuuuuu"  # deploy tokens are for package clients only
# caller: pulling, publishing, listing over REST and deleting over REST, in each of PROJECTS.
TABLE: Mapping[str, tuple[str, str, str, str]] = {
    "nobody": ("+uuu+u", NOT_HERE, "+hhu+u", NOT_HERE),
    "stranger": ("++hf+f", STRANGER_WRITES, "++hf+f", STRANGER_WRITES),
    "guest": (ALL, NONE, ALL, NONE),
    "planner": (ALL, NONE, ALL, NONE),
    "reporter": (ALL, NONE, ALL, NONE),
    "developer": (ALL, ALL, ALL, NONE),
    "maintainer": (ALL, ALL, ALL, ALL),
    "owner": (ALL, ALL, ALL, ALL),
    "developer of the group": (ALL, ALL, ALL, NONE),
    "maintainer of the group above": (ALL, ALL, ALL, ALL),
    "guest whose role has ended": ("++hf+f", STRANGER_WRITES, "++hf+f", STRANGER_WRITES),
    "admin": (ALL, ALL, ALL, ALL),
    "deploy token to read": (ALL, NONE, NOT_HERE, NOT_HERE),
    "deploy token to write": (ALL, ALL, NOT_HERE, NOT_HERE),
    "deploy token of the group": (ALL, NONE, NOT_HERE, NOT_HERE),
    "deploy token of the group above": (ALL, ALL, NOT_HERE, NOT_HERE),
    "deploy token of another project": ("+hhf+f", "fhhfhf", NOT_HERE, NOT_HERE),
    "deploy token for something else": ("+hhf+f", "fhhfhf", NOT_HERE, NOT_HERE),
    "job of a developer": (ALL, ALL, ALL, NONE),
    "job of a maintainer": (ALL, ALL, ALL, ALL),
    "job of a stranger": ("++hf+f", STRANGER_WRITES, "++hf+f", STRANGER_WRITES),
    "job of a maintainer elsewhere": ("++hf+f", STRANGER_WRITES, "++hf+f", STRANGER_WRITES),
    "job of a maintainer in a listed project": (ALL, ALL, ALL, ALL),
}
# caller: the group's pages, and its packages over REST, in each of GROUPS.
GROUP_TABLE: Mapping[str, tuple[str, str]] = {
    "nobody": ("+uu", "+hh"),
    "stranger": ("+fh", "+fh"),
    "guest": ("+++", "+++"),
    "owner": ("+++", "+++"),
    "admin": ("+++", "+++"),
    "deploy token of the group": ("+++", "uuu"),
    "deploy token of another group": ("+hh", "uuu"),
    "deploy token of a project of the group": ("+hh", "uuu"),
    "job of a guest": ("+++", "uuu"),
    "job of a stranger": ("+fh", "uuu"),
}


@frozen
class Pass:
    """A secret of some kind, and how it is shown at each door."""

    kind: str
    secret: str

    def headers(self, *, rest: bool) -> Mapping[str, str]:
        """The headers of a request."""
        if self.kind == "personal":
            return {"PRIVATE-TOKEN": self.secret}
        if rest:
            return {"JOB-TOKEN": self.secret} if self.kind == "job" else {"Authorization": f"Bearer {self.secret}"}
        username = "gitlab-ci-token" if self.kind == "job" else "deployer"
        return {"Authorization": "Basic " + base64.b64encode(f"{username}:{self.secret}".encode()).decode()}


@frozen(kw_only=True)
class World:
    """The places, and every caller's pass to each."""

    registry: MemoryRegistry
    ids: Mapping[str, int]  # of projects, by name
    passes: Mapping[tuple[str, str], Pass]  # by caller and place

    def ask(
        self, caller: str, place: str, method: str, path: str, headers: Mapping[str, str] | None = None, *, body: bytes = b""
    ) -> Answer:
        """What a caller gets."""
        shown = self.passes.get((caller, place))
        carried = {} if shown is None else shown.headers(rest="/pypi" not in path or "/pypi/status/" in path or "/pypi/upstream" in path)
        return self.registry.ask(method, path, {**carried, **(headers or {})}, body)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    registry = registry_in_memory(tmp_path_factory.mktemp("roles") / "data")
    yield furnished(registry)
    registry.close()


def furnished(registry: MemoryRegistry) -> World:
    passes: dict[tuple[str, str], Pass] = {}
    ids: dict[str, int] = {}
    for path in ("above", "above/team"):
        registry.group(path, Visibility.PUBLIC)
    for name in ("stranger", "guest", "planner", "reporter", "developer", "maintainer", "owner", "ended", "of_group", "of_above"):
        registry.user(name)
    registry.member("above/team", "of_group", Role.DEVELOPER)
    registry.member("above", "of_above", Role.MAINTAINER)
    for elsewhere in ("elsewhere", "listed"):
        registry.project(f"root/{elsewhere}")
        registry.member(f"root/{elsewhere}", "maintainer", Role.MAINTAINER)
    above = registry.deploy_token("above", "write_package_registry")
    team = registry.deploy_token("above/team", "read_package_registry")
    other = registry.deploy_token("root/elsewhere", "read_package_registry", "write_package_registry")
    for name, (visibility, level) in PROJECTS.items():
        path = f"above/team/{name}"
        ids[name] = registry.project(path, Visibility(visibility)).id
        assert registry.upload(ids[name], HELD).code == 201
        change = json.dumps({"package_registry_access_level": level}).encode()
        changed = registry.ask(
            "PUT", f"/api/v4/projects/{ids[name]}", {"Content-Type": "application/json"}, change, token=registry.root_token
        )
        assert changed.code == 200
        for role in (Role.GUEST, Role.PLANNER, Role.REPORTER, Role.DEVELOPER, Role.MAINTAINER, Role.OWNER):
            registry.member(path, role.name.lower(), role)
            passes[role.name.lower(), name] = Pass("personal", registry.token(role.name.lower()))
        registry.member(path, "ended", Role.GUEST, expires_at=registry.now())
        registry.admit_jobs(path, "root/listed")
        for caller, user in {
            "stranger": "stranger",
            "developer of the group": "of_group",
            "maintainer of the group above": "of_above",
            "guest whose role has ended": "ended",
            "admin": "root",
        }.items():
            passes[caller, name] = Pass("personal", registry.token(user))
        for caller, secret in {
            "deploy token to read": registry.deploy_token(path, "read_package_registry"),
            "deploy token to write": registry.deploy_token(path, "write_package_registry"),
            "deploy token for something else": registry.deploy_token(path, "read_repository"),
            "deploy token of the group": team,
            "deploy token of the group above": above,
            "deploy token of another project": other,
        }.items():
            passes[caller, name] = Pass("deploy", secret)
        for caller, where, user in (
            ("job of a developer", path, "developer"),
            ("job of a maintainer", path, "maintainer"),
            ("job of a stranger", path, "stranger"),
            ("job of a maintainer elsewhere", "root/elsewhere", "maintainer"),
            ("job of a maintainer in a listed project", "root/listed", "maintainer"),
        ):
            passes[caller, name] = Pass("job", registry.job_token(where, user))
    furnish_groups(registry, passes)
    return World(registry=registry, ids=ids, passes=passes)


def furnish_groups(registry: MemoryRegistry, passes: dict[tuple[str, str], Pass]) -> None:
    registry.group("beside", Visibility.PUBLIC)
    beside = registry.deploy_token("beside")
    for visibility in GROUPS:
        path = f"g-{visibility}"
        registry.group(path, Visibility(visibility))
        held = registry.project(f"{path}/held", Visibility(visibility))
        assert registry.upload(held.id, HELD).code == 201
        registry.member(path, "guest", Role.GUEST)
        registry.member(path, "owner", Role.OWNER)
        for caller, user in {"stranger": "stranger", "guest": "guest", "owner": "owner", "admin": "root"}.items():
            passes[caller, path] = Pass("personal", registry.token(user))
        for caller, secret in {
            "deploy token of the group": registry.deploy_token(path),
            "deploy token of another group": beside,
            "deploy token of a project of the group": registry.deploy_token(f"{path}/held"),
        }.items():
            passes[caller, path] = Pass("deploy", secret)
        passes["job of a guest", path] = Pass("job", registry.job_token(f"{path}/held", "guest"))
        passes["job of a stranger", path] = Pass("job", registry.job_token(f"{path}/held", "stranger"))


def refused(answer: Answer, letter: str, kind: str = "Project") -> bool:
    """Whether the caller was refused, in the words that the letter stands for; False if he is to get what he wants."""
    if letter == "+":
        return False
    code, text = REFUSALS[letter]
    assert (answer.code, answer.json) == (code, {"message": text.format(kind)})
    return True


@pytest.mark.parametrize("caller", TABLE)
def test_pulling_follows_the_matrix(world: World, caller: str) -> None:
    """Page and download of a project are for whom its visibility, its registry and his role or token say (hardening rows 22 and 26)."""
    for name, letter in zip(PROJECTS, TABLE[caller][0], strict=True):
        base = f"/api/v4/projects/{world.ids[name]}/packages/pypi"
        page = world.ask(caller, name, "GET", f"{base}/simple/held/", {"Accept": "text/html"})
        download = world.ask(caller, name, "GET", f"{base}/files/{HELD.sha256}/{HELD.filename}")
        if not refused(page, letter):
            assert (name, page.code, HELD.filename in page.text) == (name, 200, True)
        if not refused(download, letter):
            assert (name, download.code, download.body) == (name, 200, HELD.content)
        assert world.ask(caller, name, "HEAD", f"{base}/simple/").code == page.code


@pytest.mark.parametrize("caller", TABLE)
def test_publishing_follows_the_matrix(world: World, caller: str) -> None:
    """A file is published by Developers and above, and by tokens that may write (hardening row 26)."""
    for name, letter in zip(PROJECTS, TABLE[caller][1], strict=True):
        built = wheel("fresh", f"1.{next(_versions)}")
        body = form(built.fields, ("content", built.filename, built.content))
        answer = world.ask(
            caller, name, "POST", f"/api/v4/projects/{world.ids[name]}/packages/pypi", {"Content-Type": FORM_TYPE}, body=body
        )
        if not refused(answer, letter):
            assert (name, answer.code, answer.json) == (name, 201, {"message": "201 Created"})
    assert world.registry.staged_files() == []


@pytest.mark.parametrize("caller", TABLE)
def test_listing_over_rest_follows_the_matrix(world: World, caller: str) -> None:
    """What may be pulled may be listed over REST by people and jobs; who sees nothing hears that there is nothing (hardening row 31)."""
    for name, letter in zip(PROJECTS, TABLE[caller][2], strict=True):
        answer = world.ask(caller, name, "GET", f"/api/v4/projects/{world.ids[name]}/packages?package_name=held")
        assert "www-authenticate" not in answer.headers
        if not refused(answer, letter):
            assert (name, answer.code, [one["name"] for one in answer.json]) == (name, 200, ["held"])


@pytest.mark.parametrize("caller", TABLE)
def test_deleting_over_rest_follows_the_matrix(world: World, caller: str) -> None:
    """Packages are deleted by Maintainers and above, and by jobs that they triggered (hardening row 28)."""
    packages = done(world.registry.store.places.projects())
    for name, letter in zip(PROJECTS, TABLE[caller][3], strict=True):
        # One that is not there: who gets as far as to be told so may delete one that is.
        answer = world.ask(caller, name, "DELETE", f"/api/v4/projects/{world.ids[name]}/packages/987654321")
        if not refused(answer, letter):
            assert (name, answer.code, answer.json) == (name, 404, {"message": "Package not found"})
    assert done(world.registry.store.places.projects()) == packages


@pytest.mark.parametrize("caller", TABLE)
def test_curating_follows_the_matrix(world: World, caller: str) -> None:
    """Who deletes also yanks, closes and gives statuses, but for CI jobs, which do none of it; nobody else does (hardening row 28)."""
    letters = NOT_HERE if caller.startswith("job ") else TABLE[caller][3]
    for name, letter in zip(PROJECTS, letters, strict=True):
        base, sent = f"/api/v4/projects/{world.ids[name]}/packages", {"Content-Type": "application/json"}
        # What is not there, as above; and no status but the one that every name has.
        for rest in ("987654321/yank", "987654321/package_files/1/yank", "987654321/close"):
            for method in ("PUT", "DELETE"):
                answer = world.ask(caller, name, method, f"{base}/{rest}")
                if not refused(answer, letter):
                    assert (name, answer.code, answer.json) == (name, 404, {"message": "Package not found"})
        wanted = "active" if letter == "+" else "archived"
        answer = world.ask(caller, name, "PUT", f"{base}/pypi/status/idle", sent, body=json.dumps({"status": wanted}).encode())
        if not refused(answer, letter):
            assert (name, answer.code, answer.json["status"]) == (name, 200, "active")
    assert all(done(world.registry.store.releases.statuses(number)) == [] for number in world.ids.values())


@pytest.mark.parametrize("caller", TABLE)
def test_sharing_our_names_with_upstreams_follows_the_matrix(world: World, caller: str) -> None:
    """Administrators alone let a project fetch a name of ours from upstream; who deletes packages there may know (hardening row 24)."""
    letters = NOT_HERE if caller.startswith("job ") else TABLE[caller][3]
    for name, letter in zip(PROJECTS, letters, strict=True):
        base = f"/api/v4/projects/{world.ids[name]}/packages/pypi/upstream"
        # A project whose package registry is off has its list all the same.
        reading = "+" if name == "off" and TABLE[caller][3] == ALL and not caller.startswith("job ") else letter
        listed = world.ask(caller, name, "GET", base)
        if not refused(listed, reading):
            assert (name, listed.code, listed.json) == (name, 200, [])
        for answer in (world.ask(caller, name, "PUT", f"{base}/idle"), world.ask(caller, name, "DELETE", f"{base}/idle")):
            if caller == "admin":
                assert (name, answer.code) == (name, 204)
            else:
                assert refused(answer, "f" if reading == "+" else reading)
    assert all(done(world.registry.store.upstream.shared(number)) == () for number in world.ids.values())


@pytest.mark.parametrize("caller", GROUP_TABLE)
def test_a_groups_packages_follow_the_matrix(world: World, caller: str) -> None:
    """A group's pages, downloads and packages are for whom the group's visibility and his role or token say (hardening row 25)."""
    for visibility, pulling, listing in zip(GROUPS, *GROUP_TABLE[caller], strict=True):
        path = f"g-{visibility}"
        base = f"/api/v4/groups/{path}/-/packages/pypi"
        index = world.ask(caller, path, "GET", f"{base}/simple/", {"Accept": "application/vnd.pypi.simple.v1+json"})
        if not refused(index, pulling, "Group"):
            assert (index.code, [one["name"] for one in index.json["projects"]]) == (200, ["held"])
            assert world.ask(caller, path, "GET", f"{base}/files/{HELD.sha256}/{HELD.filename}").body == HELD.content
        rest = world.ask(caller, path, "GET", f"/api/v4/groups/{path}/packages")
        if not refused(rest, listing, "Group"):
            assert (rest.code, [one["name"] for one in rest.json]) == (200, ["held"])
