#!/bin/bash
# One run on several hosts under Slurm: one task per GPU, resumed when the job is preempted or reaches its time limit.
#
#   sbatch examples/slurm_train.sh --preset base --data /data/REDS --set batch_size=16
#
# All arguments are passed to `vsrpp train`. Runs are stored in $RUNS/<job ID>, on a file system shared by all hosts.
# srun gives each task its rank; rank 0, on the first host, records and uploads. See docs/scaling.md.

#SBATCH --job-name=vsrpp
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@180
# Three minutes before the end, every task gets SIGTERM: rank 0 writes a checkpoint for all, and the run exits with 75,
# "start again".

set -u

runs="${RUNS:-$SLURM_SUBMIT_DIR/runs}/$SLURM_JOB_ID"
mkdir -p "$runs"

if compgen -G "$runs/*/run.db" > /dev/null; then # requeued: the job has already started a run
    words=(--resume latest)
else
    words=("$@")
fi

srun --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    python -m vsrpp train --run-dir "$runs" --no-panel --no-tensorboard "${words[@]}"
status=$?

if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
