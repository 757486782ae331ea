# Written by tools/stubs.py: edit the notebooks.
from typing import Any
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable
from torch import nn
from ..certify.logs import CertificateLog
from ..certify.settings import Certify
from ..certify.smoothing import SmoothedClassifier
from ..core.data import ImageData
from ..quant.budgets import Budget
from ..quant.policies import Policy
from .agent import DDPGConfig
from .environment import BitWidthEnv
from ..train.training import Recipe

__all__ = ["SearchConfig", "Evaluation", "Judge", "RadiusJudge", "AccuracyJudge", "KeptJudge", "judge_many"]

class _ByName(type):
    """Lets a class of settings take the settings that lie inside of its settings by their names alone."""

    def __call__(cls, *args, **settings): ...
    @property
    def __signature__(cls) -> inspect.Signature:
        """The fields, for `help`: not those of `__call__`, which are whatever they may be."""

@dataclass(frozen=True)
class SearchConfig(metaclass=_ByName):
    """How a search goes about it: everything but the network, the images, the budget and sigma.

        SearchConfig(recipe=Recipe(epochs=2, lr=0.02), seed=1)   # two passes over the images before a policy is judged
        SearchConfig(epochs=2, n=500, noise="sound")             # by name, also what belongs to `Recipe` and `Certify`
        search(net, train, holdout, budget, 0.25, config=SearchConfig(edge_bits=6))

    `ValueError` for a value out of range, and for a name that is no setting.
    """

    recipe: Recipe = Recipe(lr=0.02)
    certify: Certify = Certify(n=1000, method="incremental")
    n_p: int = 100
    gamma: float = 0.99
    reward_scale: float = 0.1
    mode: str = "separate"
    min_bits: int = 2
    max_bits: int = 8
    edge_bits: int = 8
    change: float = 4.0
    candidates: int = 32
    agent: DDPGConfig = DDPGConfig(warmup_episodes=5, noise=0.2)
    seed: int = 0
    warm_starts: Sequence[Policy] = ()
    judge: "Judge | None" = None
    test: ImageData | None = None
    progress: bool = True

    def __post_init__(self) -> None: ...
    def environment(self, budget: Budget, evaluate: Callable[[Policy], float] = lambda policy: 0.0) -> BitWidthEnv:
        """The game that a search with these settings plays."""

    def changed(self, **changes: object) -> "SearchConfig":
        """A copy with other values: `config.changed(n=500, epochs=2)`; a batch size is that of the training."""

    def flat(self) -> dict:
        """What decides the outcome of a search, on one level as version 0.2 wrote it down; newer settings where they matter."""

_OF_CERTIFY: tuple[str, ...]
_OF_RECIPE: tuple[str, ...]
_OF_SEARCH: tuple[str, ...]

@dataclass(frozen=True)
class Evaluation:
    """What a judge found out about one policy.

    evaluation = judge.evaluate(policy)
    print(evaluation.reward, evaluation.acr)
    """

    reward: float
    acr: float
    accuracy: float

@runtime_checkable
class Judge(Protocol):
    """Who says what a policy is worth; it may also have `original_acr`, the ACR of the float network.

    class FewBits:
        def evaluate(self, policy): return Evaluation(-sum(map(sum, policy.bits.values())), math.nan, math.nan)
    """

    def evaluate(self, policy: Policy) -> Evaluation:
        """What `policy` is worth; the same policy is asked once in a search."""

class _NetworkJudge:
    """What judges of a network have in common: policies are fine-tuned alike, and the same policy is judged once."""

    model: nn.Module
    train: ImageData
    holdout: ImageData
    sigma: float
    config: SearchConfig
    known: dict[Policy, Evaluation]
    original_acr: float

    def __init__(
        self, model: nn.Module, train: ImageData, holdout: ImageData, sigma: float, config: SearchConfig
    ) -> None: ...
    def evaluate(self, policy: Policy) -> Evaluation:
        """What a policy is worth; the same one is fine-tuned once."""

    def candidate(self, policy: Policy) -> SmoothedClassifier:
        """The network with this policy, fine-tuned and smoothed as it is judged."""

    def _smoothed(self, network: nn.Module) -> SmoothedClassifier: ...
    def _evaluate(self, policy: Policy) -> Evaluation: ...

class RadiusJudge(_NetworkJudge):
    """Fine-tunes and certifies policies of one network, and rewards the average certified radius.

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
    ) -> None: ...
    def _original(self) -> SmoothedClassifier: ...
    def certificates(self, policy: Policy) -> CertificateLog:
        """Certificates of a policy on the held-out images, by the method of the settings."""

    def _from_scratch(self, classifier: SmoothedClassifier) -> CertificateLog: ...
    def _evaluate(self, policy: Policy) -> Evaluation: ...

class AccuracyJudge(_NetworkJudge):
    """Fine-tunes as `RadiusJudge` does and rewards accuracy on clean held-out images (HAQ, Wang et al. 2019).

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

def _timed(judge: Judge, policy: Policy) -> tuple[Evaluation, float]: ...

class KeptJudge:
    """Asks a judge, which is made when first needed, and keeps every answer in a file.

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
        self, make: Callable[[], Judge], path: Path, identity: Mapping, check: Callable[[], None] | None = None
    ) -> None: ...
    @cached_property
    def judge(self) -> Judge:
        """The judge itself, made now if no answer has needed it yet."""

    @property
    def original_acr(self) -> float:
        """Of the float network on the held-out images."""

    def evaluate(self, policy: Policy) -> Evaluation:
        """The judge's answer, from the file if it is there; `ValueError` if the file was made with another identity."""

    def _ask(self, policy: Policy, text: str) -> None: ...
    def _keep(self, text: str, evaluation: Evaluation, seconds: float) -> None: ...

def judge_many(judge: Judge, policies: Sequence[Policy], executor: Executor | None = None) -> list[Evaluation]:
    """What policies are worth, judged side by side."""
