# Written by tools/stubs.py: edit the notebooks.
from collections.abc import Mapping
from typing import Any
import torch
from torch import nn, Tensor

__all__ = ["fake_quantize", "UniformQuantizer", "LSQ", "PACT", "clip_penalty", "fixed"]
FLOAT_BITS: int

def _check_bits(bits: int) -> int: ...
def integer_range(bits: int, signed: bool = True) -> tuple[int, int]:
    """The integers a `bits`-wide code can hold; `ValueError` for a bit-width outside 1 to 8, and for 1 signed bit."""

def _largest_code(bits: int, signed: bool = True) -> int: ...

class _FakeQuantize(torch.autograd.Function):
    """Round `x` to `scale` times an integer in `[qmin, qmax]`; straight-through gradient, LSQ gradient for `scale`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, qmin: int, qmax: int, step_gradient: float) -> Tensor: ...
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]: ...

class _Binarize(torch.autograd.Function):
    """`scale` times the sign of `x` (+1 for zero); the gradient passes straight through (Zhou et al. 2016)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, step_gradient: float) -> Tensor: ...
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]: ...

def _binarize(x: Tensor, scale: Tensor, step_gradient: float = 1.0) -> Tensor: ...
def _quantized(x: Tensor, scale: Tensor, bits: int, signed: bool = True, step_gradient: float = 1.0) -> Tensor: ...
def fake_quantize(x: Tensor, scale: Tensor, bits: int, signed: bool = True, step_gradient: float = 1.0) -> Tensor:
    """`x` rounded onto a `bits`-wide grid of step `scale`, differentiable in both (Esser et al. 2020).

    With 1 signed bit it is `scale` times the sign of `x`. `ValueError` for integers, and for a step that is not
    positive and finite, unless it is learned, on a GPU or compiled: it is not looked at there."""

def _rows(x: Tensor, axis: int | None) -> Tensor: ...
def _sample(rows: Tensor, most: int = 65536) -> Tensor: ...
def _peaks(rows: Tensor) -> Tensor: ...
def _clip_minmax(rows: Tensor, bits: int, signed: bool) -> Tensor: ...
def _clip_percentile(rows: Tensor, bits: int, signed: bool, share: float = 0.999) -> Tensor: ...
def _clip_binary(rows: Tensor, bits: int, signed: bool) -> Tensor: ...
def _clip_mse(rows: Tensor, bits: int, signed: bool) -> Tensor: ...

_CLIPPING: dict[str, Any]

def _calibrated_scale(
    x: Tensor, bits: int, signed: bool = True, axis: int | None = None, method: str = "mse"
) -> Tensor: ...

_OPEN: int

class UniformQuantizer(nn.Module):
    """
    Fake quantization with a calibrated, fixed step.

        quantizer = UniformQuantizer(4).calibrate(torch.rand(100))    # unsigned: no value is negative
        rounded = quantizer(torch.rand(8, 3, 4, 4))                   # at most 16 different values
        quantizer.scale, quantizer.signed
    """

    bits: Any
    axis: Any
    method: Any
    known_sign: bool | None
    per_sample: bool
    signed: Any
    calibrated: bool
    sign: Tensor
    scale: Tensor

    def __init__(
        self,
        bits: int,
        signed: bool | None = None,
        axis: int | None = None,
        channels: int = 1,
        ndim: int = 4,
        method: str = "mse",
    ) -> None: ...
    def _load_from_state_dict(self, state: Mapping[str, Tensor], prefix: str, *rest: object) -> None: ...
    def _make_scale(self, scale: Tensor): ...
    def _set_scale(self, scale: Tensor): ...
    def _loaded(self) -> None: ...
    @property
    def integer_bits(self) -> int:
        """Bit-width of the grid."""

    def adopt(self, scale: Tensor, signed: bool) -> UniformQuantizer:
        """Take over a step and a sign; `ValueError` for a step that is not positive and finite."""

    def calibrate(self, x: Tensor) -> UniformQuantizer:
        """Choose sign (where it is open) and step from `x`; `ValueError` for NaN, infinite or no values."""

    def _rounded(self, x: Tensor, scale: Tensor, step_gradient: float = 1.0) -> Tensor: ...
    def forward(self, x: Tensor) -> Tensor: ...
    def extra_repr(self) -> str: ...

class LSQ(UniformQuantizer):
    """
    Fake quantization with a learned step (Esser et al. 2020), started from calibration.

        quantizer = LSQ(4, signed=True, axis=0, channels=16).calibrate(weight)   # one step for each output channel
        quantizer(weight).square().sum().backward()
        quantizer.scale.grad                                                     # (16, 1, 1, 1)
    """

    scale: nn.Parameter

    def _make_scale(self, scale: Tensor): ...
    def forward(self, x: Tensor) -> Tensor: ...

class _StraightThrough(torch.autograd.Function):
    """The value of `hard` with the gradient of `soft`."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor, hard: Tensor) -> Tensor: ...
    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]: ...

class PACT(UniformQuantizer):
    """
    Fake quantization with a learned clip `alpha` (Choi et al. 2018), started from calibration; for activations.

        quantizer = PACT(4).calibrate(activations)
        loss = (quantizer(activations) - activations).square().mean()
        (loss + 1e-4 * quantizer.alpha.square().sum()).backward()      # see `clip_penalty`
    """

    alpha: nn.Parameter

    def _make_scale(self, scale: Tensor): ...
    def _set_scale(self, scale: Tensor): ...
    def _positive(self) -> Tensor: ...
    @property
    def scale(self) -> Tensor: ...
    def forward(self, x: Tensor) -> Tensor: ...

def clip_penalty(model: nn.Module) -> Tensor:
    """The regularizer of PACT (Choi et al. 2018, section 3): add it to the loss times a small weight."""

class FixedQuantizer(nn.Module):
    """Rounding with constants, for inference: values times `inverse`, to integers within the `limits`, times `step`."""

    step: float
    inverse: float
    limits: tuple[int, int]

    def __init__(self, step: float, inverse: float, limits: tuple[int, int]) -> None: ...
    def forward(self, x: Tensor) -> Tensor: ...
    def extra_repr(self) -> str: ...

def fixed(quantizer: nn.Module) -> nn.Module:
    """A calibrated quantizer with one step, that rounds to the nearest, as constants; others are returned as they are."""

def relative_error(x: Tensor, bits: int, axis: int | None = None) -> float:
    """Share of the energy of `x` that rounding destroys; 0 for zeros, which lose nothing."""
