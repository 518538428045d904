"""A registry whose ready answers can be told from those it has to work for, and a second one over the same data that knows nothing yet."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import Factory, define, field

from registry.domain.access import Role, Visibility
from registry.domain.model import Change
from registry.testing import (
    NOON,
    OPERATOR,
    Answer,
    Built,
    MemoryRegistry,
    Wire,
    answers_in,
    done,
    registry_in_memory,
    request,
    sdist,
    wheel,
)
from registry.web.request import RegistryRequest
from tests.rest.api import Api

JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"
_DATE = re.compile(rb"\r\nDate: [^\r]*\r\n")
HOUR = timedelta(hours=1)


def dateless(answer: bytes) -> bytes:
    """The bytes of an answer but for the value of its `Date`, which must be there once."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    assert blank, f"not an answer: {answer!r}"
    assert len(_DATE.findall(head + b"\r\n")) == 1, f"no date, or two: {head!r}"
    return _DATE.sub(b"\r\nDate: -\r\n", head + b"\r\n") + b"\r\n" + body


@define(eq=False)
class Asking:
    """One client's connection to a registry, and how many requests the registry has had to parse since it was watched."""

    registry: MemoryRegistry
    parsed: int = 0
    _wire: Wire | None = None
    _asked: Wire | None = None  # the one that was last written to; it may be closed since

    def __attrs_post_init__(self) -> None:
        """Have every request that is parsed counted, on connections made from now on."""

        def parse(*arguments: Any) -> RegistryRequest:
            self.parsed += 1
            return RegistryRequest(*arguments)

        self.registry.site.requestFactory = parse  # type: ignore[assignment] # twisted.web calls it, nothing else

    def connect(self, peer: str = "192.0.2.7") -> None:
        """Use a new connection from now on."""
        self._wire = self.registry.connect(peer)

    @property
    def wire(self) -> Wire:
        """The connection; a new one where the last is at its end."""
        if self._wire is not None:
            self._wire.settle()
        if self._wire is None or self._wire.closed:
            self.connect()
        assert self._wire is not None
        return self._wire

    def get(self, *packets: bytes) -> bytes:
        """All bytes that come back for `packets`."""
        self.wire.transport.clear()
        self._asked = self.wire
        for packet in packets:
            self._asked.send(packet)
        return self.received

    def send(self, packet: bytes) -> None:
        """Send one packet more."""
        self._asked = self.wire
        self._asked.send(packet)

    def settle(self) -> None:
        """Let the end of the connection be noticed."""
        if self._asked is not None:
            self._asked.settle()

    @property
    def received(self) -> bytes:
        """All that has come back since `get` began."""
        return b"" if self._asked is None else self._asked.received

    @property
    def closed(self) -> bool:
        """Whether the connection is at its end."""
        return self._asked is not None and self._asked.closed

    def answers(self, *methods: str) -> list[Answer]:
        """The answers that have come back."""
        return answers_in(self.received, methods)

    def ready(self, raw: bytes) -> bool:
        """Whether the answer to `raw` is ready now: it comes, and nothing was parsed for it."""
        before = self.parsed
        assert self.get(raw), "no answer"
        return self.parsed == before

    def learned(self, raw: bytes) -> bytes:
        """The answer to `raw`, after which it is ready."""
        first = self.get(raw)
        assert self.ready(raw), first
        return first


def answer_to(raw: bytes, received: bytes) -> Answer:
    """The one answer that `received` holds."""
    (answer,) = answers_in(received, [raw.partition(b" ")[0].decode()])
    return answer


def basic(username: str, secret: str) -> dict[str, str]:
    """Basic credentials."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{secret}".encode()).decode()}


APP, OPEN = wheel("demo", "1.0", requires_python=">=3.8", payload=b"\1" * 400), sdist("demo", "0.9")
LARGE = wheel("large", "1.0", payload=b"\2" * 80_000)


@define(eq=False, kw_only=True)
class Team:
    """Callers and places of every kind, asked for in every form.

    The group team (private) holds app (private) and open (internal); other (private) is nobody's. ann is Reporter of app until an hour from
    now; carol is Developer of team; dave has a token that ends in an hour; nobody has none; there are deploy tokens of app and of team, and
    a token of a job that ann has started in team/ci, which app admits.
    """

    folder: Path
    registry: MemoryRegistry = field(init=False)
    fresh: MemoryRegistry = field(init=False)  # another process on the same data; it remembers nothing
    asking: Asking = field(init=False)
    plain: Asking = field(init=False)
    ids: dict[str, int] = Factory(dict)  # of projects, groups and people
    callers: dict[str, Mapping[str, str]] = Factory(dict)
    requests: dict[str, bytes] = Factory(dict)
    published: int = 0

    def __attrs_post_init__(self) -> None:
        """Make it."""
        self.registry = registry = registry_in_memory(self.folder)
        for name in ("ann", "carol", "dave"):
            self.ids[name] = registry.user(name).id
        for path in ("team", "else"):
            self.ids[path] = registry.group(path).id
        for name, visibility in (("app", Visibility.PRIVATE), ("open", Visibility.PRIVATE), ("ci", Visibility.PRIVATE)):
            self.ids[name] = registry.project(f"team/{name}", visibility).id
        self.ids["other"] = registry.project("root/other").id
        registry.member("team/app", "ann", Role.REPORTER, NOON + HOUR)
        registry.member("team/ci", "ann", Role.DEVELOPER)
        registry.member("team", "carol", Role.DEVELOPER)
        registry.member("team/app", "dave", Role.MAINTAINER)
        registry.admit_jobs("team/app", "team/ci")
        self.callers = {
            "root": {"PRIVATE-TOKEN": registry.root_token},
            "ann": {"PRIVATE-TOKEN": registry.token("ann")},
            "carol": basic("carol", registry.token("carol", "read_api")),
            "dave": {"Authorization": f"Bearer {registry.token('dave', expires_at=NOON + HOUR)}"},
            "deploy": basic("deploy", registry.deploy_token("team/app")),
            "group deploy": {"Deploy-Token": registry.deploy_token("team", expires_at=NOON + HOUR)},
            "job": basic("gitlab-ci-token", registry.job_token("team/ci", "ann", NOON + HOUR)),
            "nobody": {},
        }
        self.publish("app", APP)
        self.publish("app", LARGE)
        self.publish("open", OPEN)
        self.fresh = registry_in_memory(self.folder, budget=0)
        self.asking, self.plain = Asking(registry), Asking(self.fresh)
        self._requests()

    def close(self) -> None:
        """Give back what both hold."""
        self.registry.close()
        self.fresh.close()

    def api(self, *, elsewhere: bool = False) -> Api:
        """The administrator, at this registry or in another process."""
        return Api(self.fresh if elsewhere else self.registry, self.registry.root_token)

    def publish(self, project: str, built: Built) -> None:
        """Upload a file."""
        assert self.registry.upload(self.ids[project], built).code == 201

    def fact(self, raw: bytes) -> bytes:
        """What a registry that has just been started answers, but for the date."""
        nothing_known = Change(serial=0, at=NOON, action="test", actor=OPERATOR, detail={})
        self.fresh.gate.forget((nothing_known,))
        answer = self.plain.get(raw)
        return dateless(answer)

    def heard(self) -> None:
        """Let this registry hear of what another process did."""
        done(self.registry.store.database.poll())

    def pass_time(self, seconds: float) -> None:
        """Let both clocks run."""
        self.registry.clock.advance(seconds)
        self.fresh.clock.advance(seconds)

    def demand_truth(self) -> None:
        """Every request is answered as a fresh registry would, whatever is ready."""
        for name, raw in self.requests.items():
            assert dateless(self.asking.get(raw)) == self.fact(raw), name

    def learn(self) -> dict[str, bool]:
        """Ask for everything, so that what can be ready is; whether it is, by name."""
        for raw in self.requests.values():
            self.asking.get(raw)
        return {name: self.asking.ready(raw) for name, raw in self.requests.items()}

    def _requests(self) -> None:
        app, team = f"projects/{self.ids['app']}", "groups/team/-"
        etag = {
            place: answer_to(raw, self.asking.get(raw)).headers["etag"]
            for place in (app, team)
            for raw in [request("GET", f"/api/v4/{place}/packages/pypi/simple/demo/", {"Accept": JSON, **self.callers["root"]})]
        }
        shapes: list[tuple[str, str, dict[str, str]]] = []
        for place in (app, team):
            top = f"/api/v4/{place}/packages/pypi"
            shapes += [
                ("GET", f"{top}/simple/demo/", {"Accept": JSON, "Accept-Encoding": "gzip"}),
                ("GET", f"{top}/simple/demo/", {"Accept": JSON, "If-None-Match": etag[place]}),
                ("HEAD", f"{top}/simple/", {"Accept": HTML}),
                ("GET", f"{top}/files/{APP.sha256}/{APP.filename}", {}),
                ("GET", f"{top}/files/{APP.sha256}/{APP.filename}.metadata", {}),
            ]
        shapes += [
            ("GET", f"/api/v4/projects/team%2Fopen/packages/pypi/simple/{OPEN.name}/", {"Accept": HTML}),
            ("GET", "/api/v4/groups/team/-/packages/pypi/simple", {"Accept": JSON}),
        ]
        for caller, credential in self.callers.items():
            for method, path, headers in shapes:
                name = " ".join((caller, method, path, *headers.values()))
                self.requests[name] = request(method, path, {**headers, **credential})


# What may happen to a registry, by what it is called; each may happen again, and is then refused or does nothing.
Happening = Callable[[Team, Api], object]


def _package(team: Team, api: Api, name: str = "demo") -> dict[str, Any]:
    found: list[dict[str, Any]] = api.get(f"/projects/{team.ids['app']}/packages", package_name=name).json
    return found[0] if found and isinstance(found, list) else {"id": 0}


def _file(team: Team, api: Api) -> str:
    package = f"/projects/{team.ids['app']}/packages/{_package(team, api)['id']}/package_files"
    found = api.get(package).json
    return f"{package}/{found[0]['id'] if found and isinstance(found, list) else 0}"


def _publish(project: str, name: str) -> Happening:
    def happen(team: Team, api: Api) -> None:
        team.published += 1
        api.registry.upload(team.ids[project], wheel(name, f"2.{team.published}"), token=api.token)

    return happen


def _put(path: str, **fields: object) -> Happening:
    return lambda team, api: api.put(path.format(**team.ids), **fields)


def _delete(path: str) -> Happening:
    return lambda team, api: api.delete(path.format(**team.ids))


def _both(*happenings: Happening) -> Happening:
    return lambda team, api: [happen(team, api) for happen in happenings]


def _status(status: str) -> Happening:
    return _put("/projects/{app}/packages/pypi/status/demo", status=status, reason="because")


def _first(api: Api, path: str) -> int:
    found = api.get(path).json
    return int(found[0]["id"]) if isinstance(found, list) and found else 0


def _token_of(team: Team, api: Api, user: str) -> int:
    return _first(api, f"/personal_access_tokens?user_id={team.ids[user]}&state=active")


HAPPENINGS: dict[str, Happening] = {
    "publish of the same name": _publish("app", "demo"),
    "publish of another name": _publish("app", "more"),
    "publish elsewhere in the group": _publish("open", "demo"),
    "publish outside": _publish("other", "demo"),
    "yank": lambda team, api: api.put(f"/projects/{team.ids['app']}/packages/{_package(team, api)['id']}/yank", reason="broken"),
    "unyank": lambda team, api: api.delete(f"/projects/{team.ids['app']}/packages/{_package(team, api)['id']}/yank"),
    "yank of a file": lambda team, api: api.put(f"{_file(team, api)}/yank", reason="<broken>"),
    "close": lambda team, api: api.put(f"/projects/{team.ids['app']}/packages/{_package(team, api)['id']}/close"),
    "quarantine": _status("quarantined"),
    "archive": _status("archived"),
    "activation": _status("active"),
    "deletion of a file": lambda team, api: api.delete(_file(team, api)),
    "deletion of a package": lambda team, api: api.delete(f"/projects/{team.ids['app']}/packages/{_package(team, api)['id']}"),
    "revocation of a token": lambda team, api: api.delete(f"/personal_access_tokens/{_token_of(team, api, 'ann')}"),
    "rotation of a token": lambda team, api: api.post(f"/personal_access_tokens/{_token_of(team, api, 'carol')}/rotate"),
    "block": lambda team, api: api.post(f"/users/{team.ids['ann']}/block"),
    "unblock": lambda team, api: api.post(f"/users/{team.ids['ann']}/unblock"),
    "removal of a user": _delete("/users/{carol}"),
    "end of a membership": _delete("/projects/{app}/members/{ann}"),
    "a lower role": _put("/projects/{app}/members/{dave}", access_level=10),
    "membership of a group": lambda team, api: api.post(f"/groups/{team.ids['team']}/members", user_id=team.ids["dave"], access_level=30),
    "end of a group's membership": _delete("/groups/{team}/members/{carol}"),
    "membership of the other project": lambda team, api: api.post(
        f"/projects/{team.ids['open']}/members", user_id=team.ids["ann"], access_level=20
    ),
    "publicity of the group": _put("/groups/{team}", visibility="public"),
    "publicity": _both(_put("/groups/{team}", visibility="public"), _put("/projects/{app}", visibility="public")),
    "privacy": _put("/projects/{app}", visibility="private"),
    "privacy of the packages": _put("/projects/{app}", package_registry_access_level="private"),
    "no packages": _put("/projects/{app}", package_registry_access_level="disabled"),
    "packages for everybody": _put("/projects/{app}", package_registry_access_level="public"),
    "nobody may pull": _put("/application/settings", package_registry_allow_anyone_to_pull_option=False),
    "another name of the group": _put("/groups/{team}", name="Renamed"),
    "another name of the project": _put("/projects/{app}", name="Renamed"),
    "transfer": _put("/projects/{app}/transfer", namespace="else"),
    "return": _put("/projects/{app}/transfer", namespace="team"),
    "revocation of a deploy token": lambda team, api: api.delete(
        f"/projects/{team.ids['app']}/deploy_tokens/{_first(api, '/projects/{app}/deploy_tokens'.format(**team.ids))}"
    ),
    "revocation of a group's deploy token": lambda team, api: api.delete(
        f"/groups/{team.ids['team']}/deploy_tokens/{_first(api, '/groups/{team}/deploy_tokens'.format(**team.ids))}"
    ),
    "end of a job": lambda team, api: api.delete(f"/projects/{team.ids['ci']}/job_tokens/1"),
    "end of an allowance": _delete("/projects/{app}/job_token_scope/allowlist/{ci}"),
    "an allowlist that nobody enforces": lambda team, api: api.registry.ask(
        "PATCH",
        f"/api/v4/projects/{team.ids['app']}/job_token_scope",
        {"Content-Type": "application/json"},
        b'{"enabled": false}',
        token=api.token,
    ),
    "settings": _put("/application/plan_limits", plan_name="default", pypi_max_file_size=1 << 19),
    "deletion of the project": _delete("/projects/{app}"),
    "deletion of the group": _delete("/groups/{team}"),
}
