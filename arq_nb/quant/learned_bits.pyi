# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Mapping
import torch
from torch import nn, Tensor
from .layers import QuantizedLayer
from .quantizers import LSQ, UniformQuantizer

__all__ = ["PseudoNoise", "bitops_penalty", "learned_bits", "fix_bits"]

def _top_code(bits: Tensor | float, signed: bool) -> Tensor | float: ...
def _noisy(x: Tensor, step: Tensor, low: Tensor, high: Tensor, generator: torch.Generator | None = None) -> Tensor: ...

class PseudoNoise(UniformQuantizer):
    """
    Fake quantization with a learned bit-width: noise in training, rounding in evaluation (NIPQ, Shin et al. 2023).

        quantizer = PseudoNoise(4.5, signed=True).calibrate(weight)
        (quantizer(weight) - weight).square().sum().backward()
        quantizer.bits.grad                                     # negative: more bits would lower the error
    """

    bits: nn.Parameter
    generator: Any
    min_bits: int
    max_bits: int
    clip: nn.Parameter
    shape: Any

    def __init__(
        self,
        bits_init: float = 8.0,
        signed: bool | None = None,
        axis: int | None = None,
        channels: int = 1,
        ndim: int = 4,
        method: str = "mse",
        min_bits: int = 2,
        max_bits: int = 8,
    ) -> None: ...
    def _make_scale(self, scale: Tensor): ...
    def _set_scale(self, scale: Tensor): ...
    def boundary(self) -> Tensor:
        """The clip, positive and shaped to broadcast against the values."""

    @property
    def integer_bits(self) -> int:
        """The whole number of bits that evaluation uses."""

    @property
    def scale(self) -> Tensor:
        """The step of the grid that evaluation uses."""

    def drawn_bits(self) -> Tensor:
        """`bits` rounded up or down at random, so that its mean is `bits`; the gradient is that of the identity."""

    def forward(self, x: Tensor) -> Tensor: ...

def _quantized_layers(model: nn.Module) -> dict[str, QuantizedLayer]: ...
def _pair(layer: QuantizedLayer, attribute: str) -> list[Tensor | int]: ...
def _learned_bitops(model: nn.Module, macs: Mapping[str, int]) -> Tensor: ...
def bitops_penalty(model: nn.Module, macs: Mapping[str, int], target: float) -> Tensor:
    """Smooth l1 distance of the bit operations from `target`, in units of the target, which is positive."""

def learned_bits(model: nn.Module) -> dict[str, tuple[int, int]]:
    """The whole bits that the layers of `model` have settled on."""

def _hardened(q: nn.Module, quantizer: type[UniformQuantizer]) -> nn.Module: ...
def fix_bits(model: nn.Module, quantizer: type[UniformQuantizer] = LSQ) -> nn.Module:
    """A copy with ordinary quantizers of the same grids: in evaluation mode, the same outputs."""
