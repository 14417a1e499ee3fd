"""Tests of where the master key comes from."""

import base64

import pytest

from cartrita.config.settings import Settings
from cartrita.errors import ConfigurationInvalid
from cartrita.openers.keystore import FOLDER, master_of
from cartrita.vault.sealing import FILE, Seal

ONE, TWO = bytes(range(32)), bytes(range(1, 33))


def settings(home, lifetime="embedded", **keystore):
    tree = {"home": str(home), "lifetime": lifetime, "keystore": keystore}
    return Settings.model_validate(tree)


def test_an_embedded_instance_makes_its_own_once(tmp_path):
    first = master_of(settings(tmp_path))
    sealed = first.close("a", b"x")
    assert master_of(settings(tmp_path)).open(sealed, b"x") == "a"
    assert (tmp_path / FOLDER / FILE).stat().st_mode & 0o777 == 0o600


def test_elsewhere_there_is_none_by_itself(tmp_path):
    assert master_of(settings(tmp_path, "attached")) is None
    assert not (tmp_path / FOLDER).exists()


def test_what_is_set_wins_and_former_ones_open(tmp_path):
    sealed = Seal(ONE).close("a", b"x")
    keys = {"master_key": base64.b64encode(TWO).decode(), "previous_keys": f" {ONE.hex()} ,"}
    seal = master_of(settings(tmp_path, "attached", **keys))
    assert seal.open(sealed, b"x") == "a"
    assert seal.stale(sealed)
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("key", ["0" * 64, "A" * 43])
def test_what_nobody_drew_at_random_is_refused(tmp_path, key):
    with pytest.raises(ConfigurationInvalid, match=r"keystore\.master_key"):
        master_of(settings(tmp_path, master_key=key))
