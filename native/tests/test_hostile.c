/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The hostile switches: each does what its name says, and nothing else. (FIRE_ATEXIT is in test_ending.c.)
 */
#include "support.h"

static emitter *open_hostile(uint32_t mode, uint32_t hostile, uint32_t workers, stage *s, int site) {
  emitter_config config = config_of(mode);
  config.hostile = hostile;
  config.workers = workers;
  if (s != NULL) {
    stage_init(s, site);
    config.stall = stall;
    config.stall_data = s;
  }
  return open_with(&config);
}

/* S04, S05, S35 */
static void late_calls_what_was_unsubscribed(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_LATE, 1, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
    CHECK(emitter_live(e), ==, 0);
    intptr_t result = 0;
    CHECK(emitter_fire(e, id, 5, 243, 257, &result), ==, EMITTER_OK);
    CHECK(result, ==, 500);
    CHECK(p.event.subscription, ==, id);
    CHECK(p.event.cookie, ==, 5);
    CHECK(emitter_send(e, id, 0, 1, 1, &result), ==, EMITTER_OK);
    CHECK(result, ==, 2);
    CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
    CHECK(emitter_barrier(e), ==, EMITTER_OK);
    CHECK(calls_of(&p), ==, 3);
    /* Late, but not confused: it is still unsubscribed, and notified once. */
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_NOT_FOUND);
    CHECK(emitter_fire(e, id + 1, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

/* What is dead and kept takes no place. */
static void late_subscriptions_do_not_count_towards_capacity(void) {
  probe p;
  probe_init(&p);
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  config.hostile = EMITTER_HOSTILE_LATE;
  config.capacity = 1;
  emitter *e = open_with(&config);
  for (int i = 0; i < 3; i++) {
    subscribe_probe(e, &p);
    CHECK(emitter_unsubscribe(e, p.id), ==, EMITTER_OK);
  }
  close_ok(e);
}

static void late_delivers_what_was_posted_before_unsubscribing(void) {
  probe p;
  stage s;
  probe_init(&p);
  emitter *e = open_hostile(EMITTER_MODE_WAITS, EMITTER_HOSTILE_LATE, 1, &s, EMITTER_STALL_POPPED);
  emitter_id id = subscribe_probe(e, &p);
  CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
  gate_await(&s.parked, 1);
  CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
  gate_open(&s.parked);
  CHECK(emitter_barrier(e), ==, EMITTER_OK);
  CHECK(calls_of(&p), ==, 1);
  close_ok(e);
}

/* S01's late half: an enumeration that keeps what it was lent. */
static void late_enumerations_keep_the_pair(void) {
  probe p;
  probe_init(&p);
  emitter *e = open_hostile(EMITTER_MODE_SCOPED, EMITTER_HOSTILE_LATE, 0, NULL, -1);
  size_t calls = 0;
  emitter_id kept = 0;
  CHECK(emitter_enumerate(e, record, &p, 0, 3, 1, &calls, &kept), ==, EMITTER_OK);
  CHECK(calls, ==, 3);
  CHECK(kept, !=, 0);
  CHECK(p.event.subscription, ==, 0);
  CHECK(emitter_live(e), ==, 0);
  intptr_t result = 0;
  CHECK(emitter_fire(e, kept, 0, 243, 257, &result), ==, EMITTER_OK);
  CHECK(result, ==, 500);
  CHECK(p.event.subscription, ==, kept);
  CHECK(emitter_unsubscribe(e, kept), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_enumerate(e, record, &p, 0, 1, 1, NULL, NULL), ==, EMITTER_OK);
  kept = 99;
  CHECK(emitter_enumerate(NULL, record, &p, 0, 1, 1, NULL, &kept), ==, EMITTER_OK);
  CHECK(kept, ==, 0); /* no callback was there to keep */
  close_ok(e);
  CHECK(p.calls, ==, 6);
}

/* S51 */
static void twice_calls_twice(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    p.counting = true;
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_TWICE, 1, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    intptr_t result = 0;
    CHECK(emitter_fire(e, id, 0, 243, 257, &result), ==, EMITTER_OK);
    CHECK(p.calls, ==, 2);
    CHECK(result, ==, 502); /* the second call's */
    CHECK(emitter_send(e, id, 0, 0, 0, NULL), ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_OK);
    CHECK(p.calls, ==, mode == EMITTER_MODE_ONCE ? 2 : 4);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.inside_at_destroy, ==, 0);
  }
}

/* S50: three threads are in the callback at once. */
static void concurrent_calls_on_three_threads_at_once(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    stage s;
    gate in;
    job caller;
    probe_init(&p);
    gate_init(&in);
    p.stop = &in;
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_CONCURRENT, 0, &s, -1);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&in, 3);
    CHECK(emitter_in_flight(e), ==, 3);
    gate_open(&in);
    CHECK(job_join(&caller), ==, EMITTER_OK);
    CHECK(caller.result, ==, 500);
    CHECK(p.calls, ==, 3);
    CHECK(p.most_inside, ==, 3);
    CHECK(emitter_in_flight(e), ==, 0);
    CHECK(passed(&s, EMITTER_STALL_WORKER_START), ==, 2);
    CHECK(passed(&s, EMITTER_STALL_WORKER_EXIT), ==, 2);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.inside_at_destroy, ==, 0);
  }
}

static void unsubscribe_from_the_callback(probe *self, const emitter_event *event) {
  emitter_unsubscribe(event->source, event->subscription);
  CHECK(destroyed_of(self), ==, 0);
}

static void concurrent_calls_may_all_unsubscribe_and_nest(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    p.then = unsubscribe_from_the_callback;
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_CONCURRENT | EMITTER_HOSTILE_TWICE, 1, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    CHECK(emitter_send(e, id, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(p.calls, ==, 6);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

static void wait_or_unsubscribe(probe *self, const emitter_event *event) {
  if (!pthread_equal(pthread_self(), self->destroyer)) {
    emitter_unsubscribe(event->source, event->subscription);
    return;
  }
  stage_await_passed((stage *)event->owner, EMITTER_STALL_UNSUBSCRIBED, 1);
  yield_a_while();
}

/* A library thread waits for the firing thread's call; that call ends, and the firing thread waits for the library
 * thread: counting out has to wake the one before the other sleeps. */
static void concurrent_calls_may_wait_for_the_firing_thread(void) {
  probe p;
  stage s;
  probe_init(&p);
  stage_init(&s, -1);
  p.then = wait_or_unsubscribe;
  p.destroyer = pthread_self();
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  config.hostile = EMITTER_HOSTILE_CONCURRENT;
  config.owner = &s;
  config.stall = stall;
  config.stall_data = &s;
  emitter *e = open_with(&config);
  subscribe_probe(e, &p);
  CHECK(emitter_fire(e, p.id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(p.destroyed, ==, 1);
  close_ok(e);
}

static void fire_once_more(probe *self, const emitter_event *event) {
  bool outermost = pthread_equal(pthread_self(), self->destroyer);
  if (event->a == 1 && outermost) emitter_fire(self->e, self->id, 0, 0, 0, NULL);
  if (event->a == 0 && !outermost) emitter_unsubscribe(self->e, self->id);
}

/* The outer frame's thread waits for the inner fire's library threads, so they must not wait for the outer frame. */
static void concurrent_calls_may_unsubscribe_an_outer_frame(void) {
  probe p;
  probe_init(&p);
  p.then = fire_once_more;
  p.destroyer = pthread_self();
  emitter *e = open_hostile(EMITTER_MODE_WAITS, EMITTER_HOSTILE_CONCURRENT, 0, NULL, -1);
  subscribe_probe(e, &p);
  CHECK(emitter_fire(e, p.id, 0, 1, 0, NULL), ==, EMITTER_OK);
  CHECK(p.destroyed, ==, 1);
  CHECK(p.inside_at_destroy, ==, 0);
  close_ok(e);
}

/* S47's opposite */
static void notify_early_runs_while_a_call_is_inside(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    if (mode == EMITTER_MODE_ONCE) continue;
    about("mode", mode);
    probe p;
    gate in;
    job caller, unsubscriber;
    probe_init(&p);
    gate_init(&in);
    p.stop = &in;
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_NOTIFY_EARLY, 0, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    gate_await(&in, 1);
    job_start(&unsubscriber, DO_UNSUBSCRIBE, e, id);
    while (destroyed_of(&p) == 0) yield_a_while();
    CHECK(p.inside_at_destroy, ==, 1);
    CHECK(pthread_equal(p.destroyer, unsubscriber.thread), !=, 0);
    gate_open(&in);
    bool waits = mode == EMITTER_MODE_WAITS || mode == EMITTER_MODE_TABLE;
    emitter_status status = job_join(&unsubscriber);
    if (waits) CHECK(status, ==, EMITTER_OK);
    job_join(&caller);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.calls, ==, 1);
  }
}

static void notify_twice_and_never_do(void) {
  static const uint32_t switches[][2] = {{EMITTER_HOSTILE_NOTIFY_TWICE, 2},
                                         {EMITTER_HOSTILE_NOTIFY_NEVER, 0},
                                         {EMITTER_HOSTILE_NOTIFY_EARLY | EMITTER_HOSTILE_NOTIFY_TWICE, 2},
                                         {EMITTER_HOSTILE_NOTIFY_EARLY | EMITTER_HOSTILE_NOTIFY_NEVER, 0},
                                         {EMITTER_HOSTILE_NOTIFY_TWICE | EMITTER_HOSTILE_NOTIFY_NEVER, 0}};
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
      about("mode and switches", mode * 10000 + switches[i][0]);
      probe unsubscribed, closed, fired;
      probe_init(&unsubscribed);
      probe_init(&closed);
      probe_init(&fired);
      emitter *e = open_hostile(mode, switches[i][0], 0, NULL, -1);
      subscribe_probe(e, &unsubscribed);
      subscribe_probe(e, &closed);
      subscribe_probe(e, &fired);
      CHECK(emitter_unsubscribe(e, unsubscribed.id), ==, EMITTER_OK);
      CHECK(emitter_fire(e, fired.id, 0, 0, 0, NULL), ==, EMITTER_OK);
      emitter_unsubscribe(e, fired.id);
      close_ok(e);
      CHECK(unsubscribed.destroyed, ==, switches[i][1]);
      CHECK(closed.destroyed, ==, switches[i][1]);
      CHECK(fired.destroyed, ==, switches[i][1]);
    }
  }
}

/* S47 */
static void notify_before_drain_leaves_deliveries_behind(void) {
  probe p;
  stage s;
  probe_init(&p);
  emitter *e = open_hostile(EMITTER_MODE_QUEUED, EMITTER_HOSTILE_NOTIFY_BEFORE_DRAIN, 1, &s, EMITTER_STALL_POPPED);
  emitter_id id = subscribe_probe(e, &p);
  for (int i = 0; i < 3; i++) CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
  gate_await(&s.parked, 1);
  CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
  CHECK(destroyed_of(&p), ==, 1);
  CHECK(calls_of(&p), ==, 0);
  gate_open(&s.parked);
  CHECK(emitter_barrier(e), ==, EMITTER_OK);
  CHECK(calls_of(&p), ==, 3);
  close_ok(e);
  CHECK(p.destroyed, ==, 1);
}

/* S35, S49: live and dead, once each, after their destroy notifies. */
static void fire_on_close_fires_all_it_ever_knew(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe dead, live;
    probe_init(&dead);
    probe_init(&live);
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_FIRE_ON_CLOSE, 1, NULL, -1);
    subscribe_probe(e, &dead);
    subscribe_probe(e, &live);
    CHECK(emitter_unsubscribe(e, dead.id), ==, EMITTER_OK);
    CHECK(emitter_fire(e, dead.id, 9, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
    CHECK(dead.calls, ==, 0);
    close_ok(e);
    probe *const both[] = {&dead, &live};
    for (int i = 0; i < 2; i++) {
      CHECK(both[i]->calls, ==, 1);
      CHECK(both[i]->event.cookie, ==, 0);
      CHECK(both[i]->event.subscription, ==, both[i]->id);
      CHECK(both[i]->destroyed, ==, 1);
      CHECK(both[i]->ended_at, >, both[i]->destroyed_at);
      CHECK(pthread_equal(both[i]->thread, pthread_self()), !=, 0);
    }
  }
}

static void use_everything(probe *self, const emitter_event *event) {
  emitter_id id;
  emitter *e = event->source;
  CHECK(emitter_fire(e, event->subscription, 0, 0, 0, NULL), ==, EMITTER_CLOSING);
  CHECK(emitter_subscribe(e, record, self, NULL, &id), ==, EMITTER_CLOSING);
  CHECK(emitter_unsubscribe(e, event->subscription), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_close(e), ==, EMITTER_CLOSING);
  CHECK(emitter_live(e), ==, 0);
  CHECK(emitter_in_flight(e), >=, 1);
}

/* S57 */
static void fire_tls_destructor_fires_from_each_library_thread(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe dead, live;
    stage s;
    probe_init(&dead);
    probe_init(&live);
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_FIRE_TLS_DESTRUCTOR, 2, &s, -1);
    subscribe_probe(e, &dead);
    subscribe_probe(e, &live);
    live.then = use_everything;
    CHECK(emitter_unsubscribe(e, dead.id), ==, EMITTER_OK);
    CHECK(emitter_post(e, dead.id, 0, 0, 0), ==, EMITTER_NOT_FOUND);
    close_ok(e);
    probe *const both[] = {&dead, &live};
    for (int i = 0; i < 2; i++) {
      CHECK(both[i]->calls, ==, 2);
      CHECK(both[i]->event.cookie, ==, 0);
      CHECK(both[i]->destroyed, ==, 1);
      CHECK(both[i]->ended_at, >, both[i]->destroyed_at);
      CHECK(pthread_equal(both[i]->thread, pthread_self()), ==, 0);
    }
    CHECK(passed(&s, EMITTER_STALL_WORKER_EXIT), ==, 2);
  }
}

/* S96 */
static void wrong_user_data_is_the_next_subscriptions(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    if (mode == EMITTER_MODE_ONCE) continue; /* each fire would leave one fewer */
    about("mode", mode);
    probe p[3];
    emitter *e = open_hostile(mode, EMITTER_HOSTILE_WRONG_USER_DATA, 1, NULL, -1);
    for (int i = 0; i < 3; i++) {
      probe_init(&p[i]);
      subscribe_probe(e, &p[i]);
    }
    for (int i = 0; i < 3; i++) {
      probe *next = &p[(i + 1) % 3];
      CHECK(emitter_send(e, p[i].id, 0, 0, 0, NULL), ==, EMITTER_OK);
      CHECK(calls_of(next), ==, 1);
      CHECK(next->event.subscription, ==, p[i].id);
      CHECK(next->event.user_data_of, ==, next->id);
      next->calls = 0;
    }
    emitter_unsubscribe(e, p[1].id);
    CHECK(emitter_fire(e, p[0].id, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(p[2].calls, ==, 1);
    emitter_unsubscribe(e, p[0].id);
    CHECK(emitter_fire(e, p[2].id, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(p[2].calls, ==, 2);
    CHECK(p[2].event.user_data_of, ==, p[2].id); /* the only one */
    close_ok(e);
    for (int i = 0; i < 3; i++) CHECK(p[i].destroyed, ==, 1);
  }
}

/* The switch mixes up, it is not late as well: a lent user_data is in use. */
static void wrong_user_data_is_not_destroyed_while_it_is_lent(void) {
  static const uint32_t modes[] = {EMITTER_MODE_WAITS, EMITTER_MODE_DEFERRED};
  for (int i = 0; i < 2; i++) {
    about("mode", modes[i]);
    probe fired, lender;
    stage s;
    job caller, unsubscriber;
    probe_init(&fired);
    probe_init(&lender);
    emitter *e = open_hostile(modes[i], EMITTER_HOSTILE_WRONG_USER_DATA, 0, &s, EMITTER_STALL_BEFORE_CALL);
    subscribe_probe(e, &fired);
    subscribe_probe(e, &lender);
    job_start(&caller, DO_FIRE, e, fired.id);
    gate_await(&s.parked, 1);
    job_start(&unsubscriber, DO_UNSUBSCRIBE, e, lender.id);
    stage_await_passed(&s, EMITTER_STALL_UNSUBSCRIBED, 1);
    yield_a_while();
    CHECK(destroyed_of(&lender), ==, 0);
    if (i == 1) CHECK(job_join(&unsubscriber), ==, EMITTER_IN_FLIGHT);
    gate_open(&s.parked);
    if (i == 0) CHECK(job_join(&unsubscriber), ==, EMITTER_OK);
    job_join(&caller);
    CHECK(lender.calls, ==, 1);
    CHECK(lender.destroyed, ==, 1);
    CHECK(lender.destroyed_at, >, lender.ended_at);
    close_ok(e);
  }
}

static void unsubscribe_whoever_it_is(probe *self, const emitter_event *event) {
  (void)self;
  emitter_unsubscribe(event->source, event->subscription);
}

/* Any two switches together: no crash, no hang, no leak, and destroy notifies as often as those switches say. */
static void any_two_switches_go_together(void) {
  const uint32_t switches = 11;
  for (uint32_t mode = EMITTER_MODE_SCOPED; mode <= EMITTER_MODE_TABLE; mode++) {
    for (uint32_t one = 0; one < switches; one++) {
      for (uint32_t two = one; two < switches; two++) {
        uint32_t hostile = (1u << one) | (1u << two);
        if (hostile & EMITTER_HOSTILE_FIRE_ATEXIT) continue; /* would fire these probes when the test program ends */
        about("mode and switches", mode * 10000 + hostile);
        probe p[3];
        emitter *e = open_hostile(mode, hostile, 1, NULL, -1);
        for (int i = 0; i < 3; i++) {
          probe_init(&p[i]);
          if (mode != EMITTER_MODE_SCOPED) subscribe_probe(e, &p[i]);
        }
        p[0].then = unsubscribe_whoever_it_is;
        emitter_fire(e, p[0].id, 0, 0, 0, NULL);
        emitter_post(e, p[1].id, 0, 0, 0);
        emitter_unsubscribe(e, p[1].id);
        emitter_send(e, p[2].id, 0, 0, 0, NULL);
        bool replaced = emitter_replace(e, p[2].id, record, &p[2], destroyed) == EMITTER_OK;
        emitter_enumerate(e, record, &p[2], 0, 2, 0, NULL, NULL);
        emitter_barrier(e);
        p[0].then = NULL;
        close_ok(e);
        if (mode == EMITTER_MODE_SCOPED) continue;
        int times = hostile & EMITTER_HOSTILE_NOTIFY_NEVER ? 0 : hostile & EMITTER_HOSTILE_NOTIFY_TWICE ? 2 : 1;
        CHECK(p[0].destroyed, ==, times);
        CHECK(p[1].destroyed, ==, times);
        CHECK(p[2].destroyed, ==, replaced ? 2 * times : times);
      }
    }
  }
}

const test hostile_tests[] = {TEST(late_calls_what_was_unsubscribed),
                              TEST(late_subscriptions_do_not_count_towards_capacity),
                              TEST(late_delivers_what_was_posted_before_unsubscribing),
                              TEST(late_enumerations_keep_the_pair),
                              TEST(twice_calls_twice),
                              TEST(concurrent_calls_on_three_threads_at_once),
                              TEST(concurrent_calls_may_all_unsubscribe_and_nest),
                              TEST(concurrent_calls_may_wait_for_the_firing_thread),
                              TEST(concurrent_calls_may_unsubscribe_an_outer_frame),
                              TEST(notify_early_runs_while_a_call_is_inside),
                              TEST(notify_twice_and_never_do),
                              TEST(notify_before_drain_leaves_deliveries_behind),
                              TEST(fire_on_close_fires_all_it_ever_knew),
                              TEST(fire_tls_destructor_fires_from_each_library_thread),
                              TEST(wrong_user_data_is_the_next_subscriptions),
                              TEST(wrong_user_data_is_not_destroyed_while_it_is_lent),
                              TEST(any_two_switches_go_together),
                              {NULL, NULL}};
