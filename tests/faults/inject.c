/* Let one of the system calls that change files below a directory fail, or kill the process there.

   Preloaded (LD_PRELOAD) into a process of the tests. It counts the calls of the process and of all that it
   forks or starts, Python's and those of TensorFlow's C++, once `faults_arm` was called, in a file that they
   share: the number of calls, and the call that was hit. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct counter {
    atomic_long calls;
    char hit[256];
};

static struct counter *counter;
static char below[PATH_MAX];
static long armed; /* the number of the call to hit, from 1 */
static int fault; /* an errno, or 0 to kill */

/* Count from now on, in a file, and hit a call. */
int faults_arm(const char *directory, const char *file, long call, int error)
{
    int descriptor = open(file, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return -1;
    void *shared = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (shared == MAP_FAILED) return -1;
    snprintf(below, sizeof below, "%s/", directory);
    armed = call;
    fault = error;
    counter = shared;
    return 0;
}

/* Processes that are started, not forked, are armed by their environment. */
__attribute__((constructor)) static void arm_by_environment(void)
{
    const char *file = getenv("FAULTS_FILE");
    if (!file) return;
    faults_arm(getenv("FAULTS_BELOW"), file, atol(getenv("FAULTS_CALL")), atoi(getenv("FAULTS_ERRNO")));
}

/* Return whether the call is to fail, with errno set. */
static int hit(const char *call, const char *path)
{
    if (strncmp(path, below, strlen(below))) return 0;
    if (atomic_fetch_add(&counter->calls, 1) + 1 != armed) return 0;
    snprintf(counter->hit, sizeof counter->hit, "%s %s", call, path + strlen(below));
    if (!fault) kill(getpid(), SIGKILL);
    errno = fault;
    return 1;
}

static int hit_descriptor(const char *call, int descriptor)
{
    char link[64], path[PATH_MAX];
    if (!counter) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return hit(call, path);
}

static int hit_path(const char *call, int directory, const char *path)
{
    char link[64], whole[2 * PATH_MAX];
    if (!counter) return 0;
    if (path[0] == '/') return hit(call, path);
    if (directory == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, whole, PATH_MAX);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return hit(call, whole);
}

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; }

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define WRAP(type, failed, name, parameters, arguments, test) \
    type name parameters \
    { \
        REAL(name); \
        return test ? failed : real arguments; \
    }

#define WRAP_OPEN(name, parameters, arguments, directory) \
    int name parameters \
    { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        return changes(flags) && hit_path("open", directory, path) ? -1 : real arguments; \
    }

WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
WRAP_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
WRAP_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)

WRAP(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode),
     strpbrk(mode, "wa+") && hit_path("fopen", AT_FDCWD, path))
WRAP(FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode),
     strpbrk(mode, "wa+") && hit_path("fopen", AT_FDCWD, path))
WRAP(size_t, 0, fwrite, (const void *data, size_t size, size_t count, FILE *file), (data, size, count, file),
     hit_descriptor("fwrite", fileno(file)))

WRAP(ssize_t, -1, write, (int file, const void *data, size_t size), (file, data, size),
     hit_descriptor("write", file))
WRAP(ssize_t, -1, writev, (int file, const struct iovec *data, int count), (file, data, count),
     hit_descriptor("write", file))
WRAP(ssize_t, -1, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at),
     hit_descriptor("write", file))
WRAP(ssize_t, -1, pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at),
     hit_descriptor("write", file))
WRAP(int, -1, ftruncate64, (int file, off64_t size), (file, size), hit_descriptor("truncate", file))
WRAP(int, -1, fsync, (int file), (file), hit_descriptor("fsync", file))
WRAP(int, -1, fdatasync, (int file), (file), hit_descriptor("fsync", file))

WRAP(int, -1, rename, (const char *from, const char *to), (from, to), hit_path("rename to", AT_FDCWD, to))
WRAP(int, -1, renameat, (int at, const char *from, int to_at, const char *to), (at, from, to_at, to),
     hit_path("rename to", to_at, to))
WRAP(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), hit_path("mkdir", AT_FDCWD, path))
WRAP(int, -1, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), hit_path("mkdir", at, path))
WRAP(int, -1, unlink, (const char *path), (path), hit_path("unlink", AT_FDCWD, path))
WRAP(int, -1, unlinkat, (int at, const char *path, int flags), (at, path, flags), hit_path("unlink", at, path))
WRAP(int, -1, rmdir, (const char *path), (path), hit_path("rmdir", AT_FDCWD, path))
