"""Command lines that follow from settings: flags, their errors in one line, and the help text."""

import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from absl import flags

from nash_tf.settings import ConfigError, Setting, as_text, declared

_WIDTH = 120  # of the help text
_INDENT = " " * 6
_ROOM = Path(__file__).parents[1]
_FLAG_FILES = (_ROOM / "flags", _ROOM.parent / "flags")  # in an installed package, in a checkout


class _Parser(flags.ArgumentParser):
    """Reads a flag's text; text of another form stays text, for the settings to refuse with the flag's rule."""

    def __init__(self, read: Callable[[str], Any]):
        self.read = read

    def parse(self, argument: str) -> Any:
        try:
            return self.read(argument)
        except ValueError:
            return argument


class _Flags(flags.FlagValues):
    """Flags whose files are found by name too, on the command line and in other flag files."""

    # Absl's own: it opens all flag files, and has no public place to find them.
    def _get_flag_file_lines(self, filename: str, parsed_file_stack: list[str] | None = None) -> list[str]:
        return super()._get_flag_file_lines(_place(filename), parsed_file_stack)


def define(owner: type, requests: Mapping[str, str] | None = None) -> flags.FlagValues:
    """Unread flags: not absl's global ones, so that no library's mix with ours and a second call starts afresh.

    Args:
        owner: a dataclass of settings.
        requests: name -> help text of switches that are no settings.
    """
    values = _Flags()
    for each in declared(owner):
        if each.is_switch:
            flags.DEFINE_boolean(each.name, False, each.help, values, "nash_tf")
        else:  # no default for absl: what is not given is left to the settings
            flags.DEFINE(_Parser(each.rule.read), each.name, None, each.help, values, module_name="nash_tf")
    for name, text in (requests or {}).items():
        flags.DEFINE_boolean(name, False, text, values, "nash_tf")
    return values


def read(values: flags.FlagValues, argv: Sequence[str], known_only: bool = False) -> list[str]:
    """Reads a command line, `argv[0]` being the program; returns the arguments that are no flags, or unknown ones.

    Raises:
        ConfigError: a flag is unknown or has another form.
    """
    try:
        return values(list(argv), known_only=known_only)[1:]
    except (flags.Error, ValueError) as error:
        raise ConfigError(_explain(error)) from None


def given(values: flags.FlagValues, owner: type) -> dict[str, Any]:
    """The settings that stand on a command line that has been read."""
    return {each.name: values[each.name].value for each in declared(owner) if values[each.name].present}


def usage(
    owner: type, requests: Mapping[str, str] | None = None, more: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The help text of a dataclass of settings, in the order of its `GROUPS`, or else of its fields.

    Args:
        owner, requests: as of `define`.
        more: name of a setting -> what follows its own help text.
    """
    groups: dict[str, list[str]] = {name: [] for name in getattr(owner, "GROUPS", ())}
    for each in declared(owner):
        groups.setdefault(each.group, []).append(_entry(each, more.get(each.name, "")))
    if requests:
        files = f"File of flags, one a line: a path or one of {', '.join(flag_files())}. What stands later wins."
        others = {**requests, "flagfile": files}
        groups.setdefault("Run", []).extend(f"  --{name}\n{_wrapped(text)}" for name, text in others.items())
    return "\n\n".join("\n".join([f"{group}:", *entries]) for group, entries in groups.items())


def flag_files() -> dict[str, Path]:
    """The flag files that come with the package, by name."""
    folder = next((each for each in _FLAG_FILES if each.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.flags"))} if folder else {}


def one_line(value: object) -> str:
    """A text on one line."""
    return " ".join(str(value).split())


def _place(name: str) -> str:
    """The path of a flag file that is given by path or by name; what is a path stays."""
    known = flag_files().get(name.removesuffix(".flags"))
    return str(known) if known and not os.path.exists(name) else name


def _entry(each: Setting, more: str) -> str:
    text = f"{each.help} {more}" if more else each.help
    if each.is_switch:
        default = f" Default: --{'' if each.default else 'no'}{each.name}."
        return f"  --[no]{each.name}\n{_wrapped(text + default)}"
    default = "" if each.default in (None, ()) else f" Default: {as_text(each.default)}."
    choice = each.rule.text.removeprefix("must be ")
    rule = f" One of {choice.removeprefix('one of ')}." if choice.startswith("one of ") else ""
    return f"  --{each.name}=\n{_wrapped(text + rule + default)}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False)


def _explain(error: Exception) -> str:
    """Absl's errors in the form of ours."""
    text = one_line(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"{one_line(error.flagvalue)}: {text}"
    if isinstance(error, flags.CantOpenFlagFileError):
        return f"--flagfile: {text.removeprefix('ERROR:: ')}; by name there are {', '.join(flag_files())}"
    if isinstance(error, UnicodeError):
        return f"--flagfile: must be a text file ({text})"
    return text.removeprefix("flag ")
