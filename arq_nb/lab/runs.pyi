# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from torch import nn
from ..core.data import ImageData
from ..quant.budgets import Budget
from ..quant.policies import Policy

__all__ = ["Run"]
_AUGMENTERS: dict[str, Any | None | partial]

@dataclass(frozen=True)
class Run:
    """
    What a run folder is about; `ValueError` for what fits nothing.

        run = Run("folder", ("photos",), model="resnet18", sigma=0.25, size=64)
        run.save(out)                        # refuses the folder of another run
        train, holdout, test = run.images(out)
    """

    data: str = "digits"
    root: tuple[str, ...] = ()
    model: str = "resnet8"
    sigma: float = 0.5
    seed: int = 0
    holdout: int = 100
    device: str = "cpu"
    size: int | None = None
    channels: int = 3
    convert: bool = False
    augmentation: str | None = None
    _home: None

    def __post_init__(self) -> None: ...
    def save(self, out: Path) -> None:
        """Write `run.json`, or make sure that it says the same."""

    @classmethod
    def load(cls, out: Path) -> "Run":
        """Read `run.json`."""

    def _decoded(self, out: Path, root: Path | None, split: str, **reading: object) -> ImageData: ...
    def images(self, out: Path) -> tuple[ImageData, ImageData, ImageData]:
        """Load what the run is about."""

    @property
    def augmenter(self) -> Callable | None:
        """What is done to training images; unless it was said, nothing to digits, whose mirror images are no digits."""

    @property
    def home(self) -> str:
        """Where a module of yours is looked for: where the run was begun, if that is still there, or here."""

    def network(self, classes: int) -> nn.Module:
        """The run's network with random weights, the same ones for the same seed."""

    def check_network(self, model: nn.Module, data: ImageData) -> None:
        """Ask the network about two images in its precision; `ValueError` unless it gives logits for the classes of `data`."""

    def trained(self, out: Path, classes: int, train: ImageData | None = None) -> nn.Module:
        """The float network that `arq-nb train` left; `ValueError` if it was trained on other images."""

@contextmanager
def _importing_from(home: str) -> Iterator[None]: ...
def _own_network(name: str, classes: int, home: str) -> nn.Module: ...

_MODELS: tuple[str, ...]

def _network_by_name(name: str, classes: int, home: str) -> nn.Module: ...
def _budget(out: Path, model: nn.Module, shape: tuple[int, int, int], **limit: float | None) -> Budget: ...

_BITS: tuple[str, ...]

def _uniform_policy(
    bits: int,
    model: nn.Module,
    shape: tuple[int, int, int],
    budget: Budget,
    min_bits: int = 2,
    max_bits: int = 8,
    edge_bits: int = 8,
) -> Policy: ...
def _searched(out: Path) -> tuple[dict, dict]: ...

_NAMES: dict[str, str]

def _policy_of(network: str, out: Path, model: nn.Module, shape: tuple[int, int, int]) -> Policy: ...
