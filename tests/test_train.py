"Contracts of the room `train` that no reader wants to see: settings that are refused, kill and resume, two processes."
import copy
import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import launch
from safetensors.torch import load_file
from torch import nn

from arq_nb.certify.settings import Certify
from arq_nb.core.archives import load_dataset
from arq_nb.core.data import augment, ImageData, to_float
from arq_nb.core.fingerprint import fingerprint
from arq_nb.core.record import one_writer, plain, Record, save_tensors
from arq_nb.core.rng import make_generator
from arq_nb.quant.backends import deployed
from arq_nb.quant.models import resnet8
from arq_nb.quant.policies import calibrate, Policy, quantize
from arq_nb.quant.quantizers import LSQ, PACT, UniformQuantizer
from arq_nb.train.adversarial import worst_points
from arq_nb.train.finish import finetune, Finish, finish, finished
from arq_nb.train.network import load, SmoothedNetwork
from arq_nb.train.training import evaluate, fit, noisy_batches, Recipe

DIGITS = load_dataset("digits")
FEW = DIGITS.every(8)
SOME = load_dataset("digits", split="test").every(36)
QUICK = dict(epochs=1, n0=20, n=100, progress=False)


def contains(*sentences: str):
    "Errors that say these things, word for word."
    return pytest.raises(ValueError, match="".join(f"(?=.*{''.join(map(_literal, s))})" for s in sentences))


def _literal(letter: str) -> str: return letter if letter.isalnum() or letter in " '=_," else f"\\{letter}"


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return resnet8()


def pooled(norm=nn.BatchNorm2d) -> nn.Module:
    "Its norm stands behind the pooling, where a batch of one image has one number per channel."
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), norm(8)
        return nn.Sequential(*body, nn.Flatten(), nn.Linear(8, 10))


class Strange(nn.Module):
    "Tied weights, buffers of all kinds, another layout."
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 64), nn.Linear(64, 64)
        self.norm, self.head = nn.BatchNorm1d(64), nn.Linear(64, 10)
        self.b.weight = self.a.weight
        self.register_buffer("seen", torch.zeros(1), persistent=False)
        self.register_buffer("part", torch.arange(10.0)[3:5])

    def forward(self, x):
        if self.training: self.seen += 1
        return self.head(self.norm(self.b(self.a(x.flatten(1)).relu())) * (1 + 0.01 * self.seen))


def interrupting(after: int):
    "An augmenter that is stopped by Ctrl-C in its `after`-th batch."
    calls = iter(range(after))
    def augmenter(images, generator):
        if next(calls, None) is None: raise KeyboardInterrupt
        return images
    return augmenter


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    model = network()
    fit(model, DIGITS, 0.5, epochs=3, lr=0.2, progress=False)
    return model


@pytest.fixture(scope="module")
def small(trained) -> SmoothedNetwork:
    return finished(trained, Policy.uniform(trained, 4, 4), FEW, 0.5, epochs=1, n0=20, n=200, progress=False)


# ---- recipes and training

@pytest.mark.parametrize("wrong", [
    dict(epochs=0), dict(epochs=1.5), dict(lr=0.0), dict(lr=float("nan")), dict(batch_size=0), dict(weight_decay=-1e-4),
    dict(consistency=-1.0), dict(precision="half"), dict(augmenter=3), dict(seed=-1), dict(seed=True), dict(copies=0),
    dict(adversary=-0.5), dict(adversary=float("inf")), dict(adversary_steps=0), dict(adversary_warmup=0.5)])
def test_a_recipe_names_the_setting_that_is_none(wrong):
    (name, value), = wrong.items()
    with contains(f"{name}={value!r}"): Recipe(**wrong)
    with contains(f"{name}={value!r}"): fit(network(), FEW, 0.5, **wrong)


def test_training_names_what_it_cannot_use():
    with contains("sigma=-1.0"): fit(network(), FEW, -1.0)
    with contains("'epoch' is no setting", "epochs, lr, batch_size"): fit(network(), FEW, 0.5, epoch=1)
    with contains("3", "by name"): fit(network(), FEW, 0.5, 3)
    for other in (torch.utils.data.DataLoader(range(3)), range(3)):
        with contains("data must be an ImageData"): fit(pooled(), other, 0.25)
        with contains("ImageData.from_dataset"): evaluate(pooled(), other)


def test_numbers_of_numpy_are_plain_numbers():
    recipe = Recipe(np.int64(2), np.float32(0.5), np.int64(8), seed=np.int64(1))
    assert recipe == Recipe(2, 0.5, 8, seed=1)
    assert [type(value) for value in (recipe.epochs, recipe.lr, recipe.seed)] == [int, float, int]


def test_a_single_image_joins_the_batch_before():
    for n in range(1, 26):
        count = DIGITS.every(1, max=n)
        sizes = [len(labels) for _, labels in noisy_batches(count, 0.0, np.int64(8), make_generator(0))]
        before = [len(part) for part in torch.arange(n).split(8)]
        assert sizes == (before if n % 8 != 1 or n == 1 else [*before[:-2], 9])
        seen = torch.cat([images for images, _ in noisy_batches(count, 0.0, 8, make_generator(0))])
        sums = seen.mul(255).round().sum((1, 2, 3)).sort().values
        assert torch.equal(sums, count.images.sum((1, 2, 3)).sort().values.float())


def test_a_batch_norm_that_sees_one_number_is_an_error_about_the_batch_size():
    nine = DIGITS.every(1, max=9)
    with contains("batch_size: this network cannot train on one image at a time (Expected more than 1 value"):
        fit(pooled(), nine, 0.25, batch_size=1, progress=False)
    with contains("give at least 2 images, and a batch_size (--batch-size"):
        fit(pooled(), DIGITS.every(1, max=1), 0.25, progress=False)
    assert len(fit(pooled(nn.Identity), nine, 0.25, batch_size=1, lr=0.01, progress=False)) == 1


def test_accuracy_is_measured_in_evaluation_mode(trained):
    in_training = copy.deepcopy(trained).train()
    kept = {name: value.clone() for name, value in in_training.state_dict().items()}
    with pytest.warns(UserWarning, match="in training mode"): found = evaluate(in_training, SOME, 0.5)
    assert found == evaluate(trained, SOME, 0.5)
    assert in_training.training
    assert all(torch.equal(value, kept[name]) for name, value in in_training.state_dict().items())
    with contains("one logit for each"): evaluate(lambda x: trained(x)[:, :1], SOME)
    with contains("depends on neighbors"): evaluate(lambda x: trained(x - x.mean(0)), SOME)


def test_one_pass_with_augmentation(): assert len(fit(network(), FEW, 0.1, augmenter=augment, progress=False)) == 1


# ---- checkpoints

def test_a_checkpoint_is_only_continued_by_the_same_run(tmp_path):
    run = dict(sigma=0.5, epochs=1, checkpoint=tmp_path / "run", progress=False)
    def again(seed=1, data=FEW, **other): return fit(network(seed), data, **run | other)
    first = again()
    assert again() == first
    assert again(sigma=np.float64(0.5), epochs=np.int64(1)) == first
    relabeled = ImageData(FEW.images, FEW.labels.flip(0), FEW.classes, FEW.name)
    refused = {"augmenter=None there, 'augment' now": dict(augmenter=augment), "start=": dict(seed=2),
               "images=": dict(data=relabeled), "sigma=0.5 there, 0.25 now": dict(sigma=0.25),
               "lr=0.1 there, 0.01 now": dict(lr=0.01), "epochs=1 there, 2 now": dict(epochs=2),
               "precision='float32' there": dict(precision="bfloat16")}
    for sentence, other in refused.items():
        with contains(sentence): again(**other)
    with contains("seed=0 there, 1 now"): fit(network(1), FEW, recipe=Recipe(seed=1), **run)
    with contains("images="): again(data=FEW.every(2))
    with one_writer(tmp_path / "run"), contains("run is being written by another process"): again()


def test_a_file_that_is_no_checkpoint(tmp_path):
    def again(): return fit(network(1), FEW, 0.5, checkpoint=tmp_path / "run", progress=False)
    again()
    (tmp_path / "run").write_bytes((tmp_path / "run").read_bytes()[:100])
    with contains("run: not a safetensors file"): again()
    save_tensors(tmp_path / "run", {"w": torch.ones(1)})
    with contains("run is no checkpoint of `fit`"): again()


@pytest.mark.parametrize("make", [network, Strange])
def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, make):
    def made():
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return make()
    run, never = dict(sigma=0.5, epochs=2, lr=0.02, progress=False), 10**9
    whole, stopped, path = made(), made(), tmp_path / "run"
    history = fit(whole, FEW, augmenter=interrupting(never), **run)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, FEW, augmenter=interrupting(3), checkpoint=path, **run)
    shutil.copy(path, tmp_path / "copy")
    for parts, file in ((made(), path), (stopped, tmp_path / "copy")):   # in the next session, or in the same one
        continued = fit(parts, FEW, augmenter=interrupting(never), checkpoint=file, **run)
        assert [row["loss"] for row in continued] == [row["loss"] for row in history]
        assert same_weights(whole, parts)
        for (name, a), (_, b) in zip(whole.named_buffers(), parts.named_buffers()): assert torch.equal(a, b), name
        if make is Strange: assert parts.b.weight is parts.a.weight
    fit(made(), FEW, augmenter=interrupting(0), checkpoint=path, **run)   # nothing is left to do


def test_a_checkpoint_of_version_02_is_continued(tmp_path):
    "Its settings, as they were written then."
    model, path = network(1), tmp_path / "run"
    start, images = fingerprint(model), fingerprint(FEW)
    history = fit(model, FEW, 0.5, checkpoint=path, progress=False)
    settings = dict(start=start, images=images, augmenter=None, sigma=0.5, epochs=1, lr=0.1, batch_size=128,
                    weight_decay=5e-4, seed=0, consistency=0.0, precision="float32", device="cpu")
    header = Record.of(path, settings).metadata(history=history, reached=fingerprint(model))
    save_tensors(path, load_file(path), header)
    assert fit(network(1), FEW, 0.5, checkpoint=path, progress=False) == history


# ---- with an adversary

ADVERSARY = dict(adversary=0.5, adversary_warmup=3, copies=3, consistency=1.0)


def quantized_network(seed: int) -> nn.Module:
    net = network(seed)
    return calibrate(quantize(net, Policy.uniform(net, 4, 4)), to_float(FEW.images))


@pytest.mark.parametrize("make", [network, quantized_network])
def test_a_stopped_training_with_an_adversary_goes_on_to_the_same_bits(make, tmp_path):
    run = dict(sigma=0.5, epochs=4, batch_size=90, progress=False, **ADVERSARY)
    whole, parts, later = make(1), make(1), make(1)
    history = fit(whole, FEW, augmenter=interrupting(10**9), **run)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, FEW, augmenter=interrupting(6), checkpoint=tmp_path / "run", **run)
    assert all(p.requires_grad for p in parts.parameters())
    continued = fit(later, FEW, augmenter=interrupting(10**9), checkpoint=tmp_path / "run", **run)
    assert [row["loss"] for row in continued] == [row["loss"] for row in history]
    assert same_weights(whole, later)
    for change, sentence in {"adversary": "adversary=0.5 there, 4.0 now", "copies": "copies=3 there, 4 now"}.items():
        with contains(sentence):
            fit(make(1), FEW, augmenter=interrupting(9), checkpoint=tmp_path / "run", **run | {change: 4})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_an_adversary_of_a_network_in_its_own_precision(dtype):
    net = network(1).to(dtype)
    fit(net, FEW, 0.5, lr=0.01, adversary=0.5, progress=False)
    assert all(p.isfinite().all() for p in net.parameters())
    assert {p.dtype for p in net.parameters()} == {dtype}


def test_gradients_of_a_quantized_network_reach_the_image():
    images, labels = to_float(FEW.images[:4]), FEW.labels[:4]
    noise = 0.5 * torch.randn(4, 2, 1, 8, 8, generator=make_generator(0))
    net = quantized_network(1).eval()
    for steps in (1, 3):
        moved = worst_points(net, images, labels, noise, 0.5, steps)
        lengths = (moved - images).flatten(1).norm(dim=1)
        assert lengths.max() <= 0.5 + 1e-5
        assert lengths.min() > 0.1
        assert moved.min() >= 0
        assert moved.max() <= 1


def test_only_settings_that_decide_something_are_noted():
    usual = set(Recipe().noted())
    assert usual.isdisjoint({"compiled", "copies", "adversary", "adversary_steps", "adversary_warmup"})
    assert set(Recipe(adversary=0.5).noted()) - usual == {"adversary", "adversary_steps", "adversary_warmup"}
    assert set(Recipe(copies=3).noted()) - usual == {"copies"}
    assert set(plain(Recipe(adversary_steps=7))) == usual | {"compiled"}   # names of stages as before
    assert plain(Recipe(adversary=0.5))["adversary_steps"] == 2
    with contains("copies=1 must be a whole number of at least 2"): Recipe(consistency=1.0, copies=1)


# ---- by a compiler

def quantized_pooled() -> nn.Module:
    "Small enough for its sums to be the same in any order."
    net = pooled()
    return calibrate(quantize(net, Policy.uniform(net, 4, 4)), to_float(FEW.images))


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="NO COMPILER")
def test_a_compiled_training_is_the_same_function_and_another_run(tmp_path):
    "Against an adversary, so that both what is trained and what is attacked are compiled."
    run = dict(sigma=0.5, epochs=2, batch_size=32, lr=0.01, adversary=0.5, progress=False)
    plain, compiled, continued = quantized_pooled(), quantized_pooled(), quantized_pooled()
    history = fit(plain, FEW, **run)
    stopping = dict(compiled=True, checkpoint=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt): fit(compiled, FEW, augmenter=interrupting(7), **run, **stopping)
    assert len(compiled._forward_pre_hooks) == len(plain._forward_pre_hooks) == 1   # marks of weights are back
    fast = fit(continued, FEW, augmenter=interrupting(10**9), **run, **stopping)
    for a, b in zip(history, fast): assert b["loss"] == pytest.approx(a["loss"], rel=1e-2)
    same = quantized_pooled()
    fit(same, FEW, augmenter=interrupting(10**9), **run, compiled=True)
    assert same_weights(continued, same)   # as if it had not been stopped
    with contains("compiled=True there, not asked for now"):
        fit(quantized_pooled(), FEW, augmenter=interrupting(10**9), **run, checkpoint=tmp_path / "run")


def test_what_cannot_be_compiled_is_refused_by_name(monkeypatch):
    def begin(net): fit(net, FEW, 0.5, progress=False, compiled=True)
    float_net = pooled()
    with contains("layer '0' is not calibrated"): begin(quantize(float_net, Policy.uniform(float_net, 4, 4)))
    nn.utils.parametrizations.weight_norm(float_net[0])
    computed = calibrate(quantize(float_net, Policy.uniform(float_net, 4, 4)), to_float(FEW.images))
    with contains("layer '0' computes its weight in its own way"): begin(computed)
    with contains("compiled='yes' must be True or False"): Recipe(compiled="yes")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="torch.compile needs a C\\+\\+ compiler"): begin(pooled())


PERCEPTRON = """
import torch
from torch import nn
from arq_nb.core.archives import load_dataset
from arq_nb.train.training import fit
torch.manual_seed(0)   # without batch norm, of which each process would have statistics of its own
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
fit(network, load_dataset("digits").every(4), 0.5, epochs=2, batch_size=50, consistency=1.0, progress=False)
fit(network, load_dataset("digits").every(4), 0.5, epochs=1, batch_size=50, adversary=0.5, progress=False)
"""


def test_two_processes_arrive_where_one_arrives(tmp_path):
    join = "from arq_nb.core.processes import init_processes\ninit_processes()\n"
    keep = "import sys\nfrom arq_nb.quant.models import save_weights\nsave_weights(network, sys.argv[1])\n"
    launch(join + PERCEPTRON + keep, str(tmp_path / "two.safetensors"))
    with torch.random.fork_rng(): exec(PERCEPTRON, alone := {})
    one, two = alone["network"].state_dict(), load_file(tmp_path / "two.safetensors")
    for name, value in one.items(): torch.testing.assert_close(two[name], value, rtol=0, atol=1e-4)


# ---- from a policy to a finished network

def test_settings_of_any_depth_are_changed_by_name():
    settings = Finish(Recipe(5, batch_size=32), Certify(n=500, batch_size=100))
    from arq_nb.train.finish import _changed
    assert _changed(settings, {}) == settings
    new = _changed(settings, dict(epochs=1, batch_size=8, seed=3, noise="sound", quantizer=PACT))
    assert new.recipe == Recipe(1, batch_size=8, seed=3)
    assert new.certify == Certify(n=500, seed=3, noise="sound", batch_size=100)
    assert new.quantizer is PACT
    assert _changed(settings, dict(certify=Certify(n=7), n0=9)).certify == Certify(n=7, n0=9)
    with contains("'epoch' is no setting", "recipe, certify, quantizer, progress"): _changed(settings, dict(epoch=1))


def test_settings_are_no_number(trained, tmp_path):
    policy = Policy.uniform(trained, 4, 4)
    with contains("settings=3 must be a Finish"): finish(trained, policy, FEW, SOME, 0.5, tmp_path, 3)


def test_a_folder_is_only_continued_by_the_same_call(trained, tmp_path):
    policy, out = Policy.uniform(trained, 4, 4), tmp_path / "pact"
    about = dict(model=trained, policy=policy, train=FEW, test=SOME, sigma=0.5, out=out, quantizer=PACT, **QUICK)
    log = finish(**about)
    assert np.array_equal(finish(**about).radius, log.radius)
    again = load(out, network(5)).network
    assert {type(m) for m in again.modules() if isinstance(m, UniformQuantizer)} == {LSQ, PACT}
    assert fingerprint(deployed(again)) == Record.read(out / "certificates.tsv.json")["network"]
    permuted = copy.deepcopy(trained)
    with torch.no_grad(): permuted.linear.weight.copy_(trained.linear.weight.flip(0))   # the same sum of weights
    relabeled = ImageData(SOME.images, SOME.labels.flip(0), SOME.classes, SOME.name)
    refused = {"network=": dict(model=permuted), "train=": dict(train=FEW.every(2)), "test=": dict(test=relabeled),
               "policy.layer1.0.conv1=": dict(policy=policy.replace("layer1.0.conv1", weight=2)),
               "sigma=0.5 there, 0.25 now": dict(sigma=0.25), "alpha=0.001 there, 0.01 now": dict(alpha=0.01),
               "quantizer='PACT' there, 'LSQ' now": dict(quantizer=LSQ), "lr=0.02 there, 0.03 now": dict(lr=0.03),
               "n=100 there, 200 now": dict(n=200), "backend=": dict(backend="bfloat16"), "seed=": dict(seed=1),
               "consistency=": dict(consistency=1.0), "certify.noise=": dict(noise="sound"),
               "certify.method=": dict(method="early"), "recipe.precision=": dict(precision="bfloat16"),
               "recipe.adversary_steps=not noted there, 2 now": dict(adversary=0.5)}
    for sentence, change in refused.items():
        with contains(sentence): finish(**about | change)
    (out / "settings.json").unlink()   # as version 0.1 left it
    with contains("pact has no record (settings.json) of what it was made with"): finish(**about)


def test_a_folder_of_version_02_is_continued(trained, tmp_path):
    "Its settings, as they were written then; the record has more now, and nothing less."
    policy = Policy.uniform(trained, 4, 4)
    log = finish(trained, policy, FEW, SOME, 0.5, tmp_path, **QUICK)
    keys = ("network policy train test sigma n0 n alpha seed backend device epochs lr batch_size weight_decay "
            "augmenter consistency quantizer").split()
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert sorted(settings) == sorted([*keys, "versions"])
    known = dict(epochs=1, lr=0.02, batch_size=128, weight_decay=5e-4, augmenter=None, consistency=0.0, quantizer="LSQ",
                 n0=20, n=100, alpha=0.001, seed=0, backend="float32", device="cpu", sigma=0.5)
    assert {name: settings[name] for name in known} == known
    record = json.loads((tmp_path / "record.json").read_text())
    for new in ("finished", "class_names"): del record[new]
    record["versions"] = {"arq_nb": "0.2.0"}
    (tmp_path / "record.json").write_text(json.dumps(record))
    again = load(tmp_path, network(3))
    assert again.classes == []
    assert np.array_equal(again.certify(SOME, progress=False).radius, log.radius)
    assert np.array_equal(finish(trained, policy, FEW, SOME, 0.5, tmp_path, **QUICK).radius, log.radius)


def test_stopped_training_of_a_finished_network_goes_on(trained, tmp_path):
    policy, never = Policy.uniform(trained, 4, 4), 10**9
    def made(after, out):
        recipe = Recipe(2, 0.02, augmenter=interrupting(after))
        return finished(trained, policy, FEW, 0.5, Finish(recipe), out, n=100, progress=False)
    whole = made(never, None)
    with pytest.raises(KeyboardInterrupt): made(4, tmp_path)
    assert not (tmp_path / "record.json").exists()
    assert same_weights(made(never, tmp_path).network, whole.network)
    assert same_weights(load(tmp_path, network(5)).network, whole.network)


# ---- the network that is left

def test_one_seed_for_images_batches_and_data(small):
    images = to_float(SOME.images[:3])
    batch, log = small.certify(images), small.certify(SOME, progress=False)
    assert small.certify(images[0]) == batch[0]
    assert [c.radius for c in batch] == log.radius[:3].tolist()
    assert small.certify(images[1:2])[0] != small.certify(images[1:2], seed=4)[0]
    assert small.certify(images, batch_size=7) == batch
    assert small.predict(images)[0] == small.predict(images[0])


def test_a_log_is_continued(small, tmp_path):
    small.certify(SOME, tmp_path / "log.tsv", progress=False, max=3)
    log = small.certify(SOME, tmp_path / "log.tsv", progress=False)
    assert len(log) == len(SOME)
    with contains("n=200 there, 300 now"): small.certify(SOME, tmp_path / "log.tsv", n=300)


def test_classes_are_matched_by_name(small):
    turned = SOME.with_classes(SOME.classes[::-1])
    assert np.array_equal(small.certify(turned, progress=False).correct, small.certify(SOME, progress=False).correct)
    renamed = ImageData(SOME.images, SOME.labels, [f"digit {c}" for c in SOME.classes])
    with contains("class 'digit 0'"): small.certify(renamed)


@pytest.mark.parametrize("images, sentence", [
    (torch.rand(3, 8, 8), "images of shape (3, 8, 8): this network takes (1, 8, 8)"),
    (torch.rand(2, 1, 9, 9), "images of shape (2, 1, 9, 9)"), (torch.rand(8, 8), "images of shape (8, 8)"),
    (SOME.images[0], "uint8"), (torch.full((1, 8, 8), 2.0), "in [0, 1]"), ([1, 2], "not list")])
def test_images_that_are_none(small, images, sentence):
    with contains(sentence): small.certify(images)
    with contains(sentence): small.predict(images)


def test_what_cannot_be_asked_of_it(small, tmp_path):
    image = torch.rand(1, 8, 8)
    with contains("out= is the log of a data set"): small.certify(image, tmp_path / "log.tsv")
    with contains("'samples' is no setting", "n0, n, alpha, seed"): small.certify(image, samples=3)
    with contains("n=9 samples can never give an answer"): small.certify(image, n=9)
    with contains("cache"): small.certify(SOME, method="incremental")
    with contains("not ImageData"): small.predict(SOME)


def test_its_network_is_its_own_and_in_evaluation_mode(trained, small):
    quantized, _ = finetune(trained, small.policy, FEW, 0.5)
    one = replace(small, network=quantized.train())
    before = one.certify(torch.full((1, 8, 8), 0.5))
    assert quantized.training
    assert not one.network.training
    with torch.no_grad(): quantized.linear.weight.zero_()
    assert one.certify(torch.full((1, 8, 8), 0.5)) == before


@pytest.mark.parametrize("kind", [LSQ, PACT, UniformQuantizer])
@pytest.mark.parametrize("bits", [32, 3])
def test_saved_and_loaded_it_gives_the_same_certificates(trained, tmp_path, kind, bits):
    one = finished(trained, Policy.uniform(trained, bits, bits), FEW, 0.5, epochs=1, n=100, seed=2, noise="sound",
                   quantizer=kind, progress=False)
    one.save(tmp_path / "one")
    again = load(tmp_path / "one", network(7))
    images = to_float(SOME.images[:2])
    assert again.settings == one.settings
    assert again.certify(images) == one.certify(images)
    assert again.certify(images, method="early") == one.certify(images, method="early")
    assert (again.policy, again.classes, again.quantizer) == (one.policy, one.classes, kind)


def test_training_asks_first_whether_each_weight_is_rounded():
    class Weighing(nn.Module):
        "Multiplies and sums by hand what its last layer would have multiplied and summed."
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)
        def forward(self, x): return (self.conv(x).mean((2, 3))[:, None] * self.last.weight).sum(2)

    quantized = quantize(Weighing(), Policy.uniform(Weighing(), 4, 4))
    before = fingerprint(quantized)
    with contains("the weight of layer 'last' meets the image outside of a product"):
        fit(quantized, FEW, 0.25, epochs=1, progress=False)
    assert fingerprint(quantized) == before   # nothing trained, nothing calibrated
    fit(quantize(Weighing(), Policy(Policy.uniform(Weighing(), 4, 4).bits | {"last": (32, 32)})), FEW, 0.25, epochs=1,
        progress=False)


def test_loading_calibrates_nothing(small, tmp_path, monkeypatch):
    small.save(tmp_path)
    def calibrate(*_): raise AssertionError("something is calibrated")
    monkeypatch.setattr(UniformQuantizer, "calibrate", calibrate)
    assert load(tmp_path, network(7)).certify(to_float(SOME.images[0])) == small.certify(to_float(SOME.images[0]))


@pytest.mark.parametrize("kind", [LSQ, PACT])
def test_what_is_there_already_calibrates_nothing(trained, tmp_path, kind, monkeypatch):
    "A stopped training, a finished folder, its certificates and those of a larger test set: all steps come from files."
    policy, never = Policy.uniform(trained, 4, 4), 10**9
    def asked(after=never):
        recipe = Recipe(2, 0.02, augmenter=interrupting(after))
        return finish(trained, policy, FEW, SOME, 0.5, tmp_path, Finish(recipe, quantizer=kind), n0=20, n=100, max=3,
                      progress=False)
    with pytest.raises(KeyboardInterrupt): asked(4)   # after the first epoch, and with every step calibrated
    def calibrate(*_): raise AssertionError("something is calibrated")
    monkeypatch.setattr(UniformQuantizer, "calibrate", calibrate)
    log = asked()
    assert np.array_equal(asked().radius, log.radius)
    one = load(tmp_path, network(7))
    assert np.array_equal(one.certify(SOME, max=3, progress=False).radius, log.radius)
    one.certify(SOME, n=200, method="early", max=2, progress=False)


def test_a_checkpoint_of_another_network_or_policy_is_not_continued(trained, tmp_path):
    policy, path = Policy.uniform(trained, 4, 4), tmp_path / "state"
    whole, history = finetune(trained, policy, FEW, 0.5, checkpoint=path)
    again, same = finetune(trained, policy, FEW, 0.5, checkpoint=path)
    assert (same, same_weights(again, whole)) == (history, True)
    with contains("state was made with other settings: network="):
        finetune(network(5), policy, FEW, 0.5, checkpoint=path)
    with contains("policy.conv1=[4, 4] there, [3, 4] now"):
        finetune(trained, policy.replace("conv1", weight=3), FEW, 0.5, checkpoint=path)
    with contains("quantizer='LSQ' there, 'PACT' now"):
        finetune(trained, policy, FEW, 0.5, quantizer=PACT, checkpoint=path)
    path.with_name("state.json").unlink()   # as version 0.2 left it
    again, same = finetune(trained, policy, FEW, 0.5, checkpoint=path)
    assert (same, same_weights(again, whole)) == (history, True)


def test_another_network_is_refused_by_name(small, trained, tmp_path):
    small.save(tmp_path / "small")
    with contains("small was made with other settings: network=", "give the network that was finished"):
        load(tmp_path / "small", resnet8(mean=(0.4,)))
    with contains("small holds another network", "no bits for"): load(tmp_path / "small", nn.Linear(64, 10))
    with contains("small holds another network", "other shape"): load(tmp_path / "small", resnet8(num_classes=5))
    with contains("small holds another network", "quantized already"): load(tmp_path / "small", small.network)
    with contains("no record.json"): load(tmp_path, trained)
    (tmp_path / "small" / "record.json").write_text('{"sigma": 0.5}')
    with contains("names no kind of quantizer"): load(tmp_path / "small", trained)
    with contains("names no input_shape"): load(tmp_path / "small", trained, LSQ)


def test_a_folder_of_another_network_is_not_overwritten(small, trained, tmp_path):
    small.save(tmp_path)
    written = {p.name: p.read_bytes() for p in Path(tmp_path).iterdir()}
    small.save(tmp_path)
    with contains("sigma=0.5 there, 0.25 now"): replace(small, sigma=0.25).save(tmp_path)
    other, _ = finetune(trained, small.policy, FEW, 0.5, Recipe(lr=0.5))
    with contains("finished="): replace(small, network=other).save(tmp_path)
    with contains("the policy says 2 bits"): replace(small, policy=Policy.uniform(trained, 2, 2)).save(tmp_path)
    assert {p.name: p.read_bytes() for p in Path(tmp_path).iterdir()} == written


def test_a_float_network_has_no_integers(trained, tmp_path):
    one = SmoothedNetwork(trained, Policy.uniform(trained, 32, 32), 0.5, SOME.shape, SOME.classes)
    image = to_float(SOME.images[0])
    assert one.certify(image, backend="int8", n=100).precision == "float32"
    assert one.certify(image, backend="bfloat16", n=100).precision == "bfloat16"
    assert one.certify(image, n=100).precision == "float32"


# ---- what is found out at once

def test_networks_and_policies_that_do_not_fit_are_refused_before_training(trained, tmp_path):
    with contains("the network has 5 outputs, the images 10 classes"): fit(resnet8(5), FEW, 0.5, progress=False)
    with contains("the network has 5 outputs"): fit(resnet8(5), FEW, 0.5, adversary=0.5, progress=False)
    cut = ImageData(SOME.images[:, :, 1:], SOME.labels, SOME.classes)
    other = replace(SOME, classes=[f"digit {name}" for name in SOME.classes])
    def wanted(bits, **change):
        about = dict(model=trained, policy=Policy.uniform(trained, *bits), train=FEW, test=SOME, sigma=0.5)
        return finish(**about | change, out=tmp_path / "new", **QUICK)
    with contains("test has images of (1, 7, 8), train of (1, 8, 8)"): wanted((4, 4), test=cut)
    with contains("class 'digit 0'"): wanted((4, 4), test=other)
    for sigma in (0, -0.25):
        with contains("sigma="): wanted((4, 4), sigma=sigma)
    if find_spec("openvino"):
        with contains("at 'conv1' one of them is float"):
            finish(trained, Policy.uniform(trained, 32, 4), FEW, SOME, 0.5, tmp_path / "new", **QUICK, backend="int8")
    assert not (tmp_path / "new").exists()


def test_another_augmenter_of_the_same_name_is_another_run(tmp_path):
    def run(augmenter):
        return fit(network(), FEW, 0.5, epochs=1, progress=False, augmenter=augmenter, checkpoint=tmp_path / "run")
    def brightened(by):
        if by: return lambda images, generator: images + 1
        return lambda images, generator: images
    history = run(brightened(False))
    assert run(brightened(False)) == history
    with contains("augmenter=", "there,"): run(brightened(True))
