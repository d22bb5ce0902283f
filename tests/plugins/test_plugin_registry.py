"""Importing: once per process, from the recorded bytes, with the place of an error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.plugins import loss, write
from tests.support.reasons import raises
from vsrpp.plugins import messages, registry, source


def test_an_import_error_names_the_innermost_line_of_the_plugins_own(here: Path) -> None:
    helper = write(here, "import json\n\ndef f(x):\n    return json.loads(x)\n", "inner_helper.py")
    file = write(here, "import inner_helper\n\ninner_helper.f('{')\n")
    before = set(sys.modules)
    with raises(messages.NOT_IMPORTED, where=f"{helper}:4", source="extras.py") as caught:
        registry.load(source.of_file(file))
    assert "JSONDecodeError: Expecting property name" in str(caught.value)
    assert not [name for name in set(sys.modules) - before if name.startswith("vsrpp_plugin_extras")]
    assert "inner_helper" not in sys.modules


def test_it_is_loaded_once(here: Path) -> None:
    file = write(
        here, "from pathlib import Path\nwith Path('count').open('a') as f:\n    f.write('x')\n" + loss("once")
    )
    found = source.of_file(file)
    assert registry.load(found) is registry.load(source.of_file(file))
    assert (here / "count").read_text() == "x"
    assert registry.source_of(found.sha256) == found
    assert registry.source_of("0" * 64) is None


def test_what_runs_is_what_was_hashed_whatever_stands_there_now(here: Path) -> None:
    file = write(here, "import hashed_helper\nvalue = hashed_helper.value\n")
    helper = write(here, "value = 1\n", "hashed_helper.py", alone=False)
    found = source.of_file(file)
    helper.write_text("value = 2\n")
    assert registry.load(found).value == 1


def test_bytecode_of_an_earlier_text_is_not_used_and_none_is_written(here: Path) -> None:
    moment = (1e9, 1e9)
    for value in (1, 2):
        file = write(here, f"value = {value}\n", "fast.py", alone=False)
        os.utime(file, moment)  # same size, same time: Python's own cache would not see the change
        assert registry.load(source.of_file(file)).value == value
    assert not (here / "__pycache__").exists()


def test_an_import_inside_a_function_finds_the_siblings(here: Path) -> None:
    write(here, "value = 3\n", "lazy_helper.py")
    write(here, "value = 4\n", "lazy_folder/part.py")
    text = "def f():\n    import lazy_helper\n    from lazy_folder import part\n    return lazy_helper.value + part.value\n"
    assert registry.load(source.of_file(write(here, text))).f() == 7


def test_a_sibling_can_import_the_file_that_was_named(here: Path) -> None:
    write(here, "def f():\n    import mutual\n    return mutual.value\n", "mutual_helper.py")
    file = write(here, "import mutual_helper\nvalue = 5\n", "mutual.py")
    assert registry.load(source.of_file(file)).mutual_helper.f() == 5


def test_a_file_may_have_the_name_of_a_module_that_is_in_use(here: Path) -> None:
    assert registry.load(source.of_file(write(here, "value = 6\n", "random.py"))).value == 6


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    modules = [registry.load(source.of_file(write(tmp_path / name, f"value = '{name}'\n"))) for name in ("a", "b")]
    assert [module.value for module in modules] == ["a", "b"]


def test_two_versions_of_a_sibling_do_not_share_a_process(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, f"value = '{name}'\n", "shared_helper.py")
        write(tmp_path / name, "import shared_helper\n")
    registry.load(source.of_file(tmp_path / "a" / "extras.py"))
    with raises(messages.SECOND_VERSION, path=str(tmp_path / "a" / "shared_helper.py")):
        registry.load(source.of_file(tmp_path / "b" / "extras.py"))


def test_an_import_that_cannot_be_read_from_the_text_is_refused(here: Path) -> None:
    write(here, "", "dynamic_helper.py")
    file = write(here, "import importlib, sys\nsys.path.insert(0, '.')\nimportlib.import_module('dynamic_helper')\n")
    try:
        with raises(messages.UNSEEN_IMPORT, where=f"{file}:1", file="dynamic_helper.py"):
            registry.load(source.of_file(file))
    finally:
        sys.path.remove(".")
        sys.modules.pop("dynamic_helper", None)


def test_a_relative_import_of_a_file_says_so(here: Path) -> None:
    write(here, "", "relative_helper.py")
    file = write(here, "from . import relative_helper\n")
    with raises(messages.NOT_IMPORTED, where=f"{file}:1"):
        registry.load(source.of_file(file))
