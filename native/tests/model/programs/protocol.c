/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A small source of calls, for `benches/model.rs`, which has the same in Rust: a thread that calls back a number of times,
 * and a removal that waits until no call is running.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct source {
  pthread_mutex_t lock;
  pthread_cond_t idle;
  void (*callback)(void *);
  void *user_data;
  int running;
  atomic_uint stopped;
  int times;
  pthread_t thread;
};

static void call(struct source *s) {
  pthread_mutex_lock(&s->lock);
  void (*callback)(void *) = s->callback;
  void *user_data = s->user_data;
  if (callback != NULL) s->running++;
  pthread_mutex_unlock(&s->lock);
  if (callback == NULL) return;
  callback(user_data);
  pthread_mutex_lock(&s->lock);
  if (--s->running == 0) pthread_cond_broadcast(&s->idle);
  pthread_mutex_unlock(&s->lock);
}

static void *calls(void *argument) {
  struct source *s = argument;
  for (int i = 0; i < s->times && !atomic_load_explicit(&s->stopped, memory_order_acquire); i++) call(s);
  return NULL;
}

struct source *source_start(int times, void (*callback)(void *), void *user_data) {
  struct source *s = calloc(1, sizeof *s);
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->idle, NULL);
  s->callback = callback;
  s->user_data = user_data;
  s->times = times;
  pthread_create(&s->thread, NULL, calls, s);
  return s;
}

/* No call runs, or starts, after this. */
void source_remove(struct source *s) {
  pthread_mutex_lock(&s->lock);
  s->callback = NULL;
  while (s->running > 0) pthread_cond_wait(&s->idle, &s->lock);
  pthread_mutex_unlock(&s->lock);
}

void source_end(struct source *s) {
  atomic_store_explicit(&s->stopped, 1, memory_order_release);
  pthread_join(s->thread, NULL);
  pthread_cond_destroy(&s->idle);
  pthread_mutex_destroy(&s->lock);
  free(s);
}
