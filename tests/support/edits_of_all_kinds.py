"""Generates invalid edits: wrong values, wrong keys, sums slightly off, values that are not JSON."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vsrpp import config

LIVE, STARTUP = list(config.live_parameters()), list(config.startup_parameters())
WEIGHTS = ("l1_weight", "ms_weight", "grad_weight", "perceptual_weight")
ANY_CHARACTER = st.characters(exclude_categories=())
"""Includes lone surrogates, which come from command arguments in another encoding and from JSON escapes."""


def nested(depth: int, kind: str = "list") -> Any:
    """Lists nested in lists, or objects in objects."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"max_lr": value}
    return value


def _near_misses() -> st.SearchStrategy[str]:
    def miss(key: str, at: int, how: str) -> str:
        at %= len(key)
        return {
            "swap": key[:at] + key[at + 1 : at + 2] + key[at] + key[at + 2 :],
            "drop": key[:at] + key[at + 1 :],
            "double": key[: at + 1] + key[at:],
            "upper": key.upper(), "space": f" {key}", "dash": key.replace("_", "-"), "prefix": f"config/{key}",
        }[how]  # fmt: skip

    hows = st.sampled_from(["swap", "drop", "double", "upper", "space", "dash", "prefix"])
    return st.builds(miss, st.sampled_from(LIVE + STARTUP), st.integers(0, 30), hows)


numbers = st.one_of(
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, -0.0, 0, 1e-5 - 1e-12, 1e-3 + 1e-9]),
    st.integers(), st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, -(10**4000)]),
)  # fmt: skip
words = st.one_of(
    st.text(ANY_CHARACTER, max_size=30), st.text(ANY_CHARACTER, min_size=150, max_size=400),
    st.sampled_from(["", "nan", "inf", "1e-4", "1e-4 ", "0x10", "on", "true", "None", "\x00", "\ud800", "'; DROP TABLE events"]),
)  # fmt: skip
plain = st.one_of(numbers, words, st.booleans(), st.none())
containers = st.one_of(
    st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12),
    st.builds(nested, st.integers(50, 900), st.sampled_from(["list", "object"])),
)  # fmt: skip
no_json = st.sampled_from([{1, 2}, b"1e-4", object(), 1j, range(3), Exception("no")])
keys = st.one_of(
    st.sampled_from(LIVE), st.sampled_from(STARTUP), _near_misses(), words,
    st.sampled_from(["revision", "", "__class__", "x-tier", "max_lr\n", "k" * 5000]),
)  # fmt: skip


@st.composite
def sums(draw: st.DrawFn) -> dict[str, Any]:
    """Some or all loss weights, with a sum at or slightly beyond a limit."""
    total = draw(st.sampled_from([0.9, 0.9499, 0.949999999, 0.95, 1.0, 1.05, 1.050000001, 1.0501, 1.2, 4.0]))
    share = draw(st.lists(st.floats(0, 1), min_size=3, max_size=3))
    scale = total / (sum(share) or 1.0)
    weights = dict(zip(WEIGHTS, [part * scale for part in share], strict=False))
    return {key: weights[key] for key in draw(st.sets(st.sampled_from(sorted(weights)), min_size=1))}


@st.composite
def in_range(draw: st.DrawFn) -> dict[str, Any]:
    """Values of the right type and in range, which the rules over several keys may still refuse."""
    edit: dict[str, Any] = {}
    for key in draw(st.lists(st.sampled_from(LIVE), min_size=1, max_size=4, unique=True)):
        known = config.parameters()[key]
        if known.type == "boolean":
            edit[key] = draw(st.booleans())
        elif known.type == "choice":
            edit[key] = draw(st.sampled_from(known.choices))
        elif known.type == "integer":
            edit[key] = draw(st.integers(int(known.minimum or 0), int(known.maximum or 100)))
        else:
            edit[key] = draw(st.floats(float(known.minimum or 0), float(known.maximum or 1)))
    return edit


edits = st.one_of(
    st.dictionaries(keys, plain, min_size=1, max_size=3),
    st.dictionaries(keys, containers, min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(LIVE), plain, min_size=1, max_size=4),
    st.dictionaries(keys, no_json, min_size=1, max_size=1),
    sums(), in_range(),
    st.builds(lambda good, bad: {**good, **bad}, in_range(), st.dictionaries(keys, plain, min_size=1, max_size=1)),
)  # fmt: skip
"""One edit: mostly invalid, sometimes valid, sometimes valid in all keys but one."""
