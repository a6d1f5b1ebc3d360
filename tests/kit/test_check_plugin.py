"""`giblet check-plugin` and the decorator."""

import json

import pytest
from giblet import testing
from giblet.cli import main
from kit_good import Good, GoodBrain


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*args):
        with pytest.raises(SystemExit) as done:
            main(["check-plugin", *map(str, args)])
        assert list(tmp_path.glob(".hypothesis")) == []
        out, err = capsys.readouterr()
        return done.value.code, out, err

    return run


def test_a_right_plugin(call):
    code, out, _ = call("features_table", "-o", "features.tr_s=0.3", "--check", "loss")
    assert code == 0
    assert out.splitlines()[0] == "passed  loss contract"
    assert "features_table: all 3 checks passed" in out


def test_a_broken_one_for_machines(call, monkeypatch):
    from giblet.data.table import FeatureTable

    monkeypatch.setattr(FeatureTable, "summary", lambda self, aligned: aligned.valid)
    code, out, _ = call("features_table", "-o", "tr_s=0.3", "--json", "--check", "summary")
    (check,) = json.loads(out)["checks"]
    assert (code, check["check"], check["passed"]) == (1, "summary_contract", False)
    assert check["failure"] == "summary must be [T, P], not (4,)"
    code, out, _ = call("features_table", "-o", "tr_s=0.3", "--check", "summary")
    assert code == 1
    assert "summary contract: summary must be [T, P], not (4,)" in out
    assert "1 of 1 checks failed" in out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["audio_mle"], "did you mean 'audio_mel'"),
        (["features_table"], "needs the setting 'tr_s'"),
        (["features_table", "-o", "tr_s"], "is not KEY=VALUE"),
        (["features_table", "-o", "tr_s=0.3", "--check", "los contract"], "no check has 'los contract'"),
        (["features_table", "-o", "tr_s=0.3", "--source", "no such.npy"], "there is no file no such.npy"),
        (["features_table", "-o", "tr_s=0.3", "--source", __file__], "is no table of numbers"),
    ],
)
def test_what_cannot_be_meant_is_one_line(call, args, said):
    code, out, err = call(*args)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("giblet: ")
    assert said in line


def test_one_pytest_id_a_check():
    mark = testing.modality_checks(Good())
    assert mark.args[1][0].id == "good_one-class_attributes"
    assert len(mark.args[1]) == len(testing.checks_for(Good()))


def test_a_brain_or_one_that_only_encodes_is_not_asked_for_more():
    names = {testing.name_of(c) for c in testing.checks_for(GoodBrain())}
    assert "rows_do_not_mix" in names
    assert "loss_contract" not in names
    silent = type("Silent", (Good,), {"can_reconstruct": lambda self: False})
    assert "reconstruct_writes_a_file" not in {testing.name_of(c) for c in testing.checks_for(silent())}


def test_an_unknown_kind_says_what_to_override(tmp_path):
    from giblet import ConfigError, Modality

    with pytest.raises(ConfigError, match=r"no example of the kind 'good'.*override Good.example"):
        Modality.example(Good(), tmp_path)


def test_a_heavy_import_is_caught(tmp_path, monkeypatch):
    (tmp_path / "heavy_one.py").write_text(
        "import pandas\nfrom kit_good import Good\n\n\nclass Heavy(Good):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    heavy = importlib.import_module("heavy_one").Heavy()
    (outcome,) = testing.run_checks(testing.Case(heavy), filter(lambda c: "light" in testing.name_of(c), testing.EVERY))
    assert outcome.check == "light_import"
    assert "importing heavy_one also imports ['pandas']" in str(outcome.failure)
