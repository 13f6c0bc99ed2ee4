"""Conditional compilation."""

from __future__ import annotations

import re

from pyfut.syntax.source import Source
from pyfut.syntax.tokens import IDENTIFIER

DIRECTIVE = re.compile(r"[ \t]*#(if|elif|else|endif)\b")
COMMENT = re.compile(r"//.*")
CONDITION_TOKEN = re.compile(r"\s*(&&|\|\||==|!=|!|\(|\)|[A-Za-z_][A-Za-z_0-9]*)")


class Preprocessor:
    """Reads directives and skips the lines that they leave out."""

    def __init__(self, source: Source, symbols: frozenset[str]) -> None:
        self.source = source
        self.symbols = symbols | {"true"}
        self.conditions: list[str] = []
        """For each open `#if`: "if" in its first taken branches, "else" after `#else`."""

    def finish(self) -> None:
        """Check at the end of the text that every `#if` is closed."""
        if self.conditions:
            self.source.error("Expected '#endif', got end-of-file")

    # directive = "#if" condition | "#elif" condition | "#else" | "#endif"
    def read_directive(self) -> bool:
        """Obey the directive at the place; return False if the line does not start there."""
        source = self.source
        if source.text[source.text.rfind("\n", 0, source.at) + 1 : source.at].strip():
            return False
        directive = DIRECTIVE.match(source.text, source.at)
        if directive is None:
            source.error(f"Unknown preprocessor directive '{source.rest_of_line().strip()}'")
            return True
        source.at = directive.end()
        name = directive[1]
        if name == "if":
            self.conditions.append("if")
            if not self._condition():
                self._skip(taken=False)
        elif not self.conditions:
            source.error(f"'#{name}' with no matching '#if'")
            source.rest_of_line()
        elif name == "endif":
            self._endif()
        else:
            self._check_not_after_else(name)
            if name == "elif":
                source.rest_of_line()
            else:
                self._else()
            self._skip(taken=True)
        return True

    def _skip(self, taken: bool) -> None:
        """Skip lines up to a branch to be compiled (none if one was `taken`) or the end of the `#if`."""
        source = self.source
        depth = 0
        while source.next:
            source.line += source.next == "\n"
            source.at += 1
            directive = DIRECTIVE.match(source.text, source.at)
            if directive is None:
                source.rest_of_line()
                continue
            source.at = directive.end()
            name = directive[1]
            if name == "if":
                depth += 1
            elif depth:
                depth -= name == "endif"
            elif name == "endif":
                self._endif()
                return
            else:
                self._check_not_after_else(name)
                if name == "else":
                    self._else()
                if not taken and (name == "else" or self._condition()):
                    return
            source.rest_of_line()

    def _else(self) -> None:
        self._end_directive("else")
        self.conditions[-1] = "else"

    def _endif(self) -> None:
        self._end_directive("endif")
        self.conditions.pop()

    def _check_not_after_else(self, name: str) -> None:
        if self.conditions[-1] == "else":
            self.source.error(f"'#{name}' after '#else'")

    def _end_directive(self, name: str) -> None:
        if COMMENT.sub("", self.source.rest_of_line()).strip():
            self.source.error(f"Unexpected characters after '#{name}'")

    def _condition(self) -> bool:
        """Evaluate the rest of the line."""
        line = COMMENT.sub("", self.source.rest_of_line()).strip()
        tokens: list[str] = []
        at = 0
        while at < len(line):
            match = CONDITION_TOKEN.match(line, at)
            if match is None:
                self.source.error("Invalid preprocessor expression")
                return False
            tokens.append(match[1])
            at = match.end()
        condition = Condition(tokens, self.symbols)
        result = condition.either()
        if condition.failed or condition.tokens:
            self.source.error("Invalid preprocessor expression")
            return False
        return result


class Condition:
    """Evaluates the tokens of a condition while it reads them."""

    def __init__(self, tokens: list[str], symbols: frozenset[str]) -> None:
        self.tokens = tokens
        self.symbols = symbols
        self.failed = False
        """Whether the tokens do not form a condition."""

    # condition = both { "||" both }
    def either(self) -> bool:
        """Read a whole condition."""
        left = self._both()
        while self._eat("||"):
            right = self._both()
            left = left or right
        return left

    # both = equality { "&&" equality }
    def _both(self) -> bool:
        left = self._equality()
        while self._eat("&&"):
            right = self._equality()
            left = left and right
        return left

    # equality = primary { ( "==" | "!=" ) primary }
    def _equality(self) -> bool:
        left = self._primary()
        while operator := self._eat("==", "!="):
            left = (left == self._primary()) == (operator == "==")
        return left

    # primary = "!" primary | "(" condition ")" | NAME
    def _primary(self) -> bool:
        if self._eat("!"):
            return not self._primary()
        if self._eat("("):
            inner = self.either()
            self.failed |= not self._eat(")")
            return inner
        token = self.tokens.pop(0) if self.tokens else ""
        self.failed |= IDENTIFIER.fullmatch(token) is None
        return token in self.symbols

    def _eat(self, *wanted: str) -> str:
        """Take the next token if it is a wanted one, else return an empty text."""
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else ""
