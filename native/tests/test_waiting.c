/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Unsubscribing, replacing and closing against calls in flight on other threads, each order forced by parking a thread
 * at a stall site or in its callback.
 */
#include "support.h"

static bool waits(uint32_t mode) { return mode == EMITTER_MODE_WAITS || mode == EMITTER_MODE_TABLE; }

static emitter *open_staged(uint32_t mode, stage *s, int site) {
  stage_init(s, site);
  emitter_config config = config_of(mode);
  config.workers = 2;
  config.stall = stall;
  config.stall_data = s;
  return open_with(&config);
}

/* S17, S18: the difference between the modes, with a caller in the callback. */
static void unsubscribing_a_running_call_waits_or_says_in_flight(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    if (mode == EMITTER_MODE_ONCE) continue; /* has forgotten it by then */
    about("mode", mode);
    probe p;
    stage s;
    gate in;
    job caller, unsubscriber;
    probe_init(&p);
    gate_init(&in);
    p.stop = &in;
    emitter *e = open_staged(mode, &s, -1);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&in, 1);
    job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
    stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
    if (waits(mode)) {
      CHECK(job_waits(&unsubscriber), ==, true);
    } else {
      CHECK(job_join(&unsubscriber), ==, EMITTER_IN_FLIGHT); /* while the call is still inside */
    }
    CHECK(destroyed_of(&p), ==, 0);
    CHECK(emitter_in_flight(e), ==, 1);
    CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
    gate_open(&in);
    if (waits(mode)) {
      CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
      CHECK(unsubscriber.ended_at, >, p.ended_at);
      CHECK(destroyed_of(&p), ==, 1);
      CHECK(p.destroyed_at, <, unsubscriber.ended_at);
    }
    CHECK(job_join(&caller), ==, EMITTER_OK);
    CHECK(caller.result, ==, 500);
    if (mode == EMITTER_MODE_RETURNS)
      CHECK(p.destroyed, ==, 0);
    else
      CHECK(p.destroyed_at, >, p.ended_at);
    /* The last reference: the unsubscriber's when it waited, the caller's otherwise. */
    if (p.destroyed) CHECK(pthread_equal(p.destroyer, waits(mode) ? unsubscriber.thread : caller.thread), !=, 0);
    close_ok(e);
    CHECK(p.calls, ==, 1);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.inside_at_destroy, ==, 0);
  }
}

static void nowait_never_waits(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    if (mode == EMITTER_MODE_ONCE) continue;
    about("mode", mode);
    probe p;
    gate in;
    job caller;
    probe_init(&p);
    gate_init(&in);
    p.stop = &in;
    emitter *e = open_mode(mode);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&in, 1);
    CHECK(emitter_unsubscribe_nowait(e, id), ==, EMITTER_IN_FLIGHT);
    CHECK(destroyed_of(&p), ==, 0);
    gate_open(&in);
    CHECK(job_join(&caller), ==, EMITTER_OK);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.destroyed_at, >, p.ended_at);
  }
}

/* S26: "not after it returns" holds for the second of two unsubscribing threads, too. */
static void of_two_unsubscribers_one_finds_it_and_both_wait(void) {
  probe p;
  stage s;
  gate in;
  job caller, u[2];
  probe_init(&p);
  gate_init(&in);
  p.stop = &in;
  emitter *e = open_staged(EMITTER_MODE_WAITS, &s, -1);
  emitter_id id = subscribe_probe(e, &p);
  job_start(&caller, DO_FIRE, e, id);
  gate_await(&in, 1);
  job_start(&u[0], DO_UNSUBSCRIBE, e, id);
  stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
  job_start(&u[1], DO_UNSUBSCRIBE, e, id);
  CHECK(job_waits(&u[0]), ==, true);
  CHECK(job_waits(&u[1]), ==, true);
  gate_open(&in);
  CHECK(job_join(&u[0]), ==, EMITTER_OK);
  CHECK(job_join(&u[1]), ==, EMITTER_NOT_FOUND);
  job_join(&caller);
  CHECK(p.destroyed, ==, 1);
  for (int i = 0; i < 2; i++) CHECK(u[i].ended_at, >, p.destroyed_at);
  close_ok(e);
}

static void unsubscribe_self(probe *self, const emitter_event *event) {
  emitter_status status = emitter_unsubscribe(self->e, event->subscription);
  pthread_mutex_lock(&shared);
  CHECK(self->destroyed, ==, 0);
  if (status == EMITTER_IN_FLIGHT) self->result++;
  if (status == EMITTER_NOT_FOUND) self->result += 10;
  pthread_mutex_unlock(&shared);
}

/* Neither of two callbacks can return before the other, if each waits for the other: so neither does. */
static void two_threads_inside_may_both_unsubscribe(void) {
  probe p;
  gate in;
  job callers[2];
  probe_init(&p);
  gate_init(&in);
  p.stop = &in;
  p.then = unsubscribe_self;
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  emitter_id id = subscribe_probe(e, &p);
  for (int i = 0; i < 2; i++) job_start(&callers[i], DO_FIRE, e, id);
  gate_await(&in, 2);
  CHECK(emitter_in_flight(e), ==, 2);
  gate_open(&in);
  for (int i = 0; i < 2; i++) CHECK(job_join(&callers[i]), ==, EMITTER_OK);
  CHECK(p.result, ==, 11);
  CHECK(p.calls, ==, 2);
  CHECK(p.destroyed, ==, 1);
  CHECK(p.destroyed_at, >, p.ended_at);
  close_ok(e);
}

static void unsubscribe_self_and_meet(probe *self, const emitter_event *event) {
  stage *s = (stage *)event->owner;
  if (event->cookie == 1) {
    stage_await_passed(s, EMITTER_STALL_UNSUBSCRIBED, 1);
    yield_a_while(); /* the other one sleeps by now */
  } else {
    gate_await(self->stop, 2);
  }
  unsubscribe_self(self, event);
  pthread_mutex_lock(&shared);
  self->stop->arrived++;
  pthread_cond_broadcast(&self->stop->changed);
  while (self->stop->arrived < 4) pthread_cond_wait(&self->stop->changed, &shared);
  pthread_mutex_unlock(&shared);
}

/* Nor does one of them have to leave first: both unsubscribe, both go on, and they meet inside. */
static void two_threads_inside_may_both_unsubscribe_and_meet(void) {
  probe p;
  stage s;
  gate in;
  job other;
  probe_init(&p);
  stage_init(&s, -1);
  gate_init(&in);
  gate_open(&in); /* only counts */
  p.stop = &in;
  p.then = unsubscribe_self_and_meet;
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  config.stall = stall;
  config.stall_data = &s;
  config.owner = &s;
  emitter *e = open_with(&config);
  emitter_id id = subscribe_probe(e, &p);
  job_start(&other, DO_FIRE, e, id);
  gate_await(&in, 1);
  CHECK(emitter_fire(e, id, 1, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(job_join(&other), ==, EMITTER_OK);
  CHECK(p.destroyed, ==, 1);
  close_ok(e);
}

/* One more outside: it waits for both of them, although they do not wait for it or for each other. */
static void an_unsubscriber_outside_waits_for_those_inside(void) {
  probe p;
  stage s;
  gate in;
  job callers[2], outside;
  probe_init(&p);
  gate_init(&in);
  p.stop = &in;
  p.then = unsubscribe_self;
  emitter *e = open_staged(EMITTER_MODE_WAITS, &s, -1);
  emitter_id id = subscribe_probe(e, &p);
  for (int i = 0; i < 2; i++) job_start(&callers[i], DO_FIRE, e, id);
  gate_await(&in, 2);
  job_start(&outside, DO_UNSUBSCRIBE, e, id);
  stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
  CHECK(job_waits(&outside), ==, true);
  gate_open(&in);
  for (int i = 0; i < 2; i++) CHECK(job_join(&callers[i]), ==, EMITTER_OK);
  CHECK(job_join(&outside), ==, EMITTER_OK);
  CHECK(p.result, ==, 20);
  CHECK(p.destroyed, ==, 1);
  CHECK(outside.ended_at, >, p.ended_at);
  CHECK(outside.ended_at, >, p.destroyed_at);
  close_ok(e);
}

/* S19 */
static void unsubscribing_waits_for_its_own_calls_only(void) {
  probe stuck, idle;
  gate in;
  job caller;
  probe_init(&stuck);
  probe_init(&idle);
  gate_init(&in);
  stuck.stop = &in;
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  subscribe_probe(e, &stuck);
  subscribe_probe(e, &idle);
  job_start(&caller, DO_FIRE, e, stuck.id);
  gate_await(&in, 1);
  CHECK(emitter_unsubscribe(e, idle.id), ==, EMITTER_OK);
  CHECK(idle.destroyed, ==, 1);
  gate_open(&in);
  job_join(&caller);
  close_ok(e);
}

/* S24, S25 */
static void unsubscribing_waits_for_all_of_many_calls(void) {
  enum { MANY = 6 };
  probe p;
  stage s;
  gate in;
  job callers[MANY], unsubscriber;
  probe_init(&p);
  gate_init(&in);
  p.stop = &in;
  emitter *e = open_staged(EMITTER_MODE_WAITS, &s, -1);
  emitter_id id = subscribe_probe(e, &p);
  for (int i = 0; i < MANY; i++) job_start(&callers[i], DO_FIRE, e, id);
  gate_await(&in, MANY);
  CHECK(emitter_in_flight(e), ==, MANY);
  job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
  stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
  CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
  gate_open(&in);
  CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
  CHECK(p.inside, ==, 0);
  CHECK(p.calls, ==, MANY);
  for (int i = 0; i < MANY; i++) job_join(&callers[i]);
  CHECK(p.destroyed, ==, 1);
  close_ok(e);
}

/* S20: unsubscribe against a call, in either order of starting. The call has run before it returned, or never runs. */
static void unsubscribe_against_fire_is_either_or(void) {
  enum { ROUNDS = 300 };
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  for (int round = 0; round < ROUNDS; round++) {
    probe p;
    job caller, unsubscriber;
    probe_init(&p);
    emitter_id id = subscribe_probe(e, &p);
    job_start(round % 2 ? &caller : &unsubscriber, round % 2 ? DO_FIRE : DO_UNSUBSCRIBE, e, id);
    job_start(round % 2 ? &unsubscriber : &caller, round % 2 ? DO_UNSUBSCRIBE : DO_FIRE, e, id);
    CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
    bool called = job_join(&caller) == EMITTER_OK;
    CHECK(p.calls, ==, called ? 1 : 0);
    if (called) CHECK(p.ended_at, <, unsubscriber.ended_at);
    CHECK(p.destroyed, ==, 1);
  }
  close_ok(e);
}

/* S21: asked to fire, nothing loaded yet. Unsubscribing owes such a caller nothing. */
static void before_load_a_caller_is_not_waited_for_and_finds_nothing(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    stage s;
    job caller;
    probe_init(&p);
    emitter *e = open_staged(mode, &s, EMITTER_STALL_BEFORE_LOAD);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&s.parked, 1);
    CHECK(s.last[EMITTER_STALL_BEFORE_LOAD], ==, id);
    CHECK(emitter_in_flight(e), ==, 0);
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
    gate_open(&s.parked);
    CHECK(job_join(&caller), ==, EMITTER_NOT_FOUND);
    CHECK(caller.result, ==, 0);
    CHECK(p.calls, ==, 0);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

/* The window that timer_delete leaves open: loaded, unsubscribed, and only then called. */
static void before_call_the_call_still_starts_after_unsubscribe_returned(void) {
  for (uint32_t mode = EMITTER_MODE_RETURNS; mode <= EMITTER_MODE_REPLACE; mode++) {
    if (mode == EMITTER_MODE_ONCE) continue;
    about("mode", mode);
    probe p;
    stage s;
    job caller;
    probe_init(&p);
    emitter *e = open_staged(mode, &s, EMITTER_STALL_BEFORE_CALL);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&s.parked, 1);
    CHECK(emitter_in_flight(e), ==, 1);
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_IN_FLIGHT);
    CHECK(calls_of(&p), ==, 0);
    CHECK(destroyed_of(&p), ==, 0);
    gate_open(&s.parked);
    CHECK(job_join(&caller), ==, EMITTER_OK);
    CHECK(p.calls, ==, 1);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.destroyed_at, >, p.ended_at);
  }
}

static void before_call_and_after_call_unsubscribe_waits(void) {
  static const int sites[] = {EMITTER_STALL_BEFORE_CALL, EMITTER_STALL_AFTER_CALL};
  for (int i = 0; i < 2; i++) {
    about("site", sites[i]);
    probe p;
    stage s;
    job caller, unsubscriber;
    probe_init(&p);
    emitter *e = open_staged(EMITTER_MODE_WAITS, &s, sites[i]);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&s.parked, 1);
    CHECK(emitter_in_flight(e), ==, 1);
    job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
    stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
    CHECK(job_waits(&unsubscriber), ==, true);
    gate_open(&s.parked);
    CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
    CHECK(unsubscriber.ended_at, >, p.ended_at);
    job_join(&caller);
    CHECK(p.calls, ==, 1);
    close_ok(e);
  }
}

/* S22: counted out, not gone yet. */
static void after_count_nothing_is_in_flight(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    stage s;
    job caller;
    probe_init(&p);
    emitter *e = open_staged(mode, &s, EMITTER_STALL_AFTER_COUNT);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&s.parked, 1);
    CHECK(s.last[EMITTER_STALL_AFTER_COUNT], ==, id);
    CHECK(emitter_in_flight(e), ==, 0);
    if (mode == EMITTER_MODE_ONCE)
      CHECK(destroyed_of(&p), ==, 0); /* due, and not served yet */
    else
      CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
    gate_open(&s.parked);
    job_join(&caller);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

/* A waiter that sleeps already is not woken before AFTER_COUNT is passed. */
static void after_count_waiters_are_not_served_yet(void) {
  probe p;
  stage s;
  gate in;
  job caller, unsubscriber;
  probe_init(&p);
  gate_init(&in);
  p.stop = &in;
  emitter *e = open_staged(EMITTER_MODE_WAITS, &s, EMITTER_STALL_AFTER_COUNT);
  emitter_id id = subscribe_probe(e, &p);
  job_start(&caller, DO_FIRE, e, id);
  gate_await(&in, 1);
  job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
  stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
  yield_a_while();
  gate_open(&in);
  gate_await(&s.parked, 1);
  CHECK(emitter_in_flight(e), ==, 0);
  gate_open(&s.parked);
  CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
  CHECK(pthread_equal(p.destroyer, unsubscriber.thread), !=, 0);
  job_join(&caller);
  close_ok(e);
}

static void before_notify_the_notify_has_not_run(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    stage s;
    job unsubscriber;
    probe_init(&p);
    emitter *e = open_staged(mode, &s, EMITTER_STALL_BEFORE_NOTIFY);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&unsubscriber, mode == EMITTER_MODE_RETURNS ? DO_CLOSE : DO_UNSUBSCRIBE, e, id);
    gate_await(&s.parked, 1);
    CHECK(s.last[EMITTER_STALL_BEFORE_NOTIFY], ==, id);
    CHECK(destroyed_of(&p), ==, 0);
    CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==,
          mode == EMITTER_MODE_RETURNS ? EMITTER_CLOSING : EMITTER_NOT_FOUND);
    gate_open(&s.parked);
    CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
    CHECK(p.destroyed, ==, 1);
    if (mode != EMITTER_MODE_RETURNS) close_ok(e);
  }
}

static void at_unsubscribed_no_call_starts_any_more(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    stage s;
    job unsubscriber;
    probe_init(&p);
    emitter *e = open_staged(mode, &s, EMITTER_STALL_UNSUBSCRIBED);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
    gate_await(&s.parked, 1);
    CHECK(s.last[EMITTER_STALL_UNSUBSCRIBED], ==, id);
    CHECK(emitter_live(e), ==, 0);
    CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
    CHECK(emitter_send(e, id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
    CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_NOT_FOUND);
    CHECK(destroyed_of(&p), ==, 0);
    gate_open(&s.parked);
    CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
    close_ok(e);
    CHECK(p.calls, ==, 0);
    CHECK(p.destroyed, ==, 1);
  }
}

/* The notify of a call that unsubscribed itself runs on that caller's thread. A thread that unsubscribes meanwhile
 * finds nothing, and still must not return while user_data is still being destroyed. */
static void unsubscribing_what_is_being_destroyed_waits_for_that(void) {
  probe p;
  stage s;
  job caller, unsubscriber;
  probe_init(&p);
  p.then = unsubscribe_self;
  emitter *e = open_staged(EMITTER_MODE_WAITS, &s, EMITTER_STALL_BEFORE_NOTIFY);
  emitter_id id = subscribe_probe(e, &p);
  job_start(&caller, DO_FIRE, e, id);
  gate_await(&s.parked, 1);
  job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
  CHECK(job_waits(&unsubscriber), ==, true);
  gate_open(&s.parked);
  CHECK(job_join(&unsubscriber), ==, EMITTER_NOT_FOUND);
  CHECK(p.destroyed, ==, 1);
  CHECK(unsubscriber.ended_at, >, p.destroyed_at);
  job_join(&caller);
  close_ok(e);
}

/* S31 */
static void replacing_leaves_a_running_call_its_own_user_data(void) {
  static const int sites[] = {EMITTER_STALL_BEFORE_CALL, EMITTER_STALL_AFTER_CALL};
  for (int i = 0; i < 2; i++) {
    about("site", sites[i]);
    probe old_one, new_one;
    stage s;
    job caller;
    probe_init(&old_one);
    probe_init(&new_one);
    emitter *e = open_staged(EMITTER_MODE_REPLACE, &s, sites[i]);
    emitter_id id = subscribe_probe(e, &old_one);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&s.parked, 1);
    CHECK(emitter_replace(e, id, record, &new_one, destroyed), ==, EMITTER_OK);
    CHECK(destroyed_of(&old_one), ==, 0);
    CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(calls_of(&new_one), ==, 1);
    /* Gone altogether, with the old pair's call still in flight. */
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_IN_FLIGHT);
    CHECK(destroyed_of(&new_one), ==, 1);
    gate_open(&s.parked);
    job_join(&caller);
    CHECK(old_one.calls, ==, 1);
    CHECK(old_one.destroyed, ==, 1);
    CHECK(old_one.destroyed_at, >, old_one.ended_at);
    close_ok(e);
    CHECK(new_one.destroyed, ==, 1);
  }
}

static intptr_t even(void *user_data, const emitter_event *event) {
  probe *p = (probe *)user_data;
  CHECK(p->other, ==, 0);
  return record(user_data, event);
}
static intptr_t odd(void *user_data, const emitter_event *event) {
  probe *p = (probe *)user_data;
  CHECK(p->other, ==, 1);
  return record(user_data, event);
}

/* S31, with calls pouring in: never one pair's callback with the other's data. */
static void replacing_under_fire_never_mixes_pairs(void) {
  enum { PAIRS = 200, THREADS = 2 };
  static probe p[PAIRS];
  job callers[THREADS];
  emitter_id id = 0;
  emitter *e = open_mode(EMITTER_MODE_REPLACE);
  for (int i = 0; i < PAIRS; i++) {
    probe_init(&p[i]);
    p[i].other = (emitter_id)(i % 2);
  }
  CHECK(emitter_subscribe(e, even, &p[0], destroyed, &id), ==, EMITTER_OK);
  for (int i = 1; i < PAIRS; i++) {
    for (int t = 0; t < THREADS; t++) job_start(&callers[t], DO_FIRE, e, id);
    CHECK(emitter_replace(e, id, i % 2 ? odd : even, &p[i], destroyed), ==, EMITTER_OK);
    for (int t = 0; t < THREADS; t++) CHECK(job_join(&callers[t]), ==, EMITTER_OK);
  }
  close_ok(e);
  int calls = 0;
  for (int i = 0; i < PAIRS; i++) {
    calls += p[i].calls;
    CHECK(p[i].destroyed, ==, 1);
    CHECK(p[i].inside_at_destroy, ==, 0);
  }
  CHECK(calls, ==, (PAIRS - 1) * THREADS);
}

/* S27, S28, S93: what closing refuses, and which threads it waits for: a thread parked anywhere inside the library. */
static void closing_waits_for_whoever_is_inside_and_refuses_the_rest(void) {
  static const int sites[] = {EMITTER_STALL_BEFORE_LOAD, EMITTER_STALL_BEFORE_CALL, EMITTER_STALL_AFTER_CALL,
                              EMITTER_STALL_AFTER_COUNT};
  for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
    about("site", sites[i]);
    probe p;
    stage s;
    job caller, closer;
    probe_init(&p);
    emitter *e = open_staged(EMITTER_MODE_REPLACE, &s, sites[i]);
    emitter_id id = subscribe_probe(e, &p), refused = 99;
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&s.parked, 1);
    job_start(&closer, DO_CLOSE, e, id);
    /* A thread that is refused leaves at once, so the emitter cannot go while the caller is parked. */
    while (emitter_post(e, id, 0, 0, 0) != EMITTER_CLOSING) yield_a_while();
    CHECK(emitter_subscribe(e, record, &p, destroyed, &refused), ==, EMITTER_CLOSING);
    CHECK(refused, ==, 0);
    CHECK(emitter_replace(e, id, record, &p, destroyed), ==, EMITTER_CLOSING);
    CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_CLOSING);
    CHECK(emitter_send(e, id, 0, 0, 0, NULL), ==, EMITTER_CLOSING);
    CHECK(emitter_invoke(e, record, &p, 0, 0, 0, NULL), ==, EMITTER_CLOSING);
    CHECK(emitter_enumerate(e, record, &p, 0, 1, 0, NULL, NULL), ==, EMITTER_CLOSING);
    CHECK(emitter_close(e), ==, EMITTER_CLOSING);
    CHECK(job_waits(&closer), ==, true);
    CHECK(destroyed_of(&p), ==, 0);
    gate_open(&s.parked);
    CHECK(job_join(&closer), ==, EMITTER_OK);
    CHECK(job_join(&caller), ==, sites[i] == EMITTER_STALL_BEFORE_LOAD ? EMITTER_CLOSING : EMITTER_OK);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.destroyed_at, >, p.ended_at);
  }
}

/* Unsubscribing is not refused while closing: its notify comes once, from one of the two. */
static void unsubscribing_while_closing_still_works(void) {
  probe a, b, asked;
  gate in;
  job caller, closer;
  probe_init(&a);
  probe_init(&b);
  probe_init(&asked);
  gate_init(&in);
  a.stop = &in;
  emitter_config config = config_of(EMITTER_MODE_DEFERRED);
  config.workers = 1; /* to ask, by posting, whether closing has begun */
  emitter *e = open_with(&config);
  subscribe_probe(e, &a);
  subscribe_probe(e, &b);
  subscribe_probe(e, &asked);
  job_start(&caller, DO_FIRE, e, a.id);
  gate_await(&in, 1);
  job_start(&closer, DO_CLOSE, e, 0);
  while (emitter_post(e, asked.id, 0, 0, 0) != EMITTER_CLOSING) yield_a_while();
  CHECK(emitter_unsubscribe(e, a.id), ==, EMITTER_IN_FLIGHT);
  CHECK(emitter_unsubscribe(e, b.id), ==, EMITTER_OK);
  gate_open(&in);
  CHECK(job_join(&closer), ==, EMITTER_OK);
  job_join(&caller);
  CHECK(a.destroyed, ==, 1);
  CHECK(b.destroyed, ==, 1);
}

const test waiting_tests[] = {TEST(unsubscribing_a_running_call_waits_or_says_in_flight),
                              TEST(nowait_never_waits),
                              TEST(of_two_unsubscribers_one_finds_it_and_both_wait),
                              TEST(two_threads_inside_may_both_unsubscribe),
                              TEST(two_threads_inside_may_both_unsubscribe_and_meet),
                              TEST(an_unsubscriber_outside_waits_for_those_inside),
                              TEST(unsubscribing_waits_for_its_own_calls_only),
                              TEST(unsubscribing_waits_for_all_of_many_calls),
                              TEST(unsubscribe_against_fire_is_either_or),
                              TEST(before_load_a_caller_is_not_waited_for_and_finds_nothing),
                              TEST(before_call_the_call_still_starts_after_unsubscribe_returned),
                              TEST(before_call_and_after_call_unsubscribe_waits),
                              TEST(after_count_nothing_is_in_flight),
                              TEST(after_count_waiters_are_not_served_yet),
                              TEST(before_notify_the_notify_has_not_run),
                              TEST(at_unsubscribed_no_call_starts_any_more),
                              TEST(unsubscribing_what_is_being_destroyed_waits_for_that),
                              TEST(replacing_leaves_a_running_call_its_own_user_data),
                              TEST(replacing_under_fire_never_mixes_pairs),
                              TEST(closing_waits_for_whoever_is_inside_and_refuses_the_rest),
                              TEST(unsubscribing_while_closing_still_works),
                              {NULL, NULL}};
