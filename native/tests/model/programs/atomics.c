/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The rarer atomics, and volatile accesses of every width: one program for the model each.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                                                    \
  if (!(what)) abort()

/* All operations at one width; nand is the compiler's, as C has none. */
#define OPERATIONS(type)                                                                                               \
  do {                                                                                                                 \
    type *a = calloc(1, sizeof *a);                                                                                    \
    const type high = (type)((type)1 << (sizeof(type) * 8 - 1));                                                       \
    CHECK(__atomic_fetch_nand(a, (type)5, __ATOMIC_RELAXED) == 0 && __atomic_load_n(a, __ATOMIC_SEQ_CST) == (type)-1); \
    CHECK(__atomic_fetch_and(a, (type)(high | 6), __ATOMIC_ACQ_REL) == (type)-1);                                      \
    CHECK(__atomic_fetch_nand(a, (type)3, __ATOMIC_RELEASE) == (type)(high | 6));                                      \
    CHECK(__atomic_exchange_n(a, 9, __ATOMIC_ACQUIRE) == (type)~2);                                                    \
    CHECK(__atomic_fetch_xor(a, (type)(high | 1), __ATOMIC_RELAXED) == 9);                                             \
    CHECK(__atomic_fetch_or(a, 4, __ATOMIC_RELAXED) == (type)(high | 8));                                              \
    CHECK(__atomic_add_fetch(a, high, __ATOMIC_SEQ_CST) == 12 && __atomic_sub_fetch(a, 13, __ATOMIC_SEQ_CST) == (type)-1); \
    __atomic_store_n(a, 2, __ATOMIC_RELEASE);                                                                          \
    type expected = 3;                                                                                                 \
    CHECK(!__atomic_compare_exchange_n(a, &expected, 4, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) && expected == 2);  \
    CHECK(__atomic_compare_exchange_n(a, &expected, 4, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));                    \
    CHECK(__sync_val_compare_and_swap(a, 4, 5) == 4 && __sync_val_compare_and_swap(a, 4, 6) == 5);                     \
    CHECK(__sync_bool_compare_and_swap(a, 5, 7) && !__sync_bool_compare_and_swap(a, 5, 8));                            \
    CHECK(__sync_fetch_and_add(a, 1) == 7 && __sync_sub_and_fetch(a, 2) == 6 && *a == 6);                              \
    CHECK(__sync_lock_test_and_set(a, 1) == 6);                                                                        \
    __sync_lock_release(a);                                                                                            \
    CHECK(*a == 0);                                                                                                    \
    free(a);                                                                                                           \
  } while (0)

void atomic_operations(void) {
  OPERATIONS(uint8_t);
  OPERATIONS(uint16_t);
  OPERATIONS(uint32_t);
  OPERATIONS(uint64_t);
  __sync_synchronize();
  atomic_signal_fence(memory_order_seq_cst);
  atomic_flag flag = ATOMIC_FLAG_INIT;
  CHECK(!atomic_flag_test_and_set(&flag) && atomic_flag_test_and_set(&flag));
  atomic_flag_clear(&flag);
  CHECK(!atomic_flag_test_and_set(&flag));
}

/* Whether one weak attempt, without another thread, succeeds: it may fail spuriously. */
int weak_attempt(void) {
  atomic_int *a = calloc(1, sizeof *a);
  int expected = 0;
  bool exchanged = atomic_compare_exchange_weak(a, &expected, 1);
  CHECK(expected == 0 && atomic_load(a) == exchanged);
  free(a);
  return exchanged;
}

/* Whether one strong attempt, without another thread, succeeds: it always does. */
int strong_attempt(void) {
  atomic_int *a = calloc(1, sizeof *a);
  int expected = 0;
  bool exchanged = atomic_compare_exchange_strong(a, &expected, 1);
  free(a);
  return exchanged;
}

/* Who takes it for granted that a weak attempt succeeds is wrong. */
void weak_trusted(void) {
  if (!weak_attempt()) abort();
}

/* One that fails finds what is there, and what that orders is ordered, if there was a reason to fail or not. */
static atomic_int published;
static int payload;

void weak_failure_finds(void) {
  int expected = 5;
  CHECK(!atomic_compare_exchange_weak(&published, &expected, 6) && expected == 0);
}

static void *publishes(void *argument) {
  payload = 1;
  atomic_store_explicit(&published, 1, memory_order_release);
  return argument;
}

static void weakly(memory_order failure) {
  pthread_t thread;
  pthread_create(&thread, NULL, publishes, NULL);
  int expected = 1;
  bool exchanged = failure == memory_order_acquire
      ? atomic_compare_exchange_weak_explicit(&published, &expected, 2, memory_order_acquire, memory_order_acquire)
      : atomic_compare_exchange_weak_explicit(&published, &expected, 2, memory_order_acquire, memory_order_relaxed);
  if (exchanged || expected == 1) CHECK(payload == 1);
  pthread_join(thread, NULL);
}

void weak_failure_acquires(void) { weakly(memory_order_acquire); }
void weak_failure_relaxed(void) { weakly(memory_order_relaxed); }

/* Where the expected value is kept is read, as by any other access. */
static int expectation;

static void *expects(void *argument) {
  atomic_compare_exchange_strong(&published, &expectation, 1);
  return argument;
}

void expectation_race(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, expects, NULL);
  expectation = 2;
  pthread_join(thread, NULL);
}

static volatile uint8_t byte;
static volatile uint16_t word16;
static volatile uint32_t word32;
static volatile uint64_t word64;

static void *writes_volatile(void *argument) {
  byte = 1;
  word16 = 2;
  word32 = 3;
  word64 = 4;
  return argument;
}

void volatile_widths(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, writes_volatile, NULL);
  uint64_t sum = byte + word16 + word32 + word64;
  if (sum > 10) abort();
  pthread_join(thread, NULL);
  if (byte + word16 + word32 + word64 != 10) abort();
}

static volatile __int128 huge;

void volatile_16_bytes(void) { huge = 1; }

/* Plain accesses of every width, unaligned as well, and ranges. */
struct __attribute__((packed)) odd {
  char shift;
  uint16_t two;
  uint32_t four;
  uint64_t eight;
  __int128 sixteen;
};

struct large {
  char bytes[100];
};

static struct odd odd;
static struct large large;
static struct large *other;

static void *writes_plainly(void *argument) {
  odd.two = 1;
  odd.four++;
  odd.eight += 2;
  odd.sixteen = 3;
  *other = large;
  return argument;
}

void plain_widths(void) {
  other = malloc(sizeof *other);
  memset(&large, 7, sizeof large);
  pthread_t thread;
  pthread_create(&thread, NULL, writes_plainly, NULL);
  pthread_join(thread, NULL);
  if (odd.two != 1 || odd.four != 1 || odd.eight != 2 || odd.sixteen != 3 || other->bytes[99] != 7) abort();
  free(other);
}

/* The last byte of an unaligned word is shared with a thread that nothing orders. */
static void *touches_the_end(void *argument) {
  ((char *)&odd.sixteen)[15] = 1;
  return argument;
}

void unaligned_race(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, touches_the_end, NULL);
  odd.sixteen = 3;
  pthread_join(thread, NULL);
}
