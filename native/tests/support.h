/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the emitter's tests are written with: checks that print both operands and go on, a callback that records its own
 * life, a gate to stop it at, a stall hook to park threads with, and threads that do one thing.
 *
 * Everything here and in the tests compiles as C11 and as C++17. No test sleeps: threads meet at gates and stall sites.
 * Where a test must show that something has *not* happened it yields the processor for a while first: a wrong library
 * then has the time to show it, a right one cannot fail.
 */
#ifndef EMITTER_TESTS_SUPPORT_H
#define EMITTER_TESTS_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emitter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Checks. */
void check(bool holds, const char *text, const char *op, intmax_t left, intmax_t right, const char *file, int line);
#define CHECK(left, op, right)                                                                                       \
  do {                                                                                                               \
    intmax_t left_ = (intmax_t)(left), right_ = (intmax_t)(right);                                                   \
    check(left_ op right_, #left " " #op " " #right, #op, left_, right_, __FILE__, __LINE__);                        \
  } while (0)
/* Names the case that the next checks are about, in tests that loop over cases. */
void about(const char *what, intmax_t which);

typedef struct test {
  const char *name;
  void (*run)(void);
} test;
#define TEST(name) {#name, name}
extern const test subscribing_tests[], calling_tests[], inside_tests[], waiting_tests[], queue_tests[], hostile_tests[],
    failing_tests[], ending_tests[];
extern const char *own_path;        /* this program, to be run again */
int ending_child(const char *what); /* what the program does when it is run again */

/* One lock for all that tests share with the threads they start. */
extern pthread_mutex_t shared;
int tick(void); /* 1, 2, 3 …: orders events across threads */
void yield_a_while(void);

/* A gate stops each thread that passes until the gate is opened. */
typedef struct gate {
  pthread_cond_t changed;
  int arrived;
  bool open;
} gate;
void gate_init(gate *g);
void gate_pass(gate *g);
void gate_await(gate *g, int arrived); /* until so many have come */
void gate_open(gate *g);

/* The user data of `record`: a callback that answers a + b (+ its number of calls, when counting). */
typedef struct probe probe;
struct probe {
  int calls, inside, most_inside, destroyed;
  int ended_at, destroyed_at;  /* tick of the last */
  int inside_at_destroy;       /* calls still running then */
  pthread_t thread, destroyer; /* of the last */
  emitter_event event;         /* of the last */
  bool counting;
  void (*then)(probe *self, const emitter_event *event); /* what else the callback does */
  void (*finally)(probe *self);                          /* what else the destroy notify does */
  gate *stop;                                            /* where the callback stops */
  emitter *e;                                            /* for `then` and `finally` */
  emitter_id id, other;
  emitter_status status;
  intptr_t result;
};
void probe_init(probe *p);
intptr_t record(void *user_data, const emitter_event *event);
void destroyed(void *user_data);
int calls_of(probe *p);
int destroyed_of(probe *p);

/* A stall hook that counts the threads at each site, and parks the first thread at one of them after `skip` others. */
typedef struct stage {
  gate parked;
  int passed[EMITTER_STALL_COUNT];
  emitter_id last[EMITTER_STALL_COUNT];
  int site; /* -1: none */
  int skip;
  bool only;      /* park only for `of` */
  emitter_id of;
  void (*then)(struct stage *self, uint32_t site); /* what else the hook does */
  emitter *e;
  emitter_status status;
} stage;
void stage_init(stage *s, int site);
void stall(void *stall_data, uint32_t site, emitter_id subscription);
int passed(stage *s, int site);
void stage_await_passed(stage *s, int site, int times);

/* Emitters. */
emitter_config config_of(uint32_t mode);
emitter *open_with(const emitter_config *config);
emitter *open_mode(uint32_t mode);
void close_ok(emitter *e);
emitter_id subscribe_probe(emitter *e, probe *p); /* record, p, destroyed */
extern const char *const mode_names[];

/* A thread that calls one function of the library. */
typedef enum { DO_FIRE, DO_SEND, DO_POST, DO_UNSUBSCRIBE, DO_NOWAIT, DO_BARRIER, DO_CLOSE, DO_REPLACE } deed;
typedef struct job {
  pthread_t thread;
  deed what;
  emitter *e;
  emitter_id id;
  probe *p; /* for DO_REPLACE */
  emitter_status status;
  intptr_t result;
  bool began;
  int ended_at; /* 0: not yet */
} job;
void job_start(job *j, deed what, emitter *e, emitter_id id);
emitter_status job_join(job *j);
bool job_waits(job *j); /* it runs, and has had time to end, and has not */

#ifdef __cplusplus
}
#endif

#endif
