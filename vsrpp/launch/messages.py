"""Why a training or a replay is not started, or has failed: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, ProofFailed, Reason, Remark, VsrppError

# Options that exclude each other

CHECK_AND_RESUME = Reason(
    "refused.launch.check_and_resume",
    "--check tries a new run, --resume continues an existing one: give only one of them.",
)
RESUME_AND_FROM = Reason(
    "refused.launch.resume_and_from", "--resume continues a run, --from starts a new one: give only one of them."
)
CHANGED_CODE_WITHOUT_RESUME = Reason(
    "refused.launch.changed_code_without_resume",
    "--allow-changed-code requires --resume: a new run uses its plug-ins as they are.",
)
JSON_WITHOUT_CHECK = Reason(
    "refused.launch.json_without_check", "--json requires --check; for a run that trains: vsrpp status RUN --json"
)
CHECK_AND_TUI = Reason(
    "refused.launch.check_and_tui", "--check starts no run that --tui could show: give only one of them."
)
CHECK_AND_EXPERIMENT = Reason(
    "refused.launch.check_and_experiment", "--check uploads nothing to an --experiment: give only one of them."
)
TRUST_WITHOUT_RECORD = Reason(
    "refused.launch.trust_without_record",
    "--trust-code requires --from or --resume: it is for recorded plug-ins; those that you name yourself may run.",
)
FIXED_ON_RESUME = Reason(
    "refused.launch.fixed_on_resume",
    "{options} cannot change a run that is resumed: only live parameters and limits can (--set). "
    "Start a new run from it: vsrpp train --from {run}",
)
PRETRAINED_AND_FROM = Reason(
    "refused.launch.pretrained_and_from",
    "{key} = {value} refused: with --from the weights come from the checkpoint. Omit one of them.",
)
TUI_WITHOUT_TERMINAL = Reason(
    "refused.launch.tui_without_terminal",
    "--tui needs a terminal; without one, omit it: progress is printed line by line.",
)
CHECK_WITH_RANKS = Reason(
    "refused.launch.check_with_ranks", "--check tries the run in one process: omit --devices and --nodes."
)
TUI_WITH_RANKS = Reason(
    "refused.launch.tui_with_ranks",
    "--tui needs a run of one process; for several, open a second terminal: vsrpp top latest",
)
ALREADY_TRAINING = Reason(
    "refused.launch.already_training", "run {run_id} is already training; only one process may train it."
)
WOULD_FAIL = Reason("refused.launch.would_fail", "this run would fail: {problem}{more}")

# Checkpoints to start from

NEITHER_HERE_NOR_THERE = Reason("not_found.launch.run", "{here} {there}", NotFound)

# Processes and GPUs

STARTED_AS_RANK = Reason(
    "refused.launch.started_as_rank",
    "{option} starts processes, but this is already process {rank} of {size} that {by} started: "
    "omit {options}, and let {by} start one process per GPU.",
)
DEVICES_NOT_A_NUMBER = Reason(
    "refused.launch.devices",
    "--devices {devices} refused: must be a number of processes on this host, at least 1, or auto for one per GPU.",
)
MORE_DEVICES_THAN_GPUS = Reason(
    "refused.launch.more_devices_than_gpus",
    "--devices {devices} refused: {gpus} visible here, one for each process: --devices {fits} (or device=cpu)",
)
NO_CUDA_DEVICE = Reason(
    "refused.launch.no_cuda_device",
    "device = cuda refused: there is no CUDA device here. Use device=cpu, or device=auto.",
)
NEGATIVE_RESTARTS = Reason(
    "refused.launch.negative_restarts",
    "--max-restarts {restarts} refused: must be 0 or more; with 0 the run ends when a process dies.",
)
RESTARTS_OF_ONE = Reason(
    "refused.launch.restarts_of_one",
    "--max-restarts is for several processes: continue a single one that died with --resume.",
)
BATCH_NOT_DIVISIBLE = Reason(
    "refused.launch.batch_not_divisible",
    "batch_size = {batch_size} refused: it is the total batch of all {processes} processes ({plan}) and cannot be "
    "divided equally among them. Use {fits}.",
)

# Hosts

NO_HOST = Reason("refused.launch.no_host", "--nodes {nodes} refused: must be at least one host.")
RENDEZVOUS_OF_ONE = Reason(
    "refused.launch.rendezvous_of_one",
    "--rendezvous is the meeting point of several hosts: give --nodes too, or omit it.",
)
RENDEZVOUS_MISSING = Reason(
    "refused.launch.rendezvous_missing",
    "--nodes {nodes} needs --rendezvous HOST:PORT, the same on every host: the host with rank 0, and a free port on it.",
)
RENDEZVOUS_MALFORMED = Reason(
    "refused.launch.rendezvous_malformed",
    "--rendezvous {address} refused: must be HOST:PORT, with a port from 1 to 65535.",
)
RENDEZVOUS_UNKNOWN = Reason(
    "refused.launch.rendezvous_unknown", "--rendezvous {host} refused: this host name cannot be resolved."
)
PORT_TAKEN = Reason(
    "refused.launch.port_taken", "--rendezvous {host}:{port} refused: port {port} is not available here ({cause})."
)
NODE_RANK_OF_ONE = Reason(
    "refused.launch.node_rank_of_one",
    "--node-rank {node_rank} refused: there is only one host, number 0. For several hosts: --nodes",
)
NODE_RANK_RANGE = Reason(
    "refused.launch.node_rank_range", "--node-rank {node_rank} refused: with {nodes} hosts, ranks are 0 to {last}."
)
NODE_RANK_MISSING = Reason(
    "refused.launch.node_rank_missing",
    "--node-rank is missing: with {nodes} hosts, each host except {host} (0) must be given its number, 1 to {last}.",
)
NO_SLURM_HOSTS = Reason(
    "refused.launch.no_slurm_hosts",
    "Slurm names no hosts (SLURM_JOB_NODELIST): set MASTER_ADDR to the first host's name.",
)
UNREADABLE_HOSTS = Reason(
    "refused.launch.unreadable_hosts",
    "the host list {nodelist} cannot be parsed: set MASTER_ADDR to the first host's name.",
)
RANK_RANGE = Reason("refused.launch.rank_range", "rank {rank} of {size} refused: ranks are 0 to {last}.")
NOT_AN_INTEGER = Reason(
    "refused.launch.not_an_integer", "{name} = {value} refused: this environment variable must be an integer."
)

# Replay

REPLAY_MORE_DEVICES_THAN_GPUS = Reason(
    "refused.launch.replay_more_devices_than_gpus",
    "--devices {devices} refused: {gpus} visible here, and each process needs one.",
)
REPLAY_TOO_FEW_GPUS = Reason(
    "refused.launch.replay_too_few_gpus",
    "run {run_id} was trained by {processes} with a GPU each, and {gpus} visible here. Replay it on a host with "
    "{needed} GPUs or, not bit-identically, {where} with --devices {fewer}.",
)
REPLAY_BATCH_NOT_DIVISIBLE = Reason(
    "refused.launch.replay_batch_not_divisible",
    "--devices {devices} refused: run {run_id} was recorded with batch_size = {batch_size}, which cannot be divided "
    "equally among {processes}.",
)
REPLAY_DIFFERS = Reason(
    "proof_failed.launch.replay_differs",
    "the replay of {run_id} parted from its record at step {step}: {what}.{likely}",
    ProofFailed,
)

# Processes that failed

RANK_FAILED = Reason("failed.launch.rank", "{what}{where}.{more}", VsrppError)
HOSTS_DID_NOT_MEET = Reason(
    "failed.launch.hosts_did_not_meet",
    "the {nodes} hosts did not meet at {host}:{port} within {timeout_s} s ({cause}). "
    "Was the command started on every host with the same --nodes, and can they all reach that port?{more}",
    VsrppError,
)
RANKS_NOT_STARTED = Reason(
    "failed.launch.ranks_not_started", "torchrun could not start the ranks: {cause}.{more}", VsrppError
)
TORCHRUN_SILENT = Reason(
    "failed.launch.torchrun_silent",
    "torchrun exited with code {exit_code_of_torchrun} without reporting an error.{more}",
    VsrppError,
)
RANK_0_LOST = Reason("failed.launch.rank_0_lost", "rank {rank} lost rank 0 before the first step.", VsrppError)

# ---- starting from Python
TRAIN_ENDED = Reason("failed.train", "vsrpp train exited with code {code} before the run started.", VsrppError)

# ---- beside the training
SIDECAR_ENDED = Remark("because.sidecar_ended", "exited with code {code}")

# While a run waits for its storage

WAITS = Remark(
    "launch.waits",
    "waiting at step {step}: {why}. The run continues as soon as it can write; to end it: Ctrl-C or SIGTERM.",
)
WAIT_OVER = Remark("launch.wait_over", "the run continues at step {step} after a wait of {span} ({why})")
WAIT_GIVEN_UP = Remark("launch.wait_given_up", "the run ended at step {step} after a wait of {span} ({why})")
