"""The decorators with which a plug-in marks what it provides, and the parameters that it declares."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

MARK = "__vsrpp__"
"""The attribute in which a marked object carries its `Declaration`."""
TYPES: dict[Any, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}

T = TypeVar("T")
Parameters = Mapping[str, "Parameter"] | type | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that a plug-in declares. It becomes a key of the run's configs, checked and shown like one of ours.

    A number needs `minimum` and `maximum`. `tier`: `startup` (fixed when a run starts), or `safe` or `careful`, which can be
    edited while the run trains.
    """

    type: type
    """int, float, bool or str."""
    default: Any = dataclasses.MISSING
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    """The allowed values of a text."""
    unit: str = ""
    description: str = ""
    tier: str = "startup"
    title: str = ""
    """A label for forms and menus; made of the key if empty."""
    scale: str = "linear"
    """`linear` or `log`: how a slider is scaled."""

    def to_json(self) -> dict[str, Any]:
        """As the run config records it."""
        kind = "choice" if self.choices else TYPES.get(self.type, str(self.type))
        facts: dict[str, Any] = {"type": kind, "default": self._number(self.default), "tier": self.tier}
        if self.minimum is not None or self.maximum is not None:
            facts |= {"minimum": self._number(self.minimum), "maximum": self._number(self.maximum)}
        if self.choices:
            facts["choices"] = list(self.choices)
        texts = {"unit": self.unit, "description": self.description, "title": self.title}
        return facts | {name: text for name, text in texts.items() if text} | {"scale": self.scale}

    def _number(self, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if self.type is float and whole else None if value is dataclasses.MISSING else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a marked object is."""

    kind: str
    name: str = ""
    """The loss term, the metric; for other kinds the name is where it comes from."""
    label: str = ""
    colour: str = ""
    default_weight: float = 0.0
    lower_is_better: bool = False
    description: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def network(*, parameters: Parameters = None, description: str = "") -> Callable[[T], T]:
    """Mark an `nn.Module` (N, T, 3, h, w) in [0, 1] -> (N, T, 3, scale·h, scale·w).

    It is called with `scale`, the declared parameters, and those keys of the run config that its constructor names
    (`n_feats`, `n_blocks`, `num_frames`), all as keywords.
    """
    return _marking("network", parameters, description=description)


def loss_term(
    *, name: str, label: str, colour: str, default_weight: float = 0.0, description: str = "",
    parameters: Parameters = None,
) -> Callable[[T], T]:  # fmt: skip
    """Mark a function (pred, truth) -> scalar, both (M, 3, H, W) fp32; truth in [0, 1], pred near it and not clamped.

    Its weight is the live, careful key `<name>_weight`, default `default_weight`, part of the rule on the weights' sum. It
    is computed only while its weight is above 0. `colour`: `#rrggbb`, in bars and charts. Declared parameters are passed
    as keywords, with the values in force.
    """
    return _marking(
        "loss",
        parameters,
        name=name,
        label=label,
        colour=colour,
        default_weight=default_weight,
        description=description,
    )


def degradation(*, parameters: Parameters = None, description: str = "") -> Callable[[T], T]:
    """Mark a function (frames, rng, *, scale, **parameters) -> small frames; see docs/extending.md for shapes."""
    return _marking("degradation", parameters, description=description)


def schedule(*, parameters: Parameters = None, description: str = "") -> Callable[[T], T]:
    """Mark a pure function (phase, **parameters) -> part of (max_lr - min_lr), both from 0 to 1.

    `phase` is 0 at the end of the warm-up and 1 at `max_steps`.
    """
    return _marking("schedule", parameters, description=description)


def optimizer(*, parameters: Parameters = None, description: str = "") -> Callable[[T], T]:
    """Mark a function (groups, *, weight_decay, **parameters) -> `torch.optim.Optimizer`; the rate is set before each step."""
    return _marking("optimizer", parameters, description=description)


def detector(*, parameters: Parameters = None, description: str = "") -> Callable[[T], T]:
    """Mark a subclass of `Detector`, the base of plateau detectors; it is called with the declared parameters."""
    return _marking("detector", parameters, description=description)


def reader(*, name: str, description: str = "") -> Callable[[T], T]:
    """Mark a reader of a dataset layout or file format; see docs/extending.md."""
    return _marking("reader", None, name=name, description=description)


def metric(*, name: str, label: str = "", lower_is_better: bool = False, description: str = "") -> Callable[[T], T]:
    """Mark a function (pred, truth) -> float, both (3, H, W) fp32 in [0, 1], one frame; validation records its mean as
    `val/<name>`."""
    return _marking(
        "metric", None, name=name, label=label or name, lower_is_better=lower_is_better, description=description
    )


def declaration_of(thing: object) -> Declaration | None:
    """The declaration of a marked object; None for any other, also for a subclass that is not marked itself."""
    found = vars(thing).get(MARK) if isinstance(thing, type) else getattr(thing, MARK, None)
    return found if isinstance(found, Declaration) else None


def _marking(kind: str, parameters: Parameters, **facts: Any) -> Callable[[T], T]:
    def mark(thing: T) -> T:
        own = inspect.cleandoc(getattr(thing, "__doc__", None) or "")  # not that of nn.Module, as getdoc gives
        about = facts.pop("description", "") or own.partition("\n\n")[0].replace("\n", " ")
        declared = Declaration(kind=kind, parameters=_declared(parameters), description=about[:500], **facts)
        setattr(thing, MARK, declared)
        return thing

    return mark


def _declared(parameters: Parameters) -> dict[str, Parameter]:
    """A dict of `Parameter`, or a dataclass whose fields are `Annotated[type, Parameter(type, …)]` with defaults."""
    if parameters is None:
        return {}
    if isinstance(parameters, Mapping):
        return dict(parameters)
    if not dataclasses.is_dataclass(parameters):
        raise TypeError("parameters: expected a dict of Parameter, or a dataclass")
    hints = get_type_hints(parameters, include_extras=True)
    return {one.name: _of_field(one, hints[one.name]) for one in dataclasses.fields(parameters)}


def _of_field(one: dataclasses.Field[Any], hint: Any) -> Parameter:
    described = (
        next((a for a in get_args(hint)[1:] if isinstance(a, Parameter)), None)
        if get_origin(hint) is Annotated
        else None
    )
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    about = described or Parameter(plain, **one.metadata)
    return dataclasses.replace(about, type=plain, default=one.default)
