# Written by tools/stubs.py: edit the notebooks.
from typing import Any
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from torch import nn, Tensor
from .layers import QuantizedLayer
from .quantizers import LSQ, UniformQuantizer

__all__ = ["Policy", "quantize", "calibrate", "dequantize", "freeze"]

def _check_bits(name: str, bits: object) -> tuple[int, int]: ...

@dataclass(frozen=True, init=False)
class Policy:
    """Bit-widths for every layer: `bits[name] == (weight bits, activation bits)`; 32 means float.

    A name may be a pattern, see `Policy.resolve`. The order of the names does not count when policies are compared.

        policy = Policy({"conv1": (8, 8), "layer1.*": (2, 4)}, default=(4, 4))
        policy = policy.replace("layer1.*", weight=3)
        small = quantize(model, policy)
    """

    bits: Mapping[str, tuple[int, int]]

    def __init__(self, bits: Mapping[str, tuple[int, int]], default: tuple[int, int] | None = None) -> None: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple: ...
    @property
    def layers(self) -> list[str]: ...
    @property
    def text(self) -> str:
        """Weight/activation bits of each layer in order, in one line."""

    @classmethod
    def uniform(cls, model: nn.Module, weight_bits: int, activation_bits: int) -> Policy:
        """The same bits everywhere."""

    def replace(self, name: str, weight: int | None = None, activation: int | None = None) -> Policy:
        """A copy with one layer changed; `ValueError` for a layer that the policy does not have."""

    def __str__(self) -> str:
        """A line for each layer: the bits of its weights and of its input."""

    def save(self, path: str | os.PathLike) -> None:
        """Write the policy as JSON, atomically."""

    @classmethod
    def load(cls, path: str | os.PathLike) -> Policy:
        """Read a policy written by `Policy.save`; `ValueError` naming the file if it is not one."""

    def resolve(self, model: nn.Module | Iterable[str]) -> Policy:
        """The policy with patterns replaced by the layers they stand for.

        A layer's own name counts before patterns, of these the one with the most letters; `*` fits whatever is left.
        `ValueError` with near names for a name or pattern that fits no layer, and for a layer without bits."""

def _letters(pattern: str) -> int: ...
def _bits_of(layer: str, patterns: list[str], bits: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None: ...
def _near(name: str, layers: list[str]) -> str: ...
def _check_policy(policy: object) -> None: ...
def _channel_axis(layer: nn.Module) -> int: ...
def _weight_quantizer(layer: nn.Module, bits: int, kind: type, per_channel: bool, fitted: bool) -> nn.Module: ...
def _made_once(known: object, key: tuple, weight: Tensor | None, make: Callable[[], nn.Module]) -> nn.Module: ...
def _check_float(layers: dict[str, nn.Module]): ...
def one_width(policy: Policy, shared: Mapping[str, str]) -> Policy:
    """`policy`, which names all layers, with one weight bit-width, the largest, for those `shared_weights` names."""

def quantize(
    model: nn.Module,
    policy: Policy,
    quantizer: type[UniformQuantizer] = LSQ,
    weight_quantizer: type[UniformQuantizer] | None = None,
    per_channel: bool = True,
    fitted: bool | dict = True,
) -> nn.Module:
    """A copy of `model` with fake quantizers on every layer's weight and input; layers with 32/32 bits stay the same.

    `ValueError` if the policy's layers are not the model's, if the model is quantized already, and for NaN or infinite
    weights. Layers that share a weight get one bit-width, the largest of theirs, with a warning if they differ.
    Input quantizers calibrate themselves on the first batch, or by `calibrate`."""

def _calibrate(model: nn.Module, images: Tensor) -> None: ...
def calibrate(model: nn.Module, images: Tensor) -> nn.Module:
    """Fit every activation quantizer to `images`, in execution order, each seeing already quantized inputs.

    `ValueError` naming a layer if its weight enters a product that would not be rounded, and for a product with a
    weight that belongs to no layer, for bytes, and for images that `model` cannot be called on. A layer that is called
    more than once is fitted to all of its inputs."""

def try_once(model: nn.Module, input_shape: Sequence[int]) -> None:
    """Call `model`, whose state may just have been loaded, on a zero image, to know how each weight is used.

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
    reparametrized, pruned) or takes the norm of is still rounded there, with constant steps. `ValueError` if the
    network is not calibrated, or would have to be called once to know which these are."""
