"""Long bootstraps, which tests/unit/board/test_bootstraps.py checks closed forms against.

    python tests/benchmarks/bootstraps.py     # writes tests/unit/board/bootstraps.json

A redraw takes seeds with replacement, samples with replacement, and the scores where they cross: the same
samples in every seed. Nothing here uses robex.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "unit" / "board" / "bootstraps.json"
REDRAWS = 400_000
AT_ONCE = 4000

#: name: seeds, samples, kind, standard deviation of a seed's mean in units of a sample's score.
CASES = {
    "normal, one seed": (1, 200, "normal", 0.0),
    "normal": (5, 100, "normal", 0.1),
    "normal, seeds differ": (3, 60, "normal", 0.5),
    "normal, no seed effect": (10, 40, "normal", 0.0),
    "log-normal": (5, 200, "log-normal", 0.1),
    "shares, one seed": (1, 800, "shares", 0.0),
    "shares": (5, 150, "shares", 0.2),
    "conditional, one seed": (1, 400, "conditional", 0.0),
    "conditional": (4, 200, "conditional", 0.2),
    "median, one seed": (1, 401, "median", 0.0),
    "pair, one seed": (1, 150, "pair", 0.0),
    "pair": (5, 100, "pair", 0.2),
}


def scores(name: str) -> dict[str, np.ndarray]:
    """y (S, n), and `other` (a second row) or `valid` where the kind has one. Rounded: they are the same on
    every machine."""
    seeds, n, kind, effect = CASES[name]
    rng = np.random.default_rng([ord(c) for c in name])
    shared = rng.normal(size=n)
    y = shared + effect * rng.normal(size=(seeds, 1)) + 0.7 * rng.normal(size=(seeds, n))
    found = {"y": y}
    if kind in ("log-normal", "median"):
        found["y"] = np.exp(y)
    elif kind == "shares":
        found["y"] = (y > 0.6).astype(float)
    elif kind == "conditional":  # harder samples are missing more often
        found["valid"] = rng.random((seeds, n)) < 1 / (1 + np.exp(y - 4))
    elif kind == "pair":
        noise = rng.normal(size=(seeds, n))
        found["other"] = 0.1 + 0.5 * shared + effect * rng.normal(size=(seeds, 1)) + 0.7 * noise
    return {k: np.round(v.astype(float), 6) for k, v in found.items()}


def redrawn(shape: tuple[int, int], statistic: Callable, rng: np.random.Generator) -> np.ndarray:
    """The statistic of every redraw, given how often each seed (B, S) and each sample (B, n) is in it."""
    seeds, n = shape
    found = []
    for _ in range(REDRAWS // AT_ONCE):
        w = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=AT_ONCE).astype(float)
        u = rng.multinomial(n, np.full(n, 1 / n), size=AT_ONCE).astype(float)
        found.append(statistic(w, u))
    return np.concatenate(found)


def total(y: np.ndarray, w: np.ndarray, u: np.ndarray) -> np.ndarray:
    return np.einsum("bs,bs->b", w, u @ y.T)


def bootstrap(name: str) -> dict[str, object]:
    """Variance of the statistic (with its own standard error), and its 2.5 % and 97.5 % points. Of a pair
    with one seed also p: how often |t| of the redrawn difference, centred, reaches the observed |t|."""
    kind, found = CASES[name][2], scores(name)
    y = found["y"]
    rng = np.random.default_rng(7)
    p = None
    if kind == "conditional":
        v = found["valid"]
        drawn = redrawn(y.shape, lambda w, u: total(v * y, w, u) / total(v, w, u), rng)
    elif kind == "median":
        order = np.argsort(y[0])
        ranked = y[0][order]

        def median(_: np.ndarray, u: np.ndarray) -> np.ndarray:
            below = np.cumsum(u[:, order], axis=1)
            return ranked[(below >= 0.5 * y.size).argmax(1)]

        drawn = redrawn(y.shape, median, rng)
    else:
        d = y - found["other"] if kind == "pair" else y
        drawn = redrawn(d.shape, lambda w, u: total(d, w, u) / d.size, rng)
        if kind == "pair" and len(d) == 1:
            n, centred = d.size, d - d.mean()

            def t(w: np.ndarray, u: np.ndarray) -> np.ndarray:
                m = total(centred, w, u) / n
                return m / np.sqrt((total(centred**2, w, u) / n - m**2) / (n - 1))

            observed = d.mean() / np.sqrt(d.var() / (n - 1))
            p = float((np.abs(redrawn(d.shape, t, rng)) >= abs(observed)).mean())
    away = (drawn - drawn.mean()) ** 2
    low, high = np.quantile(drawn, [0.025, 0.975])
    variance = {"variance": away.mean(), "error": away.std() / np.sqrt(len(away)), "low": low, "high": high}
    if p is not None:
        variance["p"] = p
    return {"scores": digest(found)} | {k: float(f"{x:.6g}") for k, x in variance.items()}


def digest(found: dict[str, np.ndarray]) -> str:
    """Tells whether a bootstrap was of these scores."""
    return hashlib.sha256(b"".join(v.tobytes() for v in found.values())).hexdigest()[:12]


def main() -> None:
    made = {name: bootstrap(name) for name in CASES}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(found)}" for name, found in made.items())
    OUT.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
