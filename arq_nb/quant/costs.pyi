# Written by tools/stubs.py: edit the notebooks.
from collections.abc import Callable
from dataclasses import dataclass
from torch import nn
from .policies import Policy
from .products import Product

__all__ = ["LayerInfo", "layer_table", "bitops", "model_size", "LayerCost", "CostTable", "cost_table"]

@dataclass(frozen=True)
class LayerInfo:
    """Shape and cost of one layer for one image."""

    name: str
    kind: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    weights: int
    macs: int
    input_size: int
    inputs: int
    shares: str = ""

def _layer_info(name: str, m: nn.Module, calls: list[Product], shares: str) -> LayerInfo: ...
def layer_table(model: nn.Module, input_shape: tuple[int, int, int]) -> list[LayerInfo]:
    """Run one zero image through a copy of `model`; note every layer's shape and multiply-adds, summed over its calls.

    A layer that is not called, such as an auxiliary head, has 0 multiply-adds. `ValueError` naming a parameter that
    is multiplied with the image and is no layer's weight."""

def _cost(layers: list[LayerInfo], policy: Policy, layer_cost: Callable) -> float: ...
def _layer_bitops(layer: LayerInfo, weight_bits: int, activation_bits: int) -> int: ...
def _layer_bytes(layer: LayerInfo, weight_bits: int, activation_bits: int) -> float: ...
def bitops(model: nn.Module, policy: Policy, input_shape: tuple[int, int, int]) -> int:
    """Bit operations of `policy`; with 1 bit everywhere, the number of multiply-adds."""

def _other_bytes(model: nn.Module) -> int: ...
def model_size(model: nn.Module, policy: Policy) -> int:
    """Bytes that weights, biases and batch-norm statistics take when stored with `policy`; a shared weight counts once."""

@dataclass(frozen=True)
class LayerCost:
    """The costs of one layer for one image."""

    layer: LayerInfo
    bits: tuple[int, int]
    bitops: int
    weight_bytes: int
    activation_bytes: int

@dataclass(frozen=True)
class CostTable:
    """The costs of a network under a policy; `print` shows the table, `plot_costs` the picture."""

    rows: list[LayerCost]
    other_bytes: int
    peak: int

    @property
    def macs(self) -> int: ...
    @property
    def bitops(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...
    def __str__(self) -> str: ...

def cost_table(model: nn.Module, policy: Policy, input_shape: tuple[int, int, int]) -> CostTable:
    """Multiply-adds, bit operations, weight bytes and activation bytes of every layer."""
