//! The C declarations of `native/include/emitter.h`, and the table of its functions.
//!
//! Layouts and numbers here are those of the header; `tests/emitter.rs` checks them against the compiled library.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;

/// `EMITTER_ABI_VERSION` that these declarations were written for.
pub(crate) const ABI_VERSION: u32 = 1;

/// `emitter_id`: names a subscription; 0 names none.
pub type SubscriptionId = u64;

/// `emitter_callback`. A panic may unwind through the library's frames: the library counts the call out, and the panic
/// continues.
pub type Callback = unsafe extern "C-unwind" fn(user_data: *mut c_void, event: *const EmitterEvent) -> isize;
/// `emitter_destroy`.
pub type Destroy = unsafe extern "C-unwind" fn(user_data: *mut c_void);
/// `emitter_stall_hook`.
pub type StallHook = unsafe extern "C-unwind" fn(stall_data: *mut c_void, site: u32, subscription: SubscriptionId);

/// `emitter_event`: what a callback is told. Valid until the callback returns.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct EmitterEvent {
    /// The emitter that fires.
    pub source: *mut c_void,
    /// [`Config::owner`].
    pub owner: *mut c_void,
    /// The cookie that was passed to the function that asked for this call; 0: a hostile switch made the call.
    pub cookie: u64,
    /// The subscription being fired.
    pub subscription: SubscriptionId,
    /// The subscription whose user data is passed.
    pub user_data_of: SubscriptionId,
    /// First argument.
    pub a: isize,
    /// Second argument.
    pub b: isize,
}

/// `emitter_config`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Config {
    /// `sizeof(emitter_config)`.
    pub size: u32,
    /// A [`super::Mode`], as a number.
    pub mode: u32,
    /// Library threads, 0 to 8.
    pub workers: u32,
    /// `EMITTER_HOSTILE_` bits: `1 << Hostile as u32`.
    pub hostile: u32,
    /// The largest number of live subscriptions; 0: no limit.
    pub capacity: u32,
    /// The number of the allocation that fails, counted from 1 after `emitter_open`; 0: none.
    pub fail_allocation: u32,
    /// Passed on in [`EmitterEvent::owner`].
    pub owner: *mut c_void,
    /// Called at the stall sites.
    pub stall: Option<StallHook>,
    /// First argument of the hook.
    pub stall_data: *mut c_void,
}

impl Config {
    /// A configuration that sets the mode and nothing else.
    pub fn new(mode: super::Mode) -> Self {
        Config {
            size: size_of::<Config>() as u32,
            mode: mode as u32,
            workers: 0,
            hostile: 0,
            capacity: 0,
            fail_allocation: 0,
            owner: std::ptr::null_mut(),
            stall: None,
            stall_data: std::ptr::null_mut(),
        }
    }
}

/// `emitter_entry`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Entry {
    /// The callback.
    pub callback: Callback,
    /// Its user data.
    pub user_data: *mut c_void,
    /// Its destroy notify.
    pub destroy: Option<Destroy>,
}

/// `emitter_status`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Status(pub u32);

impl Status {
    /// The function has done its work.
    pub const OK: Status = Status(0);
    /// No live subscription has this id; nothing was called.
    pub const NOT_FOUND: Status = Status(1);
    /// An allocation failed; nothing is retained.
    pub const NO_MEMORY: Status = Status(2);
    /// The capacity is reached; nothing is retained.
    pub const FULL: Status = Status(3);
    /// The emitter is closing.
    pub const CLOSING: Status = Status(4);
    /// This emitter does not offer the function.
    pub const WRONG_MODE: Status = Status(5);
    /// An argument is NULL, or the config has an unknown value.
    pub const BAD_ARGUMENT: Status = Status(6);
    /// Unsubscribed, with calls still in flight.
    pub const IN_FLIGHT: Status = Status(7);

    /// `Ok` for [`Status::OK`].
    ///
    /// # Errors
    ///
    /// The status itself, if it is another one.
    pub fn ok(self) -> Result<(), Status> {
        if self == Status::OK { Ok(()) } else { Err(self) }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({}: {self})", self.0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Api::linked().status_text(*self))
    }
}

impl std::error::Error for Status {}

/// Declares each function once, and makes three things of the list: the imports of the linked library, the table
/// [`Api`], and the symbols that a loader looks up.
macro_rules! functions {
    ($($field:ident = $symbol:ident: fn($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)+) => {
        pub(super) mod linked {
            use super::*;
            unsafe extern "C-unwind" {
                $(pub(in crate::emitter) fn $symbol($($arg: $ty),*) $(-> $ret)?;)+
            }
        }

        /// The same sources, instrumented for the model.
        mod modelled {
            use super::*;
            unsafe extern "C-unwind" {
                $(
                    #[link_name = concat!("model_emitter_", stringify!($symbol))]
                    pub(super) fn $symbol($($arg: $ty),*) $(-> $ret)?;
                )+
            }
        }

        /// The table of the library's functions, linked or loaded. A table lives as long as the process: a loaded
        /// object is never unloaded, because its threads may still run.
        #[derive(Debug)]
        pub struct Api {
            /// Where the functions came from.
            pub(super) origin: Origin,
            $(pub(super) $field: unsafe extern "C-unwind" fn($($ty),*) $(-> $ret)?,)+
        }

        impl Api {
            /// The functions linked into this crate.
            pub fn linked() -> &'static Api {
                static LINKED: Api = Api { origin: Origin::Linked, $($field: linked::$symbol),+ };
                &LINKED
            }

            /// The functions of the library's instrumented copy: C code that a search explores, and plain C code
            /// outside of a search.
            pub fn modelled() -> &'static Api {
                static MODELLED: Api = Api { origin: Origin::Modelled, $($field: modelled::$symbol),+ };
                &MODELLED
            }

            /// The functions of an instrumented copy of the library whose symbols have other names: `find` returns the
            /// address of the function that has a given name in the header.
            ///
            /// # Safety
            ///
            /// 1. Each address is that of a function with the type that the header declares, for the life of the
            ///    process.
            pub unsafe fn instrumented(mut find: impl FnMut(&'static str) -> *mut c_void) -> &'static Api {
                let found = Self::lookup::<std::convert::Infallible>(Origin::Modelled, |name| Ok(find(name)));
                match found {
                    Ok(api) => Box::leak(Box::new(api)),
                    Err(never) => match never {},
                }
            }

            /// Looks every function up with `find`, whose error says which symbol is missing. Every address that `find`
            /// returns must be that of a function with the type that the header declares.
            pub(super) fn lookup<E>(
                origin: Origin,
                mut find: impl FnMut(&'static str) -> Result<*mut c_void, E>,
            ) -> Result<Api, E> {
                Ok(Api {
                    origin,
                    $($field: {
                        let address = find(stringify!($symbol))?;
                        // SAFETY: a function pointer needs the address of a function of its type. For `instrumented`,
                        // its caller guarantees that (clause 1). `load` returns addresses that are not null, of symbols
                        // with this name, in an object that has returned the ABI version of this list of types.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn($($ty),*) $(-> $ret)?>(address) }
                    },)+
                })
            }
        }
    };
}

/// Where the functions of an [`Api`] come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Linked,
    Modelled,
    Loaded(std::path::PathBuf),
}

functions! {
    abi_version = emitter_abi_version: fn() -> u32;
    open = emitter_open: fn(config: *const Config, out: *mut *mut c_void) -> Status;
    close = emitter_close: fn(e: *mut c_void) -> Status;
    subscribe = emitter_subscribe: fn(e: *mut c_void, callback: Callback, user_data: *mut c_void, destroy: Option<Destroy>, out: *mut SubscriptionId) -> Status;
    subscribe_table = emitter_subscribe_table: fn(e: *mut c_void, table: *const Entry, count: usize, out: *mut SubscriptionId) -> Status;
    unsubscribe = emitter_unsubscribe: fn(e: *mut c_void, id: SubscriptionId) -> Status;
    unsubscribe_nowait = emitter_unsubscribe_nowait: fn(e: *mut c_void, id: SubscriptionId) -> Status;
    replace = emitter_replace: fn(e: *mut c_void, id: SubscriptionId, callback: Callback, user_data: *mut c_void, destroy: Option<Destroy>) -> Status;
    fire = emitter_fire: fn(e: *mut c_void, id: SubscriptionId, cookie: u64, a: isize, b: isize, result: *mut isize) -> Status;
    send = emitter_send: fn(e: *mut c_void, id: SubscriptionId, cookie: u64, a: isize, b: isize, result: *mut isize) -> Status;
    post = emitter_post: fn(e: *mut c_void, id: SubscriptionId, cookie: u64, a: isize, b: isize) -> Status;
    barrier = emitter_barrier: fn(e: *mut c_void) -> Status;
    live = emitter_live: fn(e: *mut c_void) -> usize;
    in_flight = emitter_in_flight: fn(e: *mut c_void) -> usize;
    invoke = emitter_invoke: fn(e: *mut c_void, callback: Callback, user_data: *mut c_void, cookie: u64, a: isize, b: isize, result: *mut isize) -> Status;
    enumerate = emitter_enumerate: fn(e: *mut c_void, callback: Callback, user_data: *mut c_void, cookie: u64, count: usize, lparam: isize, calls: *mut usize, kept: *mut SubscriptionId) -> Status;
    status_text = emitter_status_text: fn(status: Status) -> *const c_char;
}

impl Api {
    /// The ABI version that the library returns.
    pub fn abi_version(&self) -> u32 {
        // SAFETY: the function takes no arguments, and the header names no conditions.
        unsafe { (self.abi_version)() }
    }

    /// Where the library comes from, in words for reports: `linked`, or the path of the object.
    pub fn origin(&self) -> String {
        match &self.origin {
            Origin::Linked => "linked".to_owned(),
            Origin::Modelled => "linked, instrumented for the model".to_owned(),
            Origin::Loaded(path) => path.display().to_string(),
        }
    }

    /// The library's sentence for a status.
    pub fn status_text(&self, status: Status) -> String {
        // SAFETY: the header allows any number, also one that is no status.
        let text = unsafe { (self.status_text)(status) };
        // SAFETY: `from_ptr` needs a string that ends with NUL, and stays unchanged while it is borrowed. The header
        // promises a sentence in static storage, never NULL. A loaded object is never unloaded.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}
