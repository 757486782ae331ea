# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from dataclasses import dataclass
import numpy as np
import torch
from torch import Generator, nn, Tensor

__all__ = ["DDPGConfig", "DDPG"]

@dataclass(frozen=True)
class DDPGConfig:
    """
    Every setting of the agent; a value out of range raises `ValueError`

        DDPGConfig(warmup_episodes=5, noise=0.2)     # for a search of a few dozen policies
        DDPG(obs_dim=10, config=DDPGConfig(hidden=64))
        SearchConfig(agent=DDPGConfig(noise_decay=0.97))
    """

    hidden: int = 300
    actor_lr: float = 0.0001
    critic_lr: float = 0.001
    tau: float = 0.01
    discount: float = 1.0
    batch_size: int = 64
    warmup_episodes: int = 20
    noise: float = 0.5
    noise_decay: float = 0.99
    baseline_decay: float = 0.95
    buffer_size: int = 2000
    updates_per_step: int = 1

    def __post_init__(self) -> None: ...

def _in_range(name: str, value: object, low: float, high: float, ends: str) -> float: ...
def _mlp(n_in: int, n_out: int, hidden: int, generator: Generator, last: float = 0.003) -> nn.Sequential: ...

class _Actor(nn.Module):
    """The policy: an observation in, an action in (0, 1) out"""

    net: Any

    def __init__(self, obs_dim: int, act_dim: int, hidden: int, generator: Generator) -> None: ...
    def forward(self, obs: Tensor) -> Tensor: ...

class _Critic(nn.Module):
    """The value of taking an action: `(batch, obs_dim)` and `(batch, act_dim)` in, `(batch,)` out"""

    net: Any

    def __init__(self, obs_dim: int, act_dim: int, hidden: int, generator: Generator) -> None: ...
    def forward(self, obs: Tensor, action: Tensor) -> Tensor: ...

def _bellman_target(reward: Tensor, baseline: float, discount: float, done: Tensor, next_value: Tensor) -> Tensor: ...
def _critic_loss(critic: nn.Module, batch: dict[str, Tensor], target: Tensor) -> Tensor: ...
def _polyak(target: nn.Module, source: nn.Module, tau: float) -> None: ...
def truncated_normal(mean: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Sample a normal distribution conditioned on the interval [0, 1]"""

def _noise_at(episode: int, config: DDPGConfig) -> float: ...

class _ReplayBuffer:
    """A ring of transitions in preallocated float32 tensors"""

    capacity: int
    size: int
    position: int
    data: Any

    def __init__(self, capacity: int, obs_dim: int, act_dim: int) -> None: ...
    def __len__(self) -> int: ...
    def add(
        self,
        obs: np.ndarray | Tensor,
        action: np.ndarray | Tensor,
        reward: float,
        next_obs: np.ndarray | Tensor,
        done: bool,
    ) -> None:
        """Store one transition"""

    def sample(self, n: int, generator: Generator) -> dict[str, Tensor]:
        """A random minibatch; raises `ValueError` while the buffer is empty"""

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of everything, as tensors"""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over a stored state"""

class DDPG:
    """
    Deep deterministic policy gradient for episodes with one final reward and actions in [0, 1]

        agent = DDPG(obs_dim=10, seed=0)
        transitions, reward, info = rollout(env, agent.act)
        agent.end_episode(transitions, reward)   # learns, and says how well the critic knows
    """

    obs_dim: int
    act_dim: int
    config: DDPGConfig
    generator: Any
    actor: _Actor
    critic: _Critic
    actor_target: Any
    critic_target: Any
    actor_adam: torch.optim.Adam
    critic_adam: torch.optim.Adam
    buffer: _ReplayBuffer
    baseline: Any
    episode: int

    def __init__(self, obs_dim: int, act_dim: int = 1, config: DDPGConfig = DDPGConfig(), seed: int = 0) -> None: ...
    @property
    def sigma(self) -> float:
        """Current exploration noise"""

    def act(self, obs: np.ndarray | Tensor, explore: bool = True) -> np.ndarray:
        """Choose an action; raises `ValueError` when the observation has the wrong shape"""

    def update(self) -> tuple[float, float]:
        """One minibatch: critic step, actor step, target networks follow"""

    def end_episode(self, transitions: list, reward: float) -> dict[str, float]:
        """Learn from a finished episode; raises `ValueError` on an empty one or a reward that is not finite"""

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that influences the future, as a flat dictionary of tensor copies"""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a stored state; raises `ValueError` when it does not fit"""

_NETWORKS: tuple[str, ...]
_ADAMS: tuple[str, ...]

def _part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]: ...
def _adam_state(state: dict[str, Tensor], name: str) -> dict[int, dict[str, Tensor]]: ...
def _check_state(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None: ...
