# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Mapping
import ipywidgets as widgets
from torch import nn
from ..quant.costs import LayerInfo

__all__ = ["PolicyExplorer"]

def _layer_groups(layers: list[LayerInfo]) -> dict[str, list[str]]: ...

class PolicyExplorer(widgets.VBox):
    """
    Sliders for the bits of a group of layers; `.policy` is the policy they have made.

        explorer = PolicyExplorer(resnet20(), (3, 32, 32))
        explorer.weight.value = 4
        explorer.policy
    """

    model: nn.Module
    budget: Any
    groups: Any
    policy: Any
    names: Any
    group: widgets.Dropdown
    summary: widgets.HTML
    picture: widgets.Image

    def __init__(self, model: nn.Module, input_shape: tuple[int, int, int]) -> None: ...
    def _choose(self, change: Mapping) -> None: ...
    def _move(self, change: Mapping) -> None: ...
    def _show(self) -> None: ...
