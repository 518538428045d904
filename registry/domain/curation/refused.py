"""Files of upstreams that somebody asked for and was refused by the policy: what the journal tells of them."""

from datetime import datetime

from attrs import frozen

from registry.domain.access import Place, Project
from registry.domain.model import File
from registry.domain.names import Name


@frozen(kw_only=True)
class Refusal:
    """One file refused by one rule, `count` times since `first_at`. The place is that in which it was asked for first."""

    name: str  # normalised
    filename: str
    version: str
    rule: str
    source: str  # the upstream's name
    project_id: int | None
    group_id: int | None
    first_at: datetime
    count: int = 1

    @classmethod
    def of(cls, place: Place | None, name: Name, file: File, rule: str, at: datetime) -> "Refusal":
        """What a door says when it refuses a file."""
        inside = place.id if place is not None else None
        return cls(
            name=name.normalized,
            filename=file.filename,
            version=file.version,
            rule=rule,
            source=file.source,
            project_id=inside if isinstance(place, Project) else None,
            group_id=None if isinstance(place, Project) else inside,
            first_at=at,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """What is told at most once an hour."""
        return self.name, self.filename, self.rule
