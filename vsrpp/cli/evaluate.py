"""The command evaluate: measures the quality of a network, of bicubic or of another program's frames, and compares two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import control, paths
from vsrpp.cli import early, messages
from vsrpp.cli.contenders import Contender, ScoredClips, common_scale, first_contender, second_contender
from vsrpp.cli.evaluate_request import EvaluationRequest
from vsrpp.cli.evaluate_tables import print_clips, print_difference, print_suites
from vsrpp.cli.json_output import print_json
from vsrpp.cli.own_document import keep_document
from vsrpp.errors import NotFound, ProofFailed, VsrppError
from vsrpp.output import green, say, yellow
from vsrpp.plugins import trust
from vsrpp.safe_text import safe
from vsrpp.tracking import uri_of

if TYPE_CHECKING:
    from vsrpp.metrics.gate import By, GateRule
    from vsrpp.metrics.meter import ExtraMeasures

_FIGURES = (
    "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "tdiff_y", "frames", "scale", "degradation", "run_id", "step",
)  # fmt: skip
"""The keys of the document, besides `clips` or `suites`."""


def evaluate(
    source: str | None, *, frames: Path | None, against: str | None, fail_if: str | None, by: str | None,
    data: str | None, suite: str | None, root: Path | None, table: str | None, scale: int | None,
    degradation: str | None, start: int, count: int | None, profile: Path | None, lpips_weights: Sequence[str],
    dists_weights: Sequence[str], tof: bool, log: bool, trust_code: Sequence[str], run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Score A (a run, a checkpoint, `bicubic`, or frames), and B. Raises Refused, NotFound, or ProofFailed if --fail-if holds."""
    request = EvaluationRequest(
        source=source, frames=frames, against=against, fail_if=fail_if, by=by, data=data, suite=suite, root=root,
        table=table, scale=scale, degradation=degradation, start=start, count=count, profile=profile,
        lpips_weights=lpips_weights, dists_weights=dists_weights, tof=tof, log=log, trust_code=trust_code,
    )  # fmt: skip
    runs = paths.runs_dir(run_dir)
    suites, rules = request.check(runs)
    trust.allow(trust_code)
    from vsrpp.metrics.extra import extra_measures

    extra = extra_measures(request.files(lpips_weights), request.files(dists_weights), tof=tof)
    document: dict[str, Any] = dict.fromkeys(_FIGURES) | {"clips": [], "remarks": []}
    with keep_document(document, ProofFailed, as_json=as_json, verified=False):
        a = first_contender(request, runs, document)
        b = second_contender(request, runs)
    sets = _sets(request, suites, [a] if b is None else [a, b])
    results = [_scored(request, clips, a, b, extra) for clips in sets]
    _fill(document, suites, results)
    remarks = _remarks(request, sets, results, document)
    failures = _gate(rules, "interval" if by == "interval" else "mean", results, document)
    if not as_json:
        _print(request, a, b, sets, results)
        for line in remarks:
            say(yellow(f"⚠️  {safe(line)}"))
    with keep_document(document, VsrppError, as_json=as_json):  # the figures are not lost with the server
        if log:
            line = _log(a, sets, results, document, runs)
            if not as_json:
                say(green(line))
        if failures:
            raise messages.GATE_FAILED(why=failures[0])
    for line in document["gate"]["verdicts"] if rules and not as_json else ():
        say(green(line))
    if as_json:
        print_json(document)
    return 0


def _sets(request: EvaluationRequest, suites: Sequence[str], contenders: Sequence[Contender]) -> list[ScoredClips]:
    """What is scored: each suite, or the one path. Raises NotFound or Refused before anything is scored."""
    from vsrpp.data.degradation_table import DEFAULT
    from vsrpp.inference import suites as known
    from vsrpp.inference.evaluate import scored_sources

    scale = common_scale(request.scale, contenders)
    trained_on = next((one.trained_on for one in contenders if one.trained_on is not None), DEFAULT)
    if not suites:
        assert request.data is not None
        degradation = request.degradation or trained_on
        sources = scored_sources(request.data, scale, degradation)
        name = "sample" if request.data == "sample" else Path(request.data).expanduser().resolve().name
        return [ScoredClips(name=name, sources=sources, scale=scale, degradation=degradation)]
    assert request.root is not None
    sets = []
    for suite in suites:
        known.check_scale(suite, scale)
        degradation = known.degradation_of(suite, request.degradation, trained_on)
        sources = known.suite_sources(suite, request.root.expanduser(), degradation)
        border = known.SUITES[suite].border
        sets.append(
            ScoredClips(name=suite, sources=sources, scale=scale, degradation=degradation, border=border, suite=suite)
        )
    return sets


def _scored(
    request: EvaluationRequest, clips: ScoredClips, a: Contender, b: Contender | None, extra: ExtraMeasures
) -> dict[str, Any]:
    """A's figures; with B, its own under `against`, and `difference`: measure -> A minus B."""
    from vsrpp.metrics.difference import differences

    figures = a.score(clips, extra, start=request.start, count=request.count, profile=request.profile)
    if extra.weights:
        figures["weights"] = extra.weights
    if b is None:
        return figures
    others = b.score(clips, extra, start=request.start, count=request.count)
    gaps = differences(figures["clips"], others["clips"])
    identity = {"title": b.title, "run_id": b.run_id, "step": b.step}
    return figures | {"against": identity | others, "difference": gaps}


def _fill(document: dict[str, Any], suites: Sequence[str], results: Sequence[dict[str, Any]]) -> None:
    """Put what was found into the document for programs."""
    plain = [dict(row) for row in results]
    for row in plain:
        if "difference" in row:
            row["difference"] = {name: gap.to_json() for name, gap in row["difference"].items()}
    if not suites:
        document |= plain[0]
        return
    from vsrpp.inference.suites import SUITES

    del document["clips"]
    document["suites"] = [
        SUITES[name].to_json() | {"suite": name} | row for name, row in zip(suites, plain, strict=True)
    ]


def _remarks(
    request: EvaluationRequest, sets: Sequence[ScoredClips], results: Sequence[dict[str, Any]], document: dict[str, Any]
) -> list[str]:
    """One line for each thing noticed in the scored data: frames missing in a sequence or in a video that is cut off."""
    from vsrpp.data import sequence
    from vsrpp.data.survey import Survey

    whole, survey = request.start == 0 and request.count is None, Survey()
    for clips, row in zip(sets, results, strict=True):
        for source, figures in zip(clips.sources, row["clips"], strict=True):
            sequence.remark(source, figures["frames"] if whole else None, survey)
    document["remarks"] = survey.remarks
    return survey.lines()


def _gate(rules: Sequence[GateRule], by: By, results: Sequence[dict[str, Any]], document: dict[str, Any]) -> list[str]:
    """The sentences of the rules of --fail-if that hold on any set. Noted in the document as `gate`."""
    if not rules:
        return []
    from vsrpp.metrics.gate import verdicts

    said = [verdict for row in results for verdict in verdicts(rules, row["difference"], by)]
    failures = [sentence for failed, sentence in said if failed]
    document["gate"] = {
        "fail_if": " or ".join(map(str, rules)), "by": by, "failed": bool(failures),
        "verdicts": [sentence for _, sentence in said],
    }  # fmt: skip
    return failures


def _log(
    a: Contender, sets: Sequence[ScoredClips], results: Sequence[dict[str, Any]], document: dict[str, Any], runs: Path
) -> str:
    """Log A's figures to its checkpoint's model; returns a line for people. Raises NotFound or VsrppError."""
    from vsrpp.data.build import content_sha256
    from vsrpp.tracking.evaluated import log_evaluation

    assert a.run_id is not None
    assert a.step is not None
    uri = paths.tracking_uri(runs)
    try:
        uri = uri_of(control.find_run(a.run_id, runs), uri)
    except NotFound:
        early.asking(uri)
    figures = {clips.name: row for clips, row in zip(sets, results, strict=True)}
    contents = {clips.name: ",".join(map(content_sha256, clips.sources)) for clips in sets}
    model_id = log_evaluation(a.run_id, a.step, a.branch, uri, figures, contents, document)
    document["logged_model"] = model_id
    return f"✅ logged to {model_id}, the model of step {a.step} in MLflow"


def _print(
    request: EvaluationRequest, a: Contender, b: Contender | None, sets: Sequence[ScoredClips],
    results: Sequence[dict[str, Any]],
) -> None:  # fmt: skip
    from vsrpp.data import note_lines

    say(safe(a.line))
    if request.suite is not None:
        print_suites(request.table or "text", [a, *([] if b is None else [b])], sets, results)
    else:
        print_clips(results[0], a.frames is None)
    for line in note_lines((clip["name"], clip.get("notes", ())) for row in results for clip in row["clips"]):
        say(f"⚠️  {safe(line)}")
    for clips, row in zip(sets, results, strict=True):
        if b is not None:
            say()
            say(f"A − B{f', {clips.name}' if clips.suite else ''}; A: {safe(a.line)}; B: {safe(b.line)}")
            print_difference(row["difference"])
