"""A running server looks through what upstreams said: what nobody is given goes, what a site without a network lives on stays."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry.domain.model import Page
from registry.domain.names import Name
from registry.domain.upstream import Said
from registry.testing import done
from tests.cli.conftest import Registry
from tests.cli.test_cache import opened
from tests.clients.processes import eventually, serving


def say(data_dir: Path, name: str, age: timedelta, *, source: str = "upstream", found: bool = True) -> None:
    """Let a data directory know what an upstream said this long ago."""
    page = Page(name=Name(name), display=name, files=()) if found else None
    with opened(data_dir) as store:
        done(store.upstream.keep_page(Said(source=source, name=Name(name), page=page, etag="", fetched_at=datetime.now(UTC) - age)))


def listed(registry: Registry) -> list[tuple[str, str]]:
    """Of which names anything is known, and by which upstream."""
    return [(one["name"], one["upstream"]) for one in registry("cache", "list", "--json").data]


def test_a_server_forgets_what_nobody_is_given(registry: Registry, data_dir: Path, tmp_path: Path) -> None:
    """A start forgets names that there are not, and pages too old for their upstream's settings; nothing of one in mode offline."""
    say(data_dir, "absent", timedelta(hours=1), found=False)
    say(data_dir, "believed", timedelta(0), found=False)
    for name, days in (("old", 4), ("older", 8)):
        for source in ("upstream", "bundles", "removed"):
            say(data_dir, name, timedelta(days=days), source=source)
    config = tmp_path / "registry.ini"
    bundles = "[upstream:bundles]\nurl = https://index.example/simple/\nmode = offline\n"
    config.write_text(f"[upstream]\nstale_for = 3d\n{bundles}")
    left = [("believed", "upstream"), ("old", "bundles"), ("old", "removed"), ("older", "bundles")]
    with serving(data_dir, "--config", str(config)):
        eventually(lambda: listed(registry) == left, "what is too old to be forgotten")
