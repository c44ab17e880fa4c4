/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Loops that wait for another thread, or for time, by asking again and again: one program for the model each.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

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
