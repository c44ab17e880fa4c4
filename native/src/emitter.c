/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Opening and closing an emitter, its memory, and the texts of its statuses.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define ALL_SWITCHES (((uint32_t)EMITTER_HOSTILE_WRONG_USER_DATA << 1) - 1)

uint32_t emitter_abi_version(void) { return EMITTER_ABI_VERSION; }

void *emi_allocate(emitter *e, size_t size) {
  if (++e->allocations == e->config.fail_allocation) return NULL;
  void *memory = malloc(size);
  if (memory != NULL) memset(memory, 0, size);
  return memory;
}

static bool known(const emitter_config *config) {
  return config->size == sizeof *config && config->mode <= EMITTER_MODE_TABLE && config->workers <= EMI_MOST_WORKERS &&
         (config->hostile & ~ALL_SWITCHES) == 0;
}

static void dispose(emitter *e) {
  if (e->has_key) pthread_key_delete(e->key);
  e->has_key = false;
  if (emi_hostile(e, EMITTER_HOSTILE_FIRE_ATEXIT)) return;
  for (size_t i = 0; i < e->count; i++) free(e->subscriptions[i].pair);
  free(e->subscriptions);
  pthread_cond_destroy(&e->settled);
  pthread_cond_destroy(&e->work);
  pthread_mutex_destroy(&e->lock);
  free(e);
}

static bool make_locks(emitter *e) {
  if (pthread_mutex_init(&e->lock, NULL) != 0) return false;
  if (pthread_cond_init(&e->work, NULL) == 0) {
    if (pthread_cond_init(&e->settled, NULL) == 0) return true;
    pthread_cond_destroy(&e->work);
  }
  pthread_mutex_destroy(&e->lock);
  return false;
}

static emitter_status start(emitter *e) {
  emitter_status status = emi_arm_thread_exit(e);
  if (status != EMITTER_OK) return status;
  while (e->started < e->config.workers) {
    if (pthread_create(&e->workers[e->started], NULL, emi_work, e) != 0) return EMITTER_NO_MEMORY;
    e->started++;
  }
  /* So that every library thread is ready before the first post. */
  pthread_mutex_lock(&e->lock);
  while (e->running < e->started) emi_wait(e);
  pthread_mutex_unlock(&e->lock);
  return EMITTER_OK;
}

emitter_status emitter_open(const emitter_config *config, emitter **out) {
  if (out != NULL) *out = NULL;
  if (config == NULL || out == NULL || !known(config)) return EMITTER_BAD_ARGUMENT;
  emitter *e = malloc(sizeof *e);
  if (e == NULL) return EMITTER_NO_MEMORY;
  memset(e, 0, sizeof *e);
  e->config = *config;
  if (!make_locks(e)) {
    free(e);
    return EMITTER_NO_MEMORY;
  }
  emitter_status status = start(e);
  if (status == EMITTER_OK) status = emi_arm_process_exit(e); /* last, because it cannot be undone */
  if (status != EMITTER_OK) {
    emi_stop_workers(e);
    e->config.hostile &= ~(uint32_t)EMITTER_HOSTILE_FIRE_ATEXIT;
    dispose(e);
    return status;
  }
  *out = e;
  return EMITTER_OK;
}

/* Waits until no other thread has a frame and the queue is empty. The frames of library threads do not count, because
 * they exist as long as their threads do; the delivery that such a thread is making is in the queue. */
static void wait_for_visitors(struct frame *here) {
  emitter *e = here->emitter;
  for (;;) {
    const struct frame *frame = e->frames;
    while (frame != NULL && (frame == here || frame->library)) frame = frame->next;
    if (frame == NULL && e->oldest == NULL) return;
    emi_wait(e);
  }
}

static void unsubscribe_all(struct frame *here) {
  emitter *e = here->emitter;
  emitter_id id = 0;
  for (struct subscription *s = emi_after(e, id); s != NULL; s = emi_after(e, id)) {
    id = s->id;
    if (s->live) {
      emi_hold(here, emi_retire(e, s));
      emi_release(here);
      s = emi_find(e, id);
    }
    /* RETURNS: the second use, which emi_add has made so that the destroy notify waits until now. */
    if (s != NULL && s->pair->uses > 0) {
      emi_hold(here, s->pair);
      emi_release(here);
    }
  }
}

static emitter_status wind_down(emitter *e) {
  FRAME(here);
  emi_enter(&here, e);
  if (e->closing || emi_inside(&here)) return EMITTER_CLOSING;
  e->closing = true;
  wait_for_visitors(&here);
  unsubscribe_all(&here);
  if (emi_hostile(e, EMITTER_HOSTILE_FIRE_ON_CLOSE)) emi_fire_all(&here);
  {
    UNLOCKED(e);
    emi_stop_workers(e);
  }
  wait_for_visitors(&here);
  return EMITTER_OK;
}

emitter_status emitter_close(emitter *e) {
  if (e == NULL) return EMITTER_BAD_ARGUMENT;
  emitter_status status = wind_down(e);
  if (status == EMITTER_OK) dispose(e);
  return status;
}

const char *emitter_status_text(emitter_status status) {
  switch (status) {
  case EMITTER_OK: return "done";
  case EMITTER_NOT_FOUND: return "no live subscription has this id";
  case EMITTER_NO_MEMORY: return "an allocation failed; nothing is retained";
  case EMITTER_FULL: return "the emitter is at its capacity; nothing is retained";
  case EMITTER_CLOSING: return "the emitter is being closed, or one of its own callbacks tries to close it";
  case EMITTER_WRONG_MODE: return "the emitter's mode does not offer this function";
  case EMITTER_BAD_ARGUMENT: return "an argument is NULL or out of range";
  case EMITTER_IN_FLIGHT: return "unsubscribed, with calls still in flight";
  }
  return "not a status of this library";
}
