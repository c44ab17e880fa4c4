/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Thread-local variables: of each form and access model that gcc has sequences of instructions for. Those of
 * locals_elsewhere.c are used here too.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern __thread long elsewhere;
extern __thread char hidden_elsewhere[3] __attribute__((visibility("hidden")));

static int zero_of_all[1];
static _Thread_local int mine = 5;
static _Thread_local int zero[4];
static __thread char unaligned = 'u';
static __thread char text[12] = "text";
__thread int by_offset __attribute__((tls_model("initial-exec"))) = 9;
static __thread int by_register __attribute__((__tls_model__ ("local-exec")));
static _Thread_local _Alignas(64) struct {
  int *of_all;
  const char *words;
  double number;
} together = {zero_of_all, "two words", 1.5};
static int *of_the_other;

/* The address alone, without an access. */
static int *address_of_mine(void) { return &mine; }

static int next(void) {
  static _Thread_local int calls;
  return ++calls;
}

static void afresh(void) {
  if (mine != 5 || zero[3] != 0 || unaligned != 'u' || strcmp(text, "text") != 0 || text[11] != 0) abort();
  if (by_offset != 9 || by_register != 0 || elsewhere != 70 || memcmp(hidden_elsewhere, "hid", 3) != 0) abort();
  if (together.of_all != zero_of_all || strcmp(together.words, "two words") != 0 || together.number != 1.5) abort();
  if ((uintptr_t)&together % 64 != 0 || next() != 1) abort();
}

/* Changes all of them, by `step`, in each width. */
static void change(int step) {
  mine += step;
  zero[3] += step;
  unaligned = (char)step;
  text[11] = (char)step;
  by_offset += step;
  by_register -= step;
  elsewhere += step;
  hidden_elsewhere[2] = (char)step;
  together.number += step;
}

static void changed(int step) {
  if (mine != 5 + step || zero[3] != step || unaligned != step || text[11] != step) abort();
  if (by_offset != 9 + step || by_register != -step || elsewhere != 70 + step) abort();
  if (hidden_elsewhere[2] != step || together.number != 1.5 + step || next() != 2) abort();
}

static void *counts(void *argument) {
  afresh();
  change(1);
  of_the_other = address_of_mine();
  changed(1);
  return argument;
}

void locals(void) {
  afresh();
  change(2);
  pthread_t thread;
  pthread_create(&thread, NULL, counts, NULL);
  changed(2);
  pthread_join(thread, NULL);
  if (of_the_other == address_of_mine() || mine != 7) abort();
}

/* A thread's variables end with it. */
void local_after_its_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, counts, NULL);
  pthread_join(thread, NULL);
  *of_the_other = 1;
}

static void *adds(void *argument) {
  ++*(int *)argument;
  return argument;
}

/* A thread that has another's address shares the variable like any other memory. */
void local_of_another(void) {
  of_the_other = address_of_mine();
  pthread_t thread;
  pthread_create(&thread, NULL, adds, of_the_other);
  mine++;
  pthread_join(thread, NULL);
}

static __thread int kept = 1;

/* Also called before there is a search, outside of any interleaving. */
int keeps(void) { return ++kept; }

void kept_for_the_first(void) {
  if (keeps() != 3) abort();
}

void kept_and_shared(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, adds, &kept);
  kept++;
  pthread_join(thread, NULL);
}

static pthread_once_t key_made = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int destroyed;

/* Plain: whoever joins a thread does so after this. */
static void destroys(void *block) {
  destroyed++;
  free(block);
}

static void makes_key(void) { pthread_key_create(&key, destroys); }

/* For threads that Rust code makes. */
void owns_a_block(void) {
  pthread_once(&key_made, makes_key);
  pthread_setspecific(key, malloc(8));
  mine++;
}

int blocks_destroyed(void) { return destroyed; }

/* More stack than loom gives its threads. */
int goes_deep(int depth) {
  volatile char room[1024];
  room[depth % 1024] = 1;
  return depth ? goes_deep(depth - 1) + room[depth % 1024] : 0;
}
