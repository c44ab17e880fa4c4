/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What a call is told and what it answers: call-scoped use, retained use, events, one-shots.
 */
#include "support.h"

/* S02: the golden value of call-scoped use, with and without an emitter. */
static void a_scoped_call_of_243_and_257_is_500(void) {
  emitter *const none = NULL;
  emitter *e = open_mode(EMITTER_MODE_SCOPED);
  emitter *const emitters[] = {none, e};
  for (int i = 0; i < 2; i++) {
    about("emitter", i);
    probe p;
    probe_init(&p);
    intptr_t result = 0;
    CHECK(emitter_invoke(emitters[i], record, &p, 11, 243, 257, &result), ==, EMITTER_OK);
    CHECK(result, ==, 500);
    CHECK(emitter_invoke(emitters[i], record, &p, 12, 243, 257, NULL), ==, EMITTER_OK);
    CHECK(p.calls, ==, 2);
    CHECK(p.event.source == emitters[i], ==, true);
    CHECK(p.event.cookie, ==, 12);
    CHECK(p.event.subscription, ==, 0);
    CHECK(p.event.user_data_of, ==, 0);
    CHECK(p.destroyed, ==, 0);
  }
  CHECK(emitter_live(e), ==, 0);
  close_ok(e);
}

/* S03: the golden values of retained use, in every mode that retains. ONCE has forgotten it before the unregister. */
static void a_retained_counting_call_is_501_and_0_after_unsubscribing(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    p.counting = true;
    emitter *e = open_mode(mode);
    emitter_id id = subscribe_probe(e, &p);
    intptr_t result = 0;
    CHECK(emitter_fire(e, id, 0, 243, 257, &result), ==, EMITTER_OK);
    CHECK(result, ==, 501);
    CHECK(emitter_unsubscribe(e, id), ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_OK);
    CHECK(emitter_fire(e, id, 0, 243, 257, &result), ==, EMITTER_NOT_FOUND);
    CHECK(result, ==, 0);
    CHECK(p.calls, ==, 1);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

static void an_event_says_who_fires_what_for_whom(void) {
  int owner;
  probe p;
  probe_init(&p);
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  config.owner = &owner;
  config.workers = 1;
  emitter *e = open_with(&config);
  emitter_id id = subscribe_probe(e, &p);
  CHECK(emitter_fire(e, id, UINT64_C(0xfedcba9876543210), INTPTR_MIN, INTPTR_MAX, NULL), ==, EMITTER_OK);
  CHECK(p.event.source == e, ==, true);
  CHECK(p.event.owner == &owner, ==, true);
  CHECK(p.event.cookie == UINT64_C(0xfedcba9876543210), ==, true);
  CHECK(p.event.subscription, ==, id);
  CHECK(p.event.user_data_of, ==, id);
  CHECK(p.event.a, ==, INTPTR_MIN);
  CHECK(p.event.b, ==, INTPTR_MAX);
  CHECK(emitter_send(e, id, 2, 3, 4, NULL), ==, EMITTER_OK);
  CHECK(p.event.cookie, ==, 2);
  CHECK(p.event.a, ==, 3);
  CHECK(p.event.owner == &owner, ==, true);
  CHECK(emitter_post(e, id, 5, 6, 7), ==, EMITTER_OK);
  CHECK(emitter_barrier(e), ==, EMITTER_OK);
  CHECK(p.event.cookie, ==, 5);
  CHECK(p.event.b, ==, 7);
  close_ok(e);
}

static intptr_t until_three(void *user_data, const emitter_event *event) {
  record(user_data, event);
  CHECK(event->a, ==, ((probe *)user_data)->calls - 1);
  CHECK(event->b, ==, -5);
  return event->a < 2;
}

/* S01 */
static void an_enumeration_numbers_its_calls_and_stops_at_zero(void) {
  emitter *const none = NULL;
  emitter *e = open_mode(EMITTER_MODE_SCOPED);
  emitter *const emitters[] = {none, e};
  for (int i = 0; i < 2; i++) {
    static const size_t counts[][2] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {100, 3}};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
      about("items", (intmax_t)counts[k][0]);
      probe p;
      probe_init(&p);
      size_t calls = 99;
      emitter_id kept = 99;
      CHECK(emitter_enumerate(emitters[i], until_three, &p, 8, counts[k][0], -5, &calls, &kept), ==, EMITTER_OK);
      CHECK(calls, ==, counts[k][1]);
      CHECK(p.calls, ==, counts[k][1]);
      CHECK(kept, ==, 0);
      CHECK(p.event.cookie, ==, calls == 0 ? 0 : 8);
      CHECK(p.event.subscription, ==, 0);
    }
  }
  CHECK(emitter_live(e), ==, 0);
  close_ok(e);
}

static void once_fires_once_and_notifies_after_the_call(void) {
  probe p;
  probe_init(&p);
  emitter *e = open_mode(EMITTER_MODE_ONCE);
  emitter_id id = subscribe_probe(e, &p);
  CHECK(emitter_fire(e, id, 0, 1, 1, NULL), ==, EMITTER_OK);
  CHECK(p.destroyed, ==, 1);
  CHECK(p.inside_at_destroy, ==, 0);
  CHECK(emitter_live(e), ==, 0);
  CHECK(emitter_fire(e, id, 0, 1, 1, NULL), ==, EMITTER_NOT_FOUND);
  CHECK(p.calls, ==, 1);
  close_ok(e);
  CHECK(p.destroyed, ==, 1);
}

/* S51: two threads fire a one-shot; the second comes while the first has loaded it and not called it yet. */
static void once_fired_by_two_threads_is_called_by_one(void) {
  probe p;
  stage s;
  job first;
  probe_init(&p);
  stage_init(&s, EMITTER_STALL_BEFORE_CALL);
  emitter_config config = config_of(EMITTER_MODE_ONCE);
  config.stall = stall;
  config.stall_data = &s;
  emitter *e = open_with(&config);
  emitter_id id = subscribe_probe(e, &p);
  job_start(&first, DO_FIRE, e, id);
  gate_await(&s.parked, 1);
  CHECK(emitter_fire(e, id, 0, 1, 1, NULL), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_unsubscribe(e, id), ==, EMITTER_NOT_FOUND);
  CHECK(destroyed_of(&p), ==, 0);
  gate_open(&s.parked);
  CHECK(job_join(&first), ==, EMITTER_OK);
  CHECK(first.result, ==, 500);
  CHECK(p.calls, ==, 1);
  CHECK(p.destroyed, ==, 1);
  CHECK(p.destroyed_at, >, p.ended_at);
  close_ok(e);
}

/* A call-scoped call counts as in flight, and closing waits for it. */
static void look_at_in_flight(probe *self, const emitter_event *event) {
  (void)event;
  self->result = (intptr_t)emitter_in_flight(self->e);
}
static void scoped_calls_are_in_flight(void) {
  probe p;
  probe_init(&p);
  p.e = open_mode(EMITTER_MODE_SCOPED);
  p.then = look_at_in_flight;
  CHECK(emitter_invoke(p.e, record, &p, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(p.result, ==, 1);
  p.result = 0;
  CHECK(emitter_enumerate(p.e, record, &p, 0, 1, 0, NULL, NULL), ==, EMITTER_OK);
  CHECK(p.result, ==, 1);
  CHECK(emitter_in_flight(p.e), ==, 0);
  close_ok(p.e);
}

const test calling_tests[] = {TEST(a_scoped_call_of_243_and_257_is_500),
                              TEST(a_retained_counting_call_is_501_and_0_after_unsubscribing),
                              TEST(an_event_says_who_fires_what_for_whom),
                              TEST(an_enumeration_numbers_its_calls_and_stops_at_zero),
                              TEST(once_fires_once_and_notifies_after_the_call),
                              TEST(once_fired_by_two_threads_is_called_by_one),
                              TEST(scoped_calls_are_in_flight),
                              {NULL, NULL}};
