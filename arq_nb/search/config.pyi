# Written by tools/stubs.py: edit the notebooks.
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from torch import nn
from ..certify.settings import Certify
from ..core.data import ImageData
from ..quant.budgets import Budget
from ..quant.policies import Policy
from .agent import DDPGConfig
from .environment import BitWidthEnv
from ..train.training import Recipe

__all__ = ["Evaluation", "Judge", "SearchConfig"]

@dataclass(frozen=True)
class Evaluation:
    """
    What a judge found out about one policy.

        evaluation = judge.evaluate(policy)
        print(evaluation.reward, evaluation.acr)
    """

    reward: float
    acr: float
    accuracy: float

@runtime_checkable
class Judge(Protocol):
    """
    Who says what a policy is worth; it may also have `original_acr`, the ACR of the float network.

        class FewBits:
            def evaluate(self, policy): return Evaluation(-sum(map(sum, policy.bits.values())), math.nan, math.nan)
    """

    def evaluate(self, policy: Policy) -> Evaluation:
        """What `policy` is worth; the same policy is asked once in a search."""

class _ByName(type):
    """Lets a class of settings take the settings that lie inside of its settings by their names alone."""

    def __call__(cls, *args, **settings): ...
    @property
    def __signature__(cls) -> inspect.Signature:
        """The fields, for `help`: not those of `__call__`, which are whatever they may be."""

_OF_CERTIFY: tuple[str, ...]
_OF_REWARD: tuple[str, ...]
_REWARDS: tuple[str, ...]
_WEIGHTS: tuple[str, ...]
_OF_SEARCH: tuple[str, ...]
_PROPOSALS: tuple[str, ...]

def _check_kinds(settings: object, kinds: Mapping[str, type], optional: bool = False) -> None: ...
def _are_rewards(value: object) -> bool: ...

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
    weights: str = "own"
    reward: str = "bound"
    samples: int = 10
    reward_scale: float = 0.1
    mode: str = "separate"
    min_bits: int = 2
    max_bits: int = 8
    edge_bits: int = 8
    proposals: str = "thompson"
    prior: Mapping[str, Mapping[tuple[int, int], float]] | None = None
    earlier: Sequence[Mapping[Policy, float]] = ()
    change: float = 4.0
    candidates: int = 32
    agent: DDPGConfig = DDPGConfig(warmup_episodes=5, noise=0.2)
    seed: int = 0
    warm_starts: Sequence[Policy] = ()
    judge: Judge | None = None
    test: ImageData | None = None
    progress: bool = True

    def __post_init__(self) -> None: ...
    def environment(self, budget: Budget, evaluate: Callable[[Policy], float] = lambda policy: 0.0) -> BitWidthEnv:
        """The game that a search with these settings plays."""

    def changed(self, **changes: object) -> "SearchConfig":
        """A copy with other values: `config.changed(n=500, epochs=2)`; a batch size is that of the training."""

    def unused(self) -> set[str]:
        """Settings that are newer than records of version 0.2 and decide nothing here: records leave them out."""

    def flat(self, judged: bool = False) -> dict:
        """What decides the outcome of a search, on one level as version 0.2 wrote it down; what is newer, if it is used."""

    def _unusual(self, *names: str) -> dict: ...

def check_config(config: object) -> None:
    """`ValueError` for what are no settings of a search, such as a dict of them."""

def check_enough_samples(model: nn.Module, sigma: float, config: SearchConfig, replays: bool = True) -> None:
    """`ValueError` for samples or error probabilities with which nothing could be certified; nothing is computed for it."""
