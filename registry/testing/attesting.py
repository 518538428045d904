"""A whole public-good Sigstore in memory: an authority, a certificate log and a transparency log that sign what tests need.

Everything is made as the real services make it, so that what verifies it is the real verification, offline.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import Factory, define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/team/app/.github/workflows/release.yml@refs/tags/app@1.0"
# Fulcio's extensions, by their last number, of a build that `WORKFLOW` describes.
CLAIMS: Mapping[int, str] = {9: WORKFLOW, 12: "https://github.com/team/app", 13: "c" * 40, 14: "refs/tags/app@1.0", 18: WORKFLOW}

_SHA256 = hashes.SHA256()
_FIRST_IN_DER = 8
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def statement(filename: str, sha256: str, predicate_type: str) -> dict[str, Any]:
    """An in-toto statement about one file."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": predicate_type,
        "predicate": None,
    }


@define(kw_only=True)
class LocalSigstore:
    """An instance of its own: what one signs means nothing to the trust root of another."""

    _authority: ec.EllipticCurvePrivateKey = field(factory=_key, repr=False)
    _certificate_log: ec.EllipticCurvePrivateKey = field(factory=_key, repr=False)
    _log: ec.EllipticCurvePrivateKey = field(factory=_key, repr=False)
    _root: x509.Certificate = field(init=False, repr=False)
    _leaves: list[bytes] = Factory(lambda: [b"an entry of somebody else"])  # grows with each attestation

    def __attrs_post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local authority")])
        builder = _certificate(name, name, self._authority, NOON - timedelta(days=365), NOON + timedelta(days=3650))
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._authority.public_key()), critical=False)
        self._root = builder.sign(self._authority, _SHA256)

    def trust_root(self) -> str:
        """The text of the trusted_root.json that names this instance."""
        since = {"start": "2020-01-01T00:00:00Z"}

        def log(key: ec.EllipticCurvePrivateKey, url: str) -> dict[str, object]:
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": _b64(_spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since},
                "logId": {"keyId": _b64(hashlib.sha256(_spki(key)).digest())},
            }

        authority = {
            "subject": {"organization": "local", "commonName": "local authority"},
            "uri": "https://fulcio.test",
            "certChain": {"certificates": [{"rawBytes": _b64(self._root.public_bytes(Encoding.DER))}]},
            "validFor": since,
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log(self._log, "https://rekor.test")],
                "certificateAuthorities": [authority],
                "ctlogs": [log(self._certificate_log, "https://ctfe.test")],
                "timestampAuthorities": [],
            }
        )

    def attest(
        self,
        stated: Mapping[str, Any] | bytes,
        *,
        issuer: str = GITHUB,
        names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(WORKFLOW),),
        claims: Mapping[int, str] = CLAIMS,
        logged: datetime = NOON,
    ) -> dict[str, Any]:
        """An attestation object (PEP 740): `stated` signed by a certificate of `NOON`, for ten minutes, and logged at `logged`."""
        payload = stated if isinstance(stated, bytes) else json.dumps(stated).encode()
        key = _key()
        certificate = self._leaf(key, names, {1: issuer, 8: issuer, **claims})
        kind = "application/vnd.in-toto+json"
        signature = key.sign(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload, ec.ECDSA(_SHA256))
        return {
            "version": 1,
            "verification_material": {
                "certificate": _b64(certificate.public_bytes(Encoding.DER)),
                "transparency_entries": [self._entry(certificate, payload, signature, logged)],
            },
            "envelope": {"statement": _b64(payload), "signature": _b64(signature)},
        }

    def _leaf(self, key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName], claims: Mapping[int, str]) -> x509.Certificate:
        builder = _certificate(x509.Name([]), self._root.subject, key, NOON - timedelta(minutes=1), NOON + timedelta(minutes=9))
        builder = builder.add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key()),
            critical=False,
        )
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        for number, text in claims.items():
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            # Of Fulcio's extensions the oldest hold bare text, the others a UTF8String.
            value = text.encode() if number < _FIRST_IN_DER else _der(0x0C, text.encode())
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        # RFC 6962: the certificate log signs what the certificate is without the log's own signature in it.
        tbs = builder.sign(self._authority, _SHA256).tbs_certificate_bytes
        return builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, self._sct_list(tbs)), critical=False).sign(
            self._authority, _SHA256
        )

    def _sct_list(self, tbs: bytes) -> bytes:
        version, signed_kind, precertificate = 0, 0, 1
        stamp = int(NOON.timestamp()) * 1000
        entry = hashlib.sha256(_spki(self._authority)).digest() + len(tbs).to_bytes(3, "big") + tbs
        data = struct.pack("!BBQH", version, signed_kind, stamp, precertificate) + entry + b"\0\0"
        signature = self._certificate_log.sign(data, ec.ECDSA(_SHA256))
        identity = hashlib.sha256(_spki(self._certificate_log)).digest()
        # 4 and 3 are TLS's numbers for SHA-256 and ECDSA.
        sct = struct.pack("!B32sQHBBH", version, identity, stamp, 0, 4, 3, len(signature)) + signature
        return _der(0x04, struct.pack("!HH", len(sct) + 2, len(sct)) + sct)

    def _entry(self, certificate: x509.Certificate, payload: bytes, signature: bytes, logged: datetime) -> dict[str, Any]:
        body = json.dumps(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(b"unchecked").hexdigest()},
                    "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                    "signatures": [{"signature": _b64(signature), "verifier": _b64(certificate.public_bytes(Encoding.PEM))}],
                },
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode()
        identity = hashlib.sha256(_spki(self._log)).digest()
        index, seconds = len(self._leaves), int(logged.timestamp())
        self._leaves.append(body)
        promise = {"body": _b64(body), "integratedTime": seconds, "logID": identity.hex(), "logIndex": index}
        promised = self._log.sign(json.dumps(promise, sort_keys=True, separators=(",", ":")).encode(), ec.ECDSA(_SHA256))
        root, path = _root_and_path(self._leaves, index)
        note = f"rekor.test - 1\n{index + 1}\n{_b64(root)}\n"
        signed = identity[:4] + self._log.sign(note.encode(), ec.ECDSA(_SHA256))
        return {
            "logIndex": str(index),
            "logId": {"keyId": _b64(identity)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": _b64(promised)},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": _b64(root),
                "treeSize": str(index + 1),
                "hashes": [_b64(one) for one in path],
                "checkpoint": {"envelope": f"{note}\n\u2014 rekor.test {_b64(signed)}\n"},
            },
            "canonicalizedBody": _b64(body),
        }


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 0x80 else bytes([0x80 | len(long)]) + long) + content  # noqa: PLR2004 - X.690, 8.1.3


def _root_and_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, list[bytes]]:
    # RFC 6962, 2.1: the tree splits at the largest power of two below its size.
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest(), []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, left_path = _root_and_path(leaves[:split], min(index, split - 1))
    right, right_path = _root_and_path(leaves[split:], max(index - split, 0))
    root = hashlib.sha256(b"\1" + left + right).digest()
    return root, [*left_path, right] if index < split else [*right_path, left]
