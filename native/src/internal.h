/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the source files of the emitter share: its data, and the locking rule that all of them follow.
 *
 * The rule. An emitter has one lock. Foreign code is a callback, a destroy notify or the stall hook. A function that
 * may run foreign code, or wait, declares a *frame* and enters the emitter with it. From then on it holds the lock. It
 * gives the lock up only in waits, and in an UNLOCKED block around foreign code. `cleanup` variables undo the frame and
 * the block. So a callback that unwinds (a C++ exception, a Rust panic; build with -fexceptions) leaves the emitter as
 * a callback that returns does: counted out, unlinked, unlocked.
 *
 * A frame is on the stack of the thread that is inside the library, and is linked from the emitter. The list of frames
 * is the only record of which thread is inside which call. From it come the in-flight count, whether this thread is
 * inside a callback, whether it is a library thread, and whether memory may be freed. There is no thread-local state,
 * and no atomic.
 */
#ifndef EMITTER_INTERNAL_H
#define EMITTER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emitter.h"

#define EMI_CLEANUP(function) __attribute__((cleanup(function), unused))
#define EMI_MOST_WORKERS 8

/* Switches that call ended subscriptions. With one of them the emitter never forgets a subscription. */
#define EMI_KEEPS_DEAD                                                                                                 \
  (EMITTER_HOSTILE_LATE | EMITTER_HOSTILE_FIRE_ON_CLOSE | EMITTER_HOSTILE_FIRE_TLS_DESTRUCTOR |                        \
   EMITTER_HOSTILE_FIRE_ATEXIT)

/* What the subscriber has passed, and how long it is needed. It has an allocation of its own, because its calls may
 * outlive the subscription, and in REPLACE may outlive the replacement. After it is made, only the counts and flags
 * change. */
struct pair {
  emitter_id subscription;
  emitter_callback callback;
  void *user_data;
  emitter_destroy destroy;
  size_t uses;    /* 1 for the subscription while it is live, and 1 for each frame that calls or unsubscribes it */
  size_t pending; /* QUEUED: its deliveries in the queue; not in `uses`, because NOTIFY_BEFORE_DRAIN ignores them */
  bool replaced;  /* no subscription points here any more */
  bool notified;  /* the destroy notify has run, or a frame has taken it to run it */
};

/* An element of the emitter's array, which moves when it grows. A pointer to it is valid until the lock is given up. */
struct subscription {
  emitter_id id;
  struct pair *pair;
  bool live;
};

/* A destroy notify that is due. A copy, because the pair may be freed before the notify runs. */
struct parting {
  emitter_destroy destroy; /* NULL: none is due */
  void *user_data;
  emitter_id subscription;
};

enum frame_state {
  FRAME_VISITS, /* inside the library, using no user_data */
  FRAME_HOLDS,  /* keeps its pair: to wait for it, or to run its destroy notify */
  FRAME_CALLS   /* its call is in flight */
};

struct frame {
  emitter *emitter; /* NULL until entered */
  struct frame *next, **link;
  pthread_t thread;
  bool started;  /* `thread` is set; false for the frame of a thread that is about to be created */
  bool library;  /* belongs to a library thread */
  bool excused;  /* its thread waits, or has waited, for its own subscription: see emi_wait_quiet */
  enum frame_state state;
  emitter_id subscription;  /* the subscription of `pair` */
  emitter_id lender;        /* WRONG_USER_DATA: the subscription of `lent`, whose user_data is passed */
  struct pair *pair, *lent; /* the frame has one use of each; emi_release gives it back */
};

/* A call that was asked for. */
struct request {
  emitter_id id;
  uint64_t cookie;
  intptr_t a, b;
  bool queued;       /* it came through the queue */
  struct pair *pair; /* posts in QUEUED: the pair, in whose `pending` this is counted */
};

/* A request in the queue. It is on the heap for a post, and on the sender's stack for a send. */
struct delivery {
  emitter *emitter;
  struct delivery *next, *prev;
  uint64_t ticket;
  struct request what;
  bool posted; /* `finish` frees it; otherwise a sender waits for `done` */
  bool done;
  emitter_status status;
  intptr_t result;
};

struct emitter {
  emitter_config config; /* does not change after emitter_open, so it may be read without the lock */

  pthread_mutex_t lock;
  pthread_cond_t work;    /* a delivery was queued, or stopping was set */
  pthread_cond_t settled; /* a condition that a caller of emi_wait waits for may have become true */
  size_t waiting;         /* threads in emi_wait; with none, emi_wake does nothing */

  bool closing;  /* emitter_close has begun */
  bool stopping; /* library threads are to end */
  struct frame *frames;

  struct subscription *subscriptions; /* in order of subscribing, and therefore sorted by id */
  size_t count, room;
  size_t live;
  emitter_id last_id;
  uint64_t allocations;

  struct delivery *oldest, *newest; /* queued or being delivered, in order of posting */
  struct delivery *untaken;         /* the oldest that no library thread has taken */
  uint64_t last_ticket;

  pthread_t workers[EMI_MOST_WORKERS];
  unsigned started; /* library threads created; only emitter_open and emitter_close use it */
  unsigned running; /* library threads that have entered the emitter with their frame */
  pthread_key_t key;
  bool has_key;
  emitter *next_at_exit;
};

static inline bool emi_hostile(const emitter *e, uint32_t bits) { return (e->config.hostile & bits) != 0; }

/* UNLOCKED(e): the rest of the block runs without the lock. The lock is taken again when the block ends or unwinds. */
static inline emitter *emi_unlock(emitter *e) {
  pthread_mutex_unlock(&e->lock);
  return e;
}
static inline void emi_relock(emitter **e) { pthread_mutex_lock(&(*e)->lock); }
#define UNLOCKED(e) emitter *unlocked EMI_CLEANUP(emi_relock) = emi_unlock(e)

/* emitter.c. Needs the lock. */
void *emi_allocate(emitter *e, size_t size); /* zeroed; counted for config.fail_allocation */

/* frame.c: being inside. FRAME(here) declares a frame that leaves at the end of its block; emi_enter links it. */
#define FRAME(name) struct frame name EMI_CLEANUP(emi_leave) = {.emitter = NULL}
void emi_enter(struct frame *here, emitter *e);      /* takes the lock */
void emi_leave(struct frame *here);                  /* releases and unlinks the frame, gives the lock up */
void emi_link(struct frame *here, emitter *e);       /* enters, for a caller that has the lock and keeps it */
void emi_unlink(struct frame *here);                 /* leaves, for a caller that has the lock and keeps it */
void emi_hold(struct frame *here, struct pair *pair); /* takes over the caller's use of the pair */
void emi_release(struct frame *here);                 /* counts the call out; runs destroy notifies that are due */
void emi_stall(struct frame *here, emitter_stall site, emitter_id subscription);
void emi_wait(emitter *e);
void emi_wake(emitter *e);
bool emi_on_library_thread(const struct frame *here);
bool emi_inside(const struct frame *here); /* this thread has another frame in this emitter */
bool emi_in_flight(const emitter *e, emitter_id id);
#define EMI_ANY_DEAD ((emitter_id)0) /* for the next two functions: every subscription that is not live */
void emi_excuse(struct frame *here, emitter_id id);
void emi_wait_quiet(struct frame *here, emitter_id id);

/* subscribe.c: what is retained. All of these need the lock. */
struct subscription *emi_find(const emitter *e, emitter_id id);  /* live or not; NULL: forgotten, or never made */
struct subscription *emi_after(const emitter *e, emitter_id id); /* the first with a greater id */
struct pair *emi_new_pair(emitter *e, const emitter_entry *entry);
emitter_status emi_make_room(emitter *e, size_t count);
struct subscription *emi_add(emitter *e, struct pair *pair, bool live); /* emi_make_room has made room */
struct pair *emi_retire(emitter *e, struct subscription *s);           /* ends it; its use is the caller's now */
struct parting emi_drop(emitter *e, struct pair *pair);                 /* gives one use back; `pair` may be NULL */
struct parting emi_take_notify(struct pair *pair);                      /* the destroy notify, once */
void emi_part(struct frame *here, const struct parting *parting); /* runs the notify as often as the switches say */

/* fire.c: calling. All of these need the lock. */
emitter_status emi_fire(struct frame *here, const struct request *what, intptr_t *result);
void emi_count_in(struct frame *here, struct pair *pair);
emitter_event emi_event(const struct frame *here, const struct request *what);
intptr_t emi_call(struct frame *here, emitter_callback callback, void *user_data, const emitter_event *event);
intptr_t emi_call_pair(struct frame *here, const emitter_event *event); /* after emi_count_in; counts out */

/* queue.c: library threads. */
void *emi_work(void *e);
void emi_stop_workers(emitter *e); /* takes the lock itself */

/* hostile.c: what the switches do. */
void emi_lend(struct frame *here);
intptr_t emi_volley(struct frame *here, const emitter_event *event);
void emi_fire_all(struct frame *here);
emitter_status emi_arm_thread_exit(emitter *e);
void emi_arm_this_thread(emitter *e);
emitter_status emi_arm_process_exit(emitter *e);

#endif
