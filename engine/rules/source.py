"""A rulebook's YAML as plain data with the place of everything in it.

Scalars stay text, so that `0.1` never becomes a binary float, `3.10` stays apart from `3.1` and `NO` is Norway. What
a contract has no use for is refused before it costs anything: anchors and aliases, tags, deep nesting, long texts.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import yaml

from engine.language.words import quoted
from engine.rules.problems import PROBLEMS_MAX, Path, Problem, field_of

SIZE_MAX = 256 * 1024
NESTING_MAX = 16
VALUES_MAX = 20_000

Data = dict[str, "Data"] | list["Data"] | str | None


class Place(NamedTuple):
    """Where something begins, counted from 1; `text_column` is where a scalar's own text does, if it is on one line."""

    line: int
    column: int
    text_column: int | None = None


class _Refused(yaml.YAMLError):
    """YAML that is well formed, but of a kind that no rulebook needs."""

    def __init__(self, cause: str, remedy: str, mark: yaml.Mark) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.mark = mark


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses what would let a small text become a large structure."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nesting = 0
        self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise _Refused("anchors and aliases (& and *) are not allowed", "write the value out", event.start_mark)
        if not isinstance(event, yaml.AliasEvent) and event.tag is not None:
            raise _Refused(f"tags such as {quoted(event.tag)} are not allowed", "leave the tag out", event.start_mark)
        if self._nesting >= NESTING_MAX:
            cause = f"nested deeper than {NESTING_MAX} levels"
            raise _Refused(cause, "a rulebook needs no more than seven", event.start_mark)
        if self._values >= VALUES_MAX:
            raise _Refused(f"more than {VALUES_MAX} values", "split the rulebook", event.start_mark)
        self._values += 1
        self._nesting += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._nesting -= 1


class Source:
    """The data of one text, the places of its parts, and the problems found in it so far."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.places: dict[Path, Place] = {(): Place(1, 1)}
        self.keys: dict[Path, Place] = {}
        self.data: Data = None
        self.since = ""  # said after each problem, where what is checked holds only from a day on
        node = self._composed(text)
        if node is not None:
            self.data = self._data(node, ())

    @property
    def full(self) -> bool:
        """True once so much is wrong that more would help nobody."""
        return len(self.errors) >= PROBLEMS_MAX

    def error(self, path: Path, cause: str, remedy: str, at: Place | None = None) -> None:
        self._add(self.errors, "error", path, cause, remedy, at)

    def warn(self, path: Path, cause: str, remedy: str, at: Place | None = None) -> None:
        self._add(self.warnings, "warning", path, cause, remedy, at)

    def place(self, path: Path) -> Place:
        """Where the value at a path begins; for what is not there, where the nearest thing around it begins."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def place_in(self, path: Path, column: int) -> Place:
        """The place of a character of a scalar; the scalar's own place where it is folded or escaped."""
        place = self.place(path)
        return place if place.text_column is None else Place(place.line, place.text_column + column)

    def raw(self, path: Path) -> Data:
        """The data at a path; None where there is none."""
        found: Data = self.data
        for part in path:
            if isinstance(found, dict) and isinstance(part, str):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return None
        return found

    def has(self, path: Path) -> bool:
        return path in self.places

    def _add(
        self,
        problems: list[Problem],
        severity: Literal["error", "warning"],
        path: Path,
        cause: str,
        remedy: str,
        at: Place | None,
    ) -> None:
        problem = Problem(severity, self.file, *(at or self.place(path))[:2], field_of(path), cause, remedy)
        if len(problems) >= PROBLEMS_MAX or problem in problems:
            return
        problems.append(problem._replace(cause=f"{cause}{self.since}"))

    def _composed(self, text: str) -> yaml.Node | None:
        if len(text) > SIZE_MAX or len(text.encode("utf-8", "surrogatepass")) > SIZE_MAX:
            self.error((), f"the text is longer than {SIZE_MAX // 1024} KiB", "a rulebook is a few pages; split it")
            return None
        try:
            loader = _Loader(text)
            node: yaml.Node | None = loader.get_single_node()
        except _Refused as error:
            self.error((), error.cause, error.remedy, _place(error.mark))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            why = " ".join(str(part) for part in (error.context, error.problem) if part)
            self.error((), f"not readable as YAML: {why}", "mend the text there", _place(mark) if mark else None)
        except yaml.reader.ReaderError as error:
            place = _place_of_position(text, error.position)
            self.error((), f"character {error.character!r} is not allowed", "take it out", place)
        # PyYAML converts escapes and directives without checks of its own: "\UFFFFFFFF", %YAML 1.<5000 digits>.
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            self.error((), f"not readable as YAML: {quoted(str(error))}", "write plain text")
        else:
            if node is None:
                self.error((), "the text is empty", "write rulebook: with an id, and what follows")
            return node
        return None

    def _data(self, node: yaml.Node, path: Path) -> Data:
        self.places[path] = _place_of_node(node)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self._data(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                text = str(node.value)
                if "\0" in text:
                    self.error(path, "character '\\x00' is not allowed", "take it out")
                return None if node.tag == "tag:yaml.org,2002:null" else text

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Data:
        data: dict[str, Data] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.error(
                    path, "a list or mapping stands where a name must stand", "write name: value", _place_of_node(key)
                )
                continue
            name = " ".join(str(key.value).split())
            inner = (*path, name)
            if name in data:
                first = self.keys[inner].line
                cause = f"{quoted(name)} is written twice, first in line {first}"
                self.error(inner, cause, "keep one of them", _place_of_node(key))
                continue
            self.keys[inner] = _place_of_node(key)
            data[name] = self._data(value, inner)
        return data


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_of_node(node: yaml.Node) -> Place:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    quotes = 1 if isinstance(node, yaml.ScalarNode) and node.style in {"'", '"'} else 0
    width = node.end_mark.column - node.start_mark.column
    if node.end_mark.line != node.start_mark.line or width != len(str(node.value)) + 2 * quotes:
        return Place(line, column)
    return Place(line, column, column + quotes)


def _place_of_position(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))
