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

__all__ = [
    "KINDS",
    "OBSERVATION",
    "MODES",
    "ENV_ID",
    "action_to_wish",
    "action_to_bits",
    "bits_to_action",
    "scale_columns",
    "layer_features",
    "BitWidthEnv",
    "rollout",
    "proxy_reward",
    "digits_problem",
    "make_env",
]

def action_to_wish(action: float, min_bits: int = 2, max_bits: int = 8) -> float:
    """The real number of bits that an action asks for, before rounding"""

def action_to_bits(action: float, min_bits: int = 2, max_bits: int = 8) -> int:
    """Bit-width of an action; each one owns an equal share of [0, 1] (HAQ)"""

def bits_to_action(bits: int, min_bits: int = 2, max_bits: int = 8) -> float:
    """The action in the middle of a bit-width's share; raises `ValueError` for a bit-width that no action gives"""

def scale_columns(table: np.ndarray) -> np.ndarray:
    """Scale every column to [0, 1] by its minimum and maximum; constant columns become 0"""

KINDS: tuple[str, ...]
OBSERVATION: tuple[str, ...]

def layer_features(layers: list[LayerInfo]) -> np.ndarray:
    """The part of the observations that depends on the layer alone, scaled over the network"""

MODES: dict[str, tuple[tuple[str, ...], ...]]

def _check_settings(budget, evaluate, mode, min_bits, max_bits): ...

class BitWidthEnv(gymnasium.Env):
    """Choose the bits of every inner layer, one decision at a time, within a budget (method of HAQ and ARQ)"""

    budget: Budget
    evaluate: Callable[[Policy], float]
    mode: str
    min_bits: int
    max_bits: int
    edge_bits: int
    edges: Any
    steps: Any
    features: Any
    observation_space: spaces.Box
    action_space: spaces.Box
    position: Any
    previous: float
    actions: Any
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
    def start(self, bits: int) -> Policy:
        """The same bits in every inner layer, `edge_bits` in the first and the last"""

    def fit(self, policy: Policy) -> Policy:
        """Pin the first and last layer and walk the others down until the budget allows it"""

    def granted(self, actions: Sequence[float]) -> Policy:
        """The policy that the budget allows to these wishes"""

    def _with(self, bits: Sequence[int]) -> Policy: ...
    def observe(self) -> np.ndarray:
        """What the player sees now; after the last step, that step once more with the last action filled in"""

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode"""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Decide one step; the last one makes the policy fit the budget and evaluates it"""

    def _reward(self) -> float: ...
    def wishes_for(self, policy: Policy) -> np.ndarray:
        """The actions that ask for `policy`; raises `ValueError` for other layers, other bits, and different bits for weights and activations in shared mode"""

    def actions_for(self, policy: Policy) -> np.ndarray:
        """The actions that lead to `policy`; raises `ValueError` when none do"""

    def views(self, actions: np.ndarray) -> np.ndarray:
        """The observations that episodes with these actions show, one before each action"""

def _check_action(action) -> float: ...
def rollout(
    env: gymnasium.Env, act: Callable[[np.ndarray], np.ndarray], seed: int | None = None
) -> tuple[list, float, dict]:
    """Play one episode"""

def proxy_reward(model: nn.Module, seed: int = 0) -> Callable[[Policy], float]:
    """A cheap reward: minus the mean share of energy that rounding the policy's weights and activations destroys"""

def digits_problem(seed: int = 0) -> tuple[Budget, Callable[[Policy], float]]:
    """A tiny problem without data or training: ResNet-8 on 1x8x8 images, 4-bit-equivalent BitOPs, proxy reward"""

def make_env(
    budget: Budget | None = None, evaluate: Callable[[Policy], float] | None = None, **settings: object
) -> BitWidthEnv:
    """What `gymnasium.make("ArqBitWidth-v0", ...)` calls; raises `ValueError` when only one of budget and evaluate is given"""

ENV_ID: str
