"""The files that describe the project to pip, conda and MLflow agree, and the wheel is complete."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mlproject

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
CONDA_PYTHON = "3.11"
OURS = {"vsrpp", "ui", "mlproject"}


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def declared(*extras: str) -> dict[str, Requirement]:
    """The requirements in pyproject.toml, by canonical name."""
    project = pyproject()["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def constraints() -> dict[str, str]:
    """The version constraints.txt pins for each package on the Python of conda.yaml."""
    pins: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        environment = {"python_version": CONDA_PYTHON, "python_full_version": f"{CONDA_PYTHON}.0"}
        if pin.marker is None or pin.marker.evaluate(environment):
            assert canonicalize_name(pin.name) not in pins, f"{pin.name} is pinned twice"
            pins[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    return pins


def conda() -> dict:
    return yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))


def conda_pip_lines() -> list[str]:
    (section,) = (item["pip"] for item in conda()["dependencies"] if isinstance(item, dict))
    return section


def conda_pins() -> dict[str, str]:
    requirements = [Requirement(line) for line in conda_pip_lines() if not line.startswith("-")]
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


def walk_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`, which never run."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from walk_at_run_time(child)


def imported_distributions() -> dict[str, str]:
    """Canonical name of every distribution the project's code imports -> a file that does."""
    providers = metadata.packages_distributions()
    found: dict[str, str] = {}
    files = [*(ROOT / "vsrpp").rglob("*.py"), *(ROOT / "ui").rglob("*.py"), ROOT / "mlproject.py"]
    for path in files:
        for node in walk_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names - OURS:
                # A module may come from several distributions (mlflow, mlflow-skinny): the one of its own name counts.
                names = {canonicalize_name(name) for name in providers.get(top, [top])}
                found[canonicalize_name(top) if canonicalize_name(top) in names else min(names)] = str(path)
    return found


def test_everything_imported_is_declared_and_in_the_conda_environment() -> None:
    imported = imported_distributions()
    assert {n: f for n, f in imported.items() if n not in declared("export")} == {}
    assert {n: f for n, f in imported.items() if n not in conda_pins()} == {}


def test_conda_environment_holds_what_pyproject_asks_for_at_the_pinned_versions() -> None:
    pins, wanted = conda_pins(), declared("sample", "export")
    assert pins.keys() == wanted.keys()
    assert pins == {name: constraints()[name] for name in pins}
    for name, requirement in wanted.items():
        assert requirement.specifier.contains(pins[name]), requirement


def test_conda_environment_is_what_conda_and_mlflow_read() -> None:
    from mlflow.utils.environment import _PythonEnv

    environment = conda()
    assert environment.keys() == {"name", "channels", "dependencies"}
    assert all(isinstance(channel, str) for channel in environment["channels"])
    assert [d for d in environment["dependencies"] if isinstance(d, str)] == [f"python={CONDA_PYTHON}", "pip"]
    assert "-c constraints.txt" in conda_pip_lines()
    assert not any(line.startswith("-e") for line in conda_pip_lines())
    parsed = _PythonEnv.from_conda_yaml(ROOT / "conda.yaml")
    assert parsed.python == CONDA_PYTHON
    assert parsed.dependencies == conda_pip_lines()


def test_constraints_pin_everything_declared_and_all_that_it_pulls_in() -> None:
    pins = constraints()
    waiting, seen = list(declared("sample", "export", "dev")), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(needed.name))
    unpinned = {name for name in seen - pins.keys() if name != "pip"}
    assert unpinned == set()


def test_this_environment_is_the_pinned_one() -> None:
    if sys.version_info[:2] != tuple(map(int, CONDA_PYTHON.split("."))):
        pytest.skip(f"the pins compared are those of Python {CONDA_PYTHON}")
    installed = {canonicalize_name(d.name): d.version.split("+")[0] for d in metadata.distributions()}
    pins = constraints()
    assert {name: version for name, version in installed.items() if name in pins and version != pins[name]} == {}


def test_torch_is_pinned_without_a_build_and_nothing_brings_torchvision() -> None:
    assert constraints()["torch"] == conda_pins()["torch"] == "2.13.0"
    assert "torchvision" not in constraints()


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "conda.yaml", "scripts/setup"])
def test_no_file_names_an_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links \S", text)


def tracked_top_level() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = {line.split("/")[0] for line in listed.stdout.splitlines()} if listed.returncode == 0 else set()
    return names | {path.name for path in ROOT.iterdir()}


def test_only_the_file_can_be_mistaken_for_mlproject() -> None:
    assert [name for name in tracked_top_level() if name.lower() == "mlproject"] == ["MLproject"]


def test_mlflow_reads_the_entry_points_that_mlproject_py_has() -> None:
    from mlflow.projects._project_spec import load_project

    project = load_project(str(ROOT))
    assert project.name == "vsrpp"
    assert Path(project.env_config_path) == ROOT / "conda.yaml"
    written = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert written.keys() == mlproject.ENTRY_POINTS.keys()
    for name, entry in mlproject.ENTRY_POINTS.items():
        specified = project.get_entry_point(name)
        assert specified.parameters.keys() == entry.parameters.keys(), name
        required = {parameter.name for parameter in specified.parameters.values() if parameter.default is None}
        assert required <= entry.required, name
        values = dict.fromkeys(specified.parameters, "1")
        words = specified.compute_command(values, None).split()
        assert words == ["python", "mlproject.py", name, *(w for p in entry.parameters for w in (f"--{p}", "1"))]


def test_defaults_of_every_entry_point_pass_its_own_checks() -> None:
    from mlflow.projects._project_spec import load_project

    project = load_project(str(ROOT))
    for name in mlproject.ENTRY_POINTS:
        entry = project.get_entry_point(name)
        values = {
            p: "latest" if parameter.default is None else parameter.default for p, parameter in entry.parameters.items()
        }
        mlproject.command_line(name, [word for p, value in values.items() for word in (f"--{p}", str(value))])


def test_version_is_said_once() -> None:
    import vsrpp

    assert "version" in pyproject()["project"]["dynamic"]
    assert f"## [{vsrpp.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_wheel_holds_panel_and_schemas_inside_the_package_only(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"vsrpp"}
    for folder in ("ui", "schemas", "recipes"):
        wanted = {
            f"vsrpp/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted
        assert wanted <= names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_installed_it_finds_its_schemas_and_leaves_no_ui_or_schemas_at_top_level(
    wheel: Path, editable: bool, tmp_path: Path
) -> None:
    target = tmp_path / "site"
    what = ["--editable", str(ROOT)] if editable else [str(wheel)]
    install = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--target",
        str(target),
        "--no-deps",
        "--no-build-isolation",
    ]
    subprocess.run([*install, *what], check=True, capture_output=True, text=True)
    assert not {"ui", "schemas", "recipes"} & {path.name for path in target.iterdir()}
    (tmp_path / "vsrpp").mkdir()  # as a clone looks from the folder above it
    code = f"""
import site; sys.path.insert(0, {str(target)!r}); site.addsitedir({str(target)!r})
from importlib.util import find_spec
from vsrpp import paths
import vsrpp.cli
assert paths.schema_file("run_config.schema.json").is_file() and any(paths.ui_dir().iterdir())
assert any(paths.recipes_dir().glob("*.yaml"))
print([name for name in ("ui", "schemas", "scripts") if find_spec(name)], vsrpp.__file__)
"""
    done = subprocess.run([sys.executable, "-S", "-c", prelude() + code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, origin = done.stdout.strip().split(" ", 1)
    assert found == "[]"
    assert Path(origin).resolve().is_relative_to(ROOT if editable else target)


TYPED_SCRIPT = """
from typing import Literal

from vsrpp import Run, train
from vsrpp.documents import ConfigValue, RunState


def halve(run: Run) -> Literal["applied", "done", "refused", "pending"]:
    rate = run.config()["max_lr"]
    assert isinstance(rate, float)
    answer = run.set({"max_lr": rate / 2}, reason="flat", probation=50, revert_if="loss > 2x")
    for problem in answer.errors:
        print(problem["key"], problem["reason_code"])
    return answer.status


def look(run: Run) -> tuple[RunState, int, float | None]:
    view, best = run.status(), run.best()
    steps: list[int] = [saved.step for saved in run.checkpoints()]
    values: list[float] = [row.value for row in run.metrics("loss/total")]
    names: list[str] = run.keys()
    print(steps, values, names, view.weights(), [event.type for event in run.history("validated", "finished")])
    return view.state, view.step, None if best is None else best.value


config: dict[str, ConfigValue] = {"preset": "demo", "max_lr": 1e-4}
run = train(config, data="sample")
print(halve(run), look(run), [row.state for row in Run.list()])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "complaint"), [("", ""), ("run.history('validatd')", "arg-type"), ("run.status().stat", "attr-defined")]
)
def test_mypy_strict_passes_on_a_script_against_the_installed_wheel(
    installed_wheel: Path, line: str, complaint: str, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"{TYPED_SCRIPT}{line}\n", encoding="utf-8")
    check = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={installed_wheel / 'mypy'}"]
    done = subprocess.run(
        [*check, f"--python-executable={installed_wheel / 'bin' / 'python'}", str(script)], cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode != 0) == bool(complaint), done.stdout + done.stderr
    assert complaint in done.stdout, done.stdout


def prelude() -> str:
    """With -S the environment's own (editable) installation stays out; its other packages come in by path alone."""
    import sysconfig

    return f"import sys; sys.path.append({sysconfig.get_paths()['purelib']!r})\n"


def test_scripts_that_are_meant_to_be_run_can_be() -> None:
    for name in ("scripts/setup", "scripts/quickstart", "scripts/test", ".ci/run"):
        path = ROOT / name
        assert path.stat().st_mode & 0o111, name
        assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n"), name
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_ci_calls_the_test_script_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert "scripts/test" in lines[0]
