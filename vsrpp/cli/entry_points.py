"""The entry points of MLproject: the commands and options available to `mlflow run`, with their names and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vsrpp.cli.table import CommandSpec, Option, command

MUST_BE_GIVEN = None
"""The default of a required parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectParameter:
    """One parameter of an entry point, for one option of its command."""

    name: str
    option: str = ""
    """The option's name, if different."""
    help: str = ""
    """Replaces the option's help."""
    default: Any = ""
    """Empty: not given."""
    implied: str = ""
    """The value if it is not given, unless one of `unless` is."""
    unless: tuple[str, ...] = ()

    def of(self, spec: CommandSpec) -> Option:
        """The corresponding option. Raises StopIteration if the command has none."""
        wanted = self.option or self.name
        return next(option for option in spec.all_options() if option.name == wanted)

    def required(self, spec: CommandSpec) -> bool:
        """Whether the command requires it."""
        option = self.of(spec)
        by_position = option.flag is None and option.nargs != "?"
        return by_position or option.required or self.default is MUST_BE_GIVEN


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectEntry:
    """One entry point of MLproject."""

    name: str
    command: str
    help: str
    parameters: tuple[ProjectParameter, ...]
    takes_config_keys: bool = False
    """Whether every key of the run config and of the live config is a parameter, too."""

    @property
    def spec(self) -> CommandSpec:
        return command(self.command)


def _p(
    name: str, default: Any = "", *, option: str = "", help: str = "", implied: str = "", unless: tuple[str, ...] = ()
) -> ProjectParameter:  # fmt: skip
    return ProjectParameter(name=name, default=default, option=option, help=help, implied=implied, unless=unless)


_TAKEN_UP = ("config", "from", "resume")
_LATEST = _p("run", "latest", help="RUN.")
_RUN_DIR = _p("run_dir")

ENTRIES: tuple[ProjectEntry, ...] = (
    ProjectEntry(
        name="main", command="train", takes_config_keys=True,
        help="Train. Besides the parameters below, every key of the run config and of the live config is one: -P n_feats=32"
        " -P max_lr=2e-4 -P batch_size=2 … (docs/parameters.md describes them).",
        parameters=(
            _p("preset", implied="demo", unless=_TAKEN_UP,
               help="demo (minutes on a CPU), base (one GPU) or large. Sets the default of every other parameter."
               " Not given: as in `config`, `from` or `resume`, else demo."),
            _p("data", implied="sample", unless=_TAKEN_UP,
               help="A video file, a folder of videos, a folder of clips (folders of frames), a dataset, or `sample`:"
               " the clip that comes with the environment (MLflow's type `path` would reject that word). Not given: as"
               " for preset, else sample."),
            _p("config", help="A YAML file with keys of the run config and, flat or under `live:`, of the live config; or a"
               " recipe's name. -P and `set` override it."),
            _p("max_steps", help="Optimizer steps to train for, 1 to 10000000. Not given: the preset's."),
            _p("set", option="settings", help='Several keys at once, separated by spaces: -P set="n_feats=32 max_lr=2e-4"'),
            _p("plugin", option="plugins",
               help="Other people's code: Python files or modules, separated by spaces. Its parameters are -P parameters,"
               " too. A network is named by -P network=FILE.py:NAME. (docs/extending.md)"),
            _p("trust_code", help="SHA-256 of a recorded plug-in that may run although this account has not named it."),
            _p("from", option="source",
               help="Start a new run from a checkpoint: RUN, RUN@STEP, a checkpoint folder, or models:/…"),
            _p("resume", help="Continue this run from its newest checkpoint, in its own MLflow run."),
            _p("panel", "on", help="on or off: the web panel (port 5050 or the next free one), beside the training."),
            _p("panel_token", "on", help="on or off: the panel asks for the token of its link. Off: every account on this host"
               " can steer the run."),
            _p("tensorboard", "on", help="on or off: TensorBoard (port 6006 or the next free one), beside the training."),
            _p("check", "off", help="on or off: start nothing; try three steps, a validation and a checkpoint, and report what"
               " the run would take."),
            _p("deliver_to", help="Another tracking server for the run, which may be down at the start: `mlflow run` itself"
               " then uses a local store (MLFLOW_TRACKING_URI not set), and the run appears on the server once it can be"
               " reached."),
            _p("devices", help="Processes on this host, one per GPU, or auto for all GPUs. Not given: 1. (docs/scaling.md)"),
            _p("nodes", help="Hosts that train this run together, 1 and up; start the command on each."),
            _p("rendezvous", help="HOST:PORT where the hosts meet; that host has rank 0 and creates the one MLflow run."),
            _p("node_rank", help="Which host this is; 0 is the rendezvous host. Not given: auto-detected."),
            _p("max_restarts", help="When a process dies, restart all from the newest checkpoint, at most this many times."
               " Not given: 0."),
            _RUN_DIR,
        ),
    ),
    ProjectEntry(
        name="restore", command="restore",
        help="Restore a checkpoint and its config by run ID, from MLflow alone if the run folder is missing.",
        parameters=(
            _p("run", MUST_BE_GIVEN, help="RUN."),
            _p("step", "latest", help="A step, `best` or `latest`."),
            _p("out", "restored", help="Folder to restore into."),
            _RUN_DIR,
        ),
    ),
    ProjectEntry(
        name="rollback", command="rollback",
        help="Roll a live run on this host back to a checkpoint, config included, without a restart.",
        parameters=(
            _LATEST,
            _p("step", MUST_BE_GIVEN, help="The step of a checkpoint, or `best`."),
            _p("reason"),
            _RUN_DIR,
        ),
    ),
    ProjectEntry(
        name="replay", command="replay",
        help="Retrain a run from its record, from MLflow alone if the run folder is missing, and verify that the result is"
        " bit-identical.",
        parameters=(_LATEST, _p("devices"), _p("data"), _p("trust_code"), _RUN_DIR),
    ),
    ProjectEntry(
        name="evaluate", command="evaluate",
        help="Measure the quality of a run, a checkpoint, `bicubic` or another program's frames, on frames with known ground"
        " truth, and compare two.",
        parameters=(
            _p("run", option="source", implied="latest", unless=("frames",),
               help="RUN, a checkpoint folder, or `bicubic`. Not given: latest, or none with frames."),
            _p("frames", help="Output frames of any program, in a folder named like each clip, in place of run."),
            _p("against", help="Score this, too, and print the difference: RUN, a checkpoint folder, `bicubic`, or a folder of"
               " frames."),
            _p("fail_if", help="With against: fail if this holds of the difference: -P fail_if=\"psnr_y < -0.05\""),
            _p("by", help="mean or interval: what fail_if looks at, the mean, or the end of the interval that is unfavourable."
               " Not given: mean."),
            _p("data", help="Ground truth: a video, a folder of videos, of clips or of frames. This or suite must be given."),
            _p("suite", help="In place of data: reds4, vid4, udm10, spmcs, vimeo-t, several separated by commas, each by its"
               " own protocol."),
            _p("root", help="With suite: the folder that holds them."),
            _p("table", help="With suite: text, markdown or latex. Not given: text."),
            _p("scale", help="2, 3 or 4. Not given: the network's; 4 for bicubic."),
            _p("degradation", help="bicubic, bd or realistic: how small frames are made from ground truth. Not given:"
               " as in training."),
            _p("start"),
            _p("count"),
            _p("profile", help="PNG file for the temporal profile: one row of pixels over time."),
            _p("lpips_weights", help="Also measure LPIPS, and tLP over time: two files, separated by a space"
               " (docs/upscaling.md)."),
            _p("dists_weights", help="Also measure DISTS: two files, separated by a space."),
            _p("tof", "off", help="on or off: also measure tOF over time."),
            _p("log", "off", help="on or off: log the figures to the checkpoint's model in MLflow."),
            _p("trust_code"),
            _RUN_DIR,
        ),
    ),
    ProjectEntry(
        name="upscale", command="upscale",
        help="Upscale videos or folders of frames, in bounded memory.",
        parameters=(
            _p("run", "latest", option="source", help="RUN, RUN@STEP, RUN@best, or a checkpoint folder."),
            _p("input", MUST_BE_GIVEN, option="inputs", help="A video, a folder of frames, or a folder of these."),
            _p("output", MUST_BE_GIVEN),
            _p("codec", help="h264, hevc, av1, vp9 or ffv1. Not given: by the suffix."),
            _p("crf"),
            _p("pix_fmt"),
            _p("fps"),
            _p("chunk"),
            _p("overlap"),
            _p("tile"),
            _p("tile_overlap"),
            _p("device"),
            _p("audio", "on", help="on or off: copy audio and subtitles."),
            _p("trust_code"),
            _p("deinterlace", "off", help="on or off: make whole frames of the fields of interlaced video."),
            _p("resume", "off", help="on or off: go on with an unfinished output; of several inputs, leave out those that have"
               " an output."),
            _p("strict", "off", help="on or off: refuse an input that is damaged or cut off."),
            _p("keep_going", "off", help="on or off: exit with 0, not 1, if an input is cut off."),
            _p("overwrite", "off", help="on or off: replace an existing or unfinished output."),
            _RUN_DIR,
        ),
    ),
    ProjectEntry(
        name="panel", command="panel", help="Serve the web panel until it is interrupted.",
        parameters=(
            _LATEST,
            _p("host", "127.0.0.1", help="Address to listen on."),
            _p("port", 5050),
            _p("auth", help="File of those who may sign in, with roles and hashed passwords (`vsrpp panel --add-user`). It"
               " replaces the token."),
            _p("panel_token", "on", help="on or off: the panel asks for the token of its link. Off: every account on this host"
               " can steer the run."),
            _RUN_DIR,
        ),
    ),
    ProjectEntry(
        name="sync", command="sync", help="Upload pending records to the tracking server.", parameters=(_LATEST, _RUN_DIR)
    ),
)  # fmt: skip
