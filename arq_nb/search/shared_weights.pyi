# Written by tools/stubs.py: edit the notebooks.
from typing import Any
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
import torch
from torch import nn, Tensor
from ..certify.smoothing import SmoothedClassifier
from ..core.data import ImageData
from ..quant.budgets import Budget
from ..quant.policies import Policy
from .config import SearchConfig
from .judges import RadiusJudge

__all__ = ["SharedWeightsJudge"]

class _Switch(nn.Module):
    """Quantizers for several bit-widths, one of them in use."""

    bits: Any
    options: nn.ModuleDict

    def __init__(self, options: Mapping[int, nn.Module]) -> None: ...
    @property
    def chosen(self) -> nn.Module:
        """The quantizer in use."""

    def forward(self, x: Tensor) -> Tensor: ...

_SLOTS: tuple[str, ...]

def _switchable(model: nn.Module, widths: Sequence[int]) -> nn.Module: ...
def _switch(model: nn.Module, policy: Policy) -> None: ...

class SharedWeightsJudge(RadiusJudge):
    """
    Certifies policies with one set of weights that was trained for all of them (after Yu et al. 2021).

        judge = SharedWeightsJudge(net, train, holdout, 0.25, budget)
        judge.evaluate(Policy.uniform(net, 4, 4)).acr   # no training: 4 batches measure batch norm again
        search(net, train, holdout, budget, 0.25, policies=100, weights="shared")   # the same judge, kept in a folder
    """

    budget: Budget
    env: Any
    kept: Path | None
    epochs: Any
    widths: Any

    def __init__(
        self,
        model: nn.Module,
        train: ImageData,
        holdout: ImageData,
        sigma: float,
        budget: Budget,
        config: SearchConfig = SearchConfig(),
        epochs: int | None = None,
        kept: Path | None = None,
    ) -> None: ...
    def _check(self, policy: Policy) -> None: ...
    def _about(self) -> dict: ...
    @cached_property
    def shared(self) -> nn.Module:
        """The network with a switch at every quantizer, trained when it is first needed."""

    def _original(self) -> SmoothedClassifier: ...
    def _switching(self, network: nn.Module) -> Callable[[Tensor, torch.Generator], Tensor]: ...
    def candidate(self, policy: Policy) -> SmoothedClassifier:
        """The shared weights with `policy`, batch norm measured again, smoothed; `ValueError` for other widths."""

    def _noisy(self) -> Iterator[Tensor]: ...
