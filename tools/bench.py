"""Samples a second of randomized smoothing: `SmoothedClassifier` beside the field's sampling loop, in one run.

The field's loop is that of Cohen et al. (2019) as most code still has it: copies of one image, fresh noise, argmax,
and a Python count on the host after each batch, in batches of 1000 and of 100 (on a CPU, 1000 is the slower). The
variants take turns, so that a slow moment of the machine hits all of them; only ratios of medians mean anything.
"""
import argparse, platform, time
from statistics import median

import numpy as np
import torch

from arq_nb.models import resnet20
from arq_nb.smoothing import SmoothedClassifier


def count(predictions, classes):
    counts = np.zeros(classes, dtype=int)
    for p in predictions: counts[p] += 1
    return counts


@torch.no_grad()
def field_loop(model, x, n, sigma, batch_size, classes=10):
    counts = np.zeros(classes, dtype=int)
    while n > 0:
        batch = x.repeat((min(batch_size, n), 1, 1, 1))
        n -= len(batch)
        counts += count(model(batch + torch.randn_like(batch) * sigma).argmax(1).cpu().numpy(), classes)
    return counts


def variants(model, x, n, sigma):
    "name -> a call that draws n samples; CERTIFY's own statistics are part of ours."
    smoothed = SmoothedClassifier(model, sigma=sigma)
    return {"field's loop, batch 1000": lambda: field_loop(model, x, n, sigma, 1000),
            "field's loop, batch 100": lambda: field_loop(model, x, n, sigma, 100),
            "SmoothedClassifier.certify": lambda: smoothed.certify(x, n0=100, n=n - 100)}


def measure(calls, n, rounds, synchronize):
    "Samples a second, for each round."
    rates = {name: [] for name in calls}
    for name, call in [*calls.items()] * (rounds + 1):  # the first round only warms up
        synchronize()
        start = time.perf_counter()
        call()
        synchronize()
        rates[name].append(n / (time.perf_counter() - start))
    return {name: r[1:] for name, r in rates.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="noisy copies in each measurement (default 2000)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each variant (default 5)")
    parser.add_argument("--sigma", type=float, default=0.25)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    model = resnet20().to(args.device).eval()
    x = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)).to(args.device)
    synchronize = torch.cuda.synchronize if args.device.startswith("cuda") else lambda: None
    rates = measure(variants(model, x, args.samples, args.sigma), args.samples, args.rounds, synchronize)
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else f"{platform.machine()}, {torch.get_num_threads()} threads"
    print(f"ResNet-20, 3x32x32, float32, {args.samples} samples, {args.rounds} rounds; torch {torch.__version__}, {where}\n")
    speeds = [median(r) for r in rates.values()]
    print(f"{'':28}{'samples/s':>10}{'lowest':>9}{'highest':>9}{'x batch 1000':>14}{'x batch 100':>13}")
    for (name, r), speed in zip(rates.items(), speeds):
        print(f"{name:28}{speed:10.0f}{min(r):9.0f}{max(r):9.0f}{speed / speeds[0]:14.2f}{speed / speeds[1]:13.2f}")


if __name__ == "__main__": main()
