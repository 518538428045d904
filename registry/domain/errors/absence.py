"""What is not there, not any more, or not for this caller."""

from datetime import datetime

from attrs import frozen

from registry.domain.errors.base import RegistryError, shown


@frozen(kw_only=True)
class Quarantined(RegistryError):
    """The name is quarantined: its files are not offered to anybody (PEP 792)."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{shown(self.name)} is quarantined: its files cannot be downloaded" + (f" ({self.reason})" if self.reason else "")


@frozen(kw_only=True)
class Deleted(RegistryError):
    """The file was here and has been deleted."""

    filename: str
    at: datetime

    def __str__(self) -> str:
        return f"{shown(self.filename)} was deleted on {self.at:%Y-%m-%d}; its bytes are gone"


@frozen(kw_only=True)
class UnknownProject(RegistryError):
    """No project that this caller may see. Deliberately the same for "absent" and "hidden"."""

    def __str__(self) -> str:
        return "Project Not Found"


@frozen(kw_only=True)
class UnknownGroup(RegistryError):
    """No group that this caller may see."""

    def __str__(self) -> str:
        return "Group Not Found"


@frozen(kw_only=True)
class NotFound(RegistryError):
    """Nothing of this kind and number that this caller may see; `what` is GitLab's word for it, empty for GitLab's plain form."""

    what: str = ""

    def __str__(self) -> str:
        return f"{self.what} Not Found" if self.what else "Not Found"


@frozen(kw_only=True)
class UnknownPackage(RegistryError):
    """No package of this number in this project."""

    def __str__(self) -> str:
        return "Package not found"


@frozen(kw_only=True)
class UnknownName(RegistryError):
    """No file of this name may be shown to this caller."""

    name: str

    def __str__(self) -> str:
        return "Package Not Found"


@frozen(kw_only=True)
class UnknownFile(RegistryError):
    """No file of this name and digest may be shown to this caller."""

    filename: str

    def __str__(self) -> str:
        return "Package Not Found"


@frozen(kw_only=True)
class Missing(RegistryError):
    """Something an operator named does not exist."""

    what: str
    value: str

    def __str__(self) -> str:
        return f"There is no {self.what} {shown(self.value)}"
