"""CI jobs of a GitLab instance beside a running registry: `[gitlab]`, end to end over the loopback interface."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
import requests
from attrs import define, field

from tests.clients.distributions import form, wheel
from tests.clients.processes import DEADLINE, Server, eventually, serving


@define
class GitLab:
    """A tiny GitLab that knows jobs by their tokens."""

    jobs: dict[str, dict[str, Any]] = field(factory=dict)
    asked: list[str] = field(factory=list)
    status: int = 0  # if not 0: of every answer
    port: int = 0

    def run(self, token: str, username: str, project: str, **changes: object) -> None:
        """Start a job."""
        self.jobs[token] = {
            "id": 9,
            "status": "running",
            "ref": "main",
            "pipeline": {"id": 5, "sha": "a" * 40},
            "user": {"username": username},
            "web_url": f"http://gitlab.test/{project}/-/jobs/9",
            **changes,
        }


@pytest.fixture(scope="module")
def instance() -> Iterator[GitLab]:
    """The instance, on a port of its own."""
    known = GitLab()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("JOB-TOKEN", "")
            known.asked.append(token)
            job = known.jobs.get(token) if self.path == "/api/v4/job" else None
            self.send_response(known.status or (401 if job is None else 200))
            self.end_headers()
            self.wfile.write(json.dumps(job or {"message": "401 Unauthorized"}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()
    thread.join(DEADLINE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, instance: GitLab) -> Iterator[Server]:
    """A registry that trusts the instance's jobs: those of group/* are ours of ann/*."""
    environ = {
        "REGISTRY__GITLAB__URL": f"http://127.0.0.1:{instance.port}",
        "REGISTRY__GITLAB__PROJECTS": "group/* = ann/*\nadmins/* = root/*",
    }
    with serving(tmp_path_factory.mktemp("gitlab") / "data", environ=environ) as running:
        for name in ("ann", "bob"):
            running.command("user", "create", name).worked()
        running.command("project", "create", "ann/app").worked()
        running.command("project", "create", "ann/other").worked()
        yield running


@pytest.fixture
def gitlab(instance: GitLab) -> GitLab:
    """The instance, knowing no job."""
    instance.jobs.clear()
    instance.asked.clear()
    instance.status = 0
    return instance


@pytest.fixture
def token() -> str:
    """A job token that nobody has seen before."""
    return f"glcbt-{uuid4().hex}"


def read(server: Server, project: str, token: str, username: str = "gitlab-ci-token") -> int:
    """The status of a project's index to a job."""
    return requests.get(f"{server.api(project)}/simple/", auth=(username, token), timeout=DEADLINE).status_code


APP = "ann%2Fapp"


def test_a_job_of_the_instance_publishes_and_reads_here(server: Server, gitlab: GitLab, token: str) -> None:
    """A running job's token works over Basic and JOB-TOKEN where its project is mapped to, with its user's rights, and nowhere else."""
    gitlab.run(token, "ann", "group/app")
    assert read(server, APP, token) == 200
    content_type, body = form(*wheel("jobbed", "1.0", ballast=b"x"))
    sent = requests.post(
        server.api(APP), data=body, headers={"Content-Type": content_type}, auth=("gitlab-ci-token", token), timeout=DEADLINE
    )
    assert sent.status_code == 201
    job = requests.get(f"{server.url}/api/v4/job", headers={"JOB-TOKEN": token}, timeout=DEADLINE).json()
    assert (job["id"], job["ref"], job["user"]["username"], job["pipeline"]["id"]) == (9, "main", "ann", 5)
    packages = f"{server.url}/api/v4/projects/{APP}/packages"
    assert requests.get(packages, headers={"JOB-TOKEN": token}, timeout=DEADLINE).json()[0]["name"] == "jobbed"
    assert read(server, "ann%2Fother", token) == 404
    assert read(server, "1", token) == 404


def test_an_instance_is_asked_once_a_minute_about_a_token_and_never_about_others(server: Server, gitlab: GitLab, token: str) -> None:
    """Many requests of one job are one question; tokens that cannot be a job's, and our own, are not told to the instance."""
    gitlab.run(token, "ann", "group/app")
    for _ in range(5):
        assert read(server, APP, token) == 200
    assert gitlab.asked == [token]
    gitlab.asked.clear()
    assert read(server, APP, server.token) == 200
    assert read(server, APP, "secret", "ann") == 401
    assert requests.get(f"{server.url}/api/v4/user", headers={"PRIVATE-TOKEN": "glpat-x"}, timeout=DEADLINE).status_code == 401
    assert gitlab.asked == []


@pytest.mark.parametrize(
    ("username", "project", "changes"),
    [
        ("nobody", "group/app", {}),
        ("ann", "elsewhere/app", {}),
        ("ann", "group/unknown", {}),
        ("ann", "group/app", {"status": "success"}),
        ("ann", "group/app", {"user": {}}),
    ],
)
def test_whoever_is_nobody_here_gets_nothing(
    server: Server, gitlab: GitLab, token: str, *, username: str, project: str, changes: dict[str, object]
) -> None:
    """An unknown user, an unmapped or unknown project, or a job that has ended: 401."""
    gitlab.run(token, username, project, **changes)
    assert read(server, APP, token) == 401
    assert gitlab.asked == [token]


def test_a_blocked_user_stays_out(server: Server, gitlab: GitLab, token: str) -> None:
    """Who is blocked here is 403, whatever runs there."""
    server.command("user", "block", "bob").worked()
    gitlab.run(token, "bob", "group/app")
    assert read(server, APP, token) == 403


def test_a_name_given_there_makes_no_administrator_here(server: Server, gitlab: GitLab, token: str) -> None:
    """A job of somebody called root there has root's memberships here, not his powers."""
    gitlab.run(token, "root", "group/app")
    assert read(server, APP, token) == 404


def test_an_instance_that_is_down_means_no(server: Server, gitlab: GitLab, token: str) -> None:
    """While the instance fails the job is 401 and the log says why; once it answers, so do we."""
    gitlab.run(token, "ann", "group/app")
    gitlab.status = 502
    assert read(server, APP, token) == 401
    eventually(lambda: "cannot be asked about a CI job token" in server.logged, "a line in the log")
    assert "502" in server.logged
    assert token not in server.logged
    gitlab.status = 0
    assert read(server, APP, token) == 200
