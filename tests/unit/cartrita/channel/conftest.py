"""A loop that tells the test about exceptions nobody caught, and certificates."""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@pytest.fixture(autouse=True)
async def defects():
    """Fail the test on what the loop reports, unless the test expects and clears it."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    yield found
    assert found == []


@dataclass(frozen=True)
class Certificates:
    """One authority, and what it signed."""

    authority: Path
    signed: Path

    def server(self) -> ssl.SSLContext:
        """Return a context that asks clients for their certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.signed)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, *, certified: bool = True) -> ssl.SSLContext:
        """Return a client's context, with a certificate of its own or without."""
        context = ssl.create_default_context(cafile=self.authority)
        if certified:
            context.load_cert_chain(self.signed)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Make an authority and one certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = ec.generate_private_key(ec.SECP256R1())
    own = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("authority", authority, "authority", authority)
    leaf = _certificate("node", own, "authority", authority)
    pem = serialization.Encoding.PEM
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "authority.pem").write_bytes(root.public_bytes(pem))
    (folder / "signed.pem").write_bytes(key + leaf.public_bytes(pem))
    return Certificates(folder / "authority.pem", folder / "signed.pem")


def _certificate(name, key, issuer, issuer_key):
    now = datetime.now(UTC)
    mine, theirs = key.public_key(), issuer_key.public_key()
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(mine)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(mine), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(theirs), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=name == issuer,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
