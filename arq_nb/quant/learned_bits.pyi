# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Mapping
import torch
from torch import Tensor, nn
from .quantizers import LSQ, UniformQuantizer

__all__ = ["top_code", "noisy", "PseudoNoise", "learned_bitops", "bitops_penalty", "learned_bits", "fix_bits"]

def top_code(bits: Tensor | float, signed: bool) -> Tensor | float:
    """The largest code of a grid, as a smooth function of the bit-width: 2**(bits - 1) - 1 or 2**bits - 1."""

def noisy(x: Tensor, step: Tensor, low: Tensor, high: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """`x` clipped to [low, high], with uniform noise of one step's width strictly inside; differentiable in all four tensors."""

class PseudoNoise(nn.Module):
    """Fake quantization with a learned bit-width: noise in training, rounding in evaluation (NIPQ, Shin et al. 2023)."""

    axis: int | None
    method: str
    known_sign: bool | None
    min_bits: int
    max_bits: int
    shape: Any
    bits: nn.Parameter
    clip: nn.Parameter
    signed: Any
    calibrated: bool
    generator: Any
    sign: Tensor

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
    def _loaded(self): ...
    @property
    def integer_bits(self) -> int:
        """The whole number of bits that evaluation uses."""

    def boundary(self) -> Tensor:
        """The clip, positive and shaped to broadcast against the values."""

    @property
    def scale(self) -> Tensor:
        """The step of the grid that evaluation uses."""

    def calibrate(self, x: Tensor) -> PseudoNoise:
        """Choose sign (where it is open) and clip from `x`, for the present bits; `ValueError` for NaN, infinite or no values."""

    def drawn_bits(self) -> Tensor:
        """`bits` rounded up or down at random, so that its mean is `bits`; the gradient is that of the identity."""

    def forward(self, x: Tensor) -> Tensor: ...
    def extra_repr(self) -> str: ...

def _layer_bits(layer: nn.Module) -> list[Tensor | int]: ...
def learned_bitops(model: nn.Module, macs: Mapping[str, int]) -> Tensor:
    """Bit operations for one image at the present, real-valued bits; `ValueError` naming layers that do not match `macs`."""

def bitops_penalty(model: nn.Module, macs: Mapping[str, int], target: float) -> Tensor:
    """Smooth l1 distance of the bit operations from `target`, in units of the target."""

def learned_bits(model: nn.Module) -> dict[str, tuple[int, int]]:
    """The whole bits that the layers of `model` have settled on."""

def _hardened(q: nn.Module, quantizer: type[UniformQuantizer]) -> nn.Module: ...
def fix_bits(model: nn.Module, quantizer: type[UniformQuantizer] = LSQ) -> nn.Module:
    """A copy with ordinary quantizers of the same grids: in evaluation mode, the same outputs."""
