# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which module uses which, from the sources: .ci/cycles says what is read and what fails."""

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import source

# In these top-level modules the files may form no cycle either.
LOOKED_INTO = ("engine", "gate", "ledger", "subject")

# Packages whose modules may form cycles for now, each with the reason. The graph is printed all the same.
EXCUSED = {"latecall-explore": "the explorer is rewritten as a whole"}

# From which package to which others of ours; a package that is not named here may use any that are. Dependencies of tests
# (dev-dependencies) are free: they are built for nobody else.
ORDER = {
    "latecall-build": set(),
    "latecall-explore": set(),
    "latecall": {"latecall-explore", "latecall-build"},
    "latecall-fixtures": {"latecall-build"},
    "latecall-bundled": {"latecall", "latecall-explore", "latecall-build"},
    "cargo-latecall": {"latecall-bundled", "latecall", "latecall-explore", "latecall-build"},
}


@dataclass
class Module:
    path: tuple
    file: Path
    parent: "Module | None"
    natural: bool  # reached without a #[path]: the place where the file stands
    within: tuple = ()  # its path inside its file: empty unless it is inline
    children: dict = field(default_factory=dict)
    defined: set = field(default_factory=set)
    imports: dict = field(default_factory=dict)  # a name: the path it stands for
    globs: list = field(default_factory=list)
    uses: list = field(default_factory=list)  # (path, line, whether it only re-exports)


@dataclass(frozen=True)
class Edge:
    target: str
    file: str
    line: int
    text: str


DEFINITION = re.compile(
    r"\b(?:fn|struct|enum|union|trait|type|const|static(?:\s+mut)?|macro_rules!)\s+(\w+)"
)
MODULE = re.compile(r"\bmod\s+(\w+)\s*([;{])")
USE = re.compile(r"(?P<public>\bpub(?:\s*\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]+);")
PATH = re.compile(r"(?<![\w:$.])(?P<first>\$?\w+)(?P<rest>(?:\s*::\s*\w+)+)")


def use_tree(text):
    """The paths of a `use`, each with the name it brings (None: a glob)."""
    text = re.sub(r"\s+", " ", text).strip().removeprefix("::")

    def expand(prefix, text):
        text = text.strip()
        if text.endswith("}") and "{" in text:
            head, body = text.split("{", 1)
            prefix = prefix + [part.strip() for part in head.split("::") if part.strip()]
            depth, item = 0, ""
            for character in body[:-1] + ",":
                if character == "," and depth == 0:
                    if item.strip():
                        yield from expand(prefix, item)
                    item = ""
                    continue
                depth += {"{": 1, "}": -1}.get(character, 0)
                item += character
            return
        path, _, alias = text.partition(" as ")
        parts = prefix + [part.strip() for part in path.split("::") if part.strip()]
        if parts[-1] == "*":
            yield parts[:-1], None
        elif parts[-1] == "self" and len(parts) > 1:
            yield parts[:-1], alias.strip() or parts[-2]
        else:
            yield parts, alias.strip() or parts[-1]

    return list(expand([], text))


class Tree:
    """The modules of one target."""

    def __init__(self, root, folder):
        self.folder = folder  # what names of files are relative to
        self.by_file = defaultdict(list)
        self.texts = {}
        self.missing = []
        self.root = Module((), root, None, True)
        self._file(self.root, root, root.parent)

    def _read(self, file):
        if file not in self.texts:
            text = file.read_text()
            code = source.without_items(text, source.is_test_or_docs)
            code = re.sub(r"\bpub\s*\(\s*in\b[^)]*\)", lambda match: re.sub(r"[^\n]", " ", match[0]), code)
            self.texts[file] = (source.Source(text), code)
        return self.texts[file]

    def _file(self, module, file, children):
        _, code = self._read(file)
        self._region(module, file, 0, len(code), children, file.parent)
        self.by_file[file].append(module)

    def _region(self, module, file, start, end, children, attributes):
        """Reads the body of a module. `children`: where its files are; `attributes`: what a #[path] in it starts from."""
        text, code = self._read(file)
        own, inner = [], []  # stretches that are this module's own; modules inside functions and macros
        depth = begin = 0
        begin = at = start
        token = re.compile(r"[{}]|\bmod\s+\w+\s*[;{]")
        while match := token.search(code, at, end):
            at = match.end()
            if match[0] == "{":
                depth += 1
            elif match[0] == "}":
                depth -= 1
            elif depth:
                if match[0].endswith("{"):
                    inner.append((match.start(), source.closing(code, at - 1)))
                    at -= 1
            else:
                name, kind = MODULE.match(match[0]).groups()
                path = self._path_attribute(text.text, code, match.start())
                stop = at if kind == ";" else source.closing(code, at - 1)
                own.append((begin, match.start()))
                begin = at = stop
                child = Module(module.path + (name,), file, module, module.natural and path is None)
                if kind == "{":
                    child.within = module.within + (name,)
                    below = attributes / path if path else children / name
                    self._region(child, file, match.end(), stop - 1, below, below)
                    self.by_file[file].append(child)
                else:
                    found = self._find(name, path, children, attributes)
                    if found is None:
                        self.missing.append(f"{self.name(file)}:{text.line(match.start())}: mod {name}: no file")
                        continue
                    child.file, below = found
                    self._file(child, child.file, below)
                module.children[name] = child
        own.append((begin, end))
        for first, last in own:
            self._contents(module, text, code, first, last, inner)

    @staticmethod
    def _path_attribute(text, code, at):
        head = re.search(r"(?:#\s*\[[^\]]*\]\s*)*(?:pub(?:\s*\([^)]*\))?\s+)?$", code[:at])
        match = re.search(r'#\s*\[path\s*=\s*"([^"]+)"\s*\]', text[head.start() : at])
        return match[1] if match else None

    @staticmethod
    def _find(name, path, children, attributes):
        if path:
            file = (attributes / path).resolve()
            return (file, file.parent) if file.is_file() else None
        if (file := children / f"{name}.rs").is_file():
            return file, children / name
        if (file := children / name / "mod.rs").is_file():
            return file, children / name
        return None

    def _contents(self, module, text, code, start, end, inner):
        part = code[:end]
        module.defined.update(match[1] for match in DEFINITION.finditer(part, start))

        def add(path, at, public):
            # `super` in a module inside a function or a macro is the file's module.
            for first, last in inner:
                if first <= at < last and path[:1] == ["super"]:
                    path = ["self"] + path[1:]
            module.uses.append((path, (module.file, text.line(at)), public))
            return path

        taken = []
        for match in USE.finditer(part, start):
            taken.append(match.span())
            for path, name in use_tree(match["tree"]):
                path = add(path, match.start(), bool(match["public"]))
                if name is None:
                    module.globs.append(path)
                elif name != "_":
                    module.imports.setdefault(name, path)
        for match in PATH.finditer(part, start):
            if not any(first <= match.start() < last for first, last in taken):
                rest = [name.strip() for name in match["rest"].split("::") if name.strip()]
                add([match["first"]] + rest, match.start(), False)

    def name(self, file):
        try:
            return str(file.relative_to(self.folder))
        except ValueError:
            return str(file)

    def stands(self, module):
        """The module of the same file that stands where the file does: twins are compiled from one file."""
        if module.natural:
            return module
        same = [other for other in self.by_file[module.file] if other.natural and other.within == module.within]
        return same[0] if same else module

    def resolve(self, path, module, seen=frozenset()):
        """The module that a path names before any re-export, and the one where what it names is defined (or None)."""
        first, rest = path[0], list(path[1:])
        if first in ("crate", "$crate"):
            here = self.root
        elif first == "self":
            here = module
        elif first == "super":
            here = module.parent
            while rest[:1] == ["super"] and here is not None:
                here, rest = here.parent, rest[1:]
        elif first in module.children:
            here = module.children[first]
        elif first in module.imports and (module.path, first) not in seen and module.imports[first] != path:
            seen = seen | {(module.path, first)}
            _, here = self.resolve(module.imports[first], module, seen)
        else:
            return None, None
        named = here
        for name in rest:
            if here is None:
                break
            if name in here.children:
                here = here.children[name]
                named = here
                continue
            if name not in here.defined:
                here = self._imported(name, here, seen)
            break
        return named, here

    def _imported(self, name, module, seen):
        key = (module.path, name)
        if key in seen:
            return None
        seen = seen | {key}
        if name in module.imports:
            return self.resolve(module.imports[name], module, seen)[1]
        for path in module.globs:
            _, there = self.resolve(path, module, seen)
            if there is None:
                continue
            if name in there.defined or name in there.children:
                return there
            if found := self._imported(name, there, seen):
                return found
        return module  # what a macro defines, or a name that this reading does not see

    def modules(self):
        stack = [self.root]
        while stack:
            module = stack.pop()
            yield module
            stack.extend(module.children.values())

    def edges(self, below=()):
        """The graph of the modules directly under one (the root, or a folder): {from: {to: [Edge]}}."""
        graph = defaultdict(lambda: defaultdict(list))
        depth = len(below)

        def node(module):
            path = self.stands(module).path
            if path[:depth] != below:
                return None
            return path[depth] if len(path) > depth else ""

        for module in self.modules():
            if self.stands(module) is not module or node(module) is None:
                continue
            origin = node(module)
            graph[origin]
            for path, (file, line), public in module.uses:
                named, defined = self.resolve(path, module)
                if named is None:
                    continue
                target = node(named)
                if target == "":  # by way of the parent: what counts is where it is defined
                    target = node(defined) if defined is not None else None
                if target is None or target == origin:
                    continue
                if origin == "" and (public or depth == 0):
                    continue  # a parent's re-exports
                if target == "" and depth == 0:
                    continue
                text = self.texts[file][0].text.splitlines()[line - 1].strip()
                edge = Edge(target, self.name(file), line, text)
                if edge not in graph[origin][target]:
                    graph[origin][target].append(edge)
        return graph


def cycles(graph):
    """The shortest cycle through each edge that is in one, each once."""
    found = {}
    for start in sorted(graph):
        for first in sorted(graph[start]):
            before = {first: None}
            queue = [first]
            while queue and start not in before:
                here = queue.pop(0)
                for target in sorted(graph.get(here, ())):
                    if target not in before:
                        before[target] = here
                        queue.append(target)
            if start not in before:
                continue
            walk, here = [], start
            while here is not None:
                walk.append(here)
                here = before[here]
            walk.reverse()  # first, …, start
            least = walk.index(min(walk))
            walk = tuple(walk[least:] + walk[:least])
            found[walk] = [(walk[at], walk[(at + 1) % len(walk)]) for at in range(len(walk))]
    return sorted(found.items(), key=lambda item: (len(item[0]), item[0]))


def show(graph, indent, own):
    for origin in sorted(graph):
        targets = ", ".join(f"{target or own} {len(lines)}" for target, lines in sorted(graph[origin].items()))
        print(f"{indent}{origin or own} -> {targets or 'nothing'}")


def tell(graph, found, where):
    said = set()
    for walk, steps in found:
        print(f"cycles: {where}: {' -> '.join(walk + walk[:1])}", file=sys.stderr)
        for origin, target in steps:
            if (origin, target) in said:
                continue  # its lines are printed with a shorter cycle
            said.add((origin, target))
            lines = graph[origin][target]
            print(f"  {origin} -> {target}:", file=sys.stderr)
            for edge in lines[:4]:
                print(f"    {edge.file}:{edge.line}: {edge.text}", file=sys.stderr)
            if len(lines) > 4:
                print(f"    and {len(lines) - 4} lines more", file=sys.stderr)


def look(tree, title, quiet=False, excused=False):
    """Prints the graphs of a target, and answers its cycles, each as a tuple of names."""
    said = []
    graph = tree.edges()
    graph.pop("", None)
    if len(graph) > 1 and not quiet:
        print(f"{title}:")
        show(graph, "  ", "lib.rs")
    found = cycles(graph)
    if not quiet and not excused:
        tell(graph, found, title)
    said += [walk for walk, _ in found]
    for name in LOOKED_INTO:
        if name not in tree.root.children or not tree.root.children[name].children:
            continue
        graph = tree.edges((name,))
        if not quiet:
            print(f"  in {name}/:")
            show(graph, "    ", "mod.rs")
        # What a file and its parent's mod.rs say of each other is one room; its files among each other are looked at.
        among = {origin: {to: lines for to, lines in targets.items() if to} for origin, targets in graph.items() if origin}
        found = cycles(among)
        if not quiet:
            tell(among, found, f"{title}, {name}/")
        said += [tuple(f"{name}::{part}" for part in walk) for walk, _ in found]
    for line in tree.missing if not quiet else ():
        print(f"cycles: {line}", file=sys.stderr)
    return said + tree.missing


def packages(metadata, quiet=False):
    """Prints which package of ours needs which, and answers what goes against the order."""
    ours = {package["name"]: package for package in metadata["packages"]}
    wrong = []
    for name, package in sorted(ours.items()):
        needed, tests = set(), set()
        for dependency in package["dependencies"]:
            if dependency["name"] in ours and dependency["name"] != name:
                (tests if dependency["kind"] == "dev" else needed).add(dependency["name"])
        allowed = ORDER.get(name, set(ours))
        wrong += [f"{name} -> {other}" for other in sorted(needed - allowed)]
        if not quiet:
            more = f" (its tests: {', '.join(sorted(tests))})" if tests else ""
            print(f"package {name} -> {', '.join(sorted(needed)) or 'none of ours'}{more}")
    if not quiet:
        for pair in wrong:
            print(f"cycles: package {pair}: dependencies go cli -> bundled -> latecall -> explore, build", file=sys.stderr)
    return wrong


def whole_tree():
    command = ["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=source.ROOT).stdout)
    found = packages(metadata)
    for package in metadata["packages"]:
        for target in package["targets"]:
            if {"lib", "bin", "rlib", "staticlib", "cdylib"} & set(target["kind"]):
                file = Path(target["src_path"])
                title = f"{package['name']} ({file.relative_to(source.ROOT)})"
                excuse = EXCUSED.get(package["name"])
                cyclic = look(Tree(file, source.ROOT), title, excused=excuse is not None)
                if excuse is None:
                    found += cyclic
                else:
                    print(f"  {len(cyclic)} cycles, not counted: {excuse}")
    if found:
        print(f"cycles: {len(found)} found", file=sys.stderr)
        return 1
    print("cycles: none")
    return 0


SAMPLE = {
    # `one` and `two` need each other; `three` only from its tests and its documentation.
    "lib.rs": "pub mod one; mod two; pub mod three; pub mod ledger;\npub use one::A;\n#[path = \"three.rs\"] mod twin;",
    "one.rs": "use crate::two::{self, B};\npub struct A(B);\nfn f() { two::g() }",
    "two/mod.rs": "mod deep;\npub struct B;\npub(crate) fn g() { deep::h() }",
    "two/deep.rs": "pub(super) fn h() -> Option<crate::one::A> { None } // and crate::three::C",
    "three.rs": "//! crate::one::A\n#[cfg(doc)]\nuse crate::one::A;\npub struct C(super::ledger::D);\n"
    "#[cfg(test)]\nmod tests { use crate::two::B; }\nfn f() { \"crate::one::A\"; }",
    # `log` and `witness` need each other, one through what mod.rs re-exports. `event` is needed and needs nothing.
    "ledger/mod.rs": "pub mod event; mod log; mod witness;\npub use event::D;\npub use log::Log;\npub use witness::Witness;",
    "ledger/event.rs": "pub struct D;",
    "ledger/log.rs": "use super::event::D;\nuse super::witness::Witness;\npub struct Log(D, Witness);",
    "ledger/witness.rs": "use super::{D, Log};\npub struct Witness(D, *const Log);",
}


def self_test():
    def run(files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            tree = Tree(Path(folder, "lib.rs"), Path(folder))
            return look(tree, "sample", quiet=True), tree.edges()

    found, graph = run(SAMPLE)
    assert found == [("one", "two"), ("ledger::log", "ledger::witness")], found
    assert {origin: sorted(targets) for origin, targets in graph.items() if origin} == {
        "one": ["two"], "two": ["one"], "three": ["ledger"], "ledger": [],
    }, graph
    assert [edge.line for edge in graph["one"]["two"]] == [1, 3], graph["one"]["two"]

    mended = dict(SAMPLE)
    mended["two/deep.rs"] = "pub(super) fn h() {}"
    mended["ledger/witness.rs"] = "use super::D;\npub struct Witness(D);"
    assert run(mended)[0] == [], run(mended)[0]

    longer = dict(mended)
    longer["two/deep.rs"] = "use crate::three as other;\npub(super) fn h() { other::f() }"
    longer["three.rs"] = "pub(crate) fn f() { crate::one::f() }"
    assert run(longer)[0] == [("one", "two", "three")], run(longer)[0]

    absent = dict(mended)
    del absent["three.rs"]
    assert len(run(absent)[0]) == 2, "a module without a file is said"

    def package(name, *dependencies):
        return {"name": name, "dependencies": [{"name": other, "kind": kind} for other, kind in dependencies]}

    right = [package("latecall", ("latecall-explore", None), ("latecall-bundled", "dev")), package("latecall-explore"),
             package("latecall-bundled", ("latecall", None))]
    assert packages({"packages": right}, quiet=True) == []
    right[1] = package("latecall-explore", ("latecall", "build"))
    assert packages({"packages": right}, quiet=True) == ["latecall-explore -> latecall"]
    print("cycles: the self-test passed")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    elif sys.argv[1:]:
        sys.exit("usage: .ci/cycles [--self-test]")
    else:
        sys.exit(whole_tree())
