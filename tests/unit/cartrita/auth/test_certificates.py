"""Tests of the authority of a cluster and what it signs."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from cartrita.auth.certificates import (
    AUTHORITY_DAYS,
    issue,
    make_authority,
    names_of,
    open_authority,
)
from cartrita.clock import ManualClock
from cartrita.errors import ConfigurationInvalid

DAY = 86_400


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def authority(tmp_path, clock):
    return make_authority(tmp_path, clock)


def certificate(folder):
    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def extension(found, kind):
    return found.extensions.get_extension_for_class(kind).value


def mode(path):
    return path.stat().st_mode & 0o777


def test_keys_are_for_their_owner_only(tmp_path, authority, clock):
    node = issue(authority, tmp_path, ["a"], 30, clock)
    assert mode(tmp_path / "ca-key.pem") == mode(node.folder / "key.pem") == 0o600
    assert mode(node.folder) == 0o700
    assert mode(node.folder / "cert.pem") == mode(tmp_path / "ca.pem") == 0o644


def test_a_node_has_what_it_needs_and_not_the_key_of_the_authority(tmp_path, authority, clock):
    node = issue(authority, tmp_path, ["a", "10.0.0.1"], 30, clock)
    assert node.folder == tmp_path / "a"
    assert {path.name for path in node.folder.iterdir()} == {"ca.pem", "cert.pem", "key.pem"}
    assert (node.folder / "ca.pem").read_bytes() == (tmp_path / "ca.pem").read_bytes()


def test_a_certificate_holds_the_names_of_its_node_and_loopback(tmp_path, authority, clock):
    names = ["head", "head.cluster.example", "10.0.0.1", "fd00::7"]
    node = issue(authority, tmp_path, names, 30, clock)
    listed = extension(certificate(node.folder), x509.SubjectAlternativeName)
    assert listed.get_values_for_type(x509.DNSName) == [*names[:2], "localhost"]
    addresses = [ip_address(text) for text in (*names[2:], "127.0.0.1", "::1")]
    assert listed.get_values_for_type(x509.IPAddress) == addresses


def test_a_certificate_is_good_for_both_ends_and_for_signing_nothing(tmp_path, authority, clock):
    found = certificate(issue(authority, tmp_path, ["a"], 30, clock).folder)
    assert set(extension(found, x509.ExtendedKeyUsage)) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    assert not extension(found, x509.BasicConstraints).ca
    assert not extension(found, x509.KeyUsage).key_cert_sign
    assert isinstance(found.public_key().curve, ec.SECP256R1)
    found.verify_directly_issued_by(authority.certificate)


def test_an_authority_signs_nodes_and_no_further_authorities(authority):
    own = extension(authority.certificate, x509.BasicConstraints)
    assert (own.ca, own.path_length) == (True, 0)
    assert extension(authority.certificate, x509.KeyUsage).key_cert_sign


def test_a_certificate_begins_before_a_slow_clock_and_lasts_as_long_as_asked(
    tmp_path, authority, clock
):
    node = issue(authority, tmp_path, ["a"], 30, clock)
    now = datetime.fromtimestamp(clock.now(), UTC)
    assert certificate(node.folder).not_valid_before_utc < now
    assert node.expires == certificate(node.folder).not_valid_after_utc == now + timedelta(days=30)


def test_no_certificate_outlives_its_authority(tmp_path, authority, clock):
    clock.advance((AUTHORITY_DAYS - 1) * DAY)
    node = issue(authority, tmp_path, ["a"], 30, clock)
    assert node.expires == authority.certificate.not_valid_after_utc
    clock.advance(DAY)
    with pytest.raises(ConfigurationInvalid, match="has expired"):
        issue(authority, tmp_path, ["b"], 30, clock)


@pytest.mark.parametrize("kept", ["ca.pem", "ca-key.pem"])
def test_an_authority_is_never_overwritten_not_even_half_of_one(tmp_path, clock, kept):
    (tmp_path / kept).write_text("mine")
    with pytest.raises(ConfigurationInvalid, match="--renew"):
        make_authority(tmp_path, clock)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(kept, "mine")]


def test_an_authority_opens_as_it_was_made(tmp_path, authority, clock):
    again = open_authority(tmp_path)
    assert again.certificate == authority.certificate
    found = certificate(issue(again, tmp_path, ["a"], 30, clock).folder)
    found.verify_directly_issued_by(authority.certificate)


@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem"])
def test_an_authority_that_cannot_be_read_is_named(tmp_path, authority, name, content):
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=str(tmp_path)):
        open_authority(tmp_path)


def test_a_key_of_another_authority_is_refused(tmp_path, authority, clock):
    make_authority(tmp_path / "other", clock)
    (tmp_path / "other/ca-key.pem").replace(tmp_path / "ca-key.pem")
    with pytest.raises(ConfigurationInvalid, match="do not belong together"):
        open_authority(tmp_path)


def test_renewing_replaces_certificate_and_key_together(tmp_path, authority, clock):
    folder = issue(authority, tmp_path, ["a"], 30, clock).folder
    before = (folder / "key.pem").read_bytes()
    clock.advance(10 * DAY)
    node = issue(authority, tmp_path, ["a"], 30, clock)
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    assert (folder / "key.pem").read_bytes() != before
    assert certificate(folder).public_key() == key.public_key()
    assert node.expires == datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=30)
    assert {path.name for path in folder.iterdir()} == {"ca.pem", "cert.pem", "key.pem"}


def test_the_nodes_of_an_authority_are_known_by_their_certificates(tmp_path, authority, clock):
    given = [("10.0.0.2",), ("fd00::7", "b"), ("localhost",)]
    for names in given:
        issue(authority, tmp_path, names, 30, clock)
    assert names_of(tmp_path) == given


def test_a_node_whose_certificate_cannot_be_read_is_named(tmp_path, authority, clock):
    folder = issue(authority, tmp_path, ["a"], 30, clock).folder
    (folder / "cert.pem").write_text("torn")
    with pytest.raises(ConfigurationInvalid, match=r"a/cert\.pem"):
        names_of(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "../a", "/a", ".", "..", "-a", "a..b", "*.a", "a/b", "ä", "x" * 64, "10.0.0.1/8"],
)
def test_what_is_no_name_of_a_node_is_refused_and_nothing_written(tmp_path, authority, clock, name):
    before = set(tmp_path.iterdir())
    with pytest.raises(ConfigurationInvalid, match="neither a host name nor an IP address"):
        issue(authority, tmp_path, [name], 30, clock)
    assert set(tmp_path.iterdir()) == before
