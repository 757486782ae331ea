# Written by tools/stubs.py: edit the notebooks.
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload
import torch
from torch import nn, Tensor
from ..certify.logs import CertificateLog
from ..certify.settings import Certify
from ..certify.smoothing import Certificate, SmoothedClassifier
from ..core.data import ImageData
from ..core.record import Record
from ..quant.policies import Policy
from ..quant.quantizers import LSQ, UniformQuantizer
from .training import Recipe

__all__ = ["finetune", "smoothed", "SmoothedNetwork", "load", "Finish", "finished", "finish"]

def finetune(
    model: nn.Module,
    policy: Policy,
    train: ImageData,
    sigma: float,
    recipe: Recipe = Recipe(lr=0.02),
    quantizer: type[UniformQuantizer] = LSQ,
    checkpoint: str | os.PathLike | None = None,
    progress: bool = False,
) -> tuple[nn.Module, list[dict]]:
    """Quantize a copy of `model`, calibrate it on noisy training images, and fine-tune it with noise."""

def smoothed(
    network: nn.Module,
    sigma: float,
    certify: Certify,
    input_shape: tuple[int, int, int],
    device: str | torch.device = "cpu",
) -> SmoothedClassifier:
    """The network as it will run, under noise; a float network runs in float32 where its rivals run in integers."""

@dataclass(frozen=True, eq=False)
class SmoothedNetwork:
    """What comes out in the end: a network with its bits, under its noise, and how it is certified.

    small = finished(network, policy, train, sigma=0.25)
    print(small.certify(image).radius, small.certify(test, n=1_000))
    small.save("runs/final")
    """

    network: nn.Module
    policy: Policy
    sigma: float
    input_shape: tuple[int, int, int]
    classes: list[str]
    settings: Certify = Certify(n=1000)
    quantizer: type[UniformQuantizer] = LSQ

    def __post_init__(self) -> None: ...
    def __repr__(self) -> str: ...
    def _mean_bits(self, kind: int) -> float: ...
    @property
    def device(self) -> str:
        """Where it computes."""

    @cached_property
    def classifier(self) -> SmoothedClassifier:
        """The network as it runs, under its noise: for `certify_until`, attacks and whatever else asks for one."""

    def _classifier(self, certify: Certify) -> SmoothedClassifier: ...
    def _check(self, images: Tensor | ImageData) -> None: ...
    def _asked(self, changes: Mapping[str, object]) -> tuple[SmoothedClassifier, Certify]: ...
    @overload
    def certify(self, images: Tensor, **changes: object) -> Certificate | Any: ...
    @overload
    def certify(
        self,
        images: ImageData,
        out: str | os.PathLike | None = None,
        *,
        progress: bool = True,
        cache: object = None,
        **changes: object,
    ) -> CertificateLog: ...
    def predict(self, images: Tensor, **changes: object) -> int | Any:
        """PREDICT: the class alone, which takes fewer samples than a certificate."""

    def _about(self) -> dict: ...
    def _record(self) -> dict: ...
    def save(self, folder: str | os.PathLike) -> None:
        """Write policy.json, model.safetensors and record.json: beside the float network, all that `load` needs.

        `ValueError` if the folder holds another network, or this one with other settings."""

_KNOWN: tuple[str, ...]

def _certify_record(certify: Certify, seed: int) -> dict: ...
def _certify_of(record: Mapping) -> Certify: ...
def _kind(folder: Path, record: Mapping, given: type[UniformQuantizer] | None) -> type[UniformQuantizer]: ...
def load(
    folder: str | os.PathLike, model: nn.Module, quantizer: type[UniformQuantizer] | None = None
) -> SmoothedNetwork:
    """The network that was saved: it gives the same certificates. Nothing is calibrated, nothing trained.

    `ValueError` by name for a network of another structure, and for one that computes otherwise, such as with
    another normalization of its input."""

@dataclass(frozen=True)
class Finish:
    """How a policy becomes a certified network.

    careful = Finish(Recipe(epochs=10, lr=0.01), Certify(n=100_000, noise="sound"))
    log = finish(network, policy, train, test, 0.25, "runs/final", careful)
    log = finish(network, policy, train, test, 0.25, "runs/quick", careful, epochs=1, n=500)
    """

    recipe: Recipe = Recipe(epochs=3, lr=0.02)
    certify: Certify = Certify(n=1000)
    quantizer: type[UniformQuantizer] = LSQ
    progress: bool = True
    cache: object = None

def _changed(settings: Finish, changes: Mapping[str, object]) -> Finish: ...
def _settings(model: nn.Module, policy: Policy, train: ImageData, sigma: float, settings: Finish) -> dict: ...
@contextmanager
def _recorded(out: Path | None, settings: Mapping) -> Iterator[Record | None]: ...
def _trained(
    model: nn.Module, policy: Policy, train: ImageData, sigma: float, settings: Finish, out: Path | None
) -> tuple[SmoothedNetwork, float]: ...
def finished(
    model: nn.Module,
    policy: Policy,
    train: ImageData,
    sigma: float,
    settings: Finish = Finish(),
    out: str | os.PathLike | None = None,
    **changes: object,
) -> SmoothedNetwork:
    """Fine-tune a policy: the network, not yet certified.

    `ValueError` if the folder holds another network, or one of other images or settings."""

def finish(
    model: nn.Module,
    policy: Policy,
    train: ImageData,
    test: ImageData,
    sigma: float,
    out: str | os.PathLike,
    settings: Finish = Finish(),
    **changes: object,
) -> CertificateLog:
    """Fine-tune a policy, certify the result from scratch on the test images, and write both down.

    `ValueError` if the folder holds the results of another network, policy, images or settings."""
