"""What references of a composed answer may name: the request, calls, items of a `for_each`, and the client's body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.config import paths, references
from tidegate.config.check import Check
from tidegate.config.problem import Interpolated, Path, did_you_mean, quote

NAME = re.compile(r"[a-z_][a-z0-9_-]*")
SOURCES = frozenset(
    {
        *(name.partition(".")[0] for name in references.KNOWN),
        *("item", "index", "body"),
    }
)
"""First words of references, which no call can have as its name."""

Source = Any
"""As the plan has it: `{"request": ...}`, `{"call": [number, steps]}`, `{"item": [number, steps]}`, `"index"`, ..."""
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def steps(source: Source) -> list[str]:
    """The way into the JSON that a source names, empty for what is no JSON."""
    match source:
        case {"call": [_, found]} | {"item": [_, found]} | {"body": found}:
            return list(found)
    return []


@dataclass(frozen=True)
class Names:
    """What can be named in one place, and what was; copies for inner places share the notes of what was."""

    calls: Mapping[str, int]
    """Calls by name, and their numbers in the plan."""
    check: Check
    items: Mapping[str, int] = field(default_factory=dict)
    """Items of each `for_each` around, by name, and their numbers: those of the outermost come first."""
    count: int = 0
    """How many items there are, also of those whose name an inner one has taken."""
    has_calls: bool = True
    """Calls may be named; else `why_not` tells why they may not."""
    why_not: str = ""
    needs: dict[int, Path] = field(default_factory=dict)
    """Calls that were named, and where first."""
    bodies: list[Path] = field(default_factory=list)
    """Where the client's body was named."""

    def with_items(self, names: list[str]) -> Names:
        """The names inside of a `for_each`."""
        numbered = {name: number for number, name in enumerate(names, self.count)}
        return replace(self, items={**self.items, **numbered}, count=self.count + len(names))

    def source(self, inner: str, path: Path) -> Source | None:
        """What `{inner}` names, or `None` with a problem."""
        head, *steps = inner.split(".")
        if head in self.items or head in self.calls or head == "body":
            if any(not step or step.strip() != step for step in steps):
                return self._bad(path, f"`{{{inner}}}` has a part without a name", None)
            return self._local(head, steps, path)
        if inner == "index" and self.items:
            return "index"
        if head in ("item", "index"):
            return self._no_item(inner, head, path)
        return self._of_request(inner, head, path)

    def _local(self, head: str, steps: list[str], path: Path) -> Source | None:
        if head in self.items:
            return {"item": [self.items[head], steps]}
        if not self.has_calls:
            what = "the client's body" if head == "body" else "a call"
            return self._bad(path, f"`{{{head}}}` is {what}, {self.why_not}", None)
        if head == "body":
            self.bodies.append(path)
            return {"body": steps}
        self.needs.setdefault(self.calls[head], path)
        return {"call": [self.calls[head], steps]}

    def _no_item(self, inner: str, head: str, path: Path) -> Source | None:
        if head == "index" and self.items:
            return self._bad(path, "`{index}` is a number and has no members", None)
        if self.items:
            known = ", ".join(f"`{{{name}}}`" for name in self.items)
            return self._bad(path, f"`{{{inner}}}` is no item here", f"the items are {known}")
        return self._bad(path, f"`{{{inner}}}` is known inside of a `for_each` only", None)

    def _of_request(self, inner: str, head: str, path: Path) -> Source | None:
        problems: list[tuple[str, str | None]] = []
        reference = references.reference(inner, problems)
        if reference is not None:
            if isinstance(reference, dict) and "path" in reference:
                self.check.used.setdefault(reference["path"], path)
                self.check.capture(reference["path"], path)
            return {"request": reference}
        message, hint = problems[0]
        if head not in SOURCES:
            # A call is what people name most.
            near = did_you_mean(head, [*self.calls, *self.items, *(SOURCES - {"item", "index"})])
            if near is not None:
                word = near.removeprefix("did you mean `").removesuffix("`?")
                hint = f"did you mean `{{{word}{inner[len(head) :]}}}`?"
            else:
                calls = ", ".join(f"`{name}`" for name in self.calls)
                hint = f"the calls are {calls}; write `{{{{` for a brace"
            message = f"no call is named {quote(head)}"
        return self._bad(path, message, hint)

    def _bad(self, path: Path, message: str, hint: str | None) -> Source | None:
        self.check.problem(path, "bad_reference", message, hint)
        return None

    # ---- texts

    def parts(self, text: str, path: Path, *, target: bool = False) -> list[dict[str, Any]]:
        """The parts of a text with references. `target`: of a path, whose other characters are percent-encoded."""
        secret = isinstance(text, Interpolated)
        written = text.escaped if isinstance(text, Interpolated) else text
        if target and not written.isascii():
            written = "".join(sign if sign.isascii() else paths.escaped(sign) for sign in written)
        out: list[dict[str, Any]] = []
        literal, at = "", 0
        for match in _TOKEN.finditer(written):
            literal += written[at : match.start()]
            at = match.end()
            if match[0] in ("{{", "}}"):
                literal += match[0][0]
            elif match[1] is None:
                shown = (
                    f"{quote(text)} does not make a text with references" if secret else f"`{match[0]}` stands alone"
                )
                hint = None if secret else f"write `{match[0] * 2}` for the character itself"
                self._bad(path, shown, hint)
            elif (source := self.source(match[1], path)) is not None:
                out += [{"text": literal}] if literal else []
                out.append({"source": source})
                literal = ""
        literal += written[at:]
        return [*out, {"text": literal}] if literal else out

    def only(self, text: object, path: Path) -> Source | None:
        """The one reference that a text is."""
        match = _TOKEN.fullmatch(text) if isinstance(text, str) else None
        if match is None or match[1] is None:
            hint = None
            if isinstance(text, str) and NAME.fullmatch(text.partition(".")[0]) and not set(text) & set("{} "):
                hint = f'write `"{{{text}}}"`'
            elif isinstance(text, dict) and len(text) == 1 and list(text.values()) == [None]:
                hint = f'write `"{{{next(iter(text))}}}"`, in quotes'
            message = f"expected a reference such as `{{order.items}}`, got {quote(text)}"
            self.check.problem(path, "bad_reference", message, hint)
            return None
        return self.source(match[1], path)

    def data(self, text: object, path: Path, what: str) -> Source | None:
        """As `only`, of something that can hold JSON: not of the request, whose parts are texts."""
        source = self.only(text, path)
        if isinstance(source, dict) and "request" in source:
            self._bad(path, f"`{text}` is a text; {what} names a call, an item or the body", None)
            return None
        if source == "index":
            self._bad(path, "`{index}` is a number", None)
            return None
        return source
