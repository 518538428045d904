"""`registry user`, `token` and `project`."""

import attrs
import click

from registry.cli.output import say, show
from registry.cli.store import as_json, operator, result, with_store
from registry.composition import Store, now
from registry.domain.access import User, Visibility
from registry.domain.errors import InvalidSetting
from registry.domain.model import NewToken, ProjectInfo
from registry.domain.paths import LARGEST_ID, ProjectPath, check_segment, id_in
from registry.domain.tokens import PERSONAL_SCOPES, Scope, check_scopes, mint, parse_expiry

# The catalog's integers end here; a longer number names nothing.


@click.group()
def user() -> None:
    """Create, list and block users."""


@user.command("create")
@click.argument("username")
@click.option("--email", default="", help="Where to reach them.")
@click.option("--admin", is_flag=True, help="May do everything.")
@as_json
@with_store
def user_create(store: Store, username: str, email: str, admin: bool, as_json: bool) -> None:
    """Create USERNAME, with a personal namespace for projects."""
    check_segment("User name", username)
    made = result(store.users.create_user(username, email, operator(), admin=admin))
    show([_user(made)], as_json=as_json, one=True)


@user.command("list")
@as_json
@with_store
def user_list(store: Store, as_json: bool) -> None:
    """List all users."""
    show([_user(one) for one in result(store.users.users())], as_json=as_json)


@user.command("block")
@click.argument("username")
@with_store
def user_block(store: Store, username: str) -> None:
    """Refuse USERNAME everything, from the next request on."""
    result(store.users.block_user(username, operator(), blocked=True))
    say(f"{username} is blocked.")


@user.command("unblock")
@click.argument("username")
@with_store
def user_unblock(store: Store, username: str) -> None:
    """Undo a block."""
    result(store.users.block_user(username, operator(), blocked=False))
    say(f"{username} is active.")


@click.group()
def token() -> None:
    """Create, list and revoke personal access tokens."""


@token.command("create")
@click.option("--user", "username", required=True, metavar="USER", help="Whose token it is.")
@click.option("--name", required=True, help="What it is for; shown in lists and in the journal.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    metavar="SCOPE",
    help=f"One of {', '.join(scope.value for scope in Scope)}; may repeat.",
)
@click.option("--expires", metavar="DATE", help="2030-01-31: expired from 00:00 UTC of that day. Default: never.")
@with_store
def token_create(store: Store, username: str, name: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Make a token and print it, this once, alone on stdout."""
    if not name.strip():
        raise InvalidSetting(what="Token name", value=name, allowed="say what the token is for")
    wanted = check_scopes(scopes, PERSONAL_SCOPES)
    secret = mint()
    new = NewToken(name=name, digest=secret.digest(), scopes=wanted, expires_at=parse_expiry(expires, now()) if expires else None)
    result(store.tokens.create_token(username, new, operator()))
    click.echo(secret.reveal())


@token.command("list")
@click.option("--user", "username", metavar="USER", help="Only this user's.")
@as_json
@with_store
def token_list(store: Store, username: str | None, as_json: bool) -> None:
    """List tokens; their secrets are kept nowhere."""
    show([attrs.asdict(one) for one in result(store.tokens.tokens(username))], as_json=as_json)


@token.command("revoke")
@click.argument("token_id", type=click.IntRange(min=1, max=LARGEST_ID))
@with_store
def token_revoke(store: Store, token_id: int) -> None:
    """Make token TOKEN_ID (see `token list`) useless, at once and for good."""
    revoked = result(store.tokens.revoke_token(token_id, operator()))
    say(f"Token {revoked.id} ({revoked.name}) of {revoked.username} is revoked.")


@click.group()
def project() -> None:
    """Create and list projects."""


@project.command("create")
@click.argument("path")
@click.option("--visibility", default="private", metavar="VISIBILITY", help="private (default), internal or public.")
@as_json
@with_store
def project_create(store: Store, path: str, visibility: str, as_json: bool) -> None:
    """Create the project PATH: NAMESPACE/PROJECT, where a user name is that user's namespace."""
    made = result(store.places.create_project(ProjectPath.parse(path), Visibility.parse(visibility), operator()))
    show([_project(made)], as_json=as_json, one=True)


@project.command("list")
@as_json
@with_store
def project_list(store: Store, as_json: bool) -> None:
    """List all projects and what they hold."""
    show([_project(one) for one in result(store.places.projects())], as_json=as_json)


@project.command("show")
@click.argument("ref", metavar="PROJECT")
@as_json
@with_store
def project_show(store: Store, ref: str, as_json: bool) -> None:
    """Show PROJECT, by number or path."""
    show([_project(project_named(store, ref))], as_json=as_json, one=True)


def project_named(store: Store, ref: str) -> ProjectInfo:
    """The project with this number or path. Raises `Missing`."""
    number = id_in(ref)
    return result(store.places.projects(ref if number is None else number))[0]


def _user(one: User) -> dict[str, object]:
    return {"id": one.id, "username": one.username, "admin": one.admin, "state": "blocked" if one.blocked else "active"}


def _project(one: ProjectInfo) -> dict[str, object]:
    return {**attrs.asdict(one), "visibility": one.visibility.value}
