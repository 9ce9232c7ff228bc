/* A disk that forgets or fails, for the files below one folder (preloaded into a test's child).
 *
 * LOOM_DISK_FOLDER  the folder
 * LOOM_DISK_LOG     where to write every change and every flush down, in order
 * loom_disk_arm     lets the k-th write, flush or truncation fail, and those that follow it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FILES];
static const char *folder;
static int journal = -1;
static long count, first, fails;
static int error;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_unlink)(const char *);
static int (*real_sync)(int);
static int (*real_truncate)(int, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

static void find(void *function, const char *name) { *(void **)function = dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    find(&real_open, "open64");
    find(&real_close, "close");
    find(&real_unlink, "unlink");
    find(&real_sync, "fdatasync");
    find(&real_truncate, "ftruncate64");
    find(&real_write, "write");
    find(&real_pwrite, "pwrite64");
    folder = getenv("LOOM_DISK_FOLDER");
    const char *log = getenv("LOOM_DISK_LOG");
    if (log) journal = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Count from now on; the k-th fails with the code, and so do the times - 1 that follow it. */
void loom_disk_arm(const char *below, long k, long times, int code) {
    folder = strdup(below);
    count = 0, first = k, fails = times, error = code;
}

long loom_disk_count(void) { return count; }

static void put(const void *data, size_t size) {
    if (real_write(journal, data, size) != (ssize_t)size) abort();
}

static void note(char kind, const char *path, int64_t offset, const void *data, uint32_t size) {
    if (journal < 0) return;
    uint16_t length = strlen(path);
    put(&kind, 1), put(&length, 2), put(&offset, 8), put(&size, 4);
    put(path, length), put(data, size);
}

static const char *path_of(int file) { return file >= 0 && file < FILES ? paths[file] : NULL; }

static int breaks(const char *path) {
    const char *end = strrchr(path, '/') + 1;
    if (!strcmp(end, "marks") || !first) return 0;
    count++;
    if (count < first || count >= first + fails) return 0;
    errno = error;
    return 1;
}

static int opened(const char *path, int flags, mode_t mode) {
    int is_ours = folder && !strncmp(path, folder, strlen(folder));
    pthread_mutex_lock(&lock);
    int is_new = is_ours && (flags & O_CREAT) && access(path, F_OK);
    int file = real_open(path, flags, mode);
    if (file >= 0 && file < FILES && is_ours) {
        paths[file] = strdup(path);
        if (is_new) note('C', path, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return file;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        return opened(path, flags, mode);                                                          \
    }
OPEN(open)
OPEN(open64)

int close(int file) {
    if (path_of(file)) {
        pthread_mutex_lock(&lock);
        free(paths[file]);
        paths[file] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return real_close(file);
}

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int result = real_unlink(path);
    if (!result && folder && !strncmp(path, folder, strlen(folder))) note('U', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

static int flushed(int file) {
    const char *path = path_of(file);
    if (!path) return real_sync(file);
    pthread_mutex_lock(&lock);
    int result = breaks(path) ? -1 : real_sync(file);
    if (!result) note('S', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int file) { return flushed(file); }
int fdatasync(int file) { return flushed(file); }

static int truncated(int file, off_t size) {
    const char *path = path_of(file);
    if (!path) return real_truncate(file, size);
    pthread_mutex_lock(&lock);
    int result = breaks(path) ? -1 : real_truncate(file, size);
    if (!result) note('T', path, size, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int file, off_t size) { return truncated(file, size); }
int ftruncate64(int file, off_t size) { return truncated(file, size); }

static ssize_t written(int file, const void *data, size_t size, off_t offset) {
    const char *path = path_of(file);
    if (!path) return offset < 0 ? real_write(file, data, size) : real_pwrite(file, data, size, offset);
    pthread_mutex_lock(&lock);
    off_t at = offset < 0 ? lseek(file, 0, SEEK_CUR) : offset;
    ssize_t done = -1;
    if (!breaks(path)) done = offset < 0 ? real_write(file, data, size) : real_pwrite(file, data, size, at);
    if (done > 0) note('W', path, at, data, done);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t write(int file, const void *data, size_t size) { return written(file, data, size, -1); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return written(file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off_t at) { return written(file, data, size, at); }
