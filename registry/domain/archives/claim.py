"""What a file was uploaded as."""

from attrs import frozen

from registry.domain.errors import InvalidName, InvalidVersion
from registry.domain.filenames import FileName
from registry.domain.names import Name
from registry.domain.versions import Version


@frozen(kw_only=True)
class Claim:
    """The file's name, and the project and version that it claims to be of."""

    file: FileName
    name: Name
    version: Version

    def titles(self, text: str) -> bool:
        """Whether `text` is `<name>-<version>` of this claim, in any spelling: tools have escaped both in many ways."""
        for cut, character in enumerate(text):
            if character == "-":
                try:
                    if Name(text[:cut]) == self.name and Version(text[cut + 1 :]) == self.version:
                        return True
                except (InvalidName, InvalidVersion):
                    continue
        return False
