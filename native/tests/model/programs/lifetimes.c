/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Programs for the model, one for each of: memory that is used again as another type, objects that are initialised by
 * assignment, and plain accesses to an atomic object.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                                                    \
  if (!(what)) abort()

static void together(void *(*one)(void *), void *(*other)(void *)) {
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, one, NULL);
  pthread_create(&threads[1], NULL, other, NULL);
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
}

/* Which of the two comes last is open; plain and atomic loads agree. */
static atomic_int stored;

static void *stores_one(void *argument) {
  atomic_store_explicit(&stored, 1, memory_order_relaxed);
  return argument;
}

static void *stores_two(void *argument) {
  atomic_store_explicit(&stored, 2, memory_order_relaxed);
  return argument;
}

void plain_load_after_two_stores(void) {
  together(stores_one, stores_two);
  int plain = *(int *)&stored;
  CHECK(plain == 1 || plain == 2);
  CHECK(atomic_load_explicit(&stored, memory_order_relaxed) == plain);
}

void plain_store_after_two_stores(void) {
  together(stores_one, stores_two);
  *(int *)&stored = 10;
  CHECK(atomic_load_explicit(&stored, memory_order_relaxed) == 10);
  CHECK(atomic_fetch_add(&stored, 1) == 10 && atomic_load(&stored) == 11);
}

/* A volatile load may find what was there before, and leaves memory as it is. */
struct watched {
  volatile int word;
  int other;
};

static struct watched watched, copied;

static void *writes_watched(void *argument) {
  watched.word = 1;
  return argument;
}

void volatile_load_and_copy(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, writes_watched, NULL);
  int before = watched.word;
  pthread_join(thread, NULL);
  memcpy(&copied, &watched, sizeof copied);
  CHECK((before == 0 || before == 1) && copied.word == 1);
}

/* The variables of two functions lie in the same place, one after the other. */
__attribute__((noinline)) static void counts_up(void) {
  atomic_int numbers[4];
  for (int i = 0; i < 4; i++) atomic_init(&numbers[i], i);
  for (int i = 0; i < 4; i++) CHECK(atomic_fetch_add(&numbers[i], 1) == i);
}

void atomics_on_the_stack_again(void) {
  counts_up();
  counts_up();
}

/* Objects on the stack: made by an initialiser, destroyed, and made again in the same place. */
__attribute__((noinline)) static void makes_objects(int locks) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
  pthread_mutex_lock(&mutex);
  if (locks > 1) pthread_mutex_lock(&mutex);
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&mutex);
  pthread_rwlock_wrlock(&rwlock);
  pthread_rwlock_unlock(&rwlock);
  pthread_rwlock_destroy(&rwlock);
  pthread_cond_destroy(&condition);
  pthread_mutex_destroy(&mutex);
}

void objects_on_the_stack_again(void) {
  makes_objects(1);
  makes_objects(1);
}

static pthread_mutex_t assigned;

/* What was recursive is normal now. */
void mutex_assigned_anew(void) {
  assigned = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  pthread_mutex_lock(&assigned);
  pthread_mutex_lock(&assigned);
  pthread_mutex_unlock(&assigned);
  pthread_mutex_unlock(&assigned);
  pthread_mutex_destroy(&assigned);
  assigned = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&assigned);
  pthread_mutex_lock(&assigned);
}

void mutex_used_after_destroy(void) {
  assigned = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_destroy(&assigned);
  pthread_mutex_lock(&assigned);
}

/* A block is handed on by a pointer that orders nothing: its allocation is not ordered before its use either. */
static _Atomic(char *) handed;
static memory_order reads = memory_order_relaxed;

static void *looks(void *argument) {
  char *block = atomic_load_explicit(&handed, reads);
  if (block) CHECK(block[0] == 0);
  return argument;
}

static void hands_on(char *block, memory_order order) {
  pthread_t thread;
  pthread_create(&thread, NULL, looks, NULL);
  if (!block) block = calloc(1, 8);
  else block = realloc(block, 64);
  atomic_store_explicit(&handed, block, order);
  pthread_join(thread, NULL);
  free(block);
}

void calloc_handed_on(void) { hands_on(NULL, memory_order_relaxed); }
void realloc_handed_on(void) { hands_on(calloc(1, 8), memory_order_relaxed); }
void calloc_handed_on_in_order(void) {
  reads = memory_order_acquire;
  hands_on(NULL, memory_order_release);
}

/* As glibc has it. */
void realloc_to_nothing(void) {
  void *block = malloc(3);
  CHECK(realloc(block, 0) == NULL);
}

void write_before_a_block(void) {
  char *first = malloc(8), *second = malloc(8);
  second[-1] = 1;
  free(first);
  free(second);
}

static char room[64];

void copy_of_nearly_everything(void) {
  char *block = malloc(8);
  memcpy(block, room, (size_t)-16);
  free(block);
}

void clear_beyond_the_globals(void) { memset(room, 0, (size_t)1 << 40); }

/* Arrays that are larger than the stack, at one step. */
__attribute__((noinline)) static void touches(char *array, int size) {
  for (int at = 0; at < size; at += 512) array[at] = 1;
}

static int larger = 1 << 20;

void array_beyond_the_stack(void) {
  char array[1 << 19];
  touches(array, sizeof array);
}

static void *has_a_large_array(void *argument) {
  char array[larger];
  touches(array, larger);
  return argument;
}

void variable_array_beyond_the_stack(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, has_a_large_array, NULL);
  pthread_join(thread, NULL);
}
