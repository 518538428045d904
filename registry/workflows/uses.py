"""When tokens were last used: noted in memory with each request, kept once in a while."""

from collections.abc import Callable
from datetime import datetime

from attrs import Factory, define, evolve

from registry.domain.model import TokenInfo
from registry.interfaces import ITokens


@define(kw_only=True)
class TokenUses:
    """What `note` hears is written by the next `flush`, all in one transaction: a request never waits for it."""

    tokens: ITokens
    now: Callable[[], datetime]
    _noted: dict[int, datetime] = Factory(dict)  # since the last flush, by token

    def note(self, token_id: int) -> None:
        """A token has opened something."""
        self._noted[token_id] = self.now()

    def seen(self, token: TokenInfo) -> TokenInfo:
        """A token as it was read, with the use that is not written yet."""
        noted = self._noted.get(token.id)
        return token if noted is None else evolve(token, last_used_at=noted)

    async def flush(self) -> None:
        """Write what was noted; what cannot be written now is tried again with the next flush."""
        noted, self._noted = self._noted, {}
        try:
            await self.tokens.used(noted)
        except BaseException:
            self._noted = {**noted, **self._noted}
            raise
