# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Callable, Sequence
import gymnasium
import numpy as np
from gymnasium import spaces
from torch import nn
from ..quant.budgets import Budget
from ..quant.costs import LayerInfo
from ..quant.policies import Policy

__all__ = ["BitWidthEnv", "uniform_policy", "rollout", "proxy_reward", "make_env"]

def _action_to_wish(action: float, min_bits: int = 2, max_bits: int = 8) -> float: ...
def _action_to_bits(action: float, min_bits: int = 2, max_bits: int = 8) -> int: ...
def _bits_to_action(bits: int, min_bits: int = 2, max_bits: int = 8) -> float: ...

_KINDS: tuple[str, ...]
_OBSERVATION: tuple[str, ...]

def _scale_columns(table: np.ndarray) -> np.ndarray: ...
def _layer_features(layers: list[LayerInfo]) -> np.ndarray: ...

_MODES: dict[str, tuple[tuple[str, ...], ...]]

def _check_settings(budget: Budget, evaluate: object, mode: str) -> None: ...
def _asked_for(budget: Budget, min_bits: int, max_bits: int, mode: str = "separate") -> Budget: ...
def _everywhere(budget: Budget, bits: int) -> Policy: ...
def _outer(budget: Budget, min_bits: int, max_bits: int, edge_bits: int) -> dict[str, tuple[int, int]]: ...

class BitWidthEnv(gymnasium.Env):
    """Choose the bits of every inner layer, one decision at a time, within a budget (method of HAQ and ARQ)

        env = BitWidthEnv(Budget(net, (3, 32, 32), bits=4), evaluate=proxy_reward(net))
        observation, _ = env.reset(seed=0)
        observation, reward, done, _, info = env.step(env.action_space.sample())

    Raises `ValueError` for settings out of range, `BudgetError` for a budget that no policy meets
    """

    budget: Any
    evaluate: Callable[[Policy], float]
    mode: str
    min_bits: int
    max_bits: int
    edge_bits: int
    outer: Any
    steps: Any
    features: Any
    observation_space: spaces.Box
    action_space: spaces.Box
    position: Any
    previous: float
    actions: Any
    cheapest: Any
    policy: Any
    metadata: dict[str, list[Any]]

    def __init__(
        self,
        budget: Budget,
        evaluate: Callable[[Policy], float],
        mode: str = "separate",
        min_bits: int = 2,
        max_bits: int = 8,
        edge_bits: int = 8,
    ) -> None: ...
    def uniform(self, bits: int) -> Policy:
        """The same bits in every inner layer, `edge_bits` in the first and the last"""

    def fit(self, policy: Policy) -> Policy:
        """Pin the first and last layer and walk the others down until the budget allows it; in shared mode, `project`"""

    def project(self, actions: Sequence[float]) -> Policy:
        """The policy that the budget allows to these actions, read as wishes; `ValueError` for what is no action"""

    def _asked(self, actions: Sequence[float]) -> Policy: ...
    def observe(self) -> np.ndarray:
        """What the player sees now; after the last step, that step once more with the last action filled in"""

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode"""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Decide one step; the last one makes the policy fit the budget and evaluates it"""

    def _reward(self) -> float: ...
    def actions_from(self, policy: Policy, exact: bool = False) -> np.ndarray:
        """The actions that ask for `policy`; raises `ValueError` for other layers or bits, or unlike bits in shared mode"""

    def views(self, actions: np.ndarray) -> np.ndarray:
        """The observations that episodes with these actions show, one before each action"""

def uniform_policy(
    budget: Budget, cut: bool = False, *, min_bits: int = 2, max_bits: int = 8, edge_bits: int = 8
) -> Policy:
    """The largest policy within `budget` that gives the same bits to all inner layers; `BudgetError` if there is none"""

def _numbers(actions: Sequence[float], steps: int) -> list[float]: ...
def _check_action(action: object) -> float: ...
def rollout(
    env: gymnasium.Env, act: Callable[[np.ndarray], np.ndarray], seed: int | None = None
) -> tuple[list, float, dict]:
    """Play one episode"""

def proxy_reward(model: nn.Module, seed: int = 0) -> Callable[[Policy], float]:
    """A cheap reward: minus the mean share of energy that rounding the policy's weights and activations destroys"""

def _digits_problem(seed: int = 0) -> tuple[Budget, Callable[[Policy], float]]: ...
def make_env(
    budget: Budget | None = None, evaluate: Callable[[Policy], float] | None = None, **settings: object
) -> BitWidthEnv:
    """What `gymnasium.make("ArqBitWidth-v0", ...)` calls; raises `ValueError` when only one of the two is given"""

_ENV_ID: str
