/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Library threads: sending, posting, what is pending when its subscription goes, and the barrier.
 */
#include "support.h"

static emitter *open_queue(uint32_t mode, uint32_t workers, stage *s, int site) {
  emitter_config config = config_of(mode);
  config.workers = workers;
  if (s != NULL) {
    stage_init(s, site);
    config.stall = stall;
    config.stall_data = s;
  }
  return open_with(&config);
}

static void a_send_runs_on_a_library_thread_and_brings_the_result_back(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    emitter *e = open_queue(mode, 2, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    intptr_t result = 0;
    CHECK(emitter_send(e, id, 0, 243, 257, &result), ==, EMITTER_OK);
    CHECK(result, ==, 500);
    CHECK(pthread_equal(p.thread, pthread_self()), ==, 0);
    if (mode == EMITTER_MODE_ONCE) CHECK(p.destroyed, ==, 1);
    close_ok(e);
  }
}

static void send_again_and_wait(probe *self, const emitter_event *event) {
  (void)event;
  self->status = emitter_barrier(self->e);
  self->result = (intptr_t)emitter_send(self->e, self->other, 0, 0, 0, NULL);
}

/* With one library thread, that waits for itself otherwise. */
static void from_a_library_thread_send_is_fire_and_barrier_is_refused(void) {
  probe a, b;
  probe_init(&a);
  probe_init(&b);
  emitter *e = open_queue(EMITTER_MODE_WAITS, 1, NULL, -1);
  subscribe_probe(e, &a);
  subscribe_probe(e, &b);
  a.other = b.id;
  a.then = send_again_and_wait;
  CHECK(emitter_send(e, a.id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(a.status, ==, EMITTER_WRONG_MODE);
  CHECK(a.result, ==, EMITTER_OK);
  CHECK(b.calls, ==, 1);
  CHECK(pthread_equal(a.thread, b.thread), !=, 0);
  /* On another thread, inside a callback, both are what they always are. */
  CHECK(emitter_fire(e, a.id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(a.status, ==, EMITTER_OK);
  CHECK(pthread_equal(a.thread, b.thread), ==, 0);
  close_ok(e);
}

static void a_barrier_returns_after_everything_posted_before(void) {
  enum { MANY = 200 };
  for (uint32_t workers = 1; workers <= 3; workers++) {
    about("workers", workers);
    probe p;
    probe_init(&p);
    emitter *e = open_queue(EMITTER_MODE_WAITS, workers, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    for (int i = 0; i < MANY; i++) CHECK(emitter_post(e, id, 0, i, 0), ==, EMITTER_OK);
    CHECK(emitter_barrier(e), ==, EMITTER_OK);
    CHECK(calls_of(&p), ==, MANY);
    CHECK(emitter_in_flight(e), ==, 0);
    if (workers == 1) CHECK(p.event.a, ==, MANY - 1); /* in order */
    close_ok(e);
  }
}

/* The second delivery is through; the first, taken by another library thread, is not. */
static void a_barrier_waits_for_the_oldest_although_a_later_one_is_through(void) {
  probe p;
  stage s;
  job barrier;
  probe_init(&p);
  emitter *e = open_queue(EMITTER_MODE_WAITS, 2, &s, EMITTER_STALL_POPPED);
  emitter_id id = subscribe_probe(e, &p);
  CHECK(emitter_post(e, id, 1, 0, 0), ==, EMITTER_OK);
  gate_await(&s.parked, 1);
  CHECK(emitter_post(e, id, 2, 0, 0), ==, EMITTER_OK);
  stage_await_passed(&s, EMITTER_STALL_AFTER_COUNT, 1);
  job_start(&barrier, DO_BARRIER, e, 0);
  CHECK(job_waits(&barrier), ==, true);
  gate_open(&s.parked);
  CHECK(job_join(&barrier), ==, EMITTER_OK);
  CHECK(calls_of(&p), ==, 2);
  close_ok(e);
}

/* S34, S47: pending deliveries outlive the subscription, the notify comes after the last of them, and the barrier after
 * that. */
static void queued_deliveries_outlive_unsubscribe(void) {
  enum { MANY = 5 };
  probe p;
  stage s;
  probe_init(&p);
  emitter *e = open_queue(EMITTER_MODE_QUEUED, 1, &s, EMITTER_STALL_POPPED);
  emitter_id id = subscribe_probe(e, &p);
  for (int i = 0; i < MANY; i++) CHECK(emitter_post(e, id, 0, i, 0), ==, EMITTER_OK);
  gate_await(&s.parked, 1);
  CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK); /* pending is not in flight */
  CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_fire(e, id, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
  CHECK(calls_of(&p), ==, 0);
  CHECK(destroyed_of(&p), ==, 0);
  gate_open(&s.parked);
  CHECK(emitter_barrier(e), ==, EMITTER_OK);
  CHECK(calls_of(&p), ==, MANY);
  CHECK(destroyed_of(&p), ==, 1);
  CHECK(p.destroyed_at, >, p.ended_at);
  CHECK(pthread_equal(p.destroyer, p.thread), !=, 0);
  close_ok(e);
}

/* The barrier's promise is about user_data, not about the queue: a fire that never was in the queue counts as well. */
static void a_queued_barrier_waits_for_fires_of_what_was_unsubscribed(void) {
  probe p, live;
  stage s;
  job caller, other, barrier;
  gate in;
  probe_init(&p);
  probe_init(&live);
  gate_init(&in);
  live.stop = &in;
  emitter *e = open_queue(EMITTER_MODE_QUEUED, 1, &s, EMITTER_STALL_BEFORE_CALL);
  subscribe_probe(e, &p);
  subscribe_probe(e, &live);
  s.only = true;
  s.of = p.id;
  job_start(&caller, DO_FIRE, e, p.id);
  gate_await(&s.parked, 1);
  job_start(&other, DO_FIRE, e, live.id); /* of what is still subscribed: not waited for */
  gate_await(&in, 1);
  CHECK(emitter_unsubscribe(e, p.id), ==, EMITTER_IN_FLIGHT);
  job_start(&barrier, DO_BARRIER, e, 0);
  CHECK(job_waits(&barrier), ==, true);
  gate_open(&s.parked);
  CHECK(job_join(&barrier), ==, EMITTER_OK);
  CHECK(barrier.ended_at, >, p.destroyed_at);
  CHECK(destroyed_of(&p), ==, 1);
  job_join(&caller);
  gate_open(&in);
  job_join(&other);
  close_ok(e);
}

static void unsubscribe_from_the_callback(probe *self, const emitter_event *event) {
  self->status = emitter_unsubscribe(event->source, event->subscription);
}

/* When emitter_barrier is called, the subscription is already gone from the library's tables, but its destroy notify is
 * still running. */
static void a_queued_barrier_waits_for_the_destroy_notify(void) {
  probe p;
  stage s;
  job caller, barrier;
  probe_init(&p);
  p.then = unsubscribe_from_the_callback;
  emitter *e = open_queue(EMITTER_MODE_QUEUED, 1, &s, EMITTER_STALL_BEFORE_NOTIFY);
  emitter_id id = subscribe_probe(e, &p);
  job_start(&caller, DO_FIRE, e, id);
  gate_await(&s.parked, 1);
  job_start(&barrier, DO_BARRIER, e, 0);
  CHECK(job_waits(&barrier), ==, true);
  gate_open(&s.parked);
  CHECK(job_join(&barrier), ==, EMITTER_OK);
  CHECK(barrier.ended_at, >, p.destroyed_at);
  CHECK(destroyed_of(&p), ==, 1);
  job_join(&caller);
  close_ok(e);
}

static void unsubscribe_and_wait_for_the_queue(probe *self, const emitter_event *event) {
  emitter_unsubscribe(self->e, event->subscription);
  CHECK(emitter_barrier(self->e), ==, EMITTER_OK);
}

static void two_threads_inside_may_both_wait_at_a_barrier(void) {
  probe p;
  gate in;
  job callers[2];
  probe_init(&p);
  gate_init(&in);
  p.stop = &in;
  p.then = unsubscribe_and_wait_for_the_queue;
  emitter *e = open_queue(EMITTER_MODE_QUEUED, 1, NULL, -1);
  emitter_id id = subscribe_probe(e, &p);
  for (int i = 0; i < 2; i++) job_start(&callers[i], DO_FIRE, e, id);
  gate_await(&in, 2);
  gate_open(&in);
  for (int i = 0; i < 2; i++) CHECK(job_join(&callers[i]), ==, EMITTER_OK);
  CHECK(p.destroyed, ==, 1);
  close_ok(e);
}

/* S34: in the other modes a delivery whose subscription is gone when its turn comes is dropped. */
static void deliveries_of_what_is_gone_are_dropped(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    if (mode == EMITTER_MODE_QUEUED) continue;
    about("mode", mode);
    probe p;
    stage s;
    probe_init(&p);
    emitter *e = open_queue(mode, 1, &s, EMITTER_STALL_POPPED);
    emitter_id id = subscribe_probe(e, &p);
    CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
    CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
    gate_await(&s.parked, 1);
    CHECK(s.last[EMITTER_STALL_POPPED], ==, id);
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK); /* a popped delivery is not in flight: no wait includes it */
    gate_open(&s.parked);
    CHECK(emitter_barrier(e), ==, EMITTER_OK);
    CHECK(calls_of(&p), ==, 0);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

static void a_delivery_may_unsubscribe_itself(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    p.then = unsubscribe_from_the_callback;
    emitter *e = open_queue(mode, 2, NULL, -1);
    emitter_id id = subscribe_probe(e, &p);
    CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
    CHECK(emitter_barrier(e), ==, EMITTER_OK);
    CHECK(p.status, ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_IN_FLIGHT);
    CHECK(calls_of(&p), ==, 1);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.inside_at_destroy, ==, 0);
  }
}

static void send_to_other(probe *self, const emitter_event *event) {
  (void)event;
  self->status = emitter_send(self->e, self->other, 0, 0, 0, NULL);
}

/* Closing delivers what is pending in QUEUED, and drops it elsewhere; a sender that waits is told. It sends from inside
 * a callback, so that the emitter cannot be gone before it comes. */
static void closing_drains_the_queue(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    bool queued = mode == EMITTER_MODE_QUEUED;
    probe first, rest, sender;
    gate in, sends;
    job caller, closer;
    probe_init(&first);
    probe_init(&rest);
    probe_init(&sender);
    gate_init(&in);
    gate_init(&sends);
    gate_open(&sends);
    first.stop = &in;
    sender.stop = &sends;
    sender.then = send_to_other;
    emitter *e = open_queue(mode, 1, NULL, -1);
    subscribe_probe(e, &first);
    subscribe_probe(e, &sender);
    sender.other = subscribe_probe(e, &rest);
    CHECK(emitter_post(e, first.id, 0, 0, 0), ==, EMITTER_OK);
    gate_await(&in, 1);
    for (int i = 0; i < 3; i++) CHECK(emitter_post(e, rest.id, 0, 0, 0), ==, EMITTER_OK);
    job_start(&caller, DO_FIRE, e, sender.id);
    gate_await(&sends, 1);
    yield_a_while(); /* if it sends later, it is refused with the same answer */
    job_start(&closer, DO_CLOSE, e, 0);
    while (emitter_post(e, first.id, 0, 0, 0) != EMITTER_CLOSING) yield_a_while();
    gate_open(&in);
    CHECK(job_join(&closer), ==, EMITTER_OK);
    CHECK(job_join(&caller), ==, EMITTER_OK);
    emitter_status sent = sender.status;
    CHECK(sent == EMITTER_CLOSING || (queued && sent == EMITTER_OK), ==, true);
    CHECK(first.calls, >=, 1);
    CHECK(rest.calls, ==, queued ? 3 + (sent == EMITTER_OK) : 0);
    CHECK(first.destroyed, ==, 1);
    CHECK(rest.destroyed, ==, 1);
    CHECK(rest.inside_at_destroy, ==, 0);
  }
}

/* Nothing is inside but the delivery that a library thread has just taken, and what waits behind it. */
static void closing_notifies_after_pending_deliveries(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    bool queued = mode == EMITTER_MODE_QUEUED;
    probe p;
    stage s;
    job closer;
    probe_init(&p);
    emitter *e = open_queue(mode, 1, &s, EMITTER_STALL_POPPED);
    emitter_id id = subscribe_probe(e, &p);
    for (int i = 0; i < 3; i++) CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
    gate_await(&s.parked, 1);
    job_start(&closer, DO_CLOSE, e, 0);
    while (emitter_post(e, UINT64_MAX, 0, 0, 0) != EMITTER_CLOSING) yield_a_while();
    yield_a_while();
    CHECK(destroyed_of(&p), ==, 0);
    gate_open(&s.parked);
    CHECK(job_join(&closer), ==, EMITTER_OK);
    CHECK(p.calls, ==, queued ? 3 : 0);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.destroyed_at, >, p.ended_at);
  }
}

/* A send is a delivery like any other: taken before closing began, it is made in QUEUED and dropped elsewhere. */
static void a_send_that_closing_overtakes_is_answered(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    bool queued = mode == EMITTER_MODE_QUEUED;
    probe p;
    stage s;
    job sender, closer;
    probe_init(&p);
    emitter *e = open_queue(mode, 1, &s, EMITTER_STALL_POPPED);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&sender, DO_SEND, e, id);
    gate_await(&s.parked, 1);
    job_start(&closer, DO_CLOSE, e, 0);
    while (emitter_post(e, UINT64_MAX, 0, 0, 0) != EMITTER_CLOSING) yield_a_while();
    gate_open(&s.parked);
    CHECK(job_join(&sender), ==, queued ? EMITTER_OK : EMITTER_CLOSING);
    CHECK(sender.result, ==, queued ? 500 : 0);
    CHECK(job_join(&closer), ==, EMITTER_OK);
    CHECK(p.calls, ==, queued);
    CHECK(p.destroyed, ==, 1);
  }
}

/* S54 */
static void every_library_thread_starts_and_ends_once(void) {
  static const uint32_t workers[] = {0, 1, 8};
  for (int i = 0; i < 3; i++) {
    about("workers", workers[i]);
    stage s;
    emitter *e = open_queue(EMITTER_MODE_WAITS, workers[i], &s, -1);
    close_ok(e);
    CHECK(passed(&s, EMITTER_STALL_WORKER_START), ==, workers[i]);
    CHECK(passed(&s, EMITTER_STALL_WORKER_EXIT), ==, workers[i]);
  }
}

static void a_library_thread_may_be_parked_where_it_starts_and_ends(void) {
  static const int sites[] = {EMITTER_STALL_WORKER_START, EMITTER_STALL_WORKER_EXIT};
  for (int i = 0; i < 2; i++) {
    about("site", sites[i]);
    stage s;
    job closer;
    emitter *e = open_queue(EMITTER_MODE_WAITS, 1, &s, sites[i]);
    if (i == 0) gate_await(&s.parked, 1);
    job_start(&closer, DO_CLOSE, e, 0);
    if (i == 1) gate_await(&s.parked, 1);
    CHECK(job_waits(&closer), ==, true);
    gate_open(&s.parked);
    CHECK(job_join(&closer), ==, EMITTER_OK);
  }
}

static void many_senders_each_get_their_own_result(void) {
  enum { MANY = 8, ROUNDS = 20 };
  probe p;
  job senders[MANY];
  probe_init(&p);
  emitter *e = open_queue(EMITTER_MODE_RETURNS, 3, NULL, -1);
  emitter_id id = subscribe_probe(e, &p);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < MANY; i++) job_start(&senders[i], DO_SEND, e, id);
    for (int i = 0; i < MANY; i++) {
      CHECK(job_join(&senders[i]), ==, EMITTER_OK);
      CHECK(senders[i].result, ==, 500);
    }
  }
  CHECK(p.calls, ==, MANY * ROUNDS);
  close_ok(e);
}

const test queue_tests[] = {TEST(a_send_runs_on_a_library_thread_and_brings_the_result_back),
                            TEST(from_a_library_thread_send_is_fire_and_barrier_is_refused),
                            TEST(a_barrier_returns_after_everything_posted_before),
                            TEST(a_barrier_waits_for_the_oldest_although_a_later_one_is_through),
                            TEST(queued_deliveries_outlive_unsubscribe),
                            TEST(a_queued_barrier_waits_for_fires_of_what_was_unsubscribed),
                            TEST(a_queued_barrier_waits_for_the_destroy_notify),
                            TEST(two_threads_inside_may_both_wait_at_a_barrier),
                            TEST(deliveries_of_what_is_gone_are_dropped),
                            TEST(a_delivery_may_unsubscribe_itself),
                            TEST(closing_drains_the_queue),
                            TEST(closing_notifies_after_pending_deliveries),
                            TEST(a_send_that_closing_overtakes_is_answered),
                            TEST(every_library_thread_starts_and_ends_once),
                            TEST(a_library_thread_may_be_parked_where_it_starts_and_ends),
                            TEST(many_senders_each_get_their_own_result),
                            {NULL, NULL}};
