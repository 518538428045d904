"""Names, versions and file names that are none."""

from attrs import frozen

from registry.domain.errors.base import RegistryError, shown


@frozen(kw_only=True)
class InvalidName(RegistryError):
    """The text is not a project name in the sense of PEP 508."""

    text: str

    def __str__(self) -> str:
        return (
            f"Name is invalid: {shown(self.text)} is not a Python project name. Use ASCII letters, digits, '.', '_' and '-', "
            "beginning and ending with a letter or digit (PEP 508)"
        )


@frozen(kw_only=True)
class ConfusableName(RegistryError):
    """The name is too much like one that is there."""

    name: str
    known: str

    def __str__(self) -> str:
        return f"Name is invalid: {shown(self.name)} looks like {shown(self.known)}, which is here. Use a name that nobody takes for it"


@frozen(kw_only=True)
class InvalidVersion(RegistryError):
    """The text is not a version in the sense of PEP 440."""

    text: str

    def __str__(self) -> str:
        return f"Version is invalid: {shown(self.text)} is not a PEP 440 version such as 1.0, 2.1rc1 or 1.0.post2"


@frozen(kw_only=True)
class InvalidFileName(RegistryError):
    """The file name is not that of a wheel or sdist of the name and version it was sent with."""

    filename: str
    problem: str

    def __str__(self) -> str:
        return f"File name is invalid: {shown(self.filename)} {self.problem}"
