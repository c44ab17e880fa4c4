/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Thread-local variables. Only clang can turn them into calls, so that other compilers' builds leave these programs out.
 */
#ifdef __clang__
#include <pthread.h>
#include <stdlib.h>

static _Thread_local int mine = 5;
static _Thread_local int zero[4];
static int *of_the_other;

static void *counts(void *argument) {
  if (mine != 5 || zero[3] != 0) abort();
  mine++;
  zero[3]++;
  of_the_other = &mine;
  return argument;
}

void locals(void) {
  mine = 7;
  pthread_t thread;
  pthread_create(&thread, NULL, counts, NULL);
  if (mine != 7 || zero[3] != 0) abort();
  pthread_join(thread, NULL);
  if (of_the_other == &mine || mine != 7) abort();
}

/* A thread's variables end with it. */
void local_after_its_thread(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, counts, NULL);
  pthread_join(thread, NULL);
  *of_the_other = 1;
}
#else
typedef int nothing_here;
#endif
