"""Receiving the upload form: from the socket into a staged blob, or from what a foreign Site has spooled."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from registry.domain.errors import FileTooLarge, RegistryError
from registry.domain.form import OVERHEAD_BYTES, FileBegins, FileBytes, UploadForm, boundary_of
from registry.domain.upload import declared_digests
from registry.interfaces import IBlobs, IStagedBlob, IThreads

_log = Logger()
_SPOOL_CHUNK = 1 << 18


@frozen(kw_only=True)
class Received:
    """A complete form: its fields, and its file, if it had one. Whoever takes it discards `staged`."""

    fields: Mapping[str, str]
    filename: str | None
    staged: IStagedBlob | None


@define(kw_only=True, eq=False)
class FormReceiver:
    """Turns body chunks into a `Received`. `limit` bounds the file, in bytes."""

    blobs: IBlobs
    limit: int
    form: UploadForm
    on_full: Callable[[], None]
    on_space: Callable[[], None]
    _staged: IStagedBlob | None = None  # made when the file begins, given away by `close`
    _size: int = 0  # of the file so far

    def feed(self, data: bytes) -> None:
        """Take a chunk of the body. Raises `MalformedForm`, `InvalidField` or `FileTooLarge`."""
        for event in self.form.feed(data):
            if isinstance(event, FileBegins):
                self._staged = self.blobs.stage(self.on_full, self.on_space)
                self._staged.expect(tuple(declared_digests(self.form.fields)))
            elif isinstance(event, FileBytes):
                assert self._staged is not None
                self._size += len(event.data)
                if self._size > self.limit:
                    raise FileTooLarge(limit=self.limit)
                self._staged.write(event.data)

    def close(self) -> Received:
        """The body has ended. Raises `MalformedForm` when the form has not."""
        fields = self.form.close()
        staged, self._staged = self._staged, None
        return Received(fields=fields, filename=self.form.filename, staged=staged)

    def discard(self) -> None:
        """Drop what was staged, unless `close` has given it away."""
        if self._staged is not None:
            self._staged.discard()
            self._staged = None


@frozen(kw_only=True)
class Uploads:
    """How uploads are received: where bytes go, and how large a file may be at the moment (bytes)."""

    blobs: IBlobs
    limit: Callable[[], int]
    threads: IThreads  # reads what a foreign Site has spooled

    def receiver(self, request: Any) -> FormReceiver:
        """A receiver for the body of `request`. Raises `MalformedForm` if it is not a form."""
        form = UploadForm(boundary_of(request.getHeader("content-type")))
        hold, release = getattr(request, "hold", _nothing), getattr(request, "release", _nothing)
        return FormReceiver(blobs=self.blobs, limit=self.limit(), form=form, on_full=hold, on_space=release)

    async def received(self, request: Any) -> Received:
        """The form in the body of `request`, however its Site took it. Raises what is wrong with it."""
        intake = getattr(request, "intake", None)
        if isinstance(intake, UploadIntake):
            return intake.result()
        if intake is None and hasattr(request, "refusal"):
            self.receiver(request).close()  # our own Site, and no body at all: says what is missing
        return await self._spooled(request)

    async def _spooled(self, request: Any) -> Received:
        """Read a body that a stock Site has already taken: its memory and its time are spent, ours need not be."""
        _log.warn(
            "An upload came through a stock twisted.web Site, which keeps whole bodies before anybody may refuse them. Serve with "
            "Registry.site, or at least build your Site with parsePOSTFormSubmission=False"
        )
        receiver = self.receiver(request)
        try:
            request.content.seek(0)
            while data := await self.threads.run(request.content.read, _SPOOL_CHUNK):
                receiver.feed(data)
            return receiver.close()
        finally:
            receiver.discard()


@define(eq=False)
class UploadIntake:
    """The intake of uploads under our own Site (`request.Intake`)."""

    _uploads: Uploads
    _request: Any
    _length: int | None
    _admit: Callable[[], Any]
    _receiver: FormReceiver | None = None  # once the body is welcome
    _received: Received | None = None  # once it is complete
    _error: RegistryError | None = None  # what was wrong with its end

    def decide(self) -> "Deferred[object]":
        """Intake: first who, then how much, then what."""
        return maybeDeferred(self._admit).addCallback(self._welcome)

    def received(self, data: bytes) -> None:
        """Intake."""
        assert self._receiver is not None
        self._receiver.feed(data)

    def complete(self) -> None:
        """Intake."""
        assert self._receiver is not None
        try:
            self._received = self._receiver.close()
        except RegistryError as error:
            self._receiver.discard()
            self._error = error

    def lost(self) -> None:
        """Intake. What was handed over by `result` is its taker's."""
        if self._receiver is not None:
            self._receiver.discard()
        if self._received is not None and self._received.staged is not None:
            self._received.staged.discard()
            self._received = None

    def result(self) -> Received:
        """The form, handed over. Raises what was wrong with it."""
        if self._error is not None:
            raise self._error
        assert self._received is not None, "the body is complete before the route runs"
        received, self._received = self._received, None
        return received

    def _welcome(self, _: object) -> None:
        limit = self._uploads.limit()
        if self._length is not None and self._length > limit + OVERHEAD_BYTES:
            raise FileTooLarge(limit=limit)
        self._receiver = self._uploads.receiver(self._request)


def _nothing() -> None:
    """A foreign Site has the whole body already; there is nothing to hold back."""
