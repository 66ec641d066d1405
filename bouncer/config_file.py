"""Reads the configuration: one YAML file, every key also as an environment variable.

`load` gives a `Config` or raises `ConfigurationError` with every fault at once. Precedence:
environment (`BOUNCER__SMTP__HOSTNAME=...`), then the file, then the defaults.
"""

import difflib
import os
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
)

from bouncer.config import ENVIRONMENT_PREFIX, Config
from bouncer.errors import ConfigurationError
from bouncer.files import octets_of

# What a file may stand for by its aliases. Without them it stands for as much as it holds.
_MAX_ALIASED_VALUES = 100_000

# What PyYAML lets through for values such as 2026-13-45, 0b_ and "\\UFFFFFFFF".
_NOT_ITS_KIND = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of this file (None: no file) and this environment.

    Raises ConfigurationError with a line for every fault.
    """
    config, faults = examine(path, environ)
    if faults:
        raise ConfigurationError(*faults)
    return config


def examine(
    path: Path | None, environ: Mapping[str, str] | None = None
) -> tuple[Config, list[str]]:
    """What of a configuration is sound, and a line for each fault of the rest.

    A section with a fault is left at its defaults, so that more can be said about the others.
    """
    environment = os.environ if environ is None else environ
    try:
        values = _read_yaml(path) if path else {}
    except ConfigurationError as error:
        return Config.model_construct(), list(error.faults)
    faults = _unknown_variables(environment)
    broken: set[str] = set()
    try:
        config = _build(values, environment)
    except ValidationError as error:
        faults += _faults(error, path, environment)
        broken = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        config = _build(*_without(broken, values, environment))
    if "domains" not in broken:  # where it may listen depends on them
        faults += [f"{path or 'configuration'}: {fault}" for fault in config.contradictions()]
    return config, faults


def _without(
    sections: Collection[str], values: dict[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    rest = {k: v for k, v in environment.items() if _section_of(k) not in sections}
    return {k: v for k, v in values.items() if k not in sections}, rest


def _section_of(variable: str) -> str | None:
    """The section that an environment variable is about."""
    if not variable.upper().startswith(ENVIRONMENT_PREFIX):
        return None
    return variable[len(ENVIRONMENT_PREFIX) :].partition("__")[0].lower()


def _build(values: dict[str, Any], environment: Mapping[str, str]) -> Config:
    class Loaded(Config):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            source = _Environment(settings_cls)
            source.env_vars = {k.lower(): v for k, v in environment.items()}
            return source, InitSettingsSource(settings_cls, init_kwargs=values)

    return Loaded()


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: the second would replace the first unseen.

    Refuses aliases too that stand for themselves, or for so much that reading it takes forever.
    """

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            sizes: dict[yaml.Node, int] = {}
            if _size(node, sizes) > max(_MAX_ALIASED_VALUES, len(sizes)):
                raise yaml.MarkedYAMLError(problem="its aliases stand for too many values")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """How many values a node stands for; `sizes` has those known, 0 while one is looked at."""
    if node not in sizes:
        sizes[node] = 0
        below = _below(node)
        sizes[node] = 1 + sum(_size(each, sizes) for each in below)
    elif not sizes[node]:
        raise yaml.MarkedYAMLError(
            problem="an alias is part of what it stands for", problem_mark=node.start_mark
        )
    return sizes[node]


def _below(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return chain.from_iterable(node.value)
    return chain(node.value) if isinstance(node, yaml.SequenceNode) else ()


class _Environment(EnvSettingsSource):
    """Environment variables; what is no JSON where a list is wanted is one bare value."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            return [part.strip() for part in str(value).split(",")]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(octets_of(path), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path}: is nested too deeply") from error
    except yaml.reader.ReaderError as error:
        raise ConfigurationError(f"{path}: is not text: {error.reason}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable as YAML"
        raise ConfigurationError(f"{path}{line}: {problem}") from error
    except _NOT_ITS_KIND as error:
        raise ConfigurationError(f"{path}: a value is not what it looks like: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: write keys such as `smtp:` at the top")
    return {str(key): value for key, value in values.items()}


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    faults = []
    for name in sorted(environment):
        section = _section_of(name)
        if section is not None and section not in Config.model_fields:
            faults.append(
                f"{name}: there is no section {section!r}{_meant(section, Config.model_fields)}"
            )
    return faults


def _faults(error: ValidationError, path: Path | None, environment: Mapping[str, str]) -> list[str]:
    lines = []
    for fault in error.errors():
        location = fault["loc"]
        key = ".".join(str(part) for part in location)
        variable = _variable_of(location, environment)
        where = variable or f"{path or 'configuration'}: {key}".rstrip(": ")
        match fault["type"]:
            case "extra_forbidden":
                text = f"there is no such key{_meant(str(location[-1]), _keys_at(location[:-1]))}"
            case "missing":
                text = "has to be set"
            case "value_error":
                text = str(fault["ctx"]["error"])
            case _:
                text = fault["msg"][:1].lower() + fault["msg"][1:]
        lines += [f"{where}: {line}" for line in text.splitlines()]
    return lines


def _variable_of(location: tuple[int | str, ...], environment: Mapping[str, str]) -> str | None:
    """The environment variable that a fault comes from, if it does."""
    names = {name.upper(): name for name in environment}
    for length in range(len(location), 0, -1):
        parts = "__".join(str(part).upper() for part in location[:length])
        if ENVIRONMENT_PREFIX + parts in names:
            return names[ENVIRONMENT_PREFIX + parts]
    return None


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        found = _model_in(field.annotation) if field else None
        if found is None:
            return []
        model = found
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a))), None)


def _meant(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return (
        f": did you mean {near[0]}?" if near else f"; there are {', '.join(known)}" if known else ""
    )
