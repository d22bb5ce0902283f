"""PostgreSQL, an S3 store and a server with passwords, started by the tests; and a proxy that simulates failures."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from tests.support.servers import Server
from tests.support.waiting import free_port, wait_until

BUCKET = "vsrpp"
S3_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


def postgres_tool(name: str) -> str | None:
    """The path of a PostgreSQL program; Debian does not put them on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class Postgres:
    """A separate cluster on a loopback port, run as the user `postgres` if this is root, which initdb refuses."""

    def __init__(self) -> None:
        self.data, self.port = Path(tempfile.mkdtemp(prefix="vsrpp-pg-")), free_port()  # short: for the socket path
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres")
        self._do("initdb", "-D", str(self.data), "-U", "vsrpp", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def uri(self) -> str:
        return f"postgresql+psycopg2://vsrpp@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.data} -F"
        self._do(
            "pg_ctl", "-D", str(self.data), "-o", options, "-l", str(self.data / "log"), "-w", "-t", "120", "start"
        )

    def stop(self) -> None:
        """Stop as in a crash; `start` recovers."""
        self._do("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.data)

    def _do(self, tool: str, *words: str) -> None:
        path = postgres_tool(tool)
        assert path is not None, f"{tool} is not installed"
        become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            [*become, path, *words], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


class S3:
    """moto's server with one empty bucket."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self.start()

    def start(self) -> None:
        code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{self.port}'])"
        log = (self._folder / "s3.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=log,
            stderr=log,
            env={**os.environ, **S3_VARIABLES},
            start_new_session=True,
        )
        wait_until(self._answers, 120, "the S3 store")
        self.client().create_bucket(Bucket=BUCKET)

    def client(self) -> object:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def environment_of(s3: S3) -> dict[str, str]:
    """The environment that a client needs to write to the bucket directly."""
    return {**S3_VARIABLES, "MLFLOW_S3_ENDPOINT_URL": s3.url}


class BigServer(Server):
    """`mlflow server` over PostgreSQL and S3. `proxied`: artifacts pass through the server, else go to the store."""

    def __init__(self, folder: Path, postgres: Postgres, s3: S3, *, proxied: bool = True) -> None:
        where = "--artifacts-destination" if proxied else "--default-artifact-root"
        store = [where, f"s3://{BUCKET}/mlflow", *([] if proxied else ["--no-serve-artifacts"])]
        super().__init__(folder, options=["--backend-store-uri", postgres.uri, *store], environment=environment_of(s3))


class PasswordServer(Server):
    """`mlflow server --app-name basic-auth`, which requires a name and a password."""

    NAME, PASSWORD = "admin", "first-password-of-admin"

    def __init__(self, folder: Path) -> None:
        ini = folder / "auth.ini"
        ini.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = sqlite:///{folder / 'auth.db'}\nadmin_username = {self.NAME}\n"
            f"admin_password = {self.PASSWORD}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        super().__init__(
            folder, more=["--app-name", "basic-auth"],
            environment={"MLFLOW_AUTH_CONFIG_PATH": str(ini), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of the tests"},
        )  # fmt: skip

    def with_password(self, password: str | None = None) -> str:
        return self.uri.replace("://", f"://{self.NAME}:{password or self.PASSWORD}@")

    def change_password(self, old: str, new: str) -> None:
        import requests

        answer = requests.patch(
            f"{self.uri}/api/2.0/mlflow/users/update-password", auth=(self.NAME, old), timeout=60,
            json={"username": self.NAME, "password": new, "current_password": old},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text


class Proxy:
    """A proxy in front of a server. `mode`: "pass", a status to answer with, "hang" (no answer), "cut" (connection
    closed), "lost" (the server acts, but its answer is dropped). `delay_s` precedes every answer; an upload with `held`
    in its address waits until `let_go`."""

    def __init__(self, upstream_port: int) -> None:
        self.mode: str | int = "pass"
        self.delay_s = 0.0
        self.held = ""
        self.held_since: float | None = None
        """When the first upload started to wait."""
        self.gate = threading.Event()
        self.requests = 0
        self.met: dict[str, int] = {}
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.requests += 1
                mode = proxy.mode
                proxy.met[str(mode)] = proxy.met.get(str(mode), 0) + 1
                body = self._body()
                time.sleep(proxy.delay_s)
                if self.command == "PUT" and proxy.held and proxy.held in self.path:
                    proxy.held_since = proxy.held_since or time.monotonic()
                    proxy.gate.wait(600)
                self.close_connection = True
                if mode == "hang":
                    proxy.released.wait(60)
                    return
                if mode == "cut":
                    return
                if isinstance(mode, int):
                    self._answer(mode, {}, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "made by the proxy"}')
                    return
                try:
                    status, headers, answer = self._ask(upstream_port, body)
                except OSError:
                    return
                if mode != "lost":
                    self._answer(status, headers, answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

            def _body(self) -> bytes:
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    chunks = []
                    while size := int(self.rfile.readline(), 16):
                        chunks.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(chunks)
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _ask(self, port: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                skipped = ("transfer-encoding", "content-length", "connection")
                headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
                upstream.request(self.command, self.path, body=body or None, headers=headers)
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                return answer.status, dict(answer.getheaders()), content

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                try:
                    self.send_response(status)
                    for key, value in headers.items():
                        if key.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                            self.send_header(key, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    return

            def log_message(self, *args: object) -> None: ...

        self.released = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def let_go(self) -> None:
        """Let held uploads pass, and all later ones."""
        self.held = ""
        self.gate.set()

    def close(self) -> None:
        self.released.set()
        self.let_go()
        self._server.shutdown()
        self._server.server_close()
