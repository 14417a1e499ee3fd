"""The certificates of nodes, and the authority that signs them.

folder/ca.pem, ca-key.pem                the authority; its key stays where it was made
folder/<node>/ca.pem, cert.pem, key.pem  what one node needs
"""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cartrita.clock import Clock
from cartrita.errors import ConfigurationInvalid

CA, CA_KEY, CERT, KEY = "ca.pem", "ca-key.pem", "cert.pem", "key.pem"
AUTHORITY_DAYS = 3650
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SKEW = timedelta(hours=1)
"""How far a node's clock may be behind ours."""

_DNS = re.compile(
    r"(?=.{1,253}$)[a-z0-9_][a-z0-9_-]{0,62}(\.[a-z0-9_][a-z0-9_-]{0,62})*", re.IGNORECASE
)
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs; made once per cluster."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Node:
    """One node's files.

    Attributes:
        names: By which it is reached, those of loopback included.
        expires: When its certificate does.
    """

    folder: Path
    names: tuple[str, ...]
    expires: datetime


def make_authority(folder: Path, clock: Clock) -> Authority:
    """Make the authority of a cluster.

    Raises:
        ConfigurationInvalid: There is one; nodes that trust it would trust no other.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (folder / CA, folder / CA_KEY):
        if path.exists():
            raise ConfigurationInvalid(
                f"There is {str(path)!r} already: `--renew` makes certificates from it, and a new "
                "authority needs a folder of its own."
            )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cartrita nodes")])
    start = datetime.fromtimestamp(clock.now(), UTC)
    certificate = (
        _certificate(name, name, key.public_key(), key.public_key())
        .not_valid_before(start - SKEW)
        .not_valid_after(start + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, SHA256())
    )
    _write(folder / CA_KEY, _private(key), 0o600)
    _write(folder / CA, certificate.public_bytes(Encoding.PEM), 0o644)
    return Authority(certificate, key)


def open_authority(folder: Path) -> Authority:
    """Return the authority that was made in a folder.

    Raises:
        ConfigurationInvalid: There is none, or it is not one of ours.
    """
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
        key = load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        cause = f"{error.filename!r}: {error.strerror}" if isinstance(error, OSError) else "no PEM"
        raise ConfigurationInvalid(
            f"There is no authority to renew from in {str(folder)!r} ({cause})."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != (
        certificate.public_key()
    ):
        raise ConfigurationInvalid(
            f"{CA!r} and {CA_KEY!r} in {str(folder)!r} do not belong together."
        )
    return Authority(certificate, key)


def issue(
    authority: Authority, folder: Path, names: Sequence[str], days: int, clock: Clock
) -> Node:
    """Write a new certificate and key for one node, in the place of what it had.

    Args:
        authority: Who signs.
        folder: The authority's; the node's is made in it, named after its first name.
        names: Host names and IP addresses of the node; loopback is always added.
        days: Until it expires; never after the authority does.
        clock: When its life begins.

    Raises:
        ConfigurationInvalid: A name cannot be one, or the authority has expired.
    """
    whole = tuple(dict.fromkeys([*names, *LOOPBACK]))
    listed = x509.SubjectAlternativeName(alternatives(whole))
    key, start = ec.generate_private_key(ec.SECP256R1()), datetime.fromtimestamp(clock.now(), UTC)
    expires = min(start + timedelta(days=days), authority.certificate.not_valid_after_utc)
    if expires <= start:
        raise ConfigurationInvalid(
            f"The authority in {str(folder)!r} has expired: make a new one in another folder."
        )
    common = [x509.NameAttribute(NameOID.COMMON_NAME, whole[0][:_LONGEST_COMMON_NAME])]
    issuer, signer = authority.certificate.subject, authority.key
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _certificate(x509.Name(common), issuer, key.public_key(), signer.public_key())
        .not_valid_before(start - SKEW)
        .not_valid_after(expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(listed, critical=False)
        .sign(signer, SHA256())
    )
    own = folder / whole[0].replace(":", "-")
    own.mkdir(mode=0o700, exist_ok=True)
    _write(own / CA, authority.certificate.public_bytes(Encoding.PEM), 0o644)
    _write(own / KEY, _private(key), 0o600)
    _write(own / CERT, certificate.public_bytes(Encoding.PEM), 0o644)
    return Node(own, whole, certificate.not_valid_after_utc)


def node_in(folder: Path) -> Node | None:
    """Return a node's files; None where there is no certificate.

    Raises:
        ConfigurationInvalid: What is there is no certificate of a node.
    """
    path = folder / CERT
    if not path.exists():
        return None
    found = _read(path)
    return Node(folder, _listed(found, path), found.not_valid_after_utc)


def names_of(folder: Path) -> list[tuple[str, ...]]:
    """Return the names of every node that has a certificate in an authority's folder."""
    return [_names_in(path) for path in sorted(folder.glob(f"*/{CERT}"))]


def _names_in(path: Path) -> tuple[str, ...]:
    names = _listed(_read(path), path)
    return tuple(name for name in names if name not in LOOPBACK) or names[:1]


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise ConfigurationInvalid(f"{str(path)!r} is no certificate of a node.") from None


def _listed(certificate: x509.Certificate, path: Path) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        raise ConfigurationInvalid(f"{str(path)!r} is no certificate of a node.") from None
    return tuple(str(name.value) for name in found.value)


def alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return names as certificates list them.

    Raises:
        ConfigurationInvalid: One is neither a host name nor an IP address.
    """
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        if _DNS.fullmatch(name):
            return x509.DNSName(name)
    raise ConfigurationInvalid(f"{name!r} is neither a host name nor an IP address.")


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(by, critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a complete file in the place of what was there; it is private until it is complete."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
