"""`registry deploy-token` and `job-token`."""

from datetime import datetime

import attrs
import click

from registry.cli.output import fail, say, show
from registry.cli.store import as_json, operator, result, with_store
from registry.composition import Store, now
from registry.domain.access import ANYBODY, Place, Project, Role
from registry.domain.credentials import NewDeployToken, NewJobToken, check_deploy_username, job_expiry
from registry.domain.errors import Missing
from registry.domain.tokens import DEPLOY_SCOPES, Prefix, check_scopes, mint, parse_expiry

_ALL = 1_000_000  # more than anybody will list


@click.group("deploy-token")
def deploy_token() -> None:
    """Create, list and revoke deploy tokens of projects and groups."""


@deploy_token.command("create")
@click.argument("place")
@click.option("--name", required=True, help="What it is for; shown in lists and in the journal.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    metavar="SCOPE",
    help="read_package_registry or write_package_registry (which includes reading); may repeat.",
)
@click.option("--username", default="", help="User name for Basic authentication (default: gitlab+deploy-token-NUMBER).")
@click.option("--expires", metavar="DATE", help="2030-01-31: expired from 00:00 UTC of that day. Default: never.")
@with_store
def deploy_token_create(store: Store, *, place: str, name: str, scopes: tuple[str, ...], username: str, expires: str | None) -> None:
    """Make a token for PLACE, a project or a group by path, and print it, this once, alone on stdout."""
    wanted, expiry = check_scopes(scopes, DEPLOY_SCOPES), _moment(expires)
    secret = mint(Prefix.DEPLOY)
    new = NewDeployToken(name=name, digest=secret.digest(), scopes=wanted, expires_at=expiry, username=check_deploy_username(username))
    result(store.deploy_tokens.create_deploy_token(_place(store, place), new, operator()))
    click.echo(secret.reveal())


@deploy_token.command("list")
@click.argument("place")
@as_json
@with_store
def deploy_token_list(store: Store, place: str, as_json: bool) -> None:
    """List the deploy tokens of PLACE, a project or a group by path; their secrets are kept nowhere."""
    found, _ = result(store.deploy_tokens.find_deploy_tokens(_place(store, place), _ALL, 0))
    show([attrs.asdict(one) for one in found], as_json=as_json)


@deploy_token.command("revoke")
@click.argument("token_id", type=int)
@with_store
def deploy_token_revoke(store: Store, token_id: int) -> None:
    """Make deploy token TOKEN_ID (see `deploy-token list`) useless, at once and for good."""
    revoked = result(store.deploy_tokens.revoke_deploy_token(token_id, operator()))
    say(f"Deploy token {revoked.id} ({revoked.name}) is revoked.")


@click.group("job-token")
def job_token() -> None:
    """Create tokens for CI jobs."""


@job_token.command("create")
@click.argument("project")
@click.option("--user", metavar="USER", help="Who triggered the job (default: the owner of the personal namespace PROJECT lies in).")
@click.option("--ref", default="", help="The branch or tag it runs for.")
@click.option("--sha", default="", help="The commit it runs for.")
@click.option("--pipeline-id", type=click.IntRange(min=0, max=2**63 - 1), help="The number of its pipeline.")
@click.option("--job-id", type=click.IntRange(min=0, max=2**63 - 1), help="Its own number.")
@click.option("--expires", metavar="TIME", help="2030-01-31T12:00:00Z, within the next 24 hours (default: in an hour).")
@with_store
def job_token_create(
    store: Store, *, project: str, user: str | None, ref: str, sha: str, pipeline_id: int | None, job_id: int | None, expires: str | None
) -> None:
    """Make a token for a job of PROJECT, by number or path, and print it, this once, alone on stdout."""
    place = _place(store, project)
    if not isinstance(place, Project):
        raise Missing(what="project", value=project)
    whose = user if user is not None else place.owner_id
    if whose is None:
        fail(f"{place.path} lies in a group; say with --user who triggered the job")
    secret = mint(Prefix.JOB)
    new = NewJobToken(
        digest=secret.digest(), expires_at=job_expiry(_moment(expires), now()), ref=ref, sha=sha, pipeline_id=pipeline_id, job_id=job_id
    )
    result(store.jobs.create_job_token(place, whose, new, operator(), ceiling=Role.OWNER, admins=True))
    click.echo(secret.reveal())


def _place(store: Store, ref: str) -> Place:
    """The project with this number or path, or the group with this path. Raises `Missing`."""
    wanted = int(ref) if ref.isascii() and ref.isdigit() else ref
    place, _ = result(store.access.enter("project", wanted, ANYBODY))
    if place is None and isinstance(wanted, str):
        place, _ = result(store.access.enter("group", wanted, ANYBODY))
    if place is None:
        raise Missing(what="project or group", value=ref)
    return place


def _moment(text: str | None) -> datetime | None:
    return parse_expiry(text, now()) if text else None
