"""The app over HTTP, without a browser: who is admitted, what is reachable, and the answers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from vsrpp_ui import app as panel
from vsrpp_ui.guard import is_loopback

from tests.support.panel_users import auth_file
from tests.support.synthetic import SyntheticRun, full_run
from vsrpp.control.panel_links import AccountKeys
from vsrpp.errors import Refused

HERE = "http://localhost:5050"


def client(runs: Path, **options: object) -> TestClient:
    base = str(options.pop("base_url", HERE))
    return TestClient(panel.build(runs=runs, **options), base_url=base, follow_redirects=False)


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    return auth_file(tmp_path / "auth", anna="open sesame: please", ben="12345")


def test_the_three_pages_and_their_fragments_answer(runs: Path) -> None:
    full_run(runs)
    with client(runs) as http:
        assert http.get("/").headers["location"].startswith("/monitoring")
        for page in ("monitoring", "config", "runs"):
            answer = http.get(f"/{page}/")
            assert answer.status_code == 200 and "panel.css" in answer.text
            body = http.post(f"/panel/live/{page}", json={}).json()
            assert body["state"] == "training" and "harbour" in body["fragments"]["header"]["html"]


def test_the_panel_starts_without_torch_or_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.support.panel_loader import load_panel; load_panel()\n"
        "from vsrpp_ui import app; from pathlib import Path; app.build(runs=Path(sys.argv[1]))\n"
        "print([name for name in ('torch', 'mlflow') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True,
        check=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.stdout.strip().endswith("[]")


def test_nothing_a_page_loads_comes_from_elsewhere(runs: Path) -> None:
    with client(runs) as http:
        for page in ("monitoring", "config", "runs"):
            answer = http.get(f"/{page}/")
            loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', answer.text)
            assert [url for url in loaded if not url.startswith(HERE)] == []
            assert "connect-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["/monitoring/gradio_api/file=/etc/passwd", "/monitoring/file=/etc/passwd", "/monitoring/gradio_api/upload",
     "/monitoring/gradio_api/proxy=https://example.com", "/monitoring/monitoring", "/monitoring/gradio_api/vibe-code",
     "/config/gradio_api/run-history/records", "/docs", "/openapi.json", "/panel/assets/../app.py",
     "/panel/assets/%2e%2e/app.py", "/monitoring/static/../../../../etc/passwd", "/secret"],
)  # fmt: skip
def test_what_no_page_needs_is_not_there(runs: Path, path: str) -> None:
    with client(runs) as http:
        assert http.get(path).status_code in (403, 404)
        assert http.post(path).status_code in (403, 404, 405)


def test_pictures_come_from_the_runs_images_alone(runs: Path) -> None:
    run = full_run(runs)
    name = run.paths.run_id
    (runs.parent / "secret.png").write_bytes(b"secret")
    (run.paths.images / "link.png").symlink_to(runs.parent / "secret.png")
    (run.paths.images / "notes.txt").write_text("secret")
    with client(runs) as http:
        assert http.get(f"/panel/images/{name}/images/step_0000100/clip_f012.png").content[:4] == b"\x89PNG"
        for path in (
            f"{name}/run_config.yaml", f"{name}/run.db", f"{name}/images/link.png", f"{name}/images/notes.txt",
            f"{name}/images/%2e%2e/run.db", f"{name}/images/..%2f..%2f..%2fsecret.png", f"{name}//etc/passwd",
            "%2e%2e/secret.png", "..%2f..%2fsecret.png", f"{name}/images/%00.png", f"{name}/images",
        ):  # fmt: skip
            assert http.get(f"/panel/images/{path}").status_code == 404, path


@pytest.mark.parametrize("run", ["../x", "..", ".", "a/b", "/etc", "\x00", "x" * 5000])
def test_no_path_can_be_smuggled_in_as_a_run(runs: Path, run: str) -> None:
    full_run(runs)
    with client(runs) as http:
        body = http.post("/panel/live/monitoring", json={"run": run}).json()
        assert body["run"] is None and set(body["fragments"]) == {"header"}


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'"x"', b'{"have": 5, "view": []}', b"x" * 20_000])
def test_nonsense_asked_is_answered_not_crashed_on(runs: Path, body: bytes) -> None:
    full_run(runs)
    with client(runs) as http:
        assert http.post("/panel/live/monitoring", content=body).status_code in (200, 400, 404, 413)


def test_other_names_and_other_sites_are_refused(runs: Path) -> None:
    with client(runs) as http:
        assert http.get("/monitoring/", headers={"host": "evil.example"}).status_code == 421
        assert http.post("/panel/live/runs", json={}, headers={"origin": "https://evil.example"}).status_code == 403
        assert http.post("/panel/live/runs", json={}, headers={"origin": HERE}).status_code == 200
        assert http.post("/panel/live/runs", json={}, headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.0.0.9", True), ("0.0.0.0", False),
                      ("192.168.1.5", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_which_hosts_are_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_open_to_others_only_with_a_token_or_a_login(runs: Path, auth: Path) -> None:
    with pytest.raises(Refused, match="--auth FILE"):
        panel.build(runs=runs, host="0.0.0.0")
    panel.build(runs=runs, host="0.0.0.0", auth=auth)
    panel.build(runs=runs, host="0.0.0.0", keys=AccountKeys(b"s" * 32))


def test_without_signing_in_nothing_is_shown(runs: Path, auth: Path) -> None:
    full_run(runs)
    with client(runs, auth=auth) as http:
        assert http.get("/monitoring/").headers["location"].startswith("/login")
        for path in ("/panel/images/x/y.png", "/config/config", "/monitoring/theme.css", "/monitoring/gradio_api/info"):
            assert http.get(path).status_code == 401
        assert http.post("/panel/live/runs", json={}).status_code == 401
        assert http.post("/monitoring/gradio_api/run/predict", json={}).status_code == 401
        assert "form" in http.get("/login").text


def test_an_unknown_language_is_refused(runs: Path) -> None:
    with pytest.raises(Refused, match="en or de"):
        panel.build(runs=runs, lang="fr")


def test_a_busy_port_leads_to_the_next_free_one() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        listener = panel.listen("127.0.0.1", port)
        assert listener.getsockname()[1] > port
        listener.close()


def test_serve_says_its_address_once_it_answers_and_ends_when_told_to(runs: Path) -> None:
    SyntheticRun(runs).close()
    told: list[str] = []
    ready, stopping = threading.Event(), threading.Event()

    def on_ready(url: str) -> None:
        told.append(url)
        ready.set()

    arguments = {"runs": runs, "port": 0, "on_ready": on_ready, "stopping": stopping}
    thread = threading.Thread(target=panel.serve, kwargs=arguments, daemon=True)
    thread.start()
    assert ready.wait(240)
    assert urllib.request.urlopen(told[0] + "monitoring/", timeout=120).status == 200
    stopping.set()
    thread.join(120)
    assert not thread.is_alive()
