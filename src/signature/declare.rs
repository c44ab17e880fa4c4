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
        $(registry = $registry:expr;)?
    ) => {
        $crate::__signature!(@args {
            [$(#[$meta])* $vis] $abi $name [()] [()] $panic [$($registry)?]
        } [] $($args)*);
    };
    (
        $(#[$meta:meta])*
        $vis:vis extern $abi:literal fn $name:ident($($args:tt)*) -> $ret:ty;
        late = $late:expr;
        panic = $panic:ident;
        $(registry = $registry:expr;)?
    ) => {
        $crate::__signature!(@args {
            [$(#[$meta])* $vis] $abi $name [$ret] [$late] $panic [$($registry)?]
        } [] $($args)*);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __signature {
    (@args $head:tt [$($pre:tt)*] user_data $(, $post:ident : $post_ty:ty)* $(,)?) => {
        $crate::__signature!(@make $head [$($pre)*] [$(($post: $post_ty))*]);
    };
    (@args $head:tt [$($pre:tt)*] $arg:ident : $ty:ty, $($rest:tt)*) => {
        $crate::__signature!(@args $head [$($pre)* ($arg: $ty)] $($rest)*);
    };
    (@args $head:tt $pre:tt $($rest:tt)*) => {
        ::core::compile_error!(
            "each argument of a signature must be `name: Type`, except for one: write the word `user_data`, without a type, \
             where the C type has its `void *`"
        );
    };

    (@registry []) => { $crate::signature::__private::Registry::new() };
    (@registry [$registry:expr]) => { $registry };

    (@make { [$(#[$meta:meta])* $vis:vis] $abi:literal $name:ident [$ret:ty] [$late:expr] $panic:ident $registry:tt }
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
            use $crate::signature::{Boxed, Callback, Overlap, PanicPolicy, Signature, Switch};

            #[doc(hidden)]
            pub trait Run: ::core::marker::Send + ::core::marker::Sync {
                fn run(&self, handle: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret;
            }

            impl<C> Run for private::Shared<C>
            where
                C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync,
            {
                #[inline(always)]
                fn run(&self, _: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret
                {
                    (self.0)($($pre,)* $($post,)*)
                }
            }

            impl<C> Run for private::Once<C>
            where
                C: FnOnce($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send,
            {
                fn run(&self, handle: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret
                {
                    match self.take(&REGISTRY, handle) {
                        Result::Ok(run) => run($($pre,)* $($post,)*),
                        Result::Err(reason) => refused(handle, reason),
                    }
                }
            }

            impl<C> Run for private::Exclusive<C>
            where
                C: FnMut($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send,
            {
                fn run(&self, handle: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret
                {
                    let done = self.with(&REGISTRY, handle, |run| run($($pre,)* $($post,)*));
                    done.unwrap_or_else(|reason| refused(handle, reason))
                }
            }

            impl<H> Run for private::Confined<H>
            where
                H: private::Held<Target: Fn($($pre_ty,)* $($post_ty,)*) -> $ret>,
            {
                fn run(&self, handle: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret
                {
                    match self.get() {
                        Result::Ok(run) => run($($pre,)* $($post,)*),
                        Result::Err(reason) => refused(handle, reason),
                    }
                }
            }

            impl<T, C> Run for private::Weakly<T, C>
            where
                T: ::core::marker::Send + ::core::marker::Sync,
                C: Fn(&T, $($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync,
            {
                fn run(&self, handle: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret
                {
                    match self.target(&REGISTRY, handle) {
                        Result::Ok(target) => (self.run)(&target, $($pre,)* $($post,)*),
                        Result::Err(reason) => refused(handle, reason),
                    }
                }
            }

            impl Run for private::Switched<$name> {
                fn run(&self, handle: private::Handle, $($pre: $pre_ty,)* $($post: $post_ty,)*) -> $ret
                {
                    let mut args = ::core::option::Option::Some(($($pre,)* $($post,)*));
                    let done = self.forward(|callback, handle| match args.take() {
                        ::core::option::Option::Some(($($pre,)* $($post,)*)) => {
                            callback.get().run(handle, $($pre,)* $($post,)*)
                        }
                        ::core::option::Option::None => ::core::unreachable!("a call is forwarded once"),
                    });
                    done.unwrap_or_else(|reason| refused(handle, reason))
                }
            }

            /// The late value.
            fn late() -> $ret {
                $late
            }

            /// Reports that the callback itself refuses the call. Returns what C gets.
            #[cold]
            fn refused(handle: private::Handle, reason: private::Reason) -> $ret {
                private::refuse::<$name>(handle, reason);
                late()
            }

            static REGISTRY: private::Registry<Callback<dyn Run>> = {
                const fn named(registry: private::Registry<Callback<dyn Run>>) -> private::Registry<Callback<dyn Run>> {
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

            // SAFETY: (1) `Run` has no lifetime parameter. Its only method returns `$ret`, a type without a lifetime of
            // the object, and takes no argument in which it could store a borrow of the object.
            unsafe impl Signature for $name {
                type Target<'a> = dyn Run + 'a;
                type Function = extern $abi fn($($pre_ty,)* *mut c_void, $($post_ty,)*) -> $ret;
                const NAME: &'static str = ::core::stringify!($name);
                const PANIC: PanicPolicy = PanicPolicy::$panic;

                fn registry() -> &'static private::Registry<Callback<dyn Run>> {
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
                pub fn registry() -> &'static private::Registry<Callback<dyn Run>> {
                    &REGISTRY
                }

                /// The function to give to C, together with a handle of [`registry`](Self::registry). It runs callbacks
                /// of every kind. Any thread may call it, with any value of `user_data`.
                #[must_use]
                pub fn function() -> <Self as Signature>::Function {
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

                /// A callback that any thread may run, also several at a time.
                #[must_use]
                pub fn shared<'a, C>(run: C) -> Boxed<'a, Self>
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'a,
                {
                    Box::new(Callback::new(private::Shared(run)))
                }

                /// A callback as `shared` makes it, and a function that is compiled for this closure, which the
                /// compiler can inline into it. That function refuses the handle of any other callback. The function of
                /// `function()` runs this callback, too.
                #[must_use]
                pub fn inlined<C>(run: C) -> (Boxed<'static, Self>, <Self as Signature>::Function)
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'static,
                {
                    (Box::new(Callback::inlined(private::Shared(run))), inlined::<C>)
                }

                /// A callback for one call. The first call runs it and revokes the registration; later calls are late.
                #[must_use]
                pub fn once<'a, C>(run: C) -> Boxed<'a, Self>
                where
                    C: FnOnce($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + 'a,
                {
                    Box::new(Callback::new(private::Once::new(run)))
                }

                /// A callback that changes what it owns. Any thread may run it, one call at a time; `overlap` decides
                /// what happens to a call that comes meanwhile.
                #[must_use]
                pub fn exclusive<'a, C>(overlap: Overlap, run: C) -> Boxed<'a, Self>
                where
                    C: FnMut($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + 'a,
                {
                    Box::new(Callback::new(private::Exclusive::new(run, overlap)))
                }

                /// A callback that belongs to the calling thread. Calls on other threads are refused. The closure is
                /// dropped on the calling thread, too; see
                /// `latecall::signature::collect_confined`.
                #[must_use]
                pub fn confined<C>(run: C) -> Boxed<'static, Self>
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + 'static,
                {
                    Box::new(Callback::new(private::Confined::new(run)))
                }

                /// A callback that belongs to the calling thread and borrows its closure: for a
                /// `latecall::signature::scope`. Calls on other threads are refused.
                #[must_use]
                pub fn confined_ref<'a, C>(run: &'a C) -> Boxed<'a, Self>
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret,
                {
                    Box::new(Callback::new(private::Confined::borrowed(run)))
                }

                /// A callback on an object that another part of the program owns. Any thread may run it, several at a
                /// time. A running call keeps the object alive. After the object has been dropped, a call is refused
                /// and revokes the registration.
                #[must_use]
                pub fn weak<'a, T, C>(target: &private::Arc<T>, run: C) -> Boxed<'a, Self>
                where
                    T: ::core::marker::Send + ::core::marker::Sync + 'a,
                    C: Fn(&T, $($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'a,
                {
                    Box::new(Callback::new(private::Weakly::new(target, run)))
                }

                /// A callback that runs the callback which the returned switch has armed; none is armed at first.
                #[must_use]
                pub fn switch() -> (Boxed<'static, Self>, Switch<Self>) {
                    let (forward, switch) = private::Switched::new();
                    (Box::new(Callback::new(forward)), switch)
                }
            }
        };
    };
}
