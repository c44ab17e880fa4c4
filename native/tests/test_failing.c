/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Failing registrations (S48), and callbacks that do not return (S56, S62): nothing half done, nothing leaked, no call
 * counted for ever.
 */
#include "support.h"

static emitter *open_failing(uint32_t mode, uint32_t hostile, uint32_t workers, uint32_t nth) {
  emitter_config config = config_of(mode);
  config.hostile = hostile;
  config.workers = workers;
  config.fail_allocation = nth;
  return open_with(&config);
}

enum { SUBSCRIBE_MANY, TABLE, REPLACE, POST, ENUMERATE, WAYS };

/* One way to have something retained, with the Nth allocation failing. Returns whether all of it succeeded. */
static bool try_to_retain(int way, uint32_t nth) {
  enum { MANY = 6 };
  probe p[MANY];
  for (int i = 0; i < MANY; i++) probe_init(&p[i]);
  emitter_status status = EMITTER_OK;
  emitter_id id = 0;
  emitter *e = NULL;
  switch (way) {
  case SUBSCRIBE_MANY: /* more than the first array holds, so that its growth fails as well */
    e = open_failing(EMITTER_MODE_DEFERRED, 0, 0, nth);
    for (size_t i = 0; status == EMITTER_OK && i < MANY; i++) {
      id = 99;
      status = emitter_subscribe(e, record, &p[i], destroyed, &id);
      CHECK(emitter_live(e), ==, status == EMITTER_OK ? i + 1 : i);
      CHECK(id != 0, ==, status == EMITTER_OK);
      if (status == EMITTER_OK) p[i].id = id;
    }
    break;
  case TABLE: {
    e = open_failing(EMITTER_MODE_TABLE, 0, 0, nth);
    emitter_entry table[MANY];
    emitter_id ids[MANY];
    for (int i = 0; i < MANY; i++) {
      table[i].callback = record;
      table[i].user_data = &p[i];
      table[i].destroy = destroyed;
      ids[i] = 99;
    }
    status = emitter_subscribe_table(e, table, MANY, ids);
    CHECK(emitter_live(e), ==, status == EMITTER_OK ? MANY : 0);
    for (int i = 0; i < MANY; i++) {
      CHECK(ids[i] != 0, ==, status == EMITTER_OK);
      p[i].id = ids[i];
    }
    break;
  }
  case REPLACE:
    e = open_failing(EMITTER_MODE_REPLACE, 0, 0, nth);
    status = emitter_subscribe(e, record, &p[0], destroyed, &p[0].id);
    if (status != EMITTER_OK) break;
    status = emitter_replace(e, p[0].id, record, &p[1], destroyed);
    CHECK(p[0].destroyed, ==, status == EMITTER_OK);
    CHECK(emitter_fire(e, p[0].id, 0, 0, 0, NULL), ==, EMITTER_OK); /* the old pair, if the new one did not fit */
    CHECK(p[0].calls, ==, status != EMITTER_OK);
    CHECK(p[1].calls, ==, status == EMITTER_OK);
    CHECK(emitter_unsubscribe(e, p[0].id), ==, EMITTER_OK);
    CHECK(p[1].destroyed, ==, status == EMITTER_OK);
    break;
  case POST:
    e = open_failing(EMITTER_MODE_QUEUED, 0, 1, nth);
    status = emitter_subscribe(e, record, &p[0], destroyed, &p[0].id);
    if (status != EMITTER_OK) break;
    status = emitter_post(e, p[0].id, 0, 0, 0);
    CHECK(emitter_barrier(e), ==, EMITTER_OK);
    CHECK(calls_of(&p[0]), ==, status == EMITTER_OK);
    /* What was not posted is not pending. */
    CHECK(emitter_unsubscribe(e, p[0].id), ==, EMITTER_OK);
    CHECK(destroyed_of(&p[0]), ==, 1);
    break;
  default: {
    e = open_failing(EMITTER_MODE_SCOPED, EMITTER_HOSTILE_LATE, 0, nth);
    size_t calls = 99;
    id = 99;
    status = emitter_enumerate(e, record, &p[0], 0, 2, 1, &calls, &id);
    CHECK(calls, ==, status == EMITTER_OK ? 2 : 0);
    CHECK(p[0].calls, ==, status == EMITTER_OK ? 2 : 0);
    CHECK(id != 0, ==, status == EMITTER_OK);
    break;
  }
  }
  if (status != EMITTER_OK) CHECK(status, ==, EMITTER_NO_MEMORY);
  int before = 0, after = 0;
  for (int i = 0; i < MANY; i++) before += p[i].destroyed;
  if (way == SUBSCRIBE_MANY || way == TABLE) CHECK(before, ==, 0);
  size_t live = emitter_live(e);
  close_ok(e);
  for (int i = 0; i < MANY; i++) {
    CHECK(p[i].destroyed, <=, 1);
    after += p[i].destroyed;
  }
  CHECK(after - before, ==, live); /* the notifies of what is retained, and of nothing else */
  return status == EMITTER_OK;
}

static void whichever_allocation_fails_nothing_is_retained(void) {
  for (int way = 0; way < WAYS; way++) {
    uint32_t nth = 1;
    do about("way and allocation", way * 100 + (intmax_t)nth);
    while (!try_to_retain(way, nth++));
    CHECK(nth, >=, 3); /* at least one failed */
    CHECK(nth, <, 20);
    CHECK(try_to_retain(way, 0), ==, true);
  }
}

/* Only the Nth fails: what was refused may be tried again. */
static void a_failed_registration_may_be_repeated(void) {
  probe p;
  probe_init(&p);
  emitter *e = open_failing(EMITTER_MODE_DEFERRED, 0, 0, 2);
  emitter_id id;
  CHECK(emitter_subscribe(e, record, &p, destroyed, &id), ==, EMITTER_NO_MEMORY);
  subscribe_probe(e, &p);
  CHECK(emitter_fire(e, p.id, 0, 0, 0, NULL), ==, EMITTER_OK);
  close_ok(e);
  CHECK(p.destroyed, ==, 1);
}

static void exit_thread(probe *self, const emitter_event *event) {
  (void)event;
  pthread_mutex_lock(&shared);
  self->inside--;
  pthread_mutex_unlock(&shared);
  pthread_exit(NULL);
}

/* S56: the thread ends inside the callback. Unless counted out on the way, it would be waited for for ever. */
static void a_thread_that_exits_inside_is_counted_out(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    job caller;
    probe_init(&p);
    p.then = exit_thread;
    emitter *e = open_mode(mode);
    emitter_id id = subscribe_probe(e, &p);
    job_start(&caller, DO_FIRE, e, id);
    pthread_join(caller.thread, NULL);
    CHECK(caller.ended_at, ==, 0);
    CHECK(p.calls, ==, 1);
    CHECK(emitter_in_flight(e), ==, 0);
    CHECK(emitter_unsubscribe(e, id), ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_OK);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
  }
}

/* The same on a library thread: its delivery counts as delivered, and the emitter can be closed. */
static void a_library_thread_that_exits_inside_is_counted_out(void) {
  probe p;
  probe_init(&p);
  p.then = exit_thread;
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  config.workers = 1;
  emitter *e = open_with(&config);
  emitter_id id = subscribe_probe(e, &p);
  CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_OK);
  CHECK(emitter_barrier(e), ==, EMITTER_OK);
  CHECK(emitter_in_flight(e), ==, 0);
  CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
  close_ok(e);
  CHECK(p.destroyed, ==, 1);
}

#ifdef __cplusplus
static void throw_up(probe *self, const emitter_event *) {
  pthread_mutex_lock(&shared);
  self->inside--;
  pthread_mutex_unlock(&shared);
  throw 42;
}

static void throw_from_the_notify(probe *) { throw 43; }

/* S62, S63: an exception passes the library's frames. */
static void a_callback_that_throws_is_counted_out() {
  static const uint32_t switches[] = {0, EMITTER_HOSTILE_TWICE, EMITTER_HOSTILE_WRONG_USER_DATA};
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    for (uint32_t hostile : switches) {
      about("mode and switches", mode * 10000 + hostile);
      probe p[2];
      emitter_config config = config_of(mode);
      config.hostile = hostile;
      emitter *e = open_with(&config);
      for (probe &one : p) {
        probe_init(&one);
        one.then = throw_up;
        subscribe_probe(e, &one);
      }
      int caught = 0;
      try {
        emitter_fire(e, p[0].id, 0, 0, 0, NULL);
      } catch (int thrown) {
        caught = thrown;
      }
      CHECK(caught, ==, 42);
      CHECK(p[0].calls + p[1].calls, ==, 1);
      CHECK(emitter_in_flight(e), ==, 0);
      CHECK(p[0].destroyed, ==, mode == EMITTER_MODE_ONCE);
      CHECK(emitter_unsubscribe(e, p[0].id), ==, mode == EMITTER_MODE_ONCE ? EMITTER_NOT_FOUND : EMITTER_OK);
      try {
        emitter_invoke(e, record, &p[0], 0, 0, 0, NULL);
      } catch (int thrown) {
        caught += thrown;
      }
      try {
        emitter_enumerate(e, record, &p[0], 0, 3, 0, NULL, NULL);
      } catch (int thrown) {
        caught += thrown;
      }
      CHECK(caught, ==, 3 * 42);
      CHECK(emitter_in_flight(e), ==, 0);
      close_ok(e);
      CHECK(p[0].destroyed, ==, 1);
      CHECK(p[1].destroyed, ==, 1);
    }
  }
}

/* The helpers of a volley use the stack of the fire that unwinds: it may not go before they have ended. */
static void throw_on_the_firing_thread(probe *self, const emitter_event *event) {
  if (pthread_equal(pthread_self(), self->destroyer)) throw_up(self, event);
}

static void a_concurrent_fire_that_throws_waits_for_its_helpers() {
  probe p;
  probe_init(&p);
  p.then = throw_on_the_firing_thread;
  p.destroyer = pthread_self();
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  config.hostile = EMITTER_HOSTILE_CONCURRENT;
  emitter *e = open_with(&config);
  subscribe_probe(e, &p);
  int caught = 0;
  try {
    emitter_fire(e, p.id, 0, 0, 0, NULL);
  } catch (int thrown) {
    caught = thrown;
  }
  CHECK(caught, ==, 42);
  CHECK(p.calls, ==, 3);
  CHECK(emitter_in_flight(e), ==, 0);
  close_ok(e);
  CHECK(p.destroyed, ==, 1);
}

static void a_destroy_notify_that_throws_leaves_nothing_behind() {
  probe p;
  probe_init(&p);
  p.finally = throw_from_the_notify;
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  subscribe_probe(e, &p);
  int caught = 0;
  try {
    emitter_unsubscribe(e, p.id);
  } catch (int thrown) {
    caught = thrown;
  }
  CHECK(caught, ==, 43);
  CHECK(p.destroyed, ==, 1);
  CHECK(emitter_unsubscribe(e, p.id), ==, EMITTER_NOT_FOUND);
  close_ok(e);
  CHECK(p.destroyed, ==, 1);
}
#endif

const test failing_tests[] = {TEST(whichever_allocation_fails_nothing_is_retained),
                              TEST(a_failed_registration_may_be_repeated),
                              TEST(a_thread_that_exits_inside_is_counted_out),
                              TEST(a_library_thread_that_exits_inside_is_counted_out),
#ifdef __cplusplus
                              TEST(a_callback_that_throws_is_counted_out),
                              TEST(a_concurrent_fire_that_throws_waits_for_its_helpers),
                              TEST(a_destroy_notify_that_throws_leaves_nothing_behind),
#endif
                              {NULL, NULL}};
