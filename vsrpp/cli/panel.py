"""panel, top and tensorboard: the faces, each in the process that was asked for it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from vsrpp import control, paths
from vsrpp.cli.commands import runs_folder, target
from vsrpp.errors import Refused
from vsrpp.launch.sidecars import free_port
from vsrpp.launch.with_parent import end_with_parent

_UI = "vsrpp_ui"


def panel(options: argparse.Namespace) -> int:
    run = target(options).run_id if options.target else None
    app = ui_package("app")
    if options.with_parent:
        end_with_parent()
    app.serve(
        runs=runs_folder(options), run=run, host=options.host, port=options.port,
        auth=Path(options.auth) if options.auth else None, lang=options.lang,
        on_ready=lambda url: print(f"Panel: {url}", flush=True),
    )  # fmt: skip
    return 0


def ui_package(module: str) -> ModuleType:
    """A module of the control app, loaded from wherever it stands: beside the package, or in it when installed."""
    if _UI not in sys.modules:
        folder = paths.ui_dir()
        spec = importlib.util.spec_from_file_location(
            _UI, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None or not (folder / "__init__.py").is_file():
            raise Refused(f"the control app is not installed ({folder} is missing).")
        package = importlib.util.module_from_spec(spec)
        sys.modules[_UI] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{_UI}.{module}")


def top(options: argparse.Namespace) -> int:
    from vsrpp.tui.app import run

    return run(target(options), lang=options.lang)


def tensorboard(options: argparse.Namespace) -> int:
    from vsrpp.tracking.tensorboard_sink import rebuild

    run = target(options)
    if control.is_live(run):
        print(f"{run.run_id} is training and writes its event files itself", flush=True)
    else:
        print(f"Rebuilding the event files of {run.run_id} …", flush=True)
        rebuild(run.root)
    port = free_port(options.port)
    print(f"TensorBoard: http://127.0.0.1:{port}   (Ctrl-C ends it)", flush=True)
    command = ["--logdir", str(run.tensorboard), "--port", str(port), "--host", "127.0.0.1", "--load_fast", "false"]
    os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", *command])
