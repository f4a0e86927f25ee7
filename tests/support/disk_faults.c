/* Makes calls to the disk fail as a test says; preloaded into the process under test.
 *
 * What fails is in a file of 4096 bytes that the test maps as well (ORDERES_DISK_FAULTS names it),
 * so that faults are armed and disarmed while the process runs. Without the variable, and while
 * nothing is armed, every call goes through.
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
#include <sys/types.h>
#include <unistd.h>

enum { SYNC = 1, WRITE = 2, READ = 4 };
enum { CONTROL_BYTES = 4096, NAME_BYTES = 64, PATH_BYTES = 4096 };

/* The same layout as in disk_faults.py. */
struct control {
    int64_t armed;       /* 1: the rest counts. */
    int64_t operations;  /* Which calls fail, as a sum. */
    int64_t error;       /* Their errno. */
    int64_t let_through; /* How many more go through before the first that fails. */
    int64_t times;       /* How many more fail then; below 0: all. */
    int64_t failed;      /* How many have failed. */
    char name[NAME_BYTES]; /* In the paths of the files that are meant; ends with 0. */
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("ORDERES_DISK_FAULTS");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    void *mapped = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    close(fd);
    control = mapped;
}

static int is_meant(int fd)
{
    char link[64];
    char path[PATH_BYTES];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, control->name) != NULL;
}

/* The errno with which the call has to fail; 0: it goes through. */
static int fault(int operation, int fd)
{
    if (control == NULL || !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE))
        return 0;
    int before = errno;
    int meant = (control->operations & operation) && is_meant(fd);
    errno = before;
    if (!meant)
        return 0;
    if (__atomic_fetch_sub(&control->let_through, 1, __ATOMIC_ACQ_REL) > 0)
        return 0;
    if (control->times >= 0 && __atomic_fetch_sub(&control->times, 1, __ATOMIC_ACQ_REL) <= 0) {
        __atomic_store_n(&control->armed, 0, __ATOMIC_RELEASE);
        return 0;
    }
    __atomic_fetch_add(&control->failed, 1, __ATOMIC_ACQ_REL);
    return (int)control->error;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (real == NULL) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FAIL_IF_ARMED(operation, fd) \
    do { \
        int error = fault(operation, fd); \
        if (error != 0) { \
            errno = error; \
            return -1; \
        } \
    } while (0)

int fsync(int fd)
{
    REAL(fsync);
    FAIL_IF_ARMED(SYNC, fd);
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    FAIL_IF_ARMED(SYNC, fd);
    return real(fd);
}

ssize_t write(int fd, const void *data, size_t count)
{
    REAL(write);
    FAIL_IF_ARMED(WRITE, fd);
    return real(fd, data, count);
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset)
{
    REAL(pwrite);
    FAIL_IF_ARMED(WRITE, fd);
    return real(fd, data, count, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset)
{
    REAL(pwrite64);
    FAIL_IF_ARMED(WRITE, fd);
    return real(fd, data, count, offset);
}

ssize_t read(int fd, void *data, size_t count)
{
    REAL(read);
    FAIL_IF_ARMED(READ, fd);
    return real(fd, data, count);
}

ssize_t pread(int fd, void *data, size_t count, off_t offset)
{
    REAL(pread);
    FAIL_IF_ARMED(READ, fd);
    return real(fd, data, count, offset);
}

ssize_t pread64(int fd, void *data, size_t count, off64_t offset)
{
    REAL(pread64);
    FAIL_IF_ARMED(READ, fd);
    return real(fd, data, count, offset);
}
