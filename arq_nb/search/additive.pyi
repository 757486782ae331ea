# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Mapping, Sequence
import numpy as np
from ..quant.policies import Policy
from .environment import BitWidthEnv

__all__ = []

def _rounding(env: BitWidthEnv, policies: Sequence[Policy]) -> np.ndarray: ...
def _posterior(
    design: np.ndarray, before: np.ndarray, variance: np.ndarray, rewards: np.ndarray, noise: float
) -> tuple[float, np.ndarray, np.ndarray]: ...

Harms = Mapping[str, Mapping[tuple[int, int], float]]
_NOISES: tuple[float, ...]
_SPREADS: tuple[float, ...]
_ELSEWHERE: float

def _within(values: np.ndarray, whose: np.ndarray) -> np.ndarray: ...

class AdditiveModel:
    """
    Rewards as a sum over decisions: a normal posterior of the harm of each, and of what is still possible.

        model = AdditiveModel(env).fit(policies, rewards)
        mean, deviation = model.predict(others)
        best_policy(env, model.mean), best_policy(env, model.draw(rng))   # the integer program's answers
    """

    env: BitWidthEnv
    kinds: Any
    scale: Any
    earlier: Any
    shift: Any
    unit: Any
    weights: Any

    def __init__(
        self, env: BitWidthEnv, prior: Harms | None = None, earlier: Sequence[Mapping[Policy, float]] = ()
    ) -> None: ...
    def fit(self, policies: Sequence[Policy], rewards: Sequence[float]) -> "AdditiveModel":
        """Learn from rewards, and from those of the other searches; what was fitted before is forgotten."""

    def _design(self, x: np.ndarray, whose: np.ndarray | int = 0) -> np.ndarray: ...
    def predict(self, policies: Sequence[Policy]) -> tuple[np.ndarray, np.ndarray]:
        """What policies are worth, and how far one may be wrong."""

    def _theta(self, coefficients: np.ndarray) -> np.ndarray: ...
    @property
    def mean(self) -> np.ndarray:
        """The expected harm of each decision at the fewest bits."""

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Harms as they may well be."""

def best_policy(env: BitWidthEnv, harms: np.ndarray) -> Policy:
    """The policy with the least sum of harms.

    `ValueError` for a budget that is no sum over layers, and unless there is a finite harm for each decision."""

def _table(env: BitWidthEnv, harms: np.ndarray) -> dict[str, dict[tuple[int, int], float]]: ...
def _scale(env: BitWidthEnv, prior: Harms, kinds: np.ndarray) -> np.ndarray: ...
def _check_layers(env: BitWidthEnv, policy: Policy) -> None: ...
