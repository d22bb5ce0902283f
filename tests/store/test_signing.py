"""Signed records: what a forger with write access can and cannot do, and which keys are refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat

from tests.support.keys import UNENCRYPTED, write_key
from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from vsrpp import control
from vsrpp.store import Event, RunReader, RunWriter, messages, signing
from vsrpp.store.chain import genesis, link
from vsrpp.store.events import canonical
from vsrpp.store.signing import Signer, Verifier, read_signer, read_verifier, short


class Signed:
    """A signed run that has ended, and the key that a person trusts."""

    def __init__(self, folder: Path) -> None:
        self.verifier: Verifier = read_verifier(write_key(folder / "key.pem"))
        self.made: MadeRun = made_run(folder / "runs", signer=read_signer(folder / "key.pem"))
        self.paths = self.made.paths

    def sql(self, statement: str) -> None:
        with sqlite3.connect(self.paths.run_db) as db:
            db.execute(statement)

    def forge(self, change: Callable[[Event], dict[str, object]], signer: Signer | None = None) -> None:
        """Rewrite every event and manifest, as whoever owns the folder can: hashes, anchors and head fit again."""
        with RunReader(self.paths.run_db) as reader:
            events, run_id = list(reader.events()), reader.run_id
        previous, hashes = genesis(run_id), {}
        with sqlite3.connect(self.paths.run_db) as db:
            for event in events:
                fields = {**event.to_json(), **change(event)}
                previous = link(previous, Event(**fields))
                hashes[event.seq] = previous
                db.execute(
                    "UPDATE events SET author = ?, data = ?, hash = ? WHERE seq = ?",
                    (fields["author"], canonical(fields["data"]), previous, event.seq),
                )
                if signer is not None:
                    signature = signer.of_event(run_id, event.seq, previous)
                    db.execute("UPDATE signatures SET signature = ? WHERE seq = ?", (signature, event.seq))
        for step in control.checkpoint_steps(self.paths):
            file = self.paths.checkpoint(step).manifest
            manifest = json.loads(file.read_text())
            manifest["chain"]["hash"] = hashes[manifest["chain"]["seq"]]
            file.write_text(json.dumps(manifest if signer is None else signer.signed(manifest)))

    def fault(self) -> str:
        """What the key finds; the chain itself must hold."""
        assert control.verify(self.paths).ok
        return control.verify_signatures(self.paths, self.verifier).why

    @property
    def not_by_key(self) -> str:
        return f"key {short(self.verifier.public_key)} did not sign"


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_a_signed_run_is_signed_from_its_first_event_to_its_last_manifest(signed: Signed) -> None:
    check = control.verify_signatures(signed.paths, signed.verifier)
    with RunReader(signed.paths.run_db) as reader:
        assert (check.ok, check.events, check.head) == (True, *reader.head())
        assert sorted(reader.signatures()) == list(range(1, check.events + 1))
        assert sorted(reader.signatures(to_seq=2)) == [1, 2]


def test_a_record_forged_as_a_whole_passes_without_the_key_and_not_with_it(signed: Signed) -> None:
    signed.forge(lambda event: {"author": "mallory"} if event.author else {})
    first = next(event for event in control.history(signed.paths) if event.author)
    assert signed.fault() == f"{signed.not_by_key} event {first.seq} (config_applied)"


def test_a_record_signed_with_the_forgers_own_key_is_told_apart(signed: Signed, tmp_path: Path) -> None:
    write_key(tmp_path / "forger.pem")
    signed.forge(lambda _: {}, read_signer(tmp_path / "forger.pem"))
    assert signed.fault() == f"{signed.not_by_key} event 1 (started)"


def test_a_signature_of_another_run_or_event_does_not_count(signed: Signed, tmp_path: Path) -> None:
    signed.sql("UPDATE signatures SET signature = (SELECT signature FROM signatures WHERE seq = 1) WHERE seq = 2")
    assert signed.fault().startswith(f"{signed.not_by_key} event 2 ")
    signature = read_signer(tmp_path / "key.pem").of_event("run", 2, "00ff")
    assert signed.verifier.holds_event(signature, "run", 2, "00ff")
    for other in (("run2", 2, "00ff"), ("run", 3, "00ff"), ("run", 2, "00fe")):
        assert not signed.verifier.holds_event(signature, *other)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM signatures WHERE seq = 3", "event 3 (validated) is not signed"),
        ("DROP TABLE signatures", "event 1 (started) is not signed"),
        ("UPDATE signatures SET signature = 'text' WHERE seq = 1", "did not sign event 1 (started)"),
        ("UPDATE signatures SET signature = x'00' WHERE seq = 1", "did not sign event 1 (started)"),
    ],
)
def test_a_missing_or_odd_signature_is_named(signed: Signed, statement: str, why: str) -> None:
    signed.sql(statement)
    assert signed.fault().endswith(why)


def test_a_changed_manifest_is_named(signed: Signed) -> None:
    file = signed.paths.checkpoint(200).manifest
    manifest = json.loads(file.read_text())
    for changed, why in (
        (
            {**manifest, "files": {**manifest["files"], "model.safetensors": {"sha256": "0" * 64, "bytes": 1}}},
            "did not sign",
        ),
        ({key: value for key, value in manifest.items() if key != signing.SIGNATURE}, "is not signed"),
        ({**manifest, signing.SIGNATURE: 7}, "did not sign"),
    ):
        file.write_text(json.dumps(changed))
        assert why in signed.fault()
        assert "the manifest of checkpoint 200" in signed.fault()


def test_a_manifest_may_hold_what_is_no_number(tmp_path: Path) -> None:
    verifier, signer = read_verifier(write_key(tmp_path / "key.pem")), read_signer(tmp_path / "key.pem")
    signed = signer.signed({"metrics": {"loss/total": float("nan"), "lr": 1e-4}})
    assert verifier.holds_manifest(json.loads(json.dumps(signed)))


def test_an_unsigned_run_has_no_table_of_signatures(tmp_path: Path) -> None:
    run = made_run(tmp_path)
    with RunReader(run.paths.run_db) as reader:
        assert reader.signatures() == {}
    with sqlite3.connect(run.paths.run_db) as db:
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'signatures'").fetchone() is None


# ---- keys
def test_unusable_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with raises(messages.NO_KEY_FILE, path=path):
        read_signer(path)
    public = write_key(path)
    assert read_signer(path).public_key == read_verifier(public).public_key
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with raises(messages.KEY_OPEN, path=path, mode=f"{mode:03o}"):
            read_signer(path)
    with raises(messages.NO_PUBLIC_KEY, path=path):
        read_verifier(path)
    write_key(path, passphrase="secret")
    with raises(messages.KEY_ENCRYPTED, path=path):
        read_signer(path)
    rsa = generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, UNENCRYPTED)
    for content in (rsa, b"", b"no key", public.read_bytes()):
        path.write_bytes(content)
        with raises(messages.NO_PRIVATE_KEY, path=path):
            read_signer(path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with raises(messages.KEY_UNREADABLE, path=tmp_path / "fifo", why="it is not a file"):
        read_signer(tmp_path / "fifo")


def test_only_the_same_key_continues_a_signed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, moved, other = tmp_path / "key.pem", tmp_path / "moved.pem", tmp_path / "other.pem"
    key = read_verifier(write_key(path)).public_key
    write_key(other)
    run_config = {signing.KEY: str(path)}
    monkeypatch.setenv(signing.ENVIRONMENT, str(other))
    again = signing.signer_again("run", run_config, key)
    assert again is not None, "the recorded path goes before the environment"
    assert again.public_key == key
    assert signing.signer_again("run", run_config, None) is None
    path.rename(moved)
    with raises(messages.OTHER_KEY, run="run", path=other):
        signing.signer_again("run", run_config, key)
    monkeypatch.setenv(signing.ENVIRONMENT, str(moved))
    found = signing.signer_again("run", run_config, key)
    assert found is not None
    assert found.public_key == key
    monkeypatch.delenv(signing.ENVIRONMENT)
    with raises(messages.SIGNED_RUN, run="run", path=path):
        signing.signer_again("run", run_config, key)


def test_a_new_run_takes_the_key_of_its_config_or_else_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_key(tmp_path / "key.pem")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(signing.ENVIRONMENT, "nothing.pem")
    for given, env, taken in (("key.pem", "nothing.pem", "key.pem"), (None, "key.pem", "key.pem"), (None, "", None)):
        monkeypatch.setenv(signing.ENVIRONMENT, env)
        run_config = {signing.KEY: given}
        signing.take_up(run_config)
        assert run_config[signing.KEY] == (None if taken is None else str(tmp_path / taken))
    monkeypatch.setenv(signing.ENVIRONMENT, "nothing.pem")
    with raises(messages.NO_KEY_FILE):
        signing.take_up({signing.KEY: None})


def test_nothing_of_cryptography_is_imported_without_a_key(tmp_path: Path) -> None:
    run = made_run(tmp_path / "runs")
    code = (
        "import sys; from vsrpp.cli import main;"
        f"code = main(['history', {str(run.paths.root)!r}, '--verify', '--local']);"
        "sys.exit(code or sum(name.split('.')[0] in ('cryptography', 'torch', 'mlflow') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_writer_appends_unsigned_without_a_signer_and_that_is_found(signed: Signed) -> None:
    writer = RunWriter(signed.paths.run_db)
    event = writer.append("restored", step=200, branch=0, revision=2)
    writer.close()
    assert signed.fault() == f"event {event.seq} (restored) is not signed"
