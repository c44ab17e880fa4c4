//! The part of a declaration that signatures with and without user data share: a trait for the callbacks, its
//! implementation for each kind, and the constructors.

#[doc(hidden)]
#[macro_export]
macro_rules! __signature_kinds {
    ($name:ident [$ret:ty] [$late:expr] [$($new:tt)*] [$(($arg:ident: $ty:ty))*]) => {
        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "no name that a declaration may use")]
        pub trait __Run: ::core::marker::Send + ::core::marker::Sync {
            fn run(&self, handle: private::Handle, $($arg: $ty),*) -> $ret;
        }

        impl<C> __Run for private::Shared<C>
        where
            C: Fn($($ty),*) -> $ret + ::core::marker::Send + ::core::marker::Sync,
        {
            #[inline(always)]
            fn run(&self, _: private::Handle, $($arg: $ty),*) -> $ret
            {
                (self.0)($($arg),*)
            }
        }

        impl<C> __Run for private::Once<C>
        where
            C: FnOnce($($ty),*) -> $ret + ::core::marker::Send,
        {
            fn run(&self, handle: private::Handle, $($arg: $ty),*) -> $ret
            {
                match self.take(&REGISTRY, handle) {
                    Result::Ok(run) => run($($arg),*),
                    Result::Err(reason) => refused(handle, reason),
                }
            }
        }

        impl<C> __Run for private::Exclusive<C>
        where
            C: FnMut($($ty),*) -> $ret + ::core::marker::Send,
        {
            fn run(&self, handle: private::Handle, $($arg: $ty),*) -> $ret
            {
                let done = self.with(&REGISTRY, handle, |run| run($($arg),*));
                done.unwrap_or_else(|reason| refused(handle, reason))
            }
        }

        impl<H> __Run for private::Confined<H>
        where
            H: private::Held<Target: Fn($($ty),*) -> $ret>,
        {
            fn run(&self, handle: private::Handle, $($arg: $ty),*) -> $ret
            {
                match self.get() {
                    Result::Ok(run) => run($($arg),*),
                    Result::Err(reason) => refused(handle, reason),
                }
            }
        }

        impl<T, C> __Run for private::Weakly<T, C>
        where
            T: ::core::marker::Send + ::core::marker::Sync,
            C: Fn(&T, $($ty),*) -> $ret + ::core::marker::Send + ::core::marker::Sync,
        {
            fn run(&self, handle: private::Handle, $($arg: $ty),*) -> $ret
            {
                match self.target(&REGISTRY, handle) {
                    Result::Ok(target) => (self.run)(&target, $($arg),*),
                    Result::Err(reason) => refused(handle, reason),
                }
            }
        }

        impl __Run for private::Switched<$name> {
            fn run(&self, handle: private::Handle, $($arg: $ty),*) -> $ret
            {
                let mut args = ::core::option::Option::Some(($($arg,)*));
                let done = self.forward(|callback, handle| match args.take() {
                    ::core::option::Option::Some(($($arg,)*)) => {
                        callback.get().run(handle, $($arg),*)
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

        #[allow(dead_code, reason = "a binding uses only the kinds that it needs")]
        #[allow(clippy::self_named_constructors, reason = "the name is the binding's choice")]
        impl $name {
        /// A callback that any thread may run, also several at a time.
        #[must_use]
        pub fn shared<'a, C>(run: C) -> private::Boxed<'a, Self>
        where
            C: Fn($($ty),*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'a,
        {
            Box::new($($new)*(private::Shared(run)))
        }

        /// A callback for one call. The first call runs it and revokes the registration; later calls are late.
        #[must_use]
        pub fn once<'a, C>(run: C) -> private::Boxed<'a, Self>
        where
            C: FnOnce($($ty),*) -> $ret + ::core::marker::Send + 'a,
        {
            Box::new($($new)*(private::Once::new(run)))
        }

        /// A callback that changes what it owns. Any thread may run it, one call at a time; `overlap` decides
        /// what happens to a call that comes meanwhile.
        #[must_use]
        pub fn exclusive<'a, C>(overlap: private::Overlap, run: C) -> private::Boxed<'a, Self>
        where
            C: FnMut($($ty),*) -> $ret + ::core::marker::Send + 'a,
        {
            Box::new($($new)*(private::Exclusive::new(run, overlap)))
        }

        /// A callback that belongs to the calling thread. Calls on other threads are refused. The closure is
        /// dropped on the calling thread, too; see
        /// `latecall::signature::collect_confined`.
        #[must_use]
        pub fn confined<C>(run: C) -> private::Boxed<'static, Self>
        where
            C: Fn($($ty),*) -> $ret + 'static,
        {
            Box::new($($new)*(private::Confined::new(run)))
        }

        /// A callback that belongs to the calling thread and borrows its closure: for a
        /// `latecall::signature::scope`. Calls on other threads are refused.
        #[must_use]
        pub fn confined_ref<'a, C>(run: &'a C) -> private::Boxed<'a, Self>
        where
            C: Fn($($ty),*) -> $ret,
        {
            Box::new($($new)*(private::Confined::borrowed(run)))
        }

        /// A callback on an object that another part of the program owns. Any thread may run it, several at a
        /// time. A running call keeps the object alive. After the object has been dropped, a call is refused
        /// and revokes the registration.
        #[must_use]
        pub fn weak<'a, T, C>(target: &private::Arc<T>, run: C) -> private::Boxed<'a, Self>
        where
            T: ::core::marker::Send + ::core::marker::Sync + 'a,
            C: Fn(&T, $($ty),*) -> $ret + ::core::marker::Send + ::core::marker::Sync + 'a,
        {
            Box::new($($new)*(private::Weakly::new(target, run)))
        }

        /// A callback that runs the callback which the returned switch has armed; none is armed at first.
        #[must_use]
        pub fn switch() -> (private::Boxed<'static, Self>, private::Switch<Self>) {
            let (forward, switch) = private::Switched::new();
            (Box::new($($new)*(forward)), switch)
        }
        }
    };
}
