/* What runs before main and after it: in each interleaving. */
#include <pthread.h>
#include <stdlib.h>

static int order;
static int *made;
static pthread_key_t key;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int reads_late;

__attribute__((constructor)) static void makes(void) {
  if (order++ != 2) abort();
  made = calloc(1, sizeof *made);
  if (pthread_key_create(&key, NULL)) abort();
}

__attribute__((constructor(201))) static void second(void) {
  if (order++ != 1) abort();
}

__attribute__((constructor(200))) static void first(void) {
  if (order++ != 0) abort();
}

__attribute__((destructor)) static void ends(void) {
  if (reads_late) (*made)++;
}

static void *adds(void *argument) {
  pthread_setspecific(key, &lock);
  pthread_mutex_lock(&lock);
  (*made)++;
  pthread_mutex_unlock(&lock);
  return argument;
}

/* The block is made anew in each interleaving, and the key belongs to it. */
void constructed_anew(void) {
  if (order != 3) abort();
  pthread_t thread;
  pthread_create(&thread, NULL, adds, NULL);
  adds(NULL);
  pthread_join(thread, NULL);
  if (*made != 2 || pthread_getspecific(key) != &lock) abort();
}

void destructor_reads_late(void) {
  reads_late = 1;
  free(made);
}

static __thread int constructed = 1;
static int *of_the_first;

/* Runs on the first thread of each interleaving, before anything else. */
__attribute__((constructor)) static void constructs(void) {
  constructed += 10;
  of_the_first = &constructed;
}

static void *is_another(void *argument) {
  pthread_mutex_lock(&lock);
  if (constructed != 1 || &constructed == of_the_first) abort();
  constructed = 3;
  pthread_mutex_unlock(&lock);
  return argument;
}

/* What the constructor left is the first thread's, in each interleaving. */
void constructed_for_the_first(void) {
  if (constructed != 11 || &constructed != of_the_first) abort();
  constructed++;
  pthread_t thread;
  pthread_create(&thread, NULL, is_another, NULL);
  pthread_mutex_lock(&lock);
  constructed++;
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
  if (constructed != 13) abort();
}

static void *adds_to(void *number) {
  ++*(int *)number;
  return number;
}

void constructed_and_shared(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, adds_to, of_the_first);
  constructed++;
  pthread_join(thread, NULL);
}
