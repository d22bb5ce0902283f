"""The two processes of `test_ranks`: they meet once, then train the runs of its tests one after another.

Started by torchrun as `two_ranks.py FOLDER CLIPS ALONE SCENARIO…`; rank 0 writes FOLDER/facts.json. Some scenarios
need three ranks.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support import plugins
from tests.support.clips import piece, write_frames
from tests.support.runs import Steered, configs, once, spoil, weights_of
from tests.support.waiting import wait_until
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.launch.ranks import ignore_signals
from vsrpp.paths import RunPaths
from vsrpp.training import loop
from vsrpp.training import replay as replaying
from vsrpp.training.open_run import join_run
from vsrpp.training.preflight import Preflight, attend
from vsrpp.training.resume import prepare_resume
from vsrpp.training.start import prepare_new

SETS: dict[str, Any] = {"batch_size": 2, "control_interval": 4, "max_steps": 24, "validate_every": 12}
FOREVER = 1_000_000


class Leading:
    """Rank 0: trains runs together with the follower, and requests its weights."""

    def __init__(self, group: ProcessGroup, folder: Path, clips: Path, alone: RunPaths) -> None:
        self.group, self.folder, self.clips, self.alone = group, folder, clips, alone
        self.said: list[str] = []

    def new(
        self, at: dict[int, Callable[[Steered], Any]] | None = None, *, spoiled: Sequence[int] = (),
        configs: Callable[..., tuple[dict[str, Any], dict[str, Any]]] = configs, **sets: Any,
    ) -> Steered:  # fmt: skip
        share = {"batch_size": max(2, self.group.world_size)}
        run_config, live = configs(Path(sets.pop("data", self.clips)), **{**SETS, **share, **sets})
        with self._preflight(spoiled) as preflight:
            prepared = prepare_new(
                run_config, live, runs=self.folder, run_id=lambda: None, say=self.said.append, preflight=preflight
            )  # fmt: skip
        return Steered(prepared, at)

    def resumed(self, paths: RunPaths, at: dict[int, Callable[[Steered], Any]] | None = None) -> Steered:
        with self._preflight() as preflight:
            return Steered(prepare_resume(paths, say=self.said.append, preflight=preflight), at)

    def replayed(self, paths: RunPaths) -> replaying.ReplayVerdict:
        scratch = self.folder / "replays"
        with self._preflight() as preflight:
            verdict = replaying.replay(replaying.Original.of(paths), scratch, say=self.said.append, preflight=preflight)
        self.group.gather("")
        return verdict

    def train(self, run: Steered) -> dict[str, Any]:
        ended = run.train()
        mine = run.weights()
        return {
            "run": str(run.paths.root), "ended": ended, "step": run.context.state.step,
            "weights": [mine, *self.group.gather("")[1:]],
        }  # fmt: skip

    def _preflight(self, spoiled: Sequence[int] = ()) -> Preflight:
        self.group.prepare()
        self.group.broadcast(("run", tuple(spoiled)))
        return Preflight(self.group)


def plain(lead: Leading) -> dict[str, Any]:
    return lead.train(lead.new({0: lambda run: run.ask("validate")}))


def stopped_and_resumed(lead: Leading) -> dict[str, Any]:
    first = lead.train(lead.new({9: lambda run: run.ask("stop")}))
    again = lead.train(lead.resumed(RunPaths(Path(first["run"]))))
    return {**again, "stopped_at": first["step"]}


def steered(lead: Leading) -> dict[str, Any]:
    """An edit, a pause longer than the timeout with commands in it, a reverted probation, a rollback, a stop."""

    def while_paused(run: Steered) -> None:
        wait_until(lambda: "paused" in run.types(), what="the pause")
        for ask in (lambda: run.edit(max_lr=4e-4), lambda: run.ask("checkpoint"), lambda: run.ask("validate")):
            uid = ask()
            wait_until(lambda uid=uid: run.inbox.answer_of(uid), what="an answer while paused")
        time.sleep(1.5 * lead.group.timeout_s)
        run.ask("resume")

    def on_trial(run: Steered) -> None:
        trial = {"changes": {"max_lr": 9e-4}, "probation": {"steps": 12, "revert_if": "loss > 0.01x"}}
        run.uids.append(run.inbox.put("edit", trial, origin="cli", author="anna"))

    run = lead.new(
        {5: lambda run: run.edit(max_lr=5e-4), 9: lambda run: run.ask("pause"), 17: on_trial,
         26: lambda run: run.ask("rollback", step=12), 42: lambda run: run.ask("stop")},
        max_steps=FOREVER, validate_every=14,
    )  # fmt: skip
    helper = threading.Thread(target=while_paused, args=(run,))
    helper.start()
    facts = lead.train(run)
    helper.join()
    verdict = lead.replayed(run.paths)
    return {**facts, "identical": verdict.identical, "difference": verdict.first_difference}


def from_one(lead: Leading) -> dict[str, Any]:
    return lead.train(lead.resumed(lead.alone))


def on_one_rank(lead: Leading) -> dict[str, Any]:
    """A run stopped where the test resumes it in one process."""
    return lead.train(lead.new({9: lambda run: run.ask("stop")}))


def spoiled(lead: Leading) -> dict[str, Any]:
    """The last rank's samples of step 6 are NaN."""
    return lead.train(lead.new(spoiled=[6], max_steps=8))


def gone_back(lead: Leading) -> dict[str, Any]:
    """The last rank's samples of steps 13 to 15 are NaN, the first time: patience runs out between two meetings."""
    run = lead.new(spoiled=[13, 14, 15], max_steps=20, checkpoint_every=10, control_interval=20, non_finite_patience=3)
    facts = lead.train(run)
    return {**facts, "max_lr": run.context.live["max_lr"]}


def thawing(lead: Leading) -> dict[str, Any]:
    """The flow network learns from step 2 on, so that other weights have gradients than before."""
    return lead.train(lead.new(network="basicvsr", flow_freeze_steps=2, max_steps=6, log_every=1))


def plugged(lead: Leading) -> dict[str, Any]:
    """A network and a loss term of a plug-in, whose file is removed before the run is resumed and replayed."""
    file = plugins.write(lead.folder / "elsewhere")
    foreign = {"network": f"{file}:TinyNet", "tiny_width": 4, "fft_weight": 0.2, "l1_weight": 0.4, "max_steps": 36}
    at = {5: lambda run: run.edit(fft_power=2.0), 17: lambda run: run.ask("stop")}
    first = lead.train(lead.new(at, configs=plugins.configs, **foreign))
    file.unlink()
    again = lead.train(
        lead.resumed(RunPaths(Path(first["run"])), {25: lambda run: run.edit(fft_weight=0.1, l1_weight=0.5)})
    )
    verdict = lead.replayed(RunPaths(Path(first["run"])))
    return {
        **again,
        "stopped_at": first["step"],
        "identical": verdict.identical,
        "difference": verdict.first_difference,
    }


def on_two_disks(lead: Leading) -> dict[str, Any]:
    """Each rank reads its own copy of the data; that of the last rank is damaged, and repaired, while it trains."""
    copies = [lead.folder / f"disk{rank}" / "frames" for rank in range(lead.group.world_size)]
    for copy in copies:
        for number in range(6):
            write_frames(copy / f"{number:03d}", piece(12, 32, 48, start=20 * number))
    whole = shutil.copytree(copies[0], lead.folder / "whole")
    folders = [copies[-1] / f"{number:03d}" for number in range(5)]

    def damage(_: Steered) -> None:
        for file in (folder / f"{number:08d}.png" for folder in folders for number in (4, 5)):
            file.write_bytes(file.read_bytes()[:200])

    def repair(_: Steered) -> None:
        shutil.copytree(whole, copies[-1], dirs_exist_ok=True)

    at: dict[int, Any] = {2: damage, 11: repair, 14: lambda run: run.ask("stop")}
    with chdir(copies[0].parent):
        sets = {
            "reading": "originals",
            "bad_samples": 20,
            "checkpoint_every": 10,
            "control_interval": 7,
            "log_every": 1,
        }
        first = lead.train(lead.new(at, data="/proc/self/cwd/frames", **sets))
        facts = lead.train(lead.resumed(RunPaths(Path(first["run"]))))
        verdict = lead.replayed(RunPaths(Path(first["run"])))
    return {**facts, "identical": verdict.identical, "difference": verdict.first_difference}


SCENARIOS = (
    plain,
    stopped_and_resumed,
    steered,
    from_one,
    on_one_rank,
    spoiled,
    gone_back,
    thawing,
    plugged,
    on_two_disks,
)


def main() -> None:
    folder, clips, alone = (Path(argument) for argument in sys.argv[1:4])
    group = ProcessGroup.join()
    if group.is_rank_0:
        lead = Leading(group, folder, clips, RunPaths(alone))
        facts = {}
        for scenario in SCENARIOS:
            if scenario.__name__ not in sys.argv[4:]:
                continue
            lead.said.clear()
            facts[scenario.__name__] = {**scenario(lead), "said": list(lead.said)}
        (folder / "facts.json").write_text(json.dumps(facts))
        group.prepare()
        group.broadcast(("over", ()))
    else:
        follow(group, folder / f"disk{group.rank}")
    before = gloo_threads()
    group.close()
    if group.is_rank_0:
        (folder / "threads.json").write_text(json.dumps([before, gloo_threads()]))


def gloo_threads() -> int:
    """The threads in which gloo runs collectives."""
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return names.count("pt_gloo_runloop")


def follow(group: ProcessGroup, disk: Path) -> None:
    ignore_signals()
    disk.mkdir()
    os.chdir(disk)
    while (word := group.broadcast(("", ())))[0] == "run":
        context = join_run(attend(group, lambda: None))
        if word[1] and group.rank == group.world_size - 1:
            spoil(context, once(word[1]))
        loop.train(context)
        group.gather(weights_of(context))
        group.prepare()


if __name__ == "__main__":
    main()
