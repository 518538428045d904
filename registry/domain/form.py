"""The legacy upload form, parsed as it arrives: no sockets, no files, flat memory whatever the size."""

from collections.abc import Iterator, Mapping

from attrs import Factory, define, frozen
from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.http import parse_options_header

from registry.domain.attestations import MOST_BYTES
from registry.domain.errors import InvalidField, MalformedForm

# GitLab cuts every metadata field at 4,000 characters or less, so what lies beyond is never seen.
FIELD_BYTES = 1 << 16
# Attestations are read whole or not at all. One byte more than may be read is kept, so that what is over is told as that and not as cut.
LONG_FIELDS = {"attestations": MOST_BYTES + 1}
# Everything that is not the file, in all: room for long descriptions and hundreds of classifiers, and an end for a form that has none.
OVERHEAD_BYTES = 16 << 20
PARTS = 2000


@frozen(kw_only=True)
class FileBegins:
    """The `content` part starts: the digests declared so far are in the form's fields."""

    filename: str


@frozen(kw_only=True)
class FileBytes:
    """Some bytes of the file; never empty."""

    data: bytes


@frozen(kw_only=True)
class FileEnds:
    """The file is complete (the form is not, yet)."""


Event = FileBegins | FileBytes | FileEnds


def boundary_of(content_type: str | None) -> str:
    """The boundary that a `Content-Type` header names. Raises `MalformedForm` unless it is multipart/form-data with one."""
    kind, options = parse_options_header(content_type)
    if kind.lower() != "multipart/form-data" or not options.get("boundary"):
        raise MalformedForm(problem="its Content-Type must be multipart/form-data with a boundary (send it with twine, uv, or curl -F)")
    return str(options["boundary"])


@define
class UploadForm:
    """Feeds on body chunks, keeps the fields, hands the file through.

    `feed` yields the file's events; `close` returns the fields and raises `MalformedForm` if the form is not complete. Only the first
    64 KiB of a field are kept (1 MiB of attestations), of a repeated field the last value (as GitLab does); a second file, or a file for a
    field, is refused.
    """

    _boundary: str
    fields: dict[str, str] = Factory(dict)  # grows as parts end
    filename: str | None = None  # set when the file begins
    overhead: int = 0  # bytes seen that are not the file's
    _parser: PushMultipartParser | None = None
    _part: str | None = None  # the field being read; None inside the file or a part we skip
    _in_file: bool = False
    _value: bytearray = Factory(bytearray)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Parse one chunk, yielding what it holds of the file. Raises `MalformedForm` or `InvalidField`; then feed no more."""
        if self._parser is None:
            self._parser = self._start()
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    yield from self._begin(event)
                elif event is None:
                    yield from self._end()
                elif self._in_file:
                    yield FileBytes(data=bytes(event))
                else:
                    self._collect(event)
        except MultipartError as error:
            if not self._complete():
                raise MalformedForm(problem=f"{error} (was it cut off, or is its boundary wrong?)") from None
            # RFC 2046: what follows the last boundary is ignored. The parser refuses it in a chunk of its own, where a network may well put
            # the line break that most clients end with.
            self._count(len(chunk))

    def close(self) -> Mapping[str, str]:
        """Return all fields. Raises `MalformedForm` when the closing boundary never came."""
        try:
            (self._parser or self._start()).close()
        except MultipartError as error:
            raise MalformedForm(problem=f"it is not complete: {error}") from None
        return self.fields

    def _complete(self) -> bool:
        try:
            (self._parser or self._start()).close()
        except MultipartError:
            return False
        return True

    def _start(self) -> PushMultipartParser:
        try:
            return PushMultipartParser(self._boundary, max_segment_count=PARTS, strict=True)
        except MultipartError as error:
            raise MalformedForm(problem=str(error)) from None

    def _begin(self, part: MultipartSegment) -> Iterator[Event]:
        name, is_file = part.name or "", part.filename is not None
        self._value = bytearray()
        self._part, self._in_file = None, False
        if name == "content":
            if not is_file:
                raise InvalidField(name="content")
            if self.filename is not None:
                raise MalformedForm(problem="it holds two files called content; send one file a request")
            self._in_file, self.filename = True, part.filename or ""
            yield FileBegins(filename=self.filename)
        elif not is_file:
            self._part = name
        elif name != "gpg_signature":
            # Warehouse and GitLab agree: a field is text. The signature is the one other file a client may send; nobody reads it any more.
            raise InvalidField(name=name)

    def _end(self) -> Iterator[Event]:
        if self._in_file:
            self._in_file = False
            yield FileEnds()
        elif self._part is not None:
            text = self._value.decode("utf-8", "replace").replace("\0", "")
            # "UNKNOWN" is what old build tools send for "nothing".
            self.fields[self._part] = "" if text == "UNKNOWN" else text

    def _collect(self, data: bytes) -> None:
        self._count(len(data))
        room = LONG_FIELDS.get(self._part or "", FIELD_BYTES) - len(self._value)
        if room > 0:
            self._value += data[:room]

    def _count(self, overhead: int) -> None:
        self.overhead += overhead
        if self.overhead > OVERHEAD_BYTES:
            raise MalformedForm(problem=f"its fields hold more than {OVERHEAD_BYTES:,} bytes beside the file")
