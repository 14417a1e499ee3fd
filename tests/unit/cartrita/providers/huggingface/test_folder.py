"""Tests of cartrita/providers/huggingface/folder.py."""

import pytest

from cartrita.errors import ConfigurationInvalid
from cartrita.providers.huggingface.folder import ModelFolder, weights_mb, well_formed


@pytest.fixture
def root(tmp_path):
    for name in ("models/tiny", "models/org/small", "models/.hidden", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "models/empty").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize("name", ["tiny", "org/small"])
def test_a_model_is_found_by_its_folder_s_name(root, name):
    assert ModelFolder(root).find(name) == root / name


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../outside",
        "tiny/../../outside",
        "org/../tiny",
        "/etc",
        "./tiny",
        "tiny/",
        ".hidden",
        "",
        "a/b/c",
        "tiny\n",
        "ti\x00ny",
        "~/models",
        "C:\\models",
        "x" * 300,
        "empty",
        "absent",
        "outside",
    ],
)
def test_nothing_else_is(root, name):
    assert ModelFolder(root).find(name) is None


def test_an_absolute_path_is_no_name_even_of_a_model_in_the_folder(root):
    assert ModelFolder(root).find(str(root / "tiny")) is None


def test_without_a_folder_there_are_none():
    assert ModelFolder(None).find("tiny") is None


@pytest.mark.parametrize("name", ["gpt2", "facebook/bart-large-cnn", "a/b_c.d-e"])
def test_hub_ids_are_names(name):
    assert well_formed(name)


def test_weights_are_measured(root):
    (root / "tiny/model-1.safetensors").write_bytes(b"x" * (1 << 20))
    (root / "tiny/model-2.safetensors").write_bytes(b"x" * (1 << 19))
    assert weights_mb(root / "tiny") == 1.5


@pytest.mark.parametrize("file", [None, "pytorch_model.bin", "model.pt"])
def test_weights_that_may_hold_code_are_refused(root, file):
    if file:
        (root / "tiny" / file).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ConfigurationInvalid, match="safetensors"):
        weights_mb(root / "tiny")
