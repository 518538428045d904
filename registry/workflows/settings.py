"""Settings that are changed while the registry runs: kept in the catalog, and here at hand."""

from collections.abc import Mapping

from attrs import Factory, define

from registry.domain.model import Actor, Change
from registry.domain.settings import MAX_FILE_SIZE, SWITCHES
from registry.interfaces import ISettings


@define(kw_only=True)
class LiveSettings:
    """What holds now. `max_file_size`, in bytes, and the `defaults` of switches are as configured, until an administrator sets others."""

    catalog: ISettings
    max_file_size: int
    defaults: Mapping[str, bool] = SWITCHES
    _values: dict[str, object] = Factory(dict)  # as in the catalog
    _serials: dict[str, int] = Factory(dict)  # of the change that each value is from: an older one, told late, is passed over
    _loaded: int = 0  # the serial up to which the catalog's values were read

    async def load(self) -> None:
        """Read them. Before the registry serves."""
        values, self._loaded = await self.catalog.settings()
        self._values = dict(values)

    def switch(self, name: str) -> bool:
        """Whether a switch (of `SWITCHES`) is on."""
        value = self._values.get(name)
        return value if isinstance(value, bool) else self.defaults[name]

    def upload_limit(self) -> int:
        """The largest file that may be uploaded, in bytes."""
        value = self._values.get(MAX_FILE_SIZE)
        return value if isinstance(value, int) and value > 0 else self.max_file_size

    async def change(self, changes: Mapping[str, object], actor: Actor) -> None:
        """Change some of them, for everybody at once."""
        await self.catalog.change_settings(changes, actor)

    def hear(self, changes: tuple[Change, ...]) -> None:
        """Hear of changes (IJournal listener)."""
        for change in changes:
            changed = change.detail.get("settings")
            if change.action != "settings.update" or not isinstance(changed, Mapping):
                continue
            for name, value in changed.items():
                if change.serial > max(self._serials.get(name, 0), self._loaded):
                    self._values[name], self._serials[name] = value, change.serial
