"""Weights by the names that people give them: kept, found by every plugin, refused where they are none."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from giblet.cli import main
from giblet.errors import ConfigError, WeightsError
from giblet.folders import cache_folder
from giblet.nn import PublishedWeights, find_pretrained
from giblet.weights import add_weights, named_weights, remove_weights, weights_place
from giblet.weights.found import found_weights
from safetensors.numpy import save_file
from torch import nn


@pytest.fixture
def model(tmp_path):
    """The folder of a model, as `save_pretrained` leaves it."""
    folder = tmp_path / "ein Modell"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"w": np.zeros(3, np.float32)}, folder / "model.safetensors")
    return folder


def call(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in args])
    said = capsys.readouterr()
    return stop.value.code or 0, said.out, said.err


def test_a_name_finds_its_folder_until_it_is_removed(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    added = add_weights("bge-1.5", model.relative_to(model.parent))
    assert named_weights() == [added]
    assert (added.path, added.state) == (model, "there")
    assert added.n_bytes == sum(p.stat().st_size for p in model.iterdir())
    assert weights_place("bge-1.5") == str(model)
    assert weights_place("OWNER/other") == "OWNER/other"
    assert [p.name for p in cache_folder().iterdir()] == ["weights.json"]
    assert remove_weights("bge-1.5") == added
    assert weights_place("bge-1.5") == "bge-1.5"
    assert model.is_dir()


def test_the_hash_is_that_of_the_content(model, tmp_path):
    shutil.copytree(model, tmp_path / "copy")
    first, copy = add_weights("a", model), add_weights("b", tmp_path / "copy")
    assert first.sha256 == copy.sha256
    save_file({"w": np.ones(3, np.float32)}, model / "model.safetensors")
    assert add_weights("a", model).sha256 != first.sha256  # the same name and place: looked at again
    assert len(named_weights()) == 2


def test_what_has_changed_or_gone_is_said(model):
    add_weights("mine", model)
    save_file({"w": np.zeros(99, np.float32)}, model / "model.safetensors")
    assert named_weights()[0].state == "changed"
    shutil.rmtree(model)
    assert named_weights()[0].state == "gone"
    with pytest.raises(WeightsError, match=r"weights 'mine' were at .*giblet weights add mine PATH"):
        weights_place("mine")


def folder_without_config(folder):
    save_file({"w": np.zeros(3, np.float32)}, folder / "model.safetensors")
    return folder


def torn(folder):
    (folder / "w.safetensors").write_bytes(b"torn")
    return folder / "w.safetensors"


def pickled_text(folder):
    (folder / "w.pt").write_text("no weights")
    return folder / "w.pt"


def config_alone(folder):
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (folder_without_config, "it has no config.json or modules.json"),
        (config_alone, "has no weights"),
        (torn, "holds no weights, or half of them"),
        (pickled_text, "holds no weights, or half of them"),
        (lambda folder: folder / "nothing", "there is nothing at"),
    ],
)
def test_what_are_no_weights_is_refused(tmp_path, make, why):
    folder = tmp_path / "x"
    folder.mkdir()
    with pytest.raises(WeightsError, match=why):
        add_weights("mine", make(folder))
    assert named_weights() == []


@pytest.mark.parametrize("name", ["none", "a/b", "../x", "", " ", "-x", "~me"])
def test_names_that_look_like_something_else_are_refused(model, name):
    with pytest.raises(ConfigError, match="cannot name weights"):
        add_weights(name, model)


def test_a_name_is_not_taken_twice(model, tmp_path):
    add_weights("mine", model)
    shutil.copytree(model, tmp_path / "other")
    with pytest.raises(ConfigError, match="first: giblet weights remove mine"):
        add_weights("mine", tmp_path / "other")
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        remove_weights("mime")


def test_a_damaged_list_is_said(model):
    add_weights("mine", model)
    (cache_folder() / "weights.json").write_text('[{"name": "mi')
    with pytest.raises(WeightsError, match=r"weights\.json cannot be read .*; mend it or delete it"):
        weights_place("anything")


# Who uses names


def test_models_of_transformers_are_found_by_name(model):
    add_weights("voice", model)
    assert find_pretrained("voice", "audio.vocoder", "leave it out") == model
    with pytest.raises(WeightsError, match=r"audio\.vocoder=voices cannot be had: there is no folder voices"):
        find_pretrained("voices", "audio.vocoder", "leave it out")


@pytest.mark.parametrize(("files", "left"), [(["model.safetensors", "pytorch_model.bin"], True), (["w.bin"], False)])
def test_the_same_weights_are_not_fetched_twice(monkeypatch, model, files, left):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def snapshot(name, *, local_files_only=False, ignore_patterns=(), etag_timeout=0):
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        assert ("*.bin" in ignore_patterns) == left
        return str(model)

    about = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in files])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_a, **_k: about)
    assert find_pretrained("owner/model", "audio.vocoder", "leave it out") == model


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_published_weights_are_found_by_name_and_a_name_goes_before_the_network(tmp_path, suffix):
    wanted = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(wanted, path)
    else:
        save_file({k: v.numpy() for k, v in wanted.items()}, path)
    published = PublishedWeights("Net", "imagenet", lambda: pytest.fail("the network was asked"), "leave it out")
    for name in ("mine", "imagenet"):
        add_weights(name, path)
        net = nn.Linear(3, 2)
        published.load(net, name, kept=lambda state: state)
        assert torch.equal(net.weight, wanted["weight"])


def test_every_plugin_with_weights_takes_a_name(model, tmp_path):
    from giblet_audio_encodec.weights import find_weights
    from giblet_text_bge.weights import identity
    from giblet_video_2dcnn.resnet import fingerprint

    add_weights("model", model)
    assert find_weights("model") == model
    assert identity("model") == identity(str(model))
    file = tmp_path / "resnet50.pth"
    torch.save({"w": torch.zeros(2)}, file)
    add_weights("resnet", file)
    np.testing.assert_array_equal(fingerprint("resnet"), fingerprint(str(file)))


@pytest.mark.parametrize(
    ("plugin", "module", "name"),
    [
        ("giblet_audio_encodec", "weights", "find_weights"),
        ("giblet_text_bge", "weights", "identity"),
        ("giblet_video_2dcnn", "resnet", "load"),
        ("giblet_video_s3d", "weights", "load"),
    ],
)
def test_weights_that_cannot_be_had_name_the_command(plugin, module, name):
    from importlib import import_module

    with pytest.raises(WeightsError, match="giblet weights add NAME") as error:
        getattr(import_module(f"{plugin}.{module}"), name)("/no/such/place")
    assert "\n" not in str(error.value)


# The command


def test_weights_are_added_listed_and_removed(model, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    code, out, _ = call(capsys, "weights", "add", "mine", model)
    assert code == 0
    assert "sha256" in out
    code, out, _ = call(capsys, "weights", "list")
    assert (code, out.split()[:2]) == (0, ["mine", "there"])
    code, out, _ = call(capsys, "weights", "list", "--json")
    rows = json.loads(out)
    assert (rows[0]["name"], rows[0]["path"], rows[0]["state"]) == ("mine", str(model), "there")
    assert ("bundled", "audio_encodec") in {(row["name"], row.get("whose")) for row in rows[1:]}
    code, out, _ = call(capsys, "weights", "remove", "mine")
    assert code == 0
    assert "stays" in out
    code, out, _ = call(capsys, "weights", "list")
    assert "none has a name of yours" in out
    code, _, err = call(capsys, "weights", "add", "mine", tmp_path / "nowhere")
    assert code == 2
    assert len(err.splitlines()) == 1


def test_what_was_fetched_before_is_found_without_a_network(monkeypatch, tmp_path):
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({}, checkpoints / "s3d-1bd8ae63.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a network was asked"))
    found = {(f.name, f.whose): f for f in found_weights()}
    assert found["s3d-1bd8ae63", "torchvision"].n_bytes == (checkpoints / "s3d-1bd8ae63.pth").stat().st_size
    assert found["bundled", "audio_encodec"].path.name == "bundled"
