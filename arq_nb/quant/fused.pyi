# Written by tools/stubs.py: edit the notebooks.
from typing import Any
import weakref
from collections.abc import Callable
from torch import fx, nn, Tensor

__all__ = []

def keep_freed_memory() -> None:
    """Make glibc keep what is freed for the next layer, where it gave it back and asked for fresh pages each time.

    At most 62 MB lie idle then. Where memory is managed otherwise, nothing happens."""

class _Packed:
    """Weights in the order of oneDNN's kernels, and the largest activation that was met."""

    known: Any
    largest: int

    def __init__(self) -> None: ...
    def weight(self, layer: nn.Conv2d, x: Tensor) -> Tensor:
        """The weight of a layer for a batch like `x`."""

def _convolution(
    layer: nn.Conv2d,
    packed: _Packed,
    x: Tensor,
    other: Tensor | None = None,
    into: bool = False,
    post: str = "none",
    limits: tuple[float, ...] = (),
) -> Tensor: ...
def _spread(value: Tensor, images: Tensor) -> Tensor: ...

_RELU: tuple[Any | str | type, ...]
_ADD: tuple[Any | str, ...]
_ASLEEP: tuple[type, ...]
_CHANNELWISE: tuple[Any, ...]
_IN_PLACE: tuple[str, ...]

class _Fuser:
    """Rewrites the graph of a network."""

    graph: fx.Graph
    layers: Any
    place: Any
    packed: Any

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None: ...
    def kind(self, node: object) -> object:
        """The class of a layer, the function, or the name of a method."""

    def reader(self, node: fx.Node) -> fx.Node | None:
        """The one that reads a result, past what does nothing; None if there are several."""

    def source(self, node: object) -> object:
        """Where a result comes from, past what does nothing and has no other reader."""

    def convolves(self, node: object) -> bool:
        """True for a convolution that computes as PyTorch's own."""

    def post(self, node: fx.Node | None) -> tuple[str, tuple[float, ...]] | None:
        """The name and the limits that oneDNN has for an operation, if it can be joined to a convolution."""

    def mutates(self, node: fx.Node) -> bool:
        """True for what may write into its input."""

    def join(
        self,
        conv: fx.Node,
        last: fx.Node,
        other: fx.Node | None = None,
        post: tuple[str, tuple[float, ...]] | None = None,
    ) -> None:
        """Put one call in the place of `last`, unless something is written in place meanwhile."""

    def join_sum(self, node: fx.Node) -> None:
        """A sum becomes a part of a convolution that it adds."""

    def join_alone(self, node: fx.Node) -> None:
        """A convolution with what follows."""

    def write_over(self, node: fx.Node) -> None:
        """Let a sum take the place of its shortcut in memory, where that is free."""

    def spread(self, node: fx.Node) -> None:
        """Spread the numbers for the channels that meet images in a sum or a product."""

    def rewrite(self) -> int:
        """Join what may be joined."""

_CACHE: int
_FEWEST: int
_TOLERANCE: dict[Any, float]

class _Program:
    """What a network runs instead of its forward pass, where that is the same."""

    model: weakref.ref
    forward: Callable[[nn.Module, Tensor, _Packed], Tensor]
    packed: _Packed
    parts: Any
    pieces: dict[tuple, int]

    def __init__(self, model: nn.Module, forward: Callable[[nn.Module, Tensor, _Packed], Tensor]) -> None: ...
    def __call__(self, *args: object, **kwargs: object) -> object: ...
    def suits(self, model: nn.Module, x: object) -> bool:
        """True if these are images for the program, and the network is as it was when the program was made."""

    def run(self, model: nn.Module, x: Tensor) -> Tensor | None:
        """Answer images piece by piece; None for images of a kind that the program cannot do."""

    def tried(self, model: nn.Module, image: Tensor) -> int:
        """Images in a piece; 0 if the network among four images says something else than the program among two."""

def fuse(model: nn.Module) -> nn.Module:
    """Give a network a program in which each convolution does what follows it, for float images on a CPU.

    Nothing else of it changes. What cannot be traced stays as it is."""
