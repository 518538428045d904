"""The first start: an administrator, a token for him, and a project to publish into."""

from collections.abc import Awaitable, Callable

from registry.domain.model import NewToken
from registry.domain.paths import ProjectPath
from registry.domain.tokens import Scope, Secret, mint
from registry.interfaces import IFounding

ROOT = "root"
FIRST_PROJECT = ProjectPath(namespace=ROOT, segment="packages")


async def found(founding: IFounding, hand_over: Callable[[Secret], Awaitable[None]]) -> bool:
    """On an empty catalog create the administrator, his token and his first project; tell whether it was empty.

    `hand_over` gives the token to its owner. It is called before anything is committed: a crash in between leaves a token that opens
    nothing and a catalog that is still empty, so that the next start does it all again, never an administrator whose token nobody knows.
    """
    if not await founding.empty():
        return False
    secret = mint()
    await hand_over(secret)
    token = NewToken(name="initial root token", digest=secret.digest(), scopes=(Scope.API.value,), expires_at=None)
    return await founding.found(ROOT, token, FIRST_PROJECT)
