/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * C code that uses the registry through latecall.h. Each test returns NULL if it passes, otherwise the condition that
 * does not hold. tests/registry/c.rs calls the tests. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "latecall.h"

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define CHECK(condition) \
  do { \
    if (!(condition)) return __FILE__ ":" TEXT(__LINE__) ": " #condition; \
  } while (0)
#define TEST(name) __attribute__((visibility("default"))) const char *latecall_test_##name(void)

struct counter {
  atomic_int runs, destroyed;
};

struct call {
  int argument, result;
};

static void add(void *object, void *call) {
  struct counter *counter = object;
  struct call *c = call;
  atomic_fetch_add(&counter->runs, 1);
  c->result = c->argument + 1;
}

static void destroy(void *object) { atomic_fetch_add(&((struct counter *)object)->destroyed, 1); }

/* The callback function of the header's example. */
static int fire(latecall_registry *registry, void *user_data, int argument) {
  struct call call = {argument, -1};
  latecall_call(registry, user_data, add, &call);
  return call.result;
}

/* S03, S04: register, call, revoke. A later call is refused and explained, and does not run the object. */
TEST(life) {
  latecall_registry *registry = latecall_registry_new("c", 10);
  struct counter counter = {0};
  void *user_data = &counter;
  CHECK(latecall_abi_version() == LATECALL_ABI_VERSION);
  CHECK(LATECALL_REGISTER(registry, &counter, destroy, "volume", &user_data) == LATECALL_OK);
  CHECK(user_data != NULL && user_data != (void *)&counter);
  CHECK(fire(registry, user_data, 41) == 42);

  char text[1024];
  CHECK(latecall_report(registry, user_data, text, sizeof text) < sizeof text);
  CHECK(strstr(text, "volume") && strstr(text, "test_latecall.c:"));

  uint32_t in_flight = 99;
  CHECK(latecall_revoke(registry, user_data, &in_flight) == LATECALL_REMOVED);
  CHECK(in_flight == 0 && counter.destroyed == 1);
  CHECK(latecall_revoke(registry, user_data, NULL) == LATECALL_ALREADY_REVOKED);
  CHECK(latecall_revoke_and_wait(registry, user_data) == LATECALL_QUIESCENT);
  CHECK(fire(registry, user_data, 41) == -1);
  CHECK(counter.runs == 1 && counter.destroyed == 1);

  size_t length = latecall_report(registry, user_data, text, sizeof text);
  CHECK(length == strlen(text) && strstr(text, "late call of `volume"));
  CHECK(latecall_report(registry, user_data, NULL, 0) > 0);
  char tight[5] = "????";
  latecall_report(registry, user_data, tight, sizeof tight);
  CHECK(strcmp(tight, "late") == 0);

  latecall_stats stats;
  CHECK(latecall_get_stats(registry, &stats) == LATECALL_OK);
  CHECK(stats.registered == 1 && stats.revoked == 1 && stats.destroyed == 1 && stats.live == 0);
  CHECK(stats.late == 1 && stats.tombstones == 1 && stats.revoking == 0);
  return NULL;
}

/* S04: a report names the places in C, with the function, where the object was registered and revoked: code that knows
 * nothing of the places passes them. A call through a pointer passes none. */
static void revoked_here(latecall_registry *registry, void *user_data) {
  (void)latecall_revoke(registry, user_data, NULL);
}

TEST(places) {
  latecall_registry *registry = latecall_registry_new("places", 10);
  void *user_data;
  char text[1024];
  int object = 0;
  CHECK(latecall_register(registry, &object, NULL, "one", NULL, 0, &user_data) == LATECALL_OK);
  latecall_report(registry, user_data, text, sizeof text);
  CHECK(strstr(text, "test_latecall.c:") && strstr(text, "(latecall_test_places)"));
  CHECK(!strstr(text, "mod.rs"));
  revoked_here(registry, user_data);
  latecall_report(registry, user_data, text, sizeof text);
  CHECK(strstr(text, "(latecall_test_places)") && strstr(text, "(revoked_here)") && !strstr(text, "mod.rs"));

  CHECK(latecall_register(registry, &object, NULL, "two", "elsewhere.c", 7, &user_data) == LATECALL_OK);
  latecall_result (*revoke)(latecall_registry *, void *, uint32_t *) = latecall_revoke;
  CHECK(revoke(registry, user_data, NULL) == LATECALL_REMOVED);
  latecall_report(registry, user_data, text, sizeof text);
  CHECK(strstr(text, "registered  elsewhere.c:7,") && strstr(text, "passed no place") && !strstr(text, "mod.rs"));

  CHECK(LATECALL_REGISTER(registry, &object, NULL, "three", &user_data) == LATECALL_OK);
  CHECK(latecall_revoke_and_wait(registry, user_data) == LATECALL_QUIESCENT);
  latecall_report(registry, user_data, text, sizeof text);
  CHECK(!strstr(text, "mod.rs") && !strstr(text, "dropping"));
  CHECK(LATECALL_REGISTER(registry, &object, NULL, "four", &user_data) == LATECALL_OK);
  CHECK(latecall_close(registry, LATECALL_CLOSE_DRAIN) == LATECALL_QUIESCENT);
  latecall_report(registry, user_data, text, sizeof text);
  CHECK(!strstr(text, "mod.rs") && !strstr(text, "dropping"));
  return NULL;
}

/* S11, S83: each wrong value is refused for its own reason. */
TEST(refusals) {
  latecall_registry *registry = latecall_registry_new(NULL, 0), *other = latecall_registry_new(NULL, 0);
  struct counter counter = {0};
  void *user_data, *others;
  CHECK(latecall_register(registry, &counter, NULL, NULL, NULL, 0, &user_data) == LATECALL_OK);
  CHECK(latecall_register(other, &counter, NULL, NULL, NULL, 0, &others) == LATECALL_OK);
  struct call call = {1, -1};
  CHECK(latecall_call(registry, NULL, add, &call) == LATECALL_NULL);
  CHECK(latecall_call(registry, others, add, &call) == LATECALL_WRONG_REGISTRY);
  CHECK(latecall_call(registry, &counter, add, &call) < 0);
  CHECK(latecall_call(registry, (char *)user_data + 1, add, &call) == LATECALL_OUT_OF_RANGE);
  CHECK(latecall_call(NULL, user_data, add, &call) == LATECALL_BAD_ARGUMENT);
  CHECK(latecall_call(registry, user_data, NULL, &call) == LATECALL_BAD_ARGUMENT);
  CHECK(latecall_register(registry, &counter, NULL, NULL, NULL, 0, NULL) == LATECALL_BAD_ARGUMENT);
  CHECK(latecall_close(registry, (latecall_close_how)9) == LATECALL_BAD_ARGUMENT);
  CHECK(call.result == -1 && counter.runs == 0);
  CHECK(strstr(latecall_result_text(LATECALL_WRONG_REGISTRY), "another registry"));
  CHECK(latecall_result_text((latecall_result)1234) != NULL);
  return NULL;
}

/* An object in whose `run` a thread stays until the test calls `leave`. */
struct parking {
  struct counter counter; /* first, because `destroy` casts the object to a counter */
  pthread_mutex_t lock;
  pthread_cond_t moved;
  int inside, may_leave;
  latecall_registry *registry;
  void *user_data;
  latecall_result result;
};

static void park(void *object, void *argument) {
  struct parking *parking = object;
  (void)argument;
  pthread_mutex_lock(&parking->lock);
  parking->inside = 1;
  pthread_cond_broadcast(&parking->moved);
  while (!parking->may_leave) pthread_cond_wait(&parking->moved, &parking->lock);
  pthread_mutex_unlock(&parking->lock);
}

static void *caller(void *argument) {
  struct parking *parking = argument;
  parking->result = latecall_call(parking->registry, parking->user_data, park, NULL);
  return NULL;
}

static void leave(struct parking *parking) {
  pthread_mutex_lock(&parking->lock);
  parking->may_leave = 1;
  pthread_cond_broadcast(&parking->moved);
  pthread_mutex_unlock(&parking->lock);
}

static pthread_t begin(struct parking *parking) {
  pthread_t thread;
  pthread_mutex_init(&parking->lock, NULL);
  pthread_cond_init(&parking->moved, NULL);
  pthread_create(&thread, NULL, caller, parking);
  pthread_mutex_lock(&parking->lock);
  while (!parking->inside) pthread_cond_wait(&parking->moved, &parking->lock);
  pthread_mutex_unlock(&parking->lock);
  return thread;
}

static void *waiter(void *argument) {
  struct parking *parking = argument;
  latecall_result result = latecall_revoke_and_wait(parking->registry, parking->user_data);
  /* The object is destroyed before the wait ends. */
  return result == LATECALL_QUIESCENT && parking->counter.destroyed == 1 ? &parking->result : NULL;
}

static void note(void *context) { atomic_fetch_add((atomic_int *)context, 1); }

/* S17, S18, S29: revoke without waiting, with a time limit, with waiting, and with a completion function. */
TEST(in_flight) {
  struct parking parking = {.registry = latecall_registry_new("parking", 10)};
  latecall_registry *registry = parking.registry;
  CHECK(LATECALL_REGISTER(registry, &parking, destroy, NULL, &parking.user_data) == LATECALL_OK);
  pthread_t thread = begin(&parking);
  uint32_t in_flight = 0;
  CHECK(latecall_revoke(registry, parking.user_data, &in_flight) == LATECALL_IN_FLIGHT);
  CHECK(in_flight == 1);
  CHECK(latecall_revoke_and_wait_for(registry, parking.user_data, 0) == LATECALL_STILL_RUNNING);
  CHECK(latecall_revoke_and_wait_for(registry, parking.user_data, 1) == LATECALL_STILL_RUNNING);
  struct call call = {1, -1};
  CHECK(latecall_call(registry, parking.user_data, add, &call) == LATECALL_REVOKING);
  atomic_int told = 0;
  CHECK(latecall_revoke_then(registry, parking.user_data, note, &told) == LATECALL_ALREADY_REVOKED);
  CHECK(told == 0 && parking.counter.destroyed == 0);
  pthread_t waiting;
  pthread_create(&waiting, NULL, waiter, &parking);
  leave(&parking);
  void *over = NULL;
  pthread_join(waiting, &over);
  pthread_join(thread, NULL);
  CHECK(over != NULL);
  CHECK(parking.result == LATECALL_OK && told == 1 && parking.counter.destroyed == 1);
  CHECK(latecall_revoke_then(registry, parking.user_data, note, &told) == LATECALL_ALREADY_REVOKED);
  CHECK(told == 2);
  CHECK(latecall_revoke_then(registry, NULL, note, &told) == LATECALL_NULL);
  CHECK(told == 2);
  return NULL;
}

struct itself {
  struct counter counter;
  latecall_registry *registry;
  void *user_data;
  latecall_result result;
  int destroyed_inside;
};

static void revoke_itself(void *object, void *argument) {
  struct itself *itself = object;
  (void)argument;
  itself->result = latecall_revoke_and_wait(itself->registry, itself->user_data);
  itself->destroyed_inside = itself->counter.destroyed;
}

/* S37: a call revokes its own object. */
TEST(self_revoke) {
  struct itself itself = {.registry = latecall_registry_new(NULL, 0)};
  CHECK(LATECALL_REGISTER(itself.registry, &itself, destroy, NULL, &itself.user_data) == LATECALL_OK);
  CHECK(latecall_call(itself.registry, itself.user_data, revoke_itself, NULL) == LATECALL_OK);
  CHECK(itself.result == LATECALL_DEFERRED && itself.destroyed_inside == 0 && itself.counter.destroyed == 1);
  return NULL;
}

/* S28, S48: a closed registry destroys its objects (except with LEAVE). A refused object stays the caller's. */
TEST(closing) {
  for (int how = LATECALL_CLOSE_DRAIN; how <= LATECALL_CLOSE_LEAVE; how++) {
    latecall_registry *registry = latecall_registry_new(NULL, 10);
    struct counter first = {0}, second = {0};
    void *user_data, *refused = &second;
    CHECK(LATECALL_REGISTER(registry, &first, destroy, NULL, &user_data) == LATECALL_OK);
    CHECK(latecall_barrier(registry) == LATECALL_QUIESCENT);
    CHECK(latecall_close(registry, (latecall_close_how)how) == LATECALL_QUIESCENT);
    CHECK(first.destroyed == (how == LATECALL_CLOSE_LEAVE ? 0 : 1));
    CHECK(LATECALL_REGISTER(registry, &second, destroy, NULL, &refused) == LATECALL_CLOSED);
    CHECK(refused == NULL && second.destroyed == 0);
    CHECK(fire(registry, user_data, 1) == -1);
  }
  return NULL;
}
