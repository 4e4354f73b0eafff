/*
 * A disk that can be made slow or full while a process runs: preloaded into it, told what to do through a file of two
 * integers that both sides map. It touches database files alone (names with ".db" in them).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile int fsync_ms;
  volatile int full;
};

static struct control none;
static struct control *control = &none;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SOAK_DISK");
  if (path == NULL) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) control = at;
  close(fd);
}

static int is_database(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, ".db") != NULL;
}

static void wait_for_disk(int fd) {
  int ms = control->fsync_ms;
  if (ms <= 0 || !is_database(fd)) return;
  struct timespec time = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&time, NULL);
}

static int is_full(int fd) {
  if (!control->full || !is_database(fd)) return 0;
  errno = ENOSPC;
  return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) {
  wait_for_disk(fd);
  return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
  wait_for_disk(fd);
  return NEXT(fdatasync)(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  return is_full(fd) ? -1 : NEXT(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  return is_full(fd) ? -1 : NEXT(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  return is_full(fd) ? -1 : NEXT(pwrite64)(fd, bytes, count, at);
}
