# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files that are too long: .ci/lines says the rule."""

import re
import sys

import source

MOST = 400
REASON = re.compile(r"\bOne file: (?P<reason>\S+(?:\s+\S+){3,})")


def reason(text):
    """Why a file is one file, from the first paragraph of its documentation; None if it does not say.

    A file that others include with `include!` cannot have documentation of its own: there its first comment counts.
    """
    first = []
    mark = r"//!(.*)" if re.search(r"(?m)^//!", text) else r"//(?!/)(.*)"
    for line in text.split("\n"):
        if match := re.match(mark, line):
            if not match[1].strip():
                break
            first.append(match[1].strip())
        elif first or line.strip() and not line.startswith(("//", "#!")):
            break
    match = REASON.search(" ".join(first))
    return match["reason"] if match else None


def judge(path, text):
    """What is wrong with a file, or None."""
    count = text.count("\n") + (not text.endswith("\n"))
    why = reason(text)
    if count > MOST and why is None:
        return f"{path}: {count} lines, and no reason; split it, or say `One file: REASON` in the first paragraph of its docs"
    if count <= MOST and why is not None:
        return f"{path}: {count} lines need no reason; take `One file: …` out of its docs"
    return None


def whole_tree():
    paths = [path for path in source.files() if path.endswith(".rs")]
    read = [path for path in paths if source.skipped(path) is None]
    wrong = [said for path in read if (said := judge(path, (source.ROOT / path).read_text()))]
    for said in wrong:
        print(said)
    left = f"{len(paths) - len(read)} left out"
    print(f"lines: {len(wrong)} of {len(read)} Rust files against the rule, {left}", file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong else 0


def self_test():
    code = "fn f() {}\n" * 399
    assert judge("a.rs", "//! Short.\n" + code) is None
    assert judge("a.rs", "//! Long.\n\n" + code) is not None
    assert judge("a.rs", "//! Long. One file: all rules read the same state.\n\n" + code) is None
    assert judge("a.rs", "//! Long. One file: all rules\n//! read the same state.\n" + code) is None
    assert judge("a.rs", "// A notice.\n//! Long. One file: all rules read one state.\n" + code) is None
    assert judge("a.rs", "//! Long. One file: because.\n\n" + code) is not None, "a word is no reason"
    assert judge("a.rs", "//! Long.\n//!\n//! One file: all rules read the same state.\n" + code) is not None, "too late"
    assert judge("a.rs", "//! Short. One file: all rules read the same state.\n") is not None, "stale"
    print("lines: the self-test passed")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    elif sys.argv[1:]:
        sys.exit("usage: .ci/lines [--self-test]")
    else:
        sys.exit(whole_tree())
