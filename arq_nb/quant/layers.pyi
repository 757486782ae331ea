# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from torch import nn, Tensor

__all__ = ["QuantizedLayer"]

def _enter(module: nn.Module, *_): ...
def _leave(module: nn.Module, *_): ...

class _LayerWeight(Tensor):
    """The weight of a quantized layer on its way into a product, where both operands are rounded."""

    @staticmethod
    def of(value: Tensor, layer: nn.Module, source: Tensor, views: tuple[Callable, ...] | None) -> "_LayerWeight": ...
    @classmethod
    def __torch_function__(
        cls, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object: ...

def _unmarked(value): ...
def _refuse_backward(args: tuple, kwargs: dict): ...
def _used_as_it_is(values: Iterable): ...

_CONVOLUTIONS: tuple[Any, ...]
_MATRIX_PRODUCTS: tuple[Any, ...]
_SUMS_OF_PRODUCTS: tuple[Any, ...]
_FIRST: tuple[str, ...]
_SECOND: tuple[str, ...]
_PRODUCTS: dict[Any, int]

def _operands(func: Callable, args: list, kwargs: dict) -> list[tuple[list | dict, int | str]]: ...
def _weight_of(func: Callable, values: list[Tensor]) -> int | None: ...
def _rounded_product(func: Callable, args: tuple, kwargs: dict): ...
def _einsum_arguments(args: list) -> list: ...

_VIEWS: set[str]
_COPIES: set[str]
_GETTERS: set[Any]

def _mark_result(func: Callable, args: tuple, kwargs: dict, result: object) -> object: ...
def _check_growth(name: str, source: _LayerWeight, args: tuple, result: object): ...
def _part(i: int, func: Callable, args: tuple, kwargs: dict, weight: Tensor) -> Tensor: ...
def _view(source: _LayerWeight, result: Tensor, view: Callable) -> Tensor: ...

@dataclass
class _Notes:
    """What forward passes have found out about a part of a quantized network; it changes nothing that is computed."""

    ran: bool = False
    derived: bool = False
    borrowed: bool = False
    fingerprint: str

class QuantizedLayer:
    """
    What quantized layers share: `weight_quantizer`, `input_quantizer`, a `weight` that takes both into each product.

        layer = QuantizedLayer.wrap(nn.Linear(8, 4), LSQ(4, signed=True), LSQ(4))
        layer(x)                                                # x and the weight are rounded
        layer.unwrap()                                          # a Linear again
    """

    __class__: Any
    _own: tuple[str, ...]

    @staticmethod
    def wrap(layer: nn.Module, weight_quantizer: nn.Module, input_quantizer: nn.Module, name: str = "") -> nn.Module:
        """Turn `layer` into its quantized version, in place; `ValueError` if it has attributes of these names."""

    def unwrap(self) -> nn.Module:
        """Turn it back into the float layer, in place."""

    def own_weight(self) -> Tensor:
        """The float weight: a parameter, or what a reparametrization has made of some."""

    @property
    def weight(self) -> Tensor:
        """The float weight; during a forward pass marked, so that the product which it enters is rounded, or refused."""

    @weight.setter
    def weight(self, value: Tensor) -> None: ...
    def weight(self) -> None: ...
    def rounded_weight(self, weight: _LayerWeight) -> Tensor:
        """What `weight` is in a product: the rounded weight of the layer, viewed likewise, or else itself rounded."""

    def __reduce_ex__(self, protocol: int) -> tuple: ...
    def stores_its_weight(self) -> bool:
        """True if what enters the layer's products is its parameter, rounded, and nothing else."""

class _PlainConvolution(QuantizedLayer):
    def forward(self, input: Tensor) -> Tensor: ...

class _PlainLinear(QuantizedLayer):
    def forward(self, input: Tensor) -> Tensor: ...

class _OwnForward(QuantizedLayer):
    def forward(self, *args, **kwargs): ...

def _plain_forward(layer: nn.Module) -> type: ...
def has_plain_forward(layer: nn.Module) -> bool:
    """True if the weight is a parameter of the layer and the forward pass that of PyTorch's linear layer or convolution."""

def _quantized_class(kind: type, forward: type) -> type: ...
def _unpickled(kind: type, forward: type) -> nn.Module: ...
def follow_weights(model: nn.Module, names: Iterable[str]) -> nn.Module:
    """Let the parts of `model` that hold quantized layers mark the weights while their forward passes run."""

def _notes_of_part(module: nn.Module) -> _Notes | None: ...
def unfollow_weights(model: nn.Module) -> nn.Module:
    """Undo `follow_weights`."""

def unknown_uses(model: nn.Module) -> list[str]:
    """Parts, not called yet, that may take the weight of a layer themselves, because their code speaks of a `weight`."""

@contextmanager
def not_followed(model: nn.Module) -> Iterator[nn.Module]:
    """Leave the marks out; `ValueError` that names a layer which needs them."""
