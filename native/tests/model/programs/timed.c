/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Waits with a limit and attempts, detached threads, clocks, exit: one program for the model each.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static const struct timespec limit = {0, 0};

/* What each program got; the test asks for it at the end. */
static int got;
int outcome(void) { return got; }

static void with_thread(void *(*start)(void *), void (*meanwhile)(void)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, start, NULL) != 0) abort();
  meanwhile();
  if (pthread_join(thread, NULL) != 0) abort();
}

static void *holds_mutex(void *argument) {
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
  return argument;
}

static void finish_mutex(int answer) {
  got = answer;
  if (answer == 0) pthread_mutex_unlock(&lock);
}

static void tries_mutex(void) { finish_mutex(pthread_mutex_trylock(&lock)); }
static void times_mutex(void) { finish_mutex(pthread_mutex_timedlock(&lock, &limit)); }
static void clocks_mutex(void) { finish_mutex(pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &limit)); }

void mutex_try(void) { with_thread(holds_mutex, tries_mutex); }
void mutex_timed(void) { with_thread(holds_mutex, times_mutex); }
void mutex_clock(void) { with_thread(holds_mutex, clocks_mutex); }

static void *writes(void *argument) {
  pthread_rwlock_wrlock(&shared);
  pthread_rwlock_unlock(&shared);
  return argument;
}

static void *reads(void *argument) {
  pthread_rwlock_rdlock(&shared);
  pthread_rwlock_unlock(&shared);
  return argument;
}

static void finish_rwlock(int answer) {
  got = answer;
  if (answer == 0) pthread_rwlock_unlock(&shared);
}

static void tries_read(void) { finish_rwlock(pthread_rwlock_tryrdlock(&shared)); }
static void tries_write(void) { finish_rwlock(pthread_rwlock_trywrlock(&shared)); }
static void times_read(void) { finish_rwlock(pthread_rwlock_timedrdlock(&shared, &limit)); }
static void times_write(void) { finish_rwlock(pthread_rwlock_timedwrlock(&shared, &limit)); }
static void clocks_read(void) { finish_rwlock(pthread_rwlock_clockrdlock(&shared, CLOCK_MONOTONIC, &limit)); }
static void clocks_write(void) { finish_rwlock(pthread_rwlock_clockwrlock(&shared, CLOCK_MONOTONIC, &limit)); }

void rwlock_try_read(void) { with_thread(writes, tries_read); }
void rwlock_try_write(void) { with_thread(reads, tries_write); }
void rwlock_timed_read(void) { with_thread(writes, times_read); }
void rwlock_timed_write(void) { with_thread(reads, times_write); }
void rwlock_clock_read(void) { with_thread(writes, clocks_read); }
void rwlock_clock_write(void) { with_thread(reads, clocks_write); }

/* Readers do not keep each other out. */
static void tries_read_beside(void) {
  finish_rwlock(pthread_rwlock_tryrdlock(&shared));
  if (got != 0) abort();
}

void rwlock_readers(void) { with_thread(reads, tries_read_beside); }

static sem_t tokens;

static void *posts(void *argument) {
  sem_post(&tokens);
  return argument;
}

static void times_token(void) { got = sem_timedwait(&tokens, &limit) == 0 ? 0 : errno; }
static void clocks_token(void) { got = sem_clockwait(&tokens, CLOCK_MONOTONIC, &limit) == 0 ? 0 : errno; }

static void with_tokens(void (*takes)(void)) {
  sem_init(&tokens, 0, 0);
  with_thread(posts, takes);
  int left = -1;
  if (sem_getvalue(&tokens, &left) != 0 || left != (got != 0)) abort();
  sem_destroy(&tokens);
}

void semaphore_timed(void) { with_tokens(times_token); }
void semaphore_clock(void) { with_tokens(clocks_token); }

static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
static bool done;

static void *sets(void *argument) {
  pthread_mutex_lock(&lock);
  done = true;
  pthread_cond_broadcast(&ready);
  pthread_mutex_unlock(&lock);
  return argument;
}

static void waits_by_clock(void) {
  pthread_mutex_lock(&lock);
  if (!done) got = pthread_cond_clockwait(&ready, &lock, CLOCK_MONOTONIC, &limit);
  pthread_mutex_unlock(&lock);
}

void cond_clock(void) { with_thread(sets, waits_by_clock); }

static mtx_t plain;

static int holds_plain(void *argument) {
  (void)argument;
  mtx_lock(&plain);
  mtx_unlock(&plain);
  return 0;
}

static void with_plain(int (*takes)(mtx_t *)) {
  if (mtx_init(&plain, mtx_timed) != thrd_success) abort();
  thrd_t thread;
  if (thrd_create(&thread, holds_plain, NULL) != thrd_success) abort();
  got = takes(&plain);
  if (got == thrd_success) mtx_unlock(&plain);
  thrd_join(thread, NULL);
  mtx_destroy(&plain);
}

static int takes_in_time(mtx_t *mutex) { return mtx_timedlock(mutex, &limit); }

void mtx_try(void) { with_plain(mtx_trylock); }
void mtx_time(void) { with_plain(takes_in_time); }

/* Detached threads: nobody waits for their end, and the interleaving is over when it comes. */
static atomic_int arrived;

static void *arrives(void *argument) {
  atomic_fetch_add(&arrived, 1);
  return argument;
}

void detach(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, arrives, NULL);
  if (pthread_detach(thread) != 0) abort();
  got = atomic_load(&arrived);
}

void born_detached(void) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  pthread_create(&thread, &attributes, arrives, NULL);
  pthread_attr_destroy(&attributes);
  got = atomic_load(&arrived);
}

void join_detached(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, arrives, NULL);
  pthread_detach(thread);
  pthread_join(thread, NULL);
}

void detach_twice(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, arrives, NULL);
  pthread_detach(thread);
  pthread_detach(thread);
}

/* Clocks go on, and sleeping ends. */
void clocks(void) {
  struct timespec first, second, third;
  struct timeval fourth;
  if (clock_gettime(CLOCK_MONOTONIC, &first) != 0 || clock_gettime(CLOCK_MONOTONIC, &second) != 0) abort();
  if (second.tv_sec < first.tv_sec || (second.tv_sec == first.tv_sec && second.tv_nsec <= first.tv_nsec)) abort();
  if (timespec_get(&third, TIME_UTC) != TIME_UTC || third.tv_sec < second.tv_sec) abort();
  if (gettimeofday(&fourth, NULL) != 0 || fourth.tv_sec < third.tv_sec) abort();
  time_t now;
  if (time(&now) != now || now < fourth.tv_sec) abort();
  if (clock_getres(CLOCK_MONOTONIC, &first) != 0 || first.tv_nsec <= 0) abort();
  if (nanosleep(&limit, NULL) != 0 || clock_nanosleep(CLOCK_MONOTONIC, 0, &limit, NULL) != 0) abort();
  if (sleep(1) != 0 || usleep(1) != 0 || sched_yield() != 0 || thrd_sleep(&limit, NULL) != 0) abort();
  thrd_yield();
}

/* Functions for exit run when the closure has returned, the last first. */
static void last(void) {
  if (got != 1) abort();
  got = 2;
}

static void first(void) {
  if (got != 0) abort();
  got = 1;
}

void at_exit(void) {
  if (atexit(last) != 0 || atexit(first) != 0) abort();
}

static void complains(void) { abort(); }

void at_exit_aborts(void) { atexit(complains); }

/* Numbers that are the same in every interleaving. */
static void *draws(void *argument) {
  *(long *)argument = random();
  return argument;
}

void random_numbers(void) {
  long theirs = -1, mine = -1;
  srandom(7);
  pthread_t thread;
  pthread_create(&thread, NULL, draws, &theirs);
  pthread_join(thread, NULL);
  draws(&mine);
  if (theirs < 0 || mine < 0 || mine == theirs || rand() < 0) abort();
  srandom(7);
  if (random() != theirs) abort();
}

/* A part of a library that no test comes to may do what is refused. */
static int waits_for_input(int timeout) {
  return listen(0, timeout);
}

void refused_and_called(void) {
  if (waits_for_input(0) > 1) abort();
}

void refused_and_not_called(void) {
  if (got != 0) waits_for_input(0);
}

void thread_names(void) {
  char name[16];
  if (pthread_setname_np(pthread_self(), "a name too long to be one") != ERANGE) abort();
  if (pthread_setname_np(pthread_self(), "keeper") != 0) abort();
  if (pthread_getname_np(pthread_self(), name, sizeof name) != 0 || strcmp(name, "keeper") != 0) abort();
  if (pthread_getname_np(pthread_self(), name, 3) != ERANGE) abort();
  if (!pthread_equal(pthread_self(), pthread_self())) abort();
  abort(); /* so that the report shows the name */
}
