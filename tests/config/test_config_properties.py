"""Properties of every possible edit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vsrpp import config

RUN, LIVE = config.defaults("base")
KEYS = list(LIVE)

anything = st.characters(exclude_categories=())  # lone surrogates too
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(anything) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
any_key = st.sampled_from([*config.parameters(), "revision", "max_lrr"]) | st.text(anything, max_size=20)
any_edit = st.dictionaries(any_key, json_like, max_size=5) | json_like


def plausible(parameter):
    """Values in the range of a live parameter, and just outside it."""
    if parameter.type == "boolean":
        return st.booleans()
    if parameter.type == "choice":
        return st.sampled_from([*parameter.choices, "other"])
    low, high = parameter.minimum, parameter.maximum
    edges = st.sampled_from([low, high, low - 1, high + 1])
    if parameter.type == "integer":
        return edges | st.integers(low, high) | st.integers(low, high).map(float)
    return edges | st.floats(low, high)


near_edit = st.fixed_dictionaries({}, optional={key: plausible(p) for key, p in config.live_parameters().items()})


@settings(max_examples=400, deadline=None)
@given(any_edit)
def test_no_edit_makes_the_check_raise_and_every_refusal_is_one_line(changes):
    problems = config.check_changes(LIVE, changes, RUN)
    if isinstance(changes, dict):
        assert {problem.key for problem in problems} <= set(changes)
    if problems:
        line = config.refusal_line(problems, 3, LIVE)
        assert len(line.splitlines()) == 1
        line.encode("utf-8")


@settings(max_examples=400, deadline=None)
@given(near_edit)
def test_accepted_edit_leaves_the_whole_config_valid(changes):
    if config.check_changes(LIVE, changes, RUN) == []:
        after = {**LIVE, **config.normalise(changes)}
        assert config.check_live(after, RUN) == []
        assert [type(value) for value in after.values()] == [type(value) for value in LIVE.values()]
        config.warnings(LIVE, changes)


@settings(max_examples=400, deadline=None)
@given(near_edit)
def test_refused_edit_would_have_left_the_config_invalid(changes):
    if config.check_changes(LIVE, changes, RUN):
        assert config.check_live({**LIVE, **changes}, RUN)


@settings(max_examples=200, deadline=None)
@given(near_edit, near_edit)
def test_saves_of_disjoint_keys_both_survive_a_merge(mine, theirs):
    mine = {key: value for key, value in mine.items() if key not in theirs}
    current = {**LIVE, **mine}
    changes, conflicts = config.merge(LIVE, {**LIVE, **theirs}, current)
    assert conflicts == []
    assert {**current, **changes} == {**LIVE, **mine, **theirs}


@settings(max_examples=200, deadline=None)
@given(near_edit, near_edit)
def test_merge_takes_each_key_of_a_save_as_an_edit_as_done_or_as_a_conflict(mine, theirs):
    current, saved = {**LIVE, **mine}, {**LIVE, **theirs}
    changes, conflicts = config.merge(LIVE, saved, current)
    assert not set(changes) & set(conflicts)
    for change in config.diff(LIVE, saved):
        done = not config.diff({"": current[change.key]}, {"": change.new})
        assert (change.key in changes) + (change.key in conflicts) + done == 1
    assert {change.key for change in config.diff(LIVE, saved)} >= {*changes, *conflicts}


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), plausible(config.parameters()[key]))))
def test_written_value_is_read_back_as_the_same(pair):
    key, value = pair
    normal = config.normalise({key: value})
    read = config.parse_assignments([f"{key}={config.format_value(key, normal[key])}"])
    assert config.normalise(read) == normal
