/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What a callback, a destroy notify or a stall hook may do to the emitter that runs it: everything but close it.
 */
#include "support.h"

static void unsubscribe_self(probe *self, const emitter_event *event) {
  (void)event;
  self->status = emitter_unsubscribe(self->e, self->id);
  CHECK(destroyed_of(self), ==, 0); /* what it captured is its own to the end */
}

/* S37 */
static void a_callback_may_unsubscribe_itself(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    p.then = unsubscribe_self;
    emitter *e = open_mode(mode);
    emitter_id id = subscribe_probe(e, &p);
    CHECK(emitter_fire(e, id, 0, 1, 1, NULL), ==, EMITTER_OK);
    CHECK(p.status, ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_IN_FLIGHT);
    CHECK(p.destroyed, ==, mode == EMITTER_MODE_RETURNS ? 0 : 1);
    CHECK(p.inside_at_destroy, ==, 0);
    CHECK(emitter_fire(e, id, 0, 1, 1, NULL), ==, EMITTER_NOT_FOUND);
    close_ok(e);
    CHECK(p.calls, ==, 1);
    CHECK(p.destroyed, ==, 1);
  }
}

static void fire_other(probe *self, const emitter_event *event) {
  (void)event;
  self->result = (intptr_t)emitter_fire(self->e, self->other, 0, 0, 0, NULL);
}

static void unsubscribe_other(probe *self, const emitter_event *event) {
  (void)event;
  self->status = emitter_unsubscribe(self->e, self->other);
}

/* S38: A's callback fires B, whose callback unsubscribes A. A cannot leave before B returns: nothing waits for it. */
static void a_callback_may_unsubscribe_an_outer_frame(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe a, b;
    probe_init(&a);
    probe_init(&b);
    emitter *e = open_mode(mode);
    subscribe_probe(e, &a);
    subscribe_probe(e, &b);
    a.other = b.id;
    a.then = fire_other;
    b.other = a.id;
    b.then = unsubscribe_other;
    CHECK(emitter_fire(e, a.id, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(b.status, ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_IN_FLIGHT);
    CHECK(a.inside_at_destroy, ==, 0);
    if (mode != EMITTER_MODE_RETURNS) CHECK(a.destroyed, ==, 1);
    if (mode != EMITTER_MODE_ONCE) CHECK(b.destroyed, ==, 0);
    close_ok(e);
    CHECK(a.calls, ==, 1);
    CHECK(b.calls, ==, 1);
    CHECK(a.destroyed, ==, 1);
  }
}

enum { DEPTH = 5 };
static void nest(probe *self, const emitter_event *event) {
  CHECK(emitter_in_flight(self->e), ==, event->a + 1);
  if (event->a + 1 < DEPTH)
    emitter_fire(self->e, self->id, 0, event->a + 1, 0, NULL);
  else
    self->status = emitter_unsubscribe(self->e, self->id);
  CHECK(destroyed_of(self), ==, 0);
}

/* S43 */
static void a_callback_may_nest_and_its_innermost_frame_unsubscribe_it(void) {
  static const uint32_t modes[] = {EMITTER_MODE_WAITS, EMITTER_MODE_RETURNS, EMITTER_MODE_DEFERRED, EMITTER_MODE_QUEUED,
                                   EMITTER_MODE_REPLACE, EMITTER_MODE_TABLE};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    about("mode", modes[i]);
    probe p;
    probe_init(&p);
    p.then = nest;
    emitter *e = open_mode(modes[i]);
    subscribe_probe(e, &p);
    CHECK(emitter_fire(e, p.id, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(p.calls, ==, DEPTH);
    CHECK(p.status, ==, EMITTER_IN_FLIGHT);
    CHECK(p.inside_at_destroy, ==, 0);
    CHECK(emitter_in_flight(e), ==, 0);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

/* S39 */
static void a_callback_may_unsubscribe_one_that_was_about_to_be_fired(void) {
  probe a, b;
  probe_init(&a);
  probe_init(&b);
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  subscribe_probe(e, &a);
  subscribe_probe(e, &b);
  a.other = b.id;
  a.then = unsubscribe_other;
  CHECK(emitter_fire(e, a.id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(a.status, ==, EMITTER_OK);
  CHECK(b.destroyed, ==, 1);
  CHECK(emitter_fire(e, b.id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
  CHECK(b.calls, ==, 0);
  close_ok(e);
}

enum { CROWD = 100 };
static probe crowd[CROWD];
static void subscribe_a_crowd(probe *self, const emitter_event *event) {
  (void)event;
  for (int i = 0; i < CROWD; i++) {
    probe_init(&crowd[i]);
    subscribe_probe(self->e, &crowd[i]);
    CHECK(emitter_fire(self->e, crowd[i].id, 0, 0, 0, NULL), ==, EMITTER_OK);
  }
}

/* S44: what the library keeps grows, and moves, under a call in flight. */
static void a_callback_may_subscribe_a_crowd(void) {
  probe p;
  probe_init(&p);
  p.then = subscribe_a_crowd;
  emitter *e = open_mode(EMITTER_MODE_DEFERRED);
  subscribe_probe(e, &p);
  intptr_t result = 0;
  CHECK(emitter_fire(e, p.id, 0, 243, 257, &result), ==, EMITTER_OK);
  CHECK(result, ==, 500);
  CHECK(emitter_live(e), ==, CROWD + 1);
  CHECK(p.destroyed, ==, 0);
  close_ok(e);
  for (int i = 0; i < CROWD; i++) {
    CHECK(crowd[i].calls, ==, 1);
    CHECK(crowd[i].destroyed, ==, 1);
  }
}

static void replace_self(probe *self, const emitter_event *event) {
  probe *next = self + 1;
  self->status = emitter_replace(event->source, event->subscription, record, next, destroyed);
  CHECK(destroyed_of(self), ==, 0);
}

/* S31, S32: the closure that is executing is not freed under itself. */
static void a_callback_may_replace_itself(void) {
  probe p[2];
  probe_init(&p[0]);
  probe_init(&p[1]);
  p[0].then = replace_self;
  emitter *e = open_mode(EMITTER_MODE_REPLACE);
  emitter_id id = subscribe_probe(e, &p[0]);
  CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(p[0].status, ==, EMITTER_OK);
  CHECK(p[0].destroyed, ==, 1);
  CHECK(p[0].inside_at_destroy, ==, 0);
  CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(p[0].calls, ==, 1);
  CHECK(p[1].calls, ==, 1);
  close_ok(e);
  CHECK(p[1].destroyed, ==, 1);
}

static probe born_late;
static void use_everything(probe *self) {
  emitter_id id = 0;
  CHECK(emitter_live(self->e), >=, 0);
  CHECK(emitter_fire(self->e, self->id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_unsubscribe(self->e, self->id), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_subscribe(self->e, record, &born_late, destroyed, &id), ==, EMITTER_OK);
  CHECK(emitter_fire(self->e, id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(emitter_barrier(self->e), ==, EMITTER_OK);
  self->status = emitter_close(self->e);
}

/* S46: on the unsubscriber's thread and on a caller's. */
static void a_destroy_notify_may_use_everything_but_close(void) {
  for (int inside = 0; inside < 2; inside++) {
    about("inside a call", inside);
    probe p;
    probe_init(&p);
    probe_init(&born_late);
    p.finally = use_everything;
    if (inside) p.then = unsubscribe_self;
    emitter *e = open_mode(EMITTER_MODE_DEFERRED);
    subscribe_probe(e, &p);
    CHECK(inside ? emitter_fire(e, p.id, 0, 0, 0, NULL) : emitter_unsubscribe(e, p.id), ==, EMITTER_OK);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.status, ==, EMITTER_CLOSING);
    CHECK(emitter_live(e), ==, 1);
    close_ok(e);
    CHECK(born_late.calls, ==, 1);
    CHECK(born_late.destroyed, ==, 1);
  }
}

static void close_self(probe *self, const emitter_event *event) {
  (void)event;
  self->status = emitter_close(self->e);
}

/* S45 */
static void closing_from_inside_is_refused_and_does_nothing(void) {
  for (int on_worker = 0; on_worker < 2; on_worker++) {
    about("on a library thread", on_worker);
    probe p;
    probe_init(&p);
    p.then = close_self;
    emitter_config config = config_of(EMITTER_MODE_WAITS);
    config.workers = 1;
    emitter *e = open_with(&config);
    emitter_id id = subscribe_probe(e, &p);
    intptr_t result = 0;
    emitter_status status = on_worker ? emitter_send(e, id, 0, 3, 4, &result) : emitter_fire(e, id, 0, 3, 4, &result);
    CHECK(status, ==, EMITTER_OK);
    CHECK(result, ==, 7);
    CHECK(p.status, ==, EMITTER_CLOSING);
    p.status = EMITTER_OK;
    CHECK(emitter_invoke(e, record, &p, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(p.status, ==, EMITTER_CLOSING);
    p.status = EMITTER_OK;
    CHECK(emitter_enumerate(e, record, &p, 0, 1, 0, NULL, NULL), ==, EMITTER_OK);
    CHECK(p.status, ==, EMITTER_CLOSING);
    CHECK(emitter_live(e), ==, 1);
    close_ok(e);
  }
}

/* Another emitter is another matter. */
static void a_callback_may_close_another_emitter(void) {
  probe p;
  probe_init(&p);
  p.then = close_self;
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  emitter_id id = subscribe_probe(e, &p);
  p.e = open_mode(EMITTER_MODE_WAITS);
  CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(p.status, ==, EMITTER_OK);
  close_ok(e);
}

static void use_everything_at_a_site(stage *self, uint32_t site) {
  emitter *e = self->e;
  if (e == NULL || site == EMITTER_STALL_WORKER_START) return; /* emitter_open has not answered yet */
  about("site", site);
  self->e = NULL; /* not again for what this does itself */
  emitter_live(e);
  emitter_in_flight(e);
  CHECK(emitter_unsubscribe(e, UINT64_MAX), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_fire(e, UINT64_MAX, 0, 0, 0, NULL), >=, EMITTER_NOT_FOUND);
  CHECK(emitter_close(e), ==, EMITTER_CLOSING);
  self->e = e;
}

/* A held lock would be taken twice here. Without library threads, so that the hook runs on this thread only. */
static void no_lock_is_held_at_any_stall_site(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    probe p;
    stage s;
    probe_init(&p);
    stage_init(&s, -1);
    emitter_config config = config_of(mode);
    config.stall = stall;
    config.stall_data = &s;
    s.e = open_with(&config);
    s.then = use_everything_at_a_site;
    subscribe_probe(s.e, &p);
    CHECK(emitter_fire(s.e, p.id, 0, 0, 0, NULL), ==, EMITTER_OK);
    emitter_unsubscribe(s.e, p.id);
    static const int sites[] = {EMITTER_STALL_BEFORE_LOAD, EMITTER_STALL_BEFORE_CALL, EMITTER_STALL_AFTER_CALL,
                                EMITTER_STALL_AFTER_COUNT};
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) CHECK(passed(&s, sites[i]), >, 0);
    CHECK(passed(&s, EMITTER_STALL_UNSUBSCRIBED), ==, mode == EMITTER_MODE_ONCE ? 0 : 1);
    close_ok(s.e);
    CHECK(passed(&s, EMITTER_STALL_BEFORE_NOTIFY), ==, 1);
    CHECK(s.last[EMITTER_STALL_BEFORE_NOTIFY], ==, p.id);
  }
}

const test inside_tests[] = {TEST(a_callback_may_unsubscribe_itself),
                             TEST(a_callback_may_unsubscribe_an_outer_frame),
                             TEST(a_callback_may_nest_and_its_innermost_frame_unsubscribe_it),
                             TEST(a_callback_may_unsubscribe_one_that_was_about_to_be_fired),
                             TEST(a_callback_may_subscribe_a_crowd),
                             TEST(a_callback_may_replace_itself),
                             TEST(a_destroy_notify_may_use_everything_but_close),
                             TEST(closing_from_inside_is_refused_and_does_nothing),
                             TEST(a_callback_may_close_another_emitter),
                             TEST(no_lock_is_held_at_any_stall_site),
                             {NULL, NULL}};
