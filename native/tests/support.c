/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The tests' tools (see support.h) and the program that runs the tests: all of them, or those named as arguments.
 */
#include "support.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

pthread_mutex_t shared = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t tally = PTHREAD_MUTEX_INITIALIZER; /* its own: checks are made while holding `shared` */
static long checks, failures;
static char now_about[128];
static const char *running = "?";
const char *own_path;
const char *const mode_names[] = {"SCOPED", "WAITS", "RETURNS", "DEFERRED", "ONCE", "QUEUED", "REPLACE", "TABLE"};

void check(bool holds, const char *text, const char *op, intmax_t left, intmax_t right, const char *file, int line) {
  pthread_mutex_lock(&tally);
  checks++;
  if (!holds) {
    failures++;
    printf("# %s:%d: %s%s: %s\n#   %jd %s %jd does not hold\n", file, line, running, now_about, text, left, op, right);
    fflush(stdout);
  }
  pthread_mutex_unlock(&tally);
}

void about(const char *what, intmax_t which) {
  pthread_mutex_lock(&tally);
  snprintf(now_about, sizeof now_about, " (%s %jd)", what, which);
  pthread_mutex_unlock(&tally);
}

int tick(void) {
  static int now;
  pthread_mutex_lock(&shared);
  int at = ++now;
  pthread_mutex_unlock(&shared);
  return at;
}

void yield_a_while(void) {
  for (int i = 0; i < 1000; i++) sched_yield();
}

void gate_init(gate *g) {
  memset(g, 0, sizeof *g);
  pthread_cond_init(&g->changed, NULL);
}

void gate_pass(gate *g) {
  pthread_mutex_lock(&shared);
  g->arrived++;
  pthread_cond_broadcast(&g->changed);
  while (!g->open) pthread_cond_wait(&g->changed, &shared);
  pthread_mutex_unlock(&shared);
}

void gate_await(gate *g, int arrived) {
  pthread_mutex_lock(&shared);
  while (g->arrived < arrived) pthread_cond_wait(&g->changed, &shared);
  pthread_mutex_unlock(&shared);
}

void gate_open(gate *g) {
  pthread_mutex_lock(&shared);
  g->open = true;
  pthread_cond_broadcast(&g->changed);
  pthread_mutex_unlock(&shared);
}

void probe_init(probe *p) { memset(p, 0, sizeof *p); }

intptr_t record(void *user_data, const emitter_event *event) {
  probe *p = (probe *)user_data;
  pthread_mutex_lock(&shared);
  int number = ++p->calls;
  if (++p->inside > p->most_inside) p->most_inside = p->inside;
  p->event = *event;
  p->thread = pthread_self();
  pthread_mutex_unlock(&shared);
  if (p->stop != NULL) gate_pass(p->stop);
  if (p->then != NULL) p->then(p, event);
  int now = tick();
  pthread_mutex_lock(&shared);
  p->inside--;
  p->ended_at = now;
  pthread_mutex_unlock(&shared);
  return event->a + event->b + (p->counting ? number : 0);
}

void destroyed(void *user_data) {
  probe *p = (probe *)user_data;
  int now = tick();
  pthread_mutex_lock(&shared);
  p->destroyed++;
  p->inside_at_destroy = p->inside;
  p->destroyed_at = now;
  p->destroyer = pthread_self();
  pthread_mutex_unlock(&shared);
  if (p->finally != NULL) p->finally(p);
}

int calls_of(probe *p) {
  pthread_mutex_lock(&shared);
  int calls = p->calls;
  pthread_mutex_unlock(&shared);
  return calls;
}

int destroyed_of(probe *p) {
  pthread_mutex_lock(&shared);
  int times = p->destroyed;
  pthread_mutex_unlock(&shared);
  return times;
}

void stage_init(stage *s, int site) {
  memset(s, 0, sizeof *s);
  gate_init(&s->parked);
  s->site = site;
}

void stall(void *stall_data, uint32_t site, emitter_id subscription) {
  stage *s = (stage *)stall_data;
  pthread_mutex_lock(&shared);
  bool parks = (int)site == s->site && (!s->only || subscription == s->of) && s->skip-- == 0;
  s->passed[site]++;
  s->last[site] = subscription;
  pthread_cond_broadcast(&s->parked.changed);
  pthread_mutex_unlock(&shared);
  if (s->then != NULL) s->then(s, site);
  if (parks) gate_pass(&s->parked);
}

int passed(stage *s, int site) {
  pthread_mutex_lock(&shared);
  int times = s->passed[site];
  pthread_mutex_unlock(&shared);
  return times;
}

void stage_await_passed(stage *s, int site, int times) {
  pthread_mutex_lock(&shared);
  while (s->passed[site] < times) pthread_cond_wait(&s->parked.changed, &shared);
  pthread_mutex_unlock(&shared);
}

emitter_config config_of(uint32_t mode) {
  emitter_config config;
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  config.mode = mode;
  return config;
}

emitter *open_with(const emitter_config *config) {
  emitter *e = NULL;
  CHECK(emitter_open(config, &e), ==, EMITTER_OK);
  if (e == NULL) abort(); /* nothing that a test does next would mean anything */
  return e;
}

emitter *open_mode(uint32_t mode) {
  emitter_config config = config_of(mode);
  return open_with(&config);
}

void close_ok(emitter *e) { CHECK(emitter_close(e), ==, EMITTER_OK); }

emitter_id subscribe_probe(emitter *e, probe *p) {
  emitter_id id = 0;
  CHECK(emitter_subscribe(e, record, p, destroyed, &id), ==, EMITTER_OK);
  p->e = e;
  p->id = id;
  return id;
}

static void *do_it(void *argument) {
  job *j = (job *)argument;
  intptr_t result = 0;
  emitter_status status = EMITTER_BAD_ARGUMENT;
  pthread_mutex_lock(&shared);
  j->began = true;
  pthread_mutex_unlock(&shared);
  switch (j->what) {
  case DO_FIRE: status = emitter_fire(j->e, j->id, 7, 243, 257, &result); break;
  case DO_SEND: status = emitter_send(j->e, j->id, 7, 243, 257, &result); break;
  case DO_POST: status = emitter_post(j->e, j->id, 7, 243, 257); break;
  case DO_UNSUBSCRIBE: status = emitter_unsubscribe(j->e, j->id); break;
  case DO_NOWAIT: status = emitter_unsubscribe_nowait(j->e, j->id); break;
  case DO_BARRIER: status = emitter_barrier(j->e); break;
  case DO_CLOSE: status = emitter_close(j->e); break;
  case DO_REPLACE: status = emitter_replace(j->e, j->id, record, j->p, destroyed); break;
  }
  int now = tick();
  pthread_mutex_lock(&shared);
  j->status = status;
  j->result = result;
  j->ended_at = now;
  pthread_mutex_unlock(&shared);
  return NULL;
}

void job_start(job *j, deed what, emitter *e, emitter_id id) {
  probe *p = what == DO_REPLACE ? j->p : NULL;
  memset(j, 0, sizeof *j);
  j->what = what;
  j->e = e;
  j->id = id;
  j->p = p;
  if (pthread_create(&j->thread, NULL, do_it, j) != 0) abort();
}

emitter_status job_join(job *j) {
  pthread_join(j->thread, NULL);
  return j->status;
}

bool job_waits(job *j) {
  bool began = false, ended = false;
  while (!began) {
    yield_a_while();
    pthread_mutex_lock(&shared);
    began = j->began;
    pthread_mutex_unlock(&shared);
  }
  yield_a_while();
  pthread_mutex_lock(&shared);
  ended = j->ended_at != 0;
  pthread_mutex_unlock(&shared);
  return !ended;
}

static void hangs(int signal) {
  (void)signal;
  const char *parts[] = {"# hangs: ", running, now_about, "\n"};
  for (int i = 0; i < 4; i++)
    if (write(1, parts[i], strlen(parts[i])) < 0) break;
  _exit(3);
}

int main(int count, char **arguments) {
  const test *const suites[] = {subscribing_tests, calling_tests, inside_tests,  waiting_tests,
                                queue_tests,       hostile_tests, failing_tests, ending_tests};
  own_path = arguments[0];
  if (count == 3 && strcmp(arguments[1], "--child") == 0) return ending_child(arguments[2]);
  signal(SIGALRM, hangs);
  int tests = 0, failed = 0;
  for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
    for (const test *t = suites[i]; t->name != NULL; t++) {
      bool wanted = count == 1;
      for (int k = 1; k < count; k++) wanted = wanted || strcmp(arguments[k], t->name) == 0;
      if (!wanted) continue;
      long before = failures;
      running = t->name;
      now_about[0] = '\0';
      alarm(20);
      t->run();
      alarm(0);
      failed += failures != before;
      printf("%sok %d - %s\n", failures == before ? "" : "not ", ++tests, t->name);
    }
  }
  printf("1..%d\n# %ld checks, %ld failed\n", tests, checks, failures);
  return tests == 0 || failed > 0 ? 1 : 0;
}
