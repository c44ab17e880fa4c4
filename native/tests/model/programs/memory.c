/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Memory: one program for the model each.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int counter; /* must be 0 whenever a program starts */

static void *counts(void *argument) {
  (void)argument;
  counter++;
  return NULL;
}

void plain_race(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, counts, NULL);
  counter++;
  pthread_join(thread, NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *counts_locked(void *argument) {
  (void)argument;
  pthread_mutex_lock(&lock);
  counter++;
  pthread_mutex_unlock(&lock);
  return NULL;
}

void globals_start_afresh(void) {
  if (counter != 0) abort();
  pthread_t thread;
  pthread_create(&thread, NULL, counts_locked, NULL);
  counts_locked(NULL);
  pthread_join(thread, NULL);
  if (counter != 2) abort();
}

/* Neighbours in one word are nobody else's business. */
static struct {
  char mine, yours;
} neighbours;

static void *writes_its_own(void *argument) {
  (void)argument;
  neighbours.yours = 1;
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
  return NULL;
}

void neighbours_do_not_race(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, writes_its_own, NULL);
  neighbours.mine = 1;
  pthread_mutex_lock(&lock);
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
}

static void *uses(void *argument) {
  int *block = argument;
  pthread_mutex_lock(&lock);
  block[0] = 1;
  pthread_mutex_unlock(&lock);
  return NULL;
}

void use_after_free(void) {
  int *block = malloc(sizeof *block);
  pthread_t thread;
  pthread_create(&thread, NULL, uses, block);
  pthread_mutex_lock(&lock);
  free(block);
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
}

void double_free(void) {
  char *block = malloc(8);
  char *same = block;
  free(block);
  free(same);
}

void foreign_free(void) {
  char *block = malloc(8);
  free(block + 1);
}

void red_zone(void) {
  char *volatile block = malloc(8);
  memset(block, 0, 9);
  free(block);
}

int *nothing;

void null_pointer(void) { *nothing = 1; }

void leak(void) {
  char *volatile block = strdup("lost");
  block = NULL;
  (void)block;
}

char *kept;

/* What a global refers to is not lost. */
void still_reachable(void) {
  char **list = calloc(2, sizeof *list);
  list[1] = malloc(3);
  kept = (char *)list;
  pthread_t thread;
  pthread_create(&thread, NULL, counts_locked, NULL);
  counts_locked(NULL);
  pthread_join(thread, NULL);
}

static int deeper(int n) {
  volatile char room[4096];
  room[n % 4096] = (char)n;
  return n == 0 ? room[0] : deeper(n - 1) + room[n % 4096];
}

void deep_recursion(void) {
  if (deeper(100000) == 12345) abort();
}
