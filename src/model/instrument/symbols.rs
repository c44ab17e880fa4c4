//! Which functions C code may call: those of the model, and those that may stay what they are.

/// Functions that may stay what they are: they neither block nor keep anything between interleavings. The model does not
/// watch the memory that they touch.
#[rustfmt::skip]
pub const ALLOWED: &[&str] = &[
    "_GLOBAL_OFFSET_TABLE_", "_Unwind_Resume", "__gcc_personality_v0", "__stack_chk_fail", "__ctype_b_loc",
    "__ctype_tolower_loc", "__ctype_toupper_loc", "abs", "labs", "llabs", "isalnum", "isalpha", "isdigit", "islower",
    "isprint", "ispunct", "isspace", "isupper", "isxdigit", "tolower", "toupper", "snprintf", "vsnprintf", "sprintf",
    "printf", "fprintf", "puts", "putchar", "fputs", "fputc", "fwrite", "fflush", "stdout", "stderr", "strtol",
    "strtoul", "strtoll", "strtoull", "__isoc99_sscanf", "sscanf", "atoi", "atol", "qsort", "bsearch", "div", "ldiv",
    "strerror", "strpbrk", "strspn", "strcspn", "strstr", "strcasecmp", "strncasecmp", "floor", "ceil", "sqrt", "pow",
    "fmod", "log", "exp", "getenv", "getpid", "getpagesize", "pthread_attr_init", "pthread_attr_destroy",
    "pthread_attr_setdetachstate", "pthread_attr_setstacksize", "pthread_attr_getstacksize",
];

/// Functions of the C library that the model provides; the entry point of `x` is
/// [`ENTRY_PREFIX`](super::ENTRY_PREFIX)`x`. What the compiler calls is provided too: [`instrumentation`].
#[rustfmt::skip]
pub const MODELLED: &[&str] = &[
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "memalign", "posix_memalign", "memcpy", "memmove",
    "memset", "memcmp", "memchr", "strlen", "strnlen", "strcmp", "strncmp", "strchr", "strrchr", "strcpy", "strncpy",
    "strcat", "strdup", "strndup", "pthread_mutex_init", "pthread_mutex_destroy", "pthread_mutex_lock",
    "pthread_mutex_trylock", "pthread_mutex_timedlock", "pthread_mutex_clocklock", "pthread_mutex_unlock",
    "pthread_mutexattr_init", "pthread_mutexattr_destroy", "pthread_mutexattr_settype", "pthread_mutexattr_gettype",
    "pthread_cond_init", "pthread_cond_destroy", "pthread_cond_wait", "pthread_cond_timedwait",
    "pthread_cond_clockwait", "pthread_cond_signal", "pthread_cond_broadcast", "pthread_condattr_init",
    "pthread_condattr_destroy", "pthread_condattr_setclock", "pthread_rwlock_init", "pthread_rwlock_destroy",
    "pthread_rwlock_rdlock", "pthread_rwlock_wrlock", "pthread_rwlock_tryrdlock", "pthread_rwlock_trywrlock",
    "pthread_rwlock_timedrdlock", "pthread_rwlock_timedwrlock", "pthread_rwlock_unlock", "pthread_spin_init",
    "pthread_spin_destroy", "pthread_spin_lock", "pthread_spin_trylock", "pthread_spin_unlock",
    "pthread_barrier_init", "pthread_barrier_destroy", "pthread_barrier_wait", "pthread_once", "sem_init",
    "sem_destroy", "sem_wait", "sem_trywait", "sem_timedwait", "sem_post", "sem_getvalue", "pthread_create",
    "pthread_join", "pthread_detach", "pthread_exit", "pthread_self", "pthread_equal", "pthread_key_create",
    "pthread_key_delete", "pthread_setspecific", "pthread_getspecific", "sched_yield", "pthread_yield", "sleep",
    "usleep", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "timespec_get", "time",
    "__errno_location", "atexit", "abort", "__assert_fail", "mtx_init", "mtx_lock", "mtx_trylock", "mtx_timedlock",
    "mtx_unlock", "mtx_destroy", "cnd_init", "cnd_destroy", "cnd_wait", "cnd_timedwait", "cnd_signal",
    "cnd_broadcast", "thrd_create", "thrd_join", "thrd_detach", "thrd_exit", "thrd_current", "thrd_equal",
    "thrd_yield", "thrd_sleep", "call_once", "tss_create", "tss_delete", "tss_get", "tss_set",
];

/// What the compiler calls under `-fsanitize=thread`, gcc's calls and clang's.
#[must_use]
pub fn instrumentation() -> Vec<String> {
    let mut names: Vec<String> = [
        "init",
        "func_entry",
        "func_exit",
        "vptr_read",
        "vptr_update",
        "read_range",
        "write_range",
        "memcpy",
        "memmove",
        "memset",
        "atomic_thread_fence",
        "atomic_signal_fence",
    ]
    .map(|name| format!("__tsan_{name}"))
    .to_vec();
    for bytes in [1, 2, 4, 8, 16] {
        for access in ["read", "write", "read_write"] {
            names.push(format!("__tsan_{access}{bytes}"));
            names.push(format!("__tsan_unaligned_{access}{bytes}"));
        }
        for access in ["read", "write"] {
            names.push(format!("__tsan_volatile_{access}{bytes}"));
            names.push(format!("__tsan_unaligned_volatile_{access}{bytes}"));
        }
        let operations = [
            "load",
            "store",
            "exchange",
            "fetch_add",
            "fetch_sub",
            "fetch_and",
            "fetch_or",
            "fetch_xor",
            "fetch_nand",
            "compare_exchange_strong",
            "compare_exchange_weak",
            "compare_exchange_val",
        ];
        names.extend(operations.map(|operation| format!("__tsan_atomic{}_{operation}", bytes * 8)));
    }
    names
}
