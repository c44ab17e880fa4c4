# SPDX-License-Identifier: MIT OR Apache-2.0
"""Rules taken out of the sources, one at a time: .ci/rule-mutants says what for.

A list is TOML:

    command = ["cargo", "test", ...]     what compiles and runs the tests; FILTER stands for the mutant's `tests`
    broken = "error: could not compile"  what the output contains if a mutant does not compile
    limit = 300                          seconds after which a mutant counts as caught, building included

    [[mutant]]
    name = "a read may be older than one before it"
    file = "src/lib.rs"
    old = "text that is there once"
    new = "text in its place"
    tests = "litmus"                     the filter of the tests that are to notice; several are separated by spaces
    equivalent = "why"                   if given: the mutant changes no result, so no test may notice it
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path


class Wrong(Exception):
    """A list that cannot be used."""


def copy(root, to):
    """The files that git knows or would take in, as they are in the work tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)


def run(listed, tree, tests, limit=None):
    """Whether the tests pass, or "broken"; and the output."""
    command = []
    for word in listed["command"]:
        command += tests.split() if word == "FILTER" else [word]
    # A group of its own: a test that hangs is a child of cargo.
    process = subprocess.Popen(
        command, cwd=tree, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False, "no end"
    if listed["broken"] in output:
        return "broken", output
    return process.returncode == 0, output


def mutated(mutant, tree):
    path = tree / mutant["file"]
    text = path.read_text()
    if text.count(mutant["old"]) != 1:
        raise Wrong(f"`{mutant['name']}`: its text is in {mutant['file']} {text.count(mutant['old'])} times, not once")
    return text.replace(mutant["old"], mutant["new"])


def noticed(output):
    """By what a mutant was caught: the tests that failed, or the last line if none says so."""
    tests = re.findall(r"^test (\S+) \.\.\. FAILED", output, re.MULTILINE)
    return "".join(f"\n    {line.strip()}" for line in tests or output.strip().splitlines()[-1:])


def judge(listed, tree, words, say):
    """The mutants that are not caught, or are although they change nothing, each with the reason. `tree` is changed, and is as before in the end."""
    chosen = [it for it in listed["mutant"] if not words or any(some in it["name"] for some in words)]
    if not chosen:
        raise Wrong(f"no mutant's name contains any of {words}")
    for mutant in chosen:
        mutated(mutant, tree)
    filters = " ".join(sorted({word for it in chosen for word in it["tests"].split()}))
    # Without a limit: it may build everything.
    passed, output = run(listed, tree, filters)
    if passed is not True:
        raise Wrong(f"the tests fail without any mutant:\n{output}")
    wrong = []
    for mutant in chosen:
        path = tree / mutant["file"]
        original, began = path.read_text(), time.monotonic()
        path.write_text(mutated(mutant, tree))
        passed, output = run(listed, tree, mutant["tests"], listed["limit"])
        path.write_text(original)
        verdict = {True: "SURVIVED", False: "caught", "broken": "DOES NOT COMPILE"}[passed]
        right = passed is False
        if "equivalent" in mutant:
            right = passed is True
            verdict = "survived, as it should," if right else verdict + ", though it should not be,"
        say(f"{verdict} in {time.monotonic() - began:.0f} s: {mutant['name']}{noticed(output) if passed is False else ''}")
        if passed == "broken":
            say(output)
        if not right:
            wrong.append(mutant["name"])
    return wrong


def check(root, names, words):
    folder = root / ".ci/rules"
    paths = [folder / f"{name}.toml" for name in names] or sorted(folder.glob("*.toml"))
    wrong, number = [], 0
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        copy(root, tree)
        os.environ["CARGO_TARGET_DIR"] = os.environ.get("RULE_MUTANTS_TARGET", str(Path(work) / "target"))
        for path in paths:
            listed = tomllib.loads(path.read_text())
            number += len(listed["mutant"])
            wrong += judge(listed, tree, words, lambda text: print(text, flush=True))
    print(f"rule-mutants: {len(wrong)} not as they should be, of {number} in {len(paths)} lists")
    return 1 if wrong else 0


def self_test():
    def mutant(old, new, tests="a"):
        return {"name": f"{old} as {new}", "file": "it.txt", "old": old, "new": new, "tests": tests}

    # Its test `a` wants "one", its test `b` wants "two"; a text with "!" does not compile.
    script = "t=$(cat it.txt); case $t in *!*) echo no compile; exit 2;; esac; " \
        "for f in \"$@\"; do case $f in a) w=one;; b) w=two;; esac; case $t in *$w*) ;; *) exit 1;; esac; done"
    listed = {"command": ["sh", "-c", script, "sh", "FILTER"], "broken": "no compile", "limit": 5}
    cases = [
        ("a mutant that a test notices", [mutant("one", "1"), mutant("two", "2", "b")], []),
        ("a mutant that survives", [mutant("two", "2")], ["two as 2"]),
        ("a mutant that changes nothing", [mutant("two", "2") | {"equivalent": "b is not run"}], []),
        ("one that is said to change nothing", [mutant("one", "1") | {"equivalent": "?"}], ["one as 1"]),
        ("a mutant that does not compile", [mutant("one", "one!")], ["one as one!"]),
        ("a text that is not there", [mutant("three", "3")], Wrong),
        ("a text that is there twice", [mutant("t", "T")], Wrong),
        ("a list without mutants", [], Wrong),
    ]
    def found(text, listed, mutants):
        with tempfile.TemporaryDirectory() as tree:
            path = Path(tree) / "it.txt"
            path.write_text(text)
            try:
                wrong = judge({**listed, "mutant": mutants}, Path(tree), [], lambda _: None)
            except Wrong:
                wrong = Wrong
            return wrong if path.read_text() == text else "the text has changed"

    results = [(what, found("one two t", listed, mutants), expected) for what, mutants, expected in cases]
    fails = found("one", listed, [mutant("one", "1", "a b")])
    results.append(("tests that fail without a mutant", fails, Wrong))
    hung = {**listed, "command": ["sh", "-c", "grep -q one it.txt || (sleep 60; true)"], "limit": 1}
    results.append(("a test that does not end has failed", found("one", hung, [mutant("one", "1")]), []))
    failed = [f"{what}: expected {expected}, found {found}" for what, found, expected in results if found != expected]
    for line in failed:
        print(f"rule-mutants: {line}")
    print(f"rule-mutants: self-test, {len(failed)} of {len(results)} cases fail")
    return 1 if failed else 0


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    root = Path(__file__).resolve().parents[2]
    try:
        return check(root, arguments[:1], arguments[1:])
    except Wrong as wrong:
        print(f"rule-mutants: {wrong}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
