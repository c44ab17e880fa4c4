//! The macro that declares a signature.

/// Declares a C callback type: a type with a registry, the function to give to C, and a constructor for each kind of
/// callback. See [`signature`](mod@crate::signature) for the kinds.
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
/// * The arguments are those of the C type, in its order; the bare word `user_data` stands where the `void *` is. Any
///   ABI that Rust has can be named, `"system"` for one.
/// * `late`: what C gets when the call is refused, and in place of a panic: an expression of the return type, evaluated
///   each time. Leave it out where the function returns nothing.
/// * `panic`: `Abort`, `Late` or `Carry`, of [`PanicPolicy`](crate::signature::PanicPolicy).
/// * `registry`: may be left out; how the registry is made. It has to be a constant expression.
///
/// The type has these functions, all without `self`:
///
/// * `registry()`: the signature's own [`Registry`](crate::registry::Registry), which lives as long as the process.
/// * `function()`: the `extern` function to give to C. It is safe to call with any `user_data` at all.
/// * `destroy()`: an `extern "C" fn(*mut c_void)` for C libraries that take a destroy notify: it revokes. See there.
/// * `shared`, `inlined`, `once`, `exclusive`, `confined`, `confined_ref`, `weak`, `switch`: the kinds of callback.
///
/// A panic in the closure of a binding in C++ is no different; a C++ exception that reaches the function ends the
/// process.
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
            "the arguments of a signature are `name: Type`, and in one place the bare word `user_data`, where C has its \
             `void *`"
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

        #[allow(clippy::too_many_arguments, reason = "as many as the C type has")]
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

            /// What C gets where there is no result.
            fn late() -> $ret {
                $late
            }

            /// What C gets where the callback itself refuses the call.
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

            // SAFETY: (1) `Run` has no lifetime, and its method returns what C takes, which borrows nothing.
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

            #[allow(dead_code, reason = "a binding uses the kinds that it needs")]
            #[allow(clippy::self_named_constructors, reason = "the name is the binding's choice")]
            impl $name {
                /// The registry of this signature's callbacks.
                pub fn registry() -> &'static private::Registry<Callback<dyn Run>> {
                    &REGISTRY
                }

                /// The function to give to C, with a handle of [`registry`](Self::registry). It runs callbacks of every
                /// kind; any `user_data` at all is safe.
                pub fn function() -> <Self as Signature>::Function {
                    shared
                }

                /// A destroy notify to give to C: it revokes the registration of its argument, and does not wait. Leak
                /// the registration when C has accepted it; until then Rust is the owner. If C calls it as well, or
                /// twice, the callback is dropped once all the same.
                pub fn destroy() -> extern "C" fn(*mut c_void) {
                    destroy
                }

                /// A callback for any thread, and several at a time.
                pub fn shared<'a, C>(run: C) -> Boxed<'a, Self>
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'a,
                {
                    Box::new(Callback::new(private::Shared(run)))
                }

                /// As `shared`, and a function compiled for this closure: the closure's code is part of it. Given the
                /// handle of any other callback it refuses the call. The function of `function()` runs this one, too.
                pub fn inlined<C>(run: C) -> (Boxed<'static, Self>, <Self as Signature>::Function)
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'static,
                {
                    (Box::new(Callback::inlined(private::Shared(run))), inlined::<C>)
                }

                /// A callback for one call: the first gets it and revokes the registration; others are late.
                pub fn once<'a, C>(run: C) -> Boxed<'a, Self>
                where
                    C: FnOnce($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + 'a,
                {
                    Box::new(Callback::new(private::Once::new(run)))
                }

                /// A callback that changes what it owns: one call at a time, whichever thread it is on.
                pub fn exclusive<'a, C>(overlap: Overlap, run: C) -> Boxed<'a, Self>
                where
                    C: FnMut($($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + 'a,
                {
                    Box::new(Callback::new(private::Exclusive::new(run, overlap)))
                }

                /// A callback that belongs to the calling thread: calls on any other are refused before it is touched,
                /// and it is dropped there.
                pub fn confined<C>(run: C) -> Boxed<'static, Self>
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret + 'static,
                {
                    Box::new(Callback::new(private::Confined::new(run)))
                }

                /// As `confined`, borrowed: for a scope.
                pub fn confined_ref<'a, C>(run: &'a C) -> Boxed<'a, Self>
                where
                    C: Fn($($pre_ty,)* $($post_ty,)*) -> $ret,
                {
                    Box::new(Callback::new(private::Confined::borrowed(run)))
                }

                /// A callback on an object that is somebody else's. A call keeps the object alive; when there is none
                /// left, the call is refused and the registration revoked.
                pub fn weak<'a, T, C>(target: &private::Arc<T>, run: C) -> Boxed<'a, Self>
                where
                    T: ::core::marker::Send + ::core::marker::Sync + 'a,
                    C: Fn(&T, $($pre_ty,)* $($post_ty,)*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'a,
                {
                    Box::new(Callback::new(private::Weakly::new(target, run)))
                }

                /// A callback that runs what its switch has armed, which is nothing at first.
                pub fn switch() -> (Boxed<'static, Self>, Switch<Self>) {
                    let (forward, switch) = private::Switched::new();
                    (Box::new(Callback::new(forward)), switch)
                }
            }
        };
    };
}
