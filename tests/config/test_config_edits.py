"""Reading assignments, comparing configs, merging a saved file, writing values."""

from __future__ import annotations

import json
import math

import pytest

from vsrpp import config
from vsrpp.config import Change
from vsrpp.errors import Refused

RUN, LIVE = config.defaults("base")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("max_lr=2e-4", 2e-4),
        ("max_lr = 2e-4", 2e-4),
        ("plateau_patience=300", 300),
        ("plateau_patience=300.0", 300.0),
        ("plateau_patience=many", "many"),
        ("max_lr=", ""),
        ("max_lr=inf", math.inf),
        ("max_lr=" + "9" * 5000, math.inf),
        ("adaptive=off", False),
        ("adaptive=True", True),
        ("adaptive=1", True),
        ("adaptive=perhaps", "perhaps"),
        ("plateau_action=none", "none"),
        ("scale=2", 2),
        ("scale=5", "5"),
        ("name=null", None),
        ("name=run 7", "run 7"),
        ("data=/a=b", "/a=b"),
        ("torch_threads=none", None),
        ("torch_threads=2", 2),
        ("val_data=None", None),
        ("no_such_key=1", 1),
        ("no_such_key=on", True),
        ("no_such_key=some words", "some words"),
        ("no_such_key=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_assignment_is_typed_by_the_schema(text, value):
    (parsed,) = config.parse_assignments([text]).values()
    assert (type(parsed), parsed) == (type(value), value)


def test_nan_is_read_as_nan_and_refused_by_the_check():
    changes = config.parse_assignments(["max_lr=nan"])
    assert math.isnan(changes["max_lr"])
    assert config.check_changes(LIVE, changes)


@pytest.mark.parametrize(
    ("assignments", "line"),
    [
        (["max_lr"], '"max_lr" refused: expected KEY=VALUE, as in max_lr=2e-4.'),
        (["=3"], '"=3" refused: expected KEY=VALUE, as in max_lr=2e-4.'),
        (["max_lr=1e-4", "max_lr=2e-4"], "max_lr refused: set twice, to 0.0001 and to 0.0002."),
    ],
)
def test_assignment_that_cannot_be_read_is_refused(assignments, line):
    with pytest.raises(Refused) as refused:
        config.parse_assignments(assignments)
    assert str(refused.value) == line


def test_the_same_assignment_twice_is_no_conflict():
    assert config.parse_assignments(["max_lr=1e-4", "max_lr=0.0001"]) == {"max_lr": 1e-4}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("max_lr", 1.5e-4, "1.50e-04"),
        ("max_lr", 2e-4, "2.00e-04"),
        ("max_lr", 1.2345e-4, "1.2345e-04"),
        ("min_lr", 1e-6, "1.00e-06"),
        ("plateau_patience", 350, "350"),
        ("grad_clip", 1.0, "1.0"),
        ("l1_weight", 0.1 + 0.2, "0.30000000000000004"),
        ("adaptive", True, "on"),
        ("plateau_action", "none", "none"),
        ("scale", 4, "4"),
        ("torch_threads", None, "null"),
        ("no_such_key", [1, 2], "[1, 2]"),
    ],
)
def test_value_is_written_for_people(key, value, text):
    assert config.format_value(key, value) == text


def test_diff_names_the_changed_keys_with_old_and_new():
    assert config.diff(LIVE, {**LIVE, "max_lr": 2e-4, "log_every": 10.0}) == [Change("max_lr", 1.5e-4, 2e-4)]
    assert config.diff({"a": 1, "b": 2}, {"b": True, "c": 3}) == [
        Change("b", 2, True),
        Change("c", None, 3),
        Change("a", 1, None),
    ]


@pytest.mark.parametrize(
    ("base", "theirs", "current", "changes", "conflicts"),
    [
        ({"a": 1}, {"a": 1}, {"a": 1}, {}, []),
        ({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, []),
        ({"a": 1}, {"a": 1}, {"a": 2}, {}, []),  # others changed it, this save did not
        ({"a": 1}, {"a": 2}, {"a": 2}, {}, []),  # both changed it to the same
        ({"a": 1}, {"a": 2}, {"a": 3}, {}, ["a"]),
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 3}, {"a": 2}, []),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 3}, {"a": 2}, ["b"]),
        ({"a": 1, "b": 1}, {"a": 2}, {"a": 1, "b": 1}, {"a": 2}, []),  # a missing key is unchanged
        ({"a": 1}, {"a": 1, "typo": 5}, {"a": 1}, {"typo": 5}, []),  # left to the check to refuse
        ({"a": 1}, {"a": True}, {"a": 1}, {"a": True}, []),  # true is not 1
        ({"a": 300}, {"a": 300.0}, {"a": 300}, {}, []),
    ],
)
def test_saved_file_is_merged_three_way(base, theirs, current, changes, conflicts):
    assert config.merge(base, theirs, current) == (changes, conflicts)


def test_nan_in_a_saved_file_is_a_change_and_so_gets_its_answer():
    changes, conflicts = config.merge(LIVE, {**LIVE, "max_lr": math.nan}, LIVE)
    assert list(changes) == ["max_lr"] and conflicts == []


def test_runtime_file_has_the_revision_first_and_reads_back():
    text = config.dump_runtime(dict(reversed(LIVE.items())), 7)
    assert text.endswith("}\n")
    assert list(json.loads(text).items()) == [("revision", 7), *LIVE.items()]


def test_normalising_gives_every_value_its_parameters_type():
    given = {"plateau_patience": 300.0, "grad_clip": 2, "adaptive": True, "scale": 4.0, "torch_threads": None, "x": 1.0}
    wanted = {"plateau_patience": 300, "grad_clip": 2.0, "adaptive": True, "scale": 4, "torch_threads": None, "x": 1.0}
    assert repr(config.normalise(given)) == repr(wanted)


def test_whole_float_is_accepted_for_an_integer():
    assert config.check_changes(LIVE, {"plateau_patience": 300.0}, RUN) == []


def test_perceptual_weight_is_accepted_in_a_run_that_has_the_file():
    changes = {"l1_weight": 0.5, "perceptual_weight": 0.1}
    assert config.check_changes(LIVE, changes, {**RUN, "perceptual_weights": "/vgg19.pth"}) == []
    assert config.check_changes(LIVE, changes) == []  # the run's value is not given


@pytest.mark.parametrize(("l1_weight", "accepted"), [(0.55, True), (0.65, True), (0.5499, False), (0.6501, False)])
def test_weight_sum_is_inclusive_at_both_ends(l1_weight, accepted):
    assert (config.check_changes(LIVE, {"l1_weight": l1_weight}, RUN) == []) is accepted


def test_weights_set_together_are_judged_together():
    changes = {"l1_weight": 0.1, "ms_weight": 0.5, "grad_weight": 0.4}
    assert config.check_changes(LIVE, changes, RUN) == []


def test_edit_is_not_refused_for_a_rule_it_has_no_part_in():
    assert config.check_changes({**LIVE, "l1_weight": 0.1}, {"log_every": 20}, RUN) == []
