"""The tables of `vsrpp evaluate`: by clip, by suite as papers print it, and of A minus B."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vsrpp.output import Column, print_table, say
from vsrpp.safe_text import safe

if TYPE_CHECKING:
    from vsrpp.cli.contenders import Contender, ScoredClips
    from vsrpp.metrics.difference import Difference


def print_clips(figures: dict[str, Any], has_small_frames: bool) -> None:
    """A row for each clip, and their mean."""
    from vsrpp.metrics.measures import MEASURES

    clips = figures["clips"]
    reduced = sum(not clip["paired"] for clip in clips)
    small = f"; small frames: {_small_frames(reduced, len(clips), figures['degradation'])}" if has_small_frames else ""
    say(f"×{figures['scale']}{small}")
    shown = {name: measure for name, measure in MEASURES.items() if name in figures}
    titles = ["FRAMES", *(measure.title for measure in shown.values())]
    columns = [Column(title="CLIP"), *(Column(title=title, right=True, keep=True) for title in titles)]
    rows = clips if len(clips) == 1 else [*clips, {**figures, "name": "mean over clips"}]
    print_table(
        columns,
        [
            [safe(row["name"]), str(row["frames"]), *(measure.text(row.get(name)) for name, measure in shown.items())]
            for row in rows
        ],
    )
    _say_weights(figures)


def print_difference(differences: Mapping[str, Difference]) -> None:
    """A row for each measure: A, B, A minus B, its interval, and which direction is better."""
    from vsrpp.metrics.measures import MEASURES

    titles = ("A", "B", "A − B", "95 % INTERVAL")
    columns = [Column(title="MEASURE"), *(Column(title=title, right=True, keep=True) for title in titles)]
    rows = []
    for name, gap in differences.items():
        measure = MEASURES[name]
        interval = f"{measure.text(gap.low, signed=True)} … {measure.text(gap.high, signed=True)}"
        rows.append(
            [
                name,
                measure.text(gap.a),
                measure.text(gap.b),
                measure.text(gap.mean, signed=True),
                interval,
                measure.better,
            ]
        )
    print_table([*columns, Column(title="BETTER")], rows)
    for method in dict.fromkeys(gap.method for gap in differences.values()):
        say(f"interval: {method}")


def print_suites(
    form: str, contenders: Sequence[Contender], sets: Sequence[ScoredClips], results: Sequence[dict[str, Any]]
) -> None:
    """A row for each contender, columns for each suite; form: text, markdown or latex."""
    from vsrpp.inference.suites import ABBREVIATIONS, SUITES
    from vsrpp.metrics.measures import MEASURES

    header = ["Method"]
    rows = [[contender.title] for contender in contenders]
    for clips, row in zip(sets, results, strict=True):
        suite = SUITES[str(clips.suite)]
        label = f"{suite.title} ({suite.colour.upper()}, {ABBREVIATIONS[clips.degradation]})"
        extra = [name for name, measure in MEASURES.items() if measure.option and name in row]
        header += [f"{label} PSNR/SSIM", *(f"{label} {MEASURES[name].title}" for name in extra)]
        for cells, figures in zip(rows, [row, row.get("against")], strict=False):
            assert figures is not None
            psnr, ssim = (figures[name] for name in suite.figures)
            cells += [f"{psnr:.2f}/{ssim:.4f}", *(MEASURES[name].text(figures.get(name)) for name in extra)]
    cells_of = {"text": safe, "markdown": _markdown, "latex": _latex}[form]
    _FORMS[form]([cells_of(cell) for cell in header], [[cells_of(cell) for cell in row] for row in rows])
    for clips, contender in ((clips, contender) for clips in sets for contender in contenders):
        if contender.trained_on not in (None, clips.degradation):
            say(
                f"{clips.name}: {clips.degradation}; {safe(contender.title)} was trained on {contender.trained_on}",
                stderr=True,
            )
    if form == "text":
        _say_weights(results[0])


def _text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print_table([Column(title=header[0]), *(Column(title=title, right=True) for title in header[1:])], rows)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    say("\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---", *["---:"] * (len(header) - 1)], *rows)))


def _latex_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [f"{' & '.join(cells)} \\\\" for cells in (header, *rows)]
    begin = f"\\begin{{tabular}}{{l{'c' * (len(header) - 1)}}}"
    say("\n".join([begin, "\\hline", lines[0], "\\hline", *lines[1:], "\\hline", "\\end{tabular}"]))


_FORMS = {"text": _text, "markdown": _markdown_table, "latex": _latex_table}


def _markdown(cell: str) -> str:
    return safe(cell).replace("|", "\\|")


def _latex(cell: str) -> str:
    """A cell whose special characters are text."""
    known = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "×": "$\\times$"}
    return "".join(known.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in safe(cell))


def _say_weights(figures: dict[str, Any]) -> None:
    for name, files in (figures.get("weights") or {}).items():
        for file in files:
            say(f"{name}: {safe(file['file'])}, SHA-256 {file['sha256']}")


def _small_frames(reduced: int, clips: int, degradation: str) -> str:
    if not reduced:
        return "given"
    others = f" of {reduced} clips, given for the other {clips - reduced}" if reduced < clips else ""
    return f"made ({degradation}){others}"
