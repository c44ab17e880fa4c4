//! Which functions instrumented code may call, and why it may not call others.

use std::collections::BTreeSet;

/// Functions that instrumented code calls directly. They neither block, nor keep state between interleavings, nor
/// access the code's memory.
#[rustfmt::skip]
pub const ALLOWED: &[&str] = &[
    "_GLOBAL_OFFSET_TABLE_", "_Unwind_Resume", "__gcc_personality_v0", "__ctype_b_loc",
    "__ctype_tolower_loc", "__ctype_toupper_loc", "abs", "labs", "llabs", "isalnum", "isalpha", "isdigit",
    "islower", "isprint", "ispunct", "isspace", "isupper", "isxdigit", "tolower", "toupper", "putchar", "fputc",
    "fflush", "stdout", "stderr", "div", "ldiv", "floor", "ceil", "sqrt", "pow", "fmod", "log", "exp", "environ",
    "__environ", "getpid", "getpagesize", "imaxabs", "ffs", "ffsl", "ffsll", "isblank", "iscntrl", "isgraph",
    "fputc_unlocked", "putc", "putc_unlocked", "difftime", "lldiv", "fabs", "round", "trunc", "log2", "log10",
    "exp2", "cbrt", "sin", "cos", "tan", "atan2", "hypot", "__sysconf", "gnu_get_libc_version", "getegid", "getgid",
    "get_nprocs", "getppid", "getuid", "geteuid", "ntohl", "ntohs", "htonl", "htons", "sched_get_priority_min",
    "sched_get_priority_max", "__gxx_personality_v0", 
    "__cxa_free_exception", 
    "_ZSt20__throw_system_errori", "_ZSt17__throw_bad_allocv", "_ZSt20__throw_length_errorPKc",
    "_ZSt28__throw_bad_array_new_lengthv", "_ZSt25__throw_bad_function_callv", "_ZSt24__throw_out_of_range_fmtPKcz",
    "_ZSt19__throw_logic_errorPKc", "putchar_unlocked", "__overflow", "ferror", "feof", "clearerr", "gai_strerror", "towlower",
    "towupper", "iswalpha", "iswdigit", "iswspace", "nl_langinfo", "freelocale", "stdin", "iconv_close",
    "get_nprocs_conf", "getauxval", "floorf", "ceilf", "sqrtf", "powf", "fmodf", "logf", "expf", "fabsf", "roundf",
    "truncf", "log2f", "log10f", "exp2f", "sinf", "cosf", "tanf", "atan2f", "hypotf", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "log1p", "expm1", "rint", "nearbyint", "lrint", "llrint", "lround", "llround", "lrintf",
    "lroundf", "fmin", "fmax", "fminf", "fmaxf", "ldexp", "scalbn", "copysign", "remainder", "fma", "fmaf",
    "__fpclassify", "__fpclassifyf", "__signbit", "__isnan", "__isinf", "__finite", "__udivti3", "__umodti3",
    "__divti3", "__modti3", "__multi3", "__popcountdi2", "__clzti2", "__ctzti2", "__powidf2", "__muldc3",
    "__divdc3", "__cpu_model", "__cpu_indicator_init", "_ZTVN10__cxxabiv117__class_type_infoE",
    "_ZTVN10__cxxabiv120__si_class_type_infoE", "_ZTVN10__cxxabiv121__vmi_class_type_infoE", "__dso_handle",
    "malloc_trim", "localeconv", "tzset", "isascii", "toascii", "getdtablesize", "getpgrp", "strerrordesc_np",
    "strerrorname_np", "sigabbrev_np", "sigdescr_np", "__libc_current_sigrtmin", "__libc_current_sigrtmax",
    "imaxdiv", "btowc", "wctob", "iswalnum", "iswlower", "iswupper", "iswprint", "iswpunct", "iswcntrl", "iswgraph",
    "iswxdigit", "iswctype", "wcwidth", "asinf", "acosf", "atanf", "sinhf", "coshf", "tanhf", "asinh", "acosh",
    "atanh", "erf", "erfc", "erff", "erfcf", "tgamma", "cbrtf", "log1pf", "expm1f", "rintf", "nearbyintf",
    "llrintf", "llroundf", "ldexpf", "scalbnf", "scalbln", "scalblnf", "copysignf", "nextafter", "nextafterf",
    "logb", "logbf", "ilogb", "ilogbf", "fdim", "fdimf", "remainderf", "exp10", "isnan", "isinf", "finite",
    "__isnanf", "__isinff", "__finitef", "__signbitf", "__isnanl", "__isinfl", "__finitel", "__signbitl",
    "__fpclassifyl", "floorl", "ceill", "sqrtl", "powl", "fabsl", "fmodl", "roundl", "truncl", "logl", "expl",
    "log2l", "log10l", "lroundl", "llroundl", "lrintl", "llrintl", "ldexpl", "scalbnl", "copysignl",
];

/// Functions of the C library that `latecall-explore` models. The entry point of `x` is
/// [`ENTRY_PREFIX`](crate::ENTRY_PREFIX)`x`. The functions that the compiler inserts calls of are listed by
/// [`instrumentation`].
#[rustfmt::skip]
pub const MODELLED: &[&str] = &[
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "memalign", "posix_memalign", "memcpy", "memmove",
    "memset", "memcmp", "memchr", "strlen", "strnlen", "strcmp", "strncmp", "strchr", "strrchr", "strcpy",
    "strncpy", "strcat", "strdup", "strndup", "pthread_mutex_init", "pthread_mutex_destroy", "pthread_mutex_lock",
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
    "thrd_yield", "thrd_sleep", "call_once", "tss_create", "tss_delete", "tss_get", "tss_set", "memrchr", "strncat",
    "stpcpy", "strtok_r", "reallocarray", "mempcpy", "strchrnul", "bzero", "pthread_mutexattr_setpshared",
    "pthread_mutexattr_setprotocol", "pthread_condattr_setpshared", "pthread_condattr_getclock",
    "pthread_rwlockattr_init", "pthread_rwlockattr_destroy", "pthread_rwlockattr_setpshared",
    "pthread_rwlockattr_setkind_np", "pthread_rwlock_clockrdlock", "pthread_rwlock_clockwrlock", "sem_clockwait",
    "pthread_setname_np", "pthread_getname_np", "pthread_setschedparam", "pthread_setaffinity_np", "clock_getres",
    "__cxa_atexit", "__cxa_guard_acquire", "__cxa_guard_release", "__cxa_guard_abort", "_Znwm", "_Znam", "_ZdlPv",
    "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "__emutls_get_address",
    "pthread_atfork", "__register_atfork", "rand", "random", "srand", "srandom", "sigaction", "signal",
    "bsd_signal", "__sysv_signal", "pthread_sigmask", "sigprocmask", "pthread_kill", "pthread_setcancelstate",
    "pthread_setcanceltype", "pthread_testcancel", "prctl", "gettid", "pthread_getschedparam", "sched_getcpu",
    "getrandom", "getentropy", "arc4random", "arc4random_buf", "arc4random_uniform", "clock", "pipe", "pipe2",
    "socketpair", "eventfd", "eventfd_read", "eventfd_write", "close", "read", "__read_chk", "write", "recv",
    "send", "fcntl", "fcntl64", "ioctl", "poll", "__poll_chk", "ppoll", "select", "pselect", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "syscall", "localtime", "gmtime", "readv", "writev",
    "sendmsg", "recvmsg", "shutdown", "asprintf", "vasprintf", "sprintf", "vsprintf", "snprintf", "vsnprintf",
    "strcasecmp", "strncasecmp", "strstr", "strcasestr", "strpbrk", "strspn", "strcspn", "strsep", "strtok",
    "index", "rindex", "bcopy", "qsort", "malloc_usable_size", "valloc", "sched_setscheduler", "sched_setparam",
    "sched_setaffinity", "setpriority", "pthread_getaffinity_np", "wcslen", "wcsnlen", "wcscmp", "wcsncmp",
    "wcscasecmp", "wcsncasecmp", "wmemchr", "memmem", "memccpy", "swab", "wmemcmp", "wmemcpy", "wmemmove",
    "wmemset", "wcschr", "wcsrchr", "wcsstr", "wcscpy", "wcsncpy", "wcscat", "wcsncat", "strxfrm", "qsort_r",
    "bsearch", "lfind", "vfprintf", "vprintf", "__vasprintf_chk", "__vsprintf_chk", "__vfprintf_chk",
    "__vprintf_chk", "fprintf", "printf", "__asprintf_chk", "__sprintf_chk", "__snprintf_chk", "__fprintf_chk",
    "__printf_chk", "vsscanf", "__isoc99_vsscanf", "__isoc23_vsscanf", "sscanf", "__isoc99_sscanf",
    "__isoc23_sscanf", "strtol", "strtoll", "strtoimax", "__isoc23_strtol", "__isoc23_strtoll",
    "__isoc23_strtoimax", "strtoul", "strtoull", "strtoumax", "__isoc23_strtoul", "__isoc23_strtoull",
    "__isoc23_strtoumax", "strtol_l", "strtoll_l", "strtoul_l", "strtoull_l", "strtod", "strtof", "strtod_l",
    "strtof_l", "wcstol", "wcstoll", "wcstoul", "wcstoull", "wcstod", "atoi", "atol", "atoll", "atof", "strverscmp",
    "strcoll", "fnmatch", "basename", "getenv", "secure_getenv", "gettext", "dgettext", "dcgettext", "ngettext",
    "dngettext", "dcngettext", "newlocale", "wctype", "regcomp", "regfree", "puts", "fputs", "fputs_unlocked",
    "fwrite", "fwrite_unlocked", "perror", "asctime_r", "ctime_r", "localtime_r", "gmtime_r", "mktime", "timegm",
    "strptime", "inet_addr", "inet_aton", "inet_pton", "sigemptyset", "sigfillset", "sigaddset", "sigdelset",
    "sigismember", "sigisemptyset", "sigorset", "sigandset", "pthread_attr_init", "pthread_attr_destroy",
    "pthread_attr_setdetachstate", "pthread_attr_setstacksize", "pthread_attr_setguardsize",
    "pthread_attr_setscope", "pthread_attr_setinheritsched", "pthread_attr_setschedpolicy",
    "pthread_attr_setschedparam", "pthread_attr_setstack", "pthread_attr_setaffinity_np",
    "pthread_attr_getdetachstate", "pthread_attr_getstacksize", "pthread_attr_getguardsize",
    "pthread_attr_getscope", "pthread_attr_getinheritsched", "pthread_attr_getschedpolicy",
    "pthread_attr_getschedparam", "pthread_attr_getstack", "pthread_attr_getaffinity_np",
    "pthread_barrierattr_init", "pthread_barrierattr_destroy", "uname", "getrlimit", "getresuid", "getresgid",
    "sched_getparam", "sched_getaffinity", "__sched_cpucount", "rand_r", "sysconf", "getpriority", "getpgid",
    "getsid", "sched_getscheduler", "isatty", "fileno", "strerror", "strsignal", "strerror_r", "__xpg_strerror_r",
    "strftime", "inet_ntop", "gethostname", "confstr", "getgroups", "regexec", "regerror", "dirname",
    "__xpg_basename", "mbrtowc", "mbrlen", "__mbrlen", "mbsinit", "mbtowc", "mblen", "wcrtomb", "wctomb", "wcswidth",
    "iconv_open", "iconv", "__sched_cpualloc", "__sched_cpufree", "pthread_setconcurrency",
    "pthread_getconcurrency", "frexp", "frexpf", "modf", "modff", "remquo", "sincos", "sincosf", "__vsnprintf_chk",
    "__cxa_allocate_exception", "__cxa_throw", "__cxa_rethrow", "__cxa_begin_catch", "__cxa_end_catch",
    "__cxa_pure_virtual", "_ZSt9terminatev", "__stack_chk_fail",
];

/// Groups of functions that are refused, each with the reason. In a name, `*` at the end or at the beginning stands for
/// any text. A function that is in no group, and neither modelled nor allowed, is refused with the reason in
/// [`reason`]. A reason must not contain a double quote (`src/instrument.rs` puts it into an assembler string).
#[rustfmt::skip]
const REASONS: &[(&str, &[&str])] = &[
    (
        "opens a file or a socket, or uses a descriptor in a way that is not modelled (modelled: pipes, eventfd and \
         socketpair, with read, write, sendmsg, poll, select and epoll)",
        &[
            "epoll_*", "pread*", "pwrite*", "recvfrom", "recvmmsg", "__recv_chk", "__recvfrom_chk", "sendto", "sendmmsg",
            "sendfile*", "accept", "accept4", "connect",
            "listen", "bind", "socket", "timerfd_*", "signalfd", "inotify_*", "kqueue", "kevent", "open", "open64",
            "openat*", "fsync", "fdatasync", "lseek*", "ftruncate*", "flock", "lockf*", "io_uring_*", "io_setup", "io_submit",
            "io_getevents", "io_destroy", "io_cancel", "aio_*",
            "getsockopt", "setsockopt", "getsockname", "getpeername", "getaddrinfo", "freeaddrinfo",
            "gethostbyname*", "getifaddrs", "freeifaddrs",
        ],
    ),
    (
        "reads or writes a file, and the explorer cannot restore files between interleavings",
        &[
            "fopen*", "freopen*", "fdopen", "fclose", "fread", "fgets", "fgetc", "getc", "getchar", "gets", "getline",
            "getdelim", "fscanf", "scanf", "__isoc99_fscanf", "__isoc99_scanf", "fseek*", "ftell*", "rewind", "tmpfile*",
            "mkstemp*", "unlink", "remove", "rename", "mkdir", "rmdir", "opendir", "readdir*", "closedir", "stat", "stat64", "statx",
            "fstat*", "lstat*", "access", "fchmod", "fchown", "chmod", "chown", "utime*", "readlink", "getcwd", "symlink", "link", "dup", "dup2", "dup3", "syslog", "openlog", "flockfile", "funlockfile", "realpath", "canonicalize_file_name",
            "get_current_dir_name", "glob", "glob64", "globfree*", "scandir*", "truncate*", "fallocate*", "posix_fa*", "statfs*", "statvfs*", "mkdtemp*", "mkfifo*",
            "mknod*", "tmpnam*", "tempnam", "ftw*", "nftw*", "ungetc", "getc_unlocked", "open_memstream", "fmemopen", "mount", "umount*",
        ],
    ),
    (
        "looks up users, hosts or services, which reads files and may wait for a server",
        &[
            "getpw*", "getgr*", "getserv*", "getproto*", "gethostbyaddr*", "getnameinfo", "if_nametoindex", "if_indextoname",
            "res_init", "res_query", "res_querydomain", "res_search", "res_mkquery", "res_send", "res_n*",
            "getlogin*", "getspnam*",
        ],
    ),
    (
        "reads or changes settings of the whole process or of its terminal, which the explorer cannot restore between interleavings",
        &[
            "setuid", "setgid", "seteuid", "setegid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "initgroups",
            "setsid", "setpgid", "setpgrp", "setrlimit*", "prlimit*", "chroot", "capset", "personality", "tcgetattr", "tcsetattr", "tcsendbreak",
            "tcdrain", "tcflush", "tcflow", "tcgetpgrp", "tcsetpgrp", "tcgetsid", "cfget*", "cfset*", "cfmakeraw",
        ],
    ),
    (
        "starts another process or waits for one, and the explorer runs one process only",
        &[
            "fork", "vfork", "_Fork", "clone", "wait", "wait3", "wait4", "waitpid", "waitid", "system", "popen", "pclose",
            "posix_spawn*", "execl*", "execv*", "fexecve", "daemon",
        ],
    ),
    (
        "sends signals or waits for them, and the explorer never delivers one",
        &[
            "sigset", "sigwait*",
            "sigsuspend", "sigpending", "sigtimedwait", "sigaltstack", "siginterrupt", "raise", "kill", "killpg",
            "pthread_sigqueue", "sigqueue", "pause", "alarm", "ualarm", "setitimer", "timer_create", "timer_delete",
            "timer_settime", "timer_gettime", "timer_getoverrun",
        ],
    ),
    (
        "switches stacks or unwinds frames (longjmp, ucontext), which breaks call tracing",
        &[
            "setjmp", "_setjmp", "__sigsetjmp", "sigsetjmp", "longjmp", "_longjmp", "siglongjmp", "__longjmp_chk",
            "getcontext", "setcontext", "makecontext", "swapcontext",
        ],
    ),
    (
        "loads code at run time, which is not instrumented",
        &["dlopen", "dlmopen", "dlsym", "dlvsym", "dlclose", "dladdr*", "dlerror", "dl_iterate_phdr"],
    ),
    (
        "makes a system call that may block all threads of the search",
        &["futex*", "__futex*", "membarrier"],
    ),
    (
        "cancels threads, handles cancellation, or joins a thread with a try or a time limit; none of these is modelled",
        &["pthread_cancel", "__pthread_register_cancel", "__pthread_unwind_next",
          "__pthread_unregister_cancel", "_pthread_cleanup_*", "__pthread_cleanup_*", "pthread_tryjoin_np",
          "pthread_timedjoin_np", "pthread_clockjoin_np"],
    ),
    (
        "uses robust locks, or objects that several processes share; neither is modelled",
        &[
            "pthread_mutex_consistent*", "pthread_mutexattr_setrobust*", "pthread_mutexattr_getrobust*",
            "pthread_mutex_setprioceiling", "sem_open", "sem_close", "sem_unlink", "shm_open", "shm_unlink", "mq_open", "mq_close",
            "mq_unlink", "mq_send", "mq_receive", "mq_timed*", "mq_notify", "mq_getattr", "mq_setattr", "semget", "semop",
            "semctl", "shmget", "shmat", "shmdt", "msgget", "msgsnd", "msgrcv",
        ],
    ),
    (
        "maps memory or changes the heap directly, so the explorer cannot track that memory",
        &["mmap", "mmap64", "munmap", "mremap", "mprotect", "madvise", "posix_madvise", "msync", "mincore", "mlock*", "brk", "sbrk",
          "mallopt", "pvalloc", "reallocf"],
    ),
    (
        "is a variable of the C library, which the explorer cannot restore between interleavings (if the code only \
         reads it: Instrument::allow)",
        &["optarg", "optind", "opterr", "timezone", "daylight", "tzname"],
    ),
    (
        "reads or writes the code's memory inside the C library, where the explorer does not see the accesses",
        &["strtold*", "wcstold*", "frexpl", "modfl", "remquol", "sincosl", "lgamma*", "getsubopt", "lsearch", "tsearch", "tfind",
          "tdelete", "twalk*", "tdestroy", "mbstowcs", "wcstombs", "mbsrtowcs", "wcsrtombs", "mbsnrtowcs", "wcsnrtombs",
          "wcsxfrm", "wcscoll", "wcstok", "wcsftime", "swprintf", "vswprintf", "swscanf", "vswscanf", "wcsdup"],
    ),
    (
        "ends the process, which would end the search",
        &["exit", "_exit", "_Exit", "quick_exit", "at_quick_exit", "on_exit", "err", "errx", "verr", "verrx"],
    ),
    (
        "keeps state inside the C library, which the explorer cannot restore between interleavings",
        &["random_r", "initstate", "initstate_r", "setstate", "setstate_r", "*rand48", "*rand48_r", "getopt*", "uselocale",
          "textdomain", "bindtextdomain", "bind_textdomain_codeset", "hcreate*", "hdestroy*", "hsearch*", "setenv", "putenv",
          "unsetenv", "setlocale", "ctime", "asctime", "setvbuf", "setbuf", "times",
          "getrusage", "umask", "chdir"],
    ),
    (
        "is an atomic operation of the compiler's own library, which the explorer does not see (used for 16 bytes and \
         for odd sizes: use 1, 2, 4 or 8 bytes)",
        &["__atomic_*", "__sync_*"],
    ),
    (
        "belongs to the C++ standard library, which is not instrumented (modelled: pthreads, std::atomic, std::mutex \
         and templates; not modelled: std::thread and std::condition_variable)",
        &["_ZNSt*", "_ZNKSt*", "_ZSt*", "_ZTVNSt*", "_ZTVSt*", "_ZTISt*"],
    ),
];

/// Why a function is refused.
pub(crate) fn reason(symbol: &str) -> &'static str {
    reason_of(symbol).unwrap_or("may block, or may have effects that the explorer cannot undo between interleavings")
}

/// The reason of the function's group. `None` if it is in no group.
pub(crate) fn reason_of(symbol: &str) -> Option<&'static str> {
    let fits = |pattern: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => symbol.ends_with(end),
        (_, Some(beginning)) => symbol.starts_with(beginning),
        _ => symbol == pattern,
    };
    REASONS.iter().find(|(_, names)| names.iter().any(|&name| fits(name))).map(|group| group.0)
}

/// The functions that gcc and clang insert calls of under `-fsanitize=thread`. `latecall-explore` provides all of them.
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

/// Whether a name belongs to the C library or to the compiler. Names with two leading underscores are reserved for
/// these, in every version of them.
pub(crate) fn is_of_c_library(name: &str, c_library: &BTreeSet<String>) -> bool {
    c_library.is_empty() || c_library.contains(name) || name.starts_with("__")
}
