"The command line: its options, what it refuses and in which words, folders of older versions."
import json
import subprocess
import sys
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arq_nb.certify.logs import read_log
from arq_nb.core.record import load_tensors
from arq_nb.lab import cli
from arq_nb.lab.commands import _policy_of
from arq_nb.lab.runs import Run
from arq_nb.quant.budgets import Budget
from arq_nb.quant.models import save_weights
from arq_nb.quant.policies import Policy

QUICK = ("--n0", "10", "--n", "20", "--epochs", "1")
NETWORKS = """
from torch import nn
def make(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))
def too_many(num_classes): return make(1000)
def no_network(num_classes): return "resnet"
def of_another_kind(classes): return make(classes)
"""


@pytest.fixture
def arq(capsys):
    "Calls the command line: exit code, and what was said."
    def call(*words):
        capsys.readouterr()
        try: code = cli.main([str(word) for word in words])
        except SystemExit as end: code = end.code
        said = capsys.readouterr()
        return code, said.out + said.err
    return call


def photos(folder: Path, count=4, side=8, mode="RGB") -> None:
    "A few images in ROOT/SPLIT/CLASS; the first letter of the class decides the color."
    rng = np.random.default_rng(list(folder.name.encode()))
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = rng.integers(0, 128, (side, side, 3), dtype=np.uint8)
        pixels[..., "abc".index(folder.name[0].lower())] += 128
        Image.fromarray(pixels).convert(mode).save(folder / f"{i}.png")


def album(root: Path, train=("apple", "berry", "cherry"), test=("berry", "cherry"), **kwargs) -> str:
    for name in train: photos(root / "train" / name, **kwargs)
    for name in test: photos(root / "test" / name, **kwargs)
    return str(root)


# What is imported, and when

@pytest.mark.parametrize("option", ["--version", "--help"])
def test_nothing_heavy_is_imported_before_a_command_runs(option):
    program = ("import sys; from arq_nb.lab.cli import main\n"
               f"try: main(['{option}'])\n"
               "except SystemExit: print(sorted({m.partition('.')[0] for m in sys.modules}))")
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for heavy in ("torch", "torchvision", "numpy", "pandas", "sklearn", "matplotlib", "ipywidgets", "tyro", "fastcore"):
        assert f"'{heavy}'" not in said


def test_a_module_and_a_program_of_the_same_name():
    from arq_nb import __version__
    said = subprocess.run([sys.executable, "-m", "arq_nb", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"{__version__}\n"


# Options are the library's settings

def settings_in(values: dict) -> dict:
    "Name -> settings, of parameters that take settings."
    return {name: value for name, value in values.items() if is_dataclass(value)}


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_every_default_is_the_same_as_in_python(command):
    defaults = cli._values(cli._function(command))
    needed = {"study": ["file.py:stages"]} | ({} if command == "demo" else {"out": ["--out", "x"]})
    words = [word for name in defaults for word in needed.get(name, [])]
    typed = cli._arguments(command, words)
    assert typed.keys() == defaults.keys()
    for name, value in typed.items():
        if name not in needed: assert value == defaults[name], name


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_every_setting_has_an_option_with_its_comment(command, arq):
    from fastcore.docments import docments
    code, text = arq(command, "--help")
    said = "".join(c for c in text if c not in " \n│")
    assert code == 0
    for settings in settings_in(cli._values(cli._function(command))).values():
        for inner in (settings, *settings_in(cli._values(settings)).values()):
            comments = docments(type(inner))
            for f in fields(inner):
                if isinstance(getattr(inner, f.name), (bool, int, float, str)) and f.name not in ("seed", "skip"):
                    assert f"-{f.name.replace('_', '-')}" in said
                    assert "".join(comments[f.name].replace("`", "").split()) in said


def test_options_reach_the_settings_that_they_name():
    words = "--out x --lr 0.5 --noise sound --batch-size 7 --agent-batch-size 9 --n-p 3"
    config = cli._arguments("search", words.split())["config"]
    assert (config.recipe.lr, config.certify.noise, config.n_p) == (0.5, "sound", 3)
    assert (config.recipe.batch_size, config.certify.batch_size, config.agent.batch_size) == (7, None, 9)


def test_training_with_an_adversary_goes_from_the_terminal_into_the_checkpoint(arq, tmp_path):
    out = tmp_path / "run"
    words = "--data digits --model resnet8 --adversary 0.5 --adversary-steps 1 --adversary-warmup 2 --copies 3"
    assert arq("train", "--out", out, *words.split())[0] == 0
    settings = json.loads(load_tensors(out / "training.safetensors")[0]["settings"])
    told = {name: settings[name] for name in ("adversary", "adversary_steps", "adversary_warmup", "copies")}
    assert told == dict(adversary=0.5, adversary_steps=1, adversary_warmup=2, copies=3)


def test_spellings_of_older_versions():
    typed = cli._arguments("search", ["--out", "x", "--episodes", "7", "--noise", "0.06", "--finetune_images", "60"])
    assert (typed["policies"], typed["config"].agent.noise, typed["finetune_images"]) == (7, 0.06, 60)
    assert cli._arguments("demo", ["--episodes=3"])["policies"] == 3


@pytest.mark.parametrize("line", ["", "paint", "search", "search --out x --policies many", "train --out x --color red"])
def test_what_cannot_be_read_ends_with_2(line, arq):
    assert arq(*line.split())[0] == 2


def test_ctrl_c_ends_with_130(arq, monkeypatch):
    def stopped(out: Path): raise KeyboardInterrupt
    monkeypatch.setattr(cli, "_function", lambda command: stopped)
    code, text = arq("report", "--out", "x")
    assert code == 130
    assert "stopped; the same command continues" in text


# A run and its folder

def test_numbers_of_numpy_are_written_and_older_folders_read(tmp_path):
    numbers = dict(size=np.int64(32), sigma=np.float32(0.25), holdout=torch.tensor(6))
    run = Run("folder", ("photos",), convert=True, **numbers)
    run.save(tmp_path)
    assert Run.load(tmp_path) == run
    older = {name: value for name, value in asdict(run).items() if name not in ("size", "channels", "convert")}
    (tmp_path / "run.json").write_text(json.dumps(older))
    assert Run.load(tmp_path) == Run("folder", ("photos",), sigma=0.25, holdout=6)
    (tmp_path / "run.json").write_text(json.dumps({**older, "color": 1}))
    with pytest.raises(ValueError, match="does not know: color"): Run.load(tmp_path)


def test_settings_of_a_run_that_fit_nothing():
    with pytest.raises(ValueError, match="size .--size. is for --data folder; the images of digits are as they are"):
        Run(size=32)
    with pytest.raises(ValueError, match="choose cpu or cuda"): Run(device="tpu")


def test_classes_of_several_folders_are_matched_by_name(tmp_path):
    garden = album(tmp_path / "garden")
    def three(*roots): return Run("folder", roots, holdout=3).images(tmp_path)
    with pytest.warns(UserWarning, match="no images of 1 of the 3 classes: 'apple'"): sets = three(garden)
    assert [data.classes for data in sets] == [["apple", "berry", "cherry"]] * 3
    market = album(tmp_path / "market", ("cherry", "berry"), ("cherry", "apple"))
    with pytest.raises(ValueError, match="garden/train: class 'apple' is not among the 2 classes"):
        three(market, garden)
    with pytest.raises(ValueError, match="new/test: class 'cherry' is not among the 2 classes that labels point into"):
        three(album(tmp_path / "new", ("apple", "berry"), ("berry", "cherry")))
    with pytest.raises(ValueError, match="class 'Apple' .is it 'apple'. upper case and spaces count"):
        three(album(tmp_path / "upper", ("apple", "berry"), ("Apple", "berry")))


def test_the_images_of_a_run_are_decoded_once(tmp_path, monkeypatch):
    "By all commands after the first; a file that changes is seen."
    import arq_nb.lab.runs as runs
    three = ("apple", "berry", "cherry")
    root, decoded, load = album(tmp_path / "album", three, three), [], runs.load_dataset
    def counting(name, folder, split, **reading):
        decoded.append(split)
        return load(name, folder, split, **reading)
    monkeypatch.setattr(runs, "load_dataset", counting)
    run, out = Run("folder", (root,), holdout=3), tmp_path / "run"
    def same(a, b):
        return all(torch.equal(x.images, y.images) and torch.equal(x.labels, y.labels) and x.name == y.name
                   and x.classes == y.classes for x, y in zip(a, b))
    first = run.images(out)
    assert not out.exists()   # nothing is left behind by a command that may still refuse
    run.save(out)
    assert all(same(run.images(out), first) for _ in range(3))
    assert decoded == ["train", "test"] * 2
    next(Path(root).glob("train/*/*")).touch()
    run.images(out)
    assert decoded[4:] == ["train", "test"]   # one stamp for all of a root


@pytest.mark.parametrize("name, complaint", [
    ("mine:too_many", "answers with (2, 1000) for 2 images of 3 classes: logits (2, 3)"),
    ("mine:no_network", "gave a str, an nn.Module is needed"),
    ("mine:absent", "has no attribute 'absent'"),
    ("mine:of_another_kind", "of_another_kind(num_classes=3) ends in TypeError"),
    ("broken:make", "No module named 'nowhere_to_be_found'"),
    ("no_such_network:make", "No module named 'no_such_network'"),
    ("mine.py:make", "write mine:make, without .py"),
    ("networks/mine:make", "write my_module:make"), ("mine:", "write my_module:make"),
    ("resnet21", "is unknown (is it resnet20 or"),
    ("resnet8", "cannot take images of (3, 8, 8): this network takes a batch (N, 1, H, W)")])
def test_networks_that_are_none(name, complaint, tmp_path, monkeypatch, arq):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(NETWORKS)
    Path("broken.py").write_text("import nowhere_to_be_found")
    words = ["--data", "folder", "--root", album(tmp_path / "album"), "--holdout", "3", "--model", name]
    code, text = arq("train", "--out", "run", *words)
    assert code == 2
    assert f"arq-nb train: error: --model {name}" in text
    assert complaint in text
    assert not Path("run").exists()


def test_a_run_is_about_the_same_images_from_everywhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    for place in ("here", "there"): (tmp_path / place / "mine.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path / "here")
    Run("folder", ("photos",), "mine:make", holdout=3).save(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "there")
    found = Run.load(tmp_path / "run")
    assert found.root == (str(tmp_path / "here" / "photos"),)
    assert found.home == str(tmp_path / "here")
    assert Run("folder", ("./photos/",)) == Run("folder", ("photos",))
    older = json.loads((tmp_path / "run" / "run.json").read_text()) | {"root": ["photos"]}
    (tmp_path / "run" / "run.json").write_text(json.dumps({k: v for k, v in older.items() if k != "home"}))
    found = Run.load(tmp_path / "run")   # as an older version has written it
    assert (found.root, found.home) == ((str(tmp_path / "there" / "photos"),), str(tmp_path / "there"))


# The commands

def test_a_photograph_that_comes_after_training_is_noticed(tmp_path, monkeypatch, arq):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(NETWORKS)
    root = album(tmp_path / "album", test=("apple", "berry", "cherry"), count=6)
    words = ["--data", "folder", "--root", root, "--holdout", "3", "--model", "mine:make", "--augmentation", "none"]
    assert arq("train", "--out", "my run", *words, "--epochs", "1")[0] == 0
    photos(tmp_path / "album/test/apple/c_new", count=1)
    assert arq("certify", "--out", "my run", "--network", "float32", *QUICK)[0] == 0   # other test images only
    photos(tmp_path / "album/train/apple/c_new", count=1)
    for command in (["search"], ["certify", "--network", "float32"]):
        code, text = arq(*command, "--out", "my run")
        assert code == 2
        assert "training images have come, gone or changed since" in text
    assert "arq-nb train --out 'new run'" in arq("search", "--out", "new run")[1]


def test_the_advice_of_each_error_can_be_followed(tmp_path, monkeypatch, arq):
    monkeypatch.chdir(tmp_path)
    root = album(tmp_path / "album", count=6)
    photos(tmp_path / "album/train/cherry/c_gray", count=2, mode="L")
    photos(tmp_path / "album/train/cherry/c_large", count=2, side=12)
    Path("my_network.py").write_text(NETWORKS)
    words = ["train", "--out", "run", "--data", "folder", "--root", root, "--epochs", "2", "--batch-size", "7",
             "--lr", "0.02", "--sigma", "0.12"]
    for advice in (["--convert"], ["--size", "8"], ["--holdout", "4"], ["--model", "my_network:make"]):
        code, text = arq(*words)
        error = text.strip().splitlines()[-1]
        assert code == 2
        assert error.startswith("arq-nb train: error:")
        assert advice[0] in error
        words += advice
    code, text = arq(*words)
    assert code == 0
    assert "arq-nb train: warning:" in text and "'apple'; the labels of the others keep their meaning" in text
    assert "size=8 there, 16 now" in arq(*words, "--size", "16")[1]
    assert Run.load(Path("run")) == Run("folder", (root,), "my_network:make", 0.12, holdout=4, size=8, convert=True)
    assert arq("certify", "--out", "run", "--network", "float32", *QUICK)[0] == 0
    assert sorted(set(read_log("run/networks/float32/certificates.tsv").label.tolist())) == [1, 2]


def test_commands_go_on_and_refuse_the_folder_of_other_settings(tmp_path, arq):
    for seed in (1, 2): save_weights(Run(seed=seed).network(10), tmp_path / f"start{seed}.safetensors")
    out = ("--out", tmp_path / "run")
    def train(seed, *more):
        start = ("--start", tmp_path / f"start{seed}.safetensors")
        return arq("train", *out, *start, "--epochs", "1", "--lr", "0.001", *more)
    def find(*more):
        return arq("search", *out, "--episodes", "1", "--n", "20", "--n-p", "20", "--finetune-images", "60", *more)
    def certify(*more):
        return arq("certify", *out, "--network", "uniform8", "--max", "2", "--finetune-images", "60", *QUICK, *more)
    for _ in range(2): assert [train(1)[0], find()[0], certify()[0]] == [0, 0, 0]
    for refused, complaint in ((train(2), "start="), (train(1, "--sigma", "0.25"), "sigma=0.5 there, 0.25 now"),
                               (find("--n-p", "10"), "n_p=20 there, 10 now"), (find("--bits", "5"), "budget"),
                               (certify("--alpha", "0.01"), "alpha=0.001 there, 0.01 now")):
        code, text = refused
        assert code == 2
        assert complaint in text
        assert "was made with other settings" in text
    save_weights(Run(seed=2).network(10), tmp_path / "run" / "float.safetensors")   # the float network was replaced
    for command in (find, certify): assert "network=" in command()[1]


@pytest.mark.parametrize("words, complaint", [
    (["search"], "holds no run: start with `arq-nb train --out"),
    (["certify"], "holds no run"), (["report"], "holds no run"),
    (["train", "--data", "cifar10"], "--data cifar10 needs --root: where are the images?"),
    (["train", "--holdout", "2000"], "can hold out 1..1436 images, got 2000 (--holdout on the command line)"),
    (["train", "--root", "photos"], "--root photos is not for the digits"),
    (["train", "--sigma", "0"], "sigma (--sigma)=0.0 must be a positive number"),
    (["train", "--holdout", "0"], "holdout (--holdout)=0 must be a whole number of at least 1"),
    (["train", "--start", "nowhere.safetensors"], "nowhere.safetensors: no such weights file"),
    (["demo", "--policies", "0"], "policies=0 must be a whole number of at least 1"),
    (["train", "--epochs", "0"], "epochs=0 must be a whole number of at least 1")])
def test_one_line_for_what_cannot_be_done(words, complaint, tmp_path, arq):
    code, text = arq(*words, "--out", tmp_path / "nowhere")
    assert (code, text.count("\n")) == (2, 1)
    assert complaint in text
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_without_certificates_has_no_report(tmp_path, arq):
    Run().save(tmp_path)
    assert arq("search", "--out", tmp_path)[1].endswith(f"start with `arq-nb train --out {tmp_path}`\n")
    assert "holds no certificates yet: run `arq-nb certify" in arq("report", "--out", tmp_path)[1]


def test_uniform_policies_have_the_budget_of_the_search(tmp_path):
    net, shape = Run().network(10), (1, 8, 8)
    for bits in range(1, 9):
        policy = _policy_of(f"uniform{bits}", tmp_path, net, shape)
        allowed = Budget(net, shape, bits=bits).allows(policy)
        assert allowed or bits <= 2
    (tmp_path / "search").mkdir()
    budgets = [({"bits": 3.5}, Budget(net, shape, bits=3.5), 4), ({"bits": 3}, Budget(net, shape, bits=3), 3),
               ({"size_kb": 40}, Budget.size(net, shape, limit_bytes=40_000), 4)]
    for limit, budget, bits in budgets:
        (tmp_path / "search" / "budget.json").write_text(json.dumps(limit))
        assert budget.allows(_policy_of(f"uniform{bits}", tmp_path, net, shape))
        assert _policy_of("uniform8", tmp_path, net, shape) == Policy.uniform(net, 8, 8)
    edges = {"bits": 4, "min_bits": 3, "max_bits": 6, "edge_bits": 5}   # as `search --edge-bits 5` leaves them
    (tmp_path / "search" / "budget.json").write_text(json.dumps(edges))
    found = _policy_of("uniform4", tmp_path, net, shape)
    assert found.text.split()[::7] == ["5/5", "5/5"] and min(min(pair) for pair in found.bits.values()) >= 3
    for wrong in ("uniform9", "uniform0", "unifrom4"):
        with pytest.raises(ValueError, match="choose from float32, uniform1 to uniform8 and arq"):
            _policy_of(wrong, tmp_path, net, shape)


def test_certificates_from_the_votes_of_the_float_network(tmp_path, arq):
    out = ("--out", tmp_path)
    few = ("--n0", "10", "--n", "300", "--max", "2", "--epochs", "1")
    assert arq("train", *out)[0] == 0
    code, text = arq("certify", *out, "--network", "uniform8", "--method", "incremental", *few)
    assert code == 2
    assert f"first run `arq-nb certify --out {tmp_path} --network float32`" in text
    assert arq("certify", *out, "--network", "float32", *few)[0] == 0
    for _ in range(2): assert arq("certify", *out, "--network", "uniform8", "--method", "incremental", *few)[0] == 0
    assert len(read_log(tmp_path / "networks" / "uniform8" / "certificates.tsv")) == 2
    assert len(list(tmp_path.glob("networks/float32/votes-*.safetensors"))) == 1
    assert arq("report", *out)[0] == 0
