"""What the panel itself refuses, each sentence beside its reason code; German stands in the catalogue."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, VsrppError

# ---- starting the panel
NO_LANGUAGE = Reason("refused.panel.language", "lang = {lang} refused: must be {choices}.")
OPEN_HOST = Reason(
    "refused.panel.host",
    "host = {host} refused: the panel steers a run, so other machines may reach it only with its token or a login. Omit"
    " --no-token, give --auth FILE, or keep 127.0.0.1 and use an SSH tunnel.",
)
NO_PORT = Reason("failed.panel.port", "The panel found no free port on {host} from {port} on: {why}.", VsrppError)
AUTH_UNREADABLE = Reason("not_found.panel.auth", "The file given with --auth, {file}, cannot be read: {why}.", NotFound)
AUTH_OPEN = Reason("refused.panel.auth_mode", "{file} can be read by other users: chmod 600 {file}")
AUTH_LINE = Reason(
    "refused.panel.auth_line",
    "{file}, line {number}: expected name:role:scrypt$…, so no password stands there in clear. Convert the file with vsrpp"
    " panel --hash-auth {file}, or add people with vsrpp panel --auth {file} --add-user NAME.",
)
AUTH_PLAIN_LINE = Reason(
    "refused.panel.auth_plain", "{file}, line {number}: expected name:password. Nothing was changed."
)
AUTH_OTHER_HASH = Reason(
    "refused.panel.auth_hash",
    "{file}, line {number}: this hash (of htpasswd, or damaged) cannot be converted, as the password is not in it. Nothing was"
    " changed. Remove the line and set a password with vsrpp panel --auth {file} --add-user NAME.",
)
AUTH_EMPTY = Reason(
    "refused.panel.auth_empty", "{file} contains no login: add people with vsrpp panel --auth {file} --add-user NAME."
)
AUTH_UNWRITABLE = Reason("failed.panel.auth", "{file} cannot be written: {why}.", VsrppError)
USER_NAME = Reason(
    "refused.panel.user_name",
    "name {name} refused: must be 1 to {longest} printable characters without a colon, and not begin with #.",
)
PASSWORD_LENGTH = Reason(
    "refused.panel.password_length",
    "password refused: must have {shortest} to {longest} characters. Nothing was changed.",
)

# ---- who may do what
ROLE = Reason("refused.panel.role", "{action} refused: {who} has the role {role} here; this needs {needed}.")
ROLE_EDIT = Reason(
    "refused.panel.role_edit",
    "{keys} refused: {who} has the role {role} here; editing this needs {needed}. No edit was sent.",
)
ROLE_EDIT_ENDS = Reason(
    "refused.panel.role_edit_ends",
    "max_steps = {max_steps} refused: it ends the run now; {who} has the role {role} here, and this needs {needed}. No edit"
    " was sent.",
)

# ---- what a page asks
NO_PAGE = Reason("not_found.panel.page", "There is no page {page}.", NotFound)
NO_PICTURE = Reason("not_found.panel.picture", "There is no such picture.", NotFound)
NO_RUN_HERE = Reason("not_found.panel.run", "There is no run {run} in {folder}.", NotFound)
REQUEST_TOO_LARGE = Reason("refused.panel.size", "The request is larger than {limit_kib} KiB.")
REQUEST_TOO_SLOW = Reason("refused.panel.slow", "The request was not complete within {limit_s} s.")
REQUEST_NOT_JSON = Reason("refused.panel.json", "The request is not valid JSON.")
NOT_AN_ORDER = Reason("refused.panel.order", "The request must be a JSON object.")
PROBATION_STEPS = Reason(
    "refused.panel.probation",
    "steps of probation = {steps} refused: must be a whole number of at least 1. No edit was sent.",
)

# ---- what a button starts
NOT_A_VERB = Reason("refused.panel.verb", "{verb} refused: the panel starts only {verbs}.")
RUN_LIKE_OPTION = Reason(
    "refused.panel.run_name", "{run} refused: the command line would read the name of this run as an option."
)
STEP_RANGE = Reason("refused.panel.step_range", "step {step} refused: must be between 0 and {largest}.")
STEP_TYPE = Reason("refused.panel.step_type", "step {step} refused: must be a whole number.")
NEEDS_STEP = Reason("refused.panel.step_missing", "{verb} refused: it needs a step.")
ALIAS_FORM = Reason(
    "refused.panel.alias",
    "alias {alias} refused: must be a letter, then up to 63 letters, digits, - and _ (such as champion).",
)
JOB_RUNNING = Reason("refused.panel.running", "{line} refused: it is already running.")
TOO_MANY_JOBS = Reason(
    "refused.panel.jobs", "{line} refused: {count} jobs are running; wait for one to end, or cancel one."
)
TARGET_EXISTS = Reason(
    "refused.panel.target", "{line} refused: {target} already exists. Remove it, or copy the command and change --out."
)
JOB_NOT_STARTED = Reason("failed.panel.job", "{line} could not be started: {why}.", VsrppError)
JOB_ENDED = Reason("refused.panel.job_ended", "{line} has ended.")
NO_JOB = Reason("not_found.panel.job", "There is no job {job}.", NotFound)
