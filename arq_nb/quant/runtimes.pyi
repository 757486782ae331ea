# Written by tools/stubs.py: edit the notebooks.
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from torch import Tensor
from .int8 import Int8

__all__ = ["load_exported"]

def _tensors(graph: Any) -> Iterator[Any]: ...
def _data_files(model: Any, path: Path) -> list[Path]: ...

_PICKLED: tuple[bytes, ...]

class _OnnxFile:
    """A valid ONNX model, its hash, and what it takes."""

    path: Path
    data: Any
    files: Any
    sha256: Any
    notes: Any
    model: Any

    def __init__(self, path: str | os.PathLike) -> None: ...
    def _checked_input(self) -> tuple[tuple[int, int, int], int | None]: ...
    @property
    def arithmetic(self) -> str:
        """'int8' where something is quantized, else the shortest type of its constants."""

def _saturates() -> bool: ...
def _version(package: Any) -> str: ...

class _Named:
    """What a file is called in certificates."""

    path: Any
    sha256: Any
    notes: Any
    runtime: str
    fingerprint: Any
    precision: Any

    def name(self, file: _OnnxFile, runtime: str) -> None: ...
    def __repr__(self) -> str: ...

_LIBERTIES: list[str]

class _InOnnxRuntime(_Named):
    """A file asked by ONNX Runtime, on the CPU."""

    shape: Any
    together: Any
    session: Any

    def __init__(self, file: _OnnxFile, threads: int | None) -> None: ...
    @staticmethod
    def _sound(options: Any, session: Callable[[], Any]) -> Any: ...
    def __call__(self, images: Tensor) -> Tensor: ...

def _refused(file: _OnnxFile, runtime: str, error: Exception) -> ValueError: ...
def _in_bytes(model: Any) -> bytes: ...
def _program(file: _OnnxFile) -> Any: ...

class _InFloats(Int8):
    """A program whose integers are computed as floats."""

    settings: dict[str, bool | int | str]

_ASTRAY: float

def _astray(integers: Int8, floats: Int8) -> bool: ...

class _InOpenVINO(_Named, Int8):
    """A file asked by OpenVINO: in integers, where these give what the file says."""

    settings: Any
    settings: dict[str, bool | int | str]

    def __init__(self, file: _OnnxFile, threads: int | None) -> None: ...

def load_exported(
    path: str | os.PathLike, runtime: str | None = None, threads: int | None = None
) -> Callable[[Tensor], Tensor]:
    """A file as a classifier: whatever takes a network takes it, for certificates of this file in this runtime.

    Attributes: `precision`, `sha256` of the file (and of the files in which it keeps numbers, if there are any),
    `runtime` with its version ("in floats" where its integers saturate or are not what the file says, with a warning
    unless all files are computed so on this processor), `notes` from its metadata, `shape` of an image. `ValueError`
    with the path for a file that is missing, cut off, no ONNX, no classifier of images, or that the runtime does not
    take, and for one that keeps numbers outside its folder. Nothing is unpickled. `ImportError` without the extra
    `export` (or `int8`)."""
