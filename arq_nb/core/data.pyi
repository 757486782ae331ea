# Written by tools/stubs.py: edit the notebooks.
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.utils.data import Dataset

__all__ = ["DataError", "to_float", "ImageData", "concat", "load_digits_data", "show_images", "augment", "batches"]

class DataError(ValueError):
    """Images or labels that cannot be used as they are; the message names the path or value and what is allowed."""

def to_float(images: Tensor) -> Tensor:
    """Bytes 0..255 to numbers 0..1."""

@dataclass(eq=False)
class ImageData:
    """
    A labeled set of images held in memory as bytes; `DataError` for contents that do not fit together.

        train = ImageData.from_folder("photos/train", size=224)
        rest, held_out = train.split(500, torch.Generator().manual_seed(0))
        test = ImageData.from_folder("photos/test", size=224, classes=train.classes).every(10)
    """

    images: Tensor
    labels: Tensor
    classes: list[str]
    name: str = ""

    def __post_init__(self) -> None: ...
    def __len__(self) -> int: ...
    def __repr__(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""

    @classmethod
    def from_folder(
        cls,
        root: str | Path,
        size: int | None = None,
        channels: int = 3,
        convert: bool = False,
        max_images: int | None = None,
        classes: Sequence[str] | None = None,
    ) -> "ImageData":
        """Your own images, in the `ImageFolder` layout of torchvision; see `load_image_folder`."""

    @classmethod
    def from_dataset(
        cls,
        dataset: Dataset,
        classes: Sequence[str] | None = None,
        name: str = "",
        size: int | None = None,
        channels: int | None = None,
        convert: bool = False,
        progress: bool = True,
    ) -> "ImageData":
        """A data set of torch; see `read_dataset`. `DataError` names the item that cannot be used."""

    def subset(self, indices: Tensor | Sequence[int] | slice) -> ImageData:
        """Some of the images."""

    def every(self, skip: int, max: int | None = None) -> ImageData:
        """Every `skip`-th image, the field's way of choosing a test subset."""

    def split(self, n: int, generator: torch.Generator) -> tuple[ImageData, ImageData]:
        """Hold out `n` images, each class in proportion to its size."""

    def to(self, device: torch.device | str) -> ImageData:
        """Move images and labels to a device."""

    def with_classes(self, classes: Sequence[str]) -> ImageData:
        """Match the classes by name to those of another set, e.g. of the training images."""

def check_image_data(data: object, what: str = "data") -> None:
    """Raise a `DataError` that says how to make an `ImageData`, unless `data` is one."""

def check_images(images: Tensor) -> Tensor:
    """`ValueError` that says what it is unless it is a batch of float images in [0, 1]."""

def _composed(name: str) -> str: ...
def class_places(names: Sequence[str], classes: Sequence[str], where: str) -> dict[str, int]:
    """Match classes by name; `DataError` for one that `classes` lacks."""

def concat(a: ImageData, b: ImageData) -> ImageData:
    """Two sets of images as one; classes are matched by name."""

def check_alike(train: ImageData, data: ImageData, what: str) -> ImageData:
    """`DataError` for images of another shape, or of classes that `train` does not have."""

def load_digits_data(split: str = "train") -> ImageData:
    """Scikit-learn's handwritten digits: they come with the library, nothing to download."""

def show_images(images: Tensor, titles: Sequence[str] | None = None, columns: int = 8, side: float = 0.8) -> plt.Figure:
    """A grid of images."""

def augment(images: Tensor, generator: torch.Generator, pad: int = 4, flip: bool = True) -> Tensor:
    """Random crop of the padded image and random mirror image, the whole batch at once."""

REFUSED_VIEW: str

def takes_channels_last(call: Callable, images: Tensor) -> bool:
    """False for a network that flattens its maps with `view`, which PyTorch refuses to images that lie channels last."""

def batch_sizes(n: int, batch_size: int, merge_single: bool = False) -> list[int]:
    """The sizes of the batches of one pass."""

def batches(
    data: ImageData,
    batch_size: int,
    generator: torch.Generator | None = None,
    augmenter: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    merge_single: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass over the data, batch by batch."""
