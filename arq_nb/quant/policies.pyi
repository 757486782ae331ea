# Written by tools/stubs.py: edit the notebooks.
from typing import Any
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from torch import nn, Tensor
from .layers import QuantizedLayer
from .quantizers import LSQ, UniformQuantizer

__all__ = [
    "Policy",
    "save_policy",
    "load_policy",
    "quantize",
    "calibrate",
    "try_once",
    "dequantize",
    "NeverCalled",
    "freeze",
]

def _check_bits(name: str, bits) -> tuple[int, int]: ...

@dataclass(frozen=True)
class Policy:
    """Bit-widths for every layer: `bits[name] == (weight bits, activation bits)`; 32 means float."""

    bits: Mapping[str, tuple[int, int]]

    def __post_init__(self) -> None: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple: ...
    @property
    def layers(self) -> list[str]: ...
    @classmethod
    def uniform(cls, model: nn.Module, weight_bits: int, activation_bits: int) -> Policy:
        """The same bits everywhere."""

    def replace(self, name: str, weight: int | None = None, activation: int | None = None) -> Policy:
        """A copy with one layer changed; `ValueError` for a layer that the policy does not have."""

    def __str__(self) -> str: ...

def save_policy(self: Policy, path: str | os.PathLike) -> None:
    """Write the policy as JSON, atomically."""

def load_policy(path: str | os.PathLike) -> Policy:
    """Read a policy written by `Policy.save`; `ValueError` naming the file if it is not one."""

def _weight_quantizer(layer: nn.Module, bits: int, kind: type, per_channel: bool, fitted: bool) -> nn.Module: ...
def _check_fit(layers: dict[str, nn.Module], policy: Policy): ...
def _one_width(policy: Policy, shared: Mapping[str, str]) -> Policy: ...
def quantize(
    model: nn.Module,
    policy: Policy,
    quantizer: type[UniformQuantizer] = LSQ,
    weight_quantizer: type[UniformQuantizer] | None = None,
    per_channel: bool = True,
    fitted: bool = True,
) -> nn.Module:
    """A copy of `model` with fake quantizers on every layer's weight and input; layers with 32/32 bits stay the same.

    `ValueError` if the policy's layers are not the model's, if the model is quantized already, and for NaN or infinite
    weights. Layers that share a weight get one bit-width, the largest of theirs, with a warning if they differ.
    Input quantizers calibrate themselves on the first batch, or by `calibrate`."""

def calibrate(model: nn.Module, images: Tensor) -> nn.Module:
    """Fit every activation quantizer to `images`, in execution order, each seeing already quantized inputs.

    `ValueError` naming a layer if its weight enters a product that would not be rounded, and for a product with a
    weight that belongs to no layer. A layer that is called more than once is fitted to all of its inputs."""

@contextmanager
def _one_image(input_shape: Sequence[int]) -> Iterator[None]: ...
def _zero_image(model: nn.Module, input_shape: Sequence[int]) -> Tensor: ...
def try_once(model: nn.Module, input_shape: Sequence[int]) -> None:
    """Call `model` on a zero image, so that it is known how each weight is used.

    `ValueError` as `calibrate`, which is not needed then."""

class _Calibration:
    """Before a quantizer rounds, fits it to all that it has been given in this pass."""

    seen: Any

    def __init__(self) -> None: ...
    def __call__(self, quantizer: nn.Module, inputs: tuple[Tensor]): ...

def dequantize(model: nn.Module) -> nn.Module:
    """Undo `quantize`: a copy with the classes, names and state dict of the float network, and its present weights."""

class NeverCalled(nn.Module):
    """In place of the input quantizer of a layer that no calibration has reached, such as one of an auxiliary head."""

    layer_name: str

    def __init__(self, layer_name: str) -> None: ...
    def forward(self, x: Tensor) -> Tensor: ...

def _fixed_input(layer: QuantizedLayer) -> nn.Module: ...
def freeze(model: nn.Module) -> nn.Module:
    """A copy of `model` whose weights hold their quantized values and whose steps are constants.

    The outputs are the same, with less work for each batch. A weight that the forward pass computes (standardized,
    reparametrized, pruned) is still rounded there, with constant steps. `ValueError` if the network is not calibrated,
    or would have to be called once to know which these are."""
