"""The refusals of the command line, each sentence beside its reason code."""

from __future__ import annotations

from vsrpp.errors import NotFound, NotLive, ProofFailed, Reason, VsrppError

# ---- the command line
USAGE = Reason("refused.usage", "{message} See: {see}")
"""Any invalid command line; `message` is a complete sentence."""
NO_COMMAND = "unknown command {name}{hint}"
NO_OPTION = "vsrpp {command} has no option {option}{hint}"
TOO_MANY = "{word} is one argument too many."
INTERRUPTED = Reason("failed.interrupted", "interrupted.", VsrppError)
OUTPUT_LOST = Reason(
    "failed.output", "standard output cannot be written: {why}. What was printed is incomplete.", VsrppError
)
BUG = Reason("failed.bug", "{report}", VsrppError)

# ---- commands to a run
PROBATION_MISSING = Reason("refused.probation_missing", "--revert-if needs --probation STEPS.")
DRY_RUN_SENDS_NOTHING = Reason("refused.dry_run", "--dry-run sends nothing to the run: omit {options}.")
OVER = Reason("not_live.over", "run {run} is {state}: an edit would not be applied.", NotLive)

# ---- files and runs
NOTHING_AT = Reason("not_found.path", "no data at {path}: no such file or folder.", NotFound)
NO_FOLDER_FOR = Reason("failed.write.folder", "{path} cannot be written: no such folder: {folder}.", VsrppError)
EXISTS = Reason("refused.exists", "{path} already exists: give another file, or replace it with --overwrite.")
NOT_EMPTY = Reason("refused.not_empty", "{path} is not empty: give a new folder.")
CANNOT_WRITE = Reason("failed.write", "{path} cannot be written: {why}.", VsrppError)

# ---- single commands
COMPARE_ONE = Reason("refused.compare", "compare needs two or more runs, each once.")
COMPARE_TWICE = Reason("refused.compare.twice", "{run} is given twice: give each run once.")
DATA_USAGE = Reason("refused.usage.data", "expected vsrpp data PATH, or vsrpp data pack PATH OUT.")
PACK_READS_ALL = Reason(
    "refused.usage.pack_reads_all", "--read-all has no effect on data pack, which reads every frame anyway; remove it."
)
DATA_UNREADABLE = Reason(
    "refused.data.unreadable",
    "{path}: {count} of its files cannot be read ({readable} frames can); repair or remove them.",
)
OVERWRITE_WITHOUT_SHEET = Reason("refused.usage.overwrite", "--overwrite requires --sheet FILE.")
SHEET_IN_DATA = Reason(
    "refused.usage.sheet_in_data",
    "--sheet {path} refused: it lies in the data ({folder}), where it would be found as a picture; give another folder.",
)
PACK_WITHOUT_SHEET = Reason("refused.usage.pack", "data pack writes no contact sheet: omit --sheet and --overwrite.")
PACK_CONFIG = Reason(
    "refused.pack", "{path} refused: a packed copy has one source; pack the sources of a mix one by one."
)
EVALUATE_RANGE = Reason("refused.range.frames", "--start must be at least 0 and --count at least 1.")
EVALUATE_SCALE = Reason("refused.scale", "--scale {scale} refused: this network upscales by {network}.")
EVALUATE_NO_EFFECT = Reason("refused.usage.evaluate", "{option} refused: {why}.")
EVALUATE_SCALES = Reason(
    "refused.scale.differ", "--against refused: A upscales by {scale}, B by {against}; they cannot be compared."
)
GATE_FAILED = Reason("proof_failed.gate", "{why}.", ProofFailed)
GPUS = Reason("refused.range.gpus", "--gpus {gpus} refused: must be at least 1.")
FRAME_RATE = Reason(
    "refused.range.fps", "--fps {fps} refused: must be above 0 and at most 1000, such as 25, 29.97 or 30000/1001."
)
NO_CUDA = Reason(
    "refused.device", "--device cuda refused: torch finds no CUDA device here. Omit it, or use --device cpu."
)
STRICT_KEEPS_GOING = Reason(
    "refused.usage.strict", "--keep-going refused: --strict refuses an input that is cut off. Omit one of them."
)
STOPPED_BY_SIGNAL = Reason("failed.interrupted.signal", "stopped by {signal}: continue with --resume.", VsrppError)
BOUNDS = Reason("refused.range.bounds", "{why}.")
HISTORY_RANGE = Reason("refused.range.history", "--after must be at least 0 and --limit at least 1.")
VERIFY_MISSING = Reason("refused.verify_missing", "{option} belongs to --verify: give both.")
BROKEN_RECORD = Reason("proof_failed.record", "the record of {run} fails verification: {why}.", ProofFailed)
SYNC_LIVE = Reason("refused.live", "run {run} is training and uploads its record itself.")
NOT_DELIVERED = Reason("failed.delivery", "{left} could not be uploaded: {why}.", VsrppError)
NO_PANEL = Reason("refused.no_panel", "the web panel is not installed ({folder} is missing).")
PANEL_ONE_OF = Reason(
    "refused.panel_one_of", "--links, --add-user and --hash-auth start no panel: give one of them, and no RUN."
)
ADD_USER_WITHOUT_FILE = Reason("refused.add_user", "--add-user needs the file: vsrpp panel --auth FILE --add-user NAME")
ROLE_WITHOUT_USER = Reason(
    "refused.usage.role", "--role is for --add-user, and --auth has no effect on --links and --hash-auth."
)
PASSWORDS_DIFFER = Reason("refused.passwords", "the two passwords differ. Nothing was changed.")
NO_PANEL_RUNS = Reason(
    "not_found.panel", "no panel of this account runs on this host: start one with vsrpp panel.", NotFound
)
