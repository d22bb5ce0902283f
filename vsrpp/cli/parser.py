"""The commands, their options and help. Importing this is cheap; a command's own code is loaded when it runs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from vsrpp import __version__

_JSON_HELP = "print one JSON document and nothing else"
_RUN_HELP = "a run ID, a unique prefix of one, `latest` (the newest here), or a run folder"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of argparse's usage dump."""
        print(f"vsrpp: {message}. See: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def parse(argv: list[str]) -> Callable[[], int]:
    """One command, ready to be carried out; it returns the exit status. Exits with 2 on a wrong command line."""
    options = vars(_parser().parse_args(argv))
    module, function = options.pop("entry").split(".")
    if options.pop("starts_ranks", False):
        options["command_line"] = argv

    def run() -> int:
        return int(getattr(importlib.import_module(f"vsrpp.cli.{module}"), function)(**options) or 0)

    return run


def _path(text: str) -> Path | None:
    """An empty value is one that was not given."""
    return Path(text) if text else None


def _parser() -> _Parser:
    parser = _Parser(
        prog="vsrpp",
        description="Train video super-resolution networks, steer them while they train, and get any state back.",
        epilog="A first run: vsrpp train --preset demo --data sample      Then, beside it: vsrpp set latest max_lr=2e-4",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vsrpp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, entry: str, help: str, *, json: bool = True) -> _Parser:
        """A command that `entry`, MODULE.FUNCTION of `vsrpp.cli`, carries out; it takes the options by their names."""
        parser: _Parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        parser.set_defaults(entry=entry)
        if json:
            parser.add_argument("--json", dest="as_json", action="store_true", help=_JSON_HELP)
        parser.add_argument(
            "--run-dir", metavar="DIR", type=_path, help="folder that holds the runs (default: ./runs, or VSRPP_RUNS)"
        )
        return parser

    _train(command("train", "train.train", "train a network, new or from a checkpoint", json=False))
    command("runs", "status.show_runs", "list the runs known here and to the tracking server, live ones first")
    for name, text in {
        "status": "show where a run stands",
        "config": "show the live config with tiers, ranges and who last changed each value",
        "history": "show every event of a run, oldest first",
    }.items():
        view = command(name, f"status.show_{name}", text)
        view.add_argument("run", metavar="RUN", help=_RUN_HELP)
        if name == "history":
            view.add_argument("--verify", action="store_true", help="check the hash chain; exit 6 where it breaks")
    _set(command("set", "commands.set_values", "change the live config of a run while it trains"))
    for name, text in {
        "pause": "hold a run at the next step",
        "resume": "let a paused run go on (to continue one that ended: vsrpp train --resume RUN)",
        "validate": "validate at the next step",
        "checkpoint": "write a checkpoint at the next step",
        "stop": "stop a run at the next step, with a checkpoint",
    }.items():
        request = command(name, "commands.command", text)
        request.set_defaults(kind=name)
        request.add_argument("run", metavar="RUN", help=_RUN_HELP)
        _waiting(request)
    _rollback(command("rollback", "commands.rollback", "take a live run back to a checkpoint, config included"))
    _restore(command("restore", "restore.restore", "bring back a checkpoint and its config by run ID"))
    replay = command("replay", "replay.replay", "train a run again from its record; say if it ends with the same bits")
    _replay(replay)
    _evaluate(command("evaluate", "evaluate.evaluate", "score a run, a checkpoint or bicubic on known frames"))
    _upscale(command("upscale", "upscale.upscale", "upscale a video file or a folder of frames"))
    _data(command("data", "data.data", "show what the trainer would make of a path, or pack it"))
    _compare(command("compare", "compare.compare", "show where runs part: configs, interventions, results"))
    sync = command("sync", "restore.sync", "deliver what the tracking server has not got yet")
    sync.add_argument("run", metavar="RUN", help=_RUN_HELP)
    promote = command("promote", "restore.promote", "register a checkpoint and point an alias at it")
    promote.add_argument("source", metavar="RUN[@STEP]", help=_RUN_HELP + "; @best for its best (default: the newest)")
    promote.add_argument(
        "--alias", metavar="NAME", required=True, help="such as champion; then: --from models:/vsrpp@champion"
    )
    promote.add_argument(
        "--name", metavar="REGISTERED_NAME", default="vsrpp", help="the registered model (default: vsrpp)"
    )
    _panel(command("panel", "panel.panel", "open the control app in a browser", json=False))
    top = command("top", "panel.top", "watch and steer a run in the terminal", json=False)
    top.add_argument("run", metavar="RUN", help=_RUN_HELP)
    top.add_argument("--lang", choices=("en", "de"), default="en", help="language of the screens")
    board = command("tensorboard", "panel.tensorboard", "rebuild a run's event files and open TensorBoard", json=False)
    board.add_argument("run", metavar="RUN", help=_RUN_HELP)
    board.add_argument("--port", type=int, default=6006, help="port (default 6006, or the next free one)")
    return parser


def _train(parser: _Parser) -> None:
    parser.set_defaults(starts_ranks=True)
    add = parser.add_argument
    add("--preset", choices=("demo", "base", "large"), help="where every default comes from (default: demo)")
    add(
        "--config",
        metavar="FILE|RECIPE",
        help="a YAML file with keys of either config, or a recipe: basicvsr_reds, basicvsr_vimeo, vsrpp_video",
    )
    add(
        "--data",
        metavar="PATH|sample",
        help="a video, a folder of videos or clips, a dataset (REDS, …), or the sample clip",
    )
    _settings(parser, "any key of either config; may be repeated")
    add(
        "--from",
        metavar="SOURCE",
        dest="source",
        help="start a new run from RUN, RUN@STEP, a checkpoint folder, models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-…",
    )
    add("--resume", metavar="RUN", help="continue a run that was stopped or killed")
    add("--max-steps", metavar="N", type=int, help="optimizer steps to train for")
    add(
        "--max-hours",
        metavar="H",
        help="end with a checkpoint after so much machine time, resumes and pauses included (with --resume: the new total)",
    )
    add("--cost-per-hour", metavar="X", help="price of an hour of this machine: shows what is spent and to come")
    add(
        "--deliver-to",
        metavar="URL",
        help="the MLflow server of this run, for good; it may be away at the start (default: MLFLOW_TRACKING_URI)",
    )
    add(
        "--check",
        action="store_true",
        help="start nothing: try three steps, a validation and a checkpoint; say what the run would take and what would fail",
    )
    add("--json", dest="as_json", action="store_true", help=f"with --check: {_JSON_HELP}")
    add("--no-panel", dest="panel", action="store_false", help="do not start the control app")
    add("--no-tensorboard", dest="tensorboard", action="store_false", help="do not start TensorBoard")
    _train_devices(parser)
    add(
        "--tui",
        action="store_true",
        help="show the terminal UI instead of progress lines; q leaves it, training goes on",
    )


def _train_devices(parser: _Parser) -> None:
    add = parser.add_argument_group("several devices and hosts (docs/scaling.md)").add_argument
    add("--devices", metavar="N|auto", help="processes on this host, one for each GPU; auto: all GPUs (default: 1)")
    add("--nodes", metavar="M", type=int, help="hosts that train this run together; start the command on each (1)")
    add(
        "--rendezvous", metavar="HOST:PORT", help="where several hosts meet: the host that has rank 0, and a port there"
    )
    add("--node-rank", metavar="I", type=int, help="which host this is; 0 is the rendezvous host (default: found out)")
    add(
        "--max-restarts",
        metavar="K",
        type=int,
        help="when a process dies, start all again from the newest checkpoint, at most K times (default: 0)",
    )


def _data(parser: _Parser) -> None:
    add = parser.add_argument
    parser.usage = (
        "vsrpp data PATH [--json] [--sheet FILE] [--set KEY=VALUE]…\n"
        "       vsrpp data pack PATH OUT [--json] [--set KEY=VALUE]…"
    )
    add(
        "arguments",
        metavar="PATH",
        nargs="+",
        help="a video file, a folder of videos, of clips or of frames, REDS, Vimeo-90K, Vid4, LQ/GT pairs, a packed copy, "
        "or a config file with a data: block; `pack PATH OUT` writes a packed copy of PATH to the new folder OUT",
    )
    add("--sheet", metavar="FILE", type=_path, help="where the contact sheet goes (default: ./contact_sheet.png)")
    _settings(parser, "a key of the run config, such as scale=2")


def _settings(parser: _Parser, help: str) -> None:
    parser.add_argument("--set", metavar="KEY=VALUE", dest="settings", action="append", default=[], help=help)


def _set(parser: _Parser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help=_RUN_HELP)
    add("assignments", metavar="KEY=VALUE", nargs="+", help="what to change; all of it is applied, or none")
    add("--reason", metavar="TEXT", help="why: it is kept with the change")
    add("--author", metavar="NAME", help="who (default: the login name)")
    add("--dry-run", action="store_true", help="show what would follow, and change nothing")
    add("--base-revision", metavar="N", type=int, help="refuse if a key was changed after this revision")
    add(
        "--probation",
        metavar="STEPS",
        type=int,
        help="go back by itself, to the very state before, if --revert-if holds within so many steps",
    )
    add(
        "--revert-if",
        metavar="COND",
        help="such as 'loss > 2x', 'psnr_y < -0.5', 'grad_norm > 5x'; what is not finite always reverts",
    )
    _waiting(parser)


def _waiting(parser: _Parser) -> None:
    help = "how long to wait for the answer (60)"
    parser.add_argument("--wait", metavar="SECONDS", dest="wait_s", type=float, default=60.0, help=help)


def _rollback(parser: _Parser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help=_RUN_HELP)
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--step", metavar="N|best", help="the checkpoint of that step, or the best one")
    to.add_argument("--revision", metavar="R", type=int, help="the newest checkpoint made under that revision")
    add("--reason", metavar="TEXT", help="why: it is kept with the change")
    add("--author", metavar="NAME", help="who (default: the login name)")
    _waiting(parser)


def _restore(parser: _Parser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help=_RUN_HELP + "; from MLflow alone if the folder is gone")
    add("--step", metavar="N|best|latest", default="latest", help="which checkpoint (default: latest)")
    add("--out", metavar="DIR", type=Path, required=True, help="where to put it; must not hold anything yet")


def _compare(parser: _Parser) -> None:
    add = parser.add_argument
    add("names", metavar="RUN", nargs="+", help=_RUN_HELP + "; from MLflow alone if the folder is gone. Two or more")
    add("--html", metavar="FILE", help="write the tables and curves as one self-contained page")
    add("--png", metavar="FILE", help="write the curves as a picture")
    add(
        "--log-artifact",
        action="store_true",
        help="put page and picture on the newest run in MLflow, under comparison/",
    )


def _replay(parser: _Parser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help=_RUN_HELP + "; from MLflow alone if the folder is gone")
    add(
        "--devices",
        metavar="N|auto",
        help="processes on this host (default: as many as trained the run; any other number does not give the same bits)",
    )


def _evaluate(parser: _Parser) -> None:
    add = parser.add_argument
    add(
        "source",
        metavar="RUN|CHECKPOINT|bicubic",
        help="a run (its newest checkpoint), RUN@STEP, a checkpoint folder, or bicubic",
    )
    add(
        "--data",
        metavar="PATH|sample",
        required=True,
        help="ground truth: a video, a folder of videos or clips, or of frames",
    )
    add("--scale", metavar="N", type=int, choices=(2, 3, 4), help="reduction (default: the network's; 4 for bicubic)")
    add(
        "--degradation",
        choices=("bicubic", "bd", "realistic"),
        help="how small frames are made where there is ground truth alone, and which of a layout's are taken"
        " (default: what the network was trained on; bicubic for bicubic)",
    )
    add("--start", metavar="N", type=int, default=0, help="first frame of each clip, counted from 0")
    add("--count", metavar="N", type=int, help="frames of each clip (default: all)")
    add(
        "--profile",
        metavar="FILE.png",
        type=_path,
        help="save one row of pixels over time: bicubic, output and truth side by side",
    )


def _upscale(parser: _Parser) -> None:
    add = parser.add_argument
    add(
        "source",
        metavar="RUN|CHECKPOINT",
        help="a run (its newest checkpoint), RUN@STEP, RUN@best, or a checkpoint folder",
    )
    add("input", metavar="INPUT", help="a video file or a folder of frames")
    add("output", metavar="OUTPUT", help="a video file, by its suffix, or a folder for frames")
    add("--codec", choices=("h264", "hevc", "vp9", "ffv1"), help="of the video (default: by the suffix, mostly h264)")
    add("--crf", metavar="N", type=int, help="quality of the codec, smaller is better (default: near to lossless)")
    add("--fps", metavar="RATE", help="frames a second of a folder of frames, such as 25 or 30000/1001")
    add("--chunk", metavar="N", type=int, default=16, help="frames kept of each chunk (16); fewer take less memory")
    add("--overlap", metavar="N", type=int, default=8, help="frames read on either side of a chunk (8)")
    add("--tile", metavar="N", type=int, default=256, help="side of a tile, in input pixels (256); 0: whole frames")
    add("--tile-overlap", metavar="N", type=int, default=32, help="pixels that neighbouring tiles share (32)")
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="what computes (default: CUDA if there is one)",
    )
    add("--no-audio", dest="audio", action="store_false", help="copy neither sound nor subtitles")
    add("--overwrite", action="store_true", help="replace an output that is there already")


def _panel(parser: _Parser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", nargs="?", help=_RUN_HELP)
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1; anything else needs --auth)")
    add("--port", type=int, default=5050, help="port (default 5050, or the next free one)")
    add("--auth", metavar="FILE", type=_path, help="a file of NAME:PASSWORD lines: who may log in")
    add("--lang", choices=("en", "de"), default="en", help="language of the pages")
    add("--with-parent", action="store_true", help=argparse.SUPPRESS)
