#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/spare.h"

int fs_sync_dir(const char *dir)
{
    CLEANUP_CLOSE int fd = spare_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return fd < 0 || (fsync(fd) != 0 && errno != EINVAL) ? -errno : 0;
}

int fs_sync_parent(const char *path)
{
    CLEANUP_FREE char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL) {
        return fs_sync_dir(".");
    }
    slash[slash == dir ? 1 : 0] = '\0';
    return fs_sync_dir(dir);
}
