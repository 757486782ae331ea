"""MobileNetV2 on Tiny-ImageNet, part a: 20 classes of real photographs, small enough for a CPU.

Depthwise layers are cheap and fragile, so here bits matter more than in a ResNet. Width 0.5, 64 pixels, strides as
torchvision has them; trained with noise from random weights.

    arq-nb experiment nbs/experiments/tiny.py:networks --out runs/tiny

The one of sigma 0.5 took most of an hour and is kept, so that comparisons that begin with it can go on elsewhere:

    mkdir -p runs/bits && cp -r nbs/experiments/results/networks/. runs/bits
"""
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torchvision.models import MobileNetV2

from arq_nb.core.archives import load_dataset
from arq_nb.core.data import augment, ImageData
from arq_nb.lab.stages import Images, TrainStage
from arq_nb.lab.study import Stage
from arq_nb.quant.models import normalized
from arq_nb.train.training import Recipe

@dataclass(frozen=True)
class TinyImageNet(Images):
    "Tiny-ImageNet, whose test images are in the folder `val`; gray photographs become RGB."
    data: str = "folder"

    def read(self, root: Path | None, split: str) -> ImageData:
        return load_dataset("folder", root, "train" if split == "train" else "val", convert=True)


def mobilenet_half(num_classes: int) -> nn.Module:
    "MobileNetV2 of half the width."
    return normalized(MobileNetV2(num_classes, width_mult=0.5))


PART_A = TinyImageNet(roots=("tiny-imagenet/tiny-imagenet-a.tar.xz",), held_out=1_000)
SIGMAS = 0.25, 0.5
TRAINING = Recipe(epochs=60, lr=0.1, weight_decay=1e-4, augmenter=augment)
NETWORKS = {sigma: TrainStage(mobilenet_half, PART_A, sigma, TRAINING) for sigma in SIGMAS}


def networks() -> list[Stage]:
    "The float networks."
    return [*NETWORKS.values()]
