/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What libraries ask of the system besides: signals that they block, names, random numbers; one program for the model each.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static void must(int holds) {
  if (!holds) abort();
}

static void with_thread(void *(*start)(void *)) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, start, NULL) == 0);
  must(pthread_join(thread, NULL) == 0);
}

static void handler(int signal) {
  (void)signal;
  abort(); /* Nobody sends one. */
}

static int blocked(int signal) {
  sigset_t now;
  must(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
  return sigismember(&now, signal);
}

static void *has_inherited(void *argument) {
  must(blocked(SIGUSR1) == 1 && blocked(SIGUSR2) == 0 && blocked(SIGTERM) == 1);
  sigset_t all;
  sigfillset(&all);
  must(pthread_sigmask(SIG_UNBLOCK, &all, NULL) == 0 && blocked(SIGUSR1) == 0);
  return argument;
}

/* As in a library that keeps signals away from its threads. */
void signals_blocked(void) {
  sigset_t all, before;
  sigfillset(&all);
  must(sigprocmask(SIG_SETMASK, &all, &before) == 0 && sigismember(&before, SIGUSR1) == 0);
  sigemptyset(&all);
  sigaddset(&all, SIGUSR2);
  must(pthread_sigmask(SIG_UNBLOCK, &all, NULL) == 0);
  with_thread(has_inherited);
  must(blocked(SIGUSR1) == 1);
  must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0 && blocked(SIGUSR1) == 0);
  errno = 0;
  must(sigprocmask(77, &all, NULL) == -1 && errno == EINVAL);
}

void signals_handled(void) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  must(sigaction(SIGUSR1, &action, &before) == 0 && before.sa_handler == SIG_DFL);
  must(sigaction(SIGUSR1, NULL, &before) == 0 && before.sa_handler == handler);
  must(signal(SIGUSR1, SIG_IGN) == handler && signal(SIGPIPE, SIG_IGN) == SIG_DFL);
  must(signal(SIGKILL, SIG_IGN) == SIG_ERR && errno == EINVAL);
  must(pthread_kill(pthread_self(), 0) == 0);
}

void signal_sent(void) { pthread_kill(pthread_self(), SIGUSR1); }

/* A mask in memory that another thread writes at the same time. */
static sigset_t contended;

static void *fills(void *argument) {
  contended.__val[0] = 1;
  return argument;
}

void signal_set_raced(void) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, fills, NULL) == 0);
  pthread_sigmask(SIG_BLOCK, &contended, NULL);
  must(pthread_join(thread, NULL) == 0);
}

void cancellation(void) {
  int before = -1;
  must(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0 && before == PTHREAD_CANCEL_ENABLE);
  must(pthread_setcancelstate(before, &before) == 0 && before == PTHREAD_CANCEL_DISABLE);
  must(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before) == 0 && before == PTHREAD_CANCEL_DEFERRED);
  must(pthread_setcancelstate(77, NULL) == EINVAL);
  pthread_testcancel();
}

static pid_t other;

static void *named(void *argument) {
  char name[16];
  must(prctl(PR_SET_NAME, "a name of 17 char", 0, 0, 0) == 0);
  must(prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && strcmp(name, "a name of 17 ch") == 0);
  other = gettid();
  must(gettid() == other && other != getpid());
  return argument;
}

void system_names(void) {
  must(gettid() == getpid());
  with_thread(named);
}

/* Priorities and processors may be asked for, and are nothing to a model. */
void scheduling(void) {
  cpu_set_t set;
  struct sched_param parameters = {0};
  must(sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_OTHER, &parameters) == 0);
  must(setpriority(PRIO_PROCESS, 0, 0) == 0 && getpriority(PRIO_PROCESS, 0) >= -20);
  must(pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 && CPU_COUNT(&set) > 0);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  must(pthread_attr_getschedparam(&attributes, &parameters) == 0);
  pthread_attr_destroy(&attributes);
}

void dumpable(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

void bytes_from_the_system(void) {
  static unsigned char first[16]; /* Put back before each interleaving: it is what differs that would show. */
  unsigned char bytes[16] = {0}, more[16] = {0};
  must(getrandom(bytes, sizeof bytes, 0) == sizeof bytes && getentropy(more, sizeof more) == 0);
  must(memcmp(bytes, more, sizeof bytes) != 0 && memcmp(bytes, first, sizeof bytes) != 0);
}

void calendar(void) {
  time_t day = 86400;
  must(gmtime(&day)->tm_mday == 2 && gmtime(&day)->tm_year == 70 && localtime(&day)->tm_year == 70);
}

static void *looks_up(void *argument) {
  time_t day = 86400;
  must(localtime(&day) != NULL);
  return argument;
}

/* All threads get the same buffer. */
void calendar_raced(void) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, looks_up, NULL) == 0);
  looks_up(NULL);
  must(pthread_join(thread, NULL) == 0);
}
