/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What pthreads answer where a call cannot do what it is called for, and the ends of objects that others still leave: one
 * program for the model each.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define CHECK(what)                                                                                                    \
  if (!(what)) abort()

static const struct timespec soon = {1, 0};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, kind;

static void with_thread(void *(*start)(void *), void (*meanwhile)(void)) {
  pthread_t thread;
  pthread_create(&thread, NULL, start, NULL);
  meanwhile();
  pthread_join(thread, NULL);
}

static void nothing(void) {}

static void make(int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, type);
  pthread_mutex_init(&kind, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void checking_mutex_with_a_limit(void) {
  make(PTHREAD_MUTEX_ERRORCHECK);
  CHECK(pthread_mutex_timedlock(&kind, &soon) == 0);
  CHECK(pthread_mutex_timedlock(&kind, &soon) == EDEADLK && pthread_mutex_trylock(&kind) == EBUSY);
  CHECK(pthread_mutex_unlock(&kind) == 0 && pthread_mutex_unlock(&kind) == EPERM);
}

static void *joins_itself(void *argument) {
  CHECK(pthread_join(pthread_self(), NULL) == EDEADLK);
  return argument;
}

void join_oneself(void) {
  joins_itself(NULL);
  with_thread(joins_itself, nothing);
}

/* Who waits with a recursive mutex that it has locked twice keeps it, and everybody out. */
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
static bool done;

static void *sets_done(void *argument) {
  pthread_mutex_lock(&kind);
  done = true;
  pthread_cond_signal(&ready);
  pthread_mutex_unlock(&kind);
  return argument;
}

static void waits_for_done(void) {
  pthread_mutex_lock(&kind);
  while (!done) pthread_cond_wait(&ready, &kind);
  pthread_mutex_unlock(&kind);
}

static void waits_twice_locked(void) {
  pthread_mutex_lock(&kind);
  waits_for_done();
  pthread_mutex_unlock(&kind);
}

void wait_with_recursive(void) {
  make(PTHREAD_MUTEX_RECURSIVE);
  with_thread(sets_done, waits_for_done);
}

void wait_with_recursive_twice(void) {
  make(PTHREAD_MUTEX_RECURSIVE);
  with_thread(sets_done, waits_twice_locked);
}

/* POSIX's own example of a condition variable that ends as soon as all who wait on it were woken. */
struct entry {
  pthread_cond_t gone;
};

static struct entry *entry;

static void *waits_for_entry(void *argument) {
  pthread_mutex_lock(&lock);
  if (entry) pthread_cond_wait(&entry->gone, &lock);
  pthread_mutex_unlock(&lock);
  return argument;
}

static void removes_entry(void) {
  pthread_mutex_lock(&lock);
  struct entry *removed = entry;
  entry = NULL;
  pthread_cond_broadcast(&removed->gone);
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&removed->gone);
  free(removed);
}

void condition_destroyed_when_woken(void) {
  entry = malloc(sizeof *entry);
  pthread_cond_init(&entry->gone, NULL);
  with_thread(waits_for_entry, removes_entry);
}

static void destroys_entry(void) {
  pthread_mutex_lock(&lock);
  struct entry *removed = entry;
  entry = NULL;
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&removed->gone);
  free(removed);
}

/* Destroys a condition variable without waking the thread that waits for it. */
void condition_destroyed_while_waiting(void) {
  entry = malloc(sizeof *entry);
  pthread_cond_init(&entry->gone, NULL);
  with_thread(waits_for_entry, destroys_entry);
}

/* Whoever is the serial thread ends the barrier; the other may still be on its way out. */
static pthread_barrier_t *barrier;

static void *passes_and_ends(void *argument) {
  if (pthread_barrier_wait(barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
    pthread_barrier_destroy(barrier);
    free(barrier);
  }
  return argument;
}

static void passes_too(void) { passes_and_ends(NULL); }

void barrier_destroyed_when_passed(void) {
  barrier = malloc(sizeof *barrier);
  pthread_barrier_init(barrier, NULL, 2);
  with_thread(passes_and_ends, passes_too);
}

static void destroys_barrier(void) { pthread_barrier_destroy(barrier); }

static void *arrives(void *argument) {
  pthread_barrier_wait(barrier);
  return argument;
}

void barrier_destroyed_too_early(void) {
  static pthread_barrier_t alone;
  barrier = &alone;
  pthread_barrier_init(barrier, NULL, 2);
  with_thread(arrives, destroys_barrier);
}

/* A destructor finds, and takes back, what belongs to a later key. */
static pthread_key_t first, second;
static int destroyed;

static void destroys_first(void *value) {
  destroyed += value == (void *)1;
  CHECK(pthread_getspecific(first) == NULL && pthread_getspecific(second) == (void *)2);
  pthread_setspecific(second, NULL);
}

static void destroys_second(void *value) { destroyed += 10 + (value != NULL); }

static void *has_both(void *argument) {
  pthread_setspecific(first, (void *)1);
  pthread_setspecific(second, (void *)2);
  return argument;
}

void destructor_takes_back(void) {
  pthread_key_create(&first, destroys_first);
  pthread_key_create(&second, destroys_second);
  with_thread(has_both, nothing);
  CHECK(destroyed == 1);
}

/* Who leaves its thread in the middle of it leaves it to be done by others. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int tried;
static int initialised;

static void initialises(void) {
  if (atomic_fetch_add(&tried, 1) == 0) pthread_exit(NULL);
  initialised++;
}

static void *does_once(void *argument) {
  pthread_once(&once, initialises);
  CHECK(initialised == 1);
  return argument;
}

void once_left_in_the_middle(void) {
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, does_once, NULL);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  CHECK(initialised == 1);
}

/* The place for the answer is written to. */
static sem_t semaphore;
static int value;

static void *asks(void *argument) {
  sem_getvalue(&semaphore, &value);
  return argument;
}

static void sets_value(void) { value = 3; }

void getvalue_race(void) {
  sem_init(&semaphore, 0, 0);
  with_thread(asks, sets_value);
}
