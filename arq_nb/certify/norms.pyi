# Written by tools/stubs.py: edit the notebooks.
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import numpy as np
import torch
from torch import Tensor

__all__ = []
_WIDTH: float

@dataclass(frozen=True)
class UniformNoise:
    """Independent uniform noise, which proves a radius in the *L1* norm (Yang et al. 2020).

    `sigma` is its standard deviation: it lies in [-a, a] with a = sqrt(3) sigma. The theorem assumes real numbers;
    `SplittingNoise` does not.

        SmoothedClassifier(network, sigma=0.25, noise=UniformNoise()).certify(x).radius   # in the L1 norm
    """

    name: str
    norm: str

    def fill(self, buffer: Tensor, pixels: Tensor, sigma: float, generator: torch.Generator) -> None:
        """Write noisy copies of an image."""

    def radius(self, p_lower: float | np.ndarray, sigma: float) -> float | np.ndarray:
        """`2 a (p_lower - 1/2)` in the L1 norm, in units of the input; 0 where nothing can be certified."""

def _cells(width: int, levels: int) -> Tensor: ...
def l1_margin(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The class with most votes, the first of equals; as many votes as `margin` may go to any other class."""

@dataclass(frozen=True)
class SplitClassifier:
    """
    `f` smoothed by splitting noise whose `width` shared offsets are all tried: a function without chance.

        smoothed = SplitClassifier(network, width=441)   # as much noise as sigma 0.5
        smoothed.counts(images)                          # (images, classes): votes of all 441 offsets
        smoothed.certify(x).radius                       # in the L1 norm; no error probability
    """

    f: Callable[[Tensor], Tensor]
    width: int
    seed: int = 0
    levels: int = 255
    batch_size: int = 200
    device: str = "cpu"

    def __post_init__(self) -> None: ...
    @property
    def sigma(self) -> float:
        """Standard deviation of the center of a random cell, in units of the input."""

    def shown(self, images: Tensor, offsets: Tensor) -> Tensor:
        """Every value replaced by the middle of its cell; `ValueError` for images off the grid."""

    @contextmanager
    def _checked(self, images: Tensor) -> Iterator[Callable[[Tensor], Tensor]]: ...
    def counts(self, images: Tensor) -> Tensor:
        """Ask `f` about every offset; `ValueError` for bad images, bad classifiers, logits that are not finite."""

    def certify_batch(self, images: Tensor) -> list[SplitCertificate]:
        """Answers and exact L1 certificates."""

    def certify(self, x: Tensor) -> SplitCertificate:
        """Answer and exact L1 certificate of one image."""

@dataclass(frozen=True)
class SplitCertificate:
    """
    What is proven about one image, for certain.

        certificate = smoothed.certify(x)
        print(f"no image within {certificate.margin} gray levels, added up over all pixels, has another answer")
    """

    prediction: int
    margin: int
    votes: int
    width: int
    levels: int
    seed: int
    precision: str

    @property
    def radius(self) -> float:
        """`margin` in units of the input."""

@dataclass(frozen=True)
class SplittingNoise:
    """Every value shows its cell alone, and the cells of all values are shifted independently (Levine and Feizi 2021).

    A cell is `width(sigma)` gray levels wide. For images of bytes; the certificate is about the *L1* norm and about
    integer steps of 1/255. What is drawn are integers. SplitClassifier needs no chance at all.

        SmoothedClassifier(network, sigma=0.25, noise=SplittingNoise()).certify(x).radius   # in the L1 norm
    """

    name: str
    norm: str

    def width(self, sigma: float) -> int:
        """Width of a cell in gray levels, when the center of a random cell has a standard deviation of `sigma`."""

    def fill(self, buffer: Tensor, pixels: Tensor, sigma: float, generator: torch.Generator) -> None:
        """Write what is shown of an image; `ValueError` for pixels off the 8-bit grid."""

    def radius(self, p_lower: float | np.ndarray, sigma: float) -> float | np.ndarray:
        """`width (p_lower - 1/2)` in the L1 norm, in units of the input; 0 where nothing can be certified."""
