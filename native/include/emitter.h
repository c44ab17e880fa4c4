/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * emitter: a C library that keeps callbacks.
 *
 * It retains a function pointer, a `void *user_data` and an optional destroy notify. It calls the function later, on
 * the calling thread (emitter_fire) or on a thread of its own (emitter_send, emitter_post). It exists to be bound from
 * another language. Its modes offer the contracts that real C libraries have. Its switches make it do what hostile or
 * buggy libraries do.
 *
 * Words.
 *   subscription  what emitter_subscribe makes: an id, and a *pair* of callback and user_data, with its destroy notify
 *   in flight     a call, from the moment the library loads the pair until it has counted out the returned callback
 *   delivery      one call that emitter_send or emitter_post has asked for
 *   pending       a delivery that is in the queue
 *   quiescent     a subscription with no call in flight
 *
 * Threads. Any thread may call any function at any time between emitter_open and emitter_close, also from inside a
 * callback, a destroy notify or the stall hook. Exceptions are in the function's comment. The library holds no lock
 * while one of these three runs.
 */
#ifndef EMITTER_H
#define EMITTER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMITTER_API __attribute__((visibility("default")))

/* The version of this header. It is raised whenever a declaration changes its meaning or layout. */
#ifndef EMITTER_ABI_VERSION
#define EMITTER_ABI_VERSION 1u
#endif

/* The version that the library was built with. Compare it with EMITTER_ABI_VERSION after loading the library. */
EMITTER_API uint32_t emitter_abi_version(void);

/* The object that subscriptions belong to; made by emitter_open, freed by emitter_close. */
typedef struct emitter emitter;

/* Names a subscription of one emitter. Never reused during the emitter's life. 0 names none. */
typedef uint64_t emitter_id;

/* What the callback is told about its call. It is on the library's stack, and valid until the callback returns. */
typedef struct emitter_event {
  emitter *source;         /* the emitter that calls; NULL for call-scoped use without an emitter */
  void *owner;             /* emitter_config.owner, as it was at emitter_open */
  uint64_t cookie;         /* as given to the function that asked for this call; 0: a switch made the call by itself */
  emitter_id subscription; /* the subscription that is called; 0 in call-scoped use */
  emitter_id user_data_of; /* whose user_data is passed: another subscription's only with HOSTILE_WRONG_USER_DATA */
  intptr_t a, b;           /* as given to the function that asked; in an enumeration: the item's number, and lparam */
} emitter_event;

/* The callback. The comment of each calling function says on which thread it runs. Its result is handed to the calling
 * function; 0 ends an enumeration. It may call any function of this library; only
 * emitter_close of the same emitter is refused. */
typedef intptr_t (*emitter_callback)(void *user_data, const emitter_event *event);

/* The destroy notify: says that the library will not use user_data again. (Some switches break that promise.) */
typedef void (*emitter_destroy)(void *user_data);

/* The contracts: until when the library may use user_data. Each names a real library that has it. */
typedef enum emitter_mode {
  /* Until emitter_invoke or emitter_enumerate returns: nothing is retained. (EnumWindows, qsort_r.) */
  EMITTER_MODE_SCOPED = 0,
  /* Until emitter_unsubscribe returns: it waits for the calls in flight on other threads. It does not wait for calls
   * that are in flight on the calling thread, at any depth of its stack. (libevent's event_del.) */
  EMITTER_MODE_WAITS = 1,
  /* Until the last call returns that was in flight when emitter_unsubscribe returned. Nothing says when that is:
   * emitter_unsubscribe returns at once, and the destroy notify runs in emitter_close. (timer_delete,
   * event_del_noblock.) */
  EMITTER_MODE_RETURNS = 2,
  /* Until the destroy notify, which runs once, after the last call, on the thread that drops the last reference: the
   * one that unsubscribes, or one that calls. (g_source_destroy.) */
  EMITTER_MODE_DEFERRED = 3,
  /* Until the destroy notify, which runs after the first call. That call also ends the subscription. Unsubscribing
   * before it is as in DEFERRED. (Panama one-shots, getaddrinfo_a.) */
  EMITTER_MODE_ONCE = 4,
  /* Until the destroy notify, which runs after the last pending delivery. emitter_unsubscribe returns at once, and
   * deliveries that emitter_post has queued before are still made. An emitter_barrier after it waits until user_data is
   * no longer used. (call_rcu, N-API thread-safe functions.) */
  EMITTER_MODE_QUEUED = 5,
  /* Until the pair's destroy notify, which runs after its last call. emitter_replace exchanges (callback, user_data,
   * destroy) as one unit, and does not wait: calls of the old pair may be in flight when it returns. Unsubscribing is
   * as in DEFERRED. (signal set_combiner, sqlite3_update_hook.) */
  EMITTER_MODE_REPLACE = 6,
  /* As in WAITS, for each entry of a table. emitter_subscribe_table copies the table by value: the caller may free the
   * table at once, but not the user_data in it. (dokan's operations table, vtables.) */
  EMITTER_MODE_TABLE = 7
} emitter_mode;

/* What hostile or buggy libraries do. Bits of emitter_config.hostile. */
enum {
  /* emitter_fire, emitter_send and emitter_post also call a subscription that has been unsubscribed. */
  EMITTER_HOSTILE_LATE = 1u << 0,
  /* Each fire calls twice. */
  EMITTER_HOSTILE_TWICE = 1u << 1,
  /* Each fire also calls the same subscription on two more threads of the library at the same time. */
  EMITTER_HOSTILE_CONCURRENT = 1u << 2,
  /* The destroy notify runs in emitter_unsubscribe, before the calls in flight have returned. */
  EMITTER_HOSTILE_NOTIFY_EARLY = 1u << 3,
  /* The destroy notify runs twice in a row. */
  EMITTER_HOSTILE_NOTIFY_TWICE = 1u << 4,
  /* The destroy notify does not run. */
  EMITTER_HOSTILE_NOTIFY_NEVER = 1u << 5,
  /* QUEUED: the destroy notify does not wait for pending deliveries. They are still made. */
  EMITTER_HOSTILE_NOTIFY_BEFORE_DRAIN = 1u << 6,
  /* emitter_close calls every subscription that was ever made, once (cookie 0), after it has ended them all. */
  EMITTER_HOSTILE_FIRE_ON_CLOSE = 1u << 7,
  /* Each library thread calls every subscription that was ever made, live or not, once (cookie 0), from a destructor of
   * thread-specific data: while it exits, during emitter_close. */
  EMITTER_HOSTILE_FIRE_TLS_DESTRUCTOR = 1u << 8,
  /* An atexit handler calls every subscription that was ever made, live or not, once (cookie 0). emitter_close does not
   * free the emitter's memory then. */
  EMITTER_HOSTILE_FIRE_ATEXIT = 1u << 9,
  /* A call gets the user_data of another live subscription: the next one in order of subscribing, which
   * emitter_event.user_data_of names. No effect while there is only one. */
  EMITTER_HOSTILE_WRONG_USER_DATA = 1u << 10
};

/* Places where a test can park a thread. The library calls the stall hook there, on the thread that passes the place,
 * with no lock held. Without a hook nothing happens. */
typedef enum emitter_stall {
  EMITTER_STALL_BEFORE_LOAD = 0,  /* a call was asked for; the pair has not been loaded yet */
  EMITTER_STALL_BEFORE_CALL = 1,  /* the pair was loaded, the call is in flight; the callback has not been called yet */
  EMITTER_STALL_AFTER_CALL = 2,   /* the callback has returned; the in-flight count has not dropped yet */
  EMITTER_STALL_AFTER_COUNT = 3,  /* the in-flight count has dropped; no destroy notify has run, no waiter was woken */
  EMITTER_STALL_BEFORE_NOTIFY = 4, /* a destroy notify is about to run */
  EMITTER_STALL_POPPED = 5,       /* a library thread took a delivery off the queue and has not loaded the pair yet */
  EMITTER_STALL_UNSUBSCRIBED = 6, /* unsubscribe has ended the subscription; it has not waited or returned yet */
  EMITTER_STALL_WORKER_START = 7, /* a library thread has started; it has done nothing yet */
  EMITTER_STALL_WORKER_EXIT = 8   /* a library thread is about to end; its thread-specific data is not destroyed yet */
} emitter_stall;
#define EMITTER_STALL_COUNT 9

/* The stall hook: emitter_config.stall_data, an emitter_stall, and the subscription that is handled there (0: none). */
typedef void (*emitter_stall_hook)(void *stall_data, uint32_t site, emitter_id subscription);

/* What a function returns. */
typedef enum emitter_status {
  EMITTER_OK = 0,
  EMITTER_NOT_FOUND = 1,    /* no live subscription has this id; nothing was called */
  EMITTER_NO_MEMORY = 2,    /* an allocation failed; nothing is retained, and no destroy notify runs */
  EMITTER_FULL = 3,         /* emitter_config.capacity is reached; nothing is retained, and no destroy notify runs */
  EMITTER_CLOSING = 4,      /* emitter_close has begun; nothing was called, nothing is retained, no notify runs */
  EMITTER_WRONG_MODE = 5,   /* this emitter does not offer the function; nothing was done */
  EMITTER_BAD_ARGUMENT = 6, /* an argument is NULL, or emitter_config has an unknown value; nothing was done */
  EMITTER_IN_FLIGHT = 7     /* unsubscribed; calls are still in flight */
} emitter_status;

/* What emitter_open makes. */
typedef struct emitter_config {
  uint32_t size;            /* sizeof(emitter_config) */
  uint32_t mode;            /* emitter_mode */
  uint32_t workers;         /* number of library threads, 0 to 8; with 0, send and post return EMITTER_WRONG_MODE */
  uint32_t hostile;         /* EMITTER_HOSTILE_ bits */
  uint32_t capacity;        /* the largest number of live subscriptions; 0: no limit */
  uint32_t fail_allocation; /* the number of the allocation that fails, counted from 1 after emitter_open; 0: none */
  void *owner;              /* passed on as emitter_event.owner */
  emitter_stall_hook stall; /* may be NULL */
  void *stall_data;         /* passed on to the stall hook */
} emitter_config;

/* Makes an emitter and starts its library threads. Copies `config`. *out is NULL unless the result is EMITTER_OK. */
EMITTER_API emitter_status emitter_open(const emitter_config *config, emitter **out);

/* Closes and frees the emitter, in this order:
 *   1. refuses new subscriptions, fires, sends and posts;
 *   2. waits for calls in flight on other threads, and for the queue: QUEUED makes the pending deliveries, other modes
 *      drop them;
 *   3. runs the destroy notify of each live subscription;
 *   4. joins the library threads, and frees the memory.
 * No callback runs after it has returned (except with EMITTER_HOSTILE_FIRE_ATEXIT). A call from inside a callback, a
 * destroy notify or the stall hook of the same emitter, and a second call while the first is running, return
 * EMITTER_CLOSING and do nothing. */
EMITTER_API emitter_status emitter_close(emitter *e);

/* Retains (callback, user_data, destroy), and writes the subscription's id to *out. destroy may be NULL. The first call
 * may happen before this returns, on any thread. On failure nothing is retained, no destroy notify runs, and *out is 0:
 * user_data stays the caller's. Not in SCOPED. */
EMITTER_API emitter_status emitter_subscribe(emitter *e, emitter_callback callback, void *user_data,
                                             emitter_destroy destroy, emitter_id *out);

/* One entry of a table for emitter_subscribe_table. */
typedef struct emitter_entry {
  emitter_callback callback;
  void *user_data;
  emitter_destroy destroy;
} emitter_entry;

/* Retains `count` entries, all of them or none, and writes their ids to out[0] to out[count - 1]. TABLE only. */
EMITTER_API emitter_status emitter_subscribe_table(emitter *e, const emitter_entry *table, size_t count, emitter_id *out);

/* Ends a subscription. No call of it starts after this has returned; in QUEUED, pending deliveries are still made. The
 * mode decides whether this waits for calls in flight. Returns:
 *   EMITTER_OK         no call of it is in flight
 *   EMITTER_IN_FLIGHT  calls are in flight, on other threads or on the calling thread
 *   EMITTER_NOT_FOUND  it was unsubscribed before; the modes that wait have waited for its calls all the same */
EMITTER_API emitter_status emitter_unsubscribe(emitter *e, emitter_id id);

/* Ends a subscription as emitter_unsubscribe does, but does not wait in any mode. */
EMITTER_API emitter_status emitter_unsubscribe_nowait(emitter *e, emitter_id id);

/* Exchanges the pair and the destroy notify of a subscription, as EMITTER_MODE_REPLACE says. The id stays the same. On
 * failure the old pair stays. REPLACE only. */
EMITTER_API emitter_status emitter_replace(emitter *e, emitter_id id, emitter_callback callback, void *user_data,
                                           emitter_destroy destroy);

/* Calls the subscription's callback on the calling thread. Writes to *result what the callback returned, or 0 if
 * nothing was called. result may be NULL. */
EMITTER_API emitter_status emitter_fire(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b, intptr_t *result);

/* Calls the subscription's callback on a library thread, and waits for the result. On a library thread, this is
 * emitter_fire. */
EMITTER_API emitter_status emitter_send(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b, intptr_t *result);

/* Queues a delivery for a library thread, and returns at once. QUEUED makes the delivery even if the subscription has
 * ended by then; the other modes drop it. */
EMITTER_API emitter_status emitter_post(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b);

/* Waits until every delivery that was posted before has been made or dropped. In QUEUED, also waits until no other
 * thread uses the user_data of any ended subscription. On a library thread it returns EMITTER_WRONG_MODE, because it
 * would wait for itself. */
EMITTER_API emitter_status emitter_barrier(emitter *e);

/* The number of live subscriptions, at some moment during the call. 0 if e is NULL. */
EMITTER_API size_t emitter_live(emitter *e);

/* The number of calls in flight, at some moment during the call. 0 if e is NULL. */
EMITTER_API size_t emitter_in_flight(emitter *e);

/* Call-scoped use: calls the callback once, on the calling thread, and retains nothing. Writes to *result what the
 * callback returned. e and result may be NULL. Every mode. */
EMITTER_API emitter_status emitter_invoke(emitter *e, emitter_callback callback, void *user_data, uint64_t cookie,
                                          intptr_t a, intptr_t b, intptr_t *result);

/* Call-scoped use: calls the callback on the calling thread with a = 0, 1, … count - 1 and b = lparam, until it returns
 * 0. Writes the number of calls to *calls. Retains nothing. e, calls and kept may be NULL. Every mode. With
 * EMITTER_HOSTILE_LATE it retains the pair as a subscription that is not live, and writes the id to *kept; otherwise
 * *kept is 0. */
EMITTER_API emitter_status emitter_enumerate(emitter *e, emitter_callback callback, void *user_data, uint64_t cookie,
                                             size_t count, intptr_t lparam, size_t *calls, emitter_id *kept);

/* An English sentence for a status. Never NULL, also for a number that is no status. Static storage. */
EMITTER_API const char *emitter_status_text(emitter_status status);

#ifdef __cplusplus
}
#endif

#endif
