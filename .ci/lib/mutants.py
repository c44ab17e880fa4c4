# SPDX-License-Identifier: MIT OR Apache-2.0
"""Mutants that survived, against the list of those that may: .ci/mutants says the rule.

Reads the folder that cargo-mutants wrote (`mutants.out`) and the list on the page.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

PAGE = "docs/mutants.md"
# One survivor a line: its name without line and column, and the reason after a colon.
ENTRY = re.compile(r"- `(?P<name>[^`]+)`: (?P<reason>\S.*)")
BEGIN, END = "<!-- survivors -->", "<!-- end of survivors -->"


def listed(page):
    """The names on the page, each as often as it stands there."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise SystemExit(f"mutants: {PAGE} must have one line `{BEGIN}` and, after the list, one line `{END}`")
    names = Counter()
    for line in page.split(BEGIN)[1].split(END)[0].splitlines():
        if not line.startswith("- "):
            continue
        match = ENTRY.fullmatch(line)
        if match is None:
            raise SystemExit(f"mutants: {PAGE}: an entry is written `- \\`NAME\\`: REASON`: {line}")
        names[match["name"]] += 1
    return names


def plain(name):
    """The name of a mutant without its line and column, which change with every edit above it."""
    return re.sub(r"^([^:]+):\d+:\d+: ", r"\1: ", name)


def names_in(path):
    return Counter(plain(line) for line in path.read_text().splitlines() if line.strip())


def compare(allowed, missed, tested, everything):
    """Survivors that are not on the list, and entries of the list that are survivors no longer, with the reason.

    `tested` are the mutants of this run, `everything` those of the tree. An entry is judged only if this run has tested
    every mutant with its name: a name without its line may stand for several places of one function.
    """
    new = missed - allowed
    stale = []
    for name, count in sorted(allowed.items()):
        if name not in everything:
            stale.append((name, "there is no such mutant"))
        elif count > everything[name]:
            stale.append((name, f"listed {count} times, and there are {everything[name]} such mutants"))
        elif tested[name] == everything[name] and missed[name] < count:
            stale.append((name, f"{missed[name]} of {count} survived"))
    return sorted(new.elements()), stale


def main(out, every):
    """`out`: the folder of the run. `every`: a file with the names of all mutants of the tree."""
    out = Path(out)
    by_result = {result: names_in(out / f"{result}.txt") for result in ("caught", "missed", "timeout", "unviable")}
    tested = sum(by_result.values(), Counter())
    planned = len(json.loads((out / "mutants.json").read_text()))
    allowed = listed(Path(PAGE).read_text())
    new, stale = compare(allowed, by_result["missed"], tested, names_in(Path(every)))
    for name, why in stale:
        print(f"no longer a survivor, take it out of {PAGE}: {name} ({why})")
    for name in new:
        print(f"survived, and is not in {PAGE}: {name}")
    counts = ", ".join(f"{sum(by_result[result].values())} {result}" for result in by_result)
    print(f"mutants: {tested.total()} of {planned} tested ({counts}), {len(new)} survivors not in {PAGE}")
    if tested.total() != planned:
        print("mutants: the run did not finish: see the output of cargo-mutants", file=sys.stderr)
        return 1
    if new:
        print(f"mutants: write a test that fails with the mutant, or a line in {PAGE} that says why none can", file=sys.stderr)
        return 1
    return 0


def self_test():
    page = f"# A page\n\n- `not: an entry`: above the list\n\n{BEGIN}\n\n- `a.rs: x in f`: equal\n- `a.rs: x in f`: equal\n- `b.rs: y`: equal:\nthe same value\n## More\n{END}\n"
    assert listed(page) == Counter({"a.rs: x in f": 2, "b.rs: y": 1})
    for wrong in ["", f"{BEGIN}\n", f"{BEGIN}\n- a.rs: x\n{END}", f"{BEGIN}\n- `a.rs: x`:\n{END}"]:
        try:
            listed(wrong)
        except SystemExit:
            continue
        raise AssertionError(f"read: {wrong}")
    assert plain("src/a.rs:10:5: replace + with - in A::f") == "src/a.rs: replace + with - in A::f"
    one, two = Counter(["x"]), Counter(["x", "x"])
    none = Counter()
    assert compare(one, one, two, two) == ([], [])
    assert compare(one, two, two, two) == (["x"], []), "a second survivor of the same name"
    assert compare(none, one, two, two) == (["x"], [])
    assert compare(one, none, two, two)[1] == [("x", "0 of 1 survived")]
    assert compare(one, none, one, two) == ([], []), "the survivor may be the mutant that was not tested"
    assert compare(one, none, none, none)[1] == [("x", "there is no such mutant")]
    assert compare(two, one, one, one)[1] == [("x", "listed 2 times, and there are 1 such mutants")]
    print("mutants: the self-test passed")
    return 0


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else main(*sys.argv[1:]))
