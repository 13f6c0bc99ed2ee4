"""Source text to tokens, with conditional compilation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyfut.errors import Diagnostics, Position
from pyfut.naming import words

KEYWORDS = words(
    "abstract assert base break case class const continue default do else enum false for foreach if"
    " in internal is lock new null override protected public return sealed static switch this throw"
    " throws true virtual void when while"
)
OPERATORS = sorted(
    words(
        "+ - * / % & | ^ ~ ! = == != < <= > >= << >> && || ++ -- += -= *= /= %= &= |= ^= <<= >>= ? : ; , ."
        " ( ) [ ] { } => #"
    ),
    key=len,
    reverse=True,
)
ESCAPES = {"'": "'", '"': '"', "t": "\t", "r": "\r", "n": "\n", "\\": "\\"}
NUMBER = re.compile(
    r"(?P<based>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+)"
    r"|(?P<float>[0-9][0-9_]*(?:\.[0-9][0-9_]*(?:[eE][+-]?[0-9][0-9_]*)?|[eE][+-]?[0-9][0-9_]*))"
    r"|(?P<int>[0-9][0-9_]*)"
)
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
DIRECTIVE = re.compile(r"#(if|elif|else|endif)\b")
PRE_TOKEN = re.compile(r"\s*(&&|\|\||==|!=|!|\(|\)|[A-Za-z_][A-Za-z_0-9]*)")


@dataclass
class Hole:
    """An expression inside an interpolated string, still as text."""

    text: str
    width: str
    format: str


@dataclass
class Token:
    """A lexical element. Kinds: id, keyword, op, int, float, char, string, interpolated, native, doc, eof."""

    kind: str
    text: str
    position: Position
    value: int | float | str | None = None
    parts: list[str | Hole] | None = None
    lines: list[str] | None = None

    def __str__(self) -> str:
        names = {
            "id": "identifier",
            "int": "integer constant",
            "float": "floating-point constant",
            "char": "character constant",
            "string": "string constant",
            "interpolated": "interpolated string",
            "doc": "'///'",
            "eof": "end-of-file",
        }
        return names.get(self.kind, f"'{self.text}'")


class Lexer:
    """Tokenizes one file."""

    def __init__(self, file: str, text: str, symbols: frozenset[str], diagnostics: Diagnostics, line: int = 1) -> None:
        self.file = file
        self.text = text
        self.symbols = symbols | {"true"}
        self.diagnostics = diagnostics
        self.at = 0
        self.line = line
        self.conditions: list[str] = []
        """For each open `#if`: "if" in its first taken branches, "else" after `#else`."""

    def tokens(self) -> list[Token]:
        """Return all tokens, ending with eof."""
        result: list[Token] = []
        while True:
            token = self._next(result)
            if token is None:
                continue
            if token.kind == "doc" and result and result[-1].kind == "doc":
                assert result[-1].lines is not None
                assert token.lines is not None
                result[-1].lines += token.lines
                continue
            result.append(token)
            if token.kind == "eof":
                return result

    def _error(self, message: str) -> None:
        self.diagnostics.error(self._position(), message)

    def _position(self) -> Position:
        return Position(self.file, self.line)

    def _next(self, before: list[Token]) -> Token | None:
        text = self.text
        while self.at < len(text) and text[self.at] in " \t\r\n":
            self.line += text[self.at] == "\n"
            self.at += 1
        position = self._position()
        if self.at >= len(text):
            if self.conditions:
                self._error("Expected '#endif', got end-of-file")
            return Token("eof", "", position)
        c = text[self.at]
        if text.startswith("///", self.at):
            return self._doc(position)
        if text.startswith("//", self.at):
            self._rest_of_line()
            return None
        if text.startswith("/*", self.at):
            self._block_comment()
            return None
        if c == "#" and text[text.rfind("\n", 0, self.at) + 1 : self.at].strip() == "":
            directive = DIRECTIVE.match(text, self.at)
            if directive:
                self.at = directive.end()
                self._directive(directive[1])
                return None
            self._error(f"Unknown preprocessor directive '{self._rest_of_line().strip()}'")
            return None
        if c.isdigit():
            return self._number(position, negated=bool(before) and before[-1].text == "-")
        if c == '"':
            self.at += 1
            value = self._quoted('"', "Unterminated string literal")
            return Token("string", value, position, value)
        if c == "'":
            return self._char(position)
        if c == "$":
            if text.startswith('$"', self.at):
                self.at += 2
                return self._interpolated(position)
            self._error("Expected interpolated string")
            self.at += 1
            return None
        word = IDENTIFIER.match(text, self.at)
        if word:
            return self._word(word[0], position, before)
        for operator in OPERATORS:
            if text.startswith(operator, self.at):
                self.at += len(operator)
                return Token("op", operator, position)
        self._error("Invalid character")
        self.at += 1
        return None

    def _word(self, word: str, position: Position, before: list[Token]) -> Token:
        self.at += len(word)
        if word == "native":
            brace = re.compile(r"\s*\{").match(self.text, self.at)
            if brace and not (before and before[-1].text == "."):
                return self._native(position, brace.end())
        return Token("keyword" if word in KEYWORDS else "id", word, position)

    def _native(self, position: Position, start: int) -> Token:
        self.line += self.text.count("\n", self.at, start)
        depth = 1
        at = start
        while depth:
            if at >= len(self.text):
                self.at = at
                self._error("Expected '}', got end-of-file")
                return Token("native", "", position)
            depth += {"{": 1, "}": -1}.get(self.text[at], 0)
            at += 1
        body = self.text[start : at - 1]
        self.line += body.count("\n")
        self.at = at
        return Token("native", body, position)

    def _rest_of_line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end
        return line

    def _doc(self, position: Position) -> Token:
        self.at += 3
        line = self._rest_of_line().rstrip("\r")
        return Token("doc", "///", position, lines=[line[1:] if line.startswith(" ") else line])

    def _block_comment(self) -> None:
        start = self.line
        end = self.text.find("*/", self.at + 2)
        if end < 0:
            self.line += self.text.count("\n", self.at)
            self._error(f"Unterminated multi-line comment, started in line {start}")
            self.at = len(self.text)
            return
        self.line += self.text.count("\n", self.at, end)
        self.at = end + 2

    def _number(self, position: Position, negated: bool) -> Token:
        match = NUMBER.match(self.text, self.at)
        assert match is not None
        spelling = match[0]
        digits = spelling.replace("_", "")
        self.at = match.end()
        is_float = match["float"] is not None
        tail = IDENTIFIER.match(self.text, self.at)
        if tail or spelling.endswith("_") or re.search(r"_[.eE]", spelling):
            self._error("Invalid floating-point number" if is_float else "Invalid integer")
            self.at = tail.end() if tail else self.at
        if is_float:
            return Token("float", spelling, position, float(digits))
        if match["int"] and len(digits) > 1 and digits[0] == "0":
            self._error("Leading zeros are not permitted, octal numbers must begin with 0o")
            return Token("int", spelling, position, int(digits))
        value = int(digits, 10 if match["int"] else 0)
        if value > (1 << 63) - 1 + negated:
            self._error("Integer too big")
        return Token("int", spelling, position, value)

    def _escape(self) -> str:
        """Return the character after a backslash, which is at the current place."""
        self.at += 1
        c = self.text[self.at : self.at + 1]
        if c not in ESCAPES:
            self._error("Unknown escape sequence")
        self.at += 1
        return ESCAPES.get(c, c)

    def _quoted(self, quote: str, unterminated: str) -> str:
        """Return the characters up to `quote`."""
        value = ""
        while True:
            c = self.text[self.at : self.at + 1]
            if c in ("", "\n"):
                self._error(unterminated)
                return value
            if c == "\\":
                value += self._escape()
                continue
            self.at += 1
            if c == quote:
                return value
            value += c

    def _char(self, position: Position) -> Token:
        start = self.at
        self.at += 1
        value = self._quoted("'", "Unterminated character literal")
        if value == "":
            self._error("Empty character literal")
        elif len(value) > 1 or (ord(value) < 32 and "\\" not in self.text[start : self.at]):
            self._error("Invalid character in literal")
        return Token("char", self.text[start : self.at], position, ord(value[0]) if value else 0)

    def _interpolated(self, position: Position) -> Token:
        parts: list[str | Hole] = []
        literal = ""
        while True:
            c = self.text[self.at : self.at + 1]
            if c in ("", "\n"):
                self._error("Unterminated string literal")
                break
            if c == "\\":
                literal += self._escape()
                continue
            self.at += 1
            if c == '"':
                break
            if c in "{}" and self.text.startswith(c, self.at):
                self.at += 1
            elif c == "{":
                parts += [literal, self._hole()]
                literal = ""
                continue
            elif c == "}":
                self._error("'}' must be escaped by doubling")
            literal += c
        parts.append(literal)
        return Token("interpolated", "", position, parts=[part for part in parts if part != ""])

    def _hole(self) -> Hole:
        """Split the text up to the closing brace at the comma and the colon that are not nested."""
        sections = [""]
        depth = 0
        while True:
            c = self.text[self.at : self.at + 1]
            if c in ("", "\n"):
                break
            self.at += 1
            if c == '"':
                start = self.at - 1
                self._quoted('"', "Unterminated string literal")
                sections[-1] += self.text[start : self.at]
                continue
            if c == "}" and depth == 0:
                break
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(c, 0)
            if depth == 0 and (c == ":" or (c == "," and len(sections) == 1)) and "?" not in sections[0]:
                sections.append(c)
            else:
                sections[-1] += c
        width = next((s[1:] for s in sections[1:] if s[0] == ","), "")
        form = next((s[1:] for s in sections[1:] if s[0] == ":"), "")
        return Hole(sections[0], width.strip(), form.strip())

    # --- conditional compilation ---

    def _directive(self, name: str) -> None:
        if name == "if":
            self._enter(self._condition())
            return
        if not self.conditions:
            self._error(f"'#{name}' with no matching '#if'")
            self._rest_of_line()
            return
        if name == "elif":
            self._check_not_after_else("#elif")
            self._rest_of_line()
            self._skip(taken=True)
        elif name == "else":
            self._check_not_after_else("#else")
            self._end_directive("#else")
            self.conditions[-1] = "else"
            self._skip(taken=True)
        else:
            self._end_directive("#endif")
            self.conditions.pop()

    def _check_not_after_else(self, directive: str) -> None:
        if self.conditions[-1] == "else":
            self._error(f"'{directive}' after '#else'")

    def _end_directive(self, directive: str) -> None:
        if re.sub(r"//.*", "", self._rest_of_line()).strip():
            self._error(f"Unexpected characters after '{directive}'")

    def _enter(self, condition: bool) -> None:
        self.conditions.append("if")
        if not condition:
            self._skip(taken=False)

    def _skip(self, taken: bool) -> None:
        """Skip lines up to a branch to be compiled (none if one was `taken`) or the end of the `#if`."""
        depth = 0
        while self.at < len(self.text):
            self.line += self.text[self.at] == "\n"
            self.at += 1
            blank = re.compile(r"[ \t]*").match(self.text, self.at)
            assert blank is not None
            directive = DIRECTIVE.match(self.text, blank.end())
            if directive is None:
                self._rest_of_line()
                continue
            self.at = directive.end()
            name = directive[1]
            if name == "if":
                depth += 1
            elif depth:
                depth -= name == "endif"
            elif name == "endif":
                self._end_directive("#endif")
                self.conditions.pop()
                return
            elif name == "elif":
                self._check_not_after_else("#elif")
                if not taken and self._condition():
                    return
            else:
                self._check_not_after_else("#else")
                self._end_directive("#else")
                self.conditions[-1] = "else"
                if not taken:
                    return
            self._rest_of_line()

    def _condition(self) -> bool:
        """Evaluate the rest of the line as a preprocessor expression."""
        line = re.sub(r"//.*", "", self._rest_of_line()).strip()
        tokens: list[str] = []
        at = 0
        while at < len(line):
            match = PRE_TOKEN.match(line, at)
            if match is None:
                self._error("Invalid preprocessor expression")
                return False
            tokens.append(match[1])
            at = match.end()
        return self._evaluate(tokens)

    def _evaluate(self, tokens: list[str]) -> bool:
        failed = False

        def primary() -> bool:
            nonlocal failed
            token = tokens.pop(0) if tokens else ""
            if token == "!":
                return not primary()
            if token == "(":
                inner = either()
                failed |= not tokens or tokens.pop(0) != ")"
                return inner
            failed |= IDENTIFIER.fullmatch(token) is None
            return token in self.symbols

        def equality() -> bool:
            left = primary()
            while tokens and tokens[0] in ("==", "!="):
                operator = tokens.pop(0)
                left = (left == primary()) == (operator == "==")
            return left

        def both() -> bool:
            left = equality()
            while tokens and tokens[0] == "&&":
                tokens.pop(0)
                right = equality()
                left = left and right
            return left

        def either() -> bool:
            left = both()
            while tokens and tokens[0] == "||":
                tokens.pop(0)
                right = both()
                left = left or right
            return left

        result = either()
        if failed or tokens:
            self._error("Invalid preprocessor expression")
            return False
        return result
