"""Tests of the signing keys."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from cartrita.auth.keys import RECHECK, KeyRing, open_keys, rotate, thumbprint
from cartrita.clock import ManualClock
from cartrita.errors import ConfigurationInvalid


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


def test_the_thumbprint_is_the_one_of_the_rfc():
    # RFC 7638 §3.1.
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
        "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
        "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    modulus = int.from_bytes(base64.urlsafe_b64decode(n + "=="))
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    assert thumbprint(public) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_first_start_makes_a_private_key_that_the_second_finds(folder):
    first = open_keys(folder).current.id
    assert open_keys(folder).current.id == first
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "current.pem").stat().st_mode) == 0o600
    assert names(folder) == ["current.pem"]


def test_processes_that_start_at_once_agree_on_one_key(folder):
    with ThreadPoolExecutor(4) as threads:
        rings = list(threads.map(lambda _: open_keys(folder), range(4)))
    assert len({ring.current.id for ring in rings}) == 1
    assert names(folder) == ["current.pem"]


def test_the_jwk_set_holds_public_halves_only(folder):
    ring = open_keys(folder)
    (jwk,) = ring.jwks()["keys"]
    assert jwk.keys() == {"kty", "n", "e", "kid", "use", "alg"}
    assert (jwk["kid"], jwk["kty"], jwk["use"], jwk["alg"]) == (
        ring.current.id,
        "RSA",
        "sig",
        "RS256",
    )
    n = int.from_bytes(base64.urlsafe_b64decode(jwk["n"] + "=="))
    assert n == ring.current.private.public_key().public_numbers().n


def test_a_rotation_keeps_the_key_before_and_no_other(folder):
    oldest = open_keys(folder).current.id
    rotate(folder)
    older = KeyRing(folder).current.id
    rotate(folder)
    ring = KeyRing(folder)
    assert len({oldest, older, ring.current.id}) == 3
    assert ring.find(older) is not None
    assert ring.find(oldest) is None
    assert [jwk["kid"] for jwk in ring.jwks()["keys"]] == [ring.current.id, older]
    assert sorted(names(folder)) == ["current.pem", "previous.pem"]
    assert stat.S_IMODE((folder / "current.pem").stat().st_mode) == 0o600


def test_another_processs_rotation_is_noticed_after_a_while(folder):
    clock = ManualClock()
    ring = open_keys(folder, clock)
    before, generation = ring.current.id, ring.generation
    rotate(folder)
    assert ring.current.id == before
    clock.advance(RECHECK)
    assert ring.current.id != before
    assert ring.generation == generation + 1


def test_an_unknown_key_is_looked_for_at_once(folder):
    ring = open_keys(folder, ManualClock())
    rotate(folder)
    fresh = KeyRing(folder).current.id
    assert ring.find(fresh) is not None


def test_a_half_written_change_does_not_take_the_keys_away(folder):
    clock = ManualClock()
    ring = open_keys(folder, clock)
    before = ring.current.id
    (folder / "current.pem").write_text("half")
    clock.advance(RECHECK)
    assert ring.current.id == before
    (folder / "current.pem").unlink()
    clock.advance(RECHECK)
    assert ring.current.id == before


def test_a_single_file_is_a_key_ring_too(folder, tmp_path):
    open_keys(folder)
    path = tmp_path / "signing.pem"
    path.write_bytes((folder / "current.pem").read_bytes())
    assert KeyRing(path).current.id == KeyRing(folder).current.id


WEAK = {
    "missing": None,
    "garbage": b"-----BEGIN PRIVATE KEY-----\nnot\n-----END PRIVATE KEY-----\n",
    "short": pem(rsa.generate_private_key(65537, 1024)),
    "another kind": pem(ec.generate_private_key(ec.SECP256R1())),
    "encrypted": pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")),
}


@pytest.mark.parametrize("content", WEAK.values(), ids=WEAK.keys())
def test_a_key_that_cannot_serve_is_refused_by_name(tmp_path, content):
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationInvalid, match=r"key\.pem"):
        KeyRing(path)


def test_there_must_be_a_key_to_rotate(tmp_path):
    with pytest.raises(ConfigurationInvalid, match=r"current\.pem"):
        rotate(tmp_path)
