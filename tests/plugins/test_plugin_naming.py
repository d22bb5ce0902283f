"""How a plug-in is named and found, what becomes of it in the run config, and what is refused, with file and line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.plugins import EXTRAS, loss, write
from tests.support.reasons import raises
from vsrpp.config import schema
from vsrpp.plugins import messages, naming
from vsrpp.plugins.naming import Named

NET = "import torch\n\nclass Plain(torch.nn.Module):\n    def __init__(self, scale, n_feats=4):\n        super().__init__()\n"


def loaded(values: dict[str, Any], *folders: Path, plugins: tuple[str, ...] = ()) -> tuple[list[dict[str, Any]], Any]:
    """The record of the plug-ins, and the values with what they provide in place of what was typed."""
    names = [naming.by_option(text) for text in plugins] + naming.named_in(values)
    records, provided_as = naming.load(names, folders)
    return records, naming.renamed(values, provided_as)


def test_a_file_is_found_beside_the_config_file_before_the_working_directory(tmp_path: Path, here: Path) -> None:
    beside = write(tmp_path / "configs", name="nets.py")
    write(here, name="nets.py")
    alone = write(here, name="only.py")
    folders = [tmp_path / "configs", here]
    records, values = loaded({"network": "nets.py:TinyNet"}, *folders)
    assert (records[0]["path"], values) == (str(beside), {"network": "nets.py:TinyNet"})
    assert naming.find(naming.by_option("only.py"), folders).main == alone
    with raises(messages.NO_FILE, file="none.py", folders=f"{tmp_path / 'configs'} and {here}"):
        naming.find(naming.by_option("none.py"), folders)


def test_a_value_names_the_file_without_its_folder(tmp_path: Path, here: Path) -> None:
    file = write(tmp_path / "far")
    write(here / "sub", name="near.py")
    for named, value in ((str(file), "extras.py:TinyNet"), ("sub/near.py", "near.py:TinyNet")):
        records, values = loaded({"network": f"{named}:TinyNet"}, here)
        assert values == {"network": value}
        assert {one["name"] for one in records[0]["provides"]} == {value, "fft"}
        assert schema.of({"plugins": records}).parameters["network"].choices[-1] == value


def test_the_only_network_of_a_file_needs_no_name(here: Path) -> None:
    write(here)
    assert loaded({"network": "extras.py"}, here)[1] == {"network": "extras.py:TinyNet"}
    write(here, EXTRAS + "\n@network()\nclass Other(TinyNet):\n    pass\n", "two.py")
    with raises(messages.NO_ATTRIBUTE, name="single network", provided="TinyNet, Other"):
        loaded({"network": "two.py"}, here)


def test_a_module_is_named_by_its_dotted_name(here: Path) -> None:
    write(here, "", "nets_of_a/__init__.py")
    write(here, "from .parts import Base\n" + NET.replace("torch.nn.Module", "Base"), "nets_of_a/nets.py")
    write(here, "import torch\nclass Base(torch.nn.Module):\n    pass\n", "nets_of_a/parts.py")
    write(here, "", "nets_of_a/unused.py")
    (record,), values = loaded({"network": "nets_of_a.nets:Plain"})
    assert values == {"network": "nets_of_a.nets:Plain"}
    assert (record["source"], record["module"]) == ("nets_of_a.nets", "nets_of_a.nets")
    assert list(record["files"]) == ["nets_of_a/__init__.py", "nets_of_a/nets.py", "nets_of_a/parts.py"]
    with raises(messages.NO_MODULE, name="nets_of_a.missing"):
        naming.find(naming.by_option("nets_of_a.missing"), [])
    with raises(messages.NO_MODULE, name="../x"):
        naming.find(naming.by_option("../x"), [])


def test_an_entry_point_is_a_short_name(distribution: Path, here: Path) -> None:
    (record,), values = loaded({"network": "tiny"}, plugins=("fft",))
    assert values == {"network": "tiny"}
    assert (record["module"], record["distribution"]) == ("far_nets", "far-nets 1.5")
    assert [(one["kind"], one["name"], one["attribute"]) for one in record["provides"]] == [
        ("loss", "fft", "fft"), ("network", "tiny", "TinyNet")
    ]  # fmt: skip
    assert "far_nets" in sys.modules


def test_an_unmarked_module_takes_the_keys_that_its_constructor_names(here: Path) -> None:
    write(here, NET, "plain.py")
    (record,), _ = loaded({"network": "plain.py:Plain"}, here)
    (provided,) = record["provides"]
    assert (provided["takes"], provided["parameters"]) == (["n_feats"], {})


def test_a_dataclass_declares_parameters(here: Path) -> None:
    write(
        here,
        "from dataclasses import dataclass, field\nfrom typing import Annotated\nfrom vsrpp.plugins import *\n"
        "@dataclass\nclass Settings:\n"
        '    my_rate: Annotated[float, Parameter(float, minimum=0, maximum=1, unit="1/s", tier="safe")] = 0.5\n'
        '    my_mode: Annotated[str, Parameter(str, choices=("a", "b"))] = "a"\n'
        "    my_width: int = field(default=3, metadata={'minimum': 1, 'maximum': 9, 'description': 'Wide.'})\n"
        '@loss_term(name="dc", label="DC", colour="#123456", parameters=Settings)\n'
        "def dc(pred, truth, **settings):\n    return (pred - truth).mean()\n",
        "data.py",
    )
    (record,), _ = loaded({}, here, plugins=("data.py",))
    known = schema.of({"plugins": [record]}).parameters
    rate, mode, width = known["my_rate"], known["my_mode"], known["my_width"]
    assert (rate.type, rate.minimum, rate.maximum, rate.default, rate.unit, rate.tier) == (
        "number", 0.0, 1.0, 0.5, "1/s", "safe"
    )  # fmt: skip
    assert (mode.choices, mode.default, width.default, width.description) == (("a", "b"), "a", 3, "Wide.")


def test_a_second_name_of_the_same_thing_adds_nothing(here: Path) -> None:
    write(here, loss("once") + "again = term\n", "aliases.py")
    (record,), _ = loaded({}, here, plugins=("aliases.py",))
    assert [one["attribute"] for one in record["provides"]] == ["term"]


HEAD = "import torch\nfrom vsrpp.plugins import *\n"
TERM = "def term(pred, truth, **_):\n    return pred.mean()\n"
NETWORK = "class Net(torch.nn.Module):\n    def __init__(self, {}):\n        super().__init__()\n"
PARAMETER = "Parameter(int, default=2, minimum=1, maximum=3)"
UNFIT = [
    ("1/0\n", 3, messages.NOT_IMPORTED, "ZeroDivisionError: division by zero"),
    ("def broken(:\n", 3, messages.NOT_IMPORTED, "SyntaxError: invalid syntax"),
    ("import sys\nsys.exit()\n", 4, messages.NOT_IMPORTED, "SystemExit"),
    ("x = 1\n", 1, messages.NOTHING_PROVIDED, "provides nothing"),
    (f'@loss_term(name="L1 x", label="x", colour="#123456")\n{TERM}', 3, messages.DOES_NOT_FIT, "its name must"),
    (f'@loss_term(name="total", label="x", colour="#123456")\n{TERM}', 3, messages.DOES_NOT_FIT, "must not be total"),
    (f'@loss_term(name="red", label="x", colour="red")\n{TERM}', 3, messages.DOES_NOT_FIT, "#rrggbb"),
    (f'@loss_term(name="none", label="", colour="#123456")\n{TERM}', 3, messages.DOES_NOT_FIT, "a label"),
    (
        f'@loss_term(name="much", label="x", colour="#123456", default_weight=1.5)\n{TERM}',
        3, messages.DOES_NOT_FIT, "between 0 and 1",
    ),
    (f'@loss_term(name="l1", label="x", colour="#123456")\n{TERM}', 3, messages.NAME_TAKEN, "l1_weight"),
    (
        f'@loss_term(name="own", label="x", colour="#123456", parameters={{"max_lr": {PARAMETER}}})\n{TERM}',
        3, messages.NAME_TAKEN, "max_lr",
    ),
    (
        f'@loss_term(name="own", label="x", colour="#123456", parameters={{"revision": {PARAMETER}}})\n{TERM}',
        3, messages.NAME_TAKEN, "revision",
    ),
    (
        f'@loss_term(name="own", label="x", colour="#123456", parameters={{"own_weight": {PARAMETER}}})\n{TERM}',
        3, messages.NAME_TAKEN, "own_weight",
    ),
    (
        '@loss_term(name="own", label="x", colour="#123456", parameters={"Big": Parameter(int, default=1)})\n' + TERM,
        3, messages.DOES_NOT_FIT, "parameter 'Big'",
    ),
    (
        '@loss_term(name="own", label="x", colour="#123456", parameters={"wide": Parameter(int, default=1)})\n' + TERM,
        3, messages.DOES_NOT_FIT, "needs minimum <= default <= maximum",
    ),
    (
        '@loss_term(name="own", label="x", colour="#123456", parameters={"huge": Parameter(int, 1, 0, 10**400)})\n' + TERM,
        3, messages.DOES_NOT_FIT, "finite",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason", "why"), UNFIT, ids=lambda value: str(value)[:24])
def test_what_does_not_fit_is_refused_with_file_and_line(
    text: str, line: int, reason: Any, why: str, here: Path
) -> None:
    file = write(here, HEAD + text, "unfit.py")
    with raises(reason, where=f"{file}:{line}") as caught:
        loaded({}, here, plugins=("unfit.py",))
    assert why in str(caught.value)
    assert caught.value.exit_code == 2


NETWORKS = [
    (f"@network()\n{NETWORK.format('*, scale, depth')}", 3, messages.DOES_NOT_FIT, "needs depth"),
    (f"@network()\n{NETWORK.format('*, n_feats')}", 3, messages.DOES_NOT_FIT, "does not take scale"),
    (
        f"@network(parameters={{'width': {PARAMETER}}})\n{NETWORK.format('scale')}",
        3, messages.DOES_NOT_FIT, "does not take width",
    ),
    (f"@detector()\n{NETWORK.format('scale')}", 3, messages.WRONG_KIND, "declared as detector, and network needs network"),
    ("Net = 3\n", 1, messages.WRONG_KIND, "declared as int"),
    (NETWORK.format("scale").replace("Net(", "Other("), 1, messages.NO_ATTRIBUTE, "has no Net; it provides no network"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason", "why"), NETWORKS, ids=lambda value: str(value)[:24])
def test_a_network_that_cannot_be_made_is_refused_with_file_and_line(
    text: str, line: int, reason: Any, why: str, here: Path
) -> None:
    file = write(here, HEAD + text, "unfit.py")
    with raises(reason, where=f"{file}:{line}") as caught:
        loaded({"network": "unfit.py:Net"}, here)
    assert why in str(caught.value)


def test_two_plugins_cannot_declare_the_same_name(here: Path) -> None:
    write(here, loss("same"), "one.py")
    second = write(here, loss("same"), "two.py")
    with raises(messages.NAME_TAKEN, name="same_weight", where=f"{second}:4"):
        loaded({}, here, plugins=("one.py", "two.py"))


def test_an_attribute_selects_what_an_option_brings(here: Path) -> None:
    write(here, loss("first") + loss("second").replace("def term", "def other"), "both.py")
    (record,), _ = loaded({}, here, plugins=("both.py:other",))
    assert [one["name"] for one in record["provides"]] == ["second"]
    with raises(messages.NO_ATTRIBUTE, name="third", provided="term, other"):
        loaded({}, here, plugins=("both.py:third",))


def test_what_the_values_name_is_told_from_ours() -> None:
    assert naming.named_in({"network": "basicvsr", "detector": "brief", "keep_best_by": "val/psnr_y"}) == []
    assert naming.named_in({"network": "no_such_name"}) == []
    assert naming.named_in({"network": "a.b:C"}) == [Named(text="a.b:C", place="a.b", attribute="C", key="network")]
