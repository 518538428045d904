"""IAttestations with Sigstore's own verification, which is imported with the first attestation and not before."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.logger import Logger
from zope.interface import implementer

from registry.domain.attestations import (
    Signer,
    check_signer,
    check_statements,
    provenance,
    publisher_of,
    read_attestations,
    read_statement,
)
from registry.domain.errors import InvalidAttestations, Unavailable, shown
from registry.interfaces import IAttestations, IThreads
from registry.trust.root import check_trust_root

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from pypi_attestations import Attestation
    from sigstore.verify import Verifier

_log = Logger()

_TROUBLE = 300  # characters of a library's words that are passed on


@implementer(IAttestations)
@define(kw_only=True, eq=False)
class AttestationVerifier:
    """Verifies against the trust root in the file `trust_root`, and accepts signers that one of `identities` (issuer, pattern) accepts."""

    trust_root: Path
    identities: tuple[tuple[str, str], ...]
    threads: IThreads
    _verifier: "Verifier | None" = None  # made with the first attestation; two threads that both make one harm nobody

    def load(self) -> None:
        """Make sure, at start, that the trust root can be used. Blocks; raises `InvalidSetting`. It is read again once it is needed."""
        check_trust_root(self.trust_root)

    async def verify(self, filename: str, sha256: str, text: str) -> Mapping[str, object]:
        """IAttestations."""
        return await self.threads.run(self._verify, filename, sha256, text)

    def _verify(self, filename: str, sha256: str, text: str) -> Mapping[str, object]:
        found = read_attestations(text)
        from pypi_attestations import AttestationType  # noqa: PLC0415 - heavy, and most servers never see an attestation

        attestations = [_model(one, number) for number, one in enumerate(found, 1)]
        # What costs nothing comes first: signatures are looked at only for attestations that are about this file.
        statements = [read_statement(attestation.envelope.statement) for attestation in attestations]
        check_statements(statements, filename, sha256, [kind.value for kind in AttestationType])
        return provenance([self._verified(attestation, number) for number, attestation in enumerate(attestations, 1)])

    def _verified(self, attestation: "Attestation", number: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        from pypi_attestations import Attestation  # noqa: PLC0415

        accepted = _Accepted(self.identities)
        verifier = self._ready()
        try:
            bundle = attestation.to_bundle()
            _, payload = verifier.verify_dsse(bundle, accepted)
            # What is served is made from what was verified, so that no other key or blank the client sent comes with it.
            served = _plain(Attestation.from_bundle(bundle))
        except InvalidAttestations:
            raise
        except Exception as error:  # noqa: BLE001 - hostile bytes make these libraries raise anything, and whatever it is, nothing is proved
            _log.info("An attestation was refused: {kind}: {error}", kind=type(error).__name__, error=shown(str(error), _TROUBLE))
            trouble = shown(" ".join(str(error).split()) or type(error).__name__, _TROUBLE)
            raise InvalidAttestations(problem=f"number {number} does not verify against the trust root: {trouble}") from None
        assert payload == attestation.envelope.statement, "what was read is what was signed"
        assert accepted.signer is not None, "the verifier has asked about the certificate"
        return publisher_of(accepted.signer), served

    def _ready(self) -> "Verifier":
        if self._verifier is None:
            from sigstore.models import TrustedRoot  # noqa: PLC0415
            from sigstore.verify import Verifier  # noqa: PLC0415

            try:
                self._verifier = Verifier(trusted_root=TrustedRoot.from_file(str(self.trust_root)))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, nothing can be verified until it is right
                _log.error(
                    "Attestations cannot be verified: the trust root {path} cannot be used: {error}", path=self.trust_root, error=error
                )
                raise Unavailable(part="trust root for attestations") from None
        return self._verifier


@define
class _Accepted:
    """Sigstore's `VerificationPolicy`: the operator's list. Remembers who signed."""

    identities: tuple[tuple[str, str], ...]
    signer: Signer | None = None  # set while the certificate is verified

    def verify(self, cert: "Certificate") -> None:
        self.signer = _signer_of(cert)
        check_signer(self.signer, self.identities)


def _model(found: Mapping[str, Any], number: int) -> "Attestation":
    from pydantic import ValidationError  # noqa: PLC0415
    from pypi_attestations import Attestation  # noqa: PLC0415

    try:
        attestation = Attestation.model_validate(found)
    except (ValidationError, RecursionError) as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else ""
        raise InvalidAttestations(
            problem=f"number {number} is not an attestation object (PEP 740)" + (f": look at {shown(where)}" if where else "")
        ) from None
    if len(attestation.verification_material.transparency_entries) > 1:
        # Only the first is verified, so others would be served on nobody's word.
        raise InvalidAttestations(problem=f"number {number} has more than one transparency log entry; send one")
    return attestation


def _signer_of(certificate: "Certificate") -> Signer:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat import asn1  # noqa: PLC0415

    def claim(number: int) -> str:
        # https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md: these are DER-encoded UTF8Strings.
        try:
            extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}"))
        except x509.ExtensionNotFound:
            return ""
        assert isinstance(extension.value, x509.UnrecognizedExtension)
        return asn1.decode_der(str, extension.value.value)

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    identities = [*names.get_values_for_type(x509.UniformResourceIdentifier), *names.get_values_for_type(x509.RFC822Name)]
    if len(identities) != 1 or len(names) != 1:
        raise InvalidAttestations(problem="a certificate does not name exactly one identity (an address or an e-mail address)")
    return Signer(
        issuer=claim(8),
        identity=identities[0],
        build_signer=claim(9),
        repository=claim(12),
        build_config=claim(18),
        revisions=tuple(filter(None, (claim(13), claim(14)))),
    )


def _plain(attestation: "Attestation") -> Mapping[str, object]:
    material, envelope = attestation.verification_material, attestation.envelope
    certificate, statement, signature = (
        base64.b64encode(data).decode() for data in (material.certificate, envelope.statement, envelope.signature)
    )
    return {
        "version": 1,
        "verification_material": {"certificate": certificate, "transparency_entries": material.transparency_entries},
        "envelope": {"statement": statement, "signature": signature},
    }
