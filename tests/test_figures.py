"Figures, their refusals, and the table of measured networks."
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from arq_nb.certify.logs import CertificateLog
from arq_nb.core.data import ImageData, load_digits_data
from arq_nb.lab import evidence
from arq_nb.lab.figures import bits_per_layer, certified_accuracy_curves, noisy_images, save_figure
from arq_nb.lab.search_figures import evaluations_to_reach, pareto, plot_searches, search_history
from arq_nb.lab.tables import differences, markdown, measure, Measured, MISSING, over_seeds, readable
from arq_nb.quant.policies import Policy
from arq_nb.search.search import SearchResult

def make_log(radius, correct, shift: int = 0) -> CertificateLog:
    "A log with these radii; wrong answers have the class 1."
    radius, correct = np.asarray(radius, float), np.asarray(correct, int)
    idx, zeros = np.arange(len(radius)) + shift, np.zeros(len(radius), int)
    return CertificateLog(idx, zeros, 1 - correct, radius, correct, np.full(len(radius), 0.5))


LOG = make_log([0.2, 0.2, 0.5, 0.9], [1, 1, 1, 0])
ROW = dict(episode=0, reward=0.1, acr=0.4, cost=0.1, seconds=1.0, policy="a")
FOUR = Policy({"first": (8, 8), "last": (4, 4)})


@pytest.fixture(autouse=True)
def closed():
    "No figure stays open."
    yield
    plt.close("all")


@pytest.mark.parametrize("logs, options, sentence", [
    ({}, {}, "at least one entry"), (LOG, {}, "not CertificateLog"), ({"a": [1]}, {}, "log 'a' is a list"),
    ({"a": make_log([], [])}, {}, "log 'a' is empty"), ({"a": LOG}, {"sigma": 0.0}, "sigma=0.0 must be a positive"),
    ({str(i): LOG for i in range(4)}, {"band": 0.95}, "at most 3"), ({"a": LOG}, {"band": 95}, "confidence=95")])
def test_curves_that_cannot_be_drawn(logs, options, sentence):
    with pytest.raises(ValueError, match=sentence): certified_accuracy_curves(logs, **options)


def test_a_network_that_is_never_right_has_a_curve():
    fig = certified_accuracy_curves({"never right": make_log([0.3, 0.1], [0, 0])}, band=0.95)
    assert fig.axes[0].lines[0].get_ydata().tolist() == [0, 0]


@pytest.mark.parametrize("policies, sentence", [
    ({}, "at least one entry"), ({"a": {"conv": (4, 4)}}, "a dict name -> Policy"),
    ({"a": FOUR, "b": Policy({"first": (8, 8)})}, "policy 'b' differs in the layers")])
def test_bits_that_cannot_be_drawn(policies, sentence):
    with pytest.raises(ValueError, match=sentence): bits_per_layer(policies)


@pytest.mark.parametrize("history, options, sentence", [
    ([], {}, "at least one row with episode, reward, acr"), ([dict(episode=0, acr=0.4)], {}, "row 0 lacks reward"),
    ([ROW | dict(kind="guess")], {}, "allowed are given, random, mutation"),
    ([ROW, ROW | dict(acr=float("nan"))], {}, "acr=nan"),
    ([ROW], {"against": "hours"}, "'episode' and 'seconds'")])
def test_searches_that_cannot_be_drawn(history, options, sentence):
    with pytest.raises(ValueError, match=sentence): search_history(history, **options)


@pytest.mark.parametrize("points, sentence", [([], "cost, acr"), ([dict(name="a", cost=1)], "row 0 lacks acr"),
                                              ([dict(cost=1, acr=None)], "row 0 has acr=None")])
def test_points_that_cannot_be_drawn(points, sentence):
    with pytest.raises(ValueError, match=sentence): pareto(points)


def test_a_search_that_is_never_good_enough():
    assert evaluations_to_reach([ROW], 0.5) is None
    blind = [ROW | {"acr": float("nan")}, ROW | {"acr": float("nan"), "episode": 1, "reward": 0.3}]   # as HAQ's judge
    with pytest.raises(ValueError, match="acr=nan"): evaluations_to_reach(blind, 0.5)
    ax, = search_history(blind, float("nan")).axes
    assert (ax.get_ylabel(), ax.lines[0].get_ydata().tolist()) == ("reward", [0.1, 0.3])
    ax = plot_searches({"a": [SearchResult(FOUR, [ROW, ROW | {"policy": "b", "acr": 0.3}], 0.4)]})
    assert ax.lines[0].get_ydata().tolist() == [0.4, 0.4]


def test_noise_is_the_same_again():
    digits = load_digits_data("test")
    drawn = [[np.asarray(ax.images[0].get_array()) for ax in noisy_images(digits, 0.5, 2).axes] for _ in range(2)]
    assert all((a == b).all() for a, b in zip(*drawn))
    with pytest.raises(ValueError, match="1 to 360 images"): noisy_images(digits, 0.1, count=1000)
    with pytest.raises(ValueError, match="one or more numbers"): noisy_images(digits, [])
    gray = ImageData(torch.full((1, 1, 4, 4), 128, dtype=torch.uint8), torch.zeros(1).long(), ["gray", "other"])
    with pytest.raises(ValueError, match="1 to 1 images"): noisy_images(gray, 0.1, count=2)


def test_saved_figures_say_nothing_but_their_pixels(tmp_path):
    first, second = (save_figure(certified_accuracy_curves({"a": LOG}), tmp_path / "new" / f"{i}.png") for i in (1, 2))
    assert first.read_bytes() == second.read_bytes()
    image = Image.open(io.BytesIO(first.read_bytes()))
    assert (image.size, [k for k in image.info if k != "dpi"]) == ((825, 450), [])
    with pytest.raises(ValueError, match="must end in .png"): save_figure(plt.figure(), tmp_path / "figure.pdf")


def test_the_style_does_not_leak():
    before = dict(plt.rcParams)
    certified_accuracy_curves({"a": LOG})
    assert dict(plt.rcParams) == before


# ---- the table of measured networks

NETWORKS = [Measured("float32", 0, LOG, {"bitops_fraction": 1.0}),
            Measured("ARQ", 0, make_log([0.1, 0.2, 0.5, 0.9], [1, 1, 1, 0]), {"bitops_fraction": 1 / 64}),
            Measured("ARQ", 1, make_log([0.3, 0.2, 0.5, 0.9], [1, 1, 1, 0]), {"bitops_fraction": 1 / 64}),
            Measured("HAQ", 0)]


def test_a_row_for_each_network_and_seed():
    table = measure(NETWORKS, radii=(0.2,))
    assert list(table.columns) == ["method", "seed", "acr", "acr_low", "acr_high", "median_radius", "clean_accuracy",
                                   "certified_0.2", "bitops_fraction"]
    assert table.acr.round(3).tolist()[:3] == [0.225, 0.2, 0.25]
    assert table["certified_0.2"].tolist()[:3] == [0.75, 0.5, 0.75]
    assert table.loc[3, "acr":].isna().all()


def test_what_was_not_measured_is_called_so():
    shown = readable(measure(NETWORKS), {"float32": "float network"}, seeds=True)
    assert shown.index.tolist() == ["float network", "ARQ", "HAQ"]
    assert shown["seeds"].tolist() == ["1 of 1", "2 of 2", "0 of 1"]
    assert shown["worst to best seed"].tolist() == ["one seed", "0.200 to 0.250", MISSING]
    assert shown["ACR"].tolist() == ["0.225", "0.225", MISSING]
    assert shown["BitOPs %"].tolist() == ["100.00", "1.56", MISSING]
    assert shown["95 % interval"].tolist()[2] == MISSING
    alone = readable(measure(NETWORKS[:2]), seeds=True)["95 % interval"]
    assert all(text.endswith("(images alone)") for text in alone)


def test_one_image_has_no_interval():
    row = measure([Measured("a", 0, make_log([0.5], [1]))]).iloc[0]
    assert row.acr == 0.5
    assert np.isnan([row.acr_low, row.acr_high]).all()


def test_tables_that_cannot_be():
    with pytest.raises(ValueError, match="at least one network"): measure([])
    with pytest.raises(ValueError, match="a: the log is empty"): measure([Measured("a", 0, make_log([], []))])


def test_differences_are_over_all_seeds():
    gaps = differences(NETWORKS)
    assert gaps.index.tolist() == ["float32", "HAQ"]
    assert gaps.seeds.tolist() == [1, 0]
    assert gaps.over.tolist()[0] == "images and seeds"
    assert gaps.loc["float32", "difference"] == pytest.approx(0.225 - 0.225)
    assert gaps.loc["HAQ", ["difference", "low", "high"]].isna().all()
    with pytest.raises(ValueError, match="no method 'NIPQ' among the networks"): differences(NETWORKS, "NIPQ")
    with pytest.raises(ValueError, match="'ARQ' is there twice with seed 0"): differences([*NETWORKS, NETWORKS[1]])


def test_one_seed_says_that_training_is_left_out():
    gaps = differences(NETWORKS[:2])
    assert gaps.over.tolist() == ["images"]
    noisy = evidence.gap([NETWORKS[1].log], [LOG], evidence.TrainingNoise(0.1, 4))
    assert noisy.over == "images and seeds"
    assert noisy.high - noisy.low > gaps.high.iloc[0] - gaps.low.iloc[0]


def test_a_forest_plot_with_nothing_but_the_reference():
    fig = evidence.forest_plot({"a": {"uniform": [LOG], "ARQ": []}})
    assert "not measured" in [text.get_text() for text in fig.axes[1].texts]


def test_halves_and_spreads_that_cannot_be():
    with pytest.raises(ValueError, match="half='both' is unknown"): evidence.test_half(load_digits_data("test"), "both")
    with pytest.raises(ValueError, match="at least 3 policies"): evidence.spread({"a": [LOG], "b": [LOG]})
    alike = {name: [LOG] for name in "abc"}
    assert evidence.spread(alike, evidence.TrainingNoise(0.01, 4)).reliability == 0
    one = make_log([0.5], [1])
    with pytest.raises(ValueError, match="needs at least 2 images"): evidence.gap([one] * 2, [one])
    with pytest.raises(ValueError, match="at least one seed"): evidence.gap([LOG], [])


def test_logs_of_other_images_are_not_averaged():
    mean = over_seeds([LOG, make_log([0.4, 0.2, 0.5, 0.9], [1, 1, 1, 0])])
    assert mean.radius.round(3).tolist() == [0.3, 0.2, 0.5, 0]
    others = make_log([0.1] * 4, [1] * 4, shift=1)
    with pytest.raises(ValueError, match="the logs hold different images"): over_seeds([LOG, others])


def test_markdown_keeps_its_columns():
    assert markdown(pd.DataFrame({"ACR": ["0.400"]}, index=["a|b"])) == "|  | ACR |\n| --- | ---: |\n| a\\|b | 0.400 |"
