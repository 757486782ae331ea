"""Votes of a float network and of its quantized variants on the same noise: what the page on certificates counts.

    OMP_NUM_THREADS=1 python nbs/experiments/replayed.py 0.25 runs/replayed

It can be stopped at any time: what was sampled is kept in the folder. Made from a commit, or refused.
"""
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from presets import CIFAR
from torch import nn

from arq_nb.certify.smoothing import SmoothedClassifier
from arq_nb.core.data import augment, ImageData, to_float
from arq_nb.core.record import write_atomically
from arq_nb.core.rng import ESTIMATION, make_generator, SELECTION
from arq_nb.lab.study import Place, provenance, refuse_uncommitted, Stage
from arq_nb.quant.backends import deployed, samples_per_second
from arq_nb.quant.budgets import edge_layers, pin
from arq_nb.quant.costs import layer_table
from arq_nb.quant.int8 import export_int8, Int8
from arq_nb.quant.models import load_pretrained
from arq_nb.quant.policies import calibrate, dequantize, Policy, quantize
from arq_nb.train.finish import finetune
from arq_nb.train.training import evaluate, noisy_batches, Recipe

RESULTS = Path(__file__).parent / "results/certification/cpu"
IMAGES, N0, OWN, CACHED, REPLAYED = 100, 200, 100, 4_000, 1_700
SHAPE = 3, 32, 32


def images(run: Path):
    "CIFAR-10: training images of both archives without 500 held-out ones and their twins, original test images."
    return replace(CIFAR, held_out=500).parts(Place(run, Stage()))


def networks(run: Path, sigma: float, count: int = 2_000) -> dict[str, nn.Module]:
    "Float, 8 and 4 bits (8 in the first and last layer), fine-tuned as in a search; and the float one only rounded."
    model, few = load_pretrained("resnet20", sigma), images(run).some(count, 0, 1)
    edges, found = edge_layers(layer_table(model, SHAPE)), {}
    for name, bits in (("float32", 32), ("8 bits", 8), ("4 bits", 4)):
        policy = Policy.uniform(model, bits, bits) if bits == 32 else pin(Policy.uniform(model, bits, bits), edges)
        state = run / f"sigma{sigma:g}" / f"{name.replace(' ', '-')}.safetensors"
        found[name], _ = finetune(model, policy, few, sigma, Recipe(1, lr=0.02, augmenter=augment), checkpoint=state)
    noisy = next(noisy_batches(few, sigma, 256, make_generator(0)))[0]
    for bits in (8, 6):
        rounded = quantize(dequantize(found["float32"]), Policy.uniform(model, bits, bits))
        found[f"{bits} bits, only rounded"] = calibrate(rounded, noisy)
    return {name: f.eval() for name, f in found.items()}


def kept(path: Path, make: Callable[..., dict], *asked) -> dict[str, np.ndarray]:
    "Arrays of a file, which is made if it is missing."
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = make(*asked)
        write_atomically(path, lambda p: np.savez(open(p, "wb"), **found))
    return dict(np.load(path))


def votes(f: nn.Module, sigma: float, data: ImageData, place: int, n: int, purpose: int) -> np.ndarray:
    "The class of each of `n` noisy copies of an image, from the stream that `build_cache` draws."
    smoothed, x = SmoothedClassifier(f, sigma), to_float(data.images[place : place + 1])
    return smoothed.votes(x, n, [make_generator(0, place, purpose)])[0].numpy().astype(np.int8)


def original(f: nn.Module, sigma: float, data: ImageData, place: int) -> dict[str, np.ndarray]:
    "Guess and votes of the float network; an image with a wrong guess gets no votes: any table counts it as 0."
    first = votes(f, sigma, data, place, N0, SELECTION)
    guess = np.bincount(first).argmax()
    right = guess == int(data.labels[place])
    classes = votes(f, sigma, data, place, CACHED, ESTIMATION) if right else np.empty(0, np.int8)
    return dict(guess=guess, pilot=(first == guess).sum(), classes=classes)


def variant(f: nn.Module, sigma: float, data: ImageData, place: int, right: bool) -> dict[str, np.ndarray]:
    "The same of a variant, whose own guess is noted beside the votes."
    own = np.bincount(votes(f, sigma, data, place, OWN, SELECTION)).argmax()
    return dict(own=own, classes=votes(f, sigma, data, place, REPLAYED, ESTIMATION) if right else np.empty(0, np.int8))


def packed(found: list[dict], parent: list[dict]) -> dict[str, np.ndarray]:
    "Votes of the right images as bits: where a vote for the guess differs from the original's, where the class does."
    here = [(v["classes"], p["classes"][:REPLAYED], p["guess"]) for v, p in zip(found, parent) if len(p["classes"])]
    changed = np.stack([(v == guess) != (p == guess) for v, p, guess in here])
    other = np.stack([v != p for v, p, _ in here])
    return dict(own=np.array([int(v["own"]) for v in found]), changed=np.packbits(changed, 1),
                other=np.packbits(other, 1))


def measure(sigma: float, run: Path) -> None:
    "Two files: numbers and where they are from, and votes as bits."
    refuse_uncommitted(False)
    torch.set_num_threads(1)
    begin, test = time.process_time(), images(run).test
    nets = networks(run, sigma)
    clean = {name: evaluate(f, test) for name, f in nets.items()}
    programs = {name: deployed(f, SHAPE) if name == "float32" else Int8(export_int8(f, SHAPE))
                for name, f in nets.items()}
    rates = samples_per_second(programs, torch.rand(200, 32, 32, 3).permute(0, 3, 1, 2))
    places = range(0, len(test) // IMAGES * IMAGES, len(test) // IMAGES)
    def file(name, place): return run / f"sigma{sigma:g}" / name.replace(" ", "-") / f"{place}.npz"
    parent = [kept(file("float32", i), original, programs["float32"], sigma, test, i) for i in places]
    hits = [p["classes"] == p["guess"] for p in parent if len(p["classes"])]
    arrays = {"place": np.array(places), "label": test.labels[list(places)].numpy(), "hits": np.packbits(hits, 1)}
    arrays |= {name: np.array([int(p[name]) for p in parent]) for name in ("guess", "pilot")}
    for name, f in programs.items():
        if name == "float32": continue
        found = [kept(file(name, i), variant, f, sigma, test, i, len(p["classes"]) > 0)
                 for i, p in zip(places, parent)]
        arrays |= {f"{name}/{key}": value for key, value in packed(found, parent).items()}
    about = dict(network="resnet20", sigma=sigma, n0=N0, own=OWN, cached=CACHED, replayed=REPLAYED, clean=clean,
                 images="1,017 original test images of CIFAR-10", threads=torch.get_num_threads(),
                 samples_per_second={name: float(np.median(some)) for name, some in rates.items()},
                 cpu_seconds=round(time.process_time() - begin), provenance=provenance())
    name = f"replays-sigma{sigma:g}"
    write_atomically(RESULTS / f"{name}.npz", lambda p: np.savez_compressed(open(p, "wb"), **arrays))
    write_atomically(RESULTS / f"{name}.json", lambda p: p.write_text(json.dumps(about, indent=1) + "\n"))


if __name__ == "__main__":
    measure(float(sys.argv[1]), Path(sys.argv[2]))
