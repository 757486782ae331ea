# Written by tools/stubs.py: edit the notebooks.
from typing import Any
import types
from collections.abc import Sequence
import numpy as np
from torch import nn, Tensor

__all__ = ["name_of", "inner_network", "fingerprint"]
_PLUMBING: frozenset[str]
_MARKS: tuple[str, ...]
_LIBRARIES: frozenset[str]
_NAMED: tuple[Any | type, ...]
_PLAIN: tuple[type, ...]

def _root(thing: object) -> str: ...
def name_of(thing: object) -> str:
    """How records call it; where it was defined may be called `__main__` today and otherwise tomorrow."""

def _written(code: types.CodeType | None) -> set[str]: ...
def _state(value: object) -> dict: ...
def inner_network(model: nn.Module) -> nn.Module:
    """The network inside such wrappers."""

class _Hasher:
    """SHA-256 of a value of any kind, part by part."""

    sha: Any
    met: Any

    def __init__(self) -> None: ...
    def text(self, *parts: object) -> None: ...
    def again(self, value: object) -> bool:
        """True if this very object came before."""

    def add(self, value: object) -> None: ...
    def tensor(self, value: Tensor) -> None: ...
    def module(self, value: nn.Module) -> None: ...
    def function(self, value: types.FunctionType) -> None: ...
    def code(self, code: types.CodeType) -> None: ...
    def part(self, value: object) -> None:
        """A value that is more than one number or text."""

    def array(self, value: np.ndarray) -> None: ...
    def many(self, kind: str, values: Sequence) -> None: ...
    def thing(self, value: object) -> None: ...

def _weighty(value: object) -> object: ...
def _codes(code: types.CodeType) -> list[types.CodeType]: ...
def fingerprint(value: object) -> str:
    """The first digits of SHA-256 over everything that `value` is made of."""
