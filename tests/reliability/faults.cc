// File operations that fail on command, for a process started with LD_PRELOAD=<this library>.
//
// Counts the operations that change files under one folder, and at operation number n, counted from 1, does what the
// armed mode says: fails it with an error of the operating system, writes half of what was asked, or kills the process
// before it happens. A power cut also empties every file whose content was not synced. And refuses memory and threads.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

namespace {

enum Mode { kOff, kError, kErrorFromHere, kShortWrite, kKill, kPower };

char g_root[4096], g_log[1 << 16];
long g_target = 0, g_count = 0;
int g_mode = kOff, g_error = 0;
bool g_refuse_memory = false, g_refuse_threads = false;

struct Dirty {
  int descriptor;  // a duplicate of the one that was written through; -1: free
  dev_t device;
  ino_t inode;
};
Dirty g_dirty[256];

template <typename F>
F Next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

bool UnderRoot(int folder, const char* path) {
  if (g_mode == kOff || path == nullptr) return false;
  char full[8192];
  if (path[0] == '/' || folder == AT_FDCWD) {
    snprintf(full, sizeof full, "%s", path);
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    const ssize_t length = readlink(link, full, 4096);
    if (length < 0) return false;
    snprintf(full + length, sizeof full - length, "/%s", path);
  }
  return strncmp(full, g_root, strlen(g_root)) == 0;
}

bool UnderRoot(int descriptor) {
  if (g_mode == kOff) return false;
  char link[64], full[4096] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, full, sizeof full - 1);
  return length > 0 && strncmp(full, g_root, strlen(g_root)) == 0;
}

void LosePower() {
  for (const Dirty& dirty : g_dirty)
    if (dirty.descriptor >= 0) (void)!Next<int (*)(int, off_t)>("ftruncate")(dirty.descriptor, 0);
}

// True where the operation has to fail; errno is set.
bool Fails(const char* operation, const char* detail) {
  ++g_count;
  const size_t used = strlen(g_log);
  snprintf(g_log + used, sizeof g_log - used, "%s %s\n", operation, detail == nullptr ? "" : detail);
  const bool reached = g_count == g_target;
  if (reached && g_mode == kPower) LosePower();
  if (reached && (g_mode == kKill || g_mode == kPower)) kill(getpid(), SIGKILL);
  if (!(reached && g_mode == kError) && !(g_count >= g_target && g_mode == kErrorFromHere)) return false;
  errno = g_error;
  return true;
}

size_t Shortened(size_t count) { return g_mode == kShortWrite && g_count == g_target && count > 1 ? count / 2 : count; }

void MarkDirty(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return;
  Dirty* free_slot = nullptr;
  for (Dirty& dirty : g_dirty) {
    if (dirty.descriptor >= 0 && dirty.device == status.st_dev && dirty.inode == status.st_ino) return;
    if (dirty.descriptor < 0 && free_slot == nullptr) free_slot = &dirty;
  }
  if (free_slot != nullptr) *free_slot = {dup(descriptor), status.st_dev, status.st_ino};
}

void MarkClean(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return;
  for (Dirty& dirty : g_dirty)
    if (dirty.descriptor >= 0 && dirty.device == status.st_dev && dirty.inode == status.st_ino) {
      close(dirty.descriptor);
      dirty.descriptor = -1;
    }
}

int Sync(const char* name, int descriptor) {
  if (UnderRoot(descriptor)) {
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    (void)!readlink(link, path, sizeof path - 1);
    if (Fails("fsync", path)) return -1;
    MarkClean(descriptor);
  }
  return Next<int (*)(int)>(name)(descriptor);
}

int Open(const char* name, int folder, const char* path, int flags, mode_t mode) {
  if (flags & (O_WRONLY | O_RDWR | O_CREAT))
    if (UnderRoot(folder, path) && Fails("open", path)) return -1;
  if (strstr(name, "at")) return Next<int (*)(int, const char*, int, ...)>(name)(folder, path, flags, mode);
  return Next<int (*)(const char*, int, ...)>(name)(path, flags, mode);
}

mode_t ModeOf(int flags, va_list arguments) { return flags & O_CREAT ? va_arg(arguments, mode_t) : 0; }

}  // namespace

#define OPEN(name)                                   \
  int name(const char* path, int flags, ...) {       \
    va_list arguments;                               \
    va_start(arguments, flags);                      \
    const mode_t mode = ModeOf(flags, arguments);    \
    va_end(arguments);                               \
    return Open(#name, AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name)                                       \
  int name(int folder, const char* path, int flags, ...) { \
    va_list arguments;                                     \
    va_start(arguments, flags);                            \
    const mode_t mode = ModeOf(flags, arguments);          \
    va_end(arguments);                                     \
    return Open(#name, folder, path, flags, mode);         \
  }

extern "C" {

__attribute__((visibility("default"))) void faults_arm(const char* root, long operation, int mode, int error) {
  snprintf(g_root, sizeof g_root, "%s", root);
  g_target = operation, g_count = 0, g_mode = mode, g_error = error, g_log[0] = 0;
  for (Dirty& dirty : g_dirty) dirty.descriptor = -1;
}
__attribute__((visibility("default"))) long faults_count() { return g_count; }
__attribute__((visibility("default"))) const char* faults_log() { return g_log; }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void* data, size_t count) {
  if (UnderRoot(descriptor)) {
    if (Fails("write", nullptr)) return -1;
    MarkDirty(descriptor);
    count = Shortened(count);
  }
  return Next<ssize_t (*)(int, const void*, size_t)>("write")(descriptor, data, count);
}

ssize_t writev(int descriptor, const struct iovec* pieces, int count) {
  if (UnderRoot(descriptor)) {
    if (Fails("writev", nullptr)) return -1;
    MarkDirty(descriptor);
    if (Shortened(2) == 1) return Next<ssize_t (*)(int, const struct iovec*, int)>("writev")(descriptor, pieces, 1);
  }
  return Next<ssize_t (*)(int, const struct iovec*, int)>("writev")(descriptor, pieces, count);
}

int fsync(int descriptor) { return Sync("fsync", descriptor); }
int fdatasync(int descriptor) { return Sync("fdatasync", descriptor); }

int rename(const char* from, const char* to) {
  if (UnderRoot(AT_FDCWD, to) && Fails("rename", to)) return -1;
  return Next<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  if (UnderRoot(to_folder, to) && Fails("rename", to)) return -1;
  return Next<int (*)(int, const char*, int, const char*)>("renameat")(from_folder, from, to_folder, to);
}

int mkdir(const char* path, mode_t mode) {
  if (UnderRoot(AT_FDCWD, path) && Fails("mkdir", path)) return -1;
  return Next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int unlink(const char* path) {
  if (UnderRoot(AT_FDCWD, path) && Fails("unlink", path)) return -1;
  return Next<int (*)(const char*)>("unlink")(path);
}

int unlinkat(int folder, const char* path, int flags) {
  if (UnderRoot(folder, path) && Fails("unlink", path)) return -1;
  return Next<int (*)(int, const char*, int)>("unlinkat")(folder, path, flags);
}

int rmdir(const char* path) {
  if (UnderRoot(AT_FDCWD, path) && Fails("rmdir", path)) return -1;
  return Next<int (*)(const char*)>("rmdir")(path);
}

__attribute__((visibility("default"))) void faults_refuse(int memory, int threads) {
  g_refuse_memory = memory != 0, g_refuse_threads = threads != 0;
}

void* aligned_alloc(size_t alignment, size_t size) noexcept {
  if (!g_refuse_memory) return Next<void* (*)(size_t, size_t)>("aligned_alloc")(alignment, size);
  errno = ENOMEM;
  return nullptr;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) noexcept {
  if (g_refuse_threads) return EAGAIN;
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  return Next<Create>("pthread_create")(thread, attributes, start, argument);
}

}  // extern "C"
