"""What these tests share: built distributions, a registry of their own, and clients at home in an empty folder."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from uv import find_uv_bin

from tests.clients.distributions import build
from tests.clients.processes import Outcome, Server, environment, run, serving


@frozen(kw_only=True)
class Built:
    """What was built, each a wheel and an sdist: My.Package 1.0 and 1.1, which need my-base; My.Package 2.0, for a Python to come."""

    base: tuple[Path, Path]
    old: tuple[Path, Path]
    new: tuple[Path, Path]
    future: tuple[Path, Path]

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (*self.base, *self.old, *self.new, *self.future)


@frozen(kw_only=True)
class Client:
    """A user's shell, in `folder`."""

    folder: Path
    env: dict[str, str]

    def twine(self, server: Server, *words: str | Path, project: str = "1", token: str | None = None) -> Outcome:
        """`twine upload` of `words`."""
        secret = server.token if token is None else token
        return self.upload("--repository-url", server.api(project), "-u", "__token__", "-p", secret, *words)

    def upload(self, *words: str | Path) -> Outcome:
        """`twine upload` with nothing but `words`."""
        return run((sys.executable, "-m", "twine", "upload", "--non-interactive", "--disable-progress-bar", *words), self.env, self.folder)

    def pip(self, *words: str | Path) -> Outcome:
        """Pip, isolated from this machine's settings."""
        command = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-input", *words)
        return run(command, self.env, self.folder)

    def uv(self, *words: str | Path) -> Outcome:
        """Uv, isolated from this machine's settings and caches."""
        command = (self.env["UV"], "--no-config", "--cache-dir", self.folder / "uv-cache", "--no-python-downloads", *words)
        return run(command, self.env, self.folder)

    def version_in(self, target: Path) -> str:
        """The version of my_package that was installed into `target`, as its module says."""
        program = "import my_package, my_base; print(my_package.__version__)"
        return run((sys.executable, "-c", program), {**self.env, "PYTHONPATH": str(target)}, self.folder).worked().out.strip()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Distributions made with `python -m build`."""
    folder = tmp_path_factory.mktemp("built")
    return Built(
        base=build(folder, "my-base", "1.0", backend="setuptools"),
        old=build(folder, "My.Package", "1.0", needs=("my-base>=1.0",)),
        new=build(folder, "My.Package", "1.1", needs=("my-base>=1.0",)),
        # hatchling looks for a Python that may use what it builds, and makes a broken wheel when there is none.
        future=build(folder, "My.Package", "2.0", requires_python=">=99", needs=("my-base>=1.0",), backend="setuptools"),
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A new registry of one's own."""
    with serving(tmp_path / "data") as running:
        yield running


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A user with an empty home."""
    return make_client(tmp_path / "client")


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory, built: Built) -> Iterator[Server]:
    """A registry that holds everything that was built; for reading only."""
    folder = tmp_path_factory.mktemp("stocked")
    with serving(folder / "data") as running:
        make_client(folder / "publisher").twine(running, *built.all).worked()
        yield running


def make_client(folder: Path) -> Client:
    """A user at home in the new `folder`."""
    folder.mkdir()
    return Client(folder=folder, env=environment(folder, UV=find_uv_bin()))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A private key and a certificate for 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file
