"""Every refusal, word for word."""

from __future__ import annotations

import datetime

import pytest

from vsrpp import config
from vsrpp.config import Problem
from vsrpp.errors import Refused

RUN, LIVE = config.defaults("base")
NAN, INF = float("nan"), float("inf")

REFUSED_VALUES = [
    # (edit, the reason at its only problem)
    ({"max_lr": 0.5}, "max_lr = 0.5 refused: must be between 1e-05 and 0.001."),
    ({"max_lr": -1}, "max_lr = -1 refused: must be between 1e-05 and 0.001."),
    ({"max_lr": NAN}, "max_lr = nan refused: must be a finite number, not nan."),
    ({"max_lr": INF}, "max_lr = inf refused: must be a finite number, not inf."),
    ({"max_lr": -INF}, "max_lr = -inf refused: must be a finite number, not -inf."),
    ({"max_lr": True}, "max_lr = true refused: must be a finite number, not true."),
    ({"max_lr": None}, "max_lr = null refused: must be a finite number, not null."),
    ({"max_lr": "fast"}, 'max_lr = "fast" refused: must be a finite number, not text.'),
    ({"max_lr": "2e-4"}, 'max_lr = "2e-4" refused: must be a finite number, not text (write it without quotes).'),
    ({"max_lr": [2e-4]}, "max_lr = [0.0002] refused: must be a finite number, not a list."),
    ({"max_lr": {"to": 1}}, 'max_lr = {"to": 1} refused: must be a finite number, not an object.'),
    ({"grad_clip": 10.5}, "grad_clip = 10.5 refused: must be between 0.1 and 10."),
    ({"plateau_patience": 40}, "plateau_patience = 40 refused: must be between 50 and 1000."),
    ({"plateau_patience": 300.5}, "plateau_patience = 300.5 refused: must be a whole number."),
    ({"plateau_patience": True}, "plateau_patience = true refused: must be a whole number, not true."),
    ({"plateau_patience": NAN}, "plateau_patience = nan refused: must be a whole number, not nan."),
    (
        {"max_steps": 10**400},
        f"max_steps = 1{'0' * 58}… refused: must be between 1 and 10000000.",
    ),
    ({"adaptive": 1}, "adaptive = 1 refused: must be true or false, not a number."),
    ({"adaptive": "on"}, 'adaptive = "on" refused: must be true or false, not text.'),
    ({"plateau_action": "up"}, 'plateau_action = "up" refused: must be none, reduce_lr or boost_lr.'),
    ({"plateau_action": None}, "plateau_action = null refused: must be none, reduce_lr or boost_lr, not null."),
    ({"plateau_action": 3}, "plateau_action = 3 refused: must be none, reduce_lr or boost_lr, not a number."),
    # rules over several keys, from the side of the key that broke them
    ({"min_lr": 1e-4, "max_lr": 1e-5}, "min_lr = 0.0001 refused: must be below max_lr (1e-05)."),
    ({"max_lr": 1e-5, "min_lr": 1e-5}, "max_lr = 1e-05 refused: must be above min_lr (1e-05)."),
    ({"plateau_patience": 800}, "plateau_patience = 800 refused: must be below plateau_safety_threshold (800)."),
    (
        {"plateau_safety_threshold": 200},
        "plateau_safety_threshold = 200 refused: must be above plateau_patience (250).",
    ),
    (
        {"l1_weight": 0.1},
        "l1_weight = 0.1 refused: the loss weights would sum to 0.5; they must sum to 0.95–1.05 (set them together).",
    ),
    (
        {"ms_weight": 0.0, "grad_weight": 0.0},
        "ms_weight = 0.0 refused: the loss weights would sum to 0.6; they must sum to 0.95–1.05 (set them together).",
    ),
    (
        {"l1_weight": 0.6500001},
        (
            "l1_weight = 0.6500001 refused: the loss weights would sum to 1.0500001; "
            "they must sum to 0.95–1.05 (set them together)."
        ),
    ),
    (
        {"l1_weight": 0.5, "perceptual_weight": 0.1},
        "perceptual_weight = 0.1 refused: must be 0 in a run without perceptual_weights.",
    ),
    # names
    ({"max_lrr": 1e-4}, "max_lrr = 0.0001 refused: unknown; did you mean max_lr?"),
    ({"MAX_LR": 1e-4}, "MAX_LR = 0.0001 refused: unknown; did you mean max_lr?"),
    ({"n_feat": 64}, "n_feat = 64 refused: unknown; did you mean n_feats?"),
    ({"zzz": 1}, "zzz = 1 refused: unknown, and no parameter has a similar name."),
    ({"": 1}, "edit refused: the name of a parameter must not be empty."),
    ({"max lr\n": 1}, '"max lr\\n" = 1 refused: unknown; did you mean max_lr?'),
    ({"revision": 7}, "revision = 7 refused: cannot be set: the run numbers its revisions."),
    (
        {"n_feats": 32},
        "n_feats = 32 refused: cannot change while the run trains: restart, or start a new run from this checkpoint.",
    ),
    (
        {"batch_size": "many"},
        'batch_size = "many" refused: cannot change while the run trains: restart, or start a new run from this checkpoint.',
    ),
    # not an edit
    ([], "edit refused: an edit is an object of keys and values."),
    ("max_lr", "edit refused: an edit is an object of keys and values."),
    (None, "edit refused: an edit is an object of keys and values."),
    # several problems at once
    (
        {"max_lrr": 1, "grad_clip": -1, "l1_weight": 0.1, "scale": 2},
        (
            "max_lrr = 1 refused: unknown; did you mean max_lr? "
            "grad_clip = -1 refused: must be between 0.1 and 10; "
            "l1_weight = 0.1 refused: the loss weights would sum to 0.5; "
            "they must sum to 0.95–1.05 (set them together); "
            "scale = 2 refused: cannot change while the run trains: restart, or start a new run from this checkpoint."
        ),
    ),
]


@pytest.mark.parametrize(("changes", "line"), REFUSED_VALUES)
def test_refused_edit_says_what_and_why(changes, line):
    assert config.refusal(config.check_changes(LIVE, changes, RUN)) == line


REFUSED_STARTUP = [
    ({"n_feats": 3}, "n_feats = 3 refused: must be between 4 and 512."),
    ({"n_feats": 64.5}, "n_feats = 64.5 refused: must be a whole number."),
    ({"scale": 5}, "scale = 5 refused: must be 2, 3 or 4."),
    ({"scale": "4"}, 'scale = "4" refused: must be 2, 3 or 4, not text (write it without quotes).'),
    ({"scale": True}, "scale = true refused: must be 2, 3 or 4, not true."),
    (
        {"network": "edvr"},
        (
            'network = "edvr" refused: must be vsrpp, basicvsr or basicvsrpp'
            ", or a plug-in's: FILE.py:NAME, MODULE:NAME, or as `vsrpp plugins` lists it."
        ),
    ),
    ({"crop_size": 250}, "crop_size = 250 refused: must be a multiple of scale (4)."),
    ({"scale": 3}, "scale = 3 refused: must divide crop_size (256)."),
    ({"num_frames": 1}, "num_frames = 1 refused: must be between 2 and 200."),
    ({"data": ""}, 'data = "" refused: must not be empty.'),
    ({"data": None}, "data = null refused: must be text or an object, not null."),
    (
        {"frame_interval": "2;3"},
        'frame_interval = "2;3" refused: must be whole numbers from 1 to 99 with commas between them, such as 1,2,3.',
    ),
    ({"frame_interval": 0}, "frame_interval = 0 refused: must be between 1 and 99."),
    ({"frame_interval": 1.5}, "frame_interval = 1.5 refused: must be text or a whole number."),
    ({"use_hflip": True}, "use_hflip = true refused: unknown; did you mean flip (left-right and up-down)?"),
    ({"random_reverse": False}, "random_reverse = false refused: unknown; did you mean reverse_time?"),
    ({"data": 5}, "data = 5 refused: must be text or an object, not a number."),
    ({"data": {"val": []}}, "data.train = null refused: is missing."),
    ({"data": {"train": []}}, "data.train = [] refused: must not be empty."),
    ({"data": {"train": "sample"}}, 'data.train = "sample" refused: must be a list, not text.'),
    ({"data": {"train": [{"kind": "reds"}]}}, "data.train[0].path = null refused: is missing."),
    (
        {"data": {"train": [{"path": "a"}, {"path": "b", "weight": 0}]}},
        "data.train[1].weight = 0 refused: must be between 0.001 and 1000.",
    ),
    (
        {"data": {"train": [{"path": "a", "wieght": 2}]}},
        "data.train[0].wieght = 2 refused: unknown; did you mean weight?",
    ),
    (
        {"data": {"train": [{"path": "a"}], "val": [{"path": "b", "degradation": "blur"}]}},
        (
            'data.val[0].degradation = "blur" refused: must be bicubic, bd or realistic'
            ", or a plug-in's: FILE.py:NAME, MODULE:NAME, or as `vsrpp plugins` lists it."
        ),
    ),
    ({"data": {"train": [["a"]]}}, 'data.train[0] = ["a"] refused: must be an object, not a list.'),
    (
        {"val_data": datetime.date(2026, 1, 2)},
        "val_data = a date refused: must be text or null, not a date.",
    ),
    ({"name": "x" * 201}, f'name = "{"x" * 58}… refused: must be at most 200 characters long.'),
    ({"torch_threads": 0}, "torch_threads = 0 refused: must be between 1 and 1024."),
    ({"torch_threads": "two"}, 'torch_threads = "two" refused: must be a whole number or null, not text.'),
    ({"perceptual_weight": 0.05}, "perceptual_weight = 0.05 refused: must be 0 in a run without perceptual_weights."),
    ({"n_feet": 8}, "n_feet = 8 refused: unknown; did you mean n_feats?"),
]


@pytest.mark.parametrize(("sets", "line"), REFUSED_STARTUP)
def test_refused_start_says_what_and_why(sets, line):
    with pytest.raises(Refused) as refused:
        config.resolve("base", None, sets)
    assert str(refused.value) == line


def test_line_says_what_holds_instead():
    live = {**LIVE, "max_lr": 2e-4}
    problems = config.check_changes(live, {"max_lr": 0.5}, RUN)
    assert config.refusal_line(problems, 6, live) == (
        "max_lr = 0.5 refused: must be between 1e-05 and 0.001. Still at revision 6 (max_lr = 0.0002)."
    )


def test_line_on_several_keys_says_what_each_of_them_is():
    problems = config.check_changes(LIVE, {"max_lr": 0.5, "grad_clip": 0, "max_lrr": 1}, RUN)
    assert config.refusal_line(problems, 0, LIVE) == (
        "max_lr = 0.5 refused: must be between 1e-05 and 0.001; "
        "grad_clip = 0 refused: must be between 0.1 and 10; "
        "max_lrr = 1 refused: unknown; did you mean max_lr? "
        "Still at revision 0 (max_lr = 0.00015, grad_clip = 1.0)."
    )


def test_line_on_an_unknown_key_says_the_revision_alone():
    problems = config.check_changes(LIVE, {"zzz": 1}, RUN)
    assert config.refusal_line(problems, 3, LIVE).endswith("similar name. Still at revision 3.")


def test_line_stays_one_line_whatever_the_value():
    value = "one\ntwo\u2028three\x00\ud800"
    line = config.refusal_line([Problem("max_lr", value, "must be a finite number, not text")], 1, LIVE)
    assert len(line.splitlines()) == 1
    line.encode("utf-8")


def test_whole_config_names_what_is_missing():
    live = {key: value for key, value in LIVE.items() if key != "max_lr"}
    assert config.check_live(live, RUN) == [Problem("max_lr", None, "is missing", "refused.missing")]
    assert [problem.key for problem in config.check_run({})] == list(config.startup_parameters())


def test_whole_config_that_is_no_object_is_a_problem_and_no_crash():
    assert [problem.message for problem in config.check_live([], RUN)] == ["a config is an object of keys and values"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_lr": 2e-4}, []),
        ({"max_lr": 1e-3}, ["max_lr becomes 6.67x the current value"]),
        ({"min_lr": 8e-6}, ["min_lr becomes 8x the current value"]),
        ({"max_lr": 1.5e-5}, ["max_lr becomes 1/10 of the current value"]),
        ({"grad_clip": 1}, ["grad_clip is already 1.0"]),
        ({"l1_weight": 0.64}, ["the loss weights sum to 1.04: the total loss is scaled by it"]),
        ({"l1_weight": 0.5, "ms_weight": 0.3}, []),
        (
            {"max_steps": 1000},
            ["max_steps also sets the length of the learning-rate schedule: the rate changes with it"],
        ),
    ],
)
def test_warnings_say_what_is_allowed_and_yet_worth_a_word(changes, words):
    assert [remark["message"] for remark in config.warnings(LIVE, changes)] == words
