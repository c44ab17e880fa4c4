/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * emitter: a C library that keeps callbacks.
 *
 * It retains a function pointer, a `void *user_data` and an optional destroy notify, and fires them later, on the thread
 * of whoever asks (emitter_fire) or on threads of its own (emitter_send, emitter_post). It exists to be bound from
 * another language: it offers, as named modes, the contracts that real C libraries have, and, as switches, what hostile
 * or buggy ones do.
 *
 * Words. A *subscription* is what emitter_subscribe made: (callback, user_data, destroy). A call is *in flight* from the
 * moment the library has loaded the pair until the callback has returned and the library has counted it out. A delivery
 * is *pending* while it sits in the queue. *Quiescent*: no call of the subscription is in flight.
 *
 * Threads. Every function may be called from any thread at any time between emitter_open and emitter_close, and from
 * inside callbacks and destroy notifies, except where its comment says otherwise. No lock of the library is held while
 * a callback, a destroy notify or the stall hook runs.
 */
#ifndef EMITTER_H
#define EMITTER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMITTER_API __attribute__((visibility("default")))

/* Raised whenever a declaration in this header changes meaning or layout. */
#ifndef EMITTER_ABI_VERSION
#define EMITTER_ABI_VERSION 1u
#endif

/* The version the object was built with: compare with EMITTER_ABI_VERSION after loading it. */
EMITTER_API uint32_t emitter_abi_version(void);

typedef struct emitter emitter;

/* Names a subscription for the emitter's life; never reused; 0 names none. */
typedef uint64_t emitter_id;

/* What a callback is told about the call. Lives on the library's stack: valid until the callback returns. */
typedef struct emitter_event {
  emitter *source;         /* who fires; NULL for call-scoped use without an emitter */
  void *owner;             /* emitter_config.owner, as it was at emitter_open */
  uint64_t cookie;         /* the cookie of the fire, send or post that asked for this call; 0: the library's own idea */
  emitter_id subscription; /* the subscription being fired; 0 in call-scoped use */
  emitter_id user_data_of; /* the subscription whose user_data is passed; differs only under EMITTER_HOSTILE_WRONG_USER_DATA */
  intptr_t a, b;           /* the two arguments of the fire; in an enumeration: the item's number, and lparam */
} emitter_event;

/* The callback. Called on the thread that each firing function names. Its result is the result of the fire; in an
 * enumeration 0 stops. It may call any function of this library. */
typedef intptr_t (*emitter_callback)(void *user_data, const emitter_event *event);

/* The destroy notify: user_data will not be used by the library again (unless a switch makes it lie). */
typedef void (*emitter_destroy)(void *user_data);

/* When may user_data last be used? Each mode's answer, with a real library that gives it. */
typedef enum emitter_mode {
  /* Nothing is retained: only emitter_invoke and emitter_enumerate. Not after they return. (EnumWindows, qsort_r.) */
  EMITTER_MODE_SCOPED = 0,
  /* Not after emitter_unsubscribe returns: it waits for calls in flight on other threads, and not for frames of the
   * calling thread, wherever on its stack. (libevent's event_del.) */
  EMITTER_MODE_WAITS = 1,
  /* Not after the last call that was in flight when emitter_unsubscribe returned, and nothing tells when that is:
   * unsubscribe returns at once, and a destroy notify waits for emitter_close. (timer_delete, event_del_noblock.) */
  EMITTER_MODE_RETURNS = 2,
  /* Not after the destroy notify, which comes once, after the last call, on the thread that dropped the last reference:
   * the unsubscriber's or a caller's. (g_source_destroy.) */
  EMITTER_MODE_DEFERRED = 3,
  /* Fires once, then forgets by itself; destroy notify after that call. Unsubscribing before is as in DEFERRED. (Panama
   * one-shots, getaddrinfo_a.) */
  EMITTER_MODE_ONCE = 4,
  /* Deliveries are queued by emitter_post and outlive emitter_unsubscribe, which returns at once: user_data may be used
   * until emitter_barrier, called after it, returns; destroy notify after the last pending delivery. (call_rcu, N-API
   * thread-safe functions.) */
  EMITTER_MODE_QUEUED = 5,
  /* One subscription; emitter_replace swaps (callback, user_data, destroy) in place as one unit; calls of the old pair
   * may still be in flight when it returns; the old pair's destroy notify comes after its last call. Unsubscribing is
   * as in DEFERRED. (signal set_combiner, sqlite3_update_hook.) */
  EMITTER_MODE_REPLACE = 6,
  /* Subscriptions come as a table that emitter_subscribe_table copies by value: the caller's table may go at once, the
   * user_data in it may not. Unsubscribing one entry is as in WAITS. (dokan's operations table, vtables.) */
  EMITTER_MODE_TABLE = 7
} emitter_mode;

/* What hostile or buggy libraries do. Bits of emitter_config.hostile. */
enum {
  /* A subscription stays callable after it was unsubscribed: emitter_fire, send and post still call it. */
  EMITTER_HOSTILE_LATE = 1u << 0,
  /* Each fire calls twice. */
  EMITTER_HOSTILE_TWICE = 1u << 1,
  /* Each fire also calls the same subscription on two more library threads at the same moment. */
  EMITTER_HOSTILE_CONCURRENT = 1u << 2,
  /* Destroy notify runs in emitter_unsubscribe itself, before calls in flight have returned. */
  EMITTER_HOSTILE_NOTIFY_EARLY = 1u << 3,
  EMITTER_HOSTILE_NOTIFY_TWICE = 1u << 4,
  EMITTER_HOSTILE_NOTIFY_NEVER = 1u << 5,
  /* QUEUED: the destroy notify does not wait for pending deliveries, which are delivered all the same. */
  EMITTER_HOSTILE_NOTIFY_BEFORE_DRAIN = 1u << 6,
  /* emitter_close fires every subscription it knows, live or dead, once (cookie 0), after the last unsubscribe. */
  EMITTER_HOSTILE_FIRE_ON_CLOSE = 1u << 7,
  /* Each library thread fires every subscription it knows, live or dead, once (cookie 0) from a thread-specific-data
   * destructor while it exits (so: during emitter_close). */
  EMITTER_HOSTILE_FIRE_TLS_DESTRUCTOR = 1u << 8,
  /* What is retained when the process exits is fired once more from an atexit handler (cookie 0). emitter_close then
   * keeps the memory of the emitter alive. */
  EMITTER_HOSTILE_FIRE_ATEXIT = 1u << 9,
  /* A fire passes the callback's own function but another subscription's user_data (the next one, in order of
   * subscribing; event.user_data_of says whose). No effect while there is only one. */
  EMITTER_HOSTILE_WRONG_USER_DATA = 1u << 10
};

/* Named places where a test can park a thread: the library calls the stall hook there, on the thread that passes, with
 * no lock held. Without a hook they are no-ops. */
typedef enum emitter_stall {
  EMITTER_STALL_BEFORE_LOAD = 0,  /* asked to fire; the pair has not been loaded yet */
  EMITTER_STALL_BEFORE_CALL = 1,  /* the pair was loaded and counted in; the callback has not been called yet */
  EMITTER_STALL_AFTER_CALL = 2,   /* the callback has returned; the in-flight count has not dropped yet */
  EMITTER_STALL_AFTER_COUNT = 3,  /* the in-flight count has dropped; destroy notify and waiters not served yet */
  EMITTER_STALL_BEFORE_NOTIFY = 4, /* a destroy notify is about to run */
  EMITTER_STALL_POPPED = 5,       /* a library thread took a delivery off the queue and has not loaded the pair yet */
  EMITTER_STALL_UNSUBSCRIBED = 6, /* unsubscribe has unlinked the subscription; it has not waited or returned yet */
  EMITTER_STALL_WORKER_START = 7, /* first act of a library thread */
  EMITTER_STALL_WORKER_EXIT = 8   /* last act of a library thread, before its thread-specific data is destroyed */
} emitter_stall;
#define EMITTER_STALL_COUNT 9

/* `subscription` is 0 where none is meant. */
typedef void (*emitter_stall_hook)(void *stall_data, uint32_t site, emitter_id subscription);

typedef enum emitter_status {
  EMITTER_OK = 0,
  EMITTER_NOT_FOUND = 1,     /* no live subscription has this id; nothing was called */
  EMITTER_NO_MEMORY = 2,     /* an allocation failed (or was made to); nothing is retained, no destroy notify runs */
  EMITTER_FULL = 3,          /* emitter_config.capacity is reached; as NO_MEMORY */
  EMITTER_CLOSING = 4,       /* emitter_close has begun; as NO_MEMORY */
  EMITTER_WRONG_MODE = 5,    /* this mode does not offer that function; nothing was done */
  EMITTER_BAD_ARGUMENT = 6,  /* NULL, or a config this version does not know; nothing was done */
  EMITTER_IN_FLIGHT = 7      /* unsubscribed, and calls are still in flight (modes that return at once say so) */
} emitter_status;

typedef struct emitter_config {
  uint32_t size;            /* sizeof(emitter_config) */
  uint32_t mode;            /* emitter_mode */
  uint32_t workers;         /* library threads for send and post, 0 to 8; 0: send and post answer WRONG_MODE */
  uint32_t hostile;         /* EMITTER_HOSTILE_ bits */
  uint32_t capacity;        /* most live subscriptions at a time; 0: no limit */
  uint32_t fail_allocation; /* the Nth allocation (1 = first) after emitter_open has made the emitter fails; 0: none */
  void *owner;              /* echoed in every event */
  emitter_stall_hook stall; /* may be NULL */
  void *stall_data;
} emitter_config;

/* Makes an emitter and starts its library threads. *out is NULL unless the answer is EMITTER_OK. */
EMITTER_API emitter_status emitter_open(const emitter_config *config, emitter **out);

/* Refuses new subscriptions, fires and posts; waits until calls in flight on other threads and (mode QUEUED: pending)
 * deliveries are through; runs the destroy notify of each live subscription; joins the library threads; frees. After it
 * returns no callback runs (unless a switch says so). Calling it from inside a callback, a destroy notify or the stall
 * hook of the same emitter, or twice, is refused with EMITTER_CLOSING and does nothing. */
EMITTER_API emitter_status emitter_close(emitter *e);

/* Retains (callback, user_data, destroy). destroy may be NULL. The first call may come, on any thread, before this has
 * returned. On failure nothing is retained and no destroy notify runs: user_data stays the caller's. Not in SCOPED. */
EMITTER_API emitter_status emitter_subscribe(emitter *e, emitter_callback callback, void *user_data,
                                             emitter_destroy destroy, emitter_id *out);

typedef struct emitter_entry {
  emitter_callback callback;
  void *user_data;
  emitter_destroy destroy;
} emitter_entry;

/* TABLE only. Copies `count` entries, all or none; ids go to out[0..count]. */
EMITTER_API emitter_status emitter_subscribe_table(emitter *e, const emitter_entry *table, size_t count, emitter_id *out);

/* No call of it starts after this returned (calls in flight and, in QUEUED, pending deliveries excepted, as the mode
 * says). Answers OK when quiescent, IN_FLIGHT when calls of other threads, or frames of this one, are still in it;
 * NOT_FOUND when it was unsubscribed before. */
EMITTER_API emitter_status emitter_unsubscribe(emitter *e, emitter_id id);

/* The same, and never waits, in any mode. */
EMITTER_API emitter_status emitter_unsubscribe_nowait(emitter *e, emitter_id id);

/* REPLACE only: see the mode. The id stays. */
EMITTER_API emitter_status emitter_replace(emitter *e, emitter_id id, emitter_callback callback, void *user_data,
                                           emitter_destroy destroy);

/* Calls the subscription on the calling thread. *result (may be NULL) is what the callback returned, or 0 when nothing
 * was called. */
EMITTER_API emitter_status emitter_fire(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b, intptr_t *result);

/* Calls it on a library thread and waits for the result. From a library thread it is emitter_fire. */
EMITTER_API emitter_status emitter_send(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b, intptr_t *result);

/* Queues a delivery for a library thread and returns. QUEUED keeps it through unsubscribe; in other modes a delivery
 * whose subscription is gone when its turn comes is dropped. */
EMITTER_API emitter_status emitter_post(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b);

/* Returns once everything posted before has been delivered or dropped. From a library thread: WRONG_MODE (it would wait
 * for itself). */
EMITTER_API emitter_status emitter_barrier(emitter *e);

/* Live subscriptions, and calls in flight, at some moment during the call. */
EMITTER_API size_t emitter_live(emitter *e);
EMITTER_API size_t emitter_in_flight(emitter *e);

/* Call-scoped use: calls once, on the calling thread, and keeps nothing. e may be NULL. Every mode. */
EMITTER_API emitter_status emitter_invoke(emitter *e, emitter_callback callback, void *user_data, uint64_t cookie,
                                          intptr_t a, intptr_t b, intptr_t *result);

/* Call-scoped use: calls with a = 0, 1, … count-1 and b = lparam, on the calling thread, until the callback returns 0;
 * *calls (may be NULL) is how many calls were made. Keeps nothing. e may be NULL. Every mode.
 * Under EMITTER_HOSTILE_LATE it keeps the pair after all, as a dead subscription, and *kept (may be NULL) names it. */
EMITTER_API emitter_status emitter_enumerate(emitter *e, emitter_callback callback, void *user_data, uint64_t cookie,
                                             size_t count, intptr_t lparam, size_t *calls, emitter_id *kept);

/* One sentence for a status; never NULL; static storage. */
EMITTER_API const char *emitter_status_text(emitter_status status);

#ifdef __cplusplus
}
#endif

#endif
