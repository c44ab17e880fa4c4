/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Code that calls the kernel itself: one program for the model each.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void must(int holds) {
  if (!holds) abort();
}

static _Atomic uint32_t word;
static int counted;

static long wait_at(uint32_t expected, const struct timespec *limit) {
  return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, limit);
}

static long wake(int most) { return syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, most, NULL); }

static uint32_t exchange(uint32_t value) { return atomic_exchange_explicit(&word, value, memory_order_acq_rel); }

/* A mutex of three states: free, taken, taken and waited for. */
static void take(void) {
  uint32_t found = 0;
  if (atomic_compare_exchange_strong_explicit(&word, &found, 1, memory_order_acquire, memory_order_relaxed)) return;
  if (found != 2) found = exchange(2);
  while (found != 0) {
    wait_at(2, NULL);
    found = exchange(2);
  }
}

static void give_back(void) {
  if (exchange(0) == 2) wake(1);
}

static void *counts(void *argument) {
  take();
  counted++;
  give_back();
  return argument;
}

static void both(void *(*start)(void *), void *(*here)(void *)) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, start, NULL) == 0);
  here(NULL);
  must(pthread_join(thread, NULL) == 0);
}

void futex_mutex(void) {
  both(counts, counts);
  must(counted == 2);
}

static void *gives_back_in_silence(void *argument) {
  take();
  counted++;
  atomic_store_explicit(&word, 0, memory_order_release);
  return argument;
}

/* Whoever waits is not woken. */
void futex_not_woken(void) { both(gives_back_in_silence, counts); }

static int answer;

static void *answers(void *argument) {
  answer = 42;
  atomic_store_explicit(&word, 1, memory_order_release);
  wake(1);
  return argument;
}

static void *asks(void *argument) {
  while (atomic_load_explicit(&word, memory_order_acquire) == 0) wait_at(0, NULL);
  must(answer == 42);
  return argument;
}

void futex_event(void) { both(answers, asks); }

static _Atomic uint32_t *event;

static void *sets_and_lets_go(void *argument) {
  _Atomic uint32_t *mine = event;
  atomic_store_explicit(mine, 1, memory_order_release);
  syscall(SYS_futex, mine, FUTEX_WAKE_PRIVATE, 1, NULL);
  return argument;
}

/* Who sees the value may free the memory before the wake-up comes, which looks at nothing in it. */
void futex_freed_before_its_wake(void) {
  event = calloc(1, sizeof *event);
  pthread_t thread;
  must(pthread_create(&thread, NULL, sets_and_lets_go, NULL) == 0);
  while (atomic_load_explicit(event, memory_order_acquire) == 0) syscall(SYS_futex, event, FUTEX_WAIT_PRIVATE, 0, NULL);
  free(event);
  must(pthread_join(thread, NULL) == 0);
}

static int outcome_of_wait;
int futex_outcome(void) { return outcome_of_wait; }

static void *sets_and_wakes(void *argument) {
  atomic_store(&word, 1);
  wake(1);
  return argument;
}

static void *waits_with_a_limit(void *argument) {
  struct timespec limit = {1, 0};
  outcome_of_wait = wait_at(0, &limit) == 0 ? 0 : errno;
  return argument;
}

void futex_timed(void) { both(sets_and_wakes, waits_with_a_limit); }

void system_calls(void) {
  uint32_t bytes[2] = {0, 0};
  must(syscall(SYS_gettid) == gettid() && syscall(SYS_getrandom, bytes, sizeof bytes, 0) == sizeof bytes);
  must(bytes[0] != 0 && bytes[0] != bytes[1]);
  must(wait_at(5, NULL) == -1 && errno == EAGAIN && wake(7) == 0);
}

/* As from a kernel that was built without it. */
void system_call_missing(void) { must(syscall(SYS_sched_getattr, 0, NULL, 0, 0) == -1 && errno == ENOSYS); }

void system_call_refused(void) { syscall(SYS_getpriority, 0, 0); }
