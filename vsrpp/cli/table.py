"""All commands of `vsrpp` with their options, choices and defaults: their only definition.

The parser, the help, shell completion, `MLproject`, `mlproject.py` and docs/commands.md are generated from this table.
Importing it is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["text", "whole", "port", "seconds", "path", "place", "target", "step", "devices", "switch", "list"]
"""The type of a value.

`whole`: a whole number, including `1e3` and `100_000`. `port`: one from 0 to 65535. `seconds`: a finite number from 0 up.
`path`: a file or folder. `place`: a name, or an existing path. `target`: a file or folder
to write, whose slash at the end says that it is a folder. `step`: a step, `best` or `latest`. `devices`: a number or
`auto`. `switch`: takes no value. `list`: may be repeated.
"""

JSON_HELP = "print one JSON document on standard output, on errors too"
RUN_HELP = "a run ID, a unique prefix of one, `latest` (the newest here), or a run folder"
_OR_MLFLOW = f"{RUN_HELP}; read from MLflow if the folder is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option, or one positional argument."""

    name: str
    """Parameter name in the function that runs the command."""
    help: str
    flag: str | None = None
    """`--max-steps`; None for a positional argument."""
    kind: Kind = "text"
    metavar: str | None = None
    choices: tuple[Any, ...] = ()
    default: Any = None
    required: bool = False
    nargs: str | None = None
    """argparse's `nargs` for a positional argument: `?` or `+`."""
    group: str = ""
    """Title of the option's group in the help."""
    one_of: str = ""
    """Options of a command with the same value exclude each other, and one of them is required."""
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """One command."""

    name: str
    entry: str
    """MODULE.FUNCTION in `vsrpp.cli` that runs it."""
    help: str
    """A phrase that starts with a verb, without a full stop."""
    options: tuple[Option, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Parameters set by the command itself."""
    json: bool = True
    run_dir: bool = True
    starts_ranks: bool = False
    """Whether it passes its command line on to other processes."""
    usage: str = ""

    def all_options(self) -> tuple[Option, ...]:
        """Its options, plus the global ones that it accepts."""
        shared = ((JSON,) if self.json else ()) + ((RUN_DIR,) if self.run_dir else ())
        return self.options + shared


JSON = Option(name="as_json", flag="--json", kind="switch", help=JSON_HELP)
RUN_DIR = Option(
    name="run_dir", flag="--run-dir", kind="path", metavar="DIR",
    help="folder that contains the runs (default: VSRPP_RUNS, else ./runs)",
)  # fmt: skip
GLOBAL_OPTIONS = (JSON, RUN_DIR)
"""Accepted before or after the command."""

RUN = Option(name="run", kind="place", metavar="RUN", help=RUN_HELP)
RUN_OR_MLFLOW = replace(RUN, help=_OR_MLFLOW)
WAIT = Option(
    name="wait_s", flag="--wait", kind="seconds", metavar="SECONDS", default=60.0,
    help="how long to wait for the answer (default: 60)",
)  # fmt: skip
REASON = Option(name="reason", flag="--reason", metavar="TEXT", help="why; recorded with the change")
AUTHOR = Option(name="author", flag="--author", metavar="NAME", help="who makes it (default: the login name)")
YES = Option(
    name="confirmed", flag="--yes", kind="switch", help="confirm a change that ends the run now (refused otherwise)"
)
LANGUAGE = Option(
    name="lang", flag="--lang", choices=("en", "de"), help="language of the pages (default: the browser's)"
)


TRUST_CODE = Option(
    name="trust_code", flag="--trust-code", kind="list", metavar="SHA256",
    help="run a recorded plug-in that this account has not named itself; may be repeated (docs/extending.md)",
)  # fmt: skip
CHANGED_CODE = Option(
    name="allow_changed_code", flag="--allow-changed-code", kind="switch",
    help="use a plug-in's code as it is now although it differs from the record; this is recorded",
)  # fmt: skip


NO_TOKEN = Option(
    name="panel_token", flag="--no-token", kind="switch", default=True,
    help="do not require a token for the panel: every account on this host can then steer its runs",
)  # fmt: skip


def _settings(help: str) -> Option:
    return Option(name="settings", flag="--set", kind="list", metavar="KEY=VALUE", help=help)


_RANKS = "several devices and hosts (docs/scaling.md)"
TRAIN = CommandSpec(
    name="train", entry="train.train", help="train a network, from scratch or from a checkpoint", json=False,
    starts_ranks=True,
    options=(
        Option(name="preset", flag="--preset", choices=("demo", "base", "large"),
               help="sets the default of every parameter (default: demo)"),
        Option(name="config", flag="--config", kind="place", metavar="FILE|RECIPE",
               help="a YAML file with keys of either config, or a recipe: "
                    "basicvsr_reds, basicvsr_vimeo, basicvsrpp_reds, vsrpp_video"),
        Option(name="data", flag="--data", kind="place", metavar="PATH|sample",
               help="a video, a folder of videos or clips, a dataset (REDS, …), or the sample clip (with --resume: where the"
               " run's data is now)"),
        _settings("any key of either config; may be repeated"),
        Option(name="plugins", flag="--plugin", kind="list", metavar="FILE|MODULE",
               help="other people's code with losses, metrics or data readers; may be repeated (docs/extending.md)"),
        TRUST_CODE,
        replace(CHANGED_CODE, help=f"with --resume: {CHANGED_CODE.help}"),
        Option(name="source", flag="--from", kind="place", metavar="SOURCE",
               help="start a new run from RUN, RUN@STEP, a checkpoint folder, models:/NAME@ALIAS, models:/NAME/VERSION"
               " or models:/m-…"),
        Option(name="resume", flag="--resume", kind="place", metavar="RUN",
               help="continue a run that has ended; --set changes its live config, a finished one needs --set max_steps=N"),
        Option(name="max_steps", flag="--max-steps", kind="whole", metavar="N", help="optimizer steps to train for"),
        Option(name="max_hours", flag="--max-hours", metavar="H",
               help="stop, with a checkpoint, after this much total machine time, resumes and pauses included (with"
               " --resume: the new total)"),
        Option(name="cost_per_hour", flag="--cost-per-hour", metavar="X",
               help="price of an hour on this machine; shows the cost so far and to come"),
        Option(name="deliver_to", flag="--deliver-to", metavar="URL",
               help="the MLflow server of this run, for its whole life; it may be down at the start (default:"
               " MLFLOW_TRACKING_URI)"),
        Option(name="experiment", flag="--experiment", metavar="NAME",
               help="the MLflow experiment of this run, for its whole life (default: MLFLOW_EXPERIMENT_NAME, the experiment"
               " MLFLOW_EXPERIMENT_ID, or vsrpp)"),
        Option(name="check", flag="--check", kind="switch",
               help="start nothing: try three steps, a validation and a checkpoint, and report time, memory, disk and"
               " what would fail"),
        replace(JSON, help=f"with --check: {JSON_HELP}"),
        Option(name="panel", flag="--no-panel", kind="switch", default=True, help="do not start the web panel"),
        NO_TOKEN,
        Option(name="tensorboard", flag="--no-tensorboard", kind="switch", default=True,
               help="do not start TensorBoard"),
        Option(name="devices", flag="--devices", kind="devices", metavar="N|auto", group=_RANKS,
               help="processes on this host, one per GPU; auto: all GPUs (default: 1)"),
        Option(name="nodes", flag="--nodes", kind="whole", metavar="M", group=_RANKS,
               help="hosts that train this run together; start the command on each (default: 1)"),
        Option(name="rendezvous", flag="--rendezvous", metavar="HOST:PORT", group=_RANKS,
               help="address where several hosts meet: the host that has rank 0, and a port there"),
        Option(name="node_rank", flag="--node-rank", kind="whole", metavar="I", group=_RANKS,
               help="number of this host; 0 is the rendezvous host (default: auto-detected)"),
        Option(name="max_restarts", flag="--max-restarts", kind="whole", metavar="K", group=_RANKS,
               help="when a process dies, restart all from the newest checkpoint, at most K times (default: 0)"),
        Option(name="tui", flag="--tui", kind="switch",
               help="show the terminal UI instead of progress lines; q closes it and training continues"),
    ),
)  # fmt: skip

_ACCESS = "who may use the panel (starts none; docs/panel.md)"

_REQUESTS = {
    "pause": "pause a run at the next step",
    "resume": "continue a paused run (one that has ended: vsrpp train --resume RUN)",
    "validate": "validate at the next step",
    "checkpoint": "write a checkpoint at the next step",
    "stop": "stop a run at the next step, with a checkpoint",
}

COMMANDS: tuple[CommandSpec, ...] = (
    TRAIN,
    CommandSpec(
        name="runs", entry="status.show_runs", help="list the runs on this host and on the tracking server, live ones first",
        options=(Option(name="local", flag="--local", kind="switch", help="do not contact the tracking server"),),
    ),
    CommandSpec(name="status", entry="status.show_status", help="show the state of a run", options=(RUN,)),
    CommandSpec(
        name="config", entry="status.show_config", options=(RUN,),
        help="show the live config with tiers, ranges and who last changed each value",
    ),
    CommandSpec(
        name="history", entry="status.show_history", help="show all events of a run, oldest first",
        options=(
            RUN,
            Option(name="verify", flag="--verify", kind="switch",
                   help="verify the hash chain against the local checkpoints and MLflow; exit 6 if it is broken"),
            Option(name="key", flag="--key", kind="path", metavar="PUBLIC.pem",
                   help="with --verify: also check that this key signed every event and manifest (docs/runtime-config.md)"),
            Option(name="local", flag="--local", kind="switch", help="with --verify: do not ask MLflow"),
            Option(name="after", flag="--after", kind="whole", metavar="SEQ", default=0,
                   help="only events after this sequence number"),
            Option(name="limit", flag="--limit", kind="whole", metavar="N", help="at most this many events"),
        ),
    ),
    CommandSpec(
        name="set", entry="commands.set_values", help="change the live config of a run while it trains",
        options=(
            RUN,
            Option(name="assignments", metavar="KEY=VALUE", nargs="+",
                   help="what to change; all assignments are applied, or none"),
            REASON,
            AUTHOR,
            Option(name="dry_run", flag="--dry-run", kind="switch", help="show the effects without changing anything"),
            Option(name="base_revision", flag="--base-revision", kind="whole", metavar="N",
                   help="refuse if a key was changed after this revision"),
            Option(name="probation", flag="--probation", kind="whole", metavar="STEPS",
                   help="revert automatically, to the exact state before, if --revert-if holds within this many steps"),
            Option(name="revert_if", flag="--revert-if", metavar="COND",
                   help="such as 'loss > 2x', 'psnr_y < -0.5', 'grad_norm > 5x'; a non-finite value always reverts"),
            YES,
            replace(WAIT, default=None),
        ),
    ),
    *(
        CommandSpec(name=name, entry="commands.command", help=help, options=(RUN, WAIT), fixed={"kind": name})
        for name, help in _REQUESTS.items()
    ),
    CommandSpec(
        name="rollback", entry="commands.rollback", help="roll a live run back to a checkpoint, config included",
        options=(
            RUN,
            Option(name="step", flag="--step", kind="step", metavar="N|best", one_of="target",
                   help="the checkpoint of that step, or the best one"),
            Option(name="revision", flag="--revision", kind="whole", metavar="R", one_of="target",
                   help="the newest checkpoint saved under that revision"),
            REASON,
            AUTHOR,
            YES,
            WAIT,
        ),
    ),
    CommandSpec(
        name="restore", entry="restore.restore", help="restore a checkpoint and its config by run ID",
        options=(
            RUN_OR_MLFLOW,
            Option(name="step", flag="--step", kind="step", metavar="N|best|latest", default="latest",
                   help="which checkpoint (default: latest)"),
            Option(name="out", flag="--out", kind="path", metavar="DIR", required=True,
                   help="folder to restore into; must be new or empty"),
        ),
    ),
    CommandSpec(
        name="replay", entry="replay.replay",
        help="retrain from the record and verify that the result is bit-identical",
        options=(
            RUN_OR_MLFLOW,
            Option(name="devices", flag="--devices", kind="devices", metavar="N|auto",
                   help="processes on this host (default: as many as trained the run; any other number gives different"
                   " bits)"),
            Option(name="data", flag="--data", kind="place", metavar="PATH|sample",
                   help="where the run's data is now, if it has moved"),
            TRUST_CODE,
            CHANGED_CODE,
        ),
    ),
    CommandSpec(
        name="evaluate", entry="evaluate.evaluate",
        help="measure the quality of a run, a checkpoint, bicubic or another program's frames, and compare two",
        options=(
            Option(name="source", kind="place", metavar="RUN|CHECKPOINT|bicubic", nargs="?",
                   help="A: a run (its newest checkpoint), RUN@STEP, a checkpoint folder, or bicubic"),
            Option(name="frames", flag="--frames", kind="path", metavar="DIR",
                   help="A: output frames of any program, in a folder named like each clip, in place of RUN"),
            Option(name="against", flag="--against", kind="place", metavar="RUN|CHECKPOINT|bicubic|DIR",
                   help="B: score it, too, and print A minus B with its interval; DIR: output frames of another program"),
            Option(name="fail_if", flag="--fail-if", metavar="COND",
                   help="exit 6 if this holds of A minus B, such as 'psnr_y < -0.05' or 'lpips > 0.01 or tdiff_y > 0.1'"),
            Option(name="by", flag="--by", choices=("mean", "interval"),
                   help="what --fail-if looks at: the mean, or the end of the interval that is unfavourable to A (default:"
                   " mean)"),
            Option(name="data", flag="--data", kind="place", metavar="PATH|sample",
                   help="ground truth: a video, a folder of videos, of clips or of frames"),
            Option(name="suite", flag="--suite", metavar="NAMES",
                   help="standard suites, each by its own protocol, in place of --data: reds4, vid4, udm10, spmcs, vimeo-t;"
                   " several separated by commas"),
            Option(name="root", flag="--root", kind="path", metavar="DIR", help="with --suite: the folder that holds them"),
            Option(name="table", flag="--table", choices=("text", "markdown", "latex"),
                   help="with --suite: form of the table (default: text)"),
            Option(name="scale", flag="--scale", kind="whole", metavar="N", choices=(2, 3, 4),
                   help="upscaling factor (default: the network's; 4 for bicubic)"),
            Option(name="degradation", flag="--degradation", choices=("bicubic", "bd", "realistic"),
                   help="how small frames are made from ground truth, and which of a dataset's are used (default: the"
                   " network's training degradation; bicubic for bicubic)"),
            Option(name="start", flag="--start", kind="whole", metavar="N", default=0,
                   help="first frame of each clip to score, counted from 0; the frames around are read as context"),
            Option(name="count", flag="--count", kind="whole", metavar="N", help="frames of each clip to score (default: all)"),
            Option(name="profile", flag="--profile", kind="path", metavar="FILE.png",
                   help="save one row of pixels over time: bicubic, output and truth side by side"),
            Option(name="lpips_weights", flag="--lpips-weights", kind="list", metavar="FILE",
                   help="also measure LPIPS, and tLP over time; give it twice: torchvision's AlexNet or VGG16 file, and"
                   " lpips/weights/v0.1/alex.pth or vgg.pth (docs/upscaling.md)"),
            Option(name="dists_weights", flag="--dists-weights", kind="list", metavar="FILE",
                   help="also measure DISTS; give it twice: torchvision's VGG16 file, and weights.pt of DISTS_pytorch"),
            Option(name="tof", flag="--tof", kind="switch", help="also measure tOF over time; needs opencv-python-headless"),
            Option(name="log", flag="--log", kind="switch",
                   help="log A's figures to its checkpoint's model in MLflow"),
            TRUST_CODE,
        ),
    ),
    CommandSpec(
        name="upscale", entry="upscale.upscale", help="upscale videos or folders of frames",
        options=(
            Option(name="source", kind="place", metavar="RUN|CHECKPOINT",
                   help="a run (its newest checkpoint), RUN@STEP, RUN@best, or a checkpoint folder"),
            Option(name="inputs", kind="path", metavar="INPUT", nargs="+",
                   help="a video, a folder of frames, or a folder of these; several need a folder as OUTPUT"),
            Option(name="output", kind="target", metavar="OUTPUT",
                   help="a video file, or a folder for frames or several videos (no suffix, or a / at the end)"),
            Option(name="codec", flag="--codec", choices=("h264", "hevc", "av1", "vp9", "ffv1"),
                   help="video codec (default: by the suffix, mostly h264; hevc above 8 bits)"),
            Option(name="crf", flag="--crf", kind="whole", metavar="N",
                   help="quality factor of the codec, lower is better (default: near lossless)"),
            Option(name="pix_fmt", flag="--pix-fmt", metavar="NAME",
                   help="FFmpeg's pixel format of the output, such as yuv444p (default: 4:2:0 with the input's depth)"),
            Option(name="fps", flag="--fps", metavar="RATE",
                   help="frame rate for a folder of frames, such as 25, 29.97 or 30000/1001"),
            Option(name="chunk", flag="--chunk", kind="whole", metavar="N", default=16,
                   help="frames kept of each chunk (default: 16); fewer need less memory"),
            Option(name="overlap", flag="--overlap", kind="whole", metavar="N", default=8,
                   help="extra frames read on either side of a chunk (default: 8)"),
            Option(name="tile", flag="--tile", kind="whole", metavar="N", default=256,
                   help="side of a tile, in input pixels (default: 256); 0: whole frames"),
            Option(name="tile_overlap", flag="--tile-overlap", kind="whole", metavar="N", default=32,
                   help="pixels shared by neighbouring tiles (default: 32)"),
            Option(name="device", flag="--device", choices=("auto", "cpu", "cuda"), default="auto",
                   help="device to compute on (default: CUDA if available)"),
            Option(name="audio", flag="--no-audio", kind="switch", default=True, help="copy neither audio nor subtitles"),
            Option(name="deinterlace", flag="--deinterlace", kind="switch",
                   help="make whole frames of the fields of interlaced video, as many as before"),
            TRUST_CODE,
            Option(name="resume", flag="--resume", kind="switch",
                   help="go on with an unfinished output; of several inputs, leave out those that have an output"),
            Option(name="strict", flag="--strict", kind="switch",
                   help="refuse an input that is damaged or cut off (default: write what can be decoded)"),
            Option(name="keep_going", flag="--keep-going", kind="switch",
                   help="exit with 0, not 1, if an input is cut off"),
            Option(name="overwrite", flag="--overwrite", kind="switch", help="replace an existing or unfinished output"),
        ),
    ),
    CommandSpec(
        name="export", entry="export.export",
        help="export a network to ONNX, TorchScript, safetensors or torch.export, and compare the file with it",
        options=(
            Option(name="source", kind="place", metavar="RUN|CHECKPOINT",
                   help="a run (its newest checkpoint), RUN@STEP, RUN@best, or a checkpoint folder"),
            Option(name="output", kind="path", metavar="OUT",
                   help="the file: .onnx, .pt (TorchScript), .safetensors or .pt2 (torch.export)"),
            Option(name="form", flag="--to", choices=("onnx", "torchscript", "safetensors", "pt2"), required=True,
                   help="the form of the file; onnx needs the extra `export`"),
            Option(name="frames", flag="--frames", kind="whole", metavar="N",
                   help="frames of a clip, fixed in the file (default: 7)"),
            Option(name="windowed", flag="--windowed", kind="switch",
                   help="N frames stacked as channels in, the middle frame out, as players and VapourSynth call networks"),
            Option(name="fp16", flag="--fp16", kind="switch",
                   help="fp16 weights and arithmetic; inputs, outputs and optical flow stay fp32"),
            Option(name="benchmark", flag="--benchmark", kind="switch",
                   help="also measure frames per second and memory, of the file and of PyTorch, on the CPU"),
            TRUST_CODE,
            Option(name="overwrite", flag="--overwrite", kind="switch", help="replace an existing OUT"),
        ),
    ),
    CommandSpec(
        name="import-config", entry="import_config.import_config",
        help="write a config from an option file of BasicSR or mmagic, and list what maps and what does not",
        options=(
            Option(name="file", kind="path", metavar="FILE",
                   help="BasicSR's YAML, or a Python config of mmagic or mmedit, which is read and never run"),
            Option(name="output", kind="path", metavar="OUT", nargs="?",
                   help="the config to write (default: FILE's name with .vsrpp.yaml, in the current folder)"),
            Option(name="gpus", flag="--gpus", kind="whole", metavar="N",
                   help="GPUs that the file was meant for, as batch_size is of all together (default: what the file or its"
                   " name says, else 1)"),
            Option(name="overwrite", flag="--overwrite", kind="switch", help="replace an existing OUT"),
        ),
    ),
    CommandSpec(
        name="data", entry="data.data", help="show how the trainer would read a path, or pack it",
        usage="vsrpp data PATH [--json] [--read-all] [--sheet FILE [--overwrite]] [--set KEY=VALUE]… [--plugin FILE]…\n"
        "       vsrpp data pack PATH OUT [--json] [--set KEY=VALUE]…",
        options=(
            Option(name="arguments", kind="place", metavar="PATH", nargs="+",
                   help="a video file, a folder of videos, of clips or of frames, REDS, Vimeo-90K, Vid4, LQ/GT pairs, a"
                   " packed copy, or a config file with a data: block; `pack PATH OUT` writes a packed copy of PATH to the"
                   " new folder OUT"),
            Option(name="read_all", flag="--read-all", kind="switch",
                   help="read every frame of every clip and list the files that cannot be read (exit 2 if there are any)"),
            Option(name="sheet", flag="--sheet", kind="path", metavar="FILE",
                   help="write a contact sheet of the clips to this file (default: none)"),
            Option(name="overwrite", flag="--overwrite", kind="switch", help="replace an existing FILE"),
            _settings("a key of the run config, such as scale=2"),
            Option(name="plugins", flag="--plugin", kind="list", metavar="FILE|MODULE",
                   help="other people's code with a data reader; may be repeated (docs/extending.md)"),
        ),
    ),
    CommandSpec(
        name="plugins", entry="plugins.plugins",
        help="list the networks, loss terms and other parts that a run can name",
        options=(
            Option(name="plugins", flag="--plugin", kind="list", metavar="FILE|MODULE",
                   help="also what this code provides; may be repeated (docs/extending.md)"),
        ),
    ),
    CommandSpec(
        name="compare", entry="compare.compare", help="compare runs: config, interventions, results",
        options=(
            Option(name="names", kind="place", metavar="RUN", nargs="+", help=f"{_OR_MLFLOW}. Two or more"),
            Option(name="html", flag="--html", metavar="FILE", help="write the tables and curves as one self-contained page"),
            Option(name="png", flag="--png", metavar="FILE", help="write the curves as an image"),
            Option(name="log_artifact", flag="--log-artifact", kind="switch",
                   help="attach page and image to the newest run in MLflow, under comparison/"),
        ),
    ),
    CommandSpec(name="sync", entry="restore.sync", help="upload pending records to the tracking server", options=(RUN,)),
    CommandSpec(
        name="backup", entry="safekeeping.backup", help="copy a run to a new file, even while it trains",
        options=(
            RUN,
            Option(name="file", kind="path", metavar="FILE",
                   help="NAME.tar: the run folder with its intact checkpoints; NAME.db: the record alone"),
        ),
    ),
    CommandSpec(
        name="rebuild", entry="safekeeping.rebuild", help="rebuild a damaged run folder from MLflow", options=(RUN,),
    ),
    CommandSpec(
        name="promote", entry="restore.promote", help="register a checkpoint as a model and point an alias to it",
        options=(
            Option(name="source", kind="place", metavar="RUN[@STEP]",
                   help=f"{RUN_HELP}; @best for its best (default: the newest)"),
            Option(name="alias", flag="--alias", metavar="NAME", required=True,
                   help="such as champion, for --from models:/vsrpp@champion"),
            Option(name="name", flag="--name", metavar="REGISTERED_NAME", default="vsrpp",
                   help="the registered model (default: vsrpp)"),
        ),
    ),
    CommandSpec(
        name="panel", entry="panel.panel", help="serve the web panel", json=False,
        options=(
            replace(RUN, nargs="?"),
            Option(name="host", flag="--host", default="127.0.0.1",
                   help="address to listen on (default: 127.0.0.1; any other requires the token or --auth)"),
            Option(name="port", flag="--port", kind="port", default=5050, help="port (default: 5050, or the next free one)"),
            Option(name="auth", flag="--auth", kind="path", metavar="FILE",
                   help="a file of those who may sign in, with their roles and hashed passwords; it replaces the token"),
            NO_TOKEN,
            LANGUAGE,
            Option(name="links", flag="--links", kind="switch", group=_ACCESS,
                   help="print the links to this account's running panels, one for each role"),
            Option(name="add_user", flag="--add-user", metavar="NAME", group=_ACCESS,
                   help="add somebody to the file of --auth, or change role and password; asks for the password twice, or reads"
                   " it from standard input"),
            Option(name="role", flag="--role", choices=("viewer", "operator", "owner"), group=_ACCESS,
                   help="with --add-user: viewer looks; operator also edits the safe tier, pauses, validates and saves"
                   " checkpoints; owner does everything (default: viewer)"),
            Option(name="hash_auth", flag="--hash-auth", kind="path", metavar="FILE", group=_ACCESS,
                   help="hash the passwords of a file of NAME:PASSWORD lines in place; its users become owners"),
            Option(name="with_parent", flag="--with-parent", kind="switch", hidden=True, help="end with the parent process"),
        ),
    ),
    CommandSpec(
        name="top", entry="panel.top", help="watch and steer a run in the terminal", json=False,
        options=(RUN, replace(LANGUAGE, help="language of the screens (default: the locale's)")),
    ),
    CommandSpec(
        name="tensorboard", entry="panel.tensorboard", help="rebuild a run's event files and open TensorBoard", json=False,
        options=(
            RUN,
            Option(name="port", flag="--port", kind="port", default=6006, help="port (default: 6006, or the next free one)"),
        ),
    ),
    CommandSpec(
        name="completion", entry="completion.completion", help="print a shell's completion script", json=False,
        run_dir=False,
        options=(Option(name="shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"),),
    ),
    CommandSpec(
        name="help", entry="completion.help", help="show all commands or one's options", json=False, run_dir=False,
        options=(Option(name="command", metavar="COMMAND", nargs="?", help="a command"),),
    ),
)  # fmt: skip


def command(name: str) -> CommandSpec:
    """The command with this name. Raises KeyError."""
    return {spec.name: spec for spec in COMMANDS}[name]
