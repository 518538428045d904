"""`registry policy`."""

from pathlib import Path

import click

from registry.cli.output import fail, say, show
from registry.cli.store import as_json, configured, where
from registry.composition import now
from registry.domain.curation.advisories import NO_ADVISORIES, Advisories
from registry.domain.curation.cases import read_cases
from registry.domain.errors import RegistryError
from registry.storage.advisories import AdvisoryDirectory


@click.group()
def policy() -> None:
    """Test what [names] and [curation] say about files of upstreams."""


@policy.command("check")
@click.argument("cases", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@where
@as_json
def policy_check(cases: Path, config_file: str | None, data_dir: str | None, as_json: bool) -> None:
    """Judge the files that CASES (INI) describes and compare with what it expects; status 1 if one differs.

    A section is a case: name, version and expect (allow, exception, or the rule that refuses), and as needed filename, uploaded, yanked,
    status, licence, now. Asks nobody: no upstream, no server, no data directory.
    """
    config = configured(config_file, data_dir=data_dir)
    try:
        found = read_cases(cases.read_text(encoding="utf-8"), now())
        judging = config.policy(_advisories(config.curation.osv))
    except UnicodeDecodeError:
        raise click.UsageError(f"{cases} is not UTF-8") from None
    except RegistryError as error:
        raise click.UsageError(str(error)) from None
    judged = [(case, case.judged(judging)) for case in found]
    rows = [
        {
            "case": case.title,
            "file": case.file.filename,
            "expected": case.expect,
            "found": verdict.rule,
            "ok": case.fulfilled(verdict),
            "reason": verdict.reason,
        }
        for case, verdict in judged
    ]
    show(rows, as_json=as_json)
    differing = sum(not row["ok"] for row in rows)
    if differing:
        fail(f"{differing} of {len(rows)} cases differ from what is expected")
    say(f"All {len(rows)} cases are as expected.")


def _advisories(directory: Path | None) -> Advisories:
    if directory is None:
        return NO_ADVISORIES
    reading = AdvisoryDirectory(directory).read()
    if reading.malformed:
        say(f"{reading.malformed} of the records in {directory} cannot be read; they are passed over.")
    return reading.advisories
