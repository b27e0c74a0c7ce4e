#include "base/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static struct {
    pthread_mutex_t lock;
    int fds[SPARE_MAX];
    unsigned count;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

unsigned spare_keep(unsigned wanted)
{
    int saved = errno;
    pthread_mutex_lock(&kept.lock);
    while (kept.count > MIN(wanted, SPARE_MAX)) {
        close(kept.fds[--kept.count]);
    }
    while (kept.count < MIN(wanted, SPARE_MAX)) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            break; /* later */
        }
        kept.fds[kept.count++] = fd;
    }
    unsigned n = kept.count;
    pthread_mutex_unlock(&kept.lock);
    errno = saved;
    return n;
}

bool spare_give(int error)
{
    if (error != EMFILE && error != ENFILE) {
        return false;
    }
    int saved = errno;
    pthread_mutex_lock(&kept.lock);
    bool given = kept.count > 0;
    if (given) {
        close(kept.fds[--kept.count]);
    }
    pthread_mutex_unlock(&kept.lock);
    errno = saved;
    return given;
}

int spare_openat(int dir, const char *path, int flags, mode_t mode)
{
    int fd;
    do {
        fd = openat(dir, path, flags, mode);
    } while (fd < 0 && spare_give(errno));
    return fd;
}

int spare_open(const char *path, int flags, mode_t mode)
{
    return spare_openat(AT_FDCWD, path, flags, mode);
}

DIR *spare_opendir(const char *path)
{
    DIR *d;
    do {
        d = opendir(path);
    } while (d == NULL && spare_give(errno));
    return d;
}

int spare_mkostemp(char *template, int flags)
{
    size_t n = strlen(template);
    int fd;
    do {
        memset(template + n - 6, 'X', 6);
        fd = mkostemp(template, flags);
    } while (fd < 0 && spare_give(errno));
    return fd;
}
