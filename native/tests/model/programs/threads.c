/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Threads and what they wait for: one program for the model each.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
static bool done;
static int count;

static void with_thread(void *(*start)(void *), void (*meanwhile)(void)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, start, NULL) != 0) abort();
  meanwhile();
  if (pthread_join(thread, NULL) != 0) abort();
}

static void waits(void) {
  pthread_mutex_lock(&lock);
  while (!done) pthread_cond_wait(&ready, &lock);
  pthread_mutex_unlock(&lock);
}

static void *sets_and_signals(void *argument) {
  (void)argument;
  pthread_mutex_lock(&lock);
  done = true;
  pthread_cond_signal(&ready);
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void *signals_first(void *argument) {
  (void)argument;
  pthread_cond_signal(&ready);
  pthread_mutex_lock(&lock);
  done = true;
  pthread_mutex_unlock(&lock);
  return NULL;
}

void wake_up(void) { with_thread(sets_and_signals, waits); }
void lost_wake_up(void) { with_thread(signals_first, waits); }

static void waits_with_a_limit(void) {
  struct timespec limit = {0, 0};
  pthread_mutex_lock(&lock);
  int answer = 0;
  while (!done && answer == 0) answer = pthread_cond_timedwait(&ready, &lock, &limit);
  if (answer != 0 && answer != ETIMEDOUT) abort();
  if (answer == 0) count = 1;
  pthread_mutex_unlock(&lock);
}

void timed_wait(void) { with_thread(sets_and_signals, waits_with_a_limit); }

/* It says that the wait cannot time out, which is wrong: it can. */
void timed_wait_trusted(void) {
  with_thread(sets_and_signals, waits_with_a_limit);
  if (count == 0) abort();
}

/* And that it always does, which is wrong as well. */
static void must_time_out(void) {
  struct timespec limit = {0, 0};
  pthread_mutex_lock(&lock);
  if (!done && pthread_cond_timedwait(&ready, &lock, &limit) == 0) abort();
  pthread_mutex_unlock(&lock);
}

void timed_wait_distrusted(void) { with_thread(sets_and_signals, must_time_out); }

static void *locks_backwards(void *argument) {
  (void)argument;
  pthread_mutex_lock(&other);
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
  pthread_mutex_unlock(&other);
  return NULL;
}

static void locks_forwards(void) {
  pthread_mutex_lock(&lock);
  pthread_mutex_lock(&other);
  pthread_mutex_unlock(&other);
  pthread_mutex_unlock(&lock);
}

void lock_order(void) { with_thread(locks_backwards, locks_forwards); }

static pthread_mutex_t kinds[2];

static void *kinds_elsewhere(void *argument) {
  (void)argument;
  if (pthread_mutex_unlock(&kinds[1]) != EPERM) abort();
  pthread_mutex_lock(&kinds[0]);
  count++;
  pthread_mutex_unlock(&kinds[0]);
  return NULL;
}

static void kinds_here(void) {
  pthread_mutex_lock(&kinds[0]);
  pthread_mutex_lock(&kinds[0]);
  count++;
  pthread_mutex_unlock(&kinds[0]);
  count++;
  pthread_mutex_unlock(&kinds[0]);
  pthread_mutex_lock(&kinds[1]);
  if (pthread_mutex_lock(&kinds[1]) != EDEADLK) abort();
  if (pthread_mutex_trylock(&kinds[1]) != EBUSY) abort();
  pthread_mutex_unlock(&kinds[1]);
}

void mutex_kinds(void) {
  const int types[2] = {PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
  for (int i = 0; i < 2; i++) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, types[i]);
    pthread_mutex_init(&kinds[i], &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  with_thread(kinds_elsewhere, kinds_here);
  if (count != 3) abort();
  for (int i = 0; i < 2; i++) pthread_mutex_destroy(&kinds[i]);
}

void lock_twice(void) {
  pthread_mutex_lock(&lock);
  pthread_mutex_lock(&lock);
}

void unlock_unlocked(void) { pthread_mutex_unlock(&lock); }

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void increments(void) { count++; }

static void *runs_once(void *argument) {
  pthread_once(&once, increments);
  if (count != 1) abort();
  return argument;
}

static void runs_once_too(void) { runs_once(NULL); }

void once_only(void) { with_thread(runs_once, runs_once_too); }

static pthread_key_t key;

static void dies(void *value) { count += *(int *)value; }

static int values[2] = {3, 4};

static void *has_data(void *argument) {
  pthread_setspecific(key, &values[1]);
  if (pthread_getspecific(key) != &values[1]) abort();
  pthread_exit(argument);
}

static void has_its_own(void) {
  pthread_setspecific(key, NULL);
  if (pthread_getspecific(key) != NULL) abort();
}

void key_destructors(void) {
  pthread_key_create(&key, dies);
  with_thread(has_data, has_its_own);
  if (count != 4) abort();
  pthread_key_delete(key);
}

static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static int data[2];

static void *writes(void *argument) {
  (void)argument;
  pthread_rwlock_wrlock(&shared);
  data[0]++;
  data[1]++;
  pthread_rwlock_unlock(&shared);
  return NULL;
}

static void reads(void) {
  pthread_rwlock_rdlock(&shared);
  if (data[0] != data[1]) abort();
  pthread_rwlock_unlock(&shared);
}

void rwlock(void) { with_thread(writes, reads); }

static sem_t tokens;
static int passed;

static void *posts(void *argument) {
  passed = 7;
  sem_post(&tokens);
  return argument;
}

static void takes(void) {
  sem_wait(&tokens);
  if (passed != 7) abort();
  if (sem_trywait(&tokens) != -1 || errno != EAGAIN) abort();
}

void semaphore(void) {
  sem_init(&tokens, 0, 0);
  with_thread(posts, takes);
  sem_destroy(&tokens);
}

static pthread_barrier_t barrier;
static pthread_spinlock_t spin;

static void *meets(void *argument) {
  pthread_spin_lock(&spin);
  count++;
  pthread_spin_unlock(&spin);
  pthread_barrier_wait(&barrier);
  if (count != 2) abort();
  return argument;
}

static void meets_too(void) { meets(NULL); }

void barrier_and_spin(void) {
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_spin_init(&spin, 0);
  with_thread(meets, meets_too);
  pthread_spin_destroy(&spin);
  pthread_barrier_destroy(&barrier);
}

static mtx_t plain;
static cnd_t told;

static int c11_thread(void *argument) {
  (void)argument;
  mtx_lock(&plain);
  done = true;
  cnd_signal(&told);
  mtx_unlock(&plain);
  return -3;
}

void c11_threads(void) {
  mtx_init(&plain, mtx_plain);
  cnd_init(&told);
  thrd_t thread;
  if (thrd_create(&thread, c11_thread, NULL) != thrd_success) abort();
  mtx_lock(&plain);
  while (!done) cnd_wait(&told, &plain);
  mtx_unlock(&plain);
  int result = 0;
  if (thrd_join(thread, &result) != thrd_success || result != -3) abort();
  cnd_destroy(&told);
  mtx_destroy(&plain);
}

static void *nothing(void *argument) { return argument; }

void too_many_threads(void) {
  pthread_t threads[5];
  for (int i = 0; i < 5; i++) pthread_create(&threads[i], NULL, nothing, NULL);
  for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
}

static atomic_int polls;

static void *sets_polls(void *argument) {
  atomic_store(&polls, 1);
  return argument;
}

static void polls_and_sleeps(void) {
  while (!atomic_load(&polls)) usleep(1000);
}

void polling(void) { with_thread(sets_polls, polls_and_sleeps); }
