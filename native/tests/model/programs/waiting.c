/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Loops that wait for another thread, or for time, by asking again and again: one program for the model each.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ended;
static _Atomic int alive;

static void *ends(void *argument) {
  pthread_mutex_lock(&lock);
  ended = 1;
  pthread_mutex_unlock(&lock);
  return argument;
}

static int has_ended(void) {
  pthread_mutex_lock(&lock);
  int answer = ended;
  pthread_mutex_unlock(&lock);
  return answer;
}

/* Locks and looks, until another thread has done its part. */
void polls_a_lock(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, ends, NULL) != 0) abort();
  while (!has_ended()) {
  }
  pthread_join(thread, NULL);
}

static void *leaves(void *argument) {
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
  atomic_fetch_sub(&alive, 1);
  return argument;
}

/* Gives another thread a second to end, as pools do that are destroyed. */
void polls_for_a_second(void) {
  atomic_store(&alive, 1);
  pthread_t thread;
  if (pthread_create(&thread, NULL, leaves, NULL) != 0) abort();
  time_t began, now;
  time(&began);
  do {
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    time(&now);
  } while (difftime(now, began) < 1.0 && atomic_load(&alive) > 0);
  pthread_join(thread, NULL);
}

/* Nobody else is there: time itself has to pass. */
void waits_a_minute(void) {
  struct timespec began, now;
  clock_gettime(CLOCK_MONOTONIC, &began);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while (now.tv_sec - began.tv_sec < 60);
}

static atomic_int taken;
static int counted;

static void tas(void) {
  while (atomic_exchange_explicit(&taken, 1, memory_order_acquire) != 0) {
  }
}

/* Reads until the lock looks free, so as not to write all the time. */
static void ttas(void) {
  while (atomic_exchange_explicit(&taken, 1, memory_order_acquire) != 0) {
    while (atomic_load_explicit(&taken, memory_order_relaxed) != 0) {
    }
  }
}

static void count(void (*take)(void)) {
  take();
  counted++;
  atomic_store_explicit(&taken, 0, memory_order_release);
}

static void *counts_by_tas(void *argument) {
  count(tas);
  return argument;
}

static void *counts_by_ttas(void *argument) {
  count(ttas);
  return argument;
}

static void both(void *(*start)(void *)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, start, NULL) != 0) abort();
  start(NULL);
  pthread_join(thread, NULL);
  if (counted != 2) abort();
}

void spin_lock_exchanges(void) { both(counts_by_tas); }
void spin_lock_reads_first(void) { both(counts_by_ttas); }

static void *never_gives_back(void *argument) {
  tas();
  return argument;
}

void spin_lock_kept(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, never_gives_back, NULL) != 0) abort();
  pthread_join(thread, NULL);
  tas();
}

static sem_t work;

static void *works_for_ever(void *argument) {
  for (;;) sem_wait(&work);
  return argument;
}

/* A library's thread that nobody ends, as a process would. */
void thread_kept(void) {
  pthread_t thread;
  sem_init(&work, 0, 1);
  if (pthread_create(&thread, NULL, works_for_ever, NULL) != 0) abort();
  pthread_detach(thread);
}

static _Atomic int stopped, opened;

static void *opens(void *argument) {
  atomic_store(&opened, 1);
  return argument;
}

static void while_opens(void (*waits)(void)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, opens, NULL) != 0) abort();
  waits();
  pthread_join(thread, NULL);
}

/* Waits for one of two things. */
static void until_either(void) {
  while (!atomic_load(&stopped) && !atomic_load(&opened)) {
  }
}

static int is_open(void) { return atomic_load(&opened); }

/* Asks in two ways. */
static void until_open(void) {
  while (!is_open()) {
    if (is_open()) return;
  }
}

/* Does something each time, of which nothing is left. */
static void until_open_and_busy(void) {
  while (!is_open()) free(malloc(1));
}

void spins_on_two(void) { while_opens(until_either); }
void spins_at_two_places(void) { while_opens(until_open); }
void spins_and_allocates(void) { while_opens(until_open_and_busy); }

static void until_stopped(void) {
  while (!atomic_load(&stopped)) {
    if (atomic_load(&opened) > 1) abort();
  }
}

/* Nobody stops it. */
void spins_on_two_for_ever(void) { while_opens(until_stopped); }

/* A setting that every allocation asks for is read often, and nobody waits for it. */
static void *allocates(void) {
  if (atomic_load_explicit(&stopped, memory_order_relaxed) > 1) abort();
  return malloc(1);
}

static void *allocates_some(void *argument) {
  void *blocks[3] = {allocates(), allocates(), allocates()};
  for (int i = 0; i < 3; i++) free(blocks[i]);
  for (int i = 0; i < 3; i++) blocks[i] = allocates();
  for (int i = 0; i < 3; i++) free(blocks[i]);
  return argument;
}

void setting_read_often(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, allocates_some, NULL) != 0) abort();
  atomic_store_explicit(&stopped, 1, memory_order_relaxed);
  pthread_join(thread, NULL);
}

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Who has waited in vain, or slept, finds that the time has come. */
void time_passes_while_waiting(void) {
  long long begun = now();
  usleep(300000);
  if (now() - begun < 300000000) abort();
  struct timespec limit = {.tv_nsec = 5};
  limit.tv_sec = now() / 1000000000 + 10;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&mutex);
  if (pthread_cond_timedwait(&condition, &mutex, &limit) != ETIMEDOUT) abort();
  pthread_mutex_unlock(&mutex);
  if (now() < limit.tv_sec * 1000000000LL) abort();
  sem_t tokens;
  sem_init(&tokens, 0, 0);
  limit.tv_sec += 10;
  if (sem_timedwait(&tokens, &limit) == 0 || now() < limit.tv_sec * 1000000000LL) abort();
  sem_destroy(&tokens);
  begun = now();
  if (poll(NULL, 0, 50) != 0 || now() - begun < 50000000) abort();
  begun = now();
  struct timeval half = {.tv_usec = 500000};
  if (select(0, NULL, NULL, NULL, &half) != 0 || now() - begun < 500000000) abort();
  begun = now();
  struct timespec one = {.tv_sec = 1};
  nanosleep(&one, NULL);
  if (now() - begun < 1000000000 || now() - begun > 2000000000) abort();
  one.tv_sec += (begun = now()) / 1000000000 + 3;
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &one, NULL);
  if (now() < one.tv_sec * 1000000000LL) abort();
}

/* A timer's thread: calls back when the time has come, unless it was stopped before. */
static atomic_int cancelled, *user;

static void *times(void *argument) {
  long long due = now() + 1000000;
  struct timespec limit = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
  pthread_mutex_lock(&lock);
  static pthread_cond_t wakes = PTHREAD_COND_INITIALIZER;
  while (!atomic_load(&cancelled) && now() < due) pthread_cond_timedwait(&wakes, &lock, &limit);
  pthread_mutex_unlock(&lock);
  if (!atomic_load(&cancelled)) atomic_fetch_add(user, 1);
  return argument;
}

void timer_cancelled_late(void) {
  pthread_t thread;
  user = calloc(1, sizeof *user);
  if (pthread_create(&thread, NULL, times, NULL) != 0) abort();
  atomic_store(&cancelled, 1);
  free(user);
  pthread_join(thread, NULL);
}

static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void *ends_and_tells(void *argument) {
  pthread_mutex_lock(&lock);
  ended = 1;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return argument;
}

/* Gives up after a minute, which another thread does not take. */
void waits_a_minute_for_a_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, ends_and_tells, NULL) != 0) abort();
  struct timespec limit = {.tv_sec = now() / 1000000000 + 60};
  pthread_mutex_lock(&lock);
  while (!ended && now() < limit.tv_sec * 1000000000LL) pthread_cond_timedwait(&changed, &lock, &limit);
  if (!ended) abort();
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
}
