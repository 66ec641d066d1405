"""Rule files: what people write, checked on the way in (TOML, see docs/rules.md).

A file with `provider` holds the rules of one receiver and says how it is recognised; one without
holds rules for everybody. Nothing here compiles or applies a rule.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from bouncer.classify.category import BounceClass, Category
from bouncer.files import octets_of
from bouncer.mail.reply import Command

PACKAGED = Path(__file__).parent / "rules"

_HEADINGS = {"rule": "[[rule]]", "recognise": "[recognise]"}
_MAX_QUOTED = 80  # characters of a value that a message repeats

_FEEDBACK = {
    Category.COMPLAINT,
    Category.UNSUBSCRIBE,
    Category.AUTO_REPLY,
    Category.CHALLENGE_RESPONSE,
}


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Status = Annotated[str, Field(pattern=r"^[245*]\.(\d{1,3}|\*)(\.(\d{1,3}|\*))?$")]
Code = Annotated[str, Field(pattern=r"^[2456](\d\d|\d\*|\*)$")]
Text = Annotated[str, Field(min_length=1)]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleEntry(_Written):
    """One rule: when it applies, what it says, a reply that shows it, and where that is known from.

    `pattern` is searched for in the server's words; a rule without one goes by `status`, `code` and
    `command`.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    category: Category
    pattern: Text | None = None
    status: Annotated[tuple[Status, ...], BeforeValidator(_as_tuple)] = ()
    code: Annotated[tuple[Code, ...], BeforeValidator(_as_tuple)] = ()
    command: Annotated[tuple[Command, ...], BeforeValidator(_as_tuple)] = ()
    class_: Annotated[BounceClass | None, Field(alias="class")] = None
    examples: Annotated[tuple[Text, ...], Field(min_length=1)]
    source: Text
    reason: str | None = None

    @model_validator(mode="after")
    def _says_when(self) -> "RuleEntry":
        if not (self.pattern or self.status or self.code or self.command):
            raise ValueError(
                "write a pattern, a status, a code or a command: nothing says when it applies"
            )
        if self.category in _FEEDBACK:
            raise ValueError(f"{self.category} is not a reason for a failed delivery")
        return self


class Recognition(_Written):
    """How a provider is told: names of its servers, its mail domains, and how its replies read.

    `reporting_mta` counts only where a report names no remote server. `vendor_code` finds the
    provider's own code in any of its replies (group 1, or all of the match).
    """

    remote_mta: tuple[Text, ...] = ()
    reporting_mta: tuple[Text, ...] = ()
    recipient_domains: tuple[Text, ...] = ()
    reply: tuple[Text, ...] = ()
    vendor_code: Text | None = None


class RuleFile(_Written):
    """One file of rules."""

    provider: Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")] = None
    recognise: Recognition = Recognition()
    rule: tuple[RuleEntry, ...] = ()

    @property
    def says_nothing(self) -> bool:
        return not self.rule and self.recognise == Recognition()

    @model_validator(mode="after")
    def _recognises_somebody(self) -> "RuleFile":
        if self.provider is None and self.recognise != Recognition():
            raise ValueError("recognise says how a provider is told: write its name as `provider`")
        return self


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a rule file, and where: line, or the rule's id, or nothing better."""

    file: Path
    text: str
    line: int | None = None
    rule: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: rule {self.rule}: {self.text}" if self.rule else f"{place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Written:
    """A rule file that holds what it should, and its octets."""

    path: Path
    content: RuleFile
    octets: bytes

    def fault(self, position: int, text: str) -> Fault:
        """A fault of the rule at this position, with the line on which it begins."""
        line = _line_of(position, rule_lines(self.octets))
        return Fault(self.path, text, line, self.content.rule[position].id)


def files_of(places: Iterable[Path]) -> tuple[list[Path], list[Fault]]:
    """The rule files of directories (or single files) in the order of reading, and what hides some.

    Of a directory that is each `*.toml` but hidden ones: editors keep their locks in those
    (`.#own.toml`). A file that is named twice is there once. What is listed has to be readable.
    """
    files: dict[str, Path] = {}
    faults: list[Fault] = []
    for place in places:
        try:
            for path in _within(place):
                files.setdefault(os.path.realpath(path), path)
        except OSError as error:
            faults.append(Fault(place, f"cannot be read: {error.strerror}"))
        except ValueError:
            faults.append(Fault(place, "no file can have this name"))
    return list(files.values()), faults


def read_all(places: Iterable[Path]) -> tuple[list[Written], list[Fault]]:
    """The files of directories (or single files) as written, and everything wrong with them."""
    files: list[Written] = []
    paths, faults = files_of(places)
    for path in paths:
        file, wrong = read(path)
        faults += wrong
        files += [file] if file else []
    return files, faults


def idle(places: Sequence[Path]) -> list[Fault]:
    """The directories and files without a rule.

    Whoever checks rules has named the wrong place. A service only warns of them: it may start
    before the first rule is written, and goes on when the last one is taken away.
    """
    faults = [Fault(place, "holds no rule file (*.toml)") for place in places if _is_empty(place)]
    files, _ = read_all(places)
    return faults + [
        Fault(file.path, "holds no rule") for file in files if file.content.says_nothing
    ]


def read(path: Path) -> tuple[Written | None, list[Fault]]:
    """One file as written, or everything that is wrong with it."""
    try:
        octets = octets_of(path)
    except FileNotFoundError:
        return None, [Fault(path, "is not there")]
    except OSError as error:
        return None, [Fault(path, f"cannot be read: {error.strerror}")]
    return parse(path, octets)


def parse(path: Path, octets: bytes) -> tuple[Written | None, list[Fault]]:
    """A file of these octets as written, or everything that is wrong with it."""
    try:
        document = tomllib.loads(octets.decode())
    except RecursionError:
        return None, [Fault(path, "is nested too deeply")]
    except ValueError as error:  # also of a number with too many digits
        return None, [Fault(path, f"is not TOML: {error}")]
    try:
        return Written(path, RuleFile.model_validate(document), octets), []
    except ValidationError as error:
        return None, list(_faults(path, document, error, rule_lines(octets)))


def _is_empty(place: Path) -> bool:
    try:
        return not _within(place)
    except (OSError, ValueError):
        return False


def _within(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    return sorted(
        path for path in place.iterdir() if path.suffix == ".toml" and path.name[0] != "."
    )


def rule_lines(octets: bytes) -> list[int]:
    """The line on which each `[[rule]]` of a file begins."""
    return [
        number
        for number, line in enumerate(octets.splitlines(), 1)
        if line.replace(b" ", b"").startswith(b"[[rule]]")
    ]


def _faults(
    path: Path, document: dict[str, object], error: ValidationError, lines: list[int]
) -> Iterator[Fault]:
    for detail in error.errors(include_url=False):
        place = list(detail["loc"])
        rule, line = None, None
        if place[:1] == ["rule"] and len(place) > 1 and isinstance(place[1], int):
            position = place[1]
            rule = _id_of(document, position)
            line = _line_of(position, lines)
            place = place[2:]
        where = ".".join(str(part) for part in place)
        message = _message(detail)
        yield Fault(path, f"{where}: {message}" if where else message, line, rule)


def _message(detail: ErrorDetails) -> str:
    """What is wrong with a value, and what to write instead."""
    key, value = str(detail["loc"][-1]) if detail["loc"] else "", detail["input"]
    match detail["type"]:
        case "tuple_type" if key == "rule":
            return "begin each rule with [[rule]]"
        case "tuple_type":
            return f"write a list: {key} = [{_quoted(value)}]"
        case "string_type":
            return f"write it in quotes: {_quoted(value)}"
        case "extra_forbidden":
            return f"there is no such key{_meant(detail['loc'])}"
        case "missing":
            return "has to be set"
        case "too_short":
            return "write at least one"
    return detail["msg"].removeprefix("Value error, ")


def _quoted(value: object) -> str:
    """A value as the string that was meant."""
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    short = plain and len(str(value)) <= _MAX_QUOTED
    return json.dumps(str(value), ensure_ascii=False) if short else '"..."'


def _meant(place: tuple[int | str, ...]) -> str:
    """Which key may have been meant in place of an unknown one, or where it belongs."""
    match place:
        case ("rule", int(), key):
            known = _keys_of(RuleEntry)
        case ("recognise", key):
            known = _keys_of(Recognition)
        case (*_, key):
            known = _keys_of(RuleFile)
            if key in _keys_of(RuleEntry):
                return ": it belongs below [[rule]]"
            if key in _keys_of(Recognition):
                return ": it belongs below [recognise]"
        case _:
            return ""
    near = difflib.get_close_matches(str(key), known, n=1)
    if near:
        return f": did you mean {_HEADINGS.get(near[0], near[0])}?"
    return f"; there are {', '.join(_HEADINGS.get(name, name) for name in known)}"


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _line_of(position: int, lines: list[int]) -> int | None:
    return lines[position] if position < len(lines) else None


def _id_of(document: dict[str, object], position: int) -> str:
    rules = document.get("rule")
    entry = rules[position] if isinstance(rules, list) else None
    name = entry.get("id") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else f"number {position + 1}"
