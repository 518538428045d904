"""Publishing: all or nothing, whatever goes wrong."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from zope.interface import implementer

from registry.domain.access import Identity, Project, Role, Standing, User, Visibility
from registry.domain.archives.checks import Checks
from registry.domain.attestations import NOT_KEPT
from registry.domain.errors import (
    ConfusableName,
    DigestMismatch,
    EmptyFile,
    FileExists,
    InvalidArchive,
    InvalidAttestations,
    InvalidField,
    InvalidFileName,
    InvalidName,
    InvalidVersion,
    MissingFields,
    RegistryError,
    StorageFull,
    Unavailable,
)
from registry.domain.model import Actor, File, NewFile
from registry.domain.names import Name
from registry.domain.releases import Prospect
from registry.domain.versions import Version
from registry.interfaces import IAttestations
from registry.testing import NOON, Built, MemoryBlobs, MemoryPackages, MemoryStagedBlob, done, gathered, sdist, wheel
from registry.workflows.gate import Admission
from registry.workflows.publish import Publisher
from registry.workflows.upkeep import sweep

DEMO = wheel("demo", "1.0", requires_python=">=3.8")
ACTOR = Actor(user_id=1, username="ann", token_name="laptop")
PROJECT = Project(id=1, path="ann/demo", name="demo", visibility=Visibility.PRIVATE)
STRICT = Checks.of("strict")
ANN = Admission(identity=Identity(user=User(id=1, username="ann")), place=PROJECT, standing=Standing(role=Role.DEVELOPER))


@define(eq=False)
class Late(MemoryPackages):
    """A catalog whose answers the test can hold back or falsify."""

    stale: bool = False  # pages look as if nothing had been published
    broken: RegistryError | None = None  # what recording a file raises
    added: list[NewFile] = field(factory=list)

    async def prospect(self, project_id: int, name: Name, version: Version, filename: str) -> Prospect:
        """IPackages."""
        found = await super().prospect(project_id, name, version, filename)
        return evolve(found, taken=None) if self.stale else found

    async def add_file(self, project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
        """IPackages."""
        if self.broken is not None:
            raise self.broken
        self.added.append(new)
        return await super().add_file(project_id, new, actor)


@define
class Press:
    """A publisher over one catalog with one project."""

    catalog: Late
    blobs: MemoryBlobs
    publisher: Publisher
    admission: Admission

    def stage(self, data: bytes) -> MemoryStagedBlob:
        """Bytes that have arrived."""
        staged = self.blobs.stage(lambda: None, lambda: None)
        staged.write(data)
        return staged

    def publish(self, built: Built = DEMO, fields: Mapping[str, str] | None = None, filename: str | None = None) -> File:
        """Publish `built`, with these fields beside or instead of its own."""
        sent = {**built.fields, **(fields or {})}
        staged = self.stage(built.content)
        return done(self.publisher.publish(self.admission, ACTOR, sent, built.filename if filename is None else filename, staged)).file

    def listed(self) -> list[str]:
        """All blobs."""
        return sorted(name for batch in gathered(self.blobs.listing()) for name in batch)

    def untouched(self) -> bool:
        """Whether nothing was published and nothing stayed behind."""
        page = done(self.catalog.page((1,), Name("demo")))
        return (page, self.listed(), self.blobs.staged, dict(self.blobs._pins)) == (None, [], 0, {})


@pytest.fixture(params=[False, True], ids=["refusing", "accepting identical"])
def press(request: pytest.FixtureRequest) -> Press:
    """A publisher, of either kind."""
    return made(accept_identical=request.param)


def made(*, accept_identical: bool = False, checks: Checks = STRICT, attestations: IAttestations | None = None) -> Press:
    catalog, blobs = Late(), MemoryBlobs()
    publisher = Publisher(
        packages=catalog,
        blobs=blobs,
        now=lambda: NOON,
        accept_identical=accept_identical,
        checks=checks,
        attestations=attestations,
    )
    return Press(catalog=catalog, blobs=blobs, publisher=publisher, admission=ANN)


# --- what is published ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("built", [DEMO, sdist("demo", "1.0", requires_python=">=3.8")])
def test_a_complete_upload_is_published(press: Press, built: Built) -> None:
    """A form that is right becomes a file on its page, with bytes, digest and what its archive says, in one change of its actor."""
    press.catalog.changes.clear()
    file = press.publish(built)
    assert (file.filename, file.version, file.sha256, file.size, file.requires_python) == (
        built.filename,
        "1.0",
        built.sha256,
        len(built.content),
        ">=3.8",
    )
    page = done(press.catalog.page((1,), Name("Demo")))
    assert page is not None
    assert page.files == (file,)
    assert press.listed() == built.blobs
    assert (press.blobs.staged, dict(press.blobs._pins)) == (0, {})
    assert [(change.action, change.actor) for change in press.catalog.changes] == [("file.publish", ACTOR)]


@pytest.mark.parametrize(
    ("archived", "form", "kept"),
    [(">=3.8", "", ">=3.8"), (">=3.8", "<3", ">=3.8"), ("", ">=3.9", ">=3.9"), ("", "", ""), ("", "nonsense <", ""), ("", "x" * 300, "")],
)
def test_the_archive_speaks_first(archived: str, form: str, kept: str) -> None:
    """Where the two need not agree, the archive wins over the form, which speaks where it is silent; what is no specifier is dropped."""
    press = made(checks=Checks.of("lenient"))
    assert press.publish(wheel("demo", "1.0", requires_python=archived), {"requires_python": form}).requires_python == kept


@pytest.mark.parametrize(("archived", "form"), [(">=3.8", "<3"), ("", ">=3.9"), ("", "nonsense <"), ("nonsense <", ">=3.8")])
def test_a_form_that_contradicts_its_archive_is_refused(press: Press, archived: str, form: str) -> None:
    """A Requires-Python of the form that means something else than the file's is refused unless that check is off (hardening row 44)."""
    with pytest.raises(InvalidArchive, match="Requires-Python"):
        press.publish(wheel("demo", "1.0", requires_python=archived), {"requires_python": form})
    assert press.untouched()
    press.publisher.checks = Checks.of("strict", without=["requires-python"])
    assert press.publish(wheel("demo", "1.0", requires_python=archived), {"requires_python": form}).version == "1.0"


@pytest.mark.parametrize(("archived", "form"), [(">=3.8", ">= 3.8"), (">=3.8,<4", "<4,>=3.8"), (">=3.8", ""), (">=3.8", " ")])
def test_a_form_that_means_the_same_is_no_contradiction(press: Press, archived: str, form: str) -> None:
    """Blanks and order do not matter in a specifier, and a form may leave it out."""
    assert press.publish(wheel("demo", "1.0", requires_python=archived), {"requires_python": form}).requires_python == archived


def test_metadata_is_kept(press: Press) -> None:
    """The form's fields are kept, cut to GitLab's lengths, under what the archive says itself."""
    press.publish(DEMO, {"summary": "of the form", "keywords": "k" * 2000})
    (new,) = press.catalog.added
    assert new.metadata["summary"] == "for tests"
    assert new.metadata["keywords"] == "k" * 1021 + "..."


def test_digests_that_were_declared_are_kept(press: Press) -> None:
    """Beside sha256, what the client declared and was right about is recorded; nothing else is computed."""
    md5 = hashlib.md5(DEMO.content).hexdigest()
    press.publish(DEMO, {"md5_digest": md5.upper(), "sha256_digest": DEMO.sha256})
    assert press.catalog.added[0].digests.others == {"md5": md5}


# --- what is not ----------------------------------------------------------------------------------------------------------------------

WRONG: Mapping[str, tuple[type[RegistryError], Callable[[Press], object]]] = {
    "no name": (MissingFields, lambda press: press.publish(fields={"name": ""})),
    "no version": (MissingFields, lambda press: press.publish(fields={"version": ""})),
    "no file name": (MissingFields, lambda press: press.publish(filename="")),
    "bad name": (InvalidName, lambda press: press.publish(fields={"name": "-"})),
    "bad version": (InvalidVersion, lambda press: press.publish(fields={"version": "latest"})),
    "bad digest": (InvalidField, lambda press: press.publish(fields={"sha256_digest": "x"})),
    "another name": (InvalidFileName, lambda press: press.publish(fields={"name": "other"})),
    "another version": (InvalidFileName, lambda press: press.publish(fields={"version": "2.0"})),
    "wrong sha256": (DigestMismatch, lambda press: press.publish(fields={"sha256_digest": "0" * 64})),
    "wrong md5": (DigestMismatch, lambda press: press.publish(fields={"md5_digest": "0" * 32})),
    "wrong blake2": (DigestMismatch, lambda press: press.publish(fields={"blake2_256_digest": "0" * 64})),
    "a digest that is not ASCII": (DigestMismatch, lambda press: press.publish(fields={"md5_digest": "\u00e9\ud800"})),
    "empty": (EmptyFile, lambda press: press.publish(Built(name="demo", version="1.0", filename=DEMO.filename, content=b""))),
    "no archive": (InvalidArchive, lambda press: press.publish(Built(name="demo", version="1.0", filename=DEMO.filename, content=b"x"))),
    "another's archive": (
        InvalidArchive,
        lambda press: press.publish(Built(name="demo", version="1.0", filename=DEMO.filename, content=wheel("other", "1.0").content)),
    ),
    "another version's archive": (
        InvalidArchive,
        lambda press: press.publish(Built(name="demo", version="1.0", filename=DEMO.filename, content=wheel("demo", "2.0").content)),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_wrong_leaves_nothing(press: Press, what: str) -> None:
    """Each error is told as itself, and nothing is published, staged, kept or pinned."""
    error, attempt = WRONG[what]
    with pytest.raises(error):
        attempt(press)
    assert press.untouched()
    assert press.publish().filename == DEMO.filename


def test_a_form_without_a_file_is_incomplete(press: Press) -> None:
    """Without a file there is nothing to stage, and the missing field is named."""
    with pytest.raises(MissingFields, match="content is missing"):
        done(press.publisher.publish(press.admission, ACTOR, DEMO.fields, None, None))
    assert press.untouched()


def test_a_full_store_leaves_nothing(press: Press) -> None:
    """A full disk is told, and the same upload succeeds once there is room (hardening row 46)."""
    press.blobs.full = True
    with pytest.raises(StorageFull):
        press.publish()
    assert press.untouched()
    press.blobs.full = False
    assert press.publish().filename == DEMO.filename


@pytest.mark.parametrize("error", [StorageFull(), Unavailable(part="catalog")])
def test_a_catalog_that_fails_leaves_nothing(press: Press, error: RegistryError) -> None:
    """When the row cannot be written the bytes that were kept for it are removed at once, not by a sweep (hardening row 45)."""
    press.catalog.broken = error
    with pytest.raises(type(error)):
        press.publish()
    assert (press.blobs.staged, dict(press.blobs._pins)) == (0, {})
    assert press.untouched()
    assert done(sweep(press.catalog, press.blobs)) == 0


# --- what is kept beside ----------------------------------------------------------------------------------------------------------------


def test_metadata_is_kept_beside_a_wheel(press: Press) -> None:
    """METADATA of a wheel becomes a blob of its own, byte by byte, which the file names by its digest (hardening row 17)."""
    file = press.publish(DEMO)
    assert file.metadata_sha256 == hashlib.sha256(DEMO.metadata).hexdigest()
    blob = done(press.blobs.open(file.metadata_sha256))
    assert blob.data == DEMO.metadata
    assert press.catalog.added[0].metadata_blob == (file.metadata_sha256, len(DEMO.metadata))


def test_nothing_is_kept_beside_what_may_change_when_it_is_built(press: Press) -> None:
    """Metadata of a source distribution older than 2.2 does not tell what its wheels will say, and is not kept (PEP 643)."""
    file = press.publish(sdist("demo", "1.0"))
    assert (file.metadata_sha256, press.catalog.added[0].metadata_blob) == ("", None)
    assert press.listed() == [file.sha256]


# --- attestations -----------------------------------------------------------------------------------------------------------------------

PROVENANCE = {"version": 1, "attestation_bundles": []}


@implementer(IAttestations)
@define
class Notary:
    """IAttestations with an answer that the test has chosen."""

    refusal: RegistryError | None = None
    asked: list[tuple[str, str, str]] = field(factory=list)

    async def verify(self, filename: str, sha256: str, text: str) -> Mapping[str, object]:
        """IAttestations."""
        self.asked.append((filename, sha256, text))
        if self.refusal is not None:
            raise self.refusal
        return PROVENANCE


def test_what_attestations_prove_is_kept() -> None:
    """Attestations are verified against the name and the digest of what arrived, and the file has the provenance they make."""
    notary = Notary()
    press = made(attestations=notary)
    file = press.publish(DEMO, {"attestations": "[{}]"})
    assert notary.asked == [(DEMO.filename, DEMO.sha256, "[{}]")]
    assert file.provenance
    assert done(press.catalog.provenance(file.id)) == PROVENANCE


@pytest.mark.parametrize("error", [InvalidAttestations(problem="number 1 is forged"), Unavailable(part="trust root for attestations")])
def test_attestations_that_prove_nothing_refuse_the_file(error: RegistryError) -> None:
    """An attestation that does not verify, or cannot be, refuses the whole upload, and nothing stays behind."""
    press = made(attestations=Notary(refusal=error))
    with pytest.raises(type(error)):
        press.publish(DEMO, {"attestations": "[{}]"})
    assert press.untouched()
    assert press.publish(DEMO).provenance is False


@pytest.mark.parametrize("sent", [{}, {"attestations": ""}])
def test_without_attestations_nobody_is_asked(sent: Mapping[str, str]) -> None:
    """A form without attestations, or with an empty field, publishes a file without provenance."""
    notary = Notary()
    file = made(attestations=notary).publish(DEMO, sent)
    assert (file.provenance, notary.asked) == (False, [])


def test_who_cannot_verify_keeps_nothing_and_says_so(press: Press) -> None:
    """Without a trust root the file is published, its attestations are not kept, and the publisher is told."""
    staged = press.stage(DEMO.content)
    sent = {**DEMO.fields, "attestations": "nonsense"}
    published = done(press.publisher.publish(press.admission, ACTOR, sent, DEMO.filename, staged))
    assert published.warnings == (NOT_KEPT,)
    assert published.file.provenance is False
    assert press.catalog.added[0].provenance is None


# --- names that look alike --------------------------------------------------------------------------------------------------------------


def test_a_name_that_looks_like_another_is_refused_where_that_is_checked() -> None:
    """`similar-names` refuses a new name that people would take for one that is there, and is off unless switched on."""
    press = made()
    press.publish(wheel("flask"))
    assert press.publish(wheel("f1ask")).filename.startswith("f1ask")
    press = made(checks=Checks.of("strict", also=["similar-names"]))
    press.publish(wheel("flask"))
    with pytest.raises(ConfusableName, match="flask"):
        press.publish(wheel("f1ask"))
    assert press.listed() == wheel("flask").blobs
    assert press.publish(wheel("flask", "2.0")).version == "2.0"


def test_a_name_that_was_there_before_the_check_goes_on() -> None:
    """A name that is held already takes new files, whatever it looks like."""
    press = made()
    for name in ("flask", "f1ask"):
        press.publish(wheel(name))
    press.publisher.checks = Checks.of("strict", also=["similar-names"])
    for version in ("1.0", "2.0"):
        assert press.publish(wheel("f1ask", version, tag="py2-none-any")).version == version


# --- again ----------------------------------------------------------------------------------------------------------------------------


def test_other_bytes_under_a_taken_name_are_refused(press: Press) -> None:
    """A file name is taken once and for all, whichever kind of registry; the first bytes stay (hardening row 48)."""
    press.publish()
    with pytest.raises(FileExists) as caught:
        press.publish(wheel("demo", "1.0", payload=b"other"))
    assert caught.value.identical is False
    assert press.listed() == DEMO.blobs
    assert (press.blobs.staged, dict(press.blobs._pins)) == (0, {})


@pytest.mark.parametrize("stale", [False, True], ids=["seen early", "seen by the catalog"])
@pytest.mark.parametrize("accept", [False, True])
def test_identical_bytes_again(*, accept: bool, stale: bool) -> None:
    """The same bytes again are refused as by GitLab or accepted as by PyPI, as configured, however late seen (hardening rows 48, 49)."""
    press = made(accept_identical=accept)
    first = press.publish()
    press.catalog.stale = stale
    changes = len(press.catalog.changes)
    if accept:
        assert press.publish() == first
    else:
        with pytest.raises(FileExists) as caught:
            press.publish()
        assert caught.value.identical is True
    assert len(press.catalog.changes) == changes
    assert (press.listed(), press.blobs.staged, dict(press.blobs._pins)) == (DEMO.blobs, 0, {})


def test_a_loser_of_a_race_leaves_nothing(press: Press) -> None:
    """Of two that passed every check the later is refused by the catalog; its bytes go, the winner's stay (hardening row 48)."""
    press.publish()
    press.catalog.stale = True
    with pytest.raises(FileExists):
        press.publish(wheel("demo", "1.0", payload=b"other"))
    assert press.listed() == DEMO.blobs
    assert done(sweep(press.catalog, press.blobs)) == 0


def test_a_sweep_in_between_does_no_harm(press: Press) -> None:
    """A sweep that runs after the bytes are kept and before their row is written removes nothing (hardening row 45)."""
    add_file = press.catalog.add_file
    swept: list[int] = []

    @define(eq=False)
    class Swept(Late):
        async def add_file(self, project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
            """IPackages."""
            swept.append(await sweep(press.catalog, press.blobs))
            return await add_file(project_id, new, actor)

    publisher = Publisher(packages=Swept(), blobs=press.blobs, now=lambda: NOON)
    done(publisher.publish(press.admission, ACTOR, DEMO.fields, DEMO.filename, press.stage(DEMO.content)))
    assert swept == [0]
    assert press.listed() == DEMO.blobs


# --- stopping -------------------------------------------------------------------------------------------------------------------------


def test_nothing_under_way_is_settled(press: Press) -> None:
    """Without a publish there is nothing to wait for, before and after one."""
    done(press.publisher.settled())
    press.publish()
    done(press.publisher.settled())


def test_settling_waits_for_every_publish(press: Press) -> None:
    """Stopping waits for all publishes that have begun, those that fail among them."""
    held: list[Deferred[Any]] = []

    @define(eq=False)
    class Held(Late):
        async def add_file(self, project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
            """IPackages."""
            held.append(Deferred())
            await held[-1]
            return await super().add_file(project_id, new, actor)

    publisher = Publisher(packages=Held(), blobs=press.blobs, now=lambda: NOON)
    outcomes: list[object] = []
    for _ in range(2):
        work = publisher.publish(press.admission, ACTOR, DEMO.fields, DEMO.filename, press.stage(DEMO.content))
        Deferred.fromCoroutine(work).addBoth(outcomes.append)
    settled = list[None]()
    Deferred.fromCoroutine(publisher.settled()).addCallback(settled.append)
    held[0].callback(None)
    assert (len(outcomes), settled) == (1, [])
    held[1].callback(None)
    assert (len(outcomes), settled) == (2, [None])
