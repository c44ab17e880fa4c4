/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What is retained, and when it is let go, on one thread: ids, capacity, tables, replacing, destroy notifies, and which
 * functions each mode offers.
 */
#include "support.h"

/* S12, S03: whatever the mode, unsubscribing once ends it and the destroy notify comes once. */
static void unsubscribing_twice_is_found_out_and_notifies_once(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    emitter *e = open_mode(mode);
    emitter_id id = subscribe_probe(e, &p);
    CHECK(emitter_live(e), ==, 1);
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
    CHECK(emitter_live(e), ==, 0);
    /* RETURNS has nothing that tells when user_data is free. */
    CHECK(p.destroyed, ==, mode == EMITTER_MODE_RETURNS ? 0 : 1);
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_NOT_FOUND);
    CHECK(emitter_unsubscribe_nowait(e, id), ==, EMITTER_NOT_FOUND);
    close_ok(e);
    CHECK(p.destroyed, ==, 1);
    CHECK(p.calls, ==, 0);
  }
}

static void closing_notifies_what_is_live(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p[3];
    emitter *e = open_mode(mode);
    for (int i = 0; i < 3; i++) {
      probe_init(&p[i]);
      subscribe_probe(e, &p[i]);
    }
    emitter_unsubscribe(e, p[1].id);
    close_ok(e);
    for (int i = 0; i < 3; i++) CHECK(p[i].destroyed, ==, 1);
  }
}

static void destroy_may_be_null(void) {
  for (uint32_t mode = EMITTER_MODE_WAITS; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    emitter *e = open_mode(mode);
    emitter_id one, two;
    CHECK(emitter_subscribe(e, record, &p, NULL, &one), ==, EMITTER_OK);
    CHECK(emitter_subscribe(e, record, &p, NULL, &two), ==, EMITTER_OK);
    CHECK(emitter_unsubscribe(e, one), ==, EMITTER_OK);
    close_ok(e);
    CHECK(p.destroyed, ==, 0);
  }
}

/* S09 */
static void the_same_pair_twice_is_two_subscriptions(void) {
  probe p;
  probe_init(&p);
  emitter *e = open_mode(EMITTER_MODE_DEFERRED);
  emitter_id first = subscribe_probe(e, &p), second = subscribe_probe(e, &p);
  CHECK(first, !=, second);
  CHECK(emitter_unsubscribe(e, first), ==, EMITTER_OK);
  CHECK(p.destroyed, ==, 1);
  CHECK(emitter_fire(e, first, 0, 0, 0, NULL), ==, EMITTER_NOT_FOUND);
  CHECK(emitter_fire(e, second, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(p.calls, ==, 1);
  CHECK(p.event.subscription, ==, second);
  close_ok(e);
  CHECK(p.destroyed, ==, 2);
}

/* S11 */
static void ids_that_name_nothing_are_refused(void) {
  for (uint32_t mode = EMITTER_MODE_SCOPED; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    emitter_config config = config_of(mode);
    config.workers = 1;
    emitter *e = open_with(&config);
    emitter_id id = mode == EMITTER_MODE_SCOPED ? 0 : subscribe_probe(e, &p);
    const emitter_id forged[] = {0, id + 1, UINT64_MAX, id | (UINT64_C(1) << 63), id == 0 ? 1 : UINT64_MAX - id};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
      intptr_t result = 99;
      CHECK(emitter_fire(e, forged[i], 0, 1, 2, &result), ==, EMITTER_NOT_FOUND);
      CHECK(result, ==, 0);
      result = 99;
      CHECK(emitter_send(e, forged[i], 0, 1, 2, &result), ==, EMITTER_NOT_FOUND);
      CHECK(result, ==, 0);
      CHECK(emitter_post(e, forged[i], 0, 1, 2), ==, EMITTER_NOT_FOUND);
      CHECK(emitter_unsubscribe(e, forged[i]), ==, EMITTER_NOT_FOUND);
      CHECK(emitter_unsubscribe_nowait(e, forged[i]), ==, EMITTER_NOT_FOUND);
    }
    close_ok(e);
    CHECK(p.calls, ==, 0);
  }
}

/* S90, and the ground under S85: an id never comes back, however often its place is reused. */
static void ids_are_never_reused(void) {
  probe p;
  probe_init(&p);
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  emitter_id last = 0;
  for (int i = 0; i < 1000; i++) {
    emitter_id id = subscribe_probe(e, &p);
    CHECK(id, >, last);
    last = id;
    CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
  }
  CHECK(p.destroyed, ==, 1000);
  close_ok(e);
}

/* Forgetting one keeps the others, whichever it is. */
static void any_of_many_can_go_first(void) {
  enum { MANY = 37 };
  probe p[MANY];
  emitter *e = open_mode(EMITTER_MODE_WAITS);
  for (int i = 0; i < MANY; i++) {
    probe_init(&p[i]);
    subscribe_probe(e, &p[i]);
  }
  for (int gone = 0; gone < MANY; gone++) {
    int i = (gone * 11 + 5) % MANY;
    CHECK(emitter_unsubscribe(e, p[i].id), ==, EMITTER_OK);
    for (int k = 0; k < MANY; k++) {
      emitter_status status = emitter_fire(e, p[k].id, 0, 0, 0, NULL);
      CHECK(status, ==, p[k].destroyed ? EMITTER_NOT_FOUND : EMITTER_OK);
    }
    CHECK(emitter_live(e), ==, MANY - 1 - gone);
  }
  close_ok(e);
}

/* S89 */
static void capacity_counts_what_is_live(void) {
  probe p[4];
  emitter_config config = config_of(EMITTER_MODE_TABLE);
  config.capacity = 2;
  emitter *e = open_with(&config);
  for (int i = 0; i < 4; i++) probe_init(&p[i]);
  subscribe_probe(e, &p[0]);
  subscribe_probe(e, &p[1]);
  emitter_id id = 99;
  CHECK(emitter_subscribe(e, record, &p[2], destroyed, &id), ==, EMITTER_FULL);
  CHECK(id, ==, 0);
  CHECK(p[2].destroyed, ==, 0);
  CHECK(emitter_live(e), ==, 2);
  CHECK(emitter_fire(e, p[0].id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(emitter_fire(e, p[1].id, 0, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(emitter_unsubscribe(e, p[0].id), ==, EMITTER_OK);
  /* All or none: one place does not do for two entries. */
  const emitter_entry table[2] = {{record, &p[2], destroyed}, {record, &p[3], destroyed}};
  emitter_id ids[2] = {99, 99};
  CHECK(emitter_subscribe_table(e, table, 2, ids), ==, EMITTER_FULL);
  CHECK(ids[0], ==, 0);
  CHECK(ids[1], ==, 0);
  CHECK(emitter_live(e), ==, 1);
  CHECK(emitter_subscribe_table(e, table, 1, ids), ==, EMITTER_OK);
  CHECK(emitter_live(e), ==, 2);
  close_ok(e);
  CHECK(p[2].destroyed, ==, 1);
  CHECK(p[3].destroyed, ==, 0);
}

/* S07: a table that is copied by value does not keep what is behind its pointers. */
static void a_table_is_copied_by_value(void) {
  enum { MANY = 9 };
  probe p[MANY];
  emitter_entry table[MANY];
  emitter_id ids[MANY];
  emitter *e = open_mode(EMITTER_MODE_TABLE);
  for (int i = 0; i < MANY; i++) {
    probe_init(&p[i]);
    table[i].callback = record;
    table[i].user_data = &p[i];
    table[i].destroy = destroyed;
  }
  CHECK(emitter_subscribe_table(e, table, MANY, ids), ==, EMITTER_OK);
  memset(table, 0xa5, sizeof table);
  for (int i = 0; i < MANY; i++) {
    CHECK(emitter_fire(e, ids[i], 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(p[i].calls, ==, 1);
    CHECK(p[i].event.subscription, ==, ids[i]);
  }
  /* One entry goes, the others stay. */
  CHECK(emitter_unsubscribe(e, ids[4]), ==, EMITTER_OK);
  CHECK(p[4].destroyed, ==, 1);
  for (int i = 0; i < MANY; i++) {
    CHECK(emitter_fire(e, ids[i], 0, 0, 0, NULL), ==, i == 4 ? EMITTER_NOT_FOUND : EMITTER_OK);
    CHECK(p[i].calls, ==, i == 4 ? 1 : 2);
  }
  CHECK(emitter_subscribe_table(e, table, 0, ids), ==, EMITTER_OK);
  close_ok(e);
  for (int i = 0; i < MANY; i++) CHECK(p[i].destroyed, ==, 1);
}

static intptr_t ten_times(void *user_data, const emitter_event *event) { return 10 * record(user_data, event); }

static void replacing_swaps_pair_and_notify_and_keeps_the_id(void) {
  probe old_one, new_one;
  probe_init(&old_one);
  probe_init(&new_one);
  emitter *e = open_mode(EMITTER_MODE_REPLACE);
  emitter_id id = subscribe_probe(e, &old_one);
  intptr_t result;
  CHECK(emitter_fire(e, id, 0, 1, 2, &result), ==, EMITTER_OK);
  CHECK(result, ==, 3);
  CHECK(emitter_replace(e, id, ten_times, &new_one, destroyed), ==, EMITTER_OK);
  CHECK(old_one.destroyed, ==, 1);
  CHECK(new_one.destroyed, ==, 0);
  CHECK(emitter_live(e), ==, 1);
  CHECK(emitter_fire(e, id, 0, 1, 2, &result), ==, EMITTER_OK);
  CHECK(result, ==, 30);
  CHECK(old_one.calls, ==, 1);
  CHECK(new_one.calls, ==, 1);
  CHECK(emitter_unsubscribe(e, id), ==, EMITTER_OK);
  CHECK(new_one.destroyed, ==, 1);
  CHECK(emitter_replace(e, id, record, &old_one, destroyed), ==, EMITTER_NOT_FOUND);
  close_ok(e);
  CHECK(old_one.destroyed, ==, 1);
  CHECK(new_one.destroyed, ==, 1);
}

static void each_mode_offers_its_functions_and_refuses_the_others(void) {
  for (uint32_t mode = EMITTER_MODE_SCOPED; mode <= EMITTER_MODE_TABLE; mode++) {
    about("mode", mode);
    probe p;
    probe_init(&p);
    emitter *e = open_mode(mode);
    emitter_id id = 99;
    emitter_entry entry = {record, &p, destroyed};
    bool scoped = mode == EMITTER_MODE_SCOPED;
    CHECK(emitter_subscribe(e, record, &p, destroyed, &id), ==, scoped ? EMITTER_WRONG_MODE : EMITTER_OK);
    CHECK(id == 0, ==, scoped);
    CHECK(emitter_subscribe_table(e, &entry, 1, &id), ==, mode == EMITTER_MODE_TABLE ? EMITTER_OK : EMITTER_WRONG_MODE);
    emitter_status replaced = mode == EMITTER_MODE_REPLACE ? EMITTER_OK : EMITTER_WRONG_MODE;
    CHECK(emitter_replace(e, id, record, &p, destroyed), ==, replaced);
    /* Without library threads no thread takes what is sent or posted, and there is nothing to wait for. */
    CHECK(emitter_send(e, id, 0, 0, 0, NULL), ==, EMITTER_WRONG_MODE);
    CHECK(emitter_post(e, id, 0, 0, 0), ==, EMITTER_WRONG_MODE);
    CHECK(emitter_barrier(e), ==, EMITTER_OK);
    CHECK(emitter_invoke(e, record, &p, 0, 0, 0, NULL), ==, EMITTER_OK);
    CHECK(emitter_enumerate(e, record, &p, 0, 1, 0, NULL, NULL), ==, EMITTER_OK);
    CHECK(p.calls, ==, 2);
    close_ok(e);
    CHECK(p.destroyed, ==, scoped ? 0 : mode == EMITTER_MODE_TABLE || mode == EMITTER_MODE_REPLACE ? 2 : 1);
  }
}

static void missing_arguments_are_refused(void) {
  probe p;
  probe_init(&p);
  emitter *e = open_mode(EMITTER_MODE_TABLE), *replaces = open_mode(EMITTER_MODE_REPLACE);
  emitter_id id = 99;
  emitter_entry entry = {record, &p, destroyed}, hollow[2] = {{record, &p, destroyed}, {NULL, &p, destroyed}};
  emitter_id ids[2] = {99, 99};
  CHECK(emitter_subscribe(NULL, record, &p, destroyed, &id), ==, EMITTER_BAD_ARGUMENT);
  CHECK(id, ==, 0);
  CHECK(emitter_subscribe(e, NULL, &p, destroyed, &id), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_subscribe(e, record, &p, destroyed, NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_subscribe_table(NULL, &entry, 1, &id), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_subscribe_table(e, NULL, 1, &id), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_subscribe_table(e, &entry, 1, NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_subscribe_table(e, hollow, 2, ids), ==, EMITTER_BAD_ARGUMENT);
  CHECK(ids[0], ==, 0);
  CHECK(emitter_replace(NULL, 1, record, &p, destroyed), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_replace(replaces, 1, NULL, &p, destroyed), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_unsubscribe(NULL, 1), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_unsubscribe_nowait(NULL, 1), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_fire(NULL, 1, 0, 0, 0, NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_send(NULL, 1, 0, 0, 0, NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_post(NULL, 1, 0, 0, 0), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_barrier(NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_close(NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_invoke(e, NULL, &p, 0, 0, 0, NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_enumerate(e, NULL, &p, 0, 1, 0, NULL, NULL), ==, EMITTER_BAD_ARGUMENT);
  CHECK(emitter_live(NULL), ==, 0);
  CHECK(emitter_in_flight(NULL), ==, 0);
  CHECK(emitter_live(e), ==, 0);
  close_ok(e);
  close_ok(replaces);
  CHECK(p.calls + p.destroyed, ==, 0);
}

static void open_refuses_what_it_does_not_know(void) {
  emitter *const something = (emitter *)&shared;
  emitter *e = something;
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  CHECK(emitter_open(NULL, &e), ==, EMITTER_BAD_ARGUMENT);
  CHECK(e == NULL, ==, true);
  CHECK(emitter_open(&config, NULL), ==, EMITTER_BAD_ARGUMENT);
  config.size--;
  CHECK(emitter_open(&config, &e), ==, EMITTER_BAD_ARGUMENT);
  config = config_of(EMITTER_MODE_TABLE + 1);
  CHECK(emitter_open(&config, &e), ==, EMITTER_BAD_ARGUMENT);
  config = config_of(EMITTER_MODE_WAITS);
  config.workers = 9;
  CHECK(emitter_open(&config, &e), ==, EMITTER_BAD_ARGUMENT);
  config.workers = 0;
  config.hostile = EMITTER_HOSTILE_WRONG_USER_DATA << 1;
  CHECK(emitter_open(&config, &e), ==, EMITTER_BAD_ARGUMENT);
  CHECK(e == NULL, ==, true);
}

static void every_status_has_a_text(void) {
  for (int a = EMITTER_OK; a <= EMITTER_IN_FLIGHT; a++) {
    CHECK(strlen(emitter_status_text((emitter_status)a)), >, 0);
    for (int b = a + 1; b <= EMITTER_IN_FLIGHT; b++)
      CHECK(strcmp(emitter_status_text((emitter_status)a), emitter_status_text((emitter_status)b)), !=, 0);
  }
  CHECK(emitter_abi_version(), ==, EMITTER_ABI_VERSION);
}

const test subscribing_tests[] = {TEST(unsubscribing_twice_is_found_out_and_notifies_once),
                                  TEST(closing_notifies_what_is_live),
                                  TEST(destroy_may_be_null),
                                  TEST(the_same_pair_twice_is_two_subscriptions),
                                  TEST(ids_that_name_nothing_are_refused),
                                  TEST(ids_are_never_reused),
                                  TEST(any_of_many_can_go_first),
                                  TEST(capacity_counts_what_is_live),
                                  TEST(a_table_is_copied_by_value),
                                  TEST(replacing_swaps_pair_and_notify_and_keeps_the_id),
                                  TEST(each_mode_offers_its_functions_and_refuses_the_others),
                                  TEST(missing_arguments_are_refused),
                                  TEST(open_refuses_what_it_does_not_know),
                                  TEST(every_status_has_a_text),
                                  {NULL, NULL}};
