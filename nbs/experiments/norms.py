"""Exact L1 certificates of ResNet-20 on CIFAR-10, in float and in 4 bits, after short training with splitting noise.

    arq-nb experiment nbs/experiments/norms.py:study:400:3 --out runs/norms
    python nbs/experiments/norms.py study:400:3 runs/norms nbs/experiments/results/norms/cifar10.json

400 steps of 128 images, a quarter as many in 4 bits, and every third of 146 test images: three minutes of one core;
`study:2600:1` takes a quarter of an hour. Both networks begin with the shipped weights, which have seen Gaussian noise
of 0.5. The 4-bit network runs in integers.

`PUBLISHED` was counted in the certificates that Levine and Feizi publish beside their code
(github.com/alevine0/smoothingSplittingNoise, `cifar_split_derandomized_*`, without stability training):
WideResNet-40, trained for 120 epochs, 10,000 test images.
"""
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path

import torch
from presets import CIFAR
from torch import nn
from torch.nn.functional import cross_entropy

from arq_nb.certify.norms import SplitClassifier
from arq_nb.core.data import augment, batches, to_float
from arq_nb.core.record import write_atomically
from arq_nb.core.rng import make_generator
from arq_nb.lab.stages import Images
from arq_nb.lab.study import Place, Stage
from arq_nb.quant.backends import deployed
from arq_nb.quant.models import load_pretrained, load_weights, save_weights
from arq_nb.quant.policies import calibrate, Policy, quantize
from arq_nb.train.training import learning_rate, make_optimizer

WIDTH = 883  # gray levels of a cell: noise with a standard deviation of 1.0
RADII = 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5
PUBLISHED = {  # share of images that are right with an L1 radius of at least 0, 0.5, 1 and 1.5
    "the same noise": {0: 0.7990, 0.5: 0.7158, 1: 0.6209, 1.5: 0.4554},
    "the best of 15 noise levels": {0.5: 0.7225, 1: 0.6307, 1.5: 0.5621}}


@dataclass(frozen=True)
class SplitTrainStage(Stage):
    "A network that is trained with splitting noise: the shipped one, or what another stage has trained."
    images: Images
    width: int
    steps: int  # of 128 images
    lr: float
    bits: int = 32
    start: Stage | None = None
    files = ("model.safetensors",)

    def begun(self, at: Place) -> nn.Module:
        model = load_pretrained("resnet20", 0.5) if self.start is None else self.start.network(at.of(self.start))
        return model if self.bits == 32 else quantize(model, Policy.uniform(model, self.bits, self.bits), fitted=True)

    def network(self, at: Place) -> nn.Module:
        return load_weights(self.begun(at), at.folder / "model.safetensors").eval()

    def make(self, at: Place) -> dict:
        data, stream, split = self.images.parts(at).train, make_generator(0), SplitClassifier(None, self.width)
        model, right = self.begun(at), []
        def noisy(images): return split.shown(images, torch.randint(self.width, (len(images),), generator=stream))
        passes = (batches(data, 128, stream, augment) for _ in count())
        shuffled = islice(chain.from_iterable(passes), self.steps)
        if self.bits < 32: calibrate(model, noisy(next(batches(data, 128, stream, augment))[0]))
        optimizer = make_optimizer(model.train(), 5e-4)
        for step, (images, labels) in enumerate(shuffled):
            for group in optimizer.param_groups: group["lr"] = learning_rate(step, self.steps, self.lr)
            with torch.autocast("cpu", torch.bfloat16): logits = model(noisy(images)).float()
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(logits, labels).backward()
            optimizer.step()
            right.append((logits.argmax(1) == labels).float().mean().item())
            if step % 50 == 49: print(f"step {step + 1}: {sum(right[-50:]) / 50:.1%} right under noise", flush=True)
        save_weights(model, at.folder / "model.safetensors")
        return {"images": data.name, "right_under_noise": sum(right[-50:]) / len(right[-50:])}


@dataclass(frozen=True)
class SplitCertifyStage(Stage):
    "Exact certificates of such a network."
    trained: SplitTrainStage
    images: Images
    skip: int

    def make(self, at: Place) -> dict:
        test, network = self.images.parts(at).test.every(self.skip), self.trained.network(at.of(self.trained))
        f = deployed(network, test.shape, "float32" if self.trained.bits == 32 else "int8")
        found = SplitClassifier(f, self.trained.width).certify_batch(to_float(test.images))
        return {"name": test.name, "label": test.labels.tolist(), "predict": [c.prediction for c in found],
                "margin": [c.margin for c in found], "votes": [c.votes for c in found],
                "precision": found[0].precision}


TEST = replace(CIFAR, test=150)


def study(steps: str = "400", skip: str = "3") -> list[Stage]:
    "Certificates in float and in 4 bits."
    network = SplitTrainStage(TEST, WIDTH, int(steps), 0.1)
    four = SplitTrainStage(TEST, WIDTH, int(steps) // 4, 0.02, 4, network)
    return [SplitCertifyStage(network, TEST, int(skip)), SplitCertifyStage(four, TEST, int(skip))]


def accuracy(one: Mapping, radius: float) -> float:
    "Certified accuracy of a stored result at an L1 radius."
    rows = zip(one["label"], one["predict"], one["margin"])
    return sum(y == c and m >= 255 * radius for y, c, m in rows) / len(one["label"])


if __name__ == "__main__":
    name, folder, out = sys.argv[1:]
    stages = study(*name.split(":")[1:])
    kept = {f"{s.trained.bits} bits": {"certificates": Place(folder, s).result(),
                                       "training": Place(folder, s.trained).result()} for s in stages}
    commits = {part["provenance"]["commit"] for one in kept.values() for part in one.values()}
    if dirty := [c for c in commits if c.endswith("-dirty")]: raise ValueError(f"made from uncommitted code: {dirty}")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(out), lambda p: p.write_text(json.dumps(kept) + "\n"))
