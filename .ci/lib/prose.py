# SPDX-License-Identifier: MIT OR Apache-2.0
"""Habits of prose that a script can see: .ci/prose says what is read and what fails."""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch

import source

MOST_OF_DOCS = 160
MOST_OF_COMMENTS = 120

# Sentences that break a rule and may: (file, words of the sentence, reason). An entry that matches nothing is a finding.
ALLOWED = [
    (".ci/prose", "", "quotes what it forbids"),
    ("docs/prose.md", "", "quotes what it forbids"),
]

# "who" is right after a word for people.
PEOPLE = (
    r"(?:people|person|persons|readers?|users?|authors?|engineers?|maintainers?|reviewers?|developers?|contributors?"
    r"|reporters?|owners? of CI|newcomers?|guests?|someone|anyone|everyone|those of you|you)"
)
PRONOUN = re.compile(
    rf"(?<!-)\b(?:(?P<who>who|whom)|whoever|whomever|nobody|somebody|anybody|everybody)\b(?!-)", re.I
)
AFTER_PEOPLE = re.compile(rf"\b{PEOPLE},? (?:\w+ ){{0,2}}$", re.I)
# Pages about people: what they may do and whom they may ask. "nobody" is a person there.
ABOUT_PEOPLE = ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", ".github/*")

BACK = re.compile(r"\b(?:as above|as said above|same as above|likewise|ditto)\b", re.I)
NUMBERS = re.compile(r"\(\d+\) is \(\d+\)")
SCENARIO = re.compile(r"\bS(?:\d\d|100)\b")

# What is counted in messages. `{n} calls` prints "1 calls".
COUNTED = (
    "bindings|blocks|bytes|callbacks|callers|calls|cells|checks|closures|edits|events|executions|failures|findings|frames"
    "|interleavings|lines|objects|operations|ops|orders|orderings|panics|programs|registrations|runs|schedules|seeds"
    "|sites|slots|steps|subjects|tests|threads|violations"
)
PLURAL = re.compile(rf"(?<!/)\{{[^{{}}]*\}} (?:\w+ )?(?P<noun>{COUNTED})\b")
ONE = re.compile(rf"(?<![\w.,:/-])1 (?P<noun>{COUNTED})\b")
# Counts that are never 1, by their names: {MAX_THREADS}, {most}.
LIMIT = re.compile(r"\{(?:[A-Z][A-Z_0-9:]*|most|limit|at_most)[^{}]*\}")

SAFETY = re.compile(r"\bSAFETY:\s*(?P<body>.*)", re.S)
# In the lines above a message that has a sentence of its own for 1.
COUNTS_ONE = re.compile(r"\b1 =>|[=!]= 1\b|\bplural|\bcounted")

PLAIN = {
    "pronoun": 'name it: "the thread", "the caller", "the waiting thread", "no thread", "another caller"',
    "back-reference": "say the sentence again, or name what it is about",
    "bare safety": "argue each clause: why does its condition hold at this place",
    "scenario number": "say the rule in words, with its source; numbers belong in tests and docs/scenarios.md",
    "plural": 'print "1 call" and "2 calls": use the helper for counted nouns, or word it without a noun',
    "long line": f"break the line: at most {MOST_OF_DOCS} columns",
    "long comment": f"break the line: at most {MOST_OF_COMMENTS} columns",
    "stale exception": "take the entry out of ALLOWED in .ci/lib/prose.py",
}


@dataclass
class Block:
    """Prose in one piece: a paragraph, a comment of some lines, a message. `kind`: doc, comment, message, page."""

    kind: str
    text: str
    lines: list  # (offset in `text`, line of the file), in order
    code: str = ""  # for a comment at the end of a line: the code before it

    def line(self, offset):
        return [line for start, line in self.lines if start <= offset][-1]


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    habit: str
    text: str


def joined(kind, parts, code=""):
    """A block of (line, text) parts, joined so that a habit that a line's end breaks in two is seen."""
    text, lines = "", []
    for line, part in parts:
        lines.append((len(text), line))
        text += part.strip() + " "
    return Block(kind, text, lines, code)


def without_code(parts):
    """Markdown without what is code: fenced blocks keep only their comments, and `…` becomes one word."""
    kept, fence = [], None
    for line, part in parts:
        mark = re.match(r"\s*(```+|~~~+)", part)
        if mark and (fence is None or part.strip().startswith(fence)):
            fence = None if fence else mark[1]
            kept.append((line, ""))
        elif fence:
            comment = re.search(r"(?://+!?|/\*|(?:^|\s)#)\s+(.*)", part)
            kept.append((line, comment[1] if comment else ""))
        else:
            kept.append((line, part))
    return kept


def paragraphs(kind, parts):
    """Blocks of lines without an empty line in between."""
    some = []
    for line, part in parts + [(0, "")]:
        if part.strip() and not part.lstrip().startswith("|"):
            some.append((line, part))
            continue
        if some:
            yield joined(kind, some)
        some = []
        if part.strip():
            yield joined(kind, [(line, part)])


def masked(text):
    """The same length, with the insides of `…`, of {…} and of addresses as x: names in them are names."""
    text = re.sub(r"`[^`]*`|\{\w*[^{}]*\}", lambda match: "x" * len(match[0]), text)
    return re.sub(r"\]\([^)]*\)|https?://\S+", lambda match: "x" * len(match[0]), text)


def page_blocks(text):
    parts = list(enumerate(text.split("\n"), 1))
    yield from paragraphs("page", without_code(parts))


def source_blocks(text, tokens):
    """The blocks of a Rust or C file. Comments of lines one under the other are one block."""
    lines = source.Source(text)
    run, kind, last, head = [], None, None, ""

    def flush():
        nonlocal run
        if run:
            yield from paragraphs(kind, without_code(run)) if kind == "doc" else [joined(kind, run, head)]
        run = []

    for token in tokens:
        line = lines.line(token.start)
        if token.kind == "string":
            inside = re.sub(r'^[bcr#]*"|"#*$', "", token.text)
            inside = inside.replace("\\n", "  ")
            yield joined("message", [(line + at, part.rstrip("\\")) for at, part in enumerate(inside.split("\n"))])
        if token.kind not in ("doc", "comment"):
            continue
        before = text[lines.starts[line - 1] : token.start]
        alone = not before.strip()
        block = token.text.startswith("/*")
        joins = alone and not block and token.kind == kind and last == line - 1 and not head
        if not joins:
            yield from flush()
            kind, head = token.kind, "" if alone else before.strip()
        if block:
            for at, part in enumerate(token.text.split("\n")):
                run.append((line + at, re.sub(r"^\s*/?\*+[!*]?|\*+/$", "", part)))
        else:
            run.append((line, re.sub(r"^//[/!]?", "", token.text)))
        last = line
        if block:
            yield from flush()
    yield from flush()


def hash_blocks(text):
    """The comments of shell scripts, TOML and programs."""
    run = []
    for number, line in enumerate(text.split("\n") + [""], 1):
        if match := re.match(r"\s*#(?!!)\s?(.*)", line):
            run.append((number, match[1]))
        elif run:
            yield from paragraphs("comment", run)
            run = []


def bare(body):
    """Whether a SAFETY comment says nothing: without numbers and links between them, no two words are left."""
    rest = re.sub(r"\bas (?:above|below|before)\b|\blikewise\b", " ", body, flags=re.I)
    rest = re.sub(r"[(]?\b\d+\b[).:]?|\b(?:is|are|and|to|clauses?|the)\b|[-–.,;:()]", " ", rest)
    return len(rest.split()) < 2


def words_of(block, path, in_test, only_messages):
    """The findings in one block: (offset, habit)."""
    text = masked(block.text)
    prose = block.kind != "message" or " " in block.text.strip()
    if only_messages and block.kind != "message" or not prose:
        return
    if block.kind == "message" and in_test:
        return
    for match in PRONOUN.finditer(text):
        people = AFTER_PEOPLE.search(text[: match.start()]) if match["who"] else None
        about = any(fnmatch(path, pattern) for pattern in ABOUT_PEOPLE)
        if not people and not about:
            yield match.start(), "pronoun"
    for match in BACK.finditer(text):
        yield match.start(), "back-reference"
    if block.kind == "comment":
        if safety := SAFETY.search(block.text):
            if bare(safety["body"]) or NUMBERS.search(safety["body"]):
                yield safety.start(), "bare safety"
    elif match := NUMBERS.search(text):
        yield match.start(), "bare safety"
    public = block.kind == "page" and path != "docs/scenarios.md" and not path.startswith((".github/", "CONTRIBUTING"))
    public = public or block.kind in ("doc", "message") and not in_test
    public = public or block.kind == "comment" and path.startswith("native/include/")
    if public:
        for match in SCENARIO.finditer(text):
            yield match.start(), "scenario number"
    if block.kind == "message":
        for match in PLURAL.finditer(block.text):
            if not LIMIT.match(match[0]):
                yield match.start(), "plural"
    for match in ONE.finditer(text):
        yield match.start(), "plural"


def quote(block, offset):
    start = max(block.text.rfind(" ", 0, max(offset - 30, 0)), 0)
    return block.text[start : offset + 50].strip()


def test_lines(text):
    """The lines of a Rust file's items for tests."""
    lines = source.Source(text)
    spans = source.items(source.bare_code(text), source.is_test)
    return {number for start, end in spans for number in range(lines.line(start), lines.line(end) + 1)}


def check(path, text, in_test=False, allowed=None, only_messages=False):
    """The findings in a file."""
    name = path.rsplit("/", 1)[-1]
    ending = name.rsplit(".", 1)[-1] if "." in name else ""
    if ending == "md":
        blocks = list(page_blocks(text))
    elif ending == "rs":
        blocks = list(source_blocks(text, source.rust(text)))
    elif ending in ("c", "h", "cpp"):
        blocks = list(source_blocks(text, source.c(text)))
        blocks = [block for block in blocks if block.kind != "message" or not in_test]
    elif ending in ("toml", "latecall", "yml", "leaks") or path.startswith(".ci/") and not ending:
        blocks = list(hash_blocks(text))
    else:
        return []
    found = []
    inner = test_lines(text) if ending == "rs" and not in_test else ()

    def add(line, habit, said, context):
        for entry in ALLOWED if allowed is not None else ():
            if fnmatch(path, entry[0]) and entry[1] in context:
                allowed.add(entry)
                return
        found.append(Finding(path, line, habit, said))

    for block in blocks:
        here = in_test or block.lines[0][1] in inner
        for offset, habit in words_of(block, path, here, only_messages):
            above = "\n".join(text.split("\n")[max(block.line(offset) - 4, 0) : block.line(offset)])
            if habit == "plural" and block.kind == "message" and COUNTS_ONE.search(above):
                continue
            add(block.line(offset), habit, quote(block, offset), block.text)
    if only_messages:
        return found
    if ending == "md":
        for number, line in enumerate(text.split("\n"), 1):
            # Rows of tables and lines that are one address cannot be broken.
            if len(line) > MOST_OF_DOCS and not line.lstrip().startswith("|") and " " in line.strip():
                add(number, "long line", line[:60], line)
    else:
        lines = text.split("\n")
        for number in sorted({line for block in blocks if block.kind != "message" for _, line in block.lines}):
            row = re.match(r"\s*//[/!] \|", lines[number - 1])
            if len(lines[number - 1]) > MOST_OF_COMMENTS and not row:
                add(number, "long comment", lines[number - 1].strip()[:60], lines[number - 1])
    return found


def whole_tree():
    paths = source.files()
    tests = source.test_files(source.ROOT, paths)
    found, allowed = [], set()
    for path in paths:
        if path.startswith(("fuzz/corpus/", "target/")) or path.startswith("LICENSE"):
            continue
        try:
            text = (source.ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        in_test = path in tests or bool(re.search(r"(^|/)tests/|^src/registry/(models\w*|convictions)\.rs$", path))
        only_messages = source.skipped(path) is not None
        found += check(path, text, in_test, allowed, only_messages)
    for entry in ALLOWED:
        if entry not in allowed and any(fnmatch(path, entry[0]) for path in paths):
            found.append(Finding(".ci/lib/prose.py", 1, "stale exception", f"{entry[0]}: {entry[1]}"))
    for finding in sorted(found, key=lambda finding: (finding.path, finding.line)):
        print(f'{finding.path}:{finding.line}: {finding.habit}: "{finding.text}"; {PLAIN[finding.habit]}')
    if not found:
        print(f"prose: {len(paths)} files read plainly, as far as a script can see")
        return 0
    kinds = ", ".join(f"{habit} {count}" for habit, count in Counter(finding.habit for finding in found).most_common())
    print(f"prose: {len(found)} findings: {kinds}", file=sys.stderr)
    return 1



# A file, and the habits that are seen in it. An empty list: it reads plainly.
SAMPLES = [
    ("src/a.rs", "//! Whoever waits is woken.", ["pronoun"]),
    ("src/a.rs", "/// Wakes the thread\n/// who waits.\nfn f() {}", ["pronoun"]),
    ("src/a.rs", "// The lock that nobody holds.", ["pronoun"]),
    ("src/a.rs", "//! The waiting thread is woken. See `who`; [`nobody`](crate::nobody).", []),
    ("src/a.rs", "//! Authors who bind a C library read this.", []),
    ("src/a.rs", "//! ```\n//! let who = nobody(); // whoever asks\n//! ```", ["pronoun"]),
    ("src/a.rs", 'fn f() { panic!("somebody else has it") }', ["pronoun"]),
    ("src/a.rs", 'fn f() { open("nobody"); g("{who} holds the lock") }', []),
    ("src/a.rs", '#[cfg(test)]\nmod tests { fn f() { panic!("nobody came") } }', []),
    ("native/src/a.c", "/* Frames: who is\n * inside. */", ["pronoun"]),
    ("docs/a.md", "The thread is parked, and nobody\nwakes it.", ["pronoun"]),
    ("CONTRIBUTING.md", "Anybody may open an issue, and nobody needs an account for more.", []),
    ("Cargo.toml", "[a] # x\n# For whoever builds this.", ["pronoun"]),
    ("explore/src/a.rs", "// whoever", []),
    ("explore/src/a.rs", 'fn f() { refuse("nobody reads it") }', ["pronoun"]),
    ("src/a.rs", "fn f() {\n    g(Relaxed); // as above\n}", ["back-reference"]),
    ("src/a.rs", "// Relaxed: the same as\n// above.\n", ["back-reference"]),
    ("docs/a.md", "| 20 ns | likewise |", ["back-reference"]),
    ("src/a.rs", "// Relaxed: a statistic, orders nothing.", []),
    ("src/a.rs", "// SAFETY: (1) is (1).", ["bare safety"]),
    ("src/a.rs", "// SAFETY: (1)", ["bare safety"]),
    ("src/a.rs", "// SAFETY:", ["bare safety"]),
    ("src/a.rs", "// SAFETY: as above.", ["back-reference", "bare safety"]),
    ("src/a.rs", "// SAFETY: (1) the caller made `raw` with `into_raw`, which is\n// clause (1) of `from_raw`.", []),
    ("src/a.rs", "// SAFETY: takes nothing.", []),
    ("src/a.rs", "/// Never wraps (S86).\npub fn f() {}", ["scenario number"]),
    ("src/a.rs", "// S86: the last generation.\nfn f() {}", []),
    ("src/a.rs", '#[cfg(test)]\nmod tests {\n    /// S86.\n    fn f() {}\n}', []),
    ("tests/a.rs", "//! S86.", []),
    ("native/include/a.h", "/* Never wraps (S86). */", ["scenario number"]),
    ("docs/registry.md", "| never wraps | `a_test` (S86) |", ["scenario number"]),
    ("docs/scenarios.md", "| S86 | a test |", []),
    ("src/a.rs", 'static SEEDS: &[&str] = &["S86"];', []),
    ("src/a.rs", 'fn f() { println!("{} calls", n) }', ["plural"]),
    ("src/a.rs", 'fn f() { println!("{n} late calls") }', ["plural"]),
    ("src/a.rs", 'fn f() { println!("at most {MAX_CALLS} calls") }', []),
    ("src/a.rs", 'fn f() {\n    match n {\n        1 => "1 call".to_owned(),\n        n => format!("{n} calls"),\n    }\n}', []),
    ("docs/a.md", "It made 1 calls.", ["plural"]),
    ("docs/a.md", "It made 1 call, then 0.1 calls a second.", []),
    ("docs/a.md", "word " * 33, ["long line"]),
    ("docs/a.md", "word " * 31, []),
    ("docs/a.md", "| " + "word " * 40 + "|", []),
    ("src/a.rs", "// " + "word " * 24, ["long comment"]),
    ("src/a.rs", "// " + "word " * 23, []),
    ("src/a.rs", 'fn f() { let s = r#"//nobody"#; }', []),
    ("src/a.rs", "fn f<'a>(who: &'a str) -> char { '\"' } // the caller's", []),
]


def self_test():
    for path, text, habits in SAMPLES:
        only_messages = source.skipped(path) is not None
        in_test = path.startswith("tests/")
        found = sorted({finding.habit for finding in check(path, text, in_test, only_messages=only_messages)})
        assert found == habits, f"{path}: {text!r}: {found}, and not {habits}"
    seen = {habit for _, _, habits in SAMPLES for habit in habits} | {"stale exception"}
    assert seen == set(PLAIN), f"no sample for {set(PLAIN) - seen}"
    line = check("src/a.rs", "fn f() {}\n\n// The lock is free when\n// nobody holds it.")[0].line
    assert line == 4, f"line {line}"
    print(f"prose: the self-test passed: {len(SAMPLES)} samples")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    elif sys.argv[1:]:
        sys.exit("usage: .ci/prose [--self-test]")
    else:
        sys.exit(whole_tree())
