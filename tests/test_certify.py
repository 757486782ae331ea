"Contracts of the room `certify` that no reader wants to see: odd input, logs of others, accidents, old records."
import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import launch
from scipy.stats import norm
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from arq_nb.certify.anytime import anytime_lower, at_least, certify_like, certify_until, sharpened
from arq_nb.certify.attacks import Attack, attacks_inside, pgd, smallest_attack
from arq_nb.certify.bounds import _fewest_samples, clopper_pearson_lower
from arq_nb.certify.incremental import build_cache, CertificateCache, certify_incremental, change_lower
from arq_nb.certify.logs import _COLUMNS, _median_interval, _seconds, certify_dataset, compare, read_log, summary
from arq_nb.certify.norms import SplitClassifier, UniformNoise
from arq_nb.certify.recertify import recertify
from arq_nb.certify.settings import _METHODS, Certify, certify_images
from arq_nb.certify.smoothing import ABSTAIN, certified_radius, GaussianNoise, NOISES, SmoothedClassifier
from arq_nb.certify.sound import SoundGaussianNoise
from arq_nb.core.archives import load_dataset
from arq_nb.core.data import ImageData, to_float
from arq_nb.core.record import load_tensors, one_writer, save_tensors
from arq_nb.core.rng import CERTIFICATION, make_generator
from arq_nb.quant.policies import calibrate, Policy, quantize

pytestmark = pytest.mark.filterwarnings("ignore:.*in training mode")
WEIGHT = torch.randn(1, 4, 4, generator=make_generator(1))
PIXELS = torch.rand(2, 1, 4, 4, generator=make_generator(2))
DIGITS = load_dataset("digits", split="test").every(10)


def refused(sentence: str):
    "Expect a `ValueError` that says so, word for word."
    class Contains:
        def __enter__(self): return self
        def __exit__(self, kind, value, _):
            assert kind is not None, f"no error, but one that says {sentence!r} was expected"
            if not issubclass(kind, ValueError): return False
            assert sentence in str(value), f"{sentence!r} is not in {str(value)!r}"
            return True
    return Contains()


def same_certificates(a, b) -> None:
    "Two logs agree in all but the time."
    for column in _COLUMNS[:5]: assert getattr(a, column).tolist() == getattr(b, column).tolist(), column


def linear(x):
    "Class 1 above a plane through the gray image."
    score = ((x - 0.5) * WEIGHT).sum((1, 2, 3))
    return torch.stack([-score, score], 1)


def layer_of(seed: int) -> SmoothedClassifier:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    nn.init.normal_(net[1].weight, generator=make_generator(seed))
    return SmoothedClassifier(net, sigma=0.5)


def new_network(outputs: int = 3) -> nn.Module:
    "As PyTorch makes it: in training mode, with batch norm and dropout."
    body = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(32, outputs)
    net, generator = nn.Sequential(*body), make_generator(56)
    for weights in net.parameters(): nn.init.normal_(weights, 0, 0.5, generator=generator)
    return net


def streams(seed: int = 12) -> list[torch.Generator]: return [make_generator(seed, i) for i in range(2)]


def certificates(f, images=PIXELS, **changes):
    return SmoothedClassifier(f, 0.5).certify_batch(images, streams(), **{"n0": 20, "n": 100, **changes})


# ---------------------------------------------------------------- smoothing

@pytest.mark.parametrize("n", [100.0, 1e2, np.int64(100), np.float32(100), torch.tensor(100)])
def test_numbers_as_people_have_them(n):
    assert certificates(linear, n=n) == certificates(linear)


def test_settings_become_plain_numbers():
    expected = certificates(linear)
    assert certificates(linear, n0=np.uint8(20), alpha=np.array(0.001)) == expected
    for sigma in (np.float32(0.5), np.array(0.5), torch.tensor(0.5)):
        plain = SmoothedClassifier(linear, sigma, np.int32(50), torch.device("cpu"))
        assert [type(v) for v in (plain.sigma, plain.batch_size, plain.device)] == [float, int, str]
        assert plain.certify_batch(PIXELS, streams(), 20, 100) == expected
    assert [c.votes for c in certificates(linear, PIXELS.double())] == [c.votes for c in expected]


BAD = dict(n=(99.5, True, "100", None, np.nan, np.array([100])), n0=(0, 2.5, -5),
           alpha=(np.nan, 0, 1, "0.001", True, None))

@pytest.mark.parametrize("name, value", [(name, value) for name, values in BAD.items() for value in values])
def test_numbers_that_are_none(name, value):
    with refused(f"{name}="): certificates(linear, **{name: value})


def test_classifiers_that_cannot_be_smoothed():
    for sigma in (0, -1, np.nan, np.inf, "0.25", True, None, [0.25]):
        with refused("sigma="): SmoothedClassifier(linear, sigma)
    for size in (0, 2.5, "many", True):
        with refused("batch_size="): SmoothedClassifier(linear, 1, size)
    with refused("noise='laplace' is unknown; choose from gaussian, sound, discrete"):
        SmoothedClassifier(linear, 1, noise="laplace")


IMAGES = [(PIXELS.numpy(), "not ndarray: torch.as_tensor"), ([PIXELS], "not list"), (PIXELS[:0], "no images"),
          ((255 * PIXELS).byte(), "uint8 (2, 1, 4, 4): `arq_nb.core.data.to_float`"),
          (PIXELS[0], "one image torch.float32 (1, 4, 4): give x[None]"),
          (PIXELS[0, 0], "(batch, channels, height"), (PIXELS[None], "(1, 2, 1, 4, 4)"),
          (PIXELS * 255, "must lie in [0, 1]"), (PIXELS * float("nan"), "[nan, nan]")]

@pytest.mark.parametrize("images, sentence", IMAGES)
def test_images_that_are_none(images, sentence):
    with refused(sentence): certificates(linear, images)
    with refused(sentence): certify_images(SmoothedClassifier(linear, 0.5), images, n=100)


@pytest.mark.parametrize("method", ["certify", "predict"])
def test_one_image_at_a_time(method):
    run = getattr(SmoothedClassifier(linear, 0.5), method)
    for image, sentence in ((PIXELS, "(2, 1, 4, 4): a batch is for"), (PIXELS[0, 0], "not (4, 4)"),
                            ("cat.png", "not str")):
        with refused(sentence): run(image, n=100)
    with refused("not 1 of int"): run(PIXELS[0], n=100, generator=0)


def test_generators_that_are_none():
    smoothed = SmoothedClassifier(linear, 0.5)
    for generators, sentence in ((streams()[:1], "each of the 2 images"), (streams()[0], "not 1 of Generator"),
                                 ([0, 1], "not 2 of int"), ([], "not 0 of nothing")):
        with refused(sentence): smoothed.certify_batch(PIXELS, generators, 20, 100)
    for seed in (-1, 0.5, "0", True):
        with refused("seed="): smoothed.certify_batch(PIXELS, seed=seed, n=100)
    with refused("give one of the two"): smoothed.predict_batch(PIXELS, streams(), seed=0)


def test_seeds_are_streams():
    smoothed = SmoothedClassifier(linear, 0.5)
    by_hand = [make_generator(3, i, CERTIFICATION) for i in range(2)]
    assert smoothed.certify_batch(PIXELS, seed=3, n=100) == smoothed.certify_batch(PIXELS, by_hand, n=100)
    fresh = {generator.initial_seed() for _ in range(2) for generator in smoothed.streams(range(2))}
    assert len(fresh) == 4


class Masked(nn.Module):
    "A network in a list of its own, out of reach of `eval()`."
    def __init__(self, net):
        super().__init__()
        self.parts = [net]

    def forward(self, x): return self.parts[0](x)


def test_networks_as_they_come():
    net = nn.Sequential(new_network()[:3].eval(), *new_network()[3:])  # a trained part behind a new one
    modes = [m.training for m in net.modules()]
    expected = [c.votes for c in certificates(copy.deepcopy(net).eval())]
    for f in (net, net.forward, lambda x: net(x), Masked(net), lambda x: {"logits": net(x)}, nn.DataParallel(net)):
        assert [c.votes for c in certificates(f)] == expected
        assert [m.training for m in net.modules()] == modes


NET = new_network()
NO_CLASSIFIERS = [
    (lambda x: NET(x)[:, :1], "one logit for each"), (lambda x: NET(x)[:, 0], "one logit"),
    (lambda x: (NET(x), x), "tuple of ("), (lambda x: NET(x).argmax(1), "not classes"), (lambda x: x, ", 1, 4, 4)"),
    (lambda x: NET(x).numpy(), "torch.from_numpy"), (lambda x: nn.functional.dropout(NET(x)), "if asked again"),
    (lambda x: NET(x) - NET(x).mean(0), "depends on neighbors"), (lambda x: NET(x)[:1], "one row for each"),
    ("resnet", "is str"), (None, "NoneType")]

@pytest.mark.parametrize("f, sentence", NO_CLASSIFIERS, ids=[sentence for _, sentence in NO_CLASSIFIERS])
def test_what_is_no_classifier(f, sentence):
    modes = [m.training for m in NET.modules()]
    with refused(sentence): certificates(f)
    with refused(sentence): SmoothedClassifier(f, 0.5).predict_batch(PIXELS, streams(), 100)
    assert [m.training for m in NET.modules()] == modes


# ---------------------------------------------------------------- logs

HEAD, ONE, TWO = ("\t".join(line.split(" ")) for line in (
    "idx label predict radius correct time", "0 1 1 0.3 1 2", "20 1 -1 0.0 0 1day,"))
TWO = TWO.replace("1day,", "1 day, 0:00:01")
MARK = "\ufeff"  # the byte-order mark


def reading(folder: Path, *lines, end="\n", encoding="utf-8"):
    "What `read_log` makes of these lines; a line of bytes is taken as it is."
    raw = [line if isinstance(line, bytes) else line.encode(encoding) for line in lines]
    (folder / "log.tsv").write_bytes(end.encode(encoding).join(raw))
    return read_log(folder / "log.tsv")


def test_times_of_others():
    times = {"12.5": 12.5, "0:00:03.25": 3.25, "2:03": 123, "1 day, 2:03:04.5": 93784.5, "2 days, 0:00:01": 172801,
             "-1 day, 23:59:59": -1}
    assert [_seconds(text) for text in times] == list(times.values())
    for wrong in ("1:2:3:4", "1 week, 0:00:01", "soon"):
        with pytest.raises(ValueError): _seconds(wrong)


LAYOUTS = [(HEAD, ONE, TWO), (MARK + HEAD, ONE, TWO, ""), (HEAD, ONE, HEAD, TWO), (MARK + HEAD, ONE, MARK + HEAD, TWO),
           (HEAD, "", ONE, "\t\t", TWO, "", "  ", ""), ("", HEAD, ONE + "\t", TWO)]

@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("lines", LAYOUTS)
def test_logs_of_others(tmp_path, lines, end):
    log = reading(tmp_path, *lines, end=end)
    assert (log.idx.tolist(), log.predict.tolist()) == ([0, 20], [1, -1])
    assert (log.radius.tolist(), log.time.tolist()) == ([0.3, 0.0], [2.0, 86401.0])


def test_logs_with_little_in_them(tmp_path):
    nothing = reading(tmp_path, HEAD, "")
    assert (len(nothing), nothing.idx.dtype, nothing.radius.dtype) == (0, np.dtype(int), np.dtype(float))
    assert "0 certificates" in str(nothing)
    assert "1 certificates" in str(reading(tmp_path, HEAD, ONE))
    assert reading(tmp_path, HEAD + "\tnote", ONE + "\tgut \u00e4", TWO).extra == {"note": ["gut \u00e4", ""]}


REFUSED = [(("",), "the header lacks the columns"), ((HEAD, ONE, TWO, ONE), "idx 0 is there twice, in lines 2 and 4"),
           ((HEAD, ONE, HEAD.replace("time", "seconds"), TWO), "line 3: another header, with other columns"),
           ((HEAD, ONE + "\t7"), "line 2: 7 fields, the header has 6"),
           ((HEAD + "\tradius", ONE), "the header has radius twice"),
           ((HEAD, TWO, ONE[:5]), "line 3: not a certificate row (no radius)"),
           ((HEAD, ONE.replace("0.3", "0,3")), "line 2: not a certificate row (could not convert"),
           ((HEAD, ONE.replace("0.3", "nan")), "radius nan must be finite"),
           ((HEAD, ONE.replace("0.3", "-0.3")), "radius -0.3 must be"),
           ((HEAD, ONE.replace("0.3", "inf")), "radius inf must be finite"),
           ((HEAD, ONE + ":3:4:5"), "neither seconds nor"),
           ((HEAD, "3\t1\t2\t0.4\t1\t2"), "predict 2 for label 1, yet correct 1"),
           ((HEAD, "3\t1\t1\t0.4\t2\t2"), "yet correct 2"),
           ((HEAD, "3\t1\t-1\t0.4\t0\t2"), "predict -1 for label 1, yet correct 0 and radius 0.4"),
           ((HEAD, ONE, TWO.encode() + b"\xe4"), "log.tsv, line 3: not UTF-8 text (byte 0xe4)")]

@pytest.mark.parametrize("lines, sentence", REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_malformed_logs(tmp_path, lines, sentence):
    with refused(sentence): reading(tmp_path, *lines)


def test_logs_in_other_encodings(tmp_path):
    with refused("log.tsv, line 1: not UTF-8 text"): reading(tmp_path, HEAD, ONE, encoding="utf-16")


def test_certified_counts_wrong_answers_as_nothing(tmp_path):
    wrong = ONE.replace("1\t1\t0.3\t1", "1\t0\t0.3\t0").replace("0\t1", "7\t1", 1)
    log = reading(tmp_path, HEAD, ONE, wrong, TWO)
    assert log.certified.tolist() == [0.3, 0.0, 0.0]
    assert summary(log, [0.25])["certified accuracy at 0.25"][0] == pytest.approx(1 / 3)
    text = str(log)
    words = "3 images", "clean accuracy", "ACR", "abstention rate", "certified accuracy at 0.25"
    assert [word for word in words if word not in text] == []
    assert "at 0.5" not in text


def test_a_summary_says_what_belongs_beside_an_acr(tmp_path):
    log = reading(tmp_path, HEAD + "\tsamples", ONE + "\t50", TWO + "\t0")
    (tmp_path / "log.tsv.json").write_text('{"sigma": 0.5, "n": 1000, "alpha": 0.001, "noise": "gaussian"}')
    found = summary(read_log(tmp_path / "log.tsv"))
    assert found["ACR of one class for all"][0] == pytest.approx(0.5 * norm.ppf(0.001**0.001))
    assert (found["abstention rate"][0], found["left out, wrong guess"][0]) == (0, 0.5)
    assert found["median radius"] == (0.15, 0.0, np.inf)
    for record in ('{"sigma": 0.5}', "no record", '{"sigma": 0.5, "n": 9, "alpha": 0.1, "noise": "uniform"}',
                   '{"sigma": 0.5, "n": 9, "alpha": 0.1, "noise": "gaussian", "method": "incremental"}'):
        (tmp_path / "log.tsv.json").write_text(record)
        assert read_log(tmp_path / "log.tsv").most is None
    equal = replace(log, radius=np.array([0.3, 0.3]), correct=np.array([1, 1]))
    assert "ACR                         0.300  unknown: all are equal" in str(equal)


def test_medians_have_exact_intervals():
    rng = np.random.default_rng(0)
    found = [_median_interval(rng.exponential(size=25))[1:] for _ in range(2_000)]
    inside = np.mean([low <= np.log(2) <= high for low, high in found])
    assert 0.95 < inside < 0.975   # exactly 0.957
    assert _median_interval(np.arange(5.0)) == (2.0, 0.0, np.inf)


@pytest.fixture
def run(tmp_path):
    "Certify digits into a log with few samples: run(classifier, name, **changes)."
    def certified(f, name="log.tsv", data=DIGITS, **changes):
        smoothed = f if isinstance(f, SmoothedClassifier) else SmoothedClassifier(f, 0.5)
        return certify_dataset(smoothed, data, tmp_path / name, Certify(10, 50, max=3), progress=False, **changes)
    return certified


def test_a_network_as_it_comes_and_numbers_of_numpy(run):
    raw = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10))
    log = run(raw, "raw", seed=np.int64(1), skip=np.int32(2), max=3.0, n=np.float32(100), alpha=np.float64(0.001))
    assert (raw.training, raw[1].num_batches_tracked.item(), log.idx.tolist()) == (True, 0, [0, 2, 4])
    same_certificates(run(copy.deepcopy(raw).eval(), "eval", seed=1, skip=2, n=100), log)


def test_settings_that_are_none(run, tmp_path):
    changes = dict(n=2.5, n0=0, skip=0, max=0, seed=-1, alpha=np.nan, tolerance=0, alpha_zeta=1, batch_size=0)
    for name, value in changes.items():
        with refused(f"{name}="): run(layer_of(1), **{name: value})
    with refused("method='late' is unknown; choose from fixed, early, incremental"): run(layer_of(1), method="late")
    with refused("'sample' is no setting; allowed are n0, n, alpha, seed, method"): run(layer_of(1), sample=3)
    with refused("at least 10 are needed"): run(layer_of(1), n=9)
    with refused("one logit"): run(lambda x: x.flatten(1)[:, :1])
    with refused("but the classifier computes in float32"): run(layer_of(1), backend="int8")
    with refused("belong together"): run(layer_of(1), cache=build_cache(layer_of(1), DIGITS, n=50))
    with refused("belong together"): run(layer_of(1), method="incremental")
    assert not list(tmp_path.iterdir())


def test_classes_of_the_data_are_the_classifiers(run, tmp_path, recwarn):
    with refused("label 9, but the classifier has 3 classes"): run(lambda x: x.flatten(1)[:, :3])
    run(lambda x: x.flatten(1)[:, :10])
    assert not recwarn.list
    with pytest.warns(UserWarning, match="the classifier has 12 classes, the data set 10"):
        run(lambda x: x.flatten(1)[:, :12], "twelve")


def test_a_log_is_of_one_run(run, tmp_path):
    relabeled = ImageData(DIGITS.images, DIGITS.labels.flip(0), DIGITS.classes, DIGITS.name)
    run(layer_of(1))
    for sentence, (f, changes) in {
            "network=": (layer_of(2), {}), "images=": (layer_of(1), {"data": relabeled}),
            "seed=0 there, 1 now": (layer_of(1), {"seed": 1}),
            "alpha=0.001 there, 0.01 now": (layer_of(1), {"alpha": 0.01}),
            "sigma=0.5 there, 0.25 now": (replace(layer_of(1), sigma=0.25), {}),
            "noise='gaussian' there, 'sound gaussian' now": (layer_of(1), {"noise": "sound"}),
            "method=not noted there, 'early' now": (layer_of(1), {"method": "early"})}.items():
        with refused(sentence): run(f, **changes)
    run(layer_of(1), n0=np.int64(10), alpha=np.float64(0.001), batch_size=50)
    with one_writer(tmp_path / "log.tsv"), refused("log.tsv is being written by another process"): run(layer_of(1))
    (tmp_path / "log.tsv.json").unlink()
    with refused("log.tsv has no record"): run(layer_of(1))


def test_a_log_that_can_be_read_is_continued(run, tmp_path):
    run(layer_of(1))
    head, *rows = (tmp_path / "log.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "log.tsv").write_text("".join([head, rows[0], "\n", head, rows[1]]))
    assert run(layer_of(1)).idx.tolist() == [0, 1, 2]


def test_settings_are_a_value_or_single_names(run, tmp_path):
    by_name = run(layer_of(1), "names.tsv", n0=20, n=100, seed=2)
    settings = Certify(20, 100, seed=2, max=3)
    by_value = certify_dataset(layer_of(1), DIGITS, tmp_path / "value.tsv", settings, progress=False)
    same_certificates(by_name, by_value)
    records = [json.loads((tmp_path / f"{name}.tsv.json").read_text()) for name in ("names", "value")]
    assert records[0] == records[1]


def test_records_are_those_of_version_02(run, tmp_path):
    "A log of `fixed` and Gaussian noise is continued by any version, so its record must not change."
    run(layer_of(1))
    record = json.loads((tmp_path / "log.tsv.json").read_text())
    assert list(record) == ["network", "images", "sigma", "noise", "precision", "n0", "n", "alpha", "seed", "device",
                            "about", "versions"]
    assert (record["noise"], record["precision"], record["device"]) == ("gaussian", "float32", "cpu")
    assert (tmp_path / "log.tsv").read_text().splitlines()[0].split("\t") == list(_COLUMNS)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("method", ["fixed", "early"])
def test_methods_and_noises_agree_with_their_chapters(run, method, noise):
    smoothed = SmoothedClassifier(layer_of(1).f, 0.5, noise=noise)
    log = run(layer_of(1), n=200, method=method, noise=noise, seed=4)
    images, labels, own = to_float(DIGITS.images[:3]), DIGITS.labels[:3], smoothed.streams(range(3), 4)
    if method == "fixed": expected = smoothed.certify_batch(images, own, n0=10, n=200)
    else: expected = certify_like(smoothed, images, own, n0=10, n=200, labels=labels)
    assert log.radius.tolist() == [c.radius for c in expected]
    assert log.predict.tolist() == [c.prediction for c in expected]
    assert log.extra == ({} if method == "fixed" else {"samples": [str(c.n) for c in expected]})


def test_certifying_again_agrees_with_its_chapter(run, tmp_path):
    few, variant = DIGITS.every(4), layer_of(1)
    with torch.no_grad(): variant.f[1].weight[3] += 0.02
    cache = build_cache(layer_of(1), few, n0=50, n=800, alpha=0.001)
    asked = dict(data=few, n0=50, n=600, method="incremental", cache=cache, tolerance=0.05)
    run(variant, max=2, **asked)
    log = run(variant, max=None, **asked)
    expected, spent = recertify(cache, variant, few, n=600, tolerance=0.05, labels=few.labels)
    same_certificates(log, expected)
    taken = np.array(log.extra["samples"], int)
    assert np.where(taken > 0, taken + 200, 0).tolist() == spent.tolist()
    with refused("n0=50 there, 60 now; ask for the settings of the cache"): run(variant, **{**asked, "n0": 60})
    with refused("sigma=0.5 there, 0.25 now"): run(replace(variant, sigma=0.25), **asked)
    with refused("images="): run(variant, **{**asked, "data": DIGITS})
    with refused("belong together"): certify_images(variant, to_float(few.images), method="incremental", n0=50, n=600)


def test_noise_is_not_changed_silently():
    smoothed, images = SmoothedClassifier(linear, 0.5, noise="discrete"), to_float(BYTES)
    assert certify_images(smoothed, images, n=100)[0].noise == "discrete gaussian"
    with refused("smoothed with discrete gaussian noise: choose one"):
        certify_images(smoothed, images, n=100, noise="sound")
    with refused("off the 8-bit grid"): certify_images(smoothed, PIXELS, n=100)
    with refused("write SoundGaussianNoise()"): SmoothedClassifier(linear, 0.5, noise=SoundGaussianNoise)
    for change in ({"skip": 2}, {"max": 1}):
        with refused("here all are certified"): certify_images(smoothed, images, n=100, **change)


@pytest.fixture
def short_floats():
    "What decides whether a GPU shortens float32, put back afterwards."
    places = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [place.fp32_precision for place in places]
    yield places
    for place, value in zip(places, before): place.fp32_precision = value


def test_a_certificate_tells_how_the_classifier_computed(run, short_floats):
    smoothed, image = layer_of(1), DIGITS.images[0] / 255
    with torch.autocast("cpu", torch.bfloat16):
        certificates = smoothed.certify(image, n=100), SplitClassifier(smoothed.f, 16).certify(image)
        assert {c.precision for c in certificates} == {"autocast bfloat16"}
        run(smoothed)
    with refused("precision='autocast bfloat16' there, 'float32' now"): run(smoothed)
    for *values, expected in (("tf32", "ieee", "tf32"), ("ieee", "ieee", "float32"), ("ieee", "tf32", "tf32")):
        for place, value in zip(short_floats, values): place.fp32_precision = value
        assert replace(smoothed, device="cuda").precision == expected
    assert smoothed.precision == "float32"


def test_a_classifier_may_take_a_gradient():
    def steps(x):
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            gradient, = torch.autograd.grad(linear(x)[:, 0].sum(), x)
        return linear(x.detach() - 0.01 * gradient)
    assert SmoothedClassifier(steps, 0.5).certify(PIXELS[0], n=100, seed=0).precision == "float32"
    assert SplitClassifier(steps, 16).certify(to_float(BYTES)[0]).width == 16


def test_radii_in_one_norm_are_not_those_in_another(run, tmp_path):
    smoothed = replace(layer_of(1), noise=UniformNoise())
    in_l1, in_l2 = run(smoothed, "l1.tsv"), run(layer_of(1), "l2.tsv")
    assert (json.loads((tmp_path / "l1.tsv.json").read_text())["norm"], in_l2.norm) == ("l1", "l2")
    assert compare(in_l1, in_l1)[0] == 0
    with refused("different norms, l1 and l2"): compare(in_l1, in_l2)
    images, answers = to_float(DIGITS.images[:3]), in_l1.predict
    for attack in (smallest_attack, lambda *args, **more: attacks_inside(*args, radii=[1.0] * 3, **more)):
        with refused("uniform (L1) noise proves radii in the l1 norm"):
            attack(smoothed, images, answers, generator=make_generator(0))


def test_every_method_can_be_made():
    from pkgutil import resolve_name
    for name in _METHODS: assert callable(resolve_name(_METHODS[name]))


PROGRAM = """
import os, resource, signal, sys, torch
from arq_nb.core.archives import load_dataset
from arq_nb.core.processes import init_processes
from arq_nb.certify.logs import certify_dataset
from arq_nb.certify.smoothing import SmoothedClassifier
init_processes()
{before}
class Threshold:
    calls = 0
    def __call__(self, x):
        Threshold.calls += 1
        {each_image}
        return torch.stack([x.mean((1, 2, 3)) * i - 0.03 * i * i for i in range(10)], 1)
data = load_dataset("digits", split="test").every(12)
certify_dataset(SmoothedClassifier(Threshold(), 0.5, batch_size=100), data, sys.argv[1], n0=100, n=200, progress=False)
"""


def certifying(before: str = "pass", each_image: str = "pass") -> str:
    "A program that certifies digits after running `before`, and runs `each_image` before each call of the classifier."
    return PROGRAM.format(before=before, each_image=each_image)


def undisturbed(path: Path) -> None:
    "The same program, here and to its end."
    exec(certifying().replace("sys.argv[1]", repr(str(path))), {})


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    "The log of a run to which nothing happens."
    path = tmp_path_factory.mktemp("calm") / "one.tsv"
    undisturbed(path)
    return path


# Ctrl-C works in the child even if the parent, in the background, has switched it off.
CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


ACCIDENTS = {"full disk": dict(before="resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))"),
             "Ctrl-C": dict(each_image="if Threshold.calls == 25: os.kill(os.getpid(), signal.SIGINT)"),
             "kill -9": dict(each_image="if Threshold.calls == 25: os.kill(os.getpid(), signal.SIGKILL)")}

@pytest.mark.parametrize("accident", ACCIDENTS)
def test_accidents(tmp_path, calm, accident):
    path, whole = tmp_path / "log.tsv", read_log(calm)
    command = [sys.executable, "-c", CTRL_C + certifying(**ACCIDENTS[accident]), str(path)]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode != 0
    assert 0 < path.read_text().count("\n") - 1 < len(whole)
    undisturbed(path)
    same_certificates(read_log(path), whole)


def test_two_processes_share_the_images(tmp_path, calm):
    "And a part that a stopped run has left is used."
    lines, two = calm.read_text().splitlines(keepends=True), tmp_path / "two.tsv"
    (tmp_path / "two.tsv.1").write_text("".join([*lines[:4], "\n", lines[0], *lines[4:6]]))   # as `read_log` reads it
    (tmp_path / "two.tsv.1.json").write_text(Path(f"{calm}.json").read_text())
    launch(certifying(), str(two), count=2)
    same_certificates(read_log(two), read_log(calm))
    assert read_log(two).time[:5].tolist() == read_log(calm).time[:5].tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two.tsv", "two.tsv.json"]


def test_the_first_of_four_processes_waits_for_the_slowest(tmp_path, calm):
    "A log without its parts' last rows would look whole; and brackets in its name are no pattern."
    slow = "if len(x) > 6 and torch.distributed.get_rank() == 3: __import__('time').sleep(0.2)"
    four = tmp_path / "net[w4a4].tsv"
    launch(certifying(each_image=slow), str(four), count=4)
    same_certificates(read_log(four), read_log(calm))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net[w4a4].tsv", "net[w4a4].tsv.json"]


# ---------------------------------------------------------------- anytime

FEW = (0.5 + 0.3 * WEIGHT / WEIGHT.norm()).clamp(0, 1).expand(2, -1, -1, -1)
SMOOTHED = SmoothedClassifier(linear, 0.5)


def until(f=SMOOTHED, **changes): return certify_until(f, FEW, at_least(SMOOTHED, 0.1), streams(40), **changes)
def like(f=SMOOTHED, images=FEW, **changes): return certify_like(f, images, streams(40), **changes)


def test_stopping_early_with_numbers_of_numpy():
    assert until(n0=np.int64(100), n_max=1e3, alpha=np.float64(0.001)) == until(n0=100, n_max=1_000)
    assert like(images=FEW.double(), n0=1e2, n=np.int64(1_000), alpha=np.array(0.001)) == like(n0=100, n=1_000)
    assert like(n0=100, n=1_000, labels=np.array([0, 1]))[0].n == 0


def test_a_coin_sharpens_bounds_on_the_same_votes():
    own = streams(40)
    plain = certify_like(SMOOTHED, FEW, own, n=1_000, labels=[1, 0])
    coin = sharpened(SMOOTHED, plain, own)
    assert coin[0].radius > plain[0].radius
    assert coin[0].votes == plain[0].votes
    assert coin[1] == plain[1]


def test_stopping_early_refuses():
    fewest = _fewest_samples(lambda n: anytime_lower(n, n, 0.001) > 0.5)
    with refused(f"n_max={fewest - 1} "): until(n_max=fewest - 1)
    with refused(f"at least {fewest} are needed"): until(n_max=9)
    with refused("at least 10 are needed"): like(n=9)
    with refused("labels of shape (1,) for 2 images"): like(labels=[1])
    with refused("at most 0.3"): until(alpha=0.5)
    with refused("the question has alpha=0.01, the certificates alpha=0.001"):
        certify_until(SMOOTHED, FEW, at_least(SMOOTHED, 0.1, alpha=0.01), streams(40))
    for bad in ("0.1", np.nan, True, 1.0):
        with refused("alpha="): until(alpha=bad)
        with refused("alpha="): like(alpha=bad)
    for run in (until, like):
        with refused("one logit"): run(SmoothedClassifier(lambda x: x.mean((1, 2, 3)), 0.5))
        with refused("neighbors"): run(SmoothedClassifier(lambda x: linear(x) - linear(x).mean(0), 0.5))


# ---------------------------------------------------------------- incremental

BYTES = (torch.rand(9, 1, 4, 4, generator=make_generator(3)) * 255).to(torch.uint8)
NINE = ImageData(BYTES, torch.ones(9, dtype=torch.int64), ["below", "above"], "synthetic")


def network_in_training() -> nn.Module:
    net = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 2))
    with torch.no_grad(): net[3].weight.copy_(torch.stack([-WEIGHT.flatten(), WEIGHT.flatten()]))
    return net


@pytest.fixture
def replays():
    "A network in training mode, the same in evaluation mode, both smoothed, and the cache of the first."
    net = network_in_training()
    new, evaluated = SmoothedClassifier(net, 0.5), SmoothedClassifier(copy.deepcopy(net).eval(), 0.5)
    return new, evaluated, build_cache(new, NINE, n0=np.int64(50), n=2e2, alpha=np.float64(0.001), seed=np.int32(0))


def test_caches_of_networks_in_training_mode(replays, tmp_path):
    new, evaluated, cache = replays
    s = cache.settings
    assert cache.radius.tolist() == build_cache(evaluated, NINE, n0=50, n=200).radius.tolist()
    assert [type(v) for v in (s.n0, s.n, s.alpha, s.seed)] == [int, int, float, int]
    cache.save(tmp_path / "cache")
    assert CertificateCache.load(tmp_path / "cache").settings == s
    replayed = certify_incremental(cache, new, NINE, np.int64(60))
    same_certificates(replayed, certify_incremental(cache, evaluated, NINE, 60.0))
    again, expected = (recertify(cache, f, NINE, n=1e3, pilot=np.int64(50))[0] for f in (new, evaluated))
    same_certificates(again, expected)
    assert (new.f.training, new.f[0].num_batches_tracked.item()) == (True, 0)


def test_caches_of_other_noise_are_refused(replays, tmp_path):
    "Another version may draw other numbers from the same seed: the votes of its cache cannot be replayed."
    new, _, cache = replays
    strange = replace(cache, settings=replace(cache.settings, stream="0123456789abcdef"))
    with refused("stream"): certify_incremental(strange, new, NINE, 60)
    cache.save(tmp_path / "cache")
    metadata, arrays = load_tensors(tmp_path / "cache")
    old = json.loads(metadata["settings"])
    del old["stream"]
    save_tensors(tmp_path / "old", arrays,
                 metadata | {"settings": json.dumps(old)})
    with refused("a version before 0.3 wrote it"): CertificateCache.load(tmp_path / "old")


def test_a_device_has_a_kind_and_a_number_that_does_not_matter(replays, tmp_path):
    _, evaluated, cache = replays
    numbered = replace(evaluated, device="cpu:0")
    assert build_cache(numbered, NINE, n0=50, n=200).settings == build_cache(evaluated, NINE, n0=50, n=200).settings
    old = replace(cache, settings=replace(cache.settings, device="cpu:0"))   # as version 0.3 has noted it
    def replayed(cache, f): return certify_incremental(cache, f, NINE, 60)
    def certified(cache, f): return recertify(cache, f, NINE, pilot=50)[0]
    for again in (replayed, certified):
        same_certificates(again(cache, evaluated), again(old, evaluated))
        same_certificates(again(cache, numbered), again(old, numbered))
    cache.save(tmp_path / "cache", {"device": "cuda:1"})
    found = CertificateCache.kept(tmp_path / "cache", {"device": "cuda"}, lambda: 1 / 0)
    assert found.settings == cache.settings


def test_replays_that_are_too_few_or_none(replays):
    new, _, cache = replays
    with refused("n=9 samples can never give an answer at alpha=0.001"): build_cache(new, NINE, n=9)
    for n_p in (3, np.array([0, 3] + [60] * 7)):
        with refused("n_p=3 samples can never"): certify_incremental(cache, new, NINE, n_p)
    with refused("n=3 samples can never"): recertify(cache, new, NINE, n=3, pilot=50)
    for n_p in (True, 2.5, "60", np.full(9, 2.5), None, 0, 201):
        with refused("n_p="): certify_incremental(cache, new, NINE, n_p)
    with refused("(2,)"): certify_incremental(cache, new, NINE, np.array([100, 100]))
    for bad in (0, 1, np.nan, "0.1"):
        with refused("alpha_zeta="): certify_incremental(cache, new, NINE, alpha_zeta=bad)
    for pilot in (0, 120, 200):
        with refused("must be a positive multiple of 50 and less than the 200 samples"):
            recertify(cache, new, NINE, pilot=pilot)
    with refused("n=0 must be a whole number"): recertify(cache, new, NINE, n=0, pilot=50)
    with refused("tolerance=0"): recertify(cache, new, NINE, tolerance=0, pilot=50)


def test_replays_of_what_is_no_classifier(replays):
    new, _, cache = replays
    for f in (lambda x: new.f(x - x.mean(0)), lambda x: new.f(x)[:, :1]):
        with refused("the classifier"): build_cache(SmoothedClassifier(f, 0.5), NINE)
        with refused("the classifier"): certify_incremental(cache, SmoothedClassifier(f, 0.5), NINE, 60)
        with refused("the classifier"): recertify(cache, SmoothedClassifier(f, 0.5), NINE, pilot=50)


def test_as_many_replays_for_each_image_as_are_asked(replays):
    _, evaluated, cache = replays
    same_certificates(certify_incremental(cache, evaluated, NINE, n_p=np.full(9, 150)),
                      certify_incremental(cache, evaluated, NINE, n_p=150))
    one = certify_incremental(cache, evaluated, NINE, n_p=np.array([0] * 8 + [150]))
    assert one.predict[:8].tolist() == [ABSTAIN] * 8
    assert one.radius[:8].tolist() == [0.0] * 8


def test_wrong_guesses_get_no_samples(replays):
    _, evaluated, cache = replays
    log, spent = recertify(cache, evaluated, NINE, pilot=50, labels=1 - cache.guess)
    assert (spent.tolist(), log.predict.tolist(), log.radius.tolist()) == ([0] * 9, [ABSTAIN] * 9, [0.0] * 9)
    assert min(recertify(cache, evaluated, NINE, pilot=50)[1]) > 50


def test_what_a_choice_has_seen_certifies_nothing(replays, tmp_path):
    _, evaluated, cache = replays
    known = cache.seen(110)
    assert (known.seen(20).settings.used, cache.settings.used) == (110, 0)
    plain = SmoothedClassifier(evaluated.f, 0.5)
    votes = plain.votes(to_float(NINE.images), 200, cache.streams(range(9))).numpy() == cache.guess[:, None]
    log, spent = recertify(known, evaluated, NINE, n=50, pilot=50)
    p_cached = clopper_pearson_lower(votes[:, 150:].sum(1), 50, 0.001)
    through = p_cached + change_lower(0, 0, 50, 0.001)
    direct = clopper_pearson_lower(votes[:, 150:].sum(1), 50, 0.002)
    expected = [certified_radius(np.clip(p, 0, 1), 0.5) for p in (through, direct)]
    assert spent.tolist() == [100] * 9
    assert np.isclose(log.radius, expected).any(0).all()
    known.save(tmp_path / "cache")
    assert CertificateCache.load(tmp_path / "cache").settings == known.settings
    with refused("a choice has seen 151 of the 200 samples"): recertify(cache.seen(151), evaluated, NINE, pilot=50)


def test_a_cache_knows_its_network_and_its_labels(replays):
    _, evaluated, _ = replays
    net = evaluated.f
    cache = build_cache(evaluated, NINE, n=100)
    certify_incremental(cache, evaluated, NINE, n_p=50, origin=net)
    with torch.no_grad(): net[3].bias += 1
    with refused("origin="): certify_incremental(cache, evaluated, NINE, n_p=50, origin=net)
    relabeled = ImageData(NINE.images, 1 - NINE.labels, NINE.classes)
    with refused("images="): recertify(cache, evaluated, relabeled, pilot=50)


# ---------------------------------------------------------------- attacks

POINTS = torch.rand(5, 1, 2, 2, generator=make_generator(9))


@pytest.fixture(scope="module")
def attacked() -> tuple[SmoothedClassifier, SmoothedClassifier]:
    "A small network in training mode and in evaluation mode, smoothed."
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    nn.init.normal_(net[3].weight, generator=make_generator(40))
    with torch.no_grad(): net[3].bias.zero_()
    return SmoothedClassifier(net, 0.5), SmoothedClassifier(copy.deepcopy(net).eval(), 0.5)


def walk(smoothed, labels=(0,) * 5, radii=0.5, images=POINTS, **changes):
    return pgd(smoothed, images, list(labels), radii=radii, generator=make_generator(41), **changes)


def search(smoothed, labels=(0,) * 5, **changes):
    return smallest_attack(smoothed, POINTS, list(labels), generator=make_generator(41), **changes)[1]


def test_attacks_on_networks_in_training_mode(attacked):
    new, evaluated = attacked
    for attack in (walk, search): assert torch.equal(attack(new), attack(evaluated))
    assert (new.f.training, new.f[1].num_batches_tracked.item(), new.f[3].weight.grad) == (True, 0, None)
    some = walk(evaluated, radii=np.float32(0.5), images=POINTS.double(), steps=np.int64(3), samples=4.0)
    assert torch.equal(some, walk(evaluated, attack=Attack(steps=3, samples=4)))


def test_attacks_that_are_none(attacked):
    _, evaluated = attacked
    for labels, radii, sentence in (([0] * 5, -0.5, "radius -0.5"), ([0] * 5, np.inf, "radius inf"),
                                    ([0] * 4, 0.5, "labels of shape (4,) for 5 images"),
                                    ([-1] * 5, 0.5, "these begin at -1"),
                                    ([2] * 5, 0.5, "label 2"), ([0] * 5, [0.5, 1], "radii of shape (2,)")):
        with refused(sentence): walk(evaluated, labels, radii)
    for images, sentence in ((POINTS[:0], "no images"), (POINTS + 0.9, "must lie in [0, 1]"),
                             ((255 * POINTS).byte(), "`arq_nb.core.data.to_float`")):
        with refused(sentence): walk(evaluated, images=images)
    for name, value in dict(steps=0, samples=0, levels=0, n=0.5, alpha=0, halvings=0).items():
        with refused(f"{name}={value}"): Attack(**{name: value})
    with refused("radii=[]"): search(evaluated, radii=[])
    with refused("radius -0.1"): search(evaluated, radii=[0.5, -0.1])
    with refused("labels of shape (4,)"): search(evaluated, [0] * 4)
    with refused("without an answer"): search(evaluated, [0] * 4 + [ABSTAIN])
    with refused("n=14 samples can never"): search(evaluated, n=14)
    with refused("at least 11"):
        attacks_inside(evaluated, POINTS, [0] * 5, radii=[0.1] * 5, generator=make_generator(41), n=10)


def test_attacks_on_what_has_no_gradient(attacked):
    net = attacked[1].f
    for f, sentence in ((lambda x: net(x).detach(), "no gradient"), (lambda x: net(x) * float("nan"), "NaN"),
                        (lambda x: net(x - x.mean(0)), "depends on neighbors")):
        with refused(sentence): walk(SmoothedClassifier(f, 0.5))


def test_noise_of_ones_own():
    "Whatever has a name and the two methods is a noise."
    class Doubled(GaussianNoise):
        name = "doubled"
        def radius(self, p_lower, sigma): return super().radius(p_lower, sigma) / 2
    certificate, usual = (SmoothedClassifier(linear, 0.5, noise=noise).certify(FEW[0], n=500, seed=0)
                          for noise in (Doubled(), GaussianNoise()))
    assert (certificate.noise, certificate.radius) == ("doubled", usual.radius / 2)


# ---- memory

class Alive:
    "Bytes of those tensors that have been met and are still there, at most."
    def __init__(self): self.met, self.most = {}, 0

    def meet(self, *tensors):
        for storage in (t.untyped_storage() for t in tensors):
            self.met[storage.data_ptr()] = StorageWeakRef(storage), storage.nbytes()
        self.met = {place: (ref, size) for place, (ref, size) in self.met.items() if not ref.expired()}
        self.most = max(self.most, sum(size for _, size in self.met.values()))


class Allocated(TorchDispatchMode):
    "Meets whatever an operation gives."
    def __init__(self):
        super().__init__()
        self.alive = Alive()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.alive.meet(*(t for t in tree_leaves(result) if isinstance(t, torch.Tensor)))
        return result


class CountedNoise(GaussianNoise):
    "Meets the buffers that it fills."
    def __init__(self): self.alive, self.copies = Alive(), 0

    def fill(self, buffer, pixels, sigma, generator):
        self.alive.meet(buffer)
        self.copies += len(buffer)
        super().fill(buffer, pixels, sigma, generator)


@pytest.fixture
def many():
    "Ten images of 3 x 16 x 16, a batch of 200 of whose copies has 0.6 MB, and 1,000 of each 31 MB."
    digits = load_dataset("digits", split="test").every(36)
    data = ImageData(digits.images.repeat(1, 3, 2, 2), torch.zeros(10, dtype=torch.int64), digits.classes)
    def f(x): return torch.stack([x.mean((1, 2, 3)), 0.1 - x[:, 0, 0, 0]], 1)   # the first, for most images
    return SmoothedClassifier(f, 0.25, batch_size=200, noise=CountedNoise()), data, 200 * 3 * 16 * 16 * 4


def logged(it, data, log, **settings): return certify_dataset(it, data, log, progress=False, **settings)


def until_answered(it, images):
    return certify_until(it, images, at_least(it, 0.2), it.streams(range(10), 0), n_max=1_000)


WAYS = {   # whatever asks about noisy copies: of a classifier, images with labels, a cache of them and a place for logs
    "predict": lambda it, data, cache, log: it.predict_batch(to_float(data.images), seed=0),
    "certify": lambda it, data, cache, log: it.certify_batch(to_float(data.images), n=1_000),
    "data set": lambda it, data, cache, log: logged(it, data, log, n=1_000),
    "early": lambda it, data, cache, log: logged(it, data, log, n=1_000, method="early"),
    "incremental": lambda it, data, cache, log: logged(it, data, log, n=500, method="incremental", cache=cache),
    "until": lambda it, data, cache, log: until_answered(it, to_float(data.images)),
    "like": lambda it, data, cache, log: certify_like(it, to_float(data.images), it.streams(range(10), 0), n=1_000),
    "cache": lambda it, data, cache, log: build_cache(it, data, n=1_000),
    "replay": lambda it, data, cache, log: certify_incremental(cache, it, data),
    "again": lambda it, data, cache, log: recertify(cache, it, data, n=500),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_more_than_one_batch_of_noisy_copies_is_held(many, way, tmp_path):
    smoothed, data, batch = many
    cache, noise = build_cache(smoothed, data, n=1_000), smoothed.noise
    noise.copies, noise.alive = 0, Alive()
    with Allocated() as allocated: WAYS[way](smoothed, data, cache, tmp_path / "log.tsv")
    assert noise.copies >= 1_000
    assert noise.alive.most <= 1.1 * batch       # the gate looks at a dozen copies of its own
    assert allocated.alive.most <= 2.5 * batch   # with the images, their votes, and what `f` makes


def test_an_attack_holds_a_few_batches(many):
    "Of noise, of noisy copies, and of their gradients; 10 images in 20 steps of 40 copies are 40 batches."
    smoothed, data, batch = many
    generator, images = make_generator(0), to_float(data.images)
    with Allocated() as allocated:
        attacks_inside(smoothed, images, data.labels, torch.full((10,), 0.3), generator, samples=40, n=200)
    assert allocated.alive.most <= 8 * batch


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_network_from_a_file_of_torchscript(tmp_path):
    "It aborted the whole program. Read again, it goes on with its log; another network is refused."
    def one(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    net, other = one(), one()
    for f, name in ((net, "net.pt"), (other, "other.pt")): torch.jit.script(f).save(tmp_path / name)
    def certified(name, most):
        smoothed = SmoothedClassifier(torch.jit.load(tmp_path / name).eval(), 0.25)
        return certify_dataset(smoothed, DIGITS, tmp_path / "log.tsv", Certify(10, 50, max=most), progress=False)
    certified("net.pt", 2)
    found = certified("net.pt", 4)
    assert len(found.radius) == 4
    with pytest.raises(ValueError, match="network"): certified("other.pt", 6)


class Routed(nn.Module):
    "Bright images go through a layer of their own."
    def __init__(self):
        super().__init__()
        self.dark, self.bright = nn.Linear(16, 2), nn.Linear(16, 2)

    def forward(self, x):
        is_bright, x = x.mean((1, 2, 3)) > 0.5, x.flatten(1)
        answer = self.dark(x)
        if is_bright.any(): answer[is_bright] = self.bright(x[is_bright])
        return answer


def test_nothing_is_calibrated_while_it_is_certified():
    net = Routed().eval()
    rounded = calibrate(quantize(net, Policy.uniform(net, 4, 4)), PIXELS * 0.8).eval()
    smoothed, gray = SmoothedClassifier(rounded, 0.25), torch.full((1, 4, 4), 0.35)
    for seed in (0, 1):   # also the second time
        with refused("'bright.input_quantizer' (LSQ) is not calibrated"): smoothed.certify(gray, n=1_000, seed=seed)
    assert not rounded.bright.input_quantizer.calibrated
    calibrate(rounded, torch.cat([PIXELS * 0.8, 1 - PIXELS * 0.2]))
    assert smoothed.certify(gray, n=1_000, seed=0).n == 1_000
