"""What one setting is: its default, its rule, its help text, and what a resumed run may do with it, in one place.

A dataclass declares its fields by `setting(...)`; checks, flags and what may change on resume are read from them.
"""

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, field, fields
from typing import Any, NamedTuple

# Headings of their flags.
BUDGET, LIMITS, RUN = "Budget", "Limits (a resumed run may be given more)", "Run"
LARGEST = 10**9  # no count here is meant to be larger: a ceiling keeps a slip of the keyboard out of the arithmetic


class ConfigError(ValueError):
    """A setting that cannot be run; the message is one line, `--flag=value: rule`."""


def refusal(flag: str, value: object, rule: str) -> ConfigError:
    """The error for a setting, written as on the command line; line breaks in `value` are escaped."""
    text = "" if value is None else as_text(value)
    return ConfigError(f"--{flag}={text if text.isprintable() else ascii(text)}: {rule}")


def as_text(value: object) -> str:
    """A value as it is written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


# Rules ----------------------------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """What a value must be.

    Attributes:
        text: the rule in words.
        holds: value -> whether it keeps the rule.
        read: text on the command line -> value; ValueError for text of another form.
    """

    text: str
    holds: Callable[[Any], bool]
    read: Callable[[str], Any]


def whole(low: int, high: int = LARGEST) -> Rule:
    """A whole number of a range."""
    text = f"must be a whole number from {low} to {high}"
    return Rule(text, lambda value: type(value) is int and low <= value <= high, int)


def number(text: str, inside: Callable[[float], bool]) -> Rule:
    """A finite number."""
    # `type(...) in`, not isinstance: True is an int.
    return Rule(
        f"must be a finite number {text}",
        lambda value: type(value) in (int, float) and abs(value) <= LARGEST and inside(value),
        float,
    )


ABOVE_0 = number("above 0", lambda value: value > 0)


def one_of(names: tuple[str, ...]) -> Rule:
    """A name of a list."""
    return Rule(f"must be one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names, str)


def text(what: str) -> Rule:
    """Any text but none."""
    return Rule(f"must be {what}", lambda value: isinstance(value, str) and value != "", str)


def path(what: str) -> Rule:
    """A path, or a name that may stand for one."""
    return text(what)._replace(read=given_path)


def given_path(text: str) -> str:
    """A path as it stands on a command line: `~` is the home folder, which a shell leaves to us behind `=`."""
    return os.path.expanduser(text)


def switch() -> Rule:
    """True or false."""
    return Rule("must be true or false", lambda value: isinstance(value, bool), bool)


def optional(rule: Rule) -> Rule:
    """What another rule says, or None."""
    return rule._replace(text=f"{rule.text}, or not be given", holds=lambda value: value is None or rule.holds(value))


def tuple_of(rule: Rule, low: int, high: int, text: str, **named: tuple) -> Rule:
    """From `low` to `high` values, each of which keeps `rule`; `named` are words that stand for whole tuples."""

    def read(argument: str) -> tuple:
        return named[argument] if argument in named else tuple(rule.read(part.strip()) for part in argument.split(","))

    return Rule(
        text, lambda value: isinstance(value, tuple) and low <= len(value) <= high and all(map(rule.holds, value)), read
    )


def some_of(names: tuple[str, ...], low: int = 0, **named: tuple) -> Rule:
    """From `low` to all of some names; `named` are words that stand for whole tuples."""
    words = "".join(f"{word}, " for word in named) + ("or " if named else "")
    return tuple_of(one_of(names), low, len(names), f"must be {words}some of {','.join(names)}", **named)


# Settings -------------------------------------------------------------------------------------------------------------

# What a run that goes on may be given: the same; the same, where it is given; the same or more; anything.
FIXED, FIXED_IF_GIVEN, RAISABLE, FREE = "fixed", "fixed if given", "raisable", "free"


class Setting(NamedTuple):
    """One setting: `group` is the heading of its flag, `resumed` what a resumed run may do with it, `before` its value in runs of
    versions that did not have it."""

    name: str
    default: Any
    rule: Rule
    help: str
    group: str
    resumed: str
    before: Any

    @property
    def is_switch(self) -> bool:
        """Whether it is true or false."""
        return isinstance(self.default, bool)


def setting(
    rule: Rule, help: str, *, default: Any = MISSING, group: str = "", resumed: str = FIXED, before: Any = MISSING
) -> Any:
    """A field of a dataclass of settings; without a default it must be given."""
    return field(
        default=default, metadata={"setting": (rule, help, group, resumed, default if before is MISSING else before)}
    )


def limit(rule: Rule, help: str, *, default: Any) -> Any:
    """A field for a limit, which a run that goes on may be given more of."""
    return setting(rule, help, default=default, group=LIMITS, resumed=RAISABLE)


def declared(owner: type) -> Iterator[Setting]:
    """The settings of a dataclass, in its order."""
    for each in fields(owner):
        default = None if each.default is MISSING else each.default
        yield Setting(each.name, default, *each.metadata["setting"])


def check(values: Any) -> None:
    """Turns a settings object's lists into tuples, and checks each of its values.

    Raises:
        ConfigError: a value breaks its rule.
    """
    for each in declared(type(values)):
        value = getattr(values, each.name)
        if isinstance(value, list):
            value = tuple(value)
            object.__setattr__(values, each.name, value)
        if not each.rule.holds(value):
            raise refusal(each.name, value, each.rule.text)


# Going on -------------------------------------------------------------------------------------------------------------


def raisable(settings: type) -> tuple[str, ...]:
    """Names of the limits that a run which goes on may be given more of."""
    return tuple(each.name for each in declared(settings) if each.resumed == RAISABLE)


def free(settings: type) -> tuple[str, ...]:
    """Names of the settings that a run which goes on may be given anything of: what it comes to does not follow from their values."""
    return tuple(each.name for each in declared(settings) if each.resumed == FREE)


def of_before(settings: type) -> dict[str, Any]:
    """Values of settings that runs of earlier versions did not have, where these are not the defaults."""
    return {each.name: each.before for each in declared(settings) if each.before not in (each.default, MISSING)}


def differences(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """The settings that differ, by name, each as (old value, new value)."""
    pairs = {each.name: (getattr(old, each.name), getattr(new, each.name)) for each in declared(type(old))}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def check_resume(saved: Any, wanted: Any, kept: Collection[str] = ()) -> None:
    """Checks that a run begun with some settings may go on with others: the same but for its place and raised limits.

    Args:
        saved: the settings that it was begun with.
        wanted: those that it is given now.
        kept: names of limits that may not be raised in this run.

    Raises:
        ConfigError: another setting differs, or a limit is lowered; the message names each with both values.
    """
    resumed = {each.name: each.resumed for each in declared(type(saved))}
    bound = {
        name: (old, new)
        for name, (old, new) in differences(saved, wanted).items()
        if not (resumed[name] == FREE or (resumed[name] == FIXED_IF_GIVEN and new is None))
    }
    limits = [name for name in raisable(type(saved)) if name not in kept]
    if why := why_not_resumed(bound, limits):
        remedy = "give it the settings it has, or another --output_dir"
        raise refusal("resume", True, f"the run {why}; {remedy}")


def why_not_resumed(changed: Mapping[str, tuple[Any, Any]], limits: Collection[str]) -> str | None:
    """Why what was begun with other settings may not go on with these; None where it may.

    Args:
        changed: the settings that differ, by name, each as (old value, new value).
        limits: names of those that may be raised.
    """
    refused = {name: pair for name, pair in changed.items() if not (name in limits and is_raised(*pair))}
    if not refused:
        return None
    listed = "; ".join(f"{name} was {old!r}, is {new!r}" for name, (old, new) in refused.items())
    return f"was begun with other settings ({listed}); only {', '.join(limits)} may change, and only be raised"


def is_raised(old: float | None, new: float | None) -> bool:
    """Whether a limit is a higher one than before; None is no limit."""
    return (math.inf if new is None else new) > (math.inf if old is None else old)
