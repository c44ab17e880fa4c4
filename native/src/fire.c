/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Calling: from a request to the callback and back; and call-scoped use.
 */
#include "internal.h"

void emi_count_in(struct frame *here, struct pair *pair) {
  pair->uses++;
  here->state = FRAME_CALLS;
  here->subscription = pair->subscription;
  here->lender = 0;
  here->excused = false;
  here->pair = pair;
}

static emitter_status load(struct frame *here, const struct request *what) {
  emitter *e = here->emitter;
  bool drains = what->queued && e->config.mode == EMITTER_MODE_QUEUED;
  if (what->pair != NULL) {
    what->pair->pending--;
    emi_count_in(here, what->pair);
  } else if (e->closing && !drains) {
    return EMITTER_CLOSING;
  } else {
    struct subscription *s = emi_find(e, what->id);
    if (s == NULL || (!s->live && !emi_hostile(e, EMITTER_HOSTILE_LATE))) return EMITTER_NOT_FOUND;
    emi_count_in(here, s->pair);
    /* ONCE ends here, under the same lock: of two concurrent fires one finds nothing. Our use keeps the pair. */
    if (s->live && e->config.mode == EMITTER_MODE_ONCE) emi_retire(e, s)->uses--;
  }
  if (emi_hostile(e, EMITTER_HOSTILE_WRONG_USER_DATA)) emi_lend(here);
  return EMITTER_OK;
}

emitter_event emi_event(const struct frame *here, const struct request *what) {
  emitter_event event = {.source = here->emitter,
                         .owner = here->emitter->config.owner,
                         .cookie = what->cookie,
                         .subscription = here->subscription,
                         .user_data_of = here->lent != NULL ? here->lender : here->subscription,
                         .a = what->a,
                         .b = what->b};
  return event;
}

intptr_t emi_call(struct frame *here, emitter_callback callback, void *user_data, const emitter_event *event) {
  intptr_t result;
  emi_stall(here, EMITTER_STALL_BEFORE_CALL, event->subscription);
  {
    UNLOCKED(here->emitter);
    result = callback(user_data, event);
  }
  emi_stall(here, EMITTER_STALL_AFTER_CALL, event->subscription);
  return result;
}

intptr_t emi_call_pair(struct frame *here, const emitter_event *event) {
  emitter_callback callback = here->pair->callback;
  void *user_data = here->lent != NULL ? here->lent->user_data : here->pair->user_data;
  if (emi_hostile(here->emitter, EMITTER_HOSTILE_TWICE)) emi_call(here, callback, user_data, event);
  intptr_t result = emi_call(here, callback, user_data, event);
  emi_release(here);
  return result;
}

emitter_status emi_fire(struct frame *here, const struct request *what, intptr_t *result) {
  *result = 0;
  emi_stall(here, EMITTER_STALL_BEFORE_LOAD, what->id);
  emitter_status status = load(here, what);
  if (status != EMITTER_OK) return status;
  emitter_event event = emi_event(here, what);
  bool concurrent = emi_hostile(here->emitter, EMITTER_HOSTILE_CONCURRENT);
  *result = concurrent ? emi_volley(here, &event) : emi_call_pair(here, &event);
  return EMITTER_OK;
}

emitter_status emitter_fire(emitter *e, emitter_id id, uint64_t cookie, intptr_t a, intptr_t b, intptr_t *result) {
  intptr_t ignored;
  if (result == NULL) result = &ignored;
  *result = 0;
  if (e == NULL) return EMITTER_BAD_ARGUMENT;
  struct request what = {.id = id, .cookie = cookie, .a = a, .b = b};
  FRAME(here);
  emi_enter(&here, e);
  return emi_fire(&here, &what, result);
}

size_t emitter_in_flight(emitter *e) {
  if (e == NULL) return 0;
  size_t calls = 0;
  pthread_mutex_lock(&e->lock);
  for (const struct frame *frame = e->frames; frame != NULL; frame = frame->next) calls += frame->state == FRAME_CALLS;
  pthread_mutex_unlock(&e->lock);
  return calls;
}

/* A call-scoped call counts as in flight, too, but for no subscription. */
static emitter_status begin_scoped(struct frame *here, emitter *e) {
  emi_enter(here, e);
  emi_stall(here, EMITTER_STALL_BEFORE_LOAD, 0);
  if (e->closing) return EMITTER_CLOSING;
  here->state = FRAME_CALLS;
  return EMITTER_OK;
}

static intptr_t call_scoped(struct frame *here, emitter_callback callback, void *user_data,
                            const emitter_event *event) {
  return event->source == NULL ? callback(user_data, event) : emi_call(here, callback, user_data, event);
}

emitter_status emitter_invoke(emitter *e, emitter_callback callback, void *user_data, uint64_t cookie, intptr_t a,
                              intptr_t b, intptr_t *result) {
  if (result != NULL) *result = 0;
  if (callback == NULL) return EMITTER_BAD_ARGUMENT;
  emitter_event event = {.source = e, .owner = e != NULL ? e->config.owner : NULL, .cookie = cookie, .a = a, .b = b};
  FRAME(here);
  emitter_status status = e == NULL ? EMITTER_OK : begin_scoped(&here, e);
  if (status != EMITTER_OK) return status;
  intptr_t answer = call_scoped(&here, callback, user_data, &event);
  if (result != NULL) *result = answer;
  return EMITTER_OK;
}

/* EMITTER_HOSTILE_LATE: an enumeration retains its pair. It does so before the first call, so that other threads can
 * call the pair while the enumeration runs. */
static emitter_status keep(emitter *e, emitter_callback callback, void *user_data, emitter_id *kept) {
  emitter_entry entry = {callback, user_data, NULL};
  emitter_status status = emi_make_room(e, 1);
  struct pair *pair = status == EMITTER_OK ? emi_new_pair(e, &entry) : NULL;
  if (pair == NULL) return EMITTER_NO_MEMORY;
  emitter_id id = emi_add(e, pair, false)->id;
  if (kept != NULL) *kept = id;
  return EMITTER_OK;
}

emitter_status emitter_enumerate(emitter *e, emitter_callback callback, void *user_data, uint64_t cookie, size_t count,
                                 intptr_t lparam, size_t *calls, emitter_id *kept) {
  if (calls != NULL) *calls = 0;
  if (kept != NULL) *kept = 0;
  if (callback == NULL) return EMITTER_BAD_ARGUMENT;
  emitter_event event = {.source = e, .owner = e != NULL ? e->config.owner : NULL, .cookie = cookie, .b = lparam};
  FRAME(here);
  emitter_status status = e == NULL ? EMITTER_OK : begin_scoped(&here, e);
  if (status == EMITTER_OK && e != NULL && emi_hostile(e, EMITTER_HOSTILE_LATE))
    status = keep(e, callback, user_data, kept);
  if (status != EMITTER_OK) return status;
  size_t made = 0;
  bool goes_on = true;
  while (goes_on && made < count) {
    event.a = (intptr_t)made++;
    goes_on = call_scoped(&here, callback, user_data, &event) != 0;
  }
  if (calls != NULL) *calls = made;
  return EMITTER_OK;
}
