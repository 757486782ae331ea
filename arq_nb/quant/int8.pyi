# Written by tools/stubs.py: edit the notebooks.
import os
from collections import Counter
from collections.abc import Callable
from typing import Any
import numpy as np
from torch import fx, nn, Tensor
from ..core.fingerprint import fingerprint
from .layers import QuantizedLayer
from .quantizers import UniformQuantizer

__all__ = ["export_int8", "images_together", "Int8", "save_program"]

def _weight_codes(layer: QuantizedLayer) -> tuple[Tensor, Tensor]: ...
def _largest_input(quantizer: UniformQuantizer) -> int: ...
def _may_saturate(codes: Tensor, largest: int) -> bool: ...
def _halves(codes: Tensor) -> tuple[Tensor, Tensor]: ...
def _converted(converter: Callable, name: str, *args: Any, **kwargs: Any) -> Any: ...

class _Exporter(fx.Interpreter):
    """Rebuilds a network as an OpenVINO graph; counts the layers that run in integers and those that may saturate."""

    extra_traceback: bool
    split: bool
    integer: int
    unsafe: int

    def __init__(self, model: nn.Module, image: Tensor, split: bool) -> None: ...
    def run_node(self, n): ...
    def get_attr(self, target, args, kwargs): ...
    def call_function(self, target, args, kwargs): ...
    def call_method(self, target, args, kwargs): ...
    def call_module(self, target, args, kwargs): ...
    def layer(self, name: str, layer: nn.Module, x: Any):
        """A convolution or linear layer: in integers if it has codes for both input and weight, else in float32."""

    def integer_weights(self, layer: QuantizedLayer) -> list:
        """The layer's weights as one constant, or as two halves if they may saturate."""

_SETTINGS: dict[str, bool | str]
_FEW_CHANNELS: int
_KERNELS: str

def _few_channels(program: Any) -> set[str]: ...
def _with_wishes(program: Any) -> Any: ...
def _compiled(program: Any, wishes: bool = True, **more: Any) -> Any: ...
def kernels_saturate() -> bool:
    """True if int8 kernels on this machine lose what does not fit into 16 bits (x86 without VNNI)."""

_MARK: list[str]

def _program_of(network: nn.Module, sample: Tensor, split: bool) -> tuple[Any, _Exporter]: ...
def _check_operations(network: nn.Module, sample: Tensor) -> None: ...
def export_int8(model: nn.Module, input_shape: tuple[int, int, int], split: bool | None = None) -> object:
    """A quantized network as an integer network.

    `ValueError` if no layer has integer codes (a float or frozen network), if a quantizer is not calibrated, and for
    operations that cannot be exported. `ImportError` without the extra `int8`."""

def _program_code(program: Any) -> list: ...
def images_together(height: int, width: int) -> int:
    """So many images are computed together; a divisor of `CHUNK`, so that whole chunks of noise need no filling up."""

class Int8:
    """
    A classifier that runs an integer network on the CPU; may be asked by several threads.

        classifier = Int8(export_int8(quantized, (3, 32, 32)))
        classifier(images).argmax(1)                          # (batch, 3, 32, 32) in [0, 1], to classes
        classifier.precision                                  # "int8", for certificates
    """

    fingerprint: Any
    shape: Any
    together: Any
    compiled: Any
    requests: Any
    memory: Any
    started: int
    lock: Any
    precision: str
    settings: dict[str, Any] = {}

    def __init__(self, program: object, threads: int | None = None) -> None: ...
    def __call__(self, images: Tensor) -> Tensor: ...
    def in_background(self, images: Tensor) -> Callable[[], Tensor]:
        """Begin to compute, and come back at once if few images are under way; until the logits, leave `images` alone.

        `ValueError` for bytes, for NaN or infinite values, and for images of another shape."""

    def _start(self, pixels: np.ndarray, logits: np.ndarray) -> None: ...

def kernels(classifier: Int8) -> Counter:
    """The kernels that the runtime has chosen for this machine; a name ends with its operands' type, as in `..._i8`."""

def save_program(program: object, path: str | os.PathLike) -> None:
    """Save an integer network unchanged; `Int8(path)` runs it."""
