# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the checks of this folder share: which files there are, which are skipped, and a lexer for Rust and C.

The lexer only separates comments, literals and code. It never fails: text that it cannot read comes out as code.
"""

import bisect
import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Files that .ci/prose and .ci/lines leave out, each with its reason. In these files .ci/prose still reads the messages,
# because users meet them. Delete a line when its reason is gone.
SKIPPED = {
    "explore/src/*": "the explorer is rewritten as a whole; its comments and its files change then",
    "native/tests/model/*": "inputs of the explorer",
    "docs/model.md": "the explorer's page is rewritten with it",
}

# Files that one of the patterns above matches and that are not left out: they are new.
NOT_SKIPPED = ("explore/src/executions/*", "explore/src/sync/*", "explore/src/cell.rs", "explore/src/thread.rs")


def skipped(path):
    """The reason why a file is left out, or None."""
    if any(fnmatch(path, pattern) for pattern in NOT_SKIPPED):
        return None
    return next((reason for pattern, reason in SKIPPED.items() if fnmatch(path, pattern)), None)


def files(root=ROOT):
    """Every file of the work tree that git knows or would add, as paths relative to the root."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted({path for path in listed.split("\0") if path and (root / path).is_file()})


@dataclass
class Token:
    """A stretch of a source file. `kind`: doc, comment, string, char, code."""

    kind: str
    start: int
    text: str


class Source:
    """A file's text, with line numbers for its offsets."""

    def __init__(self, text):
        self.text = text
        self.starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def line(self, offset):
        return bisect.bisect_right(self.starts, offset)


RUST = re.compile(
    r"""
      (?P<doc>//[/!](?!/)[^\n]* | /\*[*!](?![*/]))
    | (?P<comment>//[^\n]* | /\*)
    | (?P<raw>b?r(?P<hashes>\#*)"|cr(?P<chashes>\#*)")
    | (?P<string>[bc]?"(?:[^"\\]|\\.)*")
    | (?P<char>b?'(?:[^'\\\n]|\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.))')
    """,
    re.X | re.S,
)

C = re.compile(
    r"""
      (?P<comment>//[^\n]* | /\*.*?\*/)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<char>'(?:[^'\\\n]|\\.)+')
    """,
    re.X | re.S,
)


def _block_comment_end(text, start):
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def rust(text):
    """The tokens of a Rust file, in order, covering all of it."""
    at = 0
    code = 0
    tokens = []

    def push(kind, start, end):
        nonlocal at, code
        if code < start:
            tokens.append(Token("code", code, text[code:start]))
        tokens.append(Token(kind, start, text[start:end]))
        at = code = end

    while match := RUST.search(text, at):
        start, end = match.span()
        word_before = start > 0 and (text[start - 1].isalnum() or text[start - 1] == "_")
        if match["doc"] or match["comment"]:
            if match[0].startswith("/*"):
                end = _block_comment_end(text, start)
            push("doc" if match["doc"] else "comment", start, end)
        elif match["raw"] is not None:
            if word_before:
                at = start + 1
                continue
            close = '"' + (match["hashes"] or match["chashes"] or "")
            found = text.find(close, end)
            push("string", start, len(text) if found < 0 else found + len(close))
        elif match["string"]:
            push("string", start, end)
        else:
            push("char", start, end)
    if code < len(text):
        tokens.append(Token("code", code, text[code:]))
    return tokens


def c(text):
    """The tokens of a C or C++ file."""
    code = 0
    tokens = []
    for match in C.finditer(text):
        if code < match.start():
            tokens.append(Token("code", code, text[code : match.start()]))
        kind = "comment" if match["comment"] else "string" if match["string"] else "char"
        tokens.append(Token(kind, match.start(), match[0]))
        code = match.end()
    if code < len(text):
        tokens.append(Token("code", code, text[code:]))
    return tokens


def bare_code(text):
    """A Rust file of the same length, with comments and the insides of literals as spaces: brackets in it are code's."""
    parts = []
    for token in rust(text):
        if token.kind == "code":
            parts.append(token.text)
        elif token.kind in ("string", "char"):
            quote = '"' if token.kind == "string" else "'"
            parts.append(quote + re.sub(r"[^\n]", " ", token.text[1:-1]) + quote)
        else:
            parts.append(re.sub(r"[^\n]", " ", token.text))
    return "".join(parts)


ATTRIBUTE = re.compile(r"#\s*!?\s*\[")
CLOSERS = {"(": ")", "[": "]", "{": "}"}


def closing(code, start):
    """The offset behind the bracket that closes the one at `start` (in `bare_code`)."""
    depth = 0
    for at in range(start, len(code)):
        if code[at] in CLOSERS:
            depth += 1
        elif code[at] in ")]}":
            depth -= 1
            if depth == 0:
                return at + 1
    return len(code)


def without_items(text, gate):
    """`bare_code`, with every item as spaces for whose attribute `gate(attribute)` holds (as `#[cfg(test)]`)."""
    code = bare_code(text)
    for start, end in items(code, gate):
        code = code[:start] + re.sub(r"[^\n]", " ", code[start:end]) + code[end:]
    return code


def items(code, gate):
    """The stretches of the items, attributes included, for whose attribute `gate(attribute)` holds (in `bare_code`)."""
    at = 0
    while match := ATTRIBUTE.search(code, at):
        end = closing(code, match.end() - 1)
        at = end
        if not gate(re.sub(r"\s+", "", code[match.start() : end])):
            continue
        # Further attributes, then the item: to its `;` or `,`, or to the end of its braces.
        depth = 0
        while end < len(code):
            character = code[end]
            if following := ATTRIBUTE.match(code, end):
                end = closing(code, following.end() - 1)
                continue
            if character == "{" and depth == 0:
                head = code[at:end]
                end = closing(code, end)
                if re.search(r"\buse\b", head):
                    continue  # a list of names: the item ends at its semicolon
                break
            if character in "([":
                depth += 1
            elif character in ")]}":
                if depth == 0:
                    break  # the last field or variant of what encloses it
                depth -= 1
            elif character in ";," and depth == 0:
                end += 1
                break
            end += 1
        yield match.start(), end
        at = end


def is_test(attribute):
    """Whether an item with this attribute is only compiled for tests."""
    if attribute.startswith("#!["):
        return False
    return attribute in ("#[test]", "#[cfg(test)]") or bool(re.match(r"#\[cfg\(all\((.*,)?test[,)]", attribute))


def is_test_or_docs(attribute):
    """The same, or only for rustdoc: links in documentation."""
    return is_test(attribute) or attribute in ("#[cfg(doc)]", "#[cfg(doctest)]")


def test_files(root, paths):
    """The Rust files that only tests are in: in a folder of tests, or declared as `#[cfg(test)] mod`."""
    found = {path for path in paths if path.endswith(".rs") and re.search(r"(^|/)(tests|benches|fuzz)(/|\.rs$)", path)}
    for path in paths:
        if not path.endswith(".rs"):
            continue
        text = (root / path).read_text()
        here, name = path.rsplit("/", 1) if "/" in path else ("", path)
        own = name in ("mod.rs", "lib.rs", "main.rs")
        folder = here if own else f"{here}/{name[:-3]}"
        pattern = r"#\[cfg\((?:test|all\([^\n]*\btest\b[^\n]*)\)\]\s*(#\[path = \"(?P<path>[^\"]+)\"\]\s*)?"
        for match in re.finditer(pattern + r"(?:pub(?:\([^)]*\))?\s+)?mod\s+(?P<name>\w+)\s*;", text):
            if match["path"]:
                found.add(f"{here}/{match['path']}")
            else:
                found.update({f"{folder}/{match['name']}.rs", f"{folder}/{match['name']}/mod.rs"})
    for path in paths:
        if any(path.startswith(parent[: -len("/mod.rs")] + "/") for parent in found if parent.endswith("/mod.rs")):
            found.add(path)
    return found & set(paths)
