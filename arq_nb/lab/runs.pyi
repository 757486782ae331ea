# Written by tools/stubs.py: edit the notebooks.
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from torch import nn
from ..core.data import ImageData

__all__ = ["Run"]

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
        """Random crops and mirror images, but not for digits, whose mirror images are no digits."""

    def network(self, classes: int) -> nn.Module:
        """The run's network with random weights, the same ones for the same seed."""

    def check_network(self, model: nn.Module, data: ImageData) -> None:
        """Ask the network about two images in its precision; `ValueError` unless it gives logits for the classes of `data`."""

    def trained(self, out: Path, classes: int) -> nn.Module:
        """The float network that `arq-nb train` left."""

def _unpacked(root: str, out: Path) -> Path: ...
def _stamps(root: Path) -> list: ...
@contextmanager
def _importing_from_here() -> Iterator[str]: ...
def _own_network(name: str, classes: int) -> nn.Module: ...

_MODELS: tuple[str, ...]

def _network_by_name(name: str, classes: int) -> nn.Module: ...
