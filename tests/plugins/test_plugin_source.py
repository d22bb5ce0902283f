"""Which files a plug-in consists of: found by reading imports, without running anything."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.support.plugins import loss, write
from tests.support.reasons import raises
from vsrpp.plugins import messages, source


def files(file: Path) -> list[str]:
    return list(source.of_file(file).files)


def test_the_sha256_of_one_file_is_that_of_its_bytes(here: Path) -> None:
    file = write(here, loss("one"))
    said = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    assert source.of_file(file).sha256 == said


def test_the_sha256_of_several_is_that_of_their_list(here: Path) -> None:
    file = write(here, "import helper\n")
    write(here, "x = 1\n", "helper.py")
    found = source.of_file(file)
    listed = subprocess.run(
        ["sha256sum", "extras.py", "helper.py"], cwd=here, capture_output=True, text=True, check=True
    ).stdout
    assert found.sha256 == hashlib.sha256(listed.encode()).hexdigest()
    assert found.digests == {line.split()[1]: line.split()[0] for line in listed.splitlines()}


def test_siblings_are_found_in_turn_and_inside_functions(here: Path) -> None:
    file = write(here, "def later():\n    import first\n")
    write(here, "from second import x\nimport third.part, json, torch\n", "first.py")
    write(here, "from extras import later\n", "second.py")
    write(here, "import vsrpp, ui, tests\n", "third/part.py")
    write(here, "raise SystemExit\n", "unused.py")
    for ours in ("vsrpp", "ui"):
        write(here, "", f"{ours}/__init__.py")
    assert files(file) == ["extras.py", "first.py", "second.py", "third/part.py"]


def test_the_packages_on_the_way_are_part_of_it(here: Path) -> None:
    file = write(here, "from nets.deep.block import Block\nfrom nets import other\n")
    write(here, "", "nets/__init__.py")
    write(here, "from . import sibling\nfrom .. import cousin\nfrom ..far.away import x\n", "nets/deep/__init__.py")
    for name in ("nets/deep/block.py", "nets/deep/sibling.py", "nets/cousin.py", "nets/far/away.py", "nets/other.py"):
        write(here, "", name)
    assert files(file) == [
        "extras.py", "nets/__init__.py", "nets/cousin.py", "nets/deep/__init__.py", "nets/deep/block.py",
        "nets/deep/sibling.py", "nets/far/away.py", "nets/other.py",
    ]  # fmt: skip


def test_a_module_has_the_files_of_its_own_package_only(here: Path) -> None:
    write(here, "from .parts import x\nimport neighbour\n", "own_pkg/nets.py")
    write(here, "", "own_pkg/parts.py")
    write(here, "", "neighbour.py")
    found = source.of_module("own_pkg.nets", [here])
    assert found is not None
    assert (list(found.files), found.root) == (["own_pkg/nets.py", "own_pkg/parts.py"], here)
    assert source.of_module("own_pkg.absent", [here]) is None
    assert source.of_module("sys", [here]) is None


@pytest.mark.parametrize(
    ("content", "line", "error"),
    [
        (b"x = 1\ny = (\n", 2, "SyntaxError: '(' was never closed"),
        ("x = 1\n# über\n".encode("latin-1"), 2, "it is not UTF-8"),
        (b"x = 1\0\n", 1, "source code string cannot contain null bytes"),
        (b"x = " + b"-" * 100_000 + b"1\n", 1, "Error"),
    ],
    ids=["unclosed", "latin-1", "null", "deep"],
)
def test_what_is_not_python_is_refused_with_file_and_line(content: bytes, line: int, error: str, here: Path) -> None:
    file = here / "broken.py"
    file.write_bytes(content)
    with raises(messages.NOT_IMPORTED, where=f"{file}:{line}") as caught:
        source.of_file(file)
    assert error in str(caught.value)


def test_a_source_over_the_limits_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 100)
    large = write(here, "x = 1\n" * 100, "large.py")
    with raises(messages.DOES_NOT_FIT, where=f"{large}:1"):
        source.of_file(large)
    monkeypatch.setattr(source, "MAX_FILES", 1)
    write(here, "", "other.py", alone=False)
    with raises(messages.DOES_NOT_FIT, name="many.py"):
        source.of_file(write(here, "import other\n", "many.py", alone=False))


def test_what_is_written_down_is_taken_up_again(here: Path, tmp_path: Path) -> None:
    file = write(here, "\ufeff# Ünïcode\r\nimport helper\r\n")
    write(here, "x = '€'\n", "helper.py")
    found = source.of_file(file)
    texts = {name: content.decode("utf-8") for name, content in found.files.items()}
    again = source.unpack(found.name, found.module, texts, tmp_path / "kept")
    assert (again.sha256, again.main.read_bytes()) == (found.sha256, file.read_bytes())
    assert source.of_file(again.main).files == found.files


def test_a_difference_names_the_first_changed_line_or_the_file(here: Path) -> None:
    file = write(here, "a = 1\nb = 2\nimport helper\n", alone=False)
    write(here, "x = 1\n", "helper.py", alone=False)
    then = source.of_file(file)
    texts = {name: content.decode() for name, content in then.files.items()}

    def difference() -> str:
        return source.difference(texts, source.of_file(file), then.digests)

    write(here, "a = 1\nb = 3\nimport helper\n", alone=False)
    assert difference() == "extras.py, line 2 differs"
    write(here, "a = 1\nb = 2\nimport helper\nimport more\n", alone=False)
    assert difference() == "extras.py, line 4 differs"
    write(here, "", "more.py", alone=False)
    write(here, "a = 1\nb = 2\nimport more\n", alone=False)
    assert difference() == "extras.py, line 3 differs"
    write(here, "x = 2\n", "helper.py", alone=False)
    write(here, "a = 1\nb = 2\nimport helper\n", alone=False)
    assert difference() == "helper.py, line 1 differs"
