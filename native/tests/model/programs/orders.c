/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Memory orders: each function is one program for the model, complete with its threads.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

struct message {
  int data;
  atomic_int ready;
  memory_order store, load;
  int seen;
};

static void *sender(void *argument) {
  struct message *m = argument;
  m->data = 42;
  atomic_store_explicit(&m->ready, 1, m->store);
  return NULL;
}

static void *receiver(void *argument) {
  struct message *m = argument;
  if (atomic_load_explicit(&m->ready, m->load)) m->seen = m->data;
  return NULL;
}

static void pass_message(memory_order store, memory_order load) {
  struct message *m = calloc(1, sizeof *m);
  m->store = store;
  m->load = load;
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, sender, m);
  pthread_create(&threads[1], NULL, receiver, m);
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  if (m->seen != 0 && m->seen != 42) abort();
  free(m);
}

void message_relaxed(void) { pass_message(memory_order_relaxed, memory_order_relaxed); }
void message_release_only(void) { pass_message(memory_order_release, memory_order_relaxed); }
void message_acquire_only(void) { pass_message(memory_order_relaxed, memory_order_acquire); }
void message_ordered(void) { pass_message(memory_order_release, memory_order_acquire); }

/* The receiver's word is passed on under a lock: that orders what came before the lock, and the sender's data only if the receiver had
 * acquired it. Whoever looks at it does so after it was written, in every order in which it looks at all. */
struct rumour {
  struct message message;
  pthread_mutex_t lock;
  int heard;
};

static void *hears(void *argument) {
  struct rumour *r = argument;
  if (atomic_load_explicit(&r->message.ready, r->message.load)) {
    pthread_mutex_lock(&r->lock);
    r->heard = 1;
    pthread_mutex_unlock(&r->lock);
  }
  return NULL;
}

static void pass_on(memory_order store, memory_order load) {
  struct rumour *r = calloc(1, sizeof *r);
  r->message.store = store;
  r->message.load = load;
  pthread_mutex_init(&r->lock, NULL);
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, sender, &r->message);
  pthread_create(&threads[1], NULL, hears, r);
  pthread_mutex_lock(&r->lock);
  int heard = r->heard;
  pthread_mutex_unlock(&r->lock);
  if (heard && r->message.data != 42) abort();
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

void passed_on_relaxed(void) { pass_on(memory_order_relaxed, memory_order_relaxed); }
void passed_on_ordered(void) { pass_on(memory_order_release, memory_order_acquire); }

/* Store-load: at least one of the two sees the other's flag, if the accesses are sequentially consistent. */
struct duel {
  atomic_int flags[2];
  memory_order store, load;
  int entered[2];
};

static void fight(struct duel *d, int me) {
  atomic_store_explicit(&d->flags[me], 1, d->store);
  d->entered[me] = !atomic_load_explicit(&d->flags[!me], d->load);
}

static void *second(void *argument) {
  fight(argument, 1);
  return NULL;
}

static void duel(memory_order store, memory_order load) {
  struct duel *d = calloc(1, sizeof *d);
  d->store = store;
  d->load = load;
  pthread_t thread;
  pthread_create(&thread, NULL, second, d);
  fight(d, 0);
  pthread_join(thread, NULL);
  if (d->entered[0] && d->entered[1]) abort();
  free(d);
}

void dekker_seq_cst(void) { duel(memory_order_seq_cst, memory_order_seq_cst); }
void dekker_acq_rel(void) { duel(memory_order_release, memory_order_acquire); }

static struct duel fenced;

static void *second_fenced(void *argument) {
  (void)argument;
  atomic_store_explicit(&fenced.flags[1], 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);
  fenced.entered[1] = !atomic_load_explicit(&fenced.flags[0], memory_order_relaxed);
  return NULL;
}

/* The same with fences, on globals. */
void dekker_fences(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, second_fenced, NULL);
  atomic_store_explicit(&fenced.flags[0], 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);
  fenced.entered[0] = !atomic_load_explicit(&fenced.flags[1], memory_order_relaxed);
  pthread_join(thread, NULL);
  if (fenced.entered[0] && fenced.entered[1]) abort();
}

/* Every width and every operation, on two threads; the sums are right whatever the order. */
struct widths {
  _Atomic uint8_t a;
  _Atomic uint16_t b;
  _Atomic uint32_t c;
  _Atomic uint64_t d;
};

static void *all_widths(void *argument) {
  struct widths *w = argument;
  atomic_fetch_add_explicit(&w->a, 200, memory_order_relaxed);
  atomic_fetch_sub_explicit(&w->b, 1, memory_order_relaxed);
  atomic_fetch_or_explicit(&w->c, 0xf0, memory_order_relaxed);
  uint64_t old = atomic_load_explicit(&w->d, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&w->d, &old, old * 3, memory_order_relaxed, memory_order_relaxed)) {
  }
  return NULL;
}

void atomic_widths(void) {
  struct widths *w = malloc(sizeof *w);
  atomic_init(&w->a, 100);
  atomic_init(&w->b, 5);
  atomic_init(&w->c, 0x0f);
  atomic_init(&w->d, 7);
  pthread_t thread;
  pthread_create(&thread, NULL, all_widths, w);
  all_widths(w);
  pthread_join(thread, NULL);
  if (atomic_load(&w->a) != (uint8_t)(100 + 400) || atomic_load(&w->b) != 3) abort();
  if (atomic_load(&w->c) != 0xff || atomic_load(&w->d) != 63) abort();
  if (atomic_exchange(&w->c, 1) != 0xff || atomic_fetch_and(&w->c, 2) != 1 || atomic_fetch_xor(&w->c, 3) != 0) abort();
  if (w->c != 3) abort();
  uint32_t expected = 4;
  if (atomic_compare_exchange_strong(&w->c, &expected, 9) || expected != 3) abort();
  if (!atomic_compare_exchange_strong(&w->c, &expected, 9) || w->c != 9) abort();
  free(w);
}

/* A loop that only gets anywhere because the other thread does. */
static atomic_int gate;

static void *opens(void *argument) {
  (void)argument;
  atomic_store_explicit(&gate, 1, memory_order_release);
  return NULL;
}

void spin_until_open(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, opens, NULL);
  while (!atomic_load_explicit(&gate, memory_order_acquire)) {
  }
  pthread_join(thread, NULL);
}

void spin_for_ever(void) {
  while (!atomic_load_explicit(&gate, memory_order_acquire)) {
  }
}

static volatile int stop;
static int answer;

static void *stops(void *argument) {
  (void)argument;
  answer = 1;
  stop = 1;
  return NULL;
}

/* What people wrote before atomics: it relies on volatile for an order that volatile does not give. */
void volatile_flag(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, stops, NULL);
  while (!stop) {
  }
  int got = answer;
  pthread_join(thread, NULL);
  if (got != 1) abort();
}

/* The flag alone is all that matters: it works, and says that it uses volatile. */
void volatile_flag_alone(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, stops, NULL);
  while (!stop) {
  }
  pthread_join(thread, NULL);
  if (answer != 1) abort();
}

/* A step of its own for each caller: the locks of two have nothing to do with each other. */
void step_apart(int which) {
  static pthread_mutex_t locks[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
  pthread_mutex_lock(&locks[which]);
  pthread_mutex_unlock(&locks[which]);
}

/* Both load, and one stores what it has loaded and more: the other may find that too. */
static atomic_int stepped;
static volatile int stepped_volatile;
static int found;

int found_step(void) { return found; }

static void *loads_and_stores(void *argument) {
  int before = atomic_load_explicit(&stepped, memory_order_relaxed);
  atomic_store_explicit(&stepped, before + 1, memory_order_relaxed);
  return argument;
}

static void *loads_and_exchanges(void *argument) {
  int before = atomic_load_explicit(&stepped, memory_order_relaxed);
  atomic_compare_exchange_strong(&stepped, &before, before + 1);
  return argument;
}

static void *loads_and_stores_volatile(void *argument) {
  stepped_volatile = stepped_volatile + 1;
  return argument;
}

static void meanwhile(void *(*start)(void *), int volatiles) {
  pthread_t thread;
  pthread_create(&thread, NULL, start, NULL);
  found = volatiles ? stepped_volatile : atomic_load_explicit(&stepped, memory_order_relaxed);
  pthread_join(thread, NULL);
}

void load_before_load_and_store(void) { meanwhile(loads_and_stores, 0); }
void load_before_load_and_exchange(void) { meanwhile(loads_and_exchanges, 0); }
void volatile_before_both(void) { meanwhile(loads_and_stores_volatile, 1); }

/* Accesses that are sequentially consistent, to different objects: either comes first, and only one of the two orders is right. */
static atomic_int counted[2];
static int plain;

static void *writes_then_counts(void *argument) {
  plain = 1;
  atomic_fetch_add(&counted[0], 1);
  return argument;
}

void seq_cst_elsewhere(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, writes_then_counts, NULL);
  atomic_fetch_add(&counted[1], 1);
  found = plain;
  pthread_join(thread, NULL);
}

/* An exchange that finds 0 comes before a store, which is then what is there in the end. */
static atomic_int turned;
static int turned_from;

static void *adds_one(void *argument) {
  turned_from = atomic_fetch_add(&turned, 1);
  return argument;
}

static void add_and_store(int right) {
  pthread_t thread;
  pthread_create(&thread, NULL, adds_one, NULL);
  atomic_store(&turned, 10);
  pthread_join(thread, NULL);
  int last = atomic_load(&turned);
  if (turned_from == 0 ? last != 10 : last != right) abort();
}

void store_after_exchange(void) { add_and_store(11); }
void store_before_exchange(void) { add_and_store(10); }

/* A store of another's ends what an exchange has released, also where that other has found what was exchanged. */
static int released;

static void *writes_and_adds(void *argument) {
  released = 1;
  atomic_fetch_add_explicit(&turned, 1, memory_order_release);
  return argument;
}

static void *stores_over(void *argument) {
  if (atomic_load_explicit(&turned, memory_order_relaxed) == 1)
    atomic_store_explicit(&turned, 2, memory_order_relaxed);
  return argument;
}

void release_ended_by_a_store(void) {
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, writes_and_adds, NULL);
  pthread_create(&threads[1], NULL, stores_over, NULL);
  if (atomic_load_explicit(&turned, memory_order_acquire) == 2) found = released;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}
