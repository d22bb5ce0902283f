"""Faults of trust: what another account, a hostile string or a forged record can do to a run."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
import subprocess
import urllib.error
import urllib.request
from contextlib import closing

from tests.support.faulting import (
    Fault,
    Lab,
    NotTried,
    Row,
    at_step,
    last_line,
    state_of,
)
from tests.support.faults_files import finished
from tests.support.panel_browser import PanelProcess
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader, RunWriter
from vsrpp.store.chain import genesis, link

HOSTILE = "eve\x1b]0;owned\x07\x1b]52;c;aGk=\x07\x1b[2J\n✅ the chain holds: 99 events\u202egnp.exe"
SECRET = "S3cretWord"


def other_account(lab: Lab, row: Row) -> None:
    """Another account of the host, without a token, asks the panel to stop a live run."""
    with lab.train(max_steps=100_000) as run:
        paths = run.until(10)
        with PanelProcess(lab.folder, token=True) as panel:
            address = panel.url.split("?")[0].rstrip("/")
            body = json.dumps({"do": "stop", "run": paths.run_id}).encode()
            request = urllib.request.Request(
                f"{address}/panel/do", data=body, headers={"Content-Type": "application/json"}, method="POST"
            )
            row.code = _status(request)
            row.said = f"HTTP {row.code}"
            row.check(row.code in (401, 403), f"the panel answers {row.code}")
            page = _status(urllib.request.Request(f"{address}/"))
            row.check(page in (401, 403, 200), f"the first page answers {page}")
        before = at_step(paths)
        row.check(run.process.poll() is None, "the run was stopped")
        row.state = state_of(paths)
        del before
        row.check(lab.vsrpp("stop", str(paths.root)).returncode == 0, "stop is not answered")
        run.wait(60)
        lab.replay(row, paths)


def large_bodies(lab: Lab, row: Row) -> None:
    """200 MB to /login and /panel/do: refused before they are read."""
    import psutil

    with PanelProcess(lab.folder, token=True) as panel:
        address = panel.url.split("?")[0].rstrip("/")
        process = psutil.Process(panel.process.pid)
        before = process.memory_info().rss
        for path in ("login", "panel/do"):
            code = _post_large(f"{address}/{path}", 200 << 20)
            row.check(code in (401, 403, 404, 405, 413), f"/{path} answers {code}")
            row.code = code
        grown = (process.memory_info().rss - before) / 2**20
        row.said = f"HTTP {row.code}; the panel grew by {grown:.0f} MiB"
        row.check(grown < 50, f"the panel grew by {grown:.0f} MiB")


def _status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _post_large(address: str, size: int) -> int:
    """The status that a body of `size` bytes gets, sent until the server has had enough."""
    import http.client

    host = address.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.putrequest("POST", "/" + address.split("/", 3)[3])
    connection.putheader("Content-Type", "application/x-www-form-urlencoded")
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    try:
        for _ in range(size >> 20):
            connection.send(b"x" * (1 << 20))
    except OSError:
        pass  # refused before it was read
    try:
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 413
    finally:
        connection.close()


def hostile_words(lab: Lab, row: Row) -> None:
    """Escapes, a forged line and a bidi override in an author and a reason, written past every check."""
    paths = finished(lab)
    writer = RunWriter(paths.run_db)
    writer.append(
        "config_applied", step=5, branch=0, revision=1, origin="cli", author=HOSTILE, reason=HOSTILE,
        data={"changes": [{"key": "max_lr", "old": 1e-3, "new": 2e-4}]},
    )  # fmt: skip
    writer.close()
    for words in (["history"], ["config"], ["status"], ["compare", str(paths.root)]):
        done = lab.vsrpp(*words, str(paths.root))
        text = done.stdout + done.stderr
        raw = re.findall(r"\x1b|\u202e|\x07|^✅ the chain holds: 99", text, re.MULTILINE)
        row.check(not raw, f"{words[0]} prints {raw[:3]!r}")
    row.said = "history, config, status, compare print no control character and no forged line"
    row.code, row.state = 0, state_of(paths)


def secrets_in_addresses(lab: Lab, row: Row) -> None:
    """A password, a token and a webhook's key in every address: none is in any output or file but `.alerts_url`."""
    words = [
        "--deliver-to", f"http://bob:{SECRET}@127.0.0.1:9/x?token={SECRET}",
        "--set", f"alerts_url=http://127.0.0.1:9/hooks/{SECRET}",
    ]  # fmt: skip
    with lab.train(*words) as run:
        paths = run.until(20)
        said = [lab.vsrpp(command, str(paths.root)) for command in ("status", "config", "history", "sync")]
        said.append(
            lab.vsrpp("train", "--from", f"models:/x?{SECRET}@y", "--deliver-to", f"http://a:{SECRET}@127.0.0.1:9")
        )
        run.wait(120)
        found = [done.args[3] for done in said if SECRET in done.stdout + done.stderr]
        row.check(not found, f"the output of {found} holds it")
        row.check(SECRET not in run.output, "the training's output holds it")
    files = [
        file.relative_to(lab.folder).as_posix() for file in lab.folder.rglob("*")
        if file.is_file() and file.name != ".alerts_url" and SECRET.encode() in file.read_bytes()
    ]  # fmt: skip
    row.check(not files, f"in {files[:4]}")
    row.said, row.code, row.state = "in no output and no file but .alerts_url", run.process.returncode, state_of(paths)


def lock_a_link(lab: Lab, row: Row) -> None:
    paths = finished(lab)
    precious = lab.folder / "precious"
    precious.write_text("precious")
    for name in (".lock", ".deliver.lock"):
        (paths.root / name).unlink(missing_ok=True)
        (paths.root / name).symlink_to(precious)
    done = lab.vsrpp("train", "--resume", str(paths.root), "--set", "max_steps=130", "--no-panel", "--no-tensorboard")
    lab.vsrpp("sync", str(paths.root))
    row.said, row.code = last_line(done.stderr or done.stdout), done.returncode
    row.check(precious.read_text() == "precious", "the file behind the link was emptied")


def folder_modes(lab: Lab, row: Row) -> None:
    paths = finished(lab)
    made = next((lab.bench.folder / "undisturbed-1" / "runs").glob("*/run.db")).parent
    mode = stat.S_IMODE(made.stat().st_mode)
    row.said = f"mode {mode:o}"
    row.check(mode == 0o700, f"the run folder has mode {mode:o}")
    row.state = state_of(paths)


def forged_record(lab: Lab, row: Row) -> None:
    """All events rewritten and their hashes recomputed, in the manifests too: only a signature tells."""
    key, public = lab.folder / "key.pem", lab.folder / "public.pem"
    if subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], capture_output=True
    ).returncode:
        raise NotTried("openssl cannot make a key")
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)], check=True, capture_output=True
    )
    key.chmod(0o600)
    with lab.train("--set", f"signing_key={key}") as run:
        row.code = run.wait(120)
        row.check(row.code == 0, f"exits with {row.code}: {last_line(run.output)}")
        paths = run.paths
    whole = lab.vsrpp("history", "--verify", "--key", str(public), str(paths.root))
    row.check(whole.returncode == 0, f"the untouched record: {last_line(whole.stderr or whole.stdout)}")
    _forge(paths)
    plain = lab.vsrpp("history", "--verify", str(paths.root))
    told = lab.vsrpp("history", "--verify", "--key", str(public), str(paths.root))
    row.check(plain.returncode in (0, 6), f"plain --verify exits with {plain.returncode}")
    row.check(told.returncode == 6, f"--key exits with {told.returncode}: {last_line(told.stdout)}")
    row.said, row.state, row.chain = last_line(told.stderr or told.stdout), state_of(paths), "forged, told apart"


def _forge(paths: RunPaths) -> None:
    with RunReader(paths.run_db) as reader:
        events = list(reader.events())
    previous, hashes = genesis(paths.run_id), {}
    with closing(sqlite3.connect(paths.run_db)) as db, db:
        for event in events:
            from dataclasses import replace

            forged = replace(event, author="somebody else", hash="")
            previous = link(previous, forged)
            hashes[event.seq] = previous
            db.execute("UPDATE events SET author = ?, hash = ? WHERE seq = ?", ("somebody else", previous, event.seq))
    for file in paths.checkpoints.glob("*/manifest.json"):
        manifest = json.loads(file.read_text())
        manifest["chain"]["hash"] = hashes[manifest["chain"]["seq"]]
        file.write_text(json.dumps(manifest))


def forged_without_manifests(lab: Lab, row: Row) -> None:
    paths = finished(lab)
    kept = {file: file.read_bytes() for file in paths.checkpoints.glob("*/manifest.json")}
    _forge(paths)
    for file, content in kept.items():
        file.write_bytes(content)
    done = lab.vsrpp("history", "--verify", str(paths.root))
    row.said, row.code = last_line(done.stderr or done.stdout), done.returncode
    row.chain = "forged, told apart"
    row.check(done.returncode == 6, f"exits with {done.returncode}")


GROUP = "trust"
FAULTS = [
    Fault("another account asks the panel to stop a run", GROUP, other_account),
    Fault("200 MB sent to the panel", GROUP, large_bodies),
    Fault("terminal escapes in author and reason", GROUP, hostile_words),
    Fault("secrets in addresses", GROUP, secrets_in_addresses),
    Fault("lock files that are links", GROUP, lock_a_link),
    Fault("mode of the run folder", GROUP, folder_modes),
    Fault("record forged, manifests untouched", GROUP, forged_without_manifests),
    Fault("record and manifests forged, signed run", GROUP, forged_record),
]
