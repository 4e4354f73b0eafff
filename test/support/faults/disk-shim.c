/*
 * Loaded before the C library with LD_PRELOAD. Makes the disk of one process full or slow while it runs, controlled by
 * files in the directory DISK_FAULTS:
 *   full   every write to a database file fails with ENOSPC
 *   slow   every fsync of a database file takes this many milliseconds longer (the number in the file)
 * A database file is a file whose path contains DISK_OF.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_fault(const char *name, char *path, size_t size) {
  const char *directory = getenv("DISK_FAULTS");
  if (directory == NULL) return 0;
  snprintf(path, size, "%s/%s", directory, name);
  return access(path, F_OK) == 0;
}

static int is_database_file(int fd) {
  const char *of = getenv("DISK_OF");
  char link[64], path[4096];
  ssize_t length;
  if (of == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, of) != NULL;
}

static int is_full(int fd) {
  char path[4096];
  int before = errno;
  int full = is_fault("full", path, sizeof path) && is_database_file(fd);
  errno = full ? ENOSPC : before;
  return full;
}

static void delay_fsync(int fd) {
  char path[4096], text[32] = "";
  int before = errno, file;
  if (is_fault("slow", path, sizeof path) && is_database_file(fd) && (file = open(path, O_RDONLY)) >= 0) {
    if (read(file, text, sizeof text - 1) > 0) usleep(1000 * (useconds_t)atoi(text));
    close(file);
  }
  errno = before;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *bytes, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  return is_full(fd) ? -1 : real(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  return is_full(fd) ? -1 : real(fd, bytes, size, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  return is_full(fd) ? -1 : real(fd, bytes, size, at);
}

int fsync(int fd) {
  REAL(int, "fsync", int);
  delay_fsync(fd);
  return real(fd);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  delay_fsync(fd);
  return real(fd);
}
