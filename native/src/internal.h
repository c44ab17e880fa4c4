/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the source files of the emitter share: its data, and the one discipline that all of them follow.
 *
 * The discipline. An emitter has one lock. A function that may run somebody else's code (callback, destroy notify,
 * stall hook) or wait declares a *frame*, enters the emitter with it, and from then on holds the lock; it gives the
 * lock up only in an UNLOCKED block, around that foreign code, and in the waits. Both the frame and the block are
 * undone by `cleanup` variables, so that a callback that unwinds (a C++ exception, a Rust panic; build with
 * -fexceptions) leaves the emitter as a callback that returns does: counted out, unlinked, unlocked.
 *
 * Frames live on the stacks of the threads that are inside the library and are linked from the emitter. They are the
 * only record of who is inside what: the in-flight count, "am I inside this callback?", "is this a library thread?" and
 * "may the memory go?" are all questions to that list. There is no thread-local state and no atomic.
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

/* Switches under which the library calls what was unsubscribed, and so never forgets it. */
#define EMI_KEEPS_DEAD                                                                                                 \
  (EMITTER_HOSTILE_LATE | EMITTER_HOSTILE_FIRE_ON_CLOSE | EMITTER_HOSTILE_FIRE_TLS_DESTRUCTOR |                        \
   EMITTER_HOSTILE_FIRE_ATEXIT)

/* What a subscriber handed over, and for how long it is needed. Its own allocation, because calls of it outlive the
 * subscription, and in REPLACE outlive even its being the subscription's. Never changes but for the counts. */
struct pair {
  emitter_id subscription;
  emitter_callback callback;
  void *user_data;
  emitter_destroy destroy;
  size_t uses;    /* the subscription itself while it is live, frames that call or are unsubscribing it */
  size_t pending; /* QUEUED: deliveries that keep it; apart from uses, because NOTIFY_BEFORE_DRAIN ignores them */
  bool replaced;  /* no subscription leads here any more */
  bool notified;  /* its destroy notify has run, or is somebody's to run */
};

/* Lives in the emitter's array, which moves: valid only until the lock is given up. */
struct subscription {
  emitter_id id;
  struct pair *pair;
  bool live;
};

/* A destroy notify that has fallen due, copied out of its pair, which may be gone by the time it runs. */
struct parting {
  emitter_destroy destroy; /* NULL: none has */
  void *user_data;
  emitter_id subscription;
};

enum frame_state {
  FRAME_VISITS, /* inside the library, using no user_data */
  FRAME_HOLDS,  /* will run, or is running, the destroy notify of its subscription */
  FRAME_CALLS   /* in flight */
};

struct frame {
  emitter *emitter; /* NULL until entered */
  struct frame *next, **link;
  pthread_t thread;
  bool started;  /* `thread` is known; not so for the frames of threads about to be created */
  bool library;  /* belongs to a library thread */
  bool excused;  /* its thread has waited for its subscription: see emi_wait_quiet */
  enum frame_state state;
  emitter_id subscription; /* whose pair it uses, and under WRONG_USER_DATA whose user_data as well */
  emitter_id lender;
  struct pair *pair, *lent; /* one use of each; given back by emi_release */
};

/* What somebody asked to be called. */
struct request {
  emitter_id id;
  uint64_t cookie;
  intptr_t a, b;
  bool queued;       /* it came through the queue */
  struct pair *pair; /* QUEUED posts: the pair that this keeps pending */
};

/* A request in the queue: on the heap for a post, on the sender's stack for a send. */
struct delivery {
  emitter *emitter;
  struct delivery *next, *prev;
  uint64_t ticket;
  struct request what;
  bool posted; /* ours to free; otherwise a sender waits for `done` */
  bool done;
  emitter_status status;
  intptr_t result;
};

struct emitter {
  emitter_config config; /* never changes after emitter_open: may be read without the lock */

  pthread_mutex_t lock;
  pthread_cond_t work;    /* a delivery was queued, or stopping was set */
  pthread_cond_t settled; /* something that emi_wait's callers wait for may have become true */
  size_t waiting;         /* threads in emi_wait, so that nobody signals to nobody */

  bool closing;  /* emitter_close has begun */
  bool stopping; /* library threads are to end */
  struct frame *frames;

  struct subscription *subscriptions; /* in order of subscribing, so sorted by id */
  size_t count, room;
  size_t live;
  emitter_id last_id;
  uint64_t allocations;

  struct delivery *oldest, *newest; /* queued or being delivered, in order of posting */
  struct delivery *untaken;         /* the first that no library thread has taken */
  uint64_t last_ticket;

  pthread_t workers[EMI_MOST_WORKERS];
  unsigned started; /* of them; only emitter_open and emitter_close touch it */
  unsigned running; /* of them: inside the emitter by a frame of their own */
  pthread_key_t key;
  bool has_key;
  emitter *next_at_exit;
};

static inline bool emi_hostile(const emitter *e, uint32_t bits) { return (e->config.hostile & bits) != 0; }

/* UNLOCKED(e): the rest of the block runs without the lock, which is taken again however the block ends. */
static inline emitter *emi_unlock(emitter *e) {
  pthread_mutex_unlock(&e->lock);
  return e;
}
static inline void emi_relock(emitter **e) { pthread_mutex_lock(&(*e)->lock); }
#define UNLOCKED(e) emitter *unlocked EMI_CLEANUP(emi_relock) = emi_unlock(e)

/* emitter.c. Needs the lock. */
void *emi_allocate(emitter *e, size_t size); /* zeroed; counts towards config.fail_allocation */

/* frame.c: being inside. FRAME(here) declares a frame that leaves by itself; emi_enter makes it count. */
#define FRAME(name) struct frame name EMI_CLEANUP(emi_leave) = {.emitter = NULL}
void emi_enter(struct frame *here, emitter *e);      /* takes the lock */
void emi_leave(struct frame *here);                  /* lets go of everything, gives the lock up */
void emi_link(struct frame *here, emitter *e);       /* the same two for who has the lock already and keeps it */
void emi_unlink(struct frame *here);
void emi_hold(struct frame *here, struct pair *pair); /* takes over a use that the caller has */
void emi_release(struct frame *here);                 /* counts out; runs destroy notifies that have fallen due */
void emi_stall(struct frame *here, emitter_stall site, emitter_id subscription);
void emi_wait(emitter *e);
void emi_wake(emitter *e);
bool emi_on_library_thread(const struct frame *here);
bool emi_inside(const struct frame *here); /* this thread is inside this emitter by another frame too */
bool emi_in_flight(const emitter *e, emitter_id id);
#define EMI_ANY_DEAD ((emitter_id)0) /* for the next two: every subscription that is no longer live */
void emi_excuse(struct frame *here, emitter_id id);
void emi_wait_quiet(struct frame *here, emitter_id id);

/* subscribe.c: what is retained. All of these need the lock. */
struct subscription *emi_find(const emitter *e, emitter_id id);  /* live or dead; NULL when forgotten */
struct subscription *emi_after(const emitter *e, emitter_id id); /* the first with a greater id */
struct pair *emi_new_pair(emitter *e, const emitter_entry *entry);
emitter_status emi_make_room(emitter *e, size_t count);
struct subscription *emi_add(emitter *e, struct pair *pair, bool live); /* needs room */
struct pair *emi_retire(emitter *e, struct subscription *s);           /* not live; its use is now the caller's */
struct parting emi_drop(emitter *e, struct pair *pair);                 /* gives one use back; NULL is fine */
struct parting emi_take_notify(struct pair *pair);
void emi_part(struct frame *here, const struct parting *parting); /* runs it, as often as the switches say */

/* fire.c: calling. All of these need the lock. */
emitter_status emi_fire(struct frame *here, const struct request *what, intptr_t *result);
void emi_count_in(struct frame *here, struct pair *pair);
emitter_event emi_event(const struct frame *here, const struct request *what);
intptr_t emi_call(struct frame *here, emitter_callback callback, void *user_data, const emitter_event *event);
intptr_t emi_call_pair(struct frame *here, const emitter_event *event); /* what was counted in; counts it out */

/* queue.c: library threads. */
void *emi_work(void *e);
void emi_stop_workers(emitter *e); /* without the lock */

/* hostile.c: what no good library does. */
void emi_lend(struct frame *here);
intptr_t emi_volley(struct frame *here, const emitter_event *event);
void emi_fire_all(struct frame *here);
emitter_status emi_arm_thread_exit(emitter *e);
void emi_arm_this_thread(emitter *e);
emitter_status emi_arm_process_exit(emitter *e);

#endif
