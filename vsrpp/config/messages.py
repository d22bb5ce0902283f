"""Why a value, an edit or a config file is refused: each sentence beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, Remark

# ---- one value, after `KEY = VALUE refused: `
UNKNOWN = Reason("refused.unknown", "unknown, and no parameter has a similar name")
UNKNOWN_NEAR = Reason("refused.unknown_near", "unknown; did you mean {nearest}?")
RANGE = Reason("refused.range", "must be between {minimum} and {maximum}")
MINIMUM = Reason("refused.minimum", "must be at least {minimum}")
CHOICE = Reason("refused.choice", "must be {choices}")
CHOICE_OR_PLUGIN = Reason(
    "refused.choice_or_plugin",
    "must be {choices}, or a plug-in's: FILE.py:NAME, MODULE:NAME, or as `vsrpp plugins` lists it",
)
TYPE = Reason("refused.type", "must be {expected}")
TYPE_GIVEN = Reason("refused.type_given", "must be {expected}, not {given}")
EMPTY = Reason("refused.empty_value", "must not be empty")
TOO_LONG = Reason("refused.too_long", "must be at most {limit} characters long")
FORM = Reason("refused.form", "{form}")
MISSING = Reason("refused.missing", "is missing")
STARTUP = Reason(
    "refused.startup", "cannot change while the run trains: restart, or start a new run from this checkpoint"
)
REVISION_KEY = Reason("refused.revision_key", "cannot be set: the run numbers its revisions")
NAME_NOT_TEXT = Reason("refused.name_type", "the name of a parameter is text")
NAME_EMPTY = Reason("refused.name_empty", "the name of a parameter must not be empty")

# ---- rules over several keys
BELOW = Reason("refused.below", "must be below {other}")
ABOVE = Reason("refused.above", "must be above {other}")
MULTIPLE = Reason("refused.multiple", "must be a multiple of {other}")
DIVIDES = Reason("refused.divides", "must divide {other}")
NEEDS_OTHER = Reason("refused.needs", "must be 0 in a run without {other}")
NEEDED_BY = Reason("refused.needed", "must be set, as {other} is above 0")
SUM = Reason("refused.sum", "{name} would sum to {total}; they must sum to {minimum}–{maximum} (set them together)")

# ---- an edit or a config as a whole
EDIT_NOT_OBJECT = Reason("refused.edit_type", "an edit is an object of keys and values")
CONFIG_NOT_OBJECT = Reason("refused.config_type", "a config is an object of keys and values")
TOO_MANY_KEYS = Reason("refused.too_many_keys", "an edit of {count} keys; the limit is {limit}")
NOT_AN_ASSIGNMENT = Reason("refused.assignment", "{text} refused: expected KEY=VALUE, as in max_lr=2e-4.")
SET_TWICE = Reason("refused.twice", "{key} refused: set twice, to {first} and to {second}.")
CONFIG_REFUSED = Reason("refused.config", "{why}")
"""A config that cannot start a run; `causes` lists the problems one by one."""

# ---- plug-ins
PLUGIN_RECORD = Reason("refused.plugin_record", "The record of a plug-in is not valid: {why}.")

# ---- an edit that is allowed, yet notable
ALREADY = Remark("warning.already", "{key} is already {value}")
MUCH_HIGHER = Remark("warning.much_higher", "{key} becomes {factor}x the current value")
MUCH_LOWER = Remark("warning.much_lower", "{key} becomes 1/{factor} of the current value")
UNEVEN_SUM = Remark("warning.sum", "{name} sum to {total}: the total loss is scaled by it")
SCHEDULE_CHANGES = Remark(
    "warning.schedule", "max_steps also sets the length of the learning-rate schedule: the rate changes with it"
)

# ---- a probation
PROBATION_STEPS = Reason("refused.probation_steps", "must be a whole number of steps between 1 and {limit}")
CONDITION_FORM = Reason(
    "refused.condition", "revert-if {text} refused: expected a form like `loss > 2x` or `psnr_y < -0.5`."
)
CONDITION_METRIC = Reason("refused.condition_metric", "revert-if {text} refused: {metric} is not one of {metrics}.")
CONDITION_NUMBER = Reason(
    "refused.condition_number", "revert-if {text} refused: {value} must be a finite number, and above 0 with x."
)

# ---- a config file
NO_CONFIG_FILE = Reason("not_found.config_file", "No config file {file}.", NotFound)
NO_RECIPE = Reason(
    "not_found.recipe",
    "No config file {file}, and no recipe of that name; the recipes are {recipes}.",
    NotFound,
)
FILE_FOLDER = Reason(
    "refused.file_folder", "{file} refused: it is a folder; give a YAML file, or the name of a recipe."
)
FILE_FOLDER_NEAR = Reason("refused.file_folder_near", "{file} refused: it is a folder; did you mean {inside}?")
FILE_NOT_REGULAR = Reason(
    "refused.file_not_regular",
    "{file} refused: it is a pipe or a device, and a config is read more than once. Save it as a YAML file.",
)
FILE_TOO_LARGE = Reason(
    "refused.file_size", "{file} refused: {mib} MiB are too much for a config; expected a YAML file."
)
FILE_OTHER_FORMAT = Reason(
    "refused.file_format",
    "{file} refused: it is {format}. A config is YAML or JSON, as in `max_lr: 2e-4`; nothing was read from it.",
)
FILE_CONTAINS_ITSELF = Reason(
    "refused.file_cycle", "{file} refused: a YAML alias (*) in it refers to its own anchor (&)."
)
FILE_NOT_OBJECT = Reason("refused.file", "{file} refused: expected keys and values, as in `max_lr: 2e-4`.")
FILE_LIVE_NOT_OBJECT = Reason("refused.file_live", "{file} refused: expected keys and values under `live`.")
FILE_SET_TWICE = Reason("refused.file_twice", "{file} refused: {key} is set twice, to {first} and to {second}.")
FILE_ALERTS = Reason("refused.file_alerts", "{file} refused: expected {keys} under `alerts`.")
FILE_PLUGINS = Reason("refused.file_plugins", "{file} refused: expected a list of files or modules under `plugins`.")
FILE_UNREADABLE = Reason("refused.file_unreadable", "{file} refused: cannot be read ({why}).")
FILE_NOT_YAML = Reason("refused.file_encoding", "{file} refused: it is not text in UTF-8; a config is a YAML file.")
FILE_SYNTAX = Reason("refused.file_syntax", "{file} refused: {why}{place}.")
FILE_CHARACTERS = Reason(
    "refused.file_characters", "{file} refused: it contains control characters; a config is a YAML file."
)
NO_PRESET = Reason("refused.preset", "preset = {value} refused: must be {choices}.")

# ---- an option file of another project
FOREIGN_FILE = Reason(
    "refused.foreign_config",
    "{file} refused: it is an option file of {kind}. To write a config of it: vsrpp import-config {file}",
)
NO_OPTION_FILE = Reason(
    "refused.no_option_file", "{file} refused: it is not an option file of BasicSR (YAML) or mmagic (Python)."
)
