# Written by tools/stubs.py: edit the notebooks.
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload
import torch
from torch import nn, Tensor
from ..certify.logs import CertificateLog
from ..certify.settings import Certify
from ..certify.smoothing import Certificate, SmoothedClassifier
from ..core.data import ImageData
from ..quant.policies import Policy
from ..quant.quantizers import LSQ, UniformQuantizer

__all__ = ["smoothed", "SmoothedNetwork", "load"]

def smoothed(
    network: nn.Module,
    sigma: float,
    certify: Certify,
    input_shape: tuple[int, int, int],
    device: str | torch.device = "cpu",
) -> SmoothedClassifier:
    """The network as it will run, under noise; a float network runs in float32 where its rivals run in integers."""

def _check_bits(network: nn.Module, policy: Policy) -> None: ...

@dataclass(frozen=True, eq=False)
class SmoothedNetwork:
    """
    What comes out in the end: a network with its bits, under its noise, and how it is certified.

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

    @property
    def classifier(self) -> SmoothedClassifier:
        """The network as it runs, under its noise: for `certify_until`, attacks and whatever else asks for one.

        Made once, and anew after the network has been trained further."""

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

    def about(self) -> dict:
        """What a folder says about the network that it holds, besides the settings that led to it."""

    def _record(self) -> dict: ...
    def save(self, folder: str | os.PathLike) -> None:
        """Write policy.json, model.safetensors and record.json: beside the float network, all that `load` needs.

        `ValueError` if the folder holds another network, or this one with other settings."""

    def export(self, path: str | os.PathLike, format: str | None = None) -> Path:
        """Write the network as a file for other programs, with its noise and how it is certified in the notes.

        `load_exported` makes a classifier of it; `ValueError` by name for what cannot be exported."""

_KNOWN: tuple[str, ...]

def certify_record(certify: Certify, seed: int) -> dict:
    """The settings as version 0.2 wrote them, and new ones if they are used; a batch size decides nothing."""

def _certify_of(record: Mapping) -> Certify: ...
def _kind(folder: Path, record: Mapping, given: type[UniformQuantizer] | None) -> type[UniformQuantizer]: ...
def load(
    folder: str | os.PathLike, model: nn.Module, quantizer: type[UniformQuantizer] | None = None
) -> SmoothedNetwork:
    """The network that was saved: it gives the same certificates. Nothing is calibrated, nothing trained.

    `ValueError` by name for a network of another structure, and for one with other settings, such as another mean of
    its `Normalize`; an edited forward pass under the same class name is not noticed."""
