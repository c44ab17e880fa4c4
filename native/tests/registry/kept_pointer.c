/* A library whose callback type carries no user data: it keeps the pointer in a static. Called by tests/thunk/c.rs. */
#include <stddef.h>

typedef int (*number_callback)(int, int);

int kept_takes_callback(number_callback callback, int n, int m);
int kept_calls_again(int n, int m);

static number_callback kept;

/* Keeps the callback and calls it. NULL unregisters, and gives 0. */
int kept_takes_callback(number_callback callback, int n, int m) {
    kept = callback;
    return kept != NULL ? kept(n, m) : 0;
}

/* Calls what has been kept; -2 if nothing has. */
int kept_calls_again(int n, int m) { return kept != NULL ? kept(n, m) : -2; }
