/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Frames: which threads are inside the emitter, and in which subscription; and waiting for them to leave.
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
  if (here->state != FRAME_VISITS) emi_release(here); /* the call unwound past its own release */
  *here->link = here->next;
  if (here->next != NULL) here->next->link = here->link;
  if (e->closing) emi_wake(e); /* only emitter_close waits for frames that use no pair */
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
  /* A due notify still uses user_data, so a thread that waits for this subscription must wait for the notify, too. */
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

/* The frame uses the user_data of `id`, or is about to pass it to the destroy notify. */
static bool uses(const struct frame *frame, emitter_id id) {
  if (frame->state == FRAME_VISITS) return false;
  if (id == EMI_ANY_DEAD) return dead(frame->emitter, frame->subscription) || dead(frame->emitter, frame->lender);
  return frame->subscription == id || frame->lender == id;
}

/* Marks the frames of this thread that use `id`, because the thread is about to wait for `id`: see emi_wait_quiet. */
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

/* Waits until no other thread uses `id`.
 * It does not wait for frames of this thread, which cannot leave before it returns. If this thread is inside `id`, it
 * does not wait for other threads that are inside `id` and wait for `id`, either (`excused`): each would wait for the
 * other to return. A thread outside of `id` waits for all of them. */
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
