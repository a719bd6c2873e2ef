/* A disk that fails on command. Preload it to a Node.js process: its writes to certain files then
 * fail, are cut short or take long, as a shared control file says at that moment.
 *
 *   GANNET_DISK_FAULTS   the control file; src/lab/disk-faults.ts makes it and writes to it
 *
 * A write that is lost is what fsync(2) warns of: the kernel took it, could not bring it to the
 * disk, tells the next sync, and then forgets about it.
 *
 * The control file is mapped, so that a change is seen at once and asking costs nothing while no
 * fault is on. A file is meant when its path, as /proc/self/fd has it, ends in the given text. Only
 * the calls are here that libuv makes for writes and syncs of one buffer. A delay ends early when
 * the fault is lifted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 256, NAP_MS = 5 };
enum { OP_WRITE = 1, OP_SYNC = 2 };

/* The same in src/lab/disk-faults.ts. */
struct control {
    /* Which of OP_… fail; 0: none. Written last when a fault is set, first when it is lifted. */
    uint32_t ops;
    uint32_t error;       /* errno, or 0 */
    uint32_t short_bytes; /* a write does at most so much; 0: all of it */
    uint32_t delay_ms;
    /* Writes succeed but are lost; the next sync fails once, even after the fault is lifted. */
    uint32_t loses;
    uint32_t hits;  /* counted here: calls that were meant */
    uint32_t lost;  /* counted here: writes that no sync has told of */
    char path[PATH_BYTES];
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("GANNET_DISK_FAULTS");
    if (!path) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        abort();
    }
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED) abort();
    control = mapped;
}

static void *next_symbol(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    return symbol;
}

static int is_on(uint32_t op)
{
    return control && (__atomic_load_n(&control->ops, __ATOMIC_ACQUIRE) & op);
}

static int is_meant(int fd)
{
    char link[32], target[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target);
    size_t meant = strnlen(control->path, PATH_BYTES);
    return length >= (ssize_t)meant && memcmp(target + length - meant, control->path, meant) == 0;
}

static void dawdle(uint32_t op)
{
    struct timespec nap = { .tv_nsec = NAP_MS * 1000 * 1000 };
    for (uint32_t passed_ms = 0; passed_ms < control->delay_ms && is_on(op); passed_ms += NAP_MS)
        nanosleep(&nap, NULL);
}

/* Decides a call: -1 with errno set if it fails, else the number of bytes that it may write. */
static ssize_t fate(uint32_t op, int fd, size_t length)
{
    if (!is_on(op) || !is_meant(fd)) return (ssize_t)length;
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_RELAXED);
    int error = (int)control->error;
    size_t most = control->short_bytes;
    dawdle(op);
    if (error) {
        errno = error;
        return -1;
    }
    return (ssize_t)(most && most < length ? most : length);
}

static int loses(int fd)
{
    if (!is_on(OP_WRITE) || !control->loses || !is_meant(fd)) return 0;
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&control->lost, 1, __ATOMIC_RELEASE);
    return 1;
}

/* Whether a sync fails: for a fault of its own, or to tell of lost writes. */
static int fails_to_sync(int fd)
{
    if (control && __atomic_load_n(&control->lost, __ATOMIC_ACQUIRE) && is_meant(fd)) {
        __atomic_store_n(&control->lost, 0, __ATOMIC_RELEASE);
        errno = EIO;
        return 1;
    }
    return fate(OP_SYNC, fd, 0) < 0;
}

ssize_t write(int fd, const void *data, size_t length)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = next_symbol("write");
    if (loses(fd)) return (ssize_t)length;
    ssize_t most = fate(OP_WRITE, fd, length);
    return most < 0 ? -1 : real(fd, data, (size_t)most);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = next_symbol("pwrite64");
    if (loses(fd)) return (ssize_t)length;
    ssize_t most = fate(OP_WRITE, fd, length);
    return most < 0 ? -1 : real(fd, data, (size_t)most, offset);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real) real = next_symbol("fdatasync");
    return fails_to_sync(fd) ? -1 : real(fd);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real) real = next_symbol("fsync");
    return fails_to_sync(fd) ? -1 : real(fd);
}
