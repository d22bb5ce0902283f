"""scripts/audit, with a stand-in for pip-audit and an index on loopback: nothing leaves this machine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.waiting import free_port

AUDIT = Path(__file__).resolve().parents[1] / "scripts" / "audit"
SEEN: list[str | None] = []


class Index(BaseHTTPRequestHandler):
    """Knows one package."""

    def do_GET(self) -> None:
        SEEN.append(self.headers["Authorization"])
        files = [
            {"filename": "cryptography-50.0.2.tar.gz", "upload-time": "2026-09-30T10:00:00Z"},
            {
                "filename": "cryptography-50.0.2-cp311-abi3-manylinux_2_34_x86_64.whl",
                "upload-time": "2026-09-29T10:00:00Z",
            },
            {"filename": "cryptography-50.0.1.tar.gz", "upload-time": "2026-01-01T10:00:00Z"},
        ]
        known = self.path == "/simple/cryptography/"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"files": files}).encode() if known else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    SEEN.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://ann:S3cret@127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def audit(folder: Path, index: str, *words: str, stand_in: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script; `stand_in` is what the program called pip-audit does."""
    if stand_in:
        program = folder / "pip-audit"
        program.write_text(f"#!{sys.executable}\nimport json, sys\n{stand_in}\n")
        program.chmod(0o755)
    env = {**os.environ, "PATH": str(folder), "PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run([sys.executable, AUDIT, *words], env=env, capture_output=True, text=True)


def test_without_pip_audit_the_pins_are_listed_with_their_dates(tmp_path: Path, index: str) -> None:
    done = audit(tmp_path, index, "cryptography", "rich")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("NOT AUDITED: pip-audit is not installed. ")
    assert said[1] == "Release dates are missing: pip's index does not give all of them."
    assert said[2] == "2026-09-29  cryptography==50.0.2"
    assert said[3].startswith("-           rich==")
    assert "S3cret" not in done.stdout + done.stderr
    assert SEEN[0] == f"Basic {base64.b64encode(b'ann:S3cret').decode()}"


def test_without_an_index_that_is_said(tmp_path: Path) -> None:
    done = audit(tmp_path, f"http://127.0.0.1:{free_port()}/simple", "rich")
    assert done.returncode == 0
    assert "Release dates are missing: pip's index cannot be reached" in done.stdout


REPORT = (
    "pin = open(sys.argv[-1]).read().strip();"
    "print(json.dumps({'dependencies': [{'name': 'rich', 'version': pin.partition('==')[2], VULNS}]}))"
)


@pytest.mark.parametrize(
    ("vulns", "code", "line"),
    [
        ("'vulns': []", 0, "No known vulnerability.\nChecked by pip-audit: 1 of 1 pins.\n"),
        (
            "'vulns': [{'id': 'CVE-1', 'fix_versions': ['99']}]",
            1,
            ": CVE-1, fixed in 99\nChecked by pip-audit: 1 of 1 pins.\n",
        ),
    ],
)
def test_what_pip_audit_finds_is_the_result(tmp_path: Path, vulns: str, code: int, line: str) -> None:
    done = audit(tmp_path, "http://unused", "rich", stand_in=REPORT.replace("VULNS", vulns))
    assert (done.returncode, done.stdout.endswith(line)) == (code, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("stand_in", "why"),
    [
        ("sys.exit('no connection')", "pip-audit exited with 1: no connection"),
        (REPORT.replace("VULNS", "'skip_reason': 'not found'"), "pip-audit could check none of them: not found."),
    ],
)
def test_a_pip_audit_that_cannot_reach_its_data_is_no_clean_result(
    tmp_path: Path, index: str, stand_in: str, why: str
) -> None:
    done = audit(tmp_path, index, "cryptography", stand_in=stand_in)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"NOT AUDITED: {why}", "2026-09-29  cryptography==50.0.2"]


def test_a_name_that_is_not_pinned_is_refused(tmp_path: Path) -> None:
    done = audit(tmp_path, "http://unused", "criptography")
    assert (done.returncode, done.stderr) == (2, "audit: not in constraints.txt: criptography\n")
