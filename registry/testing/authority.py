"""Certificates for servers of tests, and the authority that signs them."""

import ipaddress
from datetime import timedelta
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

from registry.testing.scene import NOON

_LIFE = timedelta(days=36500)


@frozen(kw_only=True)
class Authority:
    """Signs certificates that are valid in the present, whenever that is. `pem` is what has to be trusted."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "an authority of tests") -> "Authority":
        """A new one that nobody trusts yet."""
        key, subject = generate_private_key(SECP256R1()), _name(name)
        builder = _builder(subject, subject, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key=key, certificate=builder.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def options(self, host: str) -> Any:
        """What a server at `host` (a name or an address) needs to speak TLS: Twisted's CertificateOptions."""
        from twisted.internet.ssl import PrivateCertificate  # noqa: PLC0415 - only where TLS is spoken

        key = generate_private_key(SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        builder = _builder(_name(host), self.certificate.subject, key)
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return PrivateCertificate.loadPEM(private + signed.public_bytes(serialization.Encoding.PEM)).options()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    # From long before the present to long after it: tests of the far future are not meant.
    begin = NOON - timedelta(days=9000)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + _LIFE)
    )
