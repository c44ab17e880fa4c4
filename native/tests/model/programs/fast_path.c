/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the emitter would be with a fast path: calls are counted in and out with atomics, and removing waits until nobody is
 * counted in. Sound with the orders of fast_path_sound, and wrong with any of them weaker: one program for the model each.
 *
 * Counting in and looking whether it was removed, and removing and looking whether anybody is counted in, are the two halves of
 * a store-load pair: both need sequential consistency. Counting out releases the callback's use of user_data to whoever
 * waits, and then frees it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct source {
  atomic_uint running;
  atomic_bool removed;
  int *user_data;
  memory_order in, look, out, remove, wait;
};

static void callback(int *user_data) { (*user_data)++; }

static void *fires(void *argument) {
  struct source *s = argument;
  atomic_fetch_add_explicit(&s->running, 1, s->in);
  if (!atomic_load_explicit(&s->removed, s->look)) callback(s->user_data);
  atomic_fetch_sub_explicit(&s->running, 1, s->out);
  return NULL;
}

static void removes(struct source *s) {
  atomic_store_explicit(&s->removed, true, s->remove);
  while (atomic_load_explicit(&s->running, s->wait) > 0) {
  }
  free(s->user_data);
}

static void fast_path(memory_order both, memory_order out, memory_order wait) {
  struct source *s = calloc(1, sizeof *s);
  s->user_data = calloc(1, sizeof *s->user_data);
  s->in = s->look = s->remove = both;
  if (both == memory_order_acq_rel) {
    s->look = memory_order_acquire;
    s->remove = memory_order_release;
  }
  s->out = out;
  s->wait = wait;
  pthread_t thread;
  pthread_create(&thread, NULL, fires, s);
  removes(s);
  pthread_join(thread, NULL);
  free(s);
}

void fast_path_sound(void) { fast_path(memory_order_seq_cst, memory_order_release, memory_order_seq_cst); }
void fast_path_relaxed_out(void) { fast_path(memory_order_seq_cst, memory_order_relaxed, memory_order_seq_cst); }
void fast_path_relaxed_wait(void) { fast_path(memory_order_seq_cst, memory_order_release, memory_order_relaxed); }
void fast_path_not_sequential(void) { fast_path(memory_order_acq_rel, memory_order_release, memory_order_acquire); }
