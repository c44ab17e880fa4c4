/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Frames: who is inside the emitter, in which subscription, on which thread; and waiting for them to leave.
 */
#include "internal.h"

void emi_link(struct frame *here, emitter *e) {
  here->emitter = e;
  here->next = e->frames;
  here->link = &e->frames;
  if (here->next != NULL) here->next->link = &here->next;
  e->frames = here;
}

void emi_unlink(struct frame *here) {
  emitter *e = here->emitter;
  if (here->state != FRAME_VISITS) emi_release(here); /* what unwound past its own release */
  *here->link = here->next;
  if (here->next != NULL) here->next->link = here->link;
  if (e->closing) emi_wake(e); /* nobody else waits for frames that use nothing */
}

void emi_enter(struct frame *here, emitter *e) {
  here->thread = pthread_self();
  here->started = true;
  pthread_mutex_lock(&e->lock);
  emi_link(here, e);
}

void emi_leave(struct frame *here) {
  emitter *e = here->emitter;
  if (e == NULL) return;
  emi_unlink(here);
  pthread_mutex_unlock(&e->lock);
}

void emi_hold(struct frame *here, struct pair *pair) {
  here->state = FRAME_HOLDS;
  here->subscription = pair->subscription;
  here->pair = pair;
}

void emi_release(struct frame *here) {
  emitter *e = here->emitter;
  bool called = here->state == FRAME_CALLS;
  struct parting own = emi_drop(e, here->pair);
  struct parting lent = emi_drop(e, here->lent);
  here->pair = here->lent = NULL;
  /* A due notify still uses user_data: whoever waits for this subscription waits for the notify as well. */
  here->state = own.destroy != NULL || lent.destroy != NULL ? FRAME_HOLDS : FRAME_VISITS;
  if (called) emi_stall(here, EMITTER_STALL_AFTER_COUNT, here->subscription);
  emi_part(here, &own);
  emi_part(here, &lent);
  here->state = FRAME_VISITS;
  emi_wake(e);
}

void emi_stall(struct frame *here, emitter_stall site, emitter_id subscription) {
  emitter *e = here->emitter;
  if (e->config.stall == NULL) return;
  UNLOCKED(e);
  e->config.stall(e->config.stall_data, (uint32_t)site, subscription);
}

void emi_wait(emitter *e) {
  e->waiting++;
  pthread_cond_wait(&e->settled, &e->lock);
  e->waiting--;
}

void emi_wake(emitter *e) {
  if (e->waiting > 0) pthread_cond_broadcast(&e->settled);
}

static bool same_thread(const struct frame *frame, const struct frame *here) {
  return frame->started && pthread_equal(frame->thread, here->thread);
}

bool emi_on_library_thread(const struct frame *here) {
  for (const struct frame *frame = here->emitter->frames; frame != NULL; frame = frame->next)
    if (frame->library && same_thread(frame, here)) return true;
  return false;
}

bool emi_inside(const struct frame *here) {
  for (const struct frame *frame = here->emitter->frames; frame != NULL; frame = frame->next)
    if (frame != here && same_thread(frame, here)) return true;
  return false;
}

bool emi_in_flight(const emitter *e, emitter_id id) {
  for (const struct frame *frame = e->frames; frame != NULL; frame = frame->next)
    if (frame->state == FRAME_CALLS && (frame->subscription == id || frame->lender == id)) return true;
  return false;
}

static bool dead(const emitter *e, emitter_id id) {
  if (id == 0) return false;
  const struct subscription *s = emi_find(e, id);
  return s == NULL || !s->live;
}

/* The frame uses, or is about to pass to its destroy notify, the user_data of `id`. */
static bool uses(const struct frame *frame, emitter_id id) {
  if (frame->state == FRAME_VISITS) return false;
  if (id == EMI_ANY_DEAD) return dead(frame->emitter, frame->subscription) || dead(frame->emitter, frame->lender);
  return frame->subscription == id || frame->lender == id;
}

/* Announces that this thread is about to wait for `id`: see emi_wait_quiet. */
void emi_excuse(struct frame *here, emitter_id id) {
  emitter *e = here->emitter;
  bool any = false;
  for (struct frame *frame = e->frames; frame != NULL; frame = frame->next) {
    if (!same_thread(frame, here) || !uses(frame, id)) continue;
    frame->excused = true;
    any = true;
  }
  if (any) emi_wake(e);
}

/* Waits until no other thread uses `id`. Frames of this thread are not waited for: they cannot leave before we return.
 * For the same reason a thread that is inside `id` does not wait for a thread that waits for `id` itself: of two
 * callbacks that unsubscribe each other's call neither could ever return. A thread outside waits for them all. */
void emi_wait_quiet(struct frame *here, emitter_id id) {
  emitter *e = here->emitter;
  bool inside = false;
  for (const struct frame *frame = e->frames; frame != NULL; frame = frame->next)
    if (frame != here && same_thread(frame, here) && uses(frame, id)) inside = true;
  for (;;) {
    const struct frame *frame = e->frames;
    while (frame != NULL && (same_thread(frame, here) || !uses(frame, id) || (inside && frame->excused)))
      frame = frame->next;
    if (frame == NULL) return;
    emi_wait(e);
  }
}
