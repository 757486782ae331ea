# Written by tools/stubs.py: edit the notebooks.
from typing import Any
import types
from collections.abc import Sequence
import numpy as np
import torch
from torch import nn, Tensor

__all__ = ["fingerprint"]
_PLUMBING: frozenset[str]
_MARKS: tuple[str, ...]
_LIBRARIES: frozenset[str]
_NAMED: tuple[Any | type, ...]
_PLAIN: tuple[type, ...]

def _root(thing: object) -> str: ...
def name_of(thing: object) -> str:
    """How records call it; where it was defined may be called `__main__` today and otherwise tomorrow."""

_SINCE: dict[str, str]

def _place(function: types.FunctionType) -> str: ...
def _written(code: types.CodeType | None) -> frozenset[str]: ...
def _state(value: object) -> dict: ...

_WRAPPERS: tuple[Any | type, ...]

def inner_network(model: nn.Module) -> nn.Module:
    """The network inside such wrappers."""

class _Hasher:
    """SHA-256 of a value of any kind, part by part."""

    sha: Any
    met: Any
    opaque: Any

    def __init__(self) -> None: ...
    def text(self, *parts: object) -> None: ...
    def again(self, value: object) -> bool:
        """True if this very object came before."""

    def add(self, value: object) -> None: ...
    def tensor(self, value: Tensor) -> None: ...
    def module(self, value: nn.Module) -> None: ...
    def scripted(self, value: torch.jit.ScriptModule) -> None:
        """A TorchScript network as its file has it; `ValueError` if that would lose weights."""

    def function(self, value: types.FunctionType) -> None: ...
    def code(self, code: types.CodeType) -> None: ...
    def part(self, value: object) -> None:
        """A value that is more than one number or text."""

    def array(self, value: np.ndarray) -> None: ...
    def many(self, kind: str, values: Sequence) -> None: ...
    def builtin(self, value: object) -> None:
        """A function that is compiled; it may stand for one that is not, as `functools.lru_cache` makes it."""

    def thing(self, value: object) -> None: ...

_MET_AGAIN: Any
_CHANGES: set[str]
_CHANGING: set[str]

def _notes(code: types.CodeType) -> bool: ...
def _weighty(value: object, code: types.CodeType) -> object: ...
def _codes(code: types.CodeType) -> list[types.CodeType]: ...

_OPAQUE: str

def _compiled(kind: type) -> bool: ...
def _stored(value: object) -> object: ...
def _content(value: object) -> object: ...
def fingerprint(value: object) -> str:
    """The first digits of SHA-256 over everything that `value` is made of."""
