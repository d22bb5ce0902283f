"""The commands panel, top and tensorboard."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from vsrpp import control, paths
from vsrpp.cli import messages, panel_access
from vsrpp.control.panel_links import TOKEN, AccountKeys
from vsrpp.launch.sidecars import free_port
from vsrpp.launch.with_parent import end_with_parent
from vsrpp.output import announce, has_terminal

_UI = "vsrpp_ui"


def panel(
    run: str | None,
    *,
    host: str,
    port: int,
    auth: Path | None,
    panel_token: bool,
    lang: str | None,
    links: bool,
    add_user: str | None,
    role: str | None,
    hash_auth: Path | None,
    with_parent: bool,
    run_dir: Path | None,
) -> int:
    """Serve the control app until it is interrupted; with `with_parent`, also until the parent process has ended.

    `links`, `add_user` and `hash_auth` start none. Raises NotFound for an unknown run, Refused if the app is not installed
    or the address requires a token or a login.
    """
    if links or add_user is not None or hash_auth is not None or role is not None:
        return panel_access.answer(
            run, auth=auth, links=links, add_user=add_user, role=role, hash_auth=hash_auth, auth_file=ui_package
        )
    runs = paths.runs_dir(run_dir)
    run_id = control.find_run(run, runs).run_id if run else None
    app = ui_package("app")
    keys = AccountKeys.of_account() if panel_token or auth else None
    if with_parent:
        end_with_parent()
    app.serve(
        runs=runs, run=run_id, host=host, port=port, auth=auth, keys=keys, lang=lang,
        on_ready=lambda url: announce(_address(url, keys, login=auth is not None)),
    )  # fmt: skip
    return 0


def _address(url: str, keys: AccountKeys | None, *, login: bool) -> str:
    """The line that tells the panel's address; its token is shown on a terminal, not in a log."""
    if keys is None:
        return f"Panel: {url}   (asks for no token: every account on this host can steer these runs)"
    if login:
        return f"Panel: {url}"
    if has_terminal():
        passing = "" if keys.kept else f"   (ends with this panel: {paths.state_dir()} cannot be written)"
        return f"Panel: {url}?{TOKEN}={keys.token(control.Role.OWNER)}{passing}"
    if keys.kept:
        return f"Panel: {url}   (its link with the token: vsrpp panel --links)"
    return f"Panel: {url}   (no link: {paths.state_dir()} cannot be written; set XDG_STATE_HOME, or use --auth)"


def ui_package(module: str) -> ModuleType:
    """A module of the control app, from beside the package (checkout) or from inside it (installed)."""
    if _UI not in sys.modules:
        folder = paths.ui_dir()
        spec = importlib.util.spec_from_file_location(
            _UI, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None or not (folder / "__init__.py").is_file():
            raise messages.NO_PANEL(folder=folder)
        package = importlib.util.module_from_spec(spec)
        sys.modules[_UI] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{_UI}.{module}")


def top(run: str, *, lang: str | None, run_dir: Path | None) -> int:
    """Show the terminal UI of a run. Raises NotFound."""
    from vsrpp.tui import app

    return app.run(control.find_run(run, paths.runs_dir(run_dir)), lang=lang)


def tensorboard(run: str, *, port: int, run_dir: Path | None) -> int:
    """Rebuild a run's event files and exec TensorBoard; does not return. Raises NotFound."""
    from vsrpp.tracking.tensorboard_sink import rebuild

    folder = control.find_run(run, paths.runs_dir(run_dir))
    if control.is_live(folder):
        announce(f"{folder.run_id} is training and writes its event files itself")
    else:
        announce(f"Rebuilding the event files of {folder.run_id} …")
        rebuild(folder.root)
    port = free_port(port)
    announce(f"TensorBoard: http://127.0.0.1:{port}   (Ctrl-C stops it)")
    command = ["--logdir", str(folder.tensorboard), "--port", str(port), "--host", "127.0.0.1", "--load_fast", "false"]
    os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", *command])
