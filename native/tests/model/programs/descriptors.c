/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Descriptors by which threads wake each other: one program for the model each.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static void must(int holds) {
  if (!holds) abort();
}

static int ends[2], event, message;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void with_thread(void *(*start)(void *), void (*meanwhile)(void)) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, start, NULL) == 0);
  meanwhile();
  must(pthread_join(thread, NULL) == 0);
}

static void *sends(void *argument) {
  message += 7;
  must(write(ends[1], "x", 1) == 1);
  return argument;
}

static void reads_and_looks(void) {
  char byte = 0;
  must(read(ends[0], &byte, 1) == 1 && byte == 'x' && message == 7);
}

static void polls_and_looks(void) {
  struct pollfd one = {ends[0], POLLIN, 0};
  must(poll(&one, 1, -1) == 1 && one.revents == POLLIN);
  reads_and_looks();
}

static void selects_and_looks(void) {
  fd_set reads;
  FD_ZERO(&reads);
  FD_SET(ends[0], &reads);
  must(select(ends[0] + 1, &reads, NULL, NULL, NULL) == 1 && FD_ISSET(ends[0], &reads));
  reads_and_looks();
}

void pipe_blocks(void) {
  must(pipe(ends) == 0);
  with_thread(sends, reads_and_looks);
}

void pipe_polled(void) {
  must(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  with_thread(sends, polls_and_looks);
}

void pipe_selected(void) {
  must(pipe(ends) == 0);
  with_thread(sends, selects_and_looks);
}

void pair_of_sockets(void) {
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  with_thread(sends, polls_and_looks);
}

static void looks_too_early(void) { must(message != 8); }

/* What is written is no lock for what it does not come after. */
void pipe_not_waited_for(void) {
  must(pipe(ends) == 0);
  with_thread(sends, looks_too_early);
}

static int answer;
int poll_outcome(void) { return answer; }

static void polls_with_a_limit(void) {
  struct pollfd one = {ends[0], POLLIN, 0};
  answer = poll(&one, 1, 100);
}

void poll_limited(void) {
  must(pipe(ends) == 0);
  with_thread(sends, polls_with_a_limit);
}

static void polls_at_once(void) {
  struct pollfd one = {ends[0], POLLIN, 0};
  answer = poll(&one, 1, 0);
}

void poll_at_once(void) {
  must(pipe(ends) == 0);
  with_thread(sends, polls_at_once);
}

static void *counts_up(void *argument) {
  uint64_t one = 1;
  must(write(event, &one, sizeof one) == sizeof one);
  return argument;
}

static void waits_at_poller(void) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event asked = {.events = EPOLLIN, .data = {.u64 = 99}}, got;
  must(epoll_ctl(poller, EPOLL_CTL_ADD, event, &asked) == 0);
  must(epoll_ctl(poller, EPOLL_CTL_ADD, event, &asked) == -1 && errno == EEXIST);
  must(epoll_wait(poller, &got, 1, -1) == 1 && got.events == EPOLLIN && got.data.u64 == 99);
  uint64_t count = 0;
  must(read(event, &count, sizeof count) == sizeof count && count == 1);
  must(epoll_wait(poller, &got, 1, 0) == 0);
  must(epoll_ctl(poller, EPOLL_CTL_DEL, event, NULL) == 0 && close(poller) == 0);
}

void event_awaited(void) {
  event = eventfd(0, EFD_NONBLOCK);
  with_thread(counts_up, waits_at_poller);
  must(close(event) == 0);
}

static void waits_for_nobody(void) {
  struct pollfd one = {event, POLLIN, 0};
  poll(&one, 1, -1);
  poll(&one, 1, -1);
  uint64_t count;
  must(read(event, &count, sizeof count) == sizeof count);
  poll(&one, 1, -1);
}

void event_that_does_not_come(void) {
  event = eventfd(0, 0);
  with_thread(counts_up, waits_for_nobody);
}

static int poller;

static void *watches(void *argument) {
  struct epoll_event got;
  must(epoll_wait(poller, &got, 1, -1) == 1);
  return argument;
}

static void adds_later(void) {
  struct epoll_event asked = {.events = EPOLLIN};
  must(epoll_ctl(poller, EPOLL_CTL_ADD, event, &asked) == 0);
}

/* Who waits already is told of what is watched from now on. */
void poller_told_later(void) {
  event = eventfd(1, 0);
  poller = epoll_create(1);
  with_thread(watches, adds_later);
}

/* What POSIX and Linux say of one thread's calls. */
void descriptors_one_by_one(void) {
  char bytes[8] = {0};
  must(pipe2(ends, O_NONBLOCK) == 0 && ends[0] != ends[1] && ends[0] > 2);
  must(read(ends[0], bytes, 8) == -1 && errno == EAGAIN);
  must(write(ends[1], "abc", 3) == 3 && read(ends[0], bytes, 2) == 2 && memcmp(bytes, "ab", 2) == 0);
  must(write(ends[0], "abc", 3) == -1 && errno == EBADF);
  must(fcntl(ends[0], F_GETFL) == (O_RDONLY | O_NONBLOCK) && fcntl(ends[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
  must(fcntl(ends[0], F_SETFL, 0) == 0 && fcntl(ends[0], F_GETFL) == O_RDONLY);
  must(fcntl(ends[0], F_GETFD) == 0 && fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ends[0], F_GETFD) == FD_CLOEXEC);
  must(fcntl(ends[0], F_SETPIPE_SZ, 4096) == -1 && errno == EPERM);
  int first = ends[1];
  must(close(ends[1]) == 0 && close(ends[1]) == -1 && errno == EBADF);
  struct pollfd one = {ends[0], POLLIN, 0};
  must(poll(&one, 1, -1) == 1 && one.revents == (POLLIN | POLLHUP));
  must(read(ends[0], bytes, 8) == 1 && read(ends[0], bytes, 8) == 0);
  one.fd = first;
  must(poll(&one, 1, -1) == 1 && one.revents == POLLNVAL);
  must(close(ends[0]) == 0);

  /* A number that is used again is watched by nobody. */
  int watching = epoll_create1(0);
  event = eventfd(3, EFD_SEMAPHORE);
  struct epoll_event asked = {.events = EPOLLIN | EPOLLET}, got;
  must(epoll_ctl(watching, EPOLL_CTL_ADD, event, &asked) == 0);
  must(epoll_wait(watching, &got, 1, 0) == 1 && epoll_wait(watching, &got, 1, 0) == 0);
  uint64_t count;
  must(read(event, &count, sizeof count) == sizeof count && count == 1);
  must(epoll_wait(watching, &got, 1, 0) == 1);
  int old = event;
  must(close(event) == 0);
  event = eventfd(1, 0);
  must(event == old && epoll_wait(watching, &got, 1, 0) == 0);
  must(close(event) == 0 && close(watching) == 0);

  signal(SIGPIPE, SIG_IGN);
  must(pipe(ends) == 0 && close(ends[0]) == 0);
  must(write(ends[1], "x", 1) == -1 && errno == EPIPE);
}

void pipe_broken(void) {
  must(pipe(ends) == 0 && close(ends[0]) == 0);
  must(write(ends[1], "x", 1) == -1);
}

static void *closes(void *argument) {
  close(ends[1]);
  return argument;
}

static void reads_to_the_end(void) {
  char byte;
  must(read(ends[0], &byte, 1) == 0);
}

void pipe_closed(void) {
  must(pipe(ends) == 0);
  with_thread(closes, reads_to_the_end);
}

/* Both go to the same freed memory. */
void read_into_freed(void) {
  char *buffer = malloc(4);
  must(pipe(ends) == 0 && write(ends[1], "ab", 2) == 2);
  free(buffer);
  read(ends[0], buffer, 2);
}

static char first[2], second[4];
static struct iovec pieces[] = {{first, sizeof first}, {NULL, 0}, {second, sizeof second}};

static void *sends_a_message(void *argument) {
  struct iovec words[] = {{"ab", 2}, {"cde", 3}};
  struct msghdr it = {.msg_iov = words, .msg_iovlen = 2};
  message += 7;
  must(sendmsg(ends[1], &it, MSG_NOSIGNAL) == 5);
  return argument;
}

static void receives_a_message(void) {
  char control[64];
  struct msghdr it = {.msg_iov = pieces, .msg_iovlen = 3, .msg_control = control, .msg_controllen = sizeof control};
  must(recvmsg(ends[0], &it, MSG_CMSG_CLOEXEC) == 5 && it.msg_controllen == 0);
  must(it.msg_flags == MSG_CMSG_CLOEXEC);
  must(memcmp(first, "ab", 2) == 0 && memcmp(second, "cde", 4) == 0 && message == 7);
}

static void reads_pieces(void) {
  must(readv(ends[0], pieces, 3) == 5);
  must(memcmp(first, "ab", 2) == 0 && memcmp(second, "cde", 4) == 0 && message == 7);
}

/* All pieces of a message arrive at once. */
void message_in_pieces(void) {
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  with_thread(sends_a_message, receives_a_message);
}

void message_read_in_pieces(void) {
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  with_thread(sends_a_message, reads_pieces);
}

static void changes_a_piece(void) { second[1] = 'x'; }

static void *writes_pieces(void *argument) {
  must(writev(ends[1], pieces, 3) == 6);
  return argument;
}

void piece_changed_meanwhile(void) {
  must(pipe(ends) == 0);
  with_thread(writes_pieces, changes_a_piece);
}

void piece_freed(void) {
  char *freed = malloc(4);
  struct iovec some[] = {{first, 1}, {freed, 4}};
  must(pipe(ends) == 0 && write(ends[1], "abc", 3) == 3);
  free(freed);
  readv(ends[0], some, 2);
}

void message_with_a_descriptor(void) {
  union {
    struct cmsghdr head;
    char all[CMSG_SPACE(sizeof(int))];
  } control = {{.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
  struct msghdr it = {.msg_iov = pieces, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  sendmsg(ends[1], &it, 0);
}

static short happens(int number, short asked) {
  struct pollfd one = {number, asked, 0};
  return poll(&one, 1, 0) == 1 ? one.revents : 0;
}

/* What Linux says of a way that ends while the other goes on. */
void shut_down_one_by_one(void) {
  char bytes[8];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  must(write(ends[0], "ab", 2) == 2 && shutdown(ends[0], SHUT_WR) == 0);
  must(send(ends[0], "c", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  must(happens(ends[1], POLLIN | POLLOUT) == (POLLIN | POLLOUT));
  must(read(ends[1], bytes, 8) == 2 && read(ends[1], bytes, 8) == 0);
  must(write(ends[1], "back", 4) == 4 && read(ends[0], bytes, 8) == 4);
  must(shutdown(ends[1], SHUT_WR) == 0 && happens(ends[1], POLLIN) == (POLLIN | POLLHUP));
  must(happens(ends[0], 0) == POLLHUP);
  must(close(ends[0]) == 0 && close(ends[1]) == 0);

  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  must(shutdown(ends[0], SHUT_RD) == 0 && read(ends[0], bytes, 8) == 0);
  must(send(ends[1], "c", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  must(shutdown(ends[0], 7) == -1 && errno == EINVAL);
  must(close(ends[0]) == 0 && happens(ends[1], POLLIN) == (POLLIN | POLLHUP));
  must(shutdown(ends[0], SHUT_RD) == -1 && errno == EBADF);
  must(pipe(ends) == 0 && shutdown(ends[0], SHUT_RD) == -1 && errno == ENOTSOCK);
}

static void *shuts_down(void *argument) {
  must(shutdown(ends[1], SHUT_RDWR) == 0);
  return argument;
}

/* Who waits is told. */
void pair_shut_down(void) {
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  with_thread(shuts_down, reads_to_the_end);
}

static int more[2];

static void *sends_more(void *argument) {
  must(write(more[1], "y", 1) == 1);
  must(write(more[1], "y", 1) == 1);
  return argument;
}

static void *sends_twice(void *argument) {
  must(write(ends[1], "x", 1) == 1);
  must(write(ends[1], "x", 1) == 1);
  return argument;
}

static void polls_two(void) {
  for (int left = 4; left > 0;) {
    struct pollfd both[] = {{ends[0], POLLIN, 0}, {more[0], POLLIN, 0}};
    char bytes[2];
    must(poll(both, 2, -1) > 0);
    for (int at = 0; at < 2; at++) {
      if (both[at].revents & POLLIN) left -= (int)read(both[at].fd, bytes, 2);
    }
  }
}

/* Who is on its way to look at the second is not disturbed by news of the first. */
void two_polled_at_once(void) {
  must(pipe(ends) == 0 && pipe(more) == 0);
  pthread_t thread;
  must(pthread_create(&thread, NULL, sends_more, NULL) == 0);
  with_thread(sends_twice, polls_two);
  must(pthread_join(thread, NULL) == 0);
}
