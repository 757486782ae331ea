# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from torch import nn, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

__all__ = []

class OpenAttention(nn.MultiheadAttention):
    """
    Self-attention whose two projections are layers: `in_proj` (queries, keys and values at once) and `out_proj`.

        model = open_attention(torchvision.models.vit_b_16())
        attention = model.encoder.layers[0].self_attention
        attention.in_proj                                    # Linear(768, 2304)
    """

    __class__: Any
    out_proj: Any
    in_proj_weight: None
    in_proj_bias: None

    @classmethod
    def open(cls, attention: nn.MultiheadAttention, name: str) -> "OpenAttention":
        """Turn `attention` into its open version, in place."""

    def close(self) -> nn.MultiheadAttention:
        """Turn it back, in place."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Self-attention as `nn.MultiheadAttention` computes it.

        `ValueError` for masks, cross-attention, and if weights are asked for."""

def open_attention(model: nn.Module, layers: set[str] | None = None) -> nn.Module:
    """Open the attention of `model`."""

@dataclass(frozen=True)
class Product:
    """One product with a layer's weight, as it was executed."""

    layer: str
    macs: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

_PLACES: dict[str, tuple[int, ...]]
_RECURRENT: set[str]
_FUSED: set[str]
_PYTORCH: set[str]

def _is_hidden(func: Callable, tensors: list[Tensor], origins: list[frozenset | None], result: object) -> bool: ...

_PLAIN: str

class _ProductRecorder(TorchDispatchMode):
    """Follows an image through a network and notes every product with a weight; `ValueError` for one that is no layer's."""

    products: Any
    running: Any
    origin: WeakIdKeyDictionary
    met: Any
    layers: Any
    names: Any
    owners: Any
    own: Any
    free: Any

    def __init__(self, model: nn.Module, images: Tensor) -> None: ...
    def _origin(self, t: Tensor) -> frozenset[str] | None: ...
    def __torch_dispatch__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object: ...
    def _note(self, func: Callable, args: tuple, kwargs: dict, result: object, places: tuple[int, int]): ...
    def _makes_weight(self, operands: list[Tensor]) -> bool: ...
    def check_parameters(self, name: str) -> None:
        """`ValueError` if a rounded layer is called with other parameters than its own."""

    def _check_own(self, origins: list[frozenset | None]): ...
    def _owners(self, origins: list[frozenset | None]) -> list[str]: ...
    def _any_quantized(self, origins: list[frozenset | None]) -> bool: ...
    def check_met(self):
        """`ValueError` for a rounded layer whose weight meets the image, but in no product."""

    def _check_rounded(self, name: str): ...
    def _layer_of(self, origins: list[frozenset | None]) -> tuple[str | None, int]: ...
    def _refuse(self, origins: list[frozenset | None]): ...

@contextmanager
def recorded_products(model: nn.Module, images: Tensor) -> Iterator[list[Product]]:
    """Note the products of all forward passes inside.

    `ValueError` from one with a weight that is no layer's, or is not rounded as it should be."""
