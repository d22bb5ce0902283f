"""`vsrpp train --devices 2`: real trainings of two processes over gloo, started, steered, killed and continued."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.processes import ROOT, TrainingProcess, environment, train_command, vsrpp
from tests.support.runs import TINY
from tests.support.waiting import free_port, wait_until
from vsrpp import control
from vsrpp.paths import RunPaths

pytestmark = pytest.mark.slow
LONG = {"batch_size": 2, "max_steps": 1_000_000, "validate_every": 50_000, "checkpoint_every": 100_000}


def two(clip: Path, *words: str, **sets: Any) -> list[str]:
    return [*train_command(clip, **{**LONG, **sets}), "--devices", "2", *words]


def ranks_folder(run: TrainingProcess) -> Path:
    found = wait_until(lambda: re.search(r"is kept in (\S+)", run.output), what="the folder of the ranks")
    return Path(found[1])


def kill_rank(run: TrainingProcess, rank: int, attempt: int = 0) -> None:
    os.kill(int((ranks_folder(run) / f"attempt_{attempt}" / f"rank_{rank}.pid").read_text()), signal.SIGKILL)


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes started in `folder` that are still alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def at_step(run_dir: Path, step: int) -> None:
    wait_until(lambda: control.status(RunPaths(run_dir))["step"] >= step, 240, f"step {step}")


def test_two_processes_are_one_run_that_is_edited_stopped_and_continued(tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, two(tiny_clip)) as run:
        run_dir = run.run_dir()
        at_step(run_dir, 20)
        done = vsrpp(tmp_path, "set", "latest", "max_lr=2e-4")
        assert done.returncode == 0, done.stderr + run.output
        run.process.send_signal(signal.SIGTERM)
        assert run.wait() == 75, run.output
        assert "⚙️  Config Update: max_lr 1.00e-03 → 2.00e-04" in run.output
        assert "Traceback" not in run.output
        assert not ranks_folder(run).exists()
    wait_until(lambda: not processes_of(tmp_path), 60, "the end of every process")
    stopped = control.status(RunPaths(run_dir))
    assert stopped["state"] == "stopped"
    with TrainingProcess(
        tmp_path, ["train", "--resume", run_dir.name, "--no-panel", "--no-tensorboard", "--devices", "2"]
    ) as again:
        at_step(run_dir, stopped["step"] + 20)
        os.kill(again.process.pid, signal.SIGINT)
        assert again.wait() == 0, again.output
    assert [folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()] == [run_dir.name]
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (only,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert only.info.run_id == run_dir.name


def test_a_killed_rank_ends_the_run_in_one_line_that_says_how_to_go_on(tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, two(tiny_clip)) as run:
        run_dir = run.run_dir()
        at_step(run_dir, 20)
        kill_rank(run, 1)
        assert run.wait() == 1, run.output
        (line,) = [line for line in run.output.splitlines() if line.startswith("vsrpp: ")]
        assert "rank 1 was killed by SIGKILL" in line
        assert f"vsrpp train --resume {run_dir.name} --devices 2" in line
        assert "Traceback" not in run.output
    wait_until(lambda: not processes_of(tmp_path), 120, "the end of every process")
    assert control.status(RunPaths(run_dir))["state"] in {"failed", "dead"}


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_is_started_again_and_the_run_resumed(rank: int, tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, two(tiny_clip, "--max-restarts", "1", checkpoint_every=20)) as run:
        run_dir = run.run_dir()
        at_step(run_dir, 30)
        kill_rank(run, rank)

        def restored() -> list[Any]:
            return [event for event in control.history(RunPaths(run_dir)) if event.type == "restored"]

        (event,) = wait_until(restored, 240, "the resume")
        assert event.data["from_step"] >= 20
        at_step(run_dir, event.step + 40)
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 0, run.output
        assert f"rank {rank} was killed by SIGKILL" in run.output
        assert "All ranks are restarted (1 of 1)" in run.output
    assert [folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()] == [run_dir.name]
    assert vsrpp(tmp_path, "history", "latest", "--verify", "--local").returncode == 0


def test_what_slurms_srun_starts_is_one_run(tmp_path: Path, tiny_clip: Path) -> None:
    step = {
        "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "localhost", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    words = [sys.executable, "-m", "vsrpp", *train_command(tiny_clip, batch_size=2, max_steps=12)]
    tasks = [
        subprocess.Popen(
            words, cwd=tmp_path, env={**environment(tmp_path), **step, "SLURM_PROCID": rank, "SLURM_LOCALID": rank},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    try:
        first, second = (task.communicate(timeout=300)[0] for task in tasks)
    finally:
        for task in tasks:
            task.kill()
    assert [task.returncode for task in tasks] == [0, 0], first + second
    assert "finished at step 12 of 12" in first
    assert "step" not in second
    assert len([folder for folder in (tmp_path / "runs").iterdir() if folder.is_dir()]) == 1


def test_a_plain_torchrun_that_starts_its_ranks_again_resumes_the_run(tmp_path: Path, tiny_clip: Path) -> None:
    torchrun = "import sys; from torch.distributed.run import main; main(sys.argv[1:])"
    words = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "1", "-m", "vsrpp"]
    sets = {**LONG, "checkpoint_every": 20}
    with TrainingProcess(tmp_path, [*words, *train_command(tiny_clip, **sets)], code=torchrun) as run:
        run_dir = run.run_dir()
        at_step(run_dir, 30)
        ranks = {p.environ()["RANK"]: p for p in psutil.Process(run.process.pid).children()}
        ranks["1"].kill()
        (event,) = wait_until(
            lambda: [e for e in control.history(RunPaths(run_dir)) if e.type == "restored"], 240, "the resume"
        )
        at_step(run_dir, event.step + 20)
        assert vsrpp(tmp_path, "stop", "latest").returncode == 0
        assert run.wait() == 0, run.output
    assert [folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()] == [run_dir.name]


def test_of_two_hosts_that_mlflow_started_one_keeps_its_mlflow_run(
    tmp_path: Path, tiny_clip: Path, empty_store: Path
) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_store, tmp_path / "mlflow.db")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("two hosts")
    made = [client.create_run(experiment).info.run_id for _ in range(2)]
    parameters = {
        "devices": "1", "nodes": "2", "rendezvous": f"127.0.0.1:{free_port()}", "data": str(tiny_clip),
        "set": " ".join(f"{key}={value}" for key, value in {**TINY, "batch_size": 2}.items()),
        "panel": "off", "tensorboard": "off", "run_dir": str(tmp_path / "runs"),
    }  # fmt: skip
    words = [word for name, value in parameters.items() for word in (f"--{name}", value)]
    hosts = [
        subprocess.Popen(
            [sys.executable, ROOT / "mlproject.py", "main", *words, "--node_rank", str(rank)], cwd=tmp_path,
            env={**environment(tmp_path), "MLFLOW_RUN_ID": made[rank]}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [host.communicate(timeout=300)[0] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], said
    first, second = (client.get_run(run_id) for run_id in made)
    assert (first.info.status, first.data.tags["vsrpp.kind"]) == ("FINISHED", "train")
    assert (second.data.tags["vsrpp.kind"], second.data.metrics) == ("tool", {})
    assert [folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()] == [made[0]]


STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$TRACE"
exit "${STUB_STATUS:-0}"
"""


def test_the_slurm_script_requeues_on_75_and_resumes_what_the_job_began(tmp_path: Path) -> None:
    for name in ("srun", "scontrol"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "TRACE": str(tmp_path / "trace"), "SLURM_JOB_ID": "4711",
        "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_CPUS_PER_TASK": "8",
    }  # fmt: skip

    def batch(status: str) -> tuple[int, list[str]]:
        (tmp_path / "trace").unlink(missing_ok=True)
        done = subprocess.run(
            [ROOT / "examples" / "slurm_train.sh", "--preset", "base"], env={**env, "STUB_STATUS": status}, timeout=60
        )
        return done.returncode, (tmp_path / "trace").read_text().splitlines()

    status, (srun,) = batch("0")
    assert (status, srun.endswith("--preset base")) == (0, True)
    (tmp_path / "runs" / "4711" / "abcd").mkdir()
    (tmp_path / "runs" / "4711" / "abcd" / "run.db").touch()
    status, (srun, scontrol) = batch("75")
    assert (status, srun.endswith("--resume latest"), scontrol) == (75, True, "scontrol requeue 4711")
