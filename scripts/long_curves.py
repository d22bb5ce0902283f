"""Curves of hundreds of thousands of steps with known ground truth, for `scripts/bench_plateau --long`.

A curve is a clean logarithm of the loss plus noise, and a validation quality that follows the clean curve. A step is
`falling` where the clean curve's exponent, −d ln(loss) / d ln(step), is at least FALLING_EXPONENT, flat below FLAT_EXPONENT,
and otherwise not scored. A false plateau is one that begins in a falling step. A true one must be found within the allowed
delay: 5 % of the run's length, but at least 2,000 steps.

The ideal test knows when the fall stopped, its exponent p, and the noise. It compares "flat since step T" with "falls on
with p" by the likelihood of every loss and every validation of the allowed delay, whose separation in standard errors is

    z² = Σ over steps t of (p ln((T + t) / T))² / σ_loss² + Σ over validations t of (k p ln((T + t) / T))² / σ_quality²

where σ_loss² is the long-run variance of a step's loss and k the quality gained per unit of the loss's logarithm. At the
false-alarm rate allowed here it finds a plateau with probability Φ(z − z_α), where α = delay / 100,000 steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from vsrpp.controller import plateau, plateau_long

STEPS = 300_000
PATIENCE = 250
CADENCES = (500, 5000, 0)
"""Steps between validations; 0: none."""
FALLING_EXPONENT, FLAT_EXPONENT = 0.03, 0.003
STARTED = 1000
"""Steps at the beginning that are not scored."""
WANTED_Z = 4.0
"""The ideal test must reach this for a plateau to count."""
QUALITY_GAIN = 0.3
"""Quality per unit of the loss's logarithm if validation and training loss improve alike (8.7 dB, 0.4 of SSIM)."""
FIRST_SEED = 10_000
"""Tuning used seeds below 1000. An earlier rule was run on 10,000 and 10,001; `--first-seed` takes others."""
CURVES = Path(__file__).resolve().parent.parent / "tests" / "controller" / "curves"

Clean = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(steps,) each: logarithm of the loss without noise, falling, flat."""


@dataclass(frozen=True)
class LongCurve:
    family: str
    loss: np.ndarray
    quality: np.ndarray
    falling: np.ndarray
    flat: np.ndarray
    exponent: np.ndarray
    loss_variance: float
    quality_gain: float
    quality_noise: float


def exponents(clean: np.ndarray) -> np.ndarray:
    return -np.gradient(clean) * np.arange(1, len(clean) + 1)


def labelled(clean: np.ndarray) -> Clean:
    exponent = exponents(clean)
    return clean, exponent >= FALLING_EXPONENT, exponent < FLAT_EXPONENT


def guarded(falling: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """`falling` without the allowed delay after each flat stretch: what a plateau's begin may take, its end may too."""
    kept = falling.copy()
    for stop in np.flatnonzero(flat[:-1] & ~flat[1:]) + 1:
        kept[stop : stop + allowed_delay(len(flat))] = False
    return kept


def _steps(steps: int) -> np.ndarray:
    return np.arange(1, steps + 1, dtype=float)


def _offset(steps: int) -> float:
    """Steps before the power law takes hold."""
    return steps / 1500


def power(rng: np.random.Generator, steps: int) -> Clean:
    """Exponents of 0.05 to 0.1; BasicVSR's published gain is 0.067."""
    return labelled(-rng.uniform(0.05, 0.1) * np.log(_steps(steps) + _offset(steps)))


def stretched(rng: np.random.Generator, steps: int) -> Clean:
    scale, shape, reach = steps * 10 ** rng.uniform(-1.5, -0.5), rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.8)
    return labelled(np.log(1 - reach + reach * np.exp(-((_steps(steps) / scale) ** shape))))


def stairs(rng: np.random.Generator, steps: int) -> Clean:
    """A power law interrupted by two to four flat stretches."""
    x, count = np.log(_steps(steps) + _offset(steps)), int(rng.integers(2, 5))
    cuts = np.sort(rng.uniform(math.log(steps / 100), math.log(steps), 2 * count)).reshape(-1, 2)
    rate = np.full(steps, rng.uniform(0.05, 0.1))
    for start, stop in cuts:
        rate[(x >= start) & (x < stop)] = 0.0
    return labelled(-np.cumsum(rate * np.gradient(x)))


def corner(rng: np.random.Generator, steps: int) -> Clean:
    """A power law that stops for good after 3 to 80 % of the run."""
    x, stop = np.log(_steps(steps) + _offset(steps)), int(steps * 10 ** rng.uniform(math.log10(0.03), math.log10(0.8)))
    return labelled(-rng.uniform(0.05, 0.1) * np.minimum(x, x[stop]))


def cosine(rng: np.random.Generator, steps: int) -> Clean:
    """A power law, and the noise floor that the cosine rate lowers by 10 to 40 %, most of it in the middle."""
    n = _steps(steps)
    lowered = rng.uniform(0.1, 0.4) * (1 - np.cos(np.pi * n / steps)) / 2
    return labelled(-rng.uniform(0.05, 0.1) * np.log(n + _offset(steps)) - lowered)


def cosine_sum(rng: np.random.Generator, steps: int) -> Clean:
    """A power law of the sum of the rates so far: it stops where the rate ends."""
    rates = np.cumsum((1 + np.cos(np.pi * _steps(steps) / steps)) / 2)
    return labelled(-rng.uniform(0.05, 0.1) * np.log(rates + _offset(steps)))


FAMILIES: dict[str, Callable[[np.random.Generator, int], Clean]] = {
    family.__name__: family for family in (power, stretched, stairs, corner, cosine, cosine_sum)
}


def recorded(steps: int) -> Iterator[tuple[str, Clean]]:
    """The recorded runs, stretched to this length, with their own labels where the local exponent agrees.

    Their probes are averaged over 420 steps, the width that labelled them: the wander of the weights, which would not grow
    with the run, is not part of the shape.
    """
    for path in sorted(CURVES.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        probes, factor = np.log(document["probes"]), steps / len(document["loss"])
        padded = np.pad(probes, 10, mode="reflect", reflect_type="odd")
        smooth = np.convolve(padded, np.ones(21) / 21, mode="valid")
        at = (np.arange(len(probes)) + 0.5) * document["probe_every"] * factor
        falling, flat = np.zeros(steps, bool), np.zeros(steps, bool)
        for start, stop, label in document["segments"]:
            (falling if label == "falling" else flat)[int(start * factor) : int(stop * factor)] = True
        clean = np.interp(_steps(steps), at, smooth)
        yield f"recorded:{path.stem}", (clean, falling & (exponents(clean) >= FALLING_EXPONENT), flat)


def noise(rng: np.random.Generator, steps: int, *, correlated: bool) -> tuple[np.ndarray, float]:
    """5 to 20 % of noise of a step's loss, and its long-run variance; correlated: first order, 0.5 to 0.95."""
    level, shocks = 10 ** rng.uniform(math.log10(0.05), math.log10(0.20)), rng.standard_normal(steps)
    if not correlated:
        return level * shocks, level**2
    rho = rng.uniform(0.5, 0.95)
    fresh, value, out = math.sqrt(1 - rho * rho), float(shocks[0]), np.empty(steps)
    for step, shock in enumerate(shocks.tolist()):
        value = rho * value + fresh * shock
        out[step] = value
    return level * out, level**2 * (1 + rho) / (1 - rho)


def curve(family: str, made: Clean, rng: np.random.Generator, *, correlated: bool) -> LongCurve:
    """Add noise and validations: the quality rises by half as much as the loss suggests, up to as much."""
    clean, falling, flat = (values.copy() for values in made)
    falling[:STARTED] = flat[:STARTED] = False
    falling = guarded(falling, flat)
    disturbed, variance = noise(rng, len(clean), correlated=correlated)
    gain, jitter = QUALITY_GAIN * rng.uniform(0.5, 1.0), 10 ** rng.uniform(math.log10(2e-4), -3)
    quality = 0.75 - gain * (clean - clean[0]) + jitter * rng.standard_normal(len(clean))
    loss = 0.02 * np.exp(clean - clean[-1] + disturbed)
    return LongCurve(family, loss, quality, falling, flat, exponents(clean), variance, gain, jitter)


def curves(steps: int, seeds: int, first_seed: int = FIRST_SEED) -> Iterator[LongCurve]:
    """`seeds` curves of each family, twice as many of those with plateaus, and the recorded ones."""
    for number, (name, family) in enumerate(FAMILIES.items()):
        for seed in range(first_seed, first_seed + seeds * (1 + (name in ("stairs", "corner")))):
            rng = np.random.default_rng([seed, number])
            yield curve(name, family(rng, steps), rng, correlated=seed % 2 == 1)
    for number, (name, made) in enumerate(recorded(steps)):
        rng = np.random.default_rng([first_seed, 100 + number])
        yield curve(name, made, rng, correlated=number % 2 == 1)


def allowed_delay(steps: int) -> int:
    return round(plateau_long.allowed_delay(steps))


def ideal_z(it: LongCurve, start: int, delay: int, every: int) -> float:
    """z of the ideal test for a plateau from step `start` after `delay` steps; the exponent is that of the 5 % before."""
    before = it.exponent[max(0, start - max(1, start // 20)) : start]
    fell = float(before.mean()) * np.log1p(np.arange(1, delay + 1) / max(1, start))
    total = float((fell**2).sum()) / it.loss_variance
    if every:
        at = np.arange(every - start % every, delay + 1, every) - 1
        total += float(((it.quality_gain * fell[at]) ** 2).sum()) / it.quality_noise**2
    return math.sqrt(total)


def verdicts(it: LongCurve, every: int) -> dict[str, np.ndarray]:
    """Per step whether there is a plateau: `today` (the trend test alone, controller_version 1) and `ours`."""
    steps = len(it.loss)
    detector, live = (
        plateau.make("vsrpp", {"controller_version": 2}),
        {"plateau_patience": PATIENCE, "max_steps": steps},
    )
    today, ours = np.zeros(steps, bool), np.zeros(steps, bool)
    quality = it.quality.tolist()
    for step, loss in enumerate(it.loss.tolist(), 1):
        seen = quality[step - 1] if every and step % every == 0 else None
        ours[step - 1] = detector.update(step, loss, live, quality=seen).plateau
        today[step - 1] = detector.held
    return {"today": today, "ours": ours}


def plateaus(it: LongCurve, delay: int) -> list[int]:
    """First steps of the flat stretches that last for the allowed delay and have a fall before them."""
    starts = np.flatnonzero(it.flat & ~np.concatenate([[False], it.flat[:-1]]))
    return [
        int(at) for at in starts if at > 2 * STARTED and at + delay <= len(it.flat) and it.flat[at : at + delay].all()
    ]


def measured(it: LongCurve, every: int) -> dict[str, Any]:
    """What a row of the table counts, of one curve and cadence."""
    delay, said = allowed_delay(len(it.loss)), verdicts(it, every)
    false = {who: int((held & ~np.concatenate([[False], held[:-1]]) & it.falling).sum()) for who, held in said.items()}
    alarm = NormalDist().inv_cdf(1 - delay / 100_000)
    found = []
    for start in plateaus(it, delay):
        z = ideal_z(it, start, delay, every)
        waits = {who: np.flatnonzero(held[start : start + delay]) for who, held in said.items()}
        first = {who: int(at[0]) if len(at) else None for who, at in waits.items()}
        found.append({"start": start, "z": z, "ideal": NormalDist().cdf(z - alarm), **first})
    return {
        "family": it.family.split(":")[0],
        "every": every,
        "falling": int(it.falling.sum()),
        "false": false,
        "found": found,
    }


def rows(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per family and cadence, one per cadence over all, one over all."""
    names = list(dict.fromkeys(result["family"] for result in results))
    keys = [(name, every) for name in names for every in CADENCES]
    keys += [("all", every) for every in CADENCES] + [("all", None)]
    table = []
    for name, every in keys:
        chosen = [r for r in results if name in ("all", r["family"]) and every in (None, r["every"])]
        table.append({"family": name, "every": every, **_row(chosen)})
    return table


def _row(chosen: list[dict[str, Any]]) -> dict[str, Any]:
    falling = sum(result["falling"] for result in chosen)
    found = [one for result in chosen for one in result["found"]]
    sure, hidden = ([one for one in found if (one["z"] >= WANTED_Z) == side] for side in (True, False))
    delays = [one["ours"] for one in sure if one["ours"] is not None]
    row: dict[str, Any] = {"falling_steps": falling, "plateaus": len(sure), "hidden": len(hidden)}
    row["ideal_found"] = sum(one["ideal"] for one in sure)
    for who in ("ours", "today"):
        row[f"{who}_false_per_100k"] = 1e5 * sum(result["false"][who] for result in chosen) / max(1, falling)
        row[f"{who}_found"] = sum(one[who] is not None for one in sure)
        row[f"{who}_hidden_found"] = sum(one[who] is not None for one in hidden)
    row["median_delay"] = float(np.median(delays)) if delays else None
    return row


def markdown(table: list[dict[str, Any]]) -> str:
    """The table of docs/adaptive-system.md."""
    lines = [
        (
            "| curves | validations | falling steps | false per 100,000: today | **ours** |"
            " found in time: ideal | today | **ours** | median delay | hidden (z < 4): found today | ours |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        every = {None: "all", 0: "none"}.get(row["every"], f"every {row['every']}")
        of = row["plateaus"]
        delay = "–" if row["median_delay"] is None else f"{row['median_delay']:.0f}"
        seen = [
            f"{row[f'{who}_hidden_found']} of {row['hidden']}" if row["hidden"] else "–" for who in ("today", "ours")
        ]
        cells = [row["family"], every, f"{row['falling_steps']:,}", f"{row['today_false_per_100k']:.1f}",
                 f"**{row['ours_false_per_100k']:.2f}**", f"{row['ideal_found']:.1f} of {of}" if of else "–",
                 f"{row['today_found']} of {of}" if of else "–", f"**{row['ours_found']} of {of}**" if of else "–", delay,
                 *seen]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
