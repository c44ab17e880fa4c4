/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * FIRE_ATEXIT (S81): what is retained is fired once more when the process exits. The program runs itself again, as a
 * child, and reads what the child's callbacks write while it ends.
 */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

/* Everything below runs in the child, whose output is the evidence. */

static void say(const char *text) {
  if (write(1, text, strlen(text)) < 0) _exit(9);
}

static intptr_t write_name(void *user_data, const emitter_event *event) {
  say((const char *)user_data);
  say(event->cookie == 0 ? "? " : " ");
  return 0;
}

static void write_gone(void *user_data) {
  say((const char *)user_data);
  say("- ");
}

static char one[] = "one", two[] = "two", three[] = "three";

int ending_child(const char *what) {
  emitter_config config = config_of(EMITTER_MODE_WAITS);
  bool silent = strcmp(what, "without") == 0;
  config.hostile = silent ? 0 : (uint32_t)EMITTER_HOSTILE_FIRE_ATEXIT;
  config.workers = 1;
  emitter *first = open_with(&config), *second = open_with(&config);
  emitter_id ids[3];
  CHECK(emitter_subscribe(first, write_name, one, write_gone, &ids[0]), ==, EMITTER_OK);
  CHECK(emitter_subscribe(first, write_name, two, write_gone, &ids[1]), ==, EMITTER_OK);
  CHECK(emitter_subscribe(second, write_name, three, write_gone, &ids[2]), ==, EMITTER_OK);
  CHECK(emitter_fire(first, ids[0], 1, 0, 0, NULL), ==, EMITTER_OK);
  CHECK(emitter_unsubscribe(first, ids[1]), ==, EMITTER_OK);
  if (strcmp(what, "open") != 0) {
    CHECK(emitter_close(first), ==, EMITTER_OK);
    CHECK(emitter_close(second), ==, EMITTER_OK);
    if (!silent) CHECK(emitter_close(first), ==, EMITTER_CLOSING); /* its memory is still there to say so */
  }
  say("exit ");
  return 7;
}

static void child_says(const char *what, const char *expected) {
  char said[256];
  size_t length = 0;
  int ends[2], status = 0;
  if (pipe(ends) != 0) abort();
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    execl(own_path, own_path, "--child", what, (char *)NULL);
    _exit(8);
  }
  close(ends[1]);
  for (ssize_t got = 1; got > 0 && length < sizeof said - 1; length += got > 0 ? (size_t)got : 0)
    got = read(ends[0], said + length, sizeof said - 1 - length);
  said[length] = '\0';
  close(ends[0]);
  CHECK(waitpid(child, &status, 0), ==, child);
  CHECK(WIFEXITED(status), !=, 0);
  CHECK(WEXITSTATUS(status), ==, 7); /* the exit code is kept */
  CHECK(strcmp(said, expected), ==, 0);
  if (strcmp(said, expected) != 0) printf("#   \"%s\", not \"%s\"\n", said, expected);
}

static void fire_atexit_fires_what_is_still_open(void) {
  child_says("open", "one two- exit three? one? two? ");
}

static void fire_atexit_fires_what_was_closed(void) {
  child_says("closed", "one two- one- three- exit three? one? two? ");
}

static void without_the_switch_nothing_fires_at_exit(void) { child_says("without", "one two- one- three- exit "); }

const test ending_tests[] = {TEST(fire_atexit_fires_what_is_still_open),
                             TEST(fire_atexit_fires_what_was_closed),
                             TEST(without_the_switch_nothing_fires_at_exit),
                             {NULL, NULL}};
