//! How C gets in: the shims behind the names that instrumented objects call.
//!
//! A shim hands the address that its caller will return to to the Rust function behind it, as one more argument: that is
//! where in the C code the event happened, and Rust has no other way to learn it. It is a jump, so the Rust function is
//! called as if by C itself, and a panic that leaves it unwinds straight into the C frame.

/// Declares shims: `name(arity) => function;`, where `function` takes `arity` integer arguments and the caller's address.
macro_rules! entry_points {
    ($($name:ident ($arity:tt) => $target:path;)*) => {
        $crate::model::entry::named_entry_points! { $((stringify!($name)) ($arity) => $target;)* }
    };
}

/// The same with names that are put together: `(concat!("name", 4))(arity) => function;`.
macro_rules! named_entry_points {
    ($(($($name:tt)*) ($arity:tt) => $target:path;)*) => {
        #[cfg(test)]
        pub(in crate::model) const NAMES: &[&str] = &[$($($name)*),*];
        $(
            const _: () = {
                #[unsafe(naked)]
                #[unsafe(export_name = concat!("latecall_model_", $($name)*))]
                extern "C-unwind" fn shim() {
                    std::arch::naked_asm!(
                        concat!("mov ", $crate::model::entry::caller_register!($arity), ", [rsp]"),
                        "jmp {target}",
                        target = sym $target,
                    )
                }
            };
        )*
    };
}

/// The register of the argument after `arity` others (System V, x86-64).
macro_rules! caller_register {
    (0) => {
        "rdi"
    };
    (1) => {
        "rsi"
    };
    (2) => {
        "rdx"
    };
    (3) => {
        "rcx"
    };
    (4) => {
        "r8"
    };
    (5) => {
        "r9"
    };
}

pub(in crate::model) use {caller_register, entry_points, named_entry_points};
