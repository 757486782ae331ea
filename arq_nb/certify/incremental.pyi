# Written by tools/stubs.py: edit the notebooks.
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
import numpy as np
import torch
from torch import Tensor
from .logs import CertificateLog
from .smoothing import SmoothedClassifier
from ..core.data import ImageData
from ..core.rng import ESTIMATION

__all__ = ["CertificateCache", "build_cache", "certify_incremental"]

@dataclass(frozen=True)
class CacheSettings:
    """
    What the votes in a cache depend on; a replay under other settings is refused.

        print(build_cache(smoothed, data, n=1_000).settings)
    """

    sigma: float
    noise: str
    n0: int
    n: int
    alpha: float
    seed: int
    device: str
    images: str
    origin: str
    stream: str
    used: int = 0

def by_kind(settings: Mapping) -> dict:
    """Settings with the kind of device, 'cuda' for 'cuda:1': numbers differ from process to process."""

@dataclass(frozen=True)
class CertificateCache:
    """
    Certificates of a network together with its votes, ready to certify a variant.

        cache = build_cache(smoothed, data, n=10_000)
        log = certify_incremental(cache, smoothed_variant, data, n_p=200)
        cache.save("original.safetensors")
    """

    settings: CacheSettings
    label: np.ndarray
    guess: np.ndarray
    selection_votes: np.ndarray
    p_lower: np.ndarray
    radius: np.ndarray
    hits: np.ndarray

    def __len__(self) -> int: ...
    def subset(self, places: Sequence[int]) -> "CertificateCache":
        """What is known of some of the images; `places` are theirs in the data set."""

    def seen(self, n: int) -> "CertificateCache":
        """The same, with a note that a choice among variants has seen the first `n` samples: `recertify` uses others."""

    def streams(
        self, places: Iterable[int], purpose: int = ESTIMATION, device: str | None = None
    ) -> list[torch.Generator]:
        """The noise streams of images: that of the votes, or that of the guess."""

    def log(self, radius: np.ndarray | None = None) -> CertificateLog:
        """Certificates of the original network, or of a variant."""

    def check(self, smoothed: SmoothedClassifier, data: ImageData, origin: Callable | None = None) -> None:
        """`ValueError` if this is not the noise, or these are not the images, of the cache."""

    def count_changes(
        self,
        smoothed: SmoothedClassifier,
        images: Tensor,
        sizes: np.ndarray,
        streams: list[torch.Generator],
        first: int = 0,
    ) -> tuple[np.ndarray, ...]:
        """Replay and count."""

    def save(self, path: str | os.PathLike, about: Mapping = {}) -> None:
        """Write the cache."""

    @classmethod
    def load(cls, path: str | os.PathLike) -> CertificateCache:
        """Read a cache; `ValueError` naming the file if it is none."""

    @classmethod
    def kept(cls, path: str | os.PathLike, about: Mapping, make: Callable[[], CertificateCache]) -> CertificateCache:
        """The cache in a file if that was made of the same; else a new one, which takes the file's place."""

_ARRAYS: tuple[str, ...]

def _first_noise(seed: int, device: torch.device) -> str: ...
def _streams(seed: int, places: Iterable[int], purpose: int, device: str) -> list[torch.Generator]: ...
def _all_hits(
    smoothed: SmoothedClassifier, images: Tensor, guess: Tensor, n: int, streams: list[torch.Generator], progress: bool
) -> Tensor: ...
def build_cache(
    smoothed: SmoothedClassifier,
    data: ImageData,
    n0: int = 100,
    n: int = 1000,
    alpha: float = 0.001,
    seed: int = 0,
    progress: bool = False,
) -> CertificateCache:
    """Certify the original network and remember each vote."""

_GUESSES: tuple[float, ...]
_FEW: int

def _log_change_wealth(won: np.ndarray, lost: np.ndarray, n: np.ndarray, d: np.ndarray, alpha: float) -> np.ndarray: ...
def _by_bets(won: np.ndarray, lost: np.ndarray, n: np.ndarray, alpha: float) -> np.ndarray: ...
def change_lower(won: np.ndarray, lost: np.ndarray, n: np.ndarray, alpha: float) -> np.ndarray:
    """Lower confidence bound on the change in the probability of a class, from paired votes; at most 0.1.

    By bets on votes won and lost; below 300 replays by Clopper and Pearson from the votes lost."""

def _checked_replays(n_p: int | np.ndarray, cache: CertificateCache) -> int | np.ndarray: ...
def incremental_bound(
    p_lower: np.ndarray,
    won: np.ndarray,
    lost: np.ndarray,
    kept: np.ndarray,
    n_p: np.ndarray,
    alpha: float,
    alpha_zeta: float,
    sure: np.ndarray,
) -> np.ndarray:
    """The bound for the variant: direct where `sure`, else the better of direct and through the change."""

_VOTES: int

def _check_replays_suffice(
    cache: CertificateCache, smoothed: SmoothedClassifier, n_p: int | np.ndarray, alpha_zeta: float
) -> None: ...
def certify_incremental(
    cache: CertificateCache,
    smoothed: SmoothedClassifier,
    data: ImageData,
    n_p: int | np.ndarray = 100,
    alpha_zeta: float = 0.001,
    gamma: float = 0.99,
    origin: Callable[[Tensor], Tensor] | None = None,
) -> CertificateLog:
    """Certificates of the changed network, each wrong with probability at most `cache.settings.alpha + alpha_zeta`.

    That holds for a network that was fixed before its votes were looked at, not for the best of many. The class is the
    original's guess: where only the changed network is right, the certificate does not say so.
    Ugare et al. (ICLR 2024), algorithm 2, with votes won and lost instead of the disagreement, the path chosen by the
    selection round, and below `gamma` the better of both paths at half of `alpha_zeta` each.
    `ValueError` if sigma, noise, device, images or the network of origin differ from the cache's, or `n_p` is more than
    it holds. The batch size may differ: it does not change a noise stream."""
