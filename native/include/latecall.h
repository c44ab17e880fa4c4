/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * latecall: callbacks that a library may keep for ever, for C and C++.
 *
 * A registry owns objects. What a library is given as `void *user_data` is a *handle*: an integer, and never an address,
 * so that a stale, forged or foreign one is refused, and nothing is read through it. A trampoline of yours, which is the
 * function that the library is given, asks the registry for the object:
 *
 *   static int on_event(uint64_t event, void *user_data) {
 *     struct call call = {event, -1};                     // -1: what the library gets when it calls late
 *     latecall_call(registry, user_data, run, &call);     // static void run(void *object, void *call)
 *     return call.result;
 *   }
 *
 * An object is destroyed once: after it has been revoked and the last call has left, by its destroy function, with no lock
 * held, on the thread that was last. The handles are those of the Rust side of the library, and the rules are the same:
 * see docs/registry.md.
 *
 * Threads. Every function may be called from any thread at any time, and from inside `run`, destroy and completion
 * functions. None may be called from a signal handler.
 *
 * C++. An exception that leaves `run` leaves latecall_call, counted out. One that leaves a destroy or completion function
 * ends the process. Do not leave `run` by longjmp.
 *
 * Link with the library built by `cargo rustc --release --no-default-features --features capi --crate-type staticlib`
 * (or cdylib).
 */
#ifndef LATECALL_H
#define LATECALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a declaration in this header changes meaning or layout. Compare with latecall_abi_version(). */
#define LATECALL_ABI_VERSION 1u
uint32_t latecall_abi_version(void);

/* Answers. 0 and above: done, and what was found. Below: refused, and nothing was done. */
typedef enum latecall_answer {
  LATECALL_DONE = 0,

  /* Revoking. */
  LATECALL_REMOVED = 1,         /* nobody was inside; the object has been destroyed */
  LATECALL_IN_FLIGHT = 2,       /* calls are inside; the last to leave destroys it */
  LATECALL_ALREADY_REVOKED = 3, /* by somebody before; calls may still be inside */

  /* Waiting. */
  LATECALL_QUIESCENT = 4,     /* nobody is inside, and the object has been destroyed */
  LATECALL_DEFERRED = 5,      /* the calling thread is itself inside; its outermost frame destroys the object */
  LATECALL_STILL_RUNNING = 6, /* the time is up, or the verb does not wait; the last call to leave destroys it */
  LATECALL_DEADLOCKED = 7,    /* the wait would never have ended; see standard error */

  /* The handle is refused. */
  LATECALL_NULL = -1,
  LATECALL_OUT_OF_RANGE = -2,   /* names a slot that never had a tenant */
  LATECALL_WRONG_REGISTRY = -3, /* is another registry's */
  LATECALL_UNISSUED = -4,       /* has a generation that was never issued */
  LATECALL_STALE = -5,          /* is of a registration that is over */
  LATECALL_REVOKING = -6,       /* is of a registration that has been revoked; calls are inside */
  LATECALL_EXHAUSTED = -7,      /* as many calls are inside as can be counted */

  /* The registration is refused; the object still is the caller's. */
  LATECALL_NO_SLOTS = -16,
  LATECALL_NO_REGISTRY_IDS = -17,
  LATECALL_NO_MEMORY = -18,
  LATECALL_CLOSED = -19,

  /* An argument is NULL that must not be. */
  LATECALL_BAD_ARGUMENT = -32
} latecall_answer;

/* What an answer means, in English. Never NULL. */
const char *latecall_text(latecall_answer answer);

/* A registry of one kind of object: have one for each, so that a handle of one kind is refused where another is meant.
 * It is never freed, because handles may be used for ever. A fork waits until no other thread is in the middle of one of
 * these functions, so that the child may call them. */
typedef struct latecall_registry latecall_registry;

/* A new registry. `name` is for reports, and may be NULL. `tombstones`: for how many objects that are gone a late call can
 * still be explained (1000 is a good number); detecting it does not depend on this. */
latecall_registry *latecall_registry_new(const char *name, size_t tombstones);

typedef void (*latecall_run)(void *object, void *argument);
typedef void (*latecall_destroy)(void *object);
typedef void (*latecall_done)(void *context);

/* Registers `object` and writes its handle to `*user_data`. `destroy` may be NULL, and so may `label`, which is for
 * reports; `file` and `line` say where (see LATECALL_REGISTER). The object is used by several threads at a time if the
 * library calls from several. On failure `destroy` is not called: the object still is the caller's, and `*user_data` is
 * NULL. */
latecall_answer latecall_register(latecall_registry *registry, void *object, latecall_destroy destroy,
                                  const char *label, const char *file, uint32_t line, void **user_data);
#define LATECALL_REGISTER(registry, object, destroy, label, user_data) \
  latecall_register((registry), (object), (destroy), (label), __FILE__, __LINE__, (user_data))

/* Runs run(object, argument) on the object that `user_data` stands for, which is not destroyed meanwhile, or says why not.
 * `user_data` may be any value at all. LATECALL_DONE, or a refusal, which has been counted. */
latecall_answer latecall_call(latecall_registry *registry, void *user_data, latecall_run run, void *argument);

/* From here on no call starts. Does not wait. If `in_flight` is not NULL it gets the number of calls inside. */
latecall_answer latecall_revoke(latecall_registry *registry, void *user_data, uint32_t *in_flight);

/* As latecall_revoke, and returns when no other thread is inside. Never waits for another object's calls. */
latecall_answer latecall_revoke_and_wait(latecall_registry *registry, void *user_data);

/* The same, for at most so many milliseconds; 0 does not wait. */
latecall_answer latecall_revoke_and_wait_for(latecall_registry *registry, void *user_data, uint64_t milliseconds);

/* As latecall_revoke, and calls done(context) once when the object has been destroyed: before this returns, or on the
 * thread that destroys it. Not called when the handle is refused. */
latecall_answer latecall_revoke_then(latecall_registry *registry, void *user_data, latecall_done done, void *context);

/* Waits for everything that has been revoked before. */
latecall_answer latecall_barrier(latecall_registry *registry);

typedef enum latecall_how {
  LATECALL_DRAIN = 0, /* revoke everything and wait */
  LATECALL_ABORT = 1, /* revoke everything */
  LATECALL_LEAVE = 2  /* revoke everything and destroy nothing: for the end of the process */
} latecall_how;

/* Closes the registry for good: nothing is registered any more. */
latecall_answer latecall_close(latecall_registry *registry, latecall_how how);

/* Writes what is known about `user_data` into `buffer`: who registered and revoked it, where and when. At most `size`
 * bytes, the terminating 0 included. Returns the length of the whole text without the 0, as snprintf does. */
size_t latecall_report(latecall_registry *registry, void *user_data, char *buffer, size_t size);

typedef struct latecall_counts {
  uint64_t live, revoking;                /* now */
  uint64_t registered, revoked, destroyed; /* ever */
  uint64_t late;                          /* calls refused, ever */
  uint64_t tombstones;                    /* now */
} latecall_counts;

latecall_answer latecall_count(latecall_registry *registry, latecall_counts *counts);

#ifdef __cplusplus
}
#endif

#endif
