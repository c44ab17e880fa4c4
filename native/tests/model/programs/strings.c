/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The C library's functions on memory and strings: that they do what they say, and that they are seen to step beyond a
 * block: one program for the model each.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHECK(what)                                                                                                    \
  if (!(what)) abort()

void strings(void) {
  char *a = strdup("abcabc"), *b = strndup("abcdef", 3), *room = malloc(32);
  CHECK(strlen(a) == 6 && strnlen(a, 4) == 4 && strcmp(b, "abc") == 0 && strncmp(a, b, 3) == 0 && strcmp(a, b) > 0);
  CHECK(strchr(a, 'b') == a + 1 && strrchr(a, 'b') == a + 4 && strchr(a, 'x') == NULL && strchrnul(a, 'x') == a + 6);
  CHECK(memchr(a, 'c', 6) == a + 2 && memrchr(a, 'c', 6) == a + 5 && memcmp(a, a + 3, 3) == 0);
  CHECK(strcpy(room, a) == room && strcat(room, b) == room && strcmp(room, "abcabcabc") == 0);
  CHECK(strncat(room, "xyz", 1) == room && strcmp(room, "abcabcabcx") == 0);
  CHECK(stpcpy(room, b) == room + 3 && mempcpy(room, "hello", 6) == room + 6 && strcmp(room, "hello") == 0);
  CHECK(strncpy(room, "ab", 8) == room && room[7] == 0 && memmove(room + 1, room, 2) == room + 1 && room[2] == 'b');
  CHECK(memset(room, 'z', 4) == room && room[3] == 'z');
  bzero(room, 4);
  CHECK(room[0] == 0);
  char *rest = NULL;
  CHECK(strtok_r(a, "b", &rest) == a && strcmp(strtok_r(NULL, "b", &rest), "ca") == 0);
  CHECK(strcmp(strtok_r(NULL, "b", &rest), "c") == 0 && strtok_r(NULL, "b", &rest) == NULL);
  free(a);
  free(b);
  free(room);
}

static char *formatted(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *text = NULL;
  int length = vasprintf(&text, format, arguments);
  va_end(arguments);
  CHECK(length >= 0 && strlen(text) == (size_t)length);
  return text;
}

/* More of each kind of argument than there are registers for. */
void formats(void) {
  char *text = NULL;
  CHECK(asprintf(&text, "%d %s %ld %c %d %.1f %g", -1, "two", 3L, '4', 5, 6.5, 7.0) == 18);
  CHECK(strcmp(text, "-1 two 3 4 5 6.5 7") == 0);
  free(text);
  CHECK(asprintf(&text, "%g%g%g%g%g%g%g%g%g%g", 0., 1., 2., 3., 4., 5., 6., 7., 8., 9.) == 10);
  CHECK(strcmp(text, "0123456789") == 0);
  free(text);
  CHECK(asprintf(&text, "plain") == 5 && strcmp(text, "plain") == 0);
  free(text);
  text = formatted("%s-%d-%d-%d-%d-%d-%d-%.2f", "a", 1, 2, 3, 4, 5, 6, 0.25);
  CHECK(strcmp(text, "a-1-2-3-4-5-6-0.25") == 0);
  free(text);
}

void formatted_beyond(void) {
  char *text = formatted("%d", 1234);
  text[5] = 0;
  free(text);
}

void formatted_and_lost(void) { formatted("%s", "lost"); }

void blocks(void) {
  char *block = calloc(2, 8);
  for (int i = 0; i < 16; i++) CHECK(block[i] == 0);
  memcpy(block, "0123456789abcdef", 16);
  block = realloc(block, 32);
  CHECK(memcmp(block, "0123456789abcdef", 16) == 0);
  block = realloc(block, 4);
  CHECK(memcmp(block, "0123", 4) == 0);
  block = reallocarray(block, 2, 8);
  CHECK(memcmp(block, "0123", 4) == 0);
  CHECK(reallocarray(block, SIZE_MAX, 8) == NULL && calloc(SIZE_MAX, 8) == NULL);
  free(block);
  CHECK((block = realloc(NULL, 8)) != NULL);
  free(block);
  free(NULL);
  void *aligned = aligned_alloc(64, 128);
  CHECK((uintptr_t)aligned % 64 == 0);
  free(aligned);
  aligned = NULL;
  CHECK(posix_memalign(&aligned, 256, 10) == 0 && (uintptr_t)aligned % 256 == 0);
  free(aligned);
  CHECK(posix_memalign(&aligned, 3, 10) == EINVAL);
}

static char *four(void) { return malloc(4); }

void overflow_strcpy(void) { strcpy(four(), "four"); }
void overflow_strncpy(void) { strncpy(four(), "f", 5); }
void overflow_stpcpy(void) { stpcpy(four(), "four"); }
void overflow_memmove(void) { memmove(four(), "01234", 5); }
void overflow_strlen(void) {
  char *block = four();
  memset(block, 'x', 4);
  if (strlen(block) == 4) abort();
}
void overflow_memcmp(void) {
  if (memcmp(four(), "01234567", 8) == 0) abort();
}
void overflow_strcat(void) {
  char *block = four();
  strcpy(block, "ab");
  strcat(block, "cd");
}
void overflow_strncat(void) {
  char *block = four();
  strcpy(block, "ab");
  strncat(block, "cde", 2);
}
void overflow_after_realloc(void) {
  char *block = realloc(four(), 2);
  block[2] = 'x';
}
void use_after_realloc(void) {
  char *old = four(), *block = realloc(old, 64);
  old[0] = 'x';
  free(block);
}
void overflow_aligned(void) {
  char *block = aligned_alloc(32, 32);
  memset(block, 'x', 33);
}

/* Whoever looks for a byte, or compares, reads no further than to what it finds: the memory may end there. */
void search_to_the_end_of_a_block(void) {
  char *block = malloc(2);
  block[0] = 'a';
  block[1] = 'b';
  CHECK(memchr(block, 'b', 100) == block + 1 && strcmp(block, "ax") < 0 && strncmp("b", block, 9) > 0);
  CHECK(strncmp(block, "abc", 2) == 0);
  free(block);
}

void overflow_memchr(void) {
  char *block = calloc(3, 1);
  CHECK(memchr(block, 'x', 4) == NULL);
}

void overflow_strncmp(void) {
  char *block = malloc(2);
  block[0] = 'a';
  block[1] = 'b';
  CHECK(strncmp(block, "abc", 3) != 0);
}

static int printed(char *to, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(to, size, format, arguments);
  va_end(arguments);
  return length;
}

static int printed_all(char *to, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsprintf(to, format, arguments);
  va_end(arguments);
  return length;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

void more_strings(void) {
  char *a = strdup("Hello, World"), *room = malloc(64), *rest = a;
  CHECK(strcasecmp(a, "hELLO, wORLD") == 0 && strncasecmp(a, "HELP", 3) == 0 && strcasecmp("a", "B") < 0);
  CHECK(strstr(a, "World") == a + 7 && strstr(a, "world") == NULL && strcasestr(a, "world") == a + 7);
  CHECK(strpbrk(a, " ,") == a + 5 && strspn(a, "leH") == 4 && strcspn(a, ",") == 5);
  CHECK(index(a, 'o') == a + 4 && rindex(a, 'o') == a + 8);
  CHECK(strsep(&rest, ", ") == a && strcmp(a, "Hello") == 0 && strcmp(strsep(&rest, ", "), "") == 0);
  CHECK(strcmp(strsep(&rest, ", "), "World") == 0 && rest == NULL && strsep(&rest, ", ") == NULL);
  bcopy("a b", room, 4);
  CHECK(strcmp(strtok(room, " "), "a") == 0 && strcmp(strtok(NULL, " "), "b") == 0 && strtok(NULL, " ") == NULL);
  CHECK(snprintf(NULL, 0, "%d", 123) == 3);
  CHECK(snprintf(room, 3, "%s-%d", "ab", 7) == 4 && strcmp(room, "ab") == 0);
  CHECK(snprintf(room, 64, "%d %d %d %d %d %.1f %s", 1, 2, 3, 4, 5, 6.5, "seven") == 19);
  CHECK(strcmp(room, "1 2 3 4 5 6.5 seven") == 0);
  CHECK(sprintf(room, "%s %d %d %d %d %g %d", "a", 1, 2, 3, 4, 0.5, 6) == 15 && strcmp(room, "a 1 2 3 4 0.5 6") == 0);
  CHECK(printed(room, 4, "%s%d", "abc", 5) == 4 && strcmp(room, "abc") == 0);
  CHECK(printed_all(room, "%d%s", 5, "abc") == 4 && strcmp(room, "5abc") == 0);
  CHECK(malloc_usable_size(room) == 64 && malloc_usable_size(NULL) == 0);
  int numbers[] = {3, 1, 2};
  qsort(numbers, 3, sizeof *numbers, ascending);
  CHECK(numbers[0] == 1 && numbers[1] == 2 && numbers[2] == 3);
  free(a);
  free(room);
  room = valloc(10);
  CHECK((uintptr_t)room % 4096 == 0);
  free(room);
}

/* What fits is fine, whatever size is claimed. */
void overflow_sprintf(void) { sprintf(four(), "%d", 1234); }
void overflow_snprintf(void) {
  char *block = four();
  snprintf(block, 64, "%s", "abc");
  snprintf(block, 64, "%s", "abcd");
}
void overflow_qsort(void) { qsort(calloc(3, sizeof(int)), 4, sizeof(int), ascending); }

static void *prints(void *to) {
  sprintf(to, "%s", "one");
  return to;
}

/* Two threads print to one place. */
void printed_at_once(void) {
  static char text[16];
  pthread_t thread;
  pthread_create(&thread, NULL, prints, text);
  snprintf(text, sizeof text, "%s", "two");
  pthread_join(thread, NULL);
}

static void *splits(void *text) {
  strtok(text, " ");
  return text;
}

/* Each its own text, and both the one place of strtok's. */
void split_at_once(void) {
  char one[] = "a b", two[] = "c d";
  pthread_t thread;
  pthread_create(&thread, NULL, splits, one);
  splits(two);
  pthread_join(thread, NULL);
}

static void *looks_for(void *text) { return strstr(text, "x"); }

void searched_when_freed(void) {
  char *text = strdup("abc");
  pthread_t thread;
  pthread_create(&thread, NULL, looks_for, text);
  free(text);
  pthread_join(thread, NULL);
}
