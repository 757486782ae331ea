# Written by tools/stubs.py: edit the notebooks.
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np
from tqdm import tqdm
from .settings import Certify, Method
from .smoothing import Certificate, SmoothedClassifier
from ..core.data import ImageData

__all__ = [
    "CertificateLog",
    "read_log",
    "average_certified_radius",
    "certified_accuracy",
    "clean_accuracy",
    "abstention_rate",
    "mean_interval",
    "summary",
    "compare",
    "certify_dataset",
]
_COLUMNS: tuple[str, ...]

@dataclass(frozen=True, eq=False)
class CertificateLog:
    """
    Certificates of many images; every field an array of one entry an image, `ValueError` if they differ in length.

        log = read_log("certificates.tsv")
        print(log)                              # accuracy, ACR, abstentions, with their intervals
        log.certified.max(), log.predict[0]     # the largest radius, the class of the first image
    """

    idx: np.ndarray
    label: np.ndarray
    predict: np.ndarray
    radius: np.ndarray
    correct: np.ndarray
    time: np.ndarray
    extra: dict[str, list[str]] = field(default_factory=dict, repr=False)
    most: float | None = None
    images: str = field(default="", repr=False)
    norm: str = field(default="", repr=False)

    def __post_init__(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def certified(self) -> np.ndarray:
        """(images,) radii in units of the input, 0 where the answer is wrong."""

    def __str__(self) -> str:
        """The `summary`, a line for each number; radii in units of the input, as many as are reached."""

def _seconds(text: str) -> float: ...
def _parse_row(row: dict[str, str], where: str) -> tuple: ...
def _read_table(path: str | os.PathLike) -> tuple[list[str], list[tuple[int, dict[str, str]]]]: ...
def _largest_radius(record: Mapping) -> float | None: ...
def read_log(path: str | os.PathLike) -> CertificateLog:
    """Read a certificate log.

    `ValueError` with the line number for a malformed row, an image that is there twice, a `correct` that does not
    follow from label and prediction, and a radius larger than the samples of its record can prove."""

def average_certified_radius(log: CertificateLog) -> float:
    """Mean radius, wrong answers and abstentions counting 0 (Zhai et al. 2020)."""

def certified_accuracy(log: CertificateLog, radii: float | Sequence[float]) -> np.ndarray:
    """Share of images that are right with a radius of at least r, for each r."""

def clean_accuracy(log: CertificateLog) -> float:
    """Share of images that the smoothed classifier gets right."""

def abstention_rate(log: CertificateLog) -> float:
    """Share of images without an answer; methods that look at labels leave out wrong guesses, which are among them."""

def mean_interval(
    values: np.ndarray, confidence: float = 0.95, seed: int = 0, resamples: int = 2000
) -> tuple[float, float, float]:
    """A mean over images with its BCa bootstrap interval (Efron 1987), wider for few images as Student's t is.

    NaN for its ends if all values are equal; `ValueError` for fewer than 2, or for values that are not finite."""

def _most_frequent(labels: np.ndarray, confidence: float) -> tuple[float, float, float]: ...
def summary(
    log: CertificateLog, radii: Sequence[float] = (), confidence: float = 0.95
) -> dict[str, tuple[float, float, float]]:
    """ACR and what belongs beside it, each with its interval.

    Clean accuracy, the ACR of a classifier that always says the most frequent class (if the record tells the samples),
    the median radius, the abstention rate, certified accuracy at `radii`. Images that a method left out because their
    label said that the guess is wrong are no abstentions; they have a line of their own."""

def compare(
    log_a: CertificateLog, log_b: CertificateLog, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Paired difference in ACR with its bootstrap interval; `ValueError` if the logs are of other images, or norms."""

def _open_log(path: Path, settings: dict, about: Mapping = {}) -> None: ...
def _rows(
    places: list[int], labels: list[int], certificates: list[Certificate], seconds: float, samples: bool
) -> str: ...
def _gather_parts(path: Path, settings: dict, about: dict) -> set[int]: ...
def _log_settings(smoothed: SmoothedClassifier, data: ImageData, settings: Certify, method: Method) -> dict: ...
def _append(
    path: Path, todo: list[int], method: Method, smoothed: SmoothedClassifier, data: ImageData, bar: tqdm
) -> None: ...
def certify_dataset(
    smoothed: SmoothedClassifier,
    data: ImageData,
    path: str | os.PathLike,
    certify: Certify = Certify(),
    *,
    progress: bool = True,
    cache: object = None,
    **changes: object,
) -> CertificateLog:
    """Certify images of a data set into a log that can be stopped and continued at any time, by one run at once.

    What comes back are the images that this call asks for; the file may hold others, of earlier calls with other `skip`
    or `max`. Methods that stop early leave out images whose guess is wrong (they abstain) and note in a column
    `samples` what they took. `ValueError` if the log is of other settings or images, or of a network
    with other weights, layers or settings (the code of a class's forward pass is not looked at)."""

def _only(log: CertificateLog, places: Sequence[int]) -> CertificateLog: ...
