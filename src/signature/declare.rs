//! The macro that declares a signature.

/// Declares a C callback type. The macro makes a type with a registry, the function to give to C, and a constructor for
/// each kind of callback. The page of [`signature`](mod@crate::signature) lists the kinds, with examples.
///
/// ```text
/// latecall::signature! {
///     /// Documentation.
///     pub extern "C" fn Name(first: u64, user_data, last: *const c_char) -> i32;
///     late = -1;
///     panic = Late;
///     registry = Registry::new().with_tombstones(50);
/// }
/// ```
///
/// Without the word `user_data` the declaration is for a C API that carries none: it makes a type of *thunks*. The page
/// of [`thunk`](mod@crate::thunk) says what is different then.
///
/// # What to write
///
/// * *Arguments*: those of the C type, in the same order. The word `user_data`, without a type, stands for the
///   `void *`. Argument and return types must be the Rust types of the C types; the macro cannot check that.
/// * *ABI*: any that Rust has, for example `"system"`.
/// * `late`: the late value, an expression of the return type. It is evaluated for each call that needs it. Leave out
///   both `-> Type` and `late` if the function returns nothing.
/// * `panic`: a variant of [`PanicPolicy`](crate::signature::PanicPolicy): `Abort`, `Late` or `Carry`.
/// * `registry`: optional, a constant expression that makes the registry. The default is `Registry::new()`.
/// * Attributes and visibility are those of the type. It is `Clone`, `Copy` and `Debug`.
///
/// # What it makes
///
/// The type implements [`Signature`](crate::signature::Signature), and has these functions, none of which takes `self`:
///
/// * `registry()`: the signature's own [`Registry`](crate::registry::Registry), a static.
/// * `function()`: the `extern` function to give to C. It is safe to call with any value of `user_data`.
/// * `destroy()`: an `extern "C" fn(*mut c_void)` that revokes, for C libraries that take a destroy notify.
/// * `shared`, `inlined`, `once`, `exclusive`, `confined`, `confined_ref`, `weak`, `switch`: a constructor for each
///   kind.
///
/// # What the function does
///
/// * *Threads*: C may call it on any thread, several at a time, nested, and while the thread's locals are being
///   destroyed. The callback's kind decides which of these calls run the closure.
/// * *Late value*: C gets it if the registry or the callback refuses the call, and in place of a result after a panic.
///   A refused call is counted and reported as the registry's
///   [`LatePolicy`](crate::registry::LatePolicy) says.
/// * *Panics*: none unwinds into C; the declared `panic` policy says what happens instead.
/// * *C++ exceptions* that reach the function end the process.
#[macro_export]
macro_rules! signature {
    (
        $(#[$meta:meta])*
        $vis:vis extern $abi:literal fn $name:ident($($args:tt)*);
        panic = $panic:ident;
        $(pool = $pool:tt;)?
        $(quarantine = $quarantine:tt;)?
        $(registry = $registry:expr;)?
    ) => {
        $crate::__signature!(@args {
            [$(#[$meta])* $vis] $abi $name [()] [()] $panic [$($registry)?] [$($pool)?] [$($quarantine)?]
        } [] $($args)*);
    };
    (
        $(#[$meta:meta])*
        $vis:vis extern $abi:literal fn $name:ident($($args:tt)*) -> $ret:ty;
        late = $late:expr;
        panic = $panic:ident;
        $(pool = $pool:tt;)?
        $(quarantine = $quarantine:tt;)?
        $(registry = $registry:expr;)?
    ) => {
        $crate::__signature!(@args {
            [$(#[$meta])* $vis] $abi $name [$ret] [$late] $panic [$($registry)?] [$($pool)?] [$($quarantine)?]
        } [] $($args)*);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __signature {
    (@args $head:tt [$($pre:tt)*] user_data $(, $post:ident : $post_ty:ty)* $(,)?) => {
        $crate::__signature!(@make $head [$($pre)*] [$(($post: $post_ty))*]);
    };
    (@args $head:tt $pre:tt $($name:ident :)? ... $($rest:tt)*) => {
        ::core::compile_error!(
            "a C function with variable arguments (`...`) cannot be a callback: Rust cannot define such a function. Declare the \
             arguments that the C library passes, if the calling convention allows it, or write the function in C"
        );
    };
    (@args $head:tt [$($pre:tt)*] $arg:ident : $ty:ty, $($rest:tt)*) => {
        $crate::__signature!(@args $head [$($pre)* ($arg: $ty)] $($rest)*);
    };
    (@args $head:tt [$($pre:tt)*] $arg:ident : $ty:ty) => {
        $crate::__thunk!(@make $head [$($pre)* ($arg: $ty)]);
    };
    (@args $head:tt [$($pre:tt)*]) => {
        $crate::__thunk!(@make $head [$($pre)*]);
    };
    (@args $head:tt $pre:tt $($rest:tt)*) => {
        ::core::compile_error!(
            "each argument of a signature must be `name: Type`, except for at most one: write the word `user_data`, without a \
             type, where the C type has its `void *`"
        );
    };

    (@registry []) => { $crate::signature::__private::Registry::new() };
    (@registry [$registry:expr]) => { $registry };

    (@make { [$(#[$meta:meta])* $vis:vis] $abi:literal $name:ident [$ret:ty] [$late:expr] $panic:ident $registry:tt [] [] }
        [$(($pre:ident: $pre_ty:ty))*] [$(($post:ident: $post_ty:ty))*]
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name;

        #[allow(clippy::too_many_arguments, reason = "the C type decides how many")]
        const _: () = {
            use ::core::ffi::c_void;
            use ::core::result::Result;
            use ::std::boxed::Box;
            use $crate::signature::__private as private;

            $crate::__signature_kinds!($name [$ret] [$late] [private::Callback::new] [$(($pre: $pre_ty))* $(($post: $post_ty))*]);

            static REGISTRY: private::Registry<private::Callback<dyn __Run>> = {
                const fn named(registry: private::Registry<private::Callback<dyn __Run>>) -> private::Registry<private::Callback<dyn __Run>> {
                    registry.of_signature(::core::stringify!($name), || {
                        ::core::concat!(
                            "extern ", ::core::stringify!($abi), " fn(",
                            $(::core::stringify!($pre), ": ", ::core::stringify!($pre_ty), ", ",)* "user_data",
                            $(", ", ::core::stringify!($post), ": ", ::core::stringify!($post_ty),)* ") -> ", ::core::stringify!($ret)
                        )
                    }, || REGISTRY.place())
                }
                named($crate::__signature!(@registry $registry))
            };

            extern $abi fn shared($($pre: $pre_ty,)* user_data: *mut c_void, $($post: $post_ty,)*) -> $ret {
                private::deliver::<$name, $ret>(
                    user_data,
                    |callback, handle| callback.get().run(handle, $($pre,)* $($post,)*),
                    late,
                )
            }

            extern $abi fn inlined<C>($($pre: $pre_ty,)* user_data: *mut c_void, $($post: $post_ty,)*) -> $ret
            where
                C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'static,
            {
                private::deliver::<$name, $ret>(
                    user_data,
                    |callback, handle| match callback.downcast::<private::Shared<C>>() {
                        ::core::option::Option::Some(callback) => callback.run(handle, $($pre,)* $($post,)*),
                        ::core::option::Option::None => refused(handle, private::Reason::WrongType),
                    },
                    late,
                )
            }

            extern "C" fn destroy(user_data: *mut c_void) {
                private::destroy::<$name>(user_data);
            }

            // SAFETY: (1) `__Run` has no lifetime parameter. Its only method returns `$ret`, a type without a lifetime
            // of the object, and takes no argument in which it could store a borrow of the object.
            unsafe impl private::Signature for $name {
                type Target<'a> = dyn __Run + 'a;
                type Function = extern $abi fn($($pre_ty,)* *mut c_void, $($post_ty,)*) -> $ret;
                const NAME: &'static str = ::core::stringify!($name);
                const PANIC: private::PanicPolicy = private::PanicPolicy::$panic;

                fn registry() -> &'static private::Registry<private::Callback<dyn __Run>> {
                    &REGISTRY
                }

                fn function() -> Self::Function {
                    shared
                }
            }

            #[allow(dead_code, reason = "a binding uses only the kinds that it needs")]
            #[allow(clippy::self_named_constructors, reason = "the name is the binding's choice")]
            impl $name {
                /// The registry of this signature's callbacks.
                #[must_use]
                pub fn registry() -> &'static private::Registry<private::Callback<dyn __Run>> {
                    &REGISTRY
                }

                /// The function to give to C, together with a handle of [`registry`](Self::registry). It runs callbacks
                /// of every kind. Any thread may call it, with any value of `user_data`.
                #[must_use]
                pub fn function() -> <Self as private::Signature>::Function {
                    shared
                }

                /// The destroy notify to give to C. It revokes the registration that its argument names, and does not
                /// wait: the last call to leave drops the callback. C may call it on any thread, also more than once:
                /// the callback is dropped once.
                ///
                /// Leak the registration after C has accepted it. Until then Rust owns the callback.
                #[must_use]
                pub fn destroy() -> extern "C" fn(*mut c_void) {
                    destroy
                }

                /// A callback as `shared` makes it, and a function that is compiled for this closure, which the
                /// compiler can inline into it. That function refuses the handle of any other callback. The function of
                /// `function()` runs this callback, too.
                #[must_use]
                pub fn inlined<C>(run: C) -> (private::Boxed<'static, Self>, <Self as private::Signature>::Function)
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'static,
                {
                    (Box::new(private::Callback::inlined(private::Shared(run))), inlined::<C>)
                }
            }
        };
    };
    (@make $head:tt [$($pre:tt)*] [$($post:tt)*]) => {
        ::core::compile_error!(
            "`pool` and `quarantine` are for a signature without `user_data`, whose callbacks each need a function of their own"
        );
    };
}
