//! How C gets in: the shims behind the names that instrumented objects call.
//!
//! A shim hands the address that its caller will return to to the Rust function behind it, as one more argument: that is
//! where in the C code the event happened, and Rust has no other way to learn it. It is a jump, so the Rust function is
//! called as if by C itself, and a panic that leaves it unwinds straight into the C frame.
//!
//! The functions behind the shims take addresses as integers, and are not `unsafe fn`s: only C code calls them, through the
//! shims. Their SAFETY comments rely on what the C function of that name demands of its caller. A function of this crate that
//! reads or writes at such an address on behalf of them is an `unsafe fn`.

/// Declares shims: `name(arity) => function;`, where `function` takes `arity` integer arguments and the caller's address.
macro_rules! entry_points {
    ($($name:ident ($arity:tt) => $target:path;)*) => {
        $crate::entry::named_entry_points! { $((stringify!($name)) ($arity) => $target;)* }
    };
}

/// The same with names that are put together: `(concat!("name", 4))(arity) => function;`.
macro_rules! named_entry_points {
    ($(($($name:tt)*) ($arity:tt) => $target:path;)*) => {
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$($($name)*),*];
        $(
            const _: () = {
                #[unsafe(naked)]
                #[unsafe(export_name = concat!("latecall_model_", $($name)*))]
                extern "C-unwind" fn shim() {
                    std::arch::naked_asm!(
                        concat!("mov ", $crate::entry::caller_register!($arity), ", [rsp]"),
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

/// Declares entry points of functions that take any number of arguments, which Rust code cannot: `name(used; move) list caller =>
/// function;`. One saves the registers that may hold arguments after the fixed ones, makes a list of arguments of them, and calls the
/// form that takes one with it and with the caller's address, as a shim of [`entry_points!`] would. `used` are the bytes of registers that the
/// fixed arguments take up; `move` is an instruction that brings these to where that form has them; the list and the address
/// go into the registers `list` and `caller`.
macro_rules! variadic_entry_points {
    ($($name:ident ($used:literal; $move:literal) $list:literal $caller:literal => $target:path;)*) => {
        #[cfg(test)]
        pub(crate) const VARIADIC: &[&str] = &[$(stringify!($name)),*];
        $(
            const _: () = {
                #[unsafe(naked)]
                #[unsafe(export_name = concat!("latecall_model_", stringify!($name)))]
                extern "C-unwind" fn shim() {
                    std::arch::naked_asm!(
                        ".cfi_startproc",
                        "sub rsp, 216",
                        ".cfi_def_cfa_offset 224",
                        // From 32: six general registers, of which the first is always fixed, then eight floating ones.
                        "mov [rsp + 40], rsi",
                        "mov [rsp + 48], rdx",
                        "mov [rsp + 56], rcx",
                        "mov [rsp + 64], r8",
                        "mov [rsp + 72], r9",
                        "test al, al",
                        "je 2f",
                        "movaps [rsp + 80], xmm0",
                        "movaps [rsp + 96], xmm1",
                        "movaps [rsp + 112], xmm2",
                        "movaps [rsp + 128], xmm3",
                        "movaps [rsp + 144], xmm4",
                        "movaps [rsp + 160], xmm5",
                        "movaps [rsp + 176], xmm6",
                        "movaps [rsp + 192], xmm7",
                        "2:",
                        // The list: so many general registers are used up, and no floating one.
                        concat!("mov dword ptr [rsp], ", $used),
                        "mov dword ptr [rsp + 4], 48",
                        "lea rax, [rsp + 224]",
                        "mov [rsp + 8], rax",
                        "lea rax, [rsp + 32]",
                        "mov [rsp + 16], rax",
                        $move,
                        concat!("mov ", $list, ", rsp"),
                        concat!("mov ", $caller, ", [rsp + 216]"),
                        "call {target}",
                        "add rsp, 216",
                        ".cfi_def_cfa_offset 8",
                        "ret",
                        ".cfi_endproc",
                        target = sym $target,
                    )
                }
            };
        )*
    };
}

/// `va_list` of x86-64 (System V): how much of the saved registers has been used up, and where the arguments on the stack and those
/// registers are. C passes its address.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments {
    general: u32,
    floating: u32,
    overflow: usize,
    registers: usize,
}

impl Arguments {
    /// Where the general registers end among those saved, and where the floating ones do.
    const GENERAL: u32 = 48;
    const FLOATING: u32 = 176;

    /// A list that has not been read yet, of C's.
    pub(crate) fn of(list: usize) -> Self {
        // SAFETY: C passes a list of arguments.
        unsafe { std::ptr::with_exposed_provenance::<Self>(list).read() }
    }

    /// A list of these pointers.
    pub(crate) fn pointers(all: &[usize]) -> Self {
        Self {
            general: Self::GENERAL,
            floating: Self::FLOATING,
            overflow: all.as_ptr().expose_provenance(),
            registers: 0,
        }
    }

    /// The next one is a number that is no floating one, or a pointer.
    pub(crate) fn general(&mut self) -> usize {
        let place = if self.general < Self::GENERAL {
            self.general += 8;
            self.registers + self.general as usize - 8
        } else {
            self.overflow += 8;
            self.overflow - 8
        };
        // SAFETY: C passes as many arguments as its format asks for.
        unsafe { std::ptr::with_exposed_provenance::<usize>(place).read() }
    }

    /// The next one is a `double`.
    pub(crate) fn floating(&mut self) {
        if self.floating < Self::FLOATING {
            self.floating += 16;
        } else {
            self.overflow += 8;
        }
    }

    /// The next one is a `long double`.
    pub(crate) fn long_double(&mut self) {
        self.overflow = self.overflow.next_multiple_of(16) + 16;
    }
}

pub(crate) use {caller_register, entry_points, named_entry_points, variadic_entry_points};
