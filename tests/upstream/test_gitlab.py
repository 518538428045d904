"""Asking a GitLab instance who runs a job: what is believed, for how long, and what never is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.logger import LogEvent
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from registry.domain.credentials import JobClaim
from registry.domain.tokens import Secret
from registry.testing import done
from registry.upstream.gitlab import ANSWER_BYTES, GitLabJobs, Unusable, read_claim

URL = "https://gitlab.test"
JOB = {
    "id": 9,
    "status": "running",
    "ref": "main",
    "commit": {"id": "c" * 40},
    "pipeline": {"id": 5, "project_id": 77, "sha": "a" * 40},
    "user": {"username": "ann"},
    "web_url": f"{URL}/group/sub/app/-/jobs/9",
}
CLAIM = JobClaim(username="ann", project_path="group/sub/app", ref="main", sha="a" * 40, pipeline_id=5, job_id=9)


@define
class _Response:
    """An answer whose body comes in pieces."""

    code: int
    pieces: list[bytes]
    headers: Headers = field(factory=Headers)
    request: Any = None
    length: int = 0
    previousResponse: Any = None
    ended: bool = True

    def deliverBody(self, protocol: Any) -> None:
        """IResponse."""
        closed: list[bool] = []

        class Transport:
            def loseConnection(self) -> None:
                closed.append(True)

        protocol.makeConnection(Transport())
        for piece in self.pieces:
            if not closed:
                protocol.dataReceived(piece)
        if self.ended or closed:
            protocol.connectionLost(Failure(ResponseDone()))


@define
class Instance:
    """A GitLab that answers when it is told to. Counts as an IAgent."""

    asked: list[tuple[bytes, bytes, Headers]] = field(factory=list)
    waiting: "list[Deferred[Any]]" = field(factory=list)

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, *_: Any) -> "Deferred[Any]":
        """IAgent."""
        self.asked.append((method, uri, headers or Headers()))
        answer: Deferred[Any] = Deferred()
        self.waiting.append(answer)
        return answer

    def answer(self, code: int = 200, body: object = JOB, *, ended: bool = True) -> None:
        """Answer the oldest question."""
        pieces = body if isinstance(body, list) else [json.dumps(body).encode()]
        self.waiting.pop(0).callback(_Response(code, pieces, ended=ended))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def instance() -> Instance:
    return Instance()


@pytest.fixture
def jobs(clock: Clock, instance: Instance) -> GitLabJobs:
    return GitLabJobs(url=URL, reactor=clock, agent=instance)


def verify(jobs: GitLabJobs, secret: str = "glcbt-one") -> "Deferred[JobClaim | None]":
    return Deferred.fromCoroutine(jobs.verify(Secret(secret)))


def test_the_instance_is_asked_with_the_token_and_believed(jobs: GitLabJobs, instance: Instance) -> None:
    """The question is GET /api/v4/job with the token in JOB-TOKEN; a running job's answer becomes a claim."""
    claim = verify(jobs)
    (method, uri, headers), = instance.asked  # fmt: skip
    assert (method, uri) == (b"GET", b"https://gitlab.test/api/v4/job")
    assert headers.getRawHeaders("job-token") == ["glcbt-one"]
    instance.answer()
    assert done(claim) == CLAIM


def test_an_answer_is_remembered_for_a_minute(jobs: GitLabJobs, instance: Instance, clock: Clock) -> None:
    """For a minute after it was asked nothing is asked again about that token, good or bad; then it is."""
    for secret, code in (("glcbt-good", 200), ("glcbt-bad", 401)):
        instance.asked.clear()
        claim = verify(jobs, secret)
        instance.answer(code)
        first = done(claim)
        clock.advance(59)
        assert done(verify(jobs, secret)) == first
        assert len(instance.asked) == 1
        clock.advance(1)
        claim = verify(jobs, secret)
        assert len(instance.asked) == 2
        instance.answer(404)
        assert done(claim) is None


def test_many_who_ask_at_once_are_one_question(jobs: GitLabJobs, instance: Instance) -> None:
    """While a token is asked about, others wait for the same answer; another token is another question."""
    claims = [verify(jobs) for _ in range(5)]
    other = verify(jobs, "glcbt-two")
    assert len(instance.asked) == 2
    instance.answer()
    assert [done(claim) for claim in claims] == [CLAIM] * 5
    instance.answer(401)
    assert done(other) is None


@pytest.mark.parametrize(
    "trouble",
    [
        lambda instance: instance.answer(500),
        lambda instance: instance.answer(302),
        lambda instance: instance.answer(200, [b"<html>"]),
        lambda instance: instance.answer(200, [b"["] * 20_000),
        lambda instance: instance.answer(200, []),
        lambda instance: instance.answer(200, {"status": "running"}),
        lambda instance: instance.answer(200, [b"x" * ANSWER_BYTES, b"x"]),
        lambda instance: instance.waiting.pop(0).errback(Refused()),
    ],
)
def test_an_instance_in_trouble_means_no_and_a_line_in_the_log(
    jobs: GitLabJobs, instance: Instance, log_events: list[LogEvent], trouble: Callable[[Instance], None]
) -> None:
    """Whatever is wrong with the instance, the token opens nothing, the log says so without it, and the next request asks again."""
    claim = verify(jobs)
    trouble(instance)
    assert done(claim) is None
    (told,) = [event for event in log_events if event["log_namespace"] == "registry.upstream.gitlab"]
    assert told["url"] == URL
    assert "glcbt-one" not in repr(told)
    again = verify(jobs)
    assert len(instance.asked) == 2
    instance.answer()
    assert done(again) == CLAIM


@pytest.mark.parametrize("begun", [False, True])
def test_a_slow_instance_is_given_five_seconds(
    jobs: GitLabJobs, instance: Instance, clock: Clock, log_events: list[LogEvent], begun: bool
) -> None:
    """After five seconds the answer is no, whether or not it has begun to come."""
    claim = verify(jobs)
    if begun:
        instance.answer(200, [b"{"], ended=False)
    clock.advance(4.9)
    assert not claim.called
    clock.advance(0.1)
    assert done(claim) is None
    assert any(event["log_namespace"] == "registry.upstream.gitlab" for event in log_events)


def test_an_answer_as_large_as_may_be_is_read(jobs: GitLabJobs, instance: Instance) -> None:
    """An answer of exactly the limit is taken."""
    claim, body = verify(jobs), json.dumps(JOB).encode()
    instance.answer(200, [body, b" " * (ANSWER_BYTES - len(body))])
    assert done(claim) == CLAIM


@pytest.mark.parametrize("status", ["pending", "success", "canceled", None, 1])
def test_only_a_running_job_counts(status: object) -> None:
    """A job that does not run (any more) is none."""
    assert read_claim({**JOB, "status": status}, URL) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"web_url": "http://other.test/a/b/-/jobs/1"}, {"project_path": "a/b"}),
        ({"web_url": f"{URL}/a%20b/c/-/jobs/1"}, {"project_path": "a b/c"}),
        ({"pipeline": None}, {"sha": "c" * 40, "pipeline_id": None}),
        ({"pipeline": {"id": "5"}, "commit": 7}, {"sha": "", "pipeline_id": None}),
        ({"id": True}, {"job_id": None}),
        ({"id": 2**63}, {"job_id": None}),
        ({"ref": ["main"]}, {"ref": ""}),
        ({"ref": "r" * 300}, {"ref": "r" * 255}),
    ],
)
def test_what_is_odd_in_an_answer_is_left_out(changes: dict[str, object], expected: dict[str, object]) -> None:
    """Values of the wrong kind become unknown; the job is believed for the rest."""
    claim = read_claim({**JOB, **changes}, URL)
    assert {name: getattr(claim, name) for name in expected} == expected


@pytest.mark.parametrize("changes", [
    {"user": None}, {"user": {"username": ""}}, {"user": {"username": 1}}, {"web_url": None}, {"web_url": f"{URL}/a/b"}, {"web_url": "http://[x"},
])  # fmt: skip
def test_an_answer_that_names_nobody_or_nowhere_is_unusable(changes: dict[str, object]) -> None:
    """Without a user or a project there is nothing to believe."""
    with pytest.raises(Unusable):
        read_claim({**JOB, **changes}, URL)


def test_an_instance_under_a_path(jobs: GitLabJobs) -> None:
    """The instance's own path is no part of the project's."""
    claim = read_claim({**JOB, "web_url": "https://x.test/gitlab/a/b/-/jobs/1"}, "https://x.test/gitlab")
    assert claim is not None
    assert claim.project_path == "a/b"
