/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The hostile switches, as far as they need more code than a condition in another file.
 */
#include "internal.h"

#include <stdlib.h>

static struct subscription *next_live(const emitter *e, emitter_id id) {
  struct subscription *s = emi_after(e, id);
  while (s != NULL && !s->live) s = emi_after(e, s->id);
  return s;
}

/* WRONG_USER_DATA: passes the user_data of the next live subscription. The frame takes a use of that pair, so that its
 * user_data is not destroyed during the call: this switch does not make the library late. */
void emi_lend(struct frame *here) {
  emitter *e = here->emitter;
  struct subscription *next = next_live(e, here->subscription);
  if (next == NULL) next = next_live(e, 0);
  if (next == NULL || next->id == here->subscription) return;
  here->lender = next->id;
  here->lent = next->pair;
  here->lent->uses++;
}

/* CONCURRENT: one fire calls on three threads. */
#define HELPERS 2

struct helper {
  struct frame frame;
  const emitter_event *event;
  pthread_t thread;
  bool running;
};

struct volley {
  struct frame *here;
  struct helper helpers[HELPERS];
};

static void leave_indirectly(struct frame **here) { emi_leave(*here); }

static void *help(void *argument) {
  struct helper *helper = argument;
  struct frame *here EMI_CLEANUP(leave_indirectly) = &helper->frame;
  pthread_mutex_lock(&here->emitter->lock);
  here->thread = pthread_self();
  here->started = true;
  emi_stall(here, EMITTER_STALL_WORKER_START, 0);
  emi_call_pair(here, helper->event);
  emi_stall(here, EMITTER_STALL_WORKER_EXIT, 0);
  return NULL;
}

/* Runs also if our own callback unwinds, because the helpers use this stack frame. */
static void join_helpers(struct volley *volley) {
  emitter *e = volley->here->emitter;
  /* A helper may unsubscribe the subscription that an outer frame of this thread is inside. This thread waits for the
   * helper, so the helper must not wait for this thread. */
  emi_excuse(volley->here, volley->here->subscription);
  UNLOCKED(e);
  for (int i = 0; i < HELPERS; i++)
    if (volley->helpers[i].running) pthread_join(volley->helpers[i].thread, NULL);
}

intptr_t emi_volley(struct frame *here, const emitter_event *event) {
  struct volley volley EMI_CLEANUP(join_helpers) = {.here = here};
  /* All are counted in before any starts, so that they are in flight at the same time in every schedule. */
  for (int i = 0; i < HELPERS; i++) {
    struct helper *helper = &volley.helpers[i];
    helper->event = event;
    helper->frame.library = true;
    emi_link(&helper->frame, here->emitter);
    emi_count_in(&helper->frame, here->pair);
    helper->frame.lender = here->lender;
    helper->frame.lent = here->lent;
    if (here->lent != NULL) here->lent->uses++;
  }
  for (int i = 0; i < HELPERS; i++) {
    struct helper *helper = &volley.helpers[i];
    helper->running = pthread_create(&helper->thread, NULL, help, helper) == 0;
    if (!helper->running) emi_unlink(&helper->frame);
  }
  return emi_call_pair(here, event);
}

/* Calls every subscription that the emitter knows, live or not, once. */
void emi_fire_all(struct frame *here) {
  emitter *e = here->emitter;
  const struct request unasked = {.id = 0};
  emitter_id id = 0;
  for (struct subscription *s = emi_after(e, id); s != NULL; s = emi_after(e, id)) {
    id = s->id;
    emi_count_in(here, s->pair);
    emitter_event event = emi_event(here, &unasked);
    emi_call(here, here->pair->callback, here->pair->user_data, &event);
    emi_release(here);
  }
}

/* FIRE_TLS_DESTRUCTOR: the destructor of the thread-specific data. */
static void at_thread_exit(void *argument) {
  FRAME(here);
  here.library = true;
  emi_enter(&here, argument);
  emi_fire_all(&here);
}

emitter_status emi_arm_thread_exit(emitter *e) {
  if (!emi_hostile(e, EMITTER_HOSTILE_FIRE_TLS_DESTRUCTOR)) return EMITTER_OK;
  e->has_key = pthread_key_create(&e->key, at_thread_exit) == 0;
  return e->has_key ? EMITTER_OK : EMITTER_NO_MEMORY;
}

void emi_arm_this_thread(emitter *e) {
  if (e->has_key) pthread_setspecific(e->key, e);
}

/* FIRE_ATEXIT: the emitters to fire when the process exits. The list only grows at its head, so at_process_exit walks
 * it without the lock. The list keeps the emitters reachable, so that leak checkers do not report them. */
static pthread_mutex_t exit_lock = PTHREAD_MUTEX_INITIALIZER;
static emitter *exit_list;
static bool exit_armed;

static void at_process_exit(void) {
  pthread_mutex_lock(&exit_lock);
  emitter *e = exit_list;
  pthread_mutex_unlock(&exit_lock);
  for (; e != NULL; e = e->next_at_exit) {
    FRAME(here);
    emi_enter(&here, e);
    emi_fire_all(&here);
  }
}

emitter_status emi_arm_process_exit(emitter *e) {
  if (!emi_hostile(e, EMITTER_HOSTILE_FIRE_ATEXIT)) return EMITTER_OK;
  pthread_mutex_lock(&exit_lock);
  if (!exit_armed) exit_armed = atexit(at_process_exit) == 0;
  bool armed = exit_armed;
  if (armed) {
    e->next_at_exit = exit_list;
    exit_list = e;
  }
  pthread_mutex_unlock(&exit_lock);
  return armed ? EMITTER_OK : EMITTER_NO_MEMORY;
}
