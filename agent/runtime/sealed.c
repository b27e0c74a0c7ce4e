#include "agent/runtime/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

void sealed_init(struct sealed *s, const char *path)
{
    *s = (struct sealed){.path = xstrdup(path), .fd = -1, .former = -1};
}

static void drop(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void sealed_close(struct sealed *s)
{
    drop(&s->fd);
    drop(&s->former);
    free(s->path);
    s->path = NULL;
}

static bool is_same(const struct sealed *s, const struct stat *st)
{
    return s->device == st->st_dev && s->inode == st->st_ino && s->size == st->st_size &&
           s->changed.tv_sec == st->st_ctim.tv_sec && s->changed.tv_nsec == st->st_ctim.tv_nsec;
}

/* A script is read by its interpreter, which wants a path. */
static bool is_binary(int fd)
{
    char magic[4];
    return pread(fd, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, "\177ELF", sizeof magic) == 0;
}

static bool copy_all(int to, int from, off_t size)
{
    off_t done = 0;
    while (done < size) {
        ssize_t n = sendfile(to, from, &done, (size_t)(size - done));
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

/* The copy, to be read and run alone; -1: there is none. *lasting: nor will there be one of this file. */
static int make_copy(const char *path, const struct stat *st, bool *lasting)
{
    char own[64];
    CLEANUP_CLOSE int from = open(path, O_RDONLY | O_CLOEXEC);
    *lasting = from >= 0 && !is_binary(from);
    if (from < 0 || *lasting) {
        return -1;
    }
    int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) { /* before Linux 6.3 all of them could be run */
        fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    *lasting = fd < 0 && (errno == EINVAL || errno == ENOSYS || errno == EPERM || errno == EACCES);
    CLEANUP_CLOSE int to = fd;
    if (to < 0 || !copy_all(to, from, st->st_size) || fchmod(to, 0555) != 0 || fcntl(to, F_ADD_SEALS, ALL_SEALS) != 0) {
        return -1;
    }
    snprintf(own, sizeof own, "/proc/self/fd/%d", to);
    if (access(own, X_OK) != 0) {
        *lasting = errno == EACCES;
        return -1;
    }
    return open(own, O_RDONLY | O_CLOEXEC);
}

const char *sealed_program(struct sealed *s)
{
    struct stat st;
    if (stat(s->path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return s->path; /* to fail by its own name */
    }
    if (!is_same(s, &st)) {
        bool lasting;
        int fd = make_copy(s->path, &st, &lasting);
        if (fd < 0 && !lasting) {
            s->inode = 0; /* of no file: the next call tries again, there may be descriptors or memory by then */
            s->run[0] = '\0';
            return s->path;
        }
        drop(&s->former);
        s->former = s->fd; /* who was given it may be about to run it */
        s->fd = fd;
        s->device = st.st_dev;
        s->inode = st.st_ino;
        s->size = st.st_size;
        s->changed = st.st_ctim;
        s->run[0] = '\0';
        if (s->fd >= 0) {
            snprintf(s->run, sizeof s->run, "/proc/%d/fd/%d", (int)getpid(), s->fd);
        }
    }
    return s->run[0] != '\0' ? s->run : s->path;
}
