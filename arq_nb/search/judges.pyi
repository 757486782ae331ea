# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import cached_property
from pathlib import Path
import numpy as np
from torch import nn, Tensor
from ..certify.incremental import CertificateCache
from ..certify.logs import CertificateLog
from ..certify.smoothing import SmoothedClassifier
from ..core.data import ImageData
from ..quant.policies import Policy
from .config import Evaluation, Judge, SearchConfig

__all__ = ["RadiusJudge", "AccuracyJudge", "KeptJudge", "judge_many"]

class _Diverged(FloatingPointError):
    """The fine-tuning of one candidate had no finite loss."""

class _NetworkJudge:
    """What judges of a network have in common: all policies get the same fine-tuning, and each is judged once."""

    model: nn.Module
    train: ImageData
    holdout: ImageData
    sigma: float
    config: SearchConfig
    known: dict[Policy, Evaluation]
    fitted: dict
    original_acr: float

    def __init__(
        self, model: nn.Module, train: ImageData, holdout: ImageData, sigma: float, config: SearchConfig
    ) -> None: ...
    def evaluate(self, policy: Policy) -> Evaluation:
        """What a policy is worth; the same one is fine-tuned once. One whose fine-tuning diverges has no right answer."""

    def candidate(self, policy: Policy) -> SmoothedClassifier:
        """The network with this policy, fine-tuned and smoothed as it is judged."""

    def _smoothed(self, network: nn.Module) -> SmoothedClassifier: ...
    def _evaluate(self, policy: Policy) -> Evaluation: ...
    def _worth(self, acr: float, accuracy: float) -> Evaluation: ...

def _kept_number(path: Path, about: Mapping, make: Callable[[], float]) -> float: ...
def _few_copies(classifier: SmoothedClassifier, images: Tensor, samples: int, seed: int) -> Iterator[Tensor]: ...
def _right_votes(classifier: SmoothedClassifier, data: ImageData, samples: int, seed: int) -> np.ndarray: ...

class RadiusJudge(_NetworkJudge):
    """
    Fine-tunes and certifies policies of one network, and rewards the average certified radius.

        judge = RadiusJudge(net, train, holdout, 0.25, SearchConfig(epochs=2))
        judge.evaluate(Policy.uniform(net, 4, 4)).acr   # beside judge.original_acr, of the float network
        judge.candidate(Policy.uniform(net, 4, 4))      # the smoothed network itself
    """

    cache: Any
    original_acr: Any

    def __init__(
        self,
        model: nn.Module,
        train: ImageData,
        holdout: ImageData,
        sigma: float,
        config: SearchConfig = SearchConfig(),
        kept: Path | None = None,
    ) -> None: ...
    def _original(self) -> SmoothedClassifier: ...
    def _about(self) -> dict: ...
    def _votes(self) -> CertificateCache: ...
    def _acr(self) -> float: ...
    def certificates(self, policy: Policy) -> CertificateLog:
        """Certificates of `policy` on the held-out images, by the method of the settings.

        With `reward="plug-in"` the original has none, and "incremental" is "fixed"."""

    def _certified(self, candidate: SmoothedClassifier) -> CertificateLog: ...
    def _from_scratch(self, classifier: SmoothedClassifier) -> CertificateLog: ...
    def _measured(self, candidate: SmoothedClassifier) -> tuple[float, float]: ...
    def _evaluate(self, policy: Policy) -> Evaluation: ...
    def _worth(self, acr: float, accuracy: float) -> Evaluation: ...

class AccuracyJudge(_NetworkJudge):
    """
    Fine-tunes as `RadiusJudge` does and rewards accuracy on clean held-out images (HAQ, Wang et al. 2019).

        judge = AccuracyJudge(net, train, holdout, 0.25)
        judge.evaluate(Policy.uniform(net, 4, 4)).accuracy   # beside judge.original_accuracy
        search(net, train, holdout, budget, 0.25, config=SearchConfig(judge=judge))
    """

    original_accuracy: Any

    def __init__(
        self,
        model: nn.Module,
        train: ImageData,
        holdout: ImageData,
        sigma: float,
        config: SearchConfig = SearchConfig(),
    ) -> None: ...
    def _evaluate(self, policy: Policy) -> Evaluation: ...
    def _worth(self, acr: float, accuracy: float) -> Evaluation: ...

def _timed(judge: Judge, policy: Policy) -> tuple[Evaluation, float]: ...
def _for_json(numbers: Mapping) -> dict: ...
def _read_answers(path: Path) -> dict: ...

class KeptJudge:
    """
    Asks a judge, which is made when first needed, and keeps every answer in a file; `ValueError` if that was made with
    another identity.

        def make(): return RadiusJudge(net, train, holdout, 0.25)
        judge = KeptJudge(make, Path("judge.json"), {"sigma": 0.25, "network": fingerprint(net)})
        judge.evaluate(policy)   # from the file, if any process has asked before
    """

    make: Callable[[], Judge]
    path: Path
    identity: Mapping
    check: Callable[[], None] | None
    kept: Any
    known: Any

    def __init__(
        self, make: Callable[[], Judge], path: str | Path, identity: Mapping, check: Callable[[], None] | None = None
    ) -> None: ...
    def name(self, policy: Policy) -> str:
        """What a policy is called in the file: its bits, the layers in the order of the first one that was asked about."""

    @cached_property
    def judge(self) -> Judge:
        """The judge itself, made now if no answer has needed it yet."""

    @property
    def original_acr(self) -> float:
        """Of the float network on the held-out images."""

    def evaluate(self, policy: Policy) -> Evaluation:
        """The answer to `policy`, from the file if it is there."""

    def _ask(self, policy: Policy, name: str) -> None: ...
    def _keep(self, name: str, evaluation: Evaluation, seconds: float) -> None: ...

def judge_many(judge: Judge, policies: Sequence[Policy], executor: Executor | None = None) -> list[Evaluation]:
    """What policies are worth, judged side by side."""
