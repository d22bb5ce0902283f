"""The command plugins: what a run can use, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsrpp.cli.json_output import print_json
from vsrpp.formats import bound
from vsrpp.output import Column, print_table, say, yellow
from vsrpp.plugins import listing
from vsrpp.safe_text import safe


def plugins(plugins: list[str], *, as_json: bool, run_dir: Path | None = None) -> int:
    """List networks, loss terms and the like: ours, those of installed distributions, and those of `plugins`.

    `run_dir`, an option of every command, is ignored. Raises Refused or NotFound for what `plugins` names.
    """
    offers = listing.offers(plugins, [Path.cwd()])
    if as_json:
        print_json([offer.to_json() for offer in offers])
        return 0
    columns = [
        Column(title="KIND", keep=True),
        Column(title="NAME"),
        Column(title="SOURCE"),
        Column(title="PARAMETERS"),
    ]
    print_table(columns, [_row(offer) for offer in offers])
    for offer in offers:
        if offer.error:
            say(yellow(f"⚠️  {offer.kind} {offer.name}: {offer.error}"), hang=4)
    return 0


def _row(offer: listing.Offer) -> list[str]:
    parameters = "\n".join(_parameter(one) for one in offer.parameters)
    source = Path(offer.source)
    shown = source.relative_to(Path.cwd()) if source.is_relative_to(Path.cwd()) else source
    cells = [offer.kind, offer.name, str(shown), "cannot be used" if offer.error else parameters]
    return [safe(cell) for cell in cells]


def _parameter(one: Mapping[str, Any]) -> str:
    """`tiny_width: 4–64 channels, default 16, startup`."""
    if one["choices"]:
        allowed = ", ".join(one["choices"])
    elif one["minimum"] is not None:
        allowed = f"{bound(one['minimum'])}–{bound(one['maximum'])} {one['unit']}".rstrip()
    else:
        allowed = one["type"]
    return f"{one['key']}: {allowed}, default {_default(one['default'])}, {one['tier']}"


def _default(value: Any) -> str:
    """As a config writes it."""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else bound(value)
        if isinstance(value, (int, float))
        else str(value)
    )
