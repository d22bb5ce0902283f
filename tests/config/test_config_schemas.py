"""The schemas agree with the metaschema, with each other, and with the parameters page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from vsrpp import config, paths
from vsrpp.config import schema, validator

ROOT = Path(__file__).resolve().parents[2]
ALL_SCHEMAS = [*schema.CONFIG_SCHEMAS, schema.EVENTS_SCHEMA]

EVENT = {
    "seq": 1,
    "time": 1.75e9,
    "step": 0,
    "branch": 0,
    "type": "started",
    "revision": 0,
    "origin": None,
    "author": None,
    "reason": None,
    "data": {},
    "hash": "0" * 64,
}


@pytest.mark.parametrize("name", ALL_SCHEMAS)
def test_schema_is_valid_under_its_metaschema(name):
    Draft202012Validator.check_schema(schema.load(name))


@pytest.mark.parametrize("name", ALL_SCHEMAS)
def test_keywords_of_our_own_start_with_x(name):
    known = set(Draft202012Validator.VALIDATORS) | {
        *("$schema", "$id", "$defs", "title", "description", "default", "readOnly"),
    }
    said = schema.load(name)
    for place in [said, *said["properties"].values()]:
        assert {keyword for keyword in place if not keyword.startswith("x-")} <= known


@pytest.mark.parametrize("preset", config.presets())
def test_defaults_of_every_preset_are_valid_and_normal(preset):
    run_config, live_config = config.defaults(preset)
    assert config.check_run(run_config) == []
    assert config.check_live(live_config, run_config) == []
    for values in (run_config, live_config):
        assert list(map(repr, config.normalise(values).values())) == list(map(repr, values.values()))


def test_live_defaults_of_base_are_those_of_the_design():
    _, live = config.defaults("base")
    assert live == {
        "plateau_patience": 250,
        "plateau_safety_threshold": 800,
        "cooldown_duration": 50,
        "max_lr": 1.5e-4,
        "min_lr": 1e-6,
        "grad_clip": 1.0,
        "l1_weight": 0.6,
        "ms_weight": 0.2,
        "grad_weight": 0.2,
        "perceptual_weight": 0.0,
        "log_every": 10,
        "validate_every": 500,
        "checkpoint_every": 1000,
        "max_steps": 300000,
        "adaptive": True,
        "plateau_action": "none",
    }


@pytest.mark.parametrize(
    ("key", "tier", "minimum", "maximum"),
    [
        ("plateau_patience", "safe", 50, 1000),
        ("plateau_safety_threshold", "safe", 100, 5000),
        ("cooldown_duration", "safe", 20, 200),
        ("max_lr", "safe", 1e-5, 1e-3),
        ("min_lr", "safe", 1e-8, 1e-4),
        ("grad_clip", "safe", 0.1, 10),
        ("log_every", "safe", 1, 500),
        ("validate_every", "safe", 10, 100000),
        ("checkpoint_every", "safe", 10, 100000),
        ("max_steps", "safe", 1, 10**7),
        ("l1_weight", "careful", 0, 1),
        ("ms_weight", "careful", 0, 1),
        ("grad_weight", "careful", 0, 1),
        ("perceptual_weight", "careful", 0, 1),
    ],
)
def test_ranges_are_those_of_the_design_and_inclusive(key, tier, minimum, maximum):
    parameter = config.parameters()[key]
    assert (parameter.tier, parameter.minimum, parameter.maximum) == (tier, minimum, maximum)
    for value in (minimum, maximum):
        problems = config.check_changes({}, {key: value})
        assert problems == []


def test_menu_numbers_follow_the_brief_and_then_run_on_without_gaps():
    live = config.live_parameters()
    assert [parameter.menu for parameter in live.values()] == list(range(10, 10 + len(live)))
    assert list(live)[:10] == [
        *("plateau_patience", "plateau_safety_threshold", "cooldown_duration", "max_lr", "min_lr", "grad_clip"),
        *("l1_weight", "ms_weight", "grad_weight", "perceptual_weight"),
    ]
    assert all(parameter.menu is None for parameter in config.startup_parameters().values())


def test_parameters_are_the_live_ones_then_those_fixed_at_the_start():
    assert config.parameters() == {**config.live_parameters(), **config.startup_parameters()}
    assert list(config.parameters()) == [*config.live_parameters(), *config.startup_parameters()]


def test_no_key_is_in_both_configs():
    assert not set(config.live_parameters()) & set(config.startup_parameters())


def test_tiers_types_and_scales_are_known_and_every_parameter_is_described():
    for key, parameter in config.parameters().items():
        assert parameter.tier in ("safe", "careful", "startup"), key
        assert parameter.type in ("number", "integer", "boolean", "string", "choice"), key
        assert parameter.scale in ("linear", "log"), key
        assert set(parameter.presets) == set(config.presets()), key
        assert parameter.title and parameter.group, key
        assert len(parameter.description) > 30 and parameter.description.endswith("."), key
        if parameter.type in ("number", "integer"):
            assert parameter.minimum < parameter.maximum, key


def test_rules_speak_of_known_keys_in_known_ways():
    known = set(config.parameters())
    for name in schema.CONFIG_SCHEMAS:
        for rule in schema.load(name)["x-rules"]:
            assert set(rule["keys"]) <= known
            assert rule["rule"] in validator.RULES


def test_a_plain_validator_of_the_live_schema_enforces_the_rules_too():
    _, live = config.defaults("base")
    judge = validator.ConfigValidator(schema.load(schema.LIVE_SCHEMA))
    assert judge.is_valid({"revision": 3, **live})
    assert not judge.is_valid({**live, "l1_weight": 0.1})
    assert not judge.is_valid({**live, "max_lr": float("nan")})


def test_an_event_has_exactly_the_fields_types_and_origins_of_the_schema():
    judge = Draft202012Validator(json.loads(paths.schema_file(schema.EVENTS_SCHEMA).read_text()))
    assert judge.is_valid(EVENT)
    for key in EVENT:
        assert not judge.is_valid({name: value for name, value in EVENT.items() if name != key}), key
    for wrong in ({"type": "guessed"}, {"origin": "phone"}, {"hash": "0"}, {"seq": 0}, {"extra": 1}, {"step": -1}):
        assert not judge.is_valid({**EVENT, **wrong}), wrong


def test_page_of_parameters_is_what_the_schemas_say():
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "schema_docs", "--check"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_importing_the_config_loads_no_library_that_is_not_needed_yet():
    code = (
        "import sys, vsrpp.config, vsrpp.schedule as s; run, live = vsrpp.config.defaults('demo');"
        "s.curve(0, 400, live, run); vsrpp.config.format_value('max_lr', 1e-4);"
        "print([n for n in ('jsonschema', 'yaml', 'torch', 'numpy', 'mlflow', 'difflib') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "[]"
