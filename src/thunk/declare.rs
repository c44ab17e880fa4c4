//! The part of [`signature!`](crate::signature!) that is for signatures without user data.

#[doc(hidden)]
#[macro_export]
macro_rules! __thunk {
    (@pool []) => { $crate::thunk::__private::DEFAULT_POOL };
    (@pool [$pool:tt]) => { $pool };

    (@quarantine []) => { ::core::option::Option::Some($crate::thunk::__private::DEFAULT_QUARANTINE) };
    (@quarantine [never]) => { ::core::option::Option::None };
    (@quarantine [$limit:tt]) => { ::core::option::Option::Some($limit) };

    (@registry []) => { private::Registry::new().with_tombstones(private::tombstones(__QUARANTINE)) };
    (@registry [$registry:expr]) => { $registry };

    // 64 functions, and 64 times that.
    (@row $function:ident $row:ident $($column:literal)*) => { [$($function::<$row, $column>),*] };
    (@rows $index:expr, $function:ident $($row:literal)*) => {
        match $index / 64 {
            $($row => $function::<$row>(),)*
            _ => ::core::panic!("`pool` may be at most 4096: on Linux, code pages give as many more as are needed"),
        }
    };

    (@make {
        [$(#[$meta:meta])* $vis:vis] $abi:literal $name:ident [$ret:ty] [$late:expr] $panic:ident $registry:tt $pool:tt $quarantine:tt
    } [$(($arg:ident: $ty:ty))*]) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name;

        #[allow(clippy::too_many_arguments, reason = "the C type decides how many")]
        const _: () = {
            use ::core::ffi::c_void;
            use ::core::result::Result;
            use ::std::boxed::Box;
            use $crate::thunk::__private as private;

            $crate::__signature_kinds!($name [$ret] [$late] [private::leased] [$(($arg: $ty))*]);

            #[allow(unused_parens, reason = "the declaration may have an expression in parentheses")]
            const __POOL: usize = $crate::__thunk!(@pool $pool);
            #[allow(unused_parens, reason = "the declaration may have an expression in parentheses")]
            const __QUARANTINE: ::core::option::Option<usize> = $crate::__thunk!(@quarantine $quarantine);

            static REGISTRY: private::Registry<private::Callback<private::Leased<dyn __Run>>> = {
                const fn named(
                    registry: private::Registry<private::Callback<private::Leased<dyn __Run>>>,
                ) -> private::Registry<private::Callback<private::Leased<dyn __Run>>> {
                    registry.pinned().of_signature(::core::stringify!($name), || {
                        ::core::concat!(
                            "extern ", ::core::stringify!($abi), " fn(",
                            $(::core::stringify!($arg), ": ", ::core::stringify!($ty), ", ",)*
                            ") -> ", ::core::stringify!($ret)
                        )
                    }, || REGISTRY.place())
                }
                named($crate::__thunk!(@registry $registry))
            };

            static __STOCK: private::Stock = {
                private::may_return::<$ret>();
                let integers = 0 $(+ private::integers::<$ty>())*;
                private::Stock::new(__QUARANTINE, private::on_pages($abi, integers))
            };

            static __DATA: [private::Data; __POOL] = [const { private::Data::new() }; __POOL];

            static __FUNCTIONS: [<$name as private::Signature>::Function; __POOL] = {
                const fn row<const ROW: usize>() -> [<$name as private::Signature>::Function; 64] {
                    $crate::__thunk!(@row pooled ROW
                        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
                        32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63)
                }
                let mut functions = [pooled::<0, 0> as <$name as private::Signature>::Function; __POOL];
                let mut index = 0;
                while index < __POOL {
                    let row = $crate::__thunk!(@rows index, row
                        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
                        32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
                    functions[index] = row[index % 64];
                    index += 1;
                }
                functions
            };

            /// What C's call comes to, wherever the handle was found.
            extern $abi fn answer($($arg: $ty,)* user_data: *mut c_void) -> $ret {
                private::deliver::<$name, $ret>(user_data, |callback, handle| callback.get().run(handle, $($arg),*), late)
            }

            /// One function of the pool.
            extern $abi fn pooled<const ROW: usize, const COLUMN: usize>($($arg: $ty),*) -> $ret {
                answer($($arg,)* __DATA[ROW * 64 + COLUMN].user_data())
            }

            // SAFETY: (1) `Leased` ends in the `dyn __Run`, which has no lifetime parameter, and has a lease besides,
            // which has none either. The only method of `__Run` returns `$ret`, a type without a lifetime of the
            // object, and takes no argument in which it could store a borrow of the object.
            unsafe impl private::Signature for $name {
                type Target<'a> = private::Leased<dyn __Run + 'a>;
                type Function = extern $abi fn($($ty),*) -> $ret;
                const NAME: &'static str = ::core::stringify!($name);
                const PANIC: private::PanicPolicy = private::PanicPolicy::$panic;

                fn registry() -> &'static private::Registry<private::Callback<private::Leased<dyn __Run>>> {
                    &REGISTRY
                }

                fn function() -> Self::Function {
                    extern $abi fn nothing($($arg: $ty),*) -> $ret {
                        answer($($arg,)* ::core::ptr::null_mut())
                    }
                    nothing
                }
            }

            // SAFETY: (1) `Function` is declared as a function pointer. `pooled` coerces to it, and `answer` takes one
            // `*mut c_void` more, as its last argument. (2) `__STOCK` adds up `integers` of each argument's type.
            unsafe impl private::Bare for $name {
                fn parts() -> private::Parts {
                    private::Parts {
                        stock: &__STOCK,
                        pool: &__DATA,
                        pooled: |index| __FUNCTIONS[index] as *const (),
                        answer: answer as *const (),
                    }
                }

                fn set_lease(target: &mut Self::Target<'_>, lease: private::Lease) {
                    target.set_lease(lease);
                }
            }

            #[allow(dead_code, reason = "a binding uses only what it needs")]
            #[allow(clippy::self_named_constructors, reason = "the name is the binding's choice")]
            impl $name {
                /// The registry of this signature's callbacks.
                #[must_use]
                pub fn registry() -> &'static private::Registry<private::Callback<private::Leased<dyn __Run>>> {
                    &REGISTRY
                }

                /// A function for C that runs this closure alone. Any thread may call it, also several at a time.
                ///
                /// # Panics
                /// As `latecall::thunk::Builder::thunk`.
                #[track_caller]
                pub fn thunk<C>(run: C) -> private::Thunk<Self>
                where
                    C: Fn($($ty),*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'static,
                {
                    private::Thunk::new(Self::shared(run))
                }

                /// As `thunk`, with failure as a value.
                ///
                /// # Errors
                /// As `latecall::thunk::Builder::try_thunk`.
                #[track_caller]
                pub fn try_thunk<C>(
                    run: C,
                ) -> Result<private::Thunk<Self>, private::Exhausted<'static, private::Callback<private::Leased<dyn __Run>>>>
                where
                    C: Fn($($ty),*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'static,
                {
                    private::Thunk::try_new(Self::shared(run))
                }
            }
        };
    };
}
