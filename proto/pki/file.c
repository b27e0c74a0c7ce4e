#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/spare.h"
#include "proto/pki/pki.h"

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t rv = write(fd, p, n);
        if (rv < 0 && errno == EINTR) {
            continue;
        }
        if (rv < 0) {
            return -errno;
        }
        p += rv;
        n -= (size_t)rv;
    }
    return 0;
}

int pki_write_file(const char *path, const void *p, size_t n, unsigned mode, struct error *err)
{
    assert(path != NULL && (p != NULL || n == 0));
    CLEANUP_FREE char *temp = xasprintf("%s.XXXXXX", path);
    CLEANUP_CLOSE int fd = spare_mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, -errno, "write %s: create %s", path, temp);
    }
    const char *step = "set mode";
    int rv = fchmod(fd, mode) != 0 ? -errno : 0;
    if (rv == 0) {
        step = "write";
        rv = write_all(fd, p, n);
    }
    if (rv == 0) {
        step = "sync";
        rv = fsync(fd) != 0 ? -errno : 0;
    }
    if (rv == 0) {
        step = "rename";
        rv = rename(temp, path) != 0 ? -errno : 0;
    }
    if (rv != 0) {
        unlink(temp);
        return error_set_errno(err, rv, "write %s: %s", path, step);
    }
    rv = fs_sync_parent(path);
    return rv != 0 ? error_set_errno(err, rv, "write %s: sync its directory", path) : 0;
}

int pki_read_file(const char *path, size_t limit, char **text, size_t *size, struct error *err)
{
    assert(path != NULL && text != NULL);
    CLEANUP_CLOSE int fd = spare_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(err, -errno, "read %s", path);
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (;;) {
        uint8_t *to = buf_reserve(&b, 4096);
        ssize_t rv = read(fd, to, 4096);
        if (rv < 0 && errno == EINTR) {
            continue;
        }
        if (rv < 0) {
            return error_set_errno(err, -errno, "read %s", path);
        }
        if (rv == 0) {
            break;
        }
        b.size += (size_t)rv;
        if (b.size > limit) {
            return error_set(err, ERR_TOO_LARGE, "read %s: longer than %zu bytes", path, limit);
        }
    }
    buf_cstr(&b);
    if (size != NULL) {
        *size = b.size;
    }
    *text = (char *)buf_take(&b, NULL);
    return 0;
}
