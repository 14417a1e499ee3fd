"""Tests of the seal: what it hides, where it opens, and where its key comes from."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cartrita.errors import ConfigurationInvalid, InternalFailure
from cartrita.vault.sealing import FILE, Seal, key_of, made_in, place

ONE, TWO = bytes(range(32)), bytes(range(1, 33))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)
PLACES = st.tuples(
    st.one_of(st.none(), st.uuids().map(str)), st.uuids().map(str), st.integers(1, 99)
)


@given(TEXTS, PLACES)
def test_a_value_opens_where_it_was_sealed(text, where):
    seal = Seal(ONE)
    sealed = seal.close(text, place(*where))
    assert seal.open(sealed, place(*where)) == text
    assert len(sealed.nonce) == 12
    assert len(sealed.box) == len(text.encode()) + 16


@given(TEXTS, PLACES, PLACES)
def test_a_value_opens_nowhere_else(text, where, other):
    assume(where != other)
    seal = Seal(ONE)
    with pytest.raises(InternalFailure):
        seal.open(seal.close(text, place(*where)), place(*other))


@given(TEXTS, st.data())
def test_one_flipped_bit_is_noticed(text, data):
    seal, bound = Seal(ONE), place(None, "k", 1)
    sealed = seal.close(text, bound)
    part = data.draw(st.sampled_from(["nonce", "box"]))
    raw = bytearray(getattr(sealed, part))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InternalFailure):
        seal.open(replace(sealed, **{part: bytes(raw)}), bound)


@given(
    st.text(min_size=8, max_size=60, alphabet=st.characters(min_codepoint=33, max_codepoint=126))
)
def test_what_is_kept_does_not_hold_the_value(text):
    seal = Seal(ONE)
    sealed = seal.close(text, b"")
    assert text.encode() not in sealed.box + sealed.nonce
    assert text not in repr(sealed) + seal.checksum(text)


def test_the_same_value_is_never_sealed_alike():
    seal = Seal(ONE)
    sealed = [seal.close("same", b"") for _ in range(50)]
    assert len({one.nonce for one in sealed}) == len({one.box for one in sealed}) == 50


def test_a_former_master_key_opens_and_seals_no_more():
    old, new = Seal(ONE), Seal(TWO, [ONE])
    sealed = old.close("a", b"x")
    assert new.open(sealed, b"x") == "a"
    assert new.stale(sealed)
    assert not new.stale(new.close("a", b"x"))
    with pytest.raises(ConfigurationInvalid, match="CARTRITA_KEYSTORE__PREVIOUS_KEYS"):
        Seal(TWO).open(sealed, b"x")


def test_checksums_tell_nothing_without_the_master_key():
    assert Seal(ONE).checksum("a") == Seal(ONE).checksum("a")
    assert Seal(ONE).checksum("a") != Seal(TWO).checksum("a")


@pytest.mark.parametrize(
    "text",
    [ONE.hex(), base64.b64encode(ONE).decode(), base64.urlsafe_b64encode(ONE).decode().rstrip("=")],
)
def test_a_master_key_is_read_in_its_usual_forms(text):
    assert key_of(f" {text}\n", "s") == ONE


@pytest.mark.parametrize(
    "text", ["", "DEV_MASTER_KEY", "00" * 32, "QUFB" * 11, "x" * 43, "ab" * 31]
)
def test_what_can_be_guessed_is_no_master_key(text):
    with pytest.raises(ConfigurationInvalid, match="32 random bytes") as caught:
        key_of(text, "keystore.master_key")
    assert not text or text not in caught.value.message


def test_a_folder_has_one_private_key_however_many_ask(tmp_path):
    folder = tmp_path / "keystore"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: made_in(folder), range(16)))
    assert len(made) == 1
    assert len(made.pop()) == 32
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_a_key_that_others_may_read_is_refused(tmp_path):
    made_in(tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(ConfigurationInvalid, match="chmod 600"):
        made_in(tmp_path)
