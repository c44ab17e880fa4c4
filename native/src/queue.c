/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Library threads, their queue, sending and posting to it, and waiting for it.
 */
#include "internal.h"

#include <stdlib.h>

static void append(emitter *e, struct delivery *delivery) {
  delivery->emitter = e;
  delivery->ticket = ++e->last_ticket;
  delivery->prev = e->newest;
  if (e->newest != NULL)
    e->newest->next = delivery;
  else
    e->oldest = delivery;
  e->newest = delivery;
  if (e->untaken == NULL) e->untaken = delivery;
  pthread_cond_signal(&e->work);
}

/* Takes a delivery, or returns NULL when the thread is to end. A taken delivery stays in the list until it is finished,
 * because emitter_barrier looks for the oldest unfinished one. */
static struct delivery *take(emitter *e) {
  while (e->untaken == NULL && !e->stopping) pthread_cond_wait(&e->work, &e->lock);
  struct delivery *delivery = e->untaken;
  if (delivery != NULL) e->untaken = delivery->next;
  return delivery;
}

static void finish(struct delivery **finished) {
  struct delivery *delivery = *finished;
  emitter *e = delivery->emitter;
  *(delivery->prev != NULL ? &delivery->prev->next : &e->oldest) = delivery->next;
  *(delivery->next != NULL ? &delivery->next->prev : &e->newest) = delivery->prev;
  if (delivery->posted)
    free(delivery);
  else
    delivery->done = true;
  emi_wake(e);
}

static void deliver(struct frame *here, struct delivery *delivery) {
  struct delivery *finishing EMI_CLEANUP(finish) = delivery;
  emi_stall(here, EMITTER_STALL_POPPED, delivery->what.id);
  delivery->status = emi_fire(here, &delivery->what, &delivery->result);
}

void *emi_work(void *argument) {
  emitter *e = argument;
  emi_arm_this_thread(e);
  /* One frame for the thread's life, so that all foreign code on this thread runs inside the emitter. */
  FRAME(here);
  here.library = true;
  emi_enter(&here, e);
  e->running++;
  emi_wake(e);
  emi_stall(&here, EMITTER_STALL_WORKER_START, 0);
  for (struct delivery *delivery = take(e); delivery != NULL; delivery = take(e)) deliver(&here, delivery);
  emi_stall(&here, EMITTER_STALL_WORKER_EXIT, 0);
  return NULL;
}

void emi_stop_workers(emitter *e) {
  pthread_mutex_lock(&e->lock);
  e->stopping = true;
  pthread_cond_broadcast(&e->work);
  pthread_mutex_unlock(&e->lock);
  for (; e->started > 0; e->started--) pthread_join(e->workers[e->started - 1], NULL);
}

emitter_status emitter_send(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b, intptr_t *result) {
  intptr_t ignored;
  if (result == NULL) result = &ignored;
  *result = 0;
  if (e == NULL) return EMITTER_BAD_ARGUMENT;
  if (e->config.workers == 0) return EMITTER_WRONG_MODE;
  struct delivery delivery = {.what = {.id = id, .cookie = cookie, .a = a, .b = b, .queued = true}};
  FRAME(here);
  emi_enter(&here, e);
  if (emi_on_library_thread(&here)) {
    delivery.what.queued = false;
    return emi_fire(&here, &delivery.what, result);
  }
  if (e->closing) return EMITTER_CLOSING;
  append(e, &delivery);
  while (!delivery.done) emi_wait(e);
  *result = delivery.result;
  return delivery.status;
}

emitter_status emitter_post(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b) {
  if (e == NULL) return EMITTER_BAD_ARGUMENT;
  if (e->config.workers == 0) return EMITTER_WRONG_MODE;
  FRAME(here);
  emi_enter(&here, e);
  if (e->closing) return EMITTER_CLOSING;
  struct subscription *s = emi_find(e, id);
  if (s == NULL || (!s->live && !emi_hostile(e, EMITTER_HOSTILE_LATE))) return EMITTER_NOT_FOUND;
  struct delivery *delivery = emi_allocate(e, sizeof *delivery);
  if (delivery == NULL) return EMITTER_NO_MEMORY;
  delivery->posted = true;
  delivery->what = (struct request){.id = id, .cookie = cookie, .a = a, .b = b, .queued = true};
  if (e->config.mode == EMITTER_MODE_QUEUED) {
    delivery->what.pair = s->pair;
    s->pair->pending++;
  }
  append(e, delivery);
  return EMITTER_OK;
}

emitter_status emitter_barrier(emitter *e) {
  if (e == NULL) return EMITTER_BAD_ARGUMENT;
  FRAME(here);
  emi_enter(&here, e);
  if (emi_on_library_thread(&here)) return EMITTER_WRONG_MODE;
  uint64_t last = e->last_ticket;
  bool queued = e->config.mode == EMITTER_MODE_QUEUED;
  if (queued) emi_excuse(&here, EMI_ANY_DEAD);
  while (e->oldest != NULL && e->oldest->ticket <= last) emi_wait(e);
  /* QUEUED promises that the user_data of ended subscriptions is not used after this. An emitter_fire, which never was
   * in the queue, may still use it. */
  if (queued) emi_wait_quiet(&here, EMI_ANY_DEAD);
  return EMITTER_OK;
}
