"""Who is let in: the token of the account's link, name and password, sessions and their end; and how much may be sent."""

from __future__ import annotations

import asyncio
import logging
import re
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message
from vsrpp_ui import app as panel
from vsrpp_ui import guard
from vsrpp_ui.door import Door
from vsrpp_ui.guard import LARGEST_BODY
from vsrpp_ui.guesses import KEPT, LONGEST_PAUSE_S, Guesses
from vsrpp_ui.passwords import COST, PasswordHash
from vsrpp_ui.routes import own_address

from tests.support.panel_browser import PanelProcess, browser, open_page
from tests.support.panel_users import CHEAP, auth_file
from tests.support.synthetic import full_run
from vsrpp.control import Role
from vsrpp.control.panel_links import AccountKeys

HERE = "http://localhost:5050"
KEYS = AccountKeys(b"k" * 32)
OWNER = KEYS.token(Role.OWNER)
FILLER = b"x" * 65536


def client(runs: Path, **options: object) -> TestClient:
    return TestClient(panel.build(runs=runs, **options), base_url=HERE, follow_redirects=False)


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    return auth_file(tmp_path / "auth", anna="open sesame: please", ben="12345")


# ---- the token
def test_a_link_lets_in_and_its_token_leaves_the_address(runs: Path) -> None:
    with client(runs, keys=KEYS) as http_:
        entered = http_.get(f"/monitoring/?run=demo&token={OWNER}&lang=de")
        assert (entered.status_code, entered.headers["location"]) == (303, "/monitoring/?run=demo&lang=de")
        assert entered.headers["referrer-policy"] == "no-referrer" and entered.headers["cache-control"] == "no-store"
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie and OWNER.lower() not in cookie
        assert http_.get("/monitoring/").status_code == 200
        assert http_.post("/panel/live/runs", json={}).json()["visitor"]["role"] == "owner"
        assert OWNER not in http_.get("/monitoring/").text
    with client(runs, keys=KEYS) as restarted:  # an open tab survives it
        restarted.cookies = http_.cookies
        assert restarted.get("/monitoring/").status_code == 200
    with client(runs, keys=AccountKeys(b"other" * 8)) as other:  # a new secret ends links and sessions
        other.cookies = http_.cookies
        assert other.get("/monitoring/").status_code == 401
        assert other.get(f"/?token={OWNER}").status_code == 403


@pytest.mark.parametrize(("lang", "words"), [("en", "wrong, or no longer valid"), ("de", "falsch oder nicht mehr")])
def test_a_wrong_or_missing_token_is_told_where_the_link_is_and_never_the_token(
    runs: Path, lang: str, words: str
) -> None:
    with client(runs, keys=KEYS) as http_:
        for wrong in ("x", "é", OWNER[:-1], OWNER + "x", "%00"):
            answer = http_.get("/config/", params={"token": wrong, "lang": lang})
            assert answer.status_code == 403 and words in answer.text and "vsrpp panel --links" in answer.text
            assert "set-cookie" not in answer.headers and answer.headers["referrer-policy"] == "no-referrer"
        without = http_.get("/config/", params={"lang": lang})
        assert without.status_code == 401 and words not in without.text and "vsrpp panel --links" in without.text
        assert OWNER not in without.text
        for path in ("/panel/images/x/y.png", "/config/config", "/monitoring/theme.css"):
            assert http_.get(path).status_code == 401
        for path in ("/panel/do", "/panel/live/runs", "/monitoring/gradio_api/run/predict", "/logout"):
            assert http_.post(path, json={}).status_code == 401


def test_programs_send_the_token_as_a_bearers(runs: Path) -> None:
    full_run(runs)
    with client(runs, keys=KEYS) as http_:
        for role in Role:
            told = http_.post(
                "/panel/live/runs", json={}, headers={"Authorization": f"Bearer {KEYS.token(role)}"}
            ).json()
            assert told["visitor"]["role"] == role.word
        assert http_.post("/panel/live/runs", json={}, headers={"Authorization": "Bearer x"}).status_code == 401
        assert http_.post("/panel/live/runs", json={}, headers={"Authorization": f"Basic {OWNER}"}).status_code == 401


def test_a_file_of_users_replaces_the_token(runs: Path, auth: Path) -> None:
    with client(runs, keys=KEYS, auth=auth) as http_:
        entered = http_.get(f"/?token={OWNER}")
        assert entered.headers["location"] == "/" and "set-cookie" not in entered.headers
        assert http_.get("/").headers["location"].startswith("/login")
        bearer = {"Authorization": f"Bearer {OWNER}"}
        assert http_.post("/panel/live/runs", json={}, headers=bearer).status_code == 401


# ---- name and password
def test_signing_in_and_out(runs: Path, auth: Path) -> None:
    with client(runs, auth=auth, keys=KEYS) as http_:
        right = http_.post("/login", data={"user": "anna", "password": "open sesame: please", "next": "/config?run=a"})
        assert right.status_code == 303 and right.headers["location"] == "/config?run=a"
        kept = dict(http_.cookies)
        assert http_.get("/monitoring/").status_code == 200
        assert http_.get("/logout").status_code == 405
        assert http_.post("/logout", headers={"origin": "https://evil.example"}).status_code == 403
        assert http_.get("/monitoring/").status_code == 200
        assert http_.post("/logout").headers["location"] == "/login"
        assert http_.get("/monitoring/").status_code == 303
        http_.cookies.update(kept)
        assert http_.get("/monitoring/").status_code == 303  # the cookie itself is worth nothing any more
    with client(runs, auth=auth, keys=KEYS) as restarted:
        restarted.cookies.update(kept)
        assert restarted.get("/monitoring/").status_code == 303


def test_a_session_survives_a_restart_but_not_a_new_password_or_role(runs: Path, auth: Path) -> None:
    with client(runs, auth=auth, keys=KEYS) as http_:
        http_.post("/login", data={"user": "ben", "password": "12345"})
        kept = dict(http_.cookies)
    for change, status in (("", 200), ("role", 303), ("password", 303), ("gone", 303)):
        if change == "role":
            auth.write_text(auth.read_text().replace("ben:owner", "ben:viewer"))
        elif change:
            auth_file(auth, **({"ben": "12345"} if change == "password" else {"anna": "12345"}))
        with client(runs, auth=auth, keys=KEYS) as again:
            again.cookies.update(kept)
            assert again.get("/monitoring/").status_code == status, change


@pytest.mark.parametrize(
    ("target", "own"),
    [("/config", "/config"), ("/runs/?run=a%20b&lang=de", "/runs?run=a+b&lang=de"), ("/", "/"), ("", "/"),
     ("//evil.example", "/"), ("https://evil.example/config", "/"), ("/\\evil.example", "/"), ("/logout", "/"),
     ("/config/../x", "/"), ("config", "/"), ("/monitoring?token=t&run=a", "/monitoring?run=a"), ("http://[", "/")],
)  # fmt: skip
def test_a_sign_in_leads_to_our_own_pages_only_with_their_query(target: str, own: str) -> None:
    assert own_address(target) == own


def test_a_shared_link_survives_the_login(runs: Path, auth: Path) -> None:
    with client(runs, auth=auth) as http_:
        there = http_.get("/config/?run=demo&lang=de").headers["location"]
        page = http_.get(there).text
        assert 'value="/config?run=demo&amp;lang=de"' in page


def test_a_forged_session_is_none(runs: Path, auth: Path) -> None:
    with client(runs, auth=auth) as http_:
        http_.post("/login", data={"user": "anna", "password": "open sesame: please"})
        ((name, good),) = dict(http_.cookies).items()
        http_.cookies.clear()
        for bad in ("", ".", "x.y", good[:-1], "%C3%A9.x", good.replace(good[:4], "AAAA", 1)):
            answer = http_.get("/monitoring/", headers={"cookie": f"{name}={bad}"})
            assert answer.status_code == 303, bad
        assert http_.get("/monitoring/", headers={"cookie": f"{name}={good}"}).status_code == 200


def test_another_start_without_the_accounts_key_knows_no_session(runs: Path, auth: Path) -> None:
    with client(runs, auth=auth) as http_:
        http_.post("/login", data={"user": "anna", "password": "open sesame: please"})
        with client(runs, auth=auth) as other:
            other.cookies.update(dict(http_.cookies))
            assert other.get("/monitoring/").status_code == 303


# ---- guesses
def test_guesses_are_slowed_and_logged_without_what_was_typed(
    runs: Path, auth: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "vsrpp.panel")
    with client(runs, auth=auth) as http_:
        wrong = http_.post("/login?lang=de", data={"user": "anna", "password": "guess-1"})
        assert wrong.status_code == 401 and "falsch" in wrong.text
        slowed = http_.post("/login?lang=de", data={"user": "anna", "password": "open sesame: please"})
        assert slowed.status_code == 429 and "Versuche" in slowed.text and int(slowed.headers["retry-after"]) >= 1
    assert "sign-in of 'anna' from testclient failed (1 in a row)" in caplog.text and "guess-1" not in caplog.text


def test_the_pause_grows_by_name_and_by_address_and_attempts_at_once_gain_nothing() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    pauses = []
    for number in range(12):
        assert guesses.begin(f"10.0.0.{number}", "anna") == 0
        assert guesses.begin(f"10.0.0.{number}", "anna") > 0  # another one while the first is checked
        guesses.finish(f"10.0.0.{number}", "anna", right=False)
        pauses.append(guesses.begin("10.9.9.9", "anna"))
        now[0] += pauses[-1]
    assert pauses[:5] == [1, 1, 1, 2, 4] and pauses[-1] == LONGEST_PAUSE_S
    assert guesses.begin("2001:db8::1", "eve") == 0
    guesses.finish("2001:db8::1", "eve", right=False)
    assert guesses.begin("2001:db8::2", "mallory") > 0  # the same network
    assert guesses.begin("10.0.1.1", "ben") == 0
    assert guesses.finish("10.0.1.1", "ben", right=True) == 0
    assert guesses.begin("10.0.1.1", "ben") == 0


def test_what_is_remembered_of_guesses_is_bounded() -> None:
    guesses = Guesses(lambda: 0.0)
    for number in range(5000):
        if guesses.begin(f"10.0.{number // 256}.{number % 256}", f"name {number}") == 0:
            guesses.finish(f"10.0.{number // 256}.{number % 256}", f"name {number}", right=False)
    assert len(guesses) <= KEPT


# ---- passwords
def test_new_passwords_are_hashed_with_scrypt_at_a_sound_cost() -> None:
    n, r, p = COST
    assert n * r * p * 128 >= 96 * 2**20  # OWASP's least
    hashed = PasswordHash.of("grün 🔑", CHEAP)
    assert hashed.matches("grün 🔑") and not hashed.matches("grün") and not hashed.matches("")
    assert PasswordHash.parse(str(hashed)) == hashed and PasswordHash.of("grün 🔑", CHEAP) != hashed
    for damaged in ("", "scrypt$", str(hashed)[:-30], str(hashed).replace("$16$", "$15$"),
                    str(hashed).replace("$16$8$", "$1048576$999$"), "$2y$10$abcdefghijklmnopqrstuv"):  # fmt: skip
        assert PasswordHash.parse(damaged) is None, damaged


def test_an_unknown_name_costs_as_much_as_a_known_one(auth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door, asked = Door(auth, None), []
    monkeypatch.setattr(PasswordHash, "matches", lambda self, password: asked.append(self.cost) or True)
    assert door.check("anna", "x") and not door.check("nobody", "x")
    assert asked == [CHEAP, CHEAP]


# ---- how much may be sent
@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelProcess]:
    folder = tmp_path_factory.mktemp("bodies")
    (folder / "runs").mkdir()
    full_run(folder / "runs").say("training")
    with PanelProcess(folder, token=True) as one:
        yield one


@pytest.fixture(scope="module")
def links(served: PanelProcess) -> dict[str, str]:
    return served.links


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("path", ["/login", "/panel/do", "/monitoring/gradio_api/run/predict"])
def test_a_body_of_200_megabytes_is_refused_before_it_is_read(
    served: PanelProcess, links: dict[str, str], path: str, chunked: bool
) -> None:
    before_mib = peak_mib(served.process.pid)
    status, sent = send(served.port, path, 200 * 2**20, chunked, token=links["owner"].partition("=")[2])
    assert status == 413 and sent < 32 * 2**20
    assert peak_mib(served.process.pid) - before_mib < 16


@pytest.mark.parametrize(("declared", "status"), [(200 * 2**20, 413), (2, 408)])
def test_a_body_that_never_comes_is_not_waited_for(
    runs: Path, monkeypatch: pytest.MonkeyPatch, declared: int, status: int
) -> None:
    """One that is declared too large is refused at once; the patience of the other is over."""
    monkeypatch.setattr(guard, "BODY_S", 60.0 if status == 413 else 0.05)
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    async def keep(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost:5050"), (b"content-length", str(declared).encode())]
    scope = {"type": "http", "method": "POST", "path": "/panel/live/runs", "query_string": b"", "headers": headers}
    asyncio.run(asyncio.wait_for(panel.build(runs=runs)(scope, never, keep), 30.0))
    assert sent[0]["status"] == status


def test_a_body_of_the_allowed_size_is_read(runs: Path) -> None:
    with client(runs) as http_:
        limit = LARGEST_BODY["/panel/live/"] * 1024
        fits = b"{}".ljust(limit)
        assert http_.post("/panel/live/runs", content=fits).status_code == 200
        assert http_.post("/panel/live/runs", content=iter([fits])).status_code == 200
        over = http_.post("/panel/live/runs", content=fits + b" ")
        assert over.status_code == 413 and over.json()["reason_code"] == "refused.panel.size"
        assert http_.post("/panel/live/runs", content=iter([fits, b" "])).status_code == 413


def peak_mib(pid: int) -> float:
    """The most memory a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def send(port: int, path: str, size: int, chunked: bool, token: str = "") -> tuple[int, int]:
    """(HTTP status, bytes taken) for a request with so large a body."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token}\r\n{length}\r\n\r\n"
    piece = b"%x\r\n%s\r\n" % (len(FILLER), FILLER) if chunked else FILLER
    answer, sent = b"", 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode())
        while sent < size and not answer:
            ready, writable, _ = select.select([connection], [connection], [], 60)
            try:
                answer = connection.recv(4096) if ready else b""
                if writable and not answer:
                    connection.sendall(piece)
                    sent += len(FILLER)
            except ConnectionError:
                break
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer.split()[1]), sent


# ---- in a browser
@pytest.mark.slow
def test_a_viewers_page_has_no_live_buttons_and_signing_out_ends_every_tab(
    served: PanelProcess, links: dict[str, str]
) -> None:
    pytest.importorskip("playwright")
    with browser() as chromium:
        page, asked, errors = open_page(chromium, links["viewer"].replace("/?", "/monitoring?lang=en&"))
        page.wait_for_selector("#who:has-text('viewer')")
        assert "token" not in page.url and [url for url in asked if "token=" in url] == asked[:1]
        assert page.locator("#do-pause").is_disabled() and page.locator("#do-stop").is_disabled()
        assert page.locator(".role-note.viewer").is_visible()
        assert "change nothing" in str(page.locator("#do-stop").get_attribute("title"))
        other = page.context.new_page()
        other.goto(f"{served.url}config?lang=en")
        other.wait_for_selector("#f-l1_weight")
        other.wait_for_function(
            "document.querySelector('.tier.careful').inert && document.querySelector('#apply').disabled"
        )
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_selector("text=vsrpp panel --links")
        other.wait_for_url("**/login?next=%2Fconfig**")
        assert errors == []
        page.goto(links["operator"])
        page.wait_for_selector("#who:has-text('operator')")
        assert page.locator("#do-stop").is_disabled() and page.locator("#do-pause").is_enabled()
