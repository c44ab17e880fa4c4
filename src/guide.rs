//! The pages of `docs/`, as they are in the repository. They exist in the documentation only.
//!
//! Each page is included under link definitions of its own: in Markdown the first definition of a link counts, so a
//! link between two pages leads to a module here, and to a file where the page is read as a file.

macro_rules! pages {
    ($($name:ident: $summary:literal, $file:literal;)*) => {$(
        #[doc = $summary]
        ///
        /// [design.md]: crate::guide::design
        /// [explore.md]: crate::guide::explore
        /// [gate.md]: crate::guide::gate
        /// [json.md]: crate::guide::json
        /// [limits.md]: crate::guide::limits
        /// [model.md]: crate::guide::model
        /// [program.md]: crate::guide::program
        /// [registry.md]: crate::guide::registry
        /// [scenarios.md]: crate::guide::scenarios
        /// [thunk.md]: crate::guide::thunk
        ///
        #[doc = include_str!(concat!("../docs/", $file))]
        pub mod $name {}
    )*};
}

pages! {
    registry: "What the registry promises, verb by verb, and the test that shows it.", "registry.md";
    thunk: "Functions for C APIs without user data: what a thunk promises, and the test that shows it.", "thunk.md";
    limits: "Which way each part errs: what it may miss, what it may blame wrongly, when it gives no verdict.", "limits.md";
    program: "The language of programs: what an owner and a library do with a few callbacks.", "program.md";
    gate: "The gate: its table, exit codes and budgets.", "gate.md";
    json: "The JSON documents that the command writes.", "json.md";
    model: "C code under the explorer: how to put your own there, what is modelled, which way it errs.", "model.md";
    explore: "Rust code under the explorer, for readers who know loom: what a search proves, and what it costs.", "explore.md";
    design: "Why the parts are as they are.", "design.md";
    scenarios: "What goes wrong with callbacks that C keeps, numbered, and the file that covers each.", "scenarios.md";
}
