/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * latecall: callbacks that a library may keep for ever, for C and C++.
 *
 * The problem. A library keeps a function pointer and a `void *user_data`. You free what `user_data` points at, and
 * then the library calls once more: a use after free.
 *
 * The solution. A *registry* owns your objects. As `user_data` you give the library a *handle*: an integer, never an
 * address. Your callback function asks the registry for the object that the handle names. If that object has been
 * revoked, or the handle is forged, or belongs to another registry, the call is refused: it is *late*. Nothing is read
 * through the handle.
 *
 *   static latecall_registry *registry;                  // made once by latecall_registry_new
 *
 *   struct call { uint64_t event; int result; };
 *   static void run(void *object, void *call);           // your code: uses the object, and sets the call's result
 *
 *   static int on_event(uint64_t event, void *user_data) // the function that the library is given
 *   {
 *     struct call call = {event, -1};                    // -1: what the library gets if the call is late
 *     latecall_call(registry, user_data, run, &call);
 *     return call.result;
 *   }
 *
 * Life of an object. You register it and get a handle. While it is registered, `run` may use it, on several threads at
 * a time if the library calls on several. After you have revoked it, no further call gets it; calls that are running go
 * on. When none is running any more, its destroy function is called, once: by the thread that revoked it if no call was
 * running, otherwise by the thread whose call was the last to return. No lock of the registry is held then.
 * docs/registry.md has all the rules; they are those of the Rust side.
 *
 * Threads. Any thread may call any function of this header at any time, also from inside `run`, destroy and completion
 * functions. A signal handler must not call any.
 *
 * Leaving `run`. A C++ exception may leave `run`: it leaves latecall_call, and the call counts as returned. On Linux a
 * thread may also end inside `run` (pthread_exit). Do not leave `run` by longjmp: the call would count as running for
 * ever. An exception that leaves a destroy or completion function ends the process.
 *
 * fork. The child may call these functions, and calls of threads that do not exist in the child do not count there. For
 * that, fork waits until no other thread is in the middle of a function of this header (`run` excepted), for at most a
 * second.
 *
 * Linking. Build the library by `cargo rustc --release --no-default-features --features capi --crate-type staticlib`
 * (or cdylib).
 */
#ifndef LATECALL_H
#define LATECALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. It is raised whenever a declaration changes its meaning or layout. */
#define LATECALL_ABI_VERSION 1u

/* The version that the library was built with. Compare it with LATECALL_ABI_VERSION. */
uint32_t latecall_abi_version(void);

/* What a function returns. 0 and above: it was done. Below 0: it was refused, and nothing was done. */
typedef enum latecall_result {
  LATECALL_OK = 0,

  /* Of functions that revoke and do not wait. */
  LATECALL_REMOVED = 1,         /* no call was running; the object has been destroyed */
  LATECALL_IN_FLIGHT = 2,       /* calls are running; the last one to return destroys the object */
  LATECALL_ALREADY_REVOKED = 3, /* an earlier call revoked it; calls may still be running */

  /* Of functions that wait. */
  LATECALL_QUIESCENT = 4,     /* no call is running, and the object has been destroyed */
  LATECALL_DEFERRED = 5,      /* the calling thread itself is inside `run`; its outermost call destroys the object */
  LATECALL_STILL_RUNNING = 6, /* the time limit has passed, or the function does not wait; the last call destroys it */
  LATECALL_DEADLOCKED = 7,    /* the wait could never have ended: threads wait for each other, see standard error */

  /* The handle is refused. */
  LATECALL_NULL = -1,           /* it is NULL, which is never issued */
  LATECALL_OUT_OF_RANGE = -2,   /* the registry has issued no handle for the slot that it names */
  LATECALL_WRONG_REGISTRY = -3, /* another registry has issued it */
  LATECALL_UNISSUED = -4,       /* the registry has not issued it yet: it is forged */
  LATECALL_STALE = -5,          /* its object has been revoked, and no call is running */
  LATECALL_REVOKING = -6,       /* its object has been revoked; calls that started before are still running */
  LATECALL_EXHAUSTED = -7,      /* as many calls of its object are running as can be counted */

  /* The registration is refused. The object stays yours. */
  LATECALL_NO_SLOTS = -16,        /* the registry is full */
  LATECALL_NO_REGISTRY_IDS = -17, /* the process has as many registries as handles can tell apart */
  LATECALL_NO_MEMORY = -18,       /* an allocation failed */
  LATECALL_CLOSED = -19,          /* the registry has been closed */

  /* An argument that must not be NULL is NULL, or one is out of range. Nothing was written through any argument. */
  LATECALL_BAD_ARGUMENT = -32
} latecall_result;

/* An English sentence for a result. Never NULL, also for a number that is no result. Static storage. */
const char *latecall_result_text(latecall_result result);

/* A registry of objects. Make one for each kind of object: it refuses the handles of the others.
 * It is never freed, because the library may use a handle for ever. */
typedef struct latecall_registry latecall_registry;

/* Makes a registry. Never returns NULL.
 *   name        appears in reports. May be NULL. It is copied.
 *   tombstones  for how many destroyed objects the registry remembers what they were, so that a report of a late call
 *               can say so. 1000 is a good number. Late calls are refused whatever the number is. */
latecall_registry *latecall_registry_new(const char *name, size_t tombstones);

/* Your code that uses the object. Called by latecall_call, on the same thread. The object is not destroyed before it
 * returns. */
typedef void (*latecall_run)(void *object, void *argument);

/* Frees the object. Called once for each object, on any thread that may make or revoke calls, after the last call. */
typedef void (*latecall_destroy)(void *object);

/* Is told that an object has been destroyed; see latecall_revoke_then. */
typedef void (*latecall_done)(void *context);

/* A place in the source, for reports: of the call of a function below. The functions that register or revoke are macros
 * as well, which pass the place of their call. A function that is called in another way, through a pointer or by
 * `(latecall_revoke)(...)`, passes none. Strings may be NULL, and are copied. */
typedef struct latecall_place {
  const char *file;
  const char *function;
  uint32_t line;
} latecall_place;

#ifdef __cplusplus
#define LATECALL_HERE (latecall_place{__FILE__, __func__, static_cast<uint32_t>(__LINE__)})
#else
#define LATECALL_HERE ((latecall_place){__FILE__, __func__, (uint32_t)__LINE__})
#endif

/* Registers `object`, and writes its handle to `*user_data`. Give that handle to the library as its `void *user_data`.
 *   object      is used by `run` until it is destroyed, on several threads at a time if the library calls on several.
 *   destroy     is called when the object is not used any more. May be NULL.
 *   label       appears in reports. May be NULL. It is copied.
 *   file, line  where the object was registered, for reports. It is copied. NULL: where this is called.
 * Returns LATECALL_OK, or why the registration is refused. If it is refused, `destroy` is not called, the object stays
 * yours, and `*user_data` is NULL (with LATECALL_BAD_ARGUMENT it is not written). */
latecall_result latecall_register(latecall_registry *registry, void *object, latecall_destroy destroy,
                                  const char *label, const char *file, uint32_t line, void **user_data);

latecall_result latecall_register_at(latecall_registry *registry, void *object, latecall_destroy destroy,
                                     const char *label, void **user_data, latecall_place place);

/* The place `file`, `line`, or `here` if `file` is NULL. */
static inline latecall_place latecall_place_or(const char *file, uint32_t line, latecall_place here) {
  if (file) {
    here.file = file;
    here.function = NULL;
    here.line = line;
  }
  return here;
}
#define latecall_register(registry, object, destroy, label, file, line, user_data)        \
  latecall_register_at((registry), (object), (destroy), (label), (user_data), \
                       latecall_place_or((file), (line), LATECALL_HERE))

/* latecall_register with this place in the source. */
#define LATECALL_REGISTER(registry, object, destroy, label, user_data) \
  latecall_register_at((registry), (object), (destroy), (label), (user_data), LATECALL_HERE)

/* Calls run(object, argument) with the object that `user_data` names, on the calling thread. `user_data` may have any
 * value. Returns LATECALL_OK after `run` has returned. Otherwise returns why the handle is refused: `run` was not
 * called, and the call has been counted as late. */
latecall_result latecall_call(latecall_registry *registry, void *user_data, latecall_run run, void *argument);

/* Revokes: no call that starts after this gets the object. Does not wait.
 * Returns LATECALL_REMOVED, LATECALL_IN_FLIGHT or LATECALL_ALREADY_REVOKED, or why the handle is refused. The handle of
 * an object that was destroyed long ago is refused as LATECALL_STALE. If `in_flight` is not NULL, writes the number of
 * running calls to it for LATECALL_IN_FLIGHT, and 0 otherwise. */
latecall_result latecall_revoke(latecall_registry *registry, void *user_data, uint32_t *in_flight);
latecall_result latecall_revoke_at(latecall_registry *registry, void *user_data, uint32_t *in_flight,
                                   latecall_place place);
#define latecall_revoke(registry, user_data, in_flight) \
  latecall_revoke_at((registry), (user_data), (in_flight), LATECALL_HERE)

/* Revokes as latecall_revoke does, and returns when no other thread is running a call of this object.
 * Never waits for another object's calls, and never for calls of the calling thread.
 * Returns LATECALL_QUIESCENT, LATECALL_DEFERRED or LATECALL_DEADLOCKED, or why the handle is refused. An object that
 * was revoked before is waited for as well. */
latecall_result latecall_revoke_and_wait(latecall_registry *registry, void *user_data);
latecall_result latecall_revoke_and_wait_at(latecall_registry *registry, void *user_data, latecall_place place);
#define latecall_revoke_and_wait(registry, user_data) \
  latecall_revoke_and_wait_at((registry), (user_data), LATECALL_HERE)

/* The same with a time limit; 0 does not wait. Returns LATECALL_STILL_RUNNING if calls are running after that time. */
latecall_result latecall_revoke_and_wait_for(latecall_registry *registry, void *user_data, uint64_t milliseconds);
latecall_result latecall_revoke_and_wait_for_at(latecall_registry *registry, void *user_data, uint64_t milliseconds,
                                                latecall_place place);
#define latecall_revoke_and_wait_for(registry, user_data, milliseconds) \
  latecall_revoke_and_wait_for_at((registry), (user_data), (milliseconds), LATECALL_HERE)

/* Revokes as latecall_revoke does, and calls done(context) once when the object has been destroyed: before this
 * returns, or on the thread that destroys the object. `context` must be valid until then. If the object was revoked
 * before, the result is LATECALL_ALREADY_REVOKED, and `done` is called all the same. If the handle is refused, `done`
 * is not called. LATECALL_EXHAUSTED: there was no memory to keep `done`, and nothing was revoked. */
latecall_result latecall_revoke_then(latecall_registry *registry, void *user_data, latecall_done done, void *context);
latecall_result latecall_revoke_then_at(latecall_registry *registry, void *user_data, latecall_done done, void *context,
                                        latecall_place place);
#define latecall_revoke_then(registry, user_data, done, context) \
  latecall_revoke_then_at((registry), (user_data), (done), (context), LATECALL_HERE)

/* Waits until every object that has been revoked before this call is destroyed. Does not wait for other objects.
 * Returns LATECALL_QUIESCENT, LATECALL_DEFERRED or LATECALL_DEADLOCKED. */
latecall_result latecall_barrier(latecall_registry *registry);

/* What latecall_close does beside refusing new registrations and revoking every object. */
typedef enum latecall_close_how {
  LATECALL_CLOSE_DRAIN = 0, /* waits until every object has been destroyed */
  LATECALL_CLOSE_ABORT = 1, /* does not wait: the last call of each object destroys it */
  LATECALL_CLOSE_LEAVE = 2  /* does not wait, and no object is ever destroyed: for the end of the process */
} latecall_close_how;

/* Closes the registry for good: refuses every later registration, and revokes every object. Later calls are late.
 * Returns LATECALL_QUIESCENT, LATECALL_DEFERRED, LATECALL_STILL_RUNNING (ABORT and LEAVE only) or LATECALL_DEADLOCKED.
 * A registry may be closed again: DRAIN after ABORT waits for the calls that are left. */
latecall_result latecall_close(latecall_registry *registry, latecall_close_how how);
latecall_result latecall_close_at(latecall_registry *registry, latecall_close_how how, latecall_place place);
#define latecall_close(registry, how) latecall_close_at((registry), (how), LATECALL_HERE)

/* Writes what the registry knows about `user_data` into `buffer`, as text: where, when and by which thread the object
 * was registered and revoked. Writes at most `size` bytes, including the terminating 0. `buffer` may be NULL if `size`
 * is 0. Returns the length of the whole text without the 0, as snprintf does; 0 if `registry` is NULL. */
size_t latecall_report(latecall_registry *registry, void *user_data, char *buffer, size_t size);

/* A registry's counters. */
typedef struct latecall_stats {
  uint64_t live;       /* objects that are registered now, and not revoked */
  uint64_t revoking;   /* objects that are revoked now, and not destroyed */
  uint64_t registered; /* objects ever registered */
  uint64_t revoked;    /* objects ever revoked */
  uint64_t destroyed;  /* objects ever destroyed */
  uint64_t late;       /* calls ever refused */
  uint64_t tombstones; /* destroyed objects that are remembered now */
} latecall_stats;

/* Writes the counters as they are now to `*stats`. Returns LATECALL_OK or LATECALL_BAD_ARGUMENT. */
latecall_result latecall_get_stats(latecall_registry *registry, latecall_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
