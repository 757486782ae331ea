# Written by tools/stubs.py: edit the notebooks.
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from torch import nn
from .costs import LayerInfo
from .memory import MemoryStep
from .policies import Policy

__all__ = ["BudgetError", "Budget", "edge_layers", "pin"]

class BudgetError(ValueError):
    """No policy can meet the budget."""

@dataclass(frozen=True, init=False)
class Budget:
    """
    A limit on the cost of a policy: here on bit operations; `Budget.size`, `memory` and `latency` make others.

        budget = Budget(model, (3, 32, 32), bits=4)                    # what 4 by 4 bits everywhere would cost
        budget.allows(Policy.uniform(model, 8, 8))                     # False
        policy = budget.fit(Policy.uniform(model, 8, 8), min_bits=2)   # a bit less here and there, until it fits
    """

    name: str
    limit: float
    layers: list[LayerInfo] = field(repr=False)
    layer_cost: Callable[[LayerInfo, int, int], float] = field(repr=False)
    overhead: float
    plan: list[MemoryStep] | None = field(repr=False)
    choices: Mapping[str, Mapping[tuple[int, int], float]] | None = field(repr=False)

    def __init__(self, model: nn.Module, input_shape: tuple[int, int, int], *, bits: float) -> None: ...
    @property
    def float_cost(self) -> float:
        """Cost of the float network; where a table of measured times has no 32 bits, of its slowest entries."""

    def _resolved(self, policy: Policy) -> Policy: ...
    def cost(self, policy: Policy) -> float:
        """Cost of `policy`, in the budget's unit."""

    def fraction(self, policy: Policy) -> float:
        """Cost of `policy` as a share of the float network's."""

    def _within(self, cost: float) -> bool: ...
    def allows(self, policy: Policy) -> bool:
        """Whether `policy` is within the limit, or over it by no more than a billionth, as sums of floats may be."""

    def listed(self, policy: Policy) -> Policy:
        """`policy` itself; with a table of times, each layer at that pair of bits of the table which is nearest to its own."""

    def _most_bits(self, name: str) -> tuple[int, int]: ...
    @classmethod
    def _limited(cls, limit: float | None, fraction: float | None, **counted) -> Budget: ...
    @classmethod
    def bitops(
        cls,
        model: nn.Module,
        input_shape: tuple[int, int, int],
        *,
        fraction: float | None = None,
        limit: float | None = None,
        bits: float | None = None,
    ) -> Budget:
        """A limit on bit operations for one image; `ValueError` if more than one limit is given."""

    @classmethod
    def size(
        cls,
        model: nn.Module,
        input_shape: tuple[int, int, int],
        *,
        limit_bytes: float | None = None,
        fraction: float | None = None,
    ) -> Budget:
        """A limit on the bytes of the stored network."""

    @classmethod
    def memory(
        cls,
        model: nn.Module,
        input_shape: tuple[int, int, int],
        *,
        limit_bytes: float | None = None,
        fraction: float | None = None,
        weights: bool = True,
    ) -> Budget:
        """A limit on the bytes of weights and peak activations together, for one image at a time."""

    def _pressure(self, policy: Policy) -> tuple[float, int]: ...
    def _lowered(self, policy: Policy, name: str, kind: str, free: list[str], min_bits: int) -> Policy: ...
    def _faster(self, policy: Policy, name: str, kind: str, min_bits: int) -> Policy: ...
    def _one_round(self, policy: Policy, free: list[str], min_bits: int) -> Policy: ...
    def _cheapest(self, policy: Policy, free: list[str], min_bits: int) -> Policy: ...
    def fit(self, policy: Policy, min_bits: int = 2, fixed: Iterable[str] = ()) -> Policy:
        """Walk `policy` down, one bit at a time over the layers, until it fits (HAQ, Wang et al. 2019).

        `BudgetError` if none can; it says what could be reached, and with which layers pinned. `ValueError` for a name in
        `fixed` that is no layer's."""

    def _out_of_reach(self, floor: Policy, free: list[str], min_bits: int) -> str: ...
    @classmethod
    def latency(
        cls,
        model: nn.Module,
        input_shape: tuple[int, int, int],
        path: str | os.PathLike,
        *,
        limit: float | None = None,
        fraction: float | None = None,
    ) -> Budget:
        """A limit on the sum of measured times; `ValueError` naming layers or bits that the table lacks."""

def _share(bits: float) -> float: ...
def _no_bytes(layer: LayerInfo, weight_bits: int, activation_bits: int) -> float: ...
def edge_layers(layers: list[LayerInfo]) -> tuple[str, str]:
    """Names of the first and the last layer in the order of execution, of those that are called."""

def pin(policy: Policy, names: Iterable[str], bits: int = 8) -> Policy:
    """`policy` with the layers `names`, or the one of that name, at `bits`; `ValueError` for layers that it lacks."""

def inner_layers(layers: list[LayerInfo]) -> list[str]:
    """Names of the layers between the first and the last that are called: those whose bits are searched for."""

def _number(x: float) -> str: ...

_LATENCY_COLUMNS: list[str]

def _latency_row(row: list[str]) -> tuple[str, tuple[int, int], float]: ...
def _csv_lines(path: str | os.PathLike) -> list[tuple[int, list[str]]]: ...
def _read_latency_table(path: str | os.PathLike) -> dict[str, dict[tuple[int, int], float]]: ...

@dataclass(frozen=True)
class _MeasuredCost:
    """Milliseconds of a layer, from a table."""

    path: str
    table: Mapping[str, Mapping[tuple[int, int], float]]

    def __call__(self, layer: LayerInfo, weight_bits: int, activation_bits: int) -> float: ...
