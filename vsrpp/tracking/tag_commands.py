"""Steering from MLflow's UI: tags set on a live run become commands, are removed, and are answered in a tag.

`vsrpp.set.<key>` = value is an edit (several set together form one), `vsrpp.do` = `pause`, `rollback 500` … a command.
MLflow keeps no author of a tag: whoever `vsrpp.by` names is recorded as a claim.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from vsrpp import config, control
from vsrpp.control import roles
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.edits import run_config_of
from vsrpp.errors import Refused
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Inbox, Marks, RunReader
from vsrpp.store.events import canonical
from vsrpp.tracking import tag_rights
from vsrpp.tracking.connection import TAG_CHARACTERS, Connection
from vsrpp.tracking.engine import Engine
from vsrpp.tracking.mlflow_rows import MlflowRows

SET, DO, ANSWER = "vsrpp.set.", "vsrpp.do", "vsrpp.last_command"
BARE_SET = "vsrpp.set"
"""A likely typo: the tag name lacks the parameter."""
BY = "vsrpp.by"
"""Names the author of the commands it is found with, and is removed with them. Anyone can write it."""
BY_CHARACTERS = 60
NOT_READ = "tags do not steer this run (mlflow_tags = off)"
POLL_EVERY_S = 2.5
SAY_WAITING_S = 4.0
"""How long a command may go unanswered before the tag says that it is pending; a validation takes a while."""
LOOK_S = 0.25
STOP_S = 5.0
"""How long the end of a run waits for a running poll."""
FACT = "tag_commands"
PLAIN = ("pause", "resume", "validate", "checkpoint", "stop")
KNOWN = f"must be one of {', '.join(PLAIN)}, rollback STEP, rollback best"


class TagCommands:
    """Moves commands from the run's tags to its inbox, and answers back. Nothing here waits for the trainer.

    Commands are first recorded as a fact with their uids, then put into the inbox, then removed from the run: after a
    crash at any point the same uids are put again, and the inbox ignores them.
    """

    name = "mlflow.tags"

    def __init__(
        self, connection: Connection, rows: MlflowRows, paths: RunPaths, clock: Callable[[], float] = time.time
    ) -> None:
        self._connection, self._rows, self._clock = connection, rows, clock
        self.marks = Marks(paths.delivery_db)
        self._reader, self._inbox = RunReader(paths.run_db), Inbox(paths.inbox_db)
        self._run_id = self._reader.run_id
        self._role = tag_rights.role(run_config_of(self._reader))
        self._fact: dict[str, Any] = {}
        self._polled_at = 0.0
        self._ended: str | None = None
        self._looked_last = False

    def close(self) -> None:
        for file in (self._inbox, self.marks, self._reader):
            file.close()

    # ---- the lane
    def pending(self) -> int:
        """Always 0, so that the end of a run waits for nothing: the next `sync` answers the rest."""
        return 0

    def work(self, hurry: bool) -> bool:
        if not self._rows.opened:
            return False
        if self._role is None:
            return self._say_not_read()
        if not self._fact:  # not earlier: another process may have been uploading the run until now
            self._fact = self.marks.fact(FACT) or {"epoch": uuid.uuid4().hex, "found": 0, "batches": []}
            self._keep()
        if self._ended is not None:
            if self._looked_last:
                return False
            self._poll()
            self._tell()
            self._looked_last = True
            return True
        if self._clock() - self._polled_at >= POLL_EVERY_S:
            self._polled_at = self._clock()
            self._poll()
        self._tell()
        return True

    def _say_not_read(self) -> bool:
        """Once, so that whoever sets a tag is not left waiting; the tags themselves are neither read nor removed."""
        if self.marks.fact(FACT) == NOT_READ:
            return False
        self._connection.client.set_tag(self._connection.run_id, ANSWER, NOT_READ)
        self.marks.set_fact(FACT, NOT_READ)
        return True

    def end(self, state: str) -> None:
        """The run is over (finished, stopped, failed, dead): poll once more, and answer that nothing was applied."""
        self._ended, self._looked_last = state, False

    # ---- from the tags
    def _poll(self) -> None:
        tags = self._connection.client.get_run(self._connection.run_id).data.tags
        commands = {key: text for key, text in tags.items() if key.startswith(SET) or key in (DO, BARE_SET, BY)}
        for batch in self._fact["batches"]:
            if not batch["taken"]:
                commands = self._take(batch, commands)
        if commands.keys() - {BY} and (
            self._ended is not None or control.run_state(self._reader) in control.LIVE_STATES
        ):
            self._take(self._write_down(commands), commands)

    def _write_down(self, tags: dict[str, str]) -> dict[str, Any]:
        self._fact["found"] += 1
        run_config = run_config_of(self._reader)
        found = commands_of(tags, run_config)
        commands = [self._refused_as_over(self._refused_by_role(item, run_config)) for item in found]
        seed = f"{self._run_id}\n{self._fact['epoch']}\n{self._fact['found']}\n{canonical(tags)}"
        for number, command in enumerate(commands):
            command["uid"] = hashlib.sha256(f"{seed}\n{number}".encode()).hexdigest()[:32]
        batch = {
            "tags": tags, "commands": commands, "by": claimed(tags.get(BY)), "taken": False, "since": self._clock(),
            "told": "",
        }  # fmt: skip
        self._fact["batches"].append(batch)
        self._keep()
        return batch

    def _take(self, batch: dict[str, Any], tags: dict[str, str]) -> dict[str, str]:
        """Put a batch's commands into the inbox and delete its tags; returns the tags that do not belong to it."""
        for command in batch["commands"]:
            if command.get("line") is None:
                self._inbox.put(
                    command["kind"], command["payload"], origin="mlflow", author=batch.get("by"), uid=command["uid"]
                )
        remaining = dict(tags)
        for key, text in batch["tags"].items():
            if remaining.get(key) == text:
                self._delete(key)
                del remaining[key]
        batch["taken"] = True
        self._keep()
        return remaining

    def _delete(self, key: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._connection.client.delete_tag(self._connection.run_id, key)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # already deleted by someone else
                raise

    def _refused_by_role(self, command: dict[str, Any], run_config: dict[str, Any]) -> dict[str, Any]:
        if command.get("line") is None and self._role is not None:
            try:
                roles.check(self._role, command["kind"], command["payload"].get("changes", ()), run_config)
            except Refused as error:
                set_by = f"{tag_rights.KEY} = {tag_rights.setting(run_config)}"
                command["line"] = f"{error} Tags act as {self._role.word} on this run ({set_by})."
        return command

    def _refused_as_over(self, command: dict[str, Any]) -> dict[str, Any]:
        if self._ended is not None and command.get("line") is None:
            command["line"] = f"{command['label']}: not applied, {over(self._run_id, self._ended)}"
        return command

    # ---- the answer
    def _tell(self) -> None:
        """Write the answers of each batch into the tag, whenever they change."""
        for batch in list(self._fact["batches"]):
            if not batch["taken"]:
                continue
            lines = [self._line(command) for command in batch["commands"]]
            waiting = any(line is None for line in lines)
            if waiting and self._ended is None and self._clock() - batch["since"] < SAY_WAITING_S:
                continue
            text = "; ".join(line or self._not_yet(item) for line, item in zip(lines, batch["commands"], strict=True))
            if text != batch["told"]:
                self._connection.client.set_tag(self._connection.run_id, ANSWER, text[:TAG_CHARACTERS])
                batch["told"] = text
            elif waiting:
                continue
            if not waiting:
                self._fact["batches"].remove(batch)
            self._keep()

    def _line(self, command: dict[str, Any]) -> str | None:
        """The answer to one command as a sentence; None while there is none."""
        if command.get("line") is not None:
            return str(command["line"])
        answer = self._inbox.answer_of(command["uid"])
        return None if answer is None else answer_text(command["label"], command["kind"], answer)

    def _not_yet(self, command: dict[str, Any]) -> str:
        if self._ended is not None:
            return f"{command['label']}: not answered, {over(self._run_id, self._ended)}"
        return f"{command['label']}: pending"

    def _keep(self) -> None:
        self.marks.set_fact(FACT, self._fact)


def commands_of(tags: dict[str, str], run_config: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The commands in tags found together: {label, kind, payload}, or {label, line} for an invalid one.

    Values are typed by the schema of the run, whose plug-ins `run_config` has.
    """
    commands: list[dict[str, Any]] = []
    assignments = {key.removeprefix(SET): text for key, text in sorted(tags.items()) if key.startswith(SET)}
    if assignments:
        label = ", ".join(f"{key}={_short(text)}" for key, text in assignments.items())
        try:
            changes = config.parse_assignments((f"{key}={text}" for key, text in assignments.items()), run_config)
            commands.append({"label": label, "kind": "edit", "payload": {"changes": changes}})
        except Refused as error:
            commands.append({"label": label, "line": str(error)})
    if BARE_SET in tags:
        line = f"{BARE_SET} refused: the parameter belongs in the tag's name, as in {SET}max_lr with the value 2e-4"
        commands.append({"label": BARE_SET, "line": line})
    if DO in tags:
        commands.append(_command(" ".join(tags[DO].lower().split())))
    return commands


def claimed(by: str | None) -> str | None:
    """The author on record for commands from tags: `ann (claimed, MLflow tag)`; None without a name."""
    name = "".join(letter for letter in " ".join((by or "").split()) if letter.isprintable())[:BY_CHARACTERS]
    return f"{name} (claimed, MLflow tag)" if name else None


def _command(text: str) -> dict[str, Any]:
    if not text:
        return {"label": DO, "line": f"{DO} refused: it is empty; {KNOWN}"}
    kind, _, rest = text.partition(" ")
    if kind in PLAIN and not rest:
        return {"label": text, "kind": kind, "payload": {}}
    if kind == "rollback":
        try:
            ref = CheckpointRef.parse(rest or "?")
        except Refused:
            return {
                "label": text,
                "line": f"{_short(text)} refused: give a step, as in rollback 500 or rollback best",
            }
        return {"label": text, "kind": kind, "payload": ref.to_payload()}
    return {"label": text, "line": f"{_short(text)} refused: {KNOWN}"}


def answer_text(label: str, kind: str, answer: Answer) -> str:
    """`max_lr=2e-4: applied at step 1201, revision 7`, or the reason."""
    if answer.status == "refused":
        return answer.message if kind == "edit" and answer.errors else f"{label} refused: {answer.message}"
    notes = [*([answer.message] if answer.message else []), *answer.warnings]
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"{label}: {answer.status} at step {answer.step}, revision {answer.revision}{note}"


def over(run_id: str, state: str) -> str:
    """Why a run that has ended accepts no command, and the command that continues it."""
    go_on = f"--resume {run_id}{' --set max_steps=N' if state == 'finished' else ''}"
    return f"the run is {state}. Continue with: vsrpp train {go_on}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:60]}…"


class TagWatch:
    """Runs the lane in a separate thread: a checkpoint upload may take minutes, but an answer must not."""

    def __init__(self, commands: TagCommands) -> None:
        self.commands = commands
        self._engine = Engine([commands], commands.marks, outages=None)
        self._stopping = threading.Event()
        self._started = False
        self._thread = threading.Thread(target=self._run, name="tags", daemon=True)

    def start(self) -> None:
        """Start the thread; a second call has no effect."""
        if not self._started:
            self._started = True
            self._thread.start()

    def stop(self) -> bool:
        """False if a call to the server is still running; the lane must then not be used."""
        if self._thread.is_alive() and not self._stopping.is_set():
            self._stopping.set()
            self._thread.join(STOP_S)
        self._stopping.set()
        return not self._thread.is_alive()

    def close(self) -> None:
        if self.stop():
            self.commands.close()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self._engine.turn()
