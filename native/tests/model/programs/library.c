/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What the C library reads and writes for C: each function on a block that is just large enough, on one that is a byte
 * too short, on one that was freed, and on one that another thread writes meanwhile.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <iconv.h>
#include <libintl.h>
#include <libgen.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define CHECK(what)                                                                                                    \
  do                                                                                                                   \
    if (!(what)) abort();                                                                                              \
  while (0)

/* What a compiler makes of them that is asked to check sizes. */
extern int __sprintf_chk(char *, int, size_t, const char *, ...);
extern int __snprintf_chk(char *, size_t, int, size_t, const char *, ...);
extern int __vsprintf_chk(char *, int, size_t, const char *, va_list);
extern int __vsnprintf_chk(char *, size_t, int, size_t, const char *, va_list);
extern int __vasprintf_chk(char **, int, const char *, va_list);
extern int __asprintf_chk(char **, int, const char *, ...);
extern int __printf_chk(int, const char *, ...);
extern int __fprintf_chk(FILE *, int, const char *, ...);
extern int __vprintf_chk(int, const char *, va_list);
extern int __vfprintf_chk(FILE *, int, const char *, va_list);
extern int __xpg_strerror_r(int, char *, size_t);
extern char *__xpg_basename(char *);

static char own[64];
static wchar_t wide[16];
static const struct tm newyear = {.tm_year = 70, .tm_mday = 1};

/* The forms that take a list of arguments, which a call has one of only inside of a function like these. */
static int listed(int form, char *to, const char *format, ...) {
  va_list list;
  va_start(list, format);
  int answer = 0;
  char *block = NULL;
  switch (form) {
  case 0: answer = vsprintf(to, format, list); break;
  case 1: answer = vsnprintf(to, 4, format, list); break;
  case 2: answer = vsscanf(to, format, list); break;
  case 3: answer = vprintf(format, list); break;
  case 4: answer = vfprintf(stdout, format, list); break;
  case 5: answer = vasprintf(&block, format, list); break;
  case 6: answer = __vsprintf_chk(to, 1, 64, format, list); break;
  case 7: answer = __vsnprintf_chk(to, 4, 1, 64, format, list); break;
  case 8: answer = __vprintf_chk(1, format, list); break;
  case 9: answer = __vfprintf_chk(stdout, 1, format, list); break;
  case 10: answer = __vasprintf_chk(&block, 1, format, list); break;
  }
  va_end(list);
  free(block);
  return answer;
}

static int backwards(const void *a, const void *b) { return *(const char *)b - *(const char *)a; }
static int forwards_by(const void *a, const void *b, void *by) { return *(int *)by * (*(const char *)a - *(const char *)b); }

static void with_pattern(char *text, char *matches, size_t count, int flags) {
  regex_t pattern;
  CHECK(regcomp(&pattern, "b(c)", REG_EXTENDED | flags) == 0);
  CHECK(regexec(&pattern, text, count, (regmatch_t *)matches, 0) == 0);
  regfree(&pattern);
}

static void converts(char *from, size_t bytes, char *to, size_t space) {
  iconv_t converter = iconv_open("UCS-2LE", "ASCII");
  CHECK(converter != (iconv_t)-1);
  size_t answer = iconv(converter, &from, &bytes, &to, &space);
  iconv_close(converter);
  CHECK(answer == 0 && bytes == 0);
}

static void in_c(const char *number) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  CHECK(strtod_l(number, NULL, c) == 1 && strtof_l(number, NULL, c) == 1);
  CHECK(strtol_l(number, NULL, 10, c) == 1 && strtoul_l(number, NULL, 10, c) == 1);
  freelocale(c);
}

static void to_freed(char *text) { free(text); }

/* A name, what the block `p` holds, how many bytes of it are used, and what is done. */
#define EACH(X)                                                                                                        \
  X(strlen, "abc", 4, CHECK(strlen(p) == 3))                                                                           \
  X(strnlen, "abc", 3, CHECK(strnlen(p, 3) == 3))                                                                      \
  X(strcmp, "abd", 3, CHECK(strcmp(p, "abc") > 0 && strcmp("abc", p) < 0))                                             \
  X(strncmp, "abc", 3, CHECK(strncmp(p, "abcd", 3) == 0))                                                              \
  X(strcasecmp, "ABd", 3, CHECK(strcasecmp(p, "abc") > 0))                                                             \
  X(strncasecmp, "ABC", 3, CHECK(strncasecmp(p, "abcd", 3) == 0))                                                      \
  X(memcmp, "abc", 3, CHECK(memcmp(p, "abc", 3) == 0))                                                                 \
  X(memchr, "ab", 2, CHECK(memchr(p, 'b', 9) == p + 1))                                                                \
  X(memrchr, "bab", 3, CHECK(memrchr(p, 'b', 3) == p + 2))                                                             \
  X(memmem, "abca", 4, CHECK(memmem(p, 4, "ca", 2) == p + 2))                                                          \
  X(strchr, "a:", 2, CHECK(strchr(p, ':') == p + 1))                                                                   \
  X(strchr_end, "ab", 3, CHECK(strchr(p, ':') == NULL && strchr(p, 0) == p + 2))                                       \
  X(index, "a:", 2, CHECK(index(p, ':') == p + 1))                                                                     \
  X(strchrnul, "ab", 3, CHECK(strchrnul(p, ':') == p + 2))                                                             \
  X(strrchr, "a:b", 4, CHECK(strrchr(p, ':') == p + 1))                                                                \
  X(rindex, "a:b", 4, CHECK(rindex(p, 'x') == NULL))                                                                   \
  X(strstr, "abc", 3, CHECK(strstr(p, "bc") == p + 1))                                                                 \
  X(strstr_of, "bc", 3, CHECK(strstr("abc", p) != NULL))                                                               \
  X(strcasestr, "aBc", 3, CHECK(strcasestr(p, "Bc") == p + 1))                                                         \
  X(strpbrk, "ab:", 3, CHECK(strpbrk(p, ";:") == p + 2))                                                               \
  X(strspn, "aab", 3, CHECK(strspn(p, "a") == 2))                                                                      \
  X(strcspn, "ab:", 3, CHECK(strcspn(p, ":") == 2))                                                                    \
  X(strcspn_of, ":;", 3, CHECK(strcspn("ab;", p) == 2))                                                                \
  X(strtok, " a ", 3, CHECK(strtok(p, " ") == p + 1 && p[2] == 0))                                                     \
  X(strtok_r_place, "", 8, CHECK(strtok_r(strcpy(own, "a b"), " ", (char **)p) == own))                                \
  X(strsep_place, "\0\0\0\0\0\0\0", 8, CHECK(strsep((char **)p, " ") == NULL))                                         \
  X(strsep_text, "a ", 2, char *rest = p; CHECK(strsep(&rest, " ") == p && p[1] == 0 && rest == p + 2))                \
  X(strcpy_from, "abc", 4, strcpy(own, p))                                                                             \
  X(strcpy_to, "", 4, strcpy(p, "abc"))                                                                                \
  X(strncpy_from, "abc", 3, strncpy(own, p, 3))                                                                        \
  X(strncpy_pads, "xxxx", 4, strncpy(p, "a", 4); CHECK(p[3] == 0))                                                     \
  X(strcat, "ab", 4, strcat(p, "c"))                                                                                   \
  X(strncat, "ab", 4, strncat(p, "cde", 1); CHECK(p[3] == 0))                                                          \
  X(stpcpy, "", 4, CHECK(stpcpy(p, "abc") == p + 3))                                                                   \
  X(mempcpy, "", 4, CHECK(mempcpy(p, "abcd", 4) == p + 4))                                                             \
  X(memccpy_from, "abc", 2, CHECK(memccpy(own, p, 'b', 9) == own + 2))                                                 \
  X(memccpy_to, "", 2, CHECK(memccpy(p, "abc", 'b', 9) == p + 2))                                                      \
  X(memcpy, "", 4, memcpy(p, "abcd", 4))                                                                               \
  X(memmove, "", 4, memmove(p, "abcd", 4))                                                                             \
  X(memset, "", 4, memset(p, 1, 4))                                                                                    \
  X(bcopy, "", 4, bcopy("abcd", p, 4))                                                                                 \
  X(bzero, "", 4, bzero(p, 4))                                                                                         \
  X(swab_from, "abcd", 4, swab(p, own, 4); CHECK(memcmp(own, "badc", 4) == 0))                                         \
  X(swab_to, "", 4, swab("abcde", p, 5))                                                                               \
  X(strdup, "abc", 4, to_freed(strdup(p)))                                                                             \
  X(strndup, "abc", 2, char *copy = strndup(p, 2); CHECK(strcmp(copy, "ab") == 0); free(copy))                         \
  X(strxfrm_from, "abc", 4, CHECK(strxfrm(NULL, p, 0) > 0))                                                            \
  X(strxfrm_to, "", 4, CHECK(strxfrm(p, "abc", 64) == 3))                                                              \
  X(strcoll, "abc", 4, CHECK(strcoll(p, "abd") < 0))                                                                   \
  X(strverscmp, "a9", 3, CHECK(strverscmp(p, "a10") < 0))                                                              \
  X(wcslen, (const char *)L"ab", 12, CHECK(wcslen((wchar_t *)p) == 2))                                                 \
  X(wcsnlen, (const char *)L"ab", 8, CHECK(wcsnlen((wchar_t *)p, 2) == 2))                                             \
  X(wcscmp, (const char *)L"ab", 8, CHECK(wcscmp((wchar_t *)p, L"aa") > 0))                                            \
  X(wcsncmp, (const char *)L"ab", 8, CHECK(wcsncmp((wchar_t *)p, L"abc", 2) == 0))                                     \
  X(wcscasecmp, (const char *)L"AB", 8, CHECK(wcscasecmp((wchar_t *)p, L"aa") > 0))                                    \
  X(wcsncasecmp, (const char *)L"AB", 8, CHECK(wcsncasecmp((wchar_t *)p, L"abc", 2) == 0))                             \
  X(wcscpy, "", 12, wcscpy((wchar_t *)p, L"ab"))                                                                       \
  X(wcsncpy, "", 12, wcsncpy((wchar_t *)p, L"a", 3))                                                                   \
  X(wcscat, (const char *)L"a\0", 12, wcscat((wchar_t *)p, L"b"))                                                      \
  X(wcsncat, (const char *)L"a\0", 12, wcsncat((wchar_t *)p, L"bcd", 1))                                               \
  X(wcschr, (const char *)L"ab", 8, CHECK(wcschr((wchar_t *)p, 'b') == (wchar_t *)p + 1))                              \
  X(wcsrchr, (const char *)L"ab", 12, CHECK(wcsrchr((wchar_t *)p, 'b') == (wchar_t *)p + 1))                           \
  X(wcsstr, (const char *)L"ab", 8, CHECK(wcsstr((wchar_t *)p, L"b") == (wchar_t *)p + 1))                             \
  X(wmemchr, (const char *)L"ab", 8, CHECK(wmemchr((wchar_t *)p, 'b', 9) == (wchar_t *)p + 1))                         \
  X(wmemcmp, (const char *)L"a\0b", 12, CHECK(wmemcmp((wchar_t *)p, L"a\0a", 3) > 0))                                  \
  X(wmemcpy, "", 8, wmemcpy((wchar_t *)p, L"ab", 2))                                                                   \
  X(wmemmove, "", 8, wmemmove((wchar_t *)p, L"ab", 2))                                                                 \
  X(wmemset, "", 8, wmemset((wchar_t *)p, 'a', 2); CHECK(((wchar_t *)p)[1] == 'a'))                                    \
  X(wcstol, (const char *)L"12,", 12, CHECK(wcstol((wchar_t *)p, NULL, 10) == 12))                                     \
  X(wcstoul, (const char *)L"12", 12, CHECK(wcstoul((wchar_t *)p, NULL, 0) == 12))                                     \
  X(wcstod, (const char *)L".5", 12, CHECK(wcstod((wchar_t *)p, NULL) == .5))                                          \
  X(wcswidth, (const char *)L"ab", 8, CHECK(wcswidth((wchar_t *)p, 2) == 2))                                           \
  X(mbrtowc_from, "a", 1, CHECK(mbrtowc(NULL, p, 4, NULL) == 1))                                                       \
  X(mbrtowc_to, "", 4, CHECK(mbrtowc((wchar_t *)p, "a", 1, NULL) == 1))                                                \
  X(mbrtowc_state, "", 8, CHECK(mbrtowc(wide, "a", 1, (mbstate_t *)p) == 1))                                           \
  X(mbrlen, "a", 1, CHECK(mbrlen(p, 4, NULL) == 1))                                                                    \
  X(mblen, "a", 1, CHECK(mblen(p, 4) == 1))                                                                            \
  X(mbtowc, "", 4, CHECK(mbtowc((wchar_t *)p, "a", 1) == 1))                                                           \
  X(mbsinit, "\0\0\0\0\0\0\0", 8, CHECK(mbsinit((mbstate_t *)p)))                                                      \
  X(wcrtomb, "", 1, CHECK(wcrtomb(p, 'a', NULL) == 1))                                                                 \
  X(wctomb, "", 1, CHECK(wctomb(p, 'a') == 1))                                                                         \
  X(sprintf_to, "", 4, CHECK(sprintf(p, "%s", "abc") == 3))                                                            \
  X(snprintf_to, "", 3, CHECK(snprintf(p, 3, "%d", 12345) == 5))                                                       \
  X(snprintf_needs, "", 3, CHECK(snprintf(p, 64, "%d", 12) == 2))                                                      \
  X(snprintf_format, "a%d", 4, CHECK(snprintf(NULL, 0, p, 12) == 3))                                                   \
  X(snprintf_text, "abc", 4, CHECK(snprintf(own, 2, "%d%s", 1, p) == 4))                                               \
  X(snprintf_precise, "abc", 2, CHECK(snprintf(own, 64, "%f%.2s%5.*s", .5, p, 2, p) == 15))                            \
  X(snprintf_wide, (const char *)L"ab", 12, CHECK(snprintf(own, 64, "%ls", (wchar_t *)p) == 2))                        \
  X(snprintf_count, "", 8, CHECK(snprintf(own, 64, "%s%ln", "ab", (long *)p) == 2 && *(long *)p == 2))                 \
  X(snprintf_position, "abc", 4, CHECK(snprintf(own, 64, "%2$s %1$d", 5, p) == 5))                                     \
  X(snprintf_many, "ab", 3, CHECK(snprintf(own, 64, "%d%d%d%d%f%Lf%s", 1, 2, 3, 4, .5, (long double)1, p) == 22))      \
  X(asprintf, "abc", 4, char *text; CHECK(asprintf(&text, "%s", p) == 3); free(text))                                  \
  X(asprintf_to, "", 8, CHECK(asprintf((char **)p, "a") == 1); free(*(char **)p))                                      \
  X(vsprintf, "", 4, CHECK(listed(0, p, "%s", "abc") == 3))                                                            \
  X(vsnprintf, "", 4, CHECK(listed(1, p, "%s", "abcdef") == 6))                                                        \
  X(vprintf, "", 1, CHECK(listed(3, NULL, "%s", p) == 0))                                                              \
  X(vfprintf, "", 1, CHECK(listed(4, NULL, "%s", p) == 0))                                                             \
  X(vasprintf, "abc", 4, CHECK(listed(5, NULL, "%s", p) == 3))                                                         \
  X(vsprintf_chk, "", 4, CHECK(listed(6, p, "%s", "abc") == 3))                                                        \
  X(vsnprintf_chk, "", 4, CHECK(listed(7, p, "%s", "abcdef") == 6))                                                    \
  X(vprintf_chk, "", 1, CHECK(listed(8, NULL, "%s", p) == 0))                                                          \
  X(vfprintf_chk, "", 1, CHECK(listed(9, NULL, "%s", p) == 0))                                                         \
  X(vasprintf_chk, "abc", 4, CHECK(listed(10, NULL, "%s", p) == 3))                                                    \
  X(sprintf_chk, "", 4, CHECK(__sprintf_chk(p, 1, 64, "%d%d", 1, 23) == 3))                                            \
  X(snprintf_chk, "", 4, CHECK(__snprintf_chk(p, 4, 1, 64, "%d%d", 1, 2345) == 5))                                     \
  X(asprintf_chk, "a", 2, char *text; CHECK(__asprintf_chk(&text, 1, "%s", p) == 1); free(text))                       \
  X(printf, "", 1, CHECK(printf("%s", p) == 0))                                                                        \
  X(fprintf, "", 1, CHECK(fprintf(stdout, "%s", p) == 0))                                                              \
  X(printf_chk, "", 1, CHECK(__printf_chk(1, "%s", p) == 0))                                                           \
  X(fprintf_chk, "", 1, CHECK(__fprintf_chk(stdout, 1, "%s", p) == 0))                                                 \
  X(fputs, "", 1, CHECK(fputs(p, stdout) >= 0))                                                                        \
  X(fputs_unlocked, "", 1, CHECK(fputs_unlocked(p, stdout) >= 0))                                                      \
  X(puts, "", 1, CHECK(puts(p) >= 0))                                                                                  \
  X(fwrite, "\n", 1, CHECK(fwrite(p, 1, 1, stdout) == 1))                                                              \
  X(fwrite_unlocked, "\n", 1, CHECK((fwrite_unlocked)(p, 1, 1, stdout) == 1))                                          \
  X(perror, "", 1, perror(p))                                                                                          \
  X(sscanf_from, "12", 3, int number; CHECK(sscanf(p, "%d", &number) == 1 && number == 12))                            \
  X(sscanf_format, "%d", 3, int number; CHECK(sscanf("12", p, &number) == 1))                                          \
  X(sscanf_to, "", 4, CHECK(sscanf("12", "%d", (int *)p) == 1 && *(int *)p == 12))                                     \
  X(sscanf_text, "", 4, CHECK(sscanf("abcd", "%3s", p) == 1 && strcmp(p, "abc") == 0))                                 \
  X(sscanf_set, "", 3, CHECK(sscanf("ab]c", "%*c%[^c]", p) == 1 && strcmp(p, "b]") == 0))                              \
  X(sscanf_units, "", 2, CHECK(sscanf("abc", "%2c", p) == 1 && p[1] == 'b'))                                           \
  X(sscanf_count, "", 4, int number; CHECK(sscanf("12 ", "%d%n", &number, (int *)p) == 1 && *(int *)p == 2))           \
  X(sscanf_block, "", 8, CHECK(sscanf("ab", "%ms", (char **)p) == 1); free(*(char **)p))                               \
  X(vsscanf, "12", 3, int number; CHECK(listed(2, p, "%d", &number) == 1 && number == 12))                             \
  X(strtol, " 12,", 4, CHECK(strtol(p, NULL, 10) == 12))                                                               \
  X(strtol_to, "", 8, CHECK(strtol("7x", (char **)p, 10) == 7 && **(char **)p == 'x'))                                 \
  X(strtoul, "12;", 3, CHECK(strtoul(p, NULL, 0) == 12 && strtoull(p, NULL, 0) == 12 && strtoll(p, NULL, 0) == 12))    \
  X(strtod, "1.5;", 4, CHECK(strtod(p, NULL) == 1.5 && strtof(p, NULL) == 1.5f && atof(p) == 1.5))                     \
  X(strtod_l, "1;", 2, in_c(p))                                                                                        \
  X(atoi, "12;", 3, CHECK(atoi(p) == 12 && atol(p) == 12 && atoll(p) == 12))                                           \
  X(qsort, "abc", 3, qsort(p, 3, 1, backwards); CHECK(memcmp(p, "cba", 3) == 0))                                       \
  X(qsort_r, "cab", 3, int by = 1; qsort_r(p, 3, 1, forwards_by, &by); CHECK(memcmp(p, "abc", 3) == 0))                \
  X(bsearch, "cba", 1, CHECK(bsearch(p, "cba", 3, 1, backwards) != NULL))                                              \
  X(lfind, "\3\0\0\0\0\0\0", 8, CHECK(lfind("b", "abc", (size_t *)p, 1, backwards) != NULL))                           \
  X(rand_r, "", 4, CHECK(rand_r((unsigned *)p) >= 0))                                                                  \
  X(strftime_to, "", 5, CHECK(strftime(p, 64, "%Y", &newyear) == 4))                                                   \
  X(strftime_from, "%Y", 3, CHECK(strftime(own, 64, p, &newyear) == 4))                                                \
  X(asctime_r, "", 26, CHECK(asctime_r(&newyear, p) == p))                                                             \
  X(ctime_r, "", 26, time_t day = 0; CHECK(ctime_r(&day, p) == p))                                                     \
  X(gmtime_r, "", 56, time_t day = 0; CHECK(gmtime_r(&day, (struct tm *)p) != NULL))                                   \
  X(localtime_r, "\0\0\0\0\0\0\0", 8, struct tm tm; CHECK(localtime_r((time_t *)p, &tm) != NULL))                      \
  X(mktime, (const char *)&newyear, 56, CHECK(mktime((struct tm *)p) != -1))                                           \
  X(timegm, (const char *)&newyear, 56, CHECK(timegm((struct tm *)p) == 0))                                            \
  X(strptime, "1999", 5, struct tm tm; CHECK(strptime(p, "%Y", &tm) == p + 4))                                         \
  X(inet_pton_to, "", 16, CHECK(inet_pton(AF_INET6, "::1", p) == 1))                                                   \
  X(inet_pton_from, "1.2.3.4", 8, CHECK(inet_pton(AF_INET, p, own) == 1))                                              \
  X(inet_ntop_to, "", 8, CHECK(inet_ntop(AF_INET, "\1\2\3\4", p, 16) == p))                                            \
  X(inet_ntop_from, "\1\2\3", 4, CHECK(inet_ntop(AF_INET, p, own, 64) == own))                                         \
  X(inet_aton, "", 4, CHECK(inet_aton("1.2.3.4", (struct in_addr *)p) == 1))                                           \
  X(inet_addr, "1.2.3.4", 8, CHECK(inet_addr(p) == htonl(0x01020304)))                                                 \
  X(sigemptyset, "", 128, CHECK(sigemptyset((sigset_t *)p) == 0))                                                      \
  X(pthread_attr_init, "", 56, pthread_attr_init((pthread_attr_t *)p); pthread_attr_destroy((pthread_attr_t *)p))      \
  X(uname, "", sizeof(struct utsname), CHECK(uname((struct utsname *)p) == 0))                                         \
  X(getrlimit, "", 16, CHECK(getrlimit(RLIMIT_NOFILE, (struct rlimit *)p) == 0))                                       \
  X(getresuid, "", 4, uid_t a, b; CHECK(getresuid(&a, &b, (uid_t *)p) == 0))                                           \
  X(getenv, "A_B", 4, CHECK(getenv(p) == NULL))                                                                        \
  X(fnmatch, "a*", 3, CHECK(fnmatch(p, "abc", 0) == 0))                                                                \
  X(regcomp, "", sizeof(regex_t), CHECK(regcomp((regex_t *)p, "a", 0) == 0); regfree((regex_t *)p))                    \
  X(regexec_text, "abc", 4, with_pattern(p, NULL, 0, 0))                                                               \
  X(regexec_to, "", 16, with_pattern("abc", p, 2, 0); CHECK(((regmatch_t *)p)[1].rm_so == 2))                          \
  X(regerror, "", 1, CHECK(regerror(REG_NOMATCH, NULL, p, 1) > 1))                                                     \
  X(dirname, "/a/b", 5, CHECK(strcmp(dirname(p), "/a") == 0))                                                          \
  X(basename_of_posix, "/a/b/", 6, CHECK(strcmp(__xpg_basename(p), "b") == 0))                                         \
  X(strerror_r, "", 5, CHECK((strerror_r)(123456, p, 5) == p && strcmp(p, "Unkn") == 0))                               \
  X(strerror_r_of_posix, "", 5, CHECK(__xpg_strerror_r(ENOENT, p, 5) == ERANGE))                                       \
  X(iconv_from, "ab", 2, converts(p, 2, own, 64))                                                                      \
  X(iconv_to, "", 4, converts("ab", 2, p, 4))                                                                          \
  X(frexp, "", 4, CHECK(frexp(4, (int *)p) == .5 && *(int *)p == 3))                                                   \
  X(modf, "", 8, CHECK(modf(1.5, (double *)p) == .5 && *(double *)p == 1))                                             \
  X(modff, "", 4, CHECK(modff(1.5f, (float *)p) == .5f && *(float *)p == 1))                                           \
  X(remquo, "", 4, CHECK(remquo(7, 2, (int *)p) == -1))                                                                \
  X(sincos, "", 8, double sine; sincos(0, &sine, (double *)p); CHECK(sine == 0 && *(double *)p == 1))

#define DOES(name, holds, size, ...)                                                                                   \
  static void does_##name(char *p) { __VA_ARGS__; }
EACH(DOES)

#define ENTRY(name, holds, size, ...) {#name, does_##name, holds, sizeof(holds), size},
static const struct {
  const char *name;
  void (*does)(char *);
  const char *holds;
  size_t known, size;
} functions[] = {EACH(ENTRY)};

int library_functions(void) { return sizeof functions / sizeof *functions; }
const char *library_name(int which) { return functions[which].name; }

static char *block_of(int which, size_t size) {
  char *block = malloc(size);
  size_t known = functions[which].known == sizeof(char *) ? functions[which].size : functions[which].known;
  memcpy(block, functions[which].holds, known < size ? known : size);
  return block;
}

void library_enough(int which) {
  char *block = block_of(which, functions[which].size);
  functions[which].does(block);
  free(block);
}

void library_short(int which) {
  char *block = block_of(which, functions[which].size - 1);
  functions[which].does(block);
  free(block);
}

void library_freed(int which) {
  char *block = block_of(which, functions[which].size);
  free(block);
  functions[which].does(block);
}

static int racing;
static void *races(void *block) {
  functions[racing].does(block);
  return block;
}

void library_raced(int which) {
  racing = which;
  char *block = block_of(which, functions[which].size), *last = block + functions[which].size - 1, same = *last;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, races, block) == 0);
  *last = same;
  pthread_join(thread, NULL);
  free(block);
}

/* What the table has no row for, as its functions are used. */
void library_rest(void) {
  pthread_attr_t attributes;
  struct sched_param parameters;
  size_t size = 0;
  void *stack;
  int value = -1;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
  CHECK(pthread_attr_getdetachstate(&attributes, &value) == 0 && value == PTHREAD_CREATE_DETACHED);
  CHECK(pthread_attr_setstacksize(&attributes, 1 << 20) == 0);
  CHECK(pthread_attr_getstacksize(&attributes, &size) == 0 && size == 1 << 20);
  CHECK(pthread_attr_setguardsize(&attributes, 4096) == 0);
  CHECK(pthread_attr_getguardsize(&attributes, &size) == 0 && size == 4096);
  CHECK(pthread_attr_setscope(&attributes, PTHREAD_SCOPE_SYSTEM) == 0);
  CHECK(pthread_attr_getscope(&attributes, &value) == 0 && value == PTHREAD_SCOPE_SYSTEM);
  CHECK(pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) == 0);
  CHECK(pthread_attr_getinheritsched(&attributes, &value) == 0 && value == PTHREAD_EXPLICIT_SCHED);
  CHECK(pthread_attr_setschedpolicy(&attributes, SCHED_OTHER) == 0);
  CHECK(pthread_attr_getschedpolicy(&attributes, &value) == 0 && value == SCHED_OTHER);
  CHECK(pthread_attr_getschedparam(&attributes, &parameters) == 0);
  CHECK(pthread_attr_setschedparam(&attributes, &parameters) == 0);
  CHECK(pthread_attr_setstack(&attributes, own, 1 << 20) == 0);
  CHECK(pthread_attr_getstack(&attributes, &stack, &size) == 0 && stack == own);
  pthread_attr_destroy(&attributes);
  pthread_barrierattr_t barrier;
  CHECK(pthread_barrierattr_init(&barrier) == 0 && pthread_barrierattr_destroy(&barrier) == 0);
  CHECK(pthread_setconcurrency(3) == 0 && pthread_setconcurrency(-1) == EINVAL && pthread_getconcurrency() == 0);

  sigset_t a, b, both;
  CHECK(sigemptyset(&a) == 0 && sigisemptyset(&a) && sigfillset(&b) == 0 && sigdelset(&b, SIGINT) == 0);
  CHECK(sigaddset(&a, SIGINT) == 0 && sigandset(&both, &a, &b) == 0 && sigisemptyset(&both));
  CHECK(sigorset(&both, &a, &b) == 0 && sigismember(&both, SIGINT) == 1);

  gid_t group, groups[256];
  CHECK(getresgid(&group, &group, &group) == 0 && getgroups(0, NULL) >= 0 && getgroups(256, groups) >= 0);
  CHECK(sched_getparam(0, &parameters) == 0 && gethostname(own, sizeof own) == 0);
  CHECK(confstr(_CS_PATH, NULL, 0) > 1 && confstr(_CS_PATH, own, sizeof own) > 1 && own[0] == '/');
  CHECK(sysconf(_SC_PAGESIZE) > 0 && getpgid(0) > 0 && getsid(0) >= 0 && fileno(stdout) == 1);
  cpu_set_t processors, *set = CPU_ALLOC(64);
  CHECK(sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_ALLOC_SIZE(64) == 8);
  CPU_ZERO_S(8, set);
  CPU_SET_S(3, 8, set);
  CHECK(CPU_COUNT_S(8, set) == 1);
  CPU_FREE(set);

  CHECK(strcmp(gettext("a"), "a") == 0 && strcmp(dgettext(NULL, "a"), "a") == 0);
  CHECK(strcmp(dcgettext(NULL, "a", LC_MESSAGES), "a") == 0 && strcmp(ngettext("a", "b", 2), "b") == 0);
  CHECK(strcmp(dngettext(NULL, "a", "b", 2), "b") == 0);
  CHECK(strcmp(dcngettext(NULL, "a", "b", 1, LC_MESSAGES), "a") == 0);
  CHECK(iswctype('a', wctype("alpha")) && strcmp((basename)("a/b"), "b") == 0 && secure_getenv("A_B") == NULL);
  float sine, cosine;
  sincosf(0, &sine, &cosine);
  CHECK(sine == 0 && cosine == 1 && frexpf(4, &value) == .5f && value == 3);
  /* The C library puts each of them into one place. */
  const char *one = strerror(100001), *other = strerror(100002);
  CHECK(strstr(one, "100001") && strstr(other, "100002") && strstr(strsignal(1001), "1001"));
}

static void *has_its_own(void *argument) {
  CHECK(errno == 0 && strtol("99999999999999999999", NULL, 10) > 0 && errno == ERANGE);
  return argument;
}

/* Each thread has its own, also of what the C library sets. */
void library_errno(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, has_its_own, NULL) == 0);
  errno = ENOENT;
  CHECK(snprintf(own, sizeof own, "%m") > 0 && strcmp(own, strerror(ENOENT)) == 0);
  CHECK(sysconf(-1) == -1 && errno == EINVAL);
  pthread_join(thread, NULL);
  CHECK(errno == EINVAL);
}

/* They write nothing where there is nothing to change, and read no further than they have to. */
static void *only_reads(void *text) {
  char *rest, name[8];
  CHECK(strtok_r(text, ";", &rest) == text && strsep(&(char *){text}, ";") == text && dirname(text) != text);
  CHECK(sscanf(text, "%7s", name) == 1 && snprintf(name, 8, "%.3s", (char *)text) == 3 && strtol(text, NULL, 36) == 13368);
  qsort(text, 1, 1, backwards);
  return text;
}

void library_reads(void) {
  static char text[] = "abc";
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, only_reads, text) == 0);
  only_reads(text);
  pthread_join(thread, NULL);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char letters[] = "cab";
static int begun;

static int locked(const void *a, const void *b) {
  pthread_mutex_lock(&lock);
  begun = 1;
  int answer = *(const char *)a - *(const char *)b;
  pthread_mutex_unlock(&lock);
  return answer;
}

static void *sorts(void *argument) {
  qsort(letters, 3, 1, locked);
  return argument;
}

/* To compare under a lock is not to sort under it. */
void library_sorted(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, sorts, NULL) == 0);
  pthread_mutex_lock(&lock);
  if (begun) CHECK(letters[0] != 'x');
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
}

static pthread_attr_t shared;

static void *sets_up(void *argument) {
  pthread_attr_init(&shared);
  return argument;
}

void library_attributes(void) {
  pthread_t thread, other;
  CHECK(pthread_create(&thread, NULL, sets_up, NULL) == 0);
  CHECK(pthread_create(&other, &shared, only_reads, "abc") == 0);
  pthread_join(thread, NULL);
  pthread_join(other, NULL);
}

void library_set_short(void) {
  cpu_set_t *set = CPU_ALLOC(64);
  set->__bits[1] = 1;
}

char *library_nothing;
void library_null(void) { CHECK(strlen(library_nothing) == 0); }
void library_null_compared(void) { CHECK(strcmp("a", library_nothing) == 0); }
void library_null_tokens(void) { CHECK(strtok(NULL, " ") == NULL); }
void library_null_printed(void) { CHECK(snprintf(own, sizeof own, "%s", library_nothing) == 6); }

static const char *format = "%y";
void library_format(void) { snprintf(own, sizeof own, format, 1); }
void library_scan(void) { sscanf("1", format, own); }
/* What the compiler calls where a function finds its guard overwritten. */
void __stack_chk_fail(void);
void library_guard(void) { __stack_chk_fail(); }

void library_part(void) {
  regex_t pattern;
  regmatch_t part = {0, 1};
  CHECK(regcomp(&pattern, "a", 0) == 0);
  regexec(&pattern, "ab", 1, &part, REG_STARTEND);
}
