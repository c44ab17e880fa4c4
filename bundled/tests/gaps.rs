//! `GAPS.md` lists every use of hidden items of `latecall` and `latecall-explore` in this package, and nothing else.
//!
//! What is hidden is read from the sources of those packages (`#[doc(hidden)]`), so that a new hidden module is known
//! here as soon as it exists. Names are looked for in the code, not in comments or literals.
//!
//! Not known here: hidden methods of `latecall::signature`, whose names (`new`, `get`) say nothing. The package does
//! not use that module, and a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A use: the item as the first column of GAPS.md has it, and the file.
type Use = (String, String);

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The identifiers and the punctuation of a Rust source, without comments and literals. `::` is one token.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if let Some(literal) = ["'\"'", "'\\\"'", "'\\''", "'\\\\'"].iter().find(|it| rest.starts_with(**it)) {
            literal.len()
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else {
            let length = if rest.starts_with("::") { 2 } else { c.len_utf8() };
            if !c.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// What is hidden: modules with their package's crate, and names of other items.
#[derive(Debug, Default)]
struct Hidden {
    modules: BTreeMap<String, &'static str>,
    items: BTreeSet<String>,
}

impl Hidden {
    fn read() -> Self {
        let mut hidden = Hidden::default();
        for (folder, krate) in [("../src", "latecall"), ("../explore/src", "latecall_explore")] {
            for file in rust_files(&package().join(folder)) {
                let tokens = tokens(&fs::read_to_string(&file).unwrap());
                for at in marks_of_hidden(&tokens) {
                    hidden.add(&tokens[at..], krate, file.to_string_lossy().contains("/signature/"));
                }
            }
        }
        hidden
    }

    /// Adds the item that follows the attribute at the beginning of `tokens`.
    fn add(&mut self, tokens: &[String], krate: &'static str, in_signature: bool) {
        let mut at = tokens.iter().map(String::as_str).skip(6).skip_while(|it| *it != "pub" && *it != "macro_rules");
        while let Some(token) = at.next() {
            match token {
                "mod" => {
                    self.modules.insert(at.next().unwrap().to_owned(), krate);
                    return;
                }
                "fn" | "struct" | "enum" | "trait" | "type" if !in_signature => {
                    self.items.insert(at.next().unwrap().to_owned());
                    return;
                }
                "macro_rules" => {
                    self.items.insert(at.nth(1).unwrap().to_owned());
                    return;
                }
                "use" => {
                    let path: Vec<&str> = at.by_ref().take_while(|it| *it != ";").collect();
                    self.items.extend(path.last().map(ToString::to_string));
                    return;
                }
                ";" | "{" => return,
                _ => {}
            }
        }
    }
}

/// Where `#[doc(hidden)]` begins.
fn marks_of_hidden(tokens: &[String]) -> impl Iterator<Item = usize> {
    let mark = ["#", "[", "doc", "(", "hidden", ")", "]"];
    tokens.windows(mark.len()).enumerate().filter(move |(_, it)| *it == mark).map(|(at, _)| at)
}

/// The code of this package: the sources and the tests, by their paths in the package.
fn code() -> BTreeMap<String, Vec<String>> {
    let files = rust_files(&package().join("src")).into_iter().chain(rust_files(&package().join("tests")));
    let name = |file: &Path| file.strip_prefix(package()).unwrap().to_string_lossy().into_owned();
    files.map(|file| (name(&file), tokens(&fs::read_to_string(&file).unwrap()))).collect()
}

/// The names that follow `::` at the beginning of `tokens`: one, or each of a group in braces.
fn names_after(tokens: &[String]) -> Vec<String> {
    match tokens.get(1).map(String::as_str) {
        Some("{") => {
            let (mut names, mut depth, mut first) = (Vec::new(), 0, false);
            for token in &tokens[1..] {
                match token.as_str() {
                    "{" => (depth, first) = (depth + 1, depth == 0),
                    "}" => depth -= 1,
                    "," => first = depth == 1,
                    name if first => {
                        names.push(name.to_owned());
                        first = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            names
        }
        Some(name) => vec![name.to_owned()],
        None => Vec::new(),
    }
}

/// Every use of what is hidden.
fn uses(hidden: &Hidden, code: &BTreeMap<String, Vec<String>>) -> BTreeSet<Use> {
    let is = |tokens: &[String], at: usize, token: &str| tokens.get(at).is_some_and(|it| it == token);
    let mut uses = BTreeSet::new();
    // Other names of hidden modules, by which files name them through `super`: `use latecall_explore::seam as sync`.
    let mut aliases: BTreeMap<String, String> = BTreeMap::new();
    for (file, tokens) in code {
        for at in 0..tokens.len() {
            let Some(krate) = hidden.modules.get(&tokens[at]) else { continue };
            let module = format!("{krate}::{}", tokens[at]);
            let mut end = at + 1;
            let mut path = module.clone();
            if is(tokens, end, "::") {
                for name in names_after(&tokens[end..]) {
                    path = format!("{module}::{name}");
                    uses.insert((path.clone(), file.clone()));
                }
                end += 2;
            } else if !is(tokens, end, ";") {
                uses.insert((module, file.clone()));
            }
            if is(tokens, end, "as") {
                aliases.insert(tokens[end + 1].clone(), path);
            }
        }
        for name in tokens.iter().filter(|token| hidden.items.contains(*token)) {
            uses.insert((name.clone(), file.clone()));
        }
        // `use latecall::internal;` is a use by itself unless the file names an item of the module.
        for token in tokens {
            let Some(krate) = hidden.modules.get(token) else { continue };
            let module = format!("{krate}::{token}");
            let names_items = uses.iter().any(|(item, of)| of == file && item.starts_with(&module));
            if !names_items {
                uses.insert((module, file.clone()));
            }
        }
    }
    for (file, tokens) in code {
        for at in 2..tokens.len() {
            let Some(path) = aliases.get(&tokens[at]) else { continue };
            if is(tokens, at - 2, "super") && is(tokens, at + 1, "::") {
                let whole = path.matches("::").count() == 2;
                for name in names_after(&tokens[at + 1..]) {
                    let item = if whole { path.clone() } else { format!("{path}::{name}") };
                    uses.insert((item, file.clone()));
                }
            }
        }
    }
    uses
}

/// A row of GAPS.md: the item, and the places: each file, with the names that are given for it.
#[derive(Debug)]
struct Row {
    item: String,
    places: Vec<(String, Vec<String>)>,
    cells: usize,
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(package().join("GAPS.md")).unwrap();
    let spans = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let mut places: Vec<(String, Vec<String>)> = Vec::new();
        for span in spans(cells[1]) {
            match places.last_mut() {
                _ if span.ends_with(".rs") => places.push((span, Vec::new())),
                Some((_, names)) => names.push(span),
                None => panic!("{line}: {span} stands before any file"),
            }
        }
        let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        rows.push(Row { item: spans(cells[0]).concat(), places, cells: filled });
    }
    rows
}

/// The item of a row as [`uses`] names it: in a module that is not hidden, an item is known by its last name.
fn known_by(item: &str, hidden: &Hidden) -> String {
    let mut segments = item.split("::").skip(1);
    let in_hidden = segments.next().is_some_and(|module| hidden.modules.contains_key(module));
    if in_hidden { item.to_owned() } else { item.rsplit("::").next().unwrap().to_owned() }
}

#[test]
fn the_hidden_modules_are_known() {
    let hidden = Hidden::read();
    for (module, krate) in [
        ("internal", "latecall"),
        ("loomed", "latecall"),
        ("seam", "latecall_explore"),
        ("harness", "latecall_explore"),
    ] {
        assert_eq!(hidden.modules.get(module), Some(&krate), "{module}: {hidden:#?}");
    }
    for item in ["StallSite", "with_stall_hook", "__local"] {
        assert!(hidden.items.contains(item), "{item}: {hidden:#?}");
    }
}

#[test]
fn every_use_of_a_hidden_item_is_listed_and_every_listed_use_exists() {
    let hidden = Hidden::read();
    let used = uses(&hidden, &code());
    assert!(used.len() > 30, "hardly any use was found, which is a fault of this test: {used:#?}");
    let listed: BTreeSet<Use> = rows()
        .iter()
        .flat_map(|row| row.places.iter().map(|(file, _)| (known_by(&row.item, &hidden), file.clone())))
        .collect();
    let show = |uses: Vec<&Use>| uses.iter().map(|(item, file)| format!("\n  {item} in {file}")).collect::<String>();
    let missing = show(used.difference(&listed).collect());
    assert!(missing.is_empty(), "used, and not listed in bundled/GAPS.md; add each to a row of its table:{missing}");
    let stale = show(listed.difference(&used).collect());
    assert!(stale.is_empty(), "listed in bundled/GAPS.md, and not used; take each out of the table:{stale}");
}

/// The functions and types in the second column exist in the file before them, and no cell is empty.
#[test]
fn each_row_is_complete() {
    let code = code();
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert_eq!(row.cells, 4, "{}: item, place, reason and replacement", row.item);
        assert!(seen.insert(row.item.clone()), "{} has two rows", row.item);
        for (file, names) in &row.places {
            let tokens = code.get(file).unwrap_or_else(|| panic!("{}: there is no {file}", row.item));
            for name in names.iter().flat_map(|name| name.split("::")) {
                assert!(tokens.iter().any(|token| token == name), "{}: {file} has no {name}", row.item);
            }
        }
    }
}

#[test]
fn the_signature_module_is_not_used() {
    for (file, tokens) in code() {
        assert!(
            !tokens.iter().any(|token| token == "signature"),
            "{file} uses `latecall::signature`: teach this test its hidden methods"
        );
    }
}
