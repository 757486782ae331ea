# Written by tools/stubs.py: edit the notebooks.
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
import numpy as np
import torch
from torch import Tensor

__all__ = ["ABSTAIN", "certified_radius", "GaussianNoise", "Noise", "SmoothedClassifier", "Certificate"]

def certified_radius(p_lower: float | np.ndarray, sigma: float) -> float | np.ndarray:
    """Radius `sigma * Phi^-1(p_lower)`, or 0 for `p_lower <= 1/2` (Cohen et al. 2019, theorem 1)."""

@dataclass(frozen=True)
class GaussianNoise:
    """Gaussian noise from the generator of torch, in the precision of the buffer.

    The theorem assumes real numbers; `SoundGaussianNoise` needs no such assumption.

        GaussianNoise().radius(0.9, sigma=0.25)   # 0.32: what a probability of at least 0.9 proves
    """

    name: str

    def fill(self, buffer: Tensor, pixels: Tensor, sigma: float, generator: torch.Generator) -> None:
        """Write noisy copies of an image."""

    def radius(self, p_lower: float | np.ndarray, sigma: float) -> float | np.ndarray:
        """`certified_radius` of `p_lower` and `sigma`, in units of the input."""

class Noise(Protocol):
    """
    Noise and its theorem: what it adds to an image, and the radius that a probability under it proves.
    `norm = "l1"` says of which norm the radius is; without it that is "l2".

        SmoothedClassifier(network, sigma=0.25, noise=noise_named("sound"))
    """

    name: str

    def fill(self, buffer: Tensor, pixels: Tensor, sigma: float, generator: torch.Generator) -> None:
        """Write noisy copies of the image `pixels` into `buffer`; shapes and units as in `GaussianNoise.fill`."""

    def radius(self, p_lower: float | np.ndarray, sigma: float) -> float | np.ndarray:
        """Radius in units of the input for a lower bound `p_lower` on the top class's probability, 0 where none."""

NOISES: dict[str, str]

def noise_named(noise: str | Noise) -> Noise:
    """The noise of a name, and a noise as it is; `ValueError` that lists the names for another."""

@dataclass(frozen=True)
class SmoothedClassifier:
    """
    The smoothed version of the classifier `f` under noise of standard deviation `sigma`.

        smoothed = SmoothedClassifier(network, sigma=0.25)
        smoothed.predict(x)                        # class of one image (channels, height, width), or -1
        smoothed.certify(x, n=10_000, seed=0)      # a `Certificate`: class and radius
    """

    f: Callable[[Tensor], Tensor]
    sigma: float
    batch_size: int | None = None
    device: str = "cpu"
    noise: Noise = GaussianNoise()

    def __post_init__(self) -> None: ...
    @property
    def on_gpu(self) -> bool:
        """True if noise is made and `f` runs on a CUDA device."""

    @property
    def precision(self) -> str:
        """How `f` computes, see `precision_of`."""

    def copies_at_once(self, shape: Sequence[int]) -> int:
        """`batch_size`; if None 200, on a GPU 5 million pixels, but at least 200 images (4,882 of CIFAR-10)."""

    @contextmanager
    def checked(self, images: Tensor) -> Iterator[SmoothedClassifier]:
        """The same with `f` in evaluation mode and past the `gate`, which looks at noisy copies of the first image.

        Their noise is the gate's own: no stream moves. Whoever is past the gate already is not checked again."""

    def noisy_copies(
        self, images: Tensor, n: int, generators: Sequence[torch.Generator], turns: int = 1
    ) -> Iterator[Tensor]:
        """Noisy copies, image after image; a batch is overwritten `turns` batches later."""

    def votes(self, images: Tensor, n: int, generators: Sequence[torch.Generator]) -> Tensor:
        """Ask `f` about `n` noisy copies of each image; `ValueError` for bad input, bad classifiers, NaN logits."""

    def streams(self, places: Iterable[int], seed: int | None = None) -> list[torch.Generator]:
        """A noise stream for each image."""

    def predict_batch(
        self,
        images: Tensor,
        generators: Sequence[torch.Generator] | None = None,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int | None = None,
    ) -> np.ndarray:
        """PREDICT of Cohen et al. (2019): the classes of many images, or -1; `ValueError` if so few samples can name none."""

    def predict(
        self,
        x: Tensor,
        n: int = 1000,
        alpha: float = 0.001,
        generator: torch.Generator | None = None,
        seed: int | None = None,
    ) -> int:
        """PREDICT for one image."""

    def certificate(self, guess: int, p_lower: float, votes: int, n: int, alpha: float) -> Certificate:
        """What a bound on the probability of a class proves."""

    def check_samples(self, n: int, alpha: float, best: Callable[[int], float] | None = None, name: str = "n") -> None:
        """`ValueError` if `n` samples can certify nothing, with the smallest number that can."""

    def certify_batch(
        self,
        images: Tensor,
        generators: Sequence[torch.Generator] | None = None,
        n0: int = 100,
        n: int = 100000,
        alpha: float = 0.001,
        seed: int | None = None,
    ) -> list[Certificate]:
        """CERTIFY for several images at once; `ValueError` if so few samples can certify none, and for two kinds of seed."""

    def certify(
        self,
        x: Tensor,
        n0: int = 100,
        n: int = 100000,
        alpha: float = 0.001,
        generator: torch.Generator | None = None,
        seed: int | None = None,
    ) -> Certificate:
        """CERTIFY of Cohen et al. (2019): class and certified radius of one image."""

def _one_image(x: Tensor) -> Tensor: ...
def _check_generators(generators: Sequence[torch.Generator], images: Tensor) -> None: ...
def check_votes(n: int, alpha: float) -> None:
    """`ValueError` if PREDICT could only abstain, with the smallest number of samples with which it can answer."""

ABSTAIN: int

def _given(
    smoothed: SmoothedClassifier, images: Tensor, generators: Sequence[torch.Generator] | None, seed: int | None
) -> Sequence[torch.Generator]: ...

@dataclass(frozen=True)
class Certificate:
    """
    What CERTIFY says of one image: given *and* false with probability at most `alpha` (no bound on "false *if* given").

        certificate = smoothed.certify(x, n=10_000)
        if certificate.prediction != ABSTAIN: print(f"no change below {certificate.radius:.3f}")
    """

    prediction: int
    radius: float
    p_lower: float
    votes: int
    n: int
    alpha: float
    sigma: float
    noise: str
    precision: str
