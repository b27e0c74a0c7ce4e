#include "tests/fault/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/fault/kit.h"

#define IMAGE_BYTES  (384ll << 20)            /* sparse: takes as much of the real disk as is written */
#define SHUTDOWN     _IOR('X', 125, uint32_t) /* EXT4_IOC_SHUTDOWN; 2: without flushing the journal */
#define NO_LOG_FLUSH 2u
#define BUSY_TRIES   100 /* times 20 ms: a killed process's last I/O may still be going on */

static void mount_own(struct disk *d)
{
    /* data=ordered, barriers: the defaults, named because the test is about them. */
    fault_command(-1, "mount -t ext4 -o loop,data=ordered,barrier=1 %s %s", d->image, d->dir);
    d->mounted = true;
}

void disk_open(struct disk *d, enum disk_type type, const char *dir)
{
    *d = (struct disk){.type = type};
    snprintf(d->dir, sizeof d->dir, "%s", dir);
    snprintf(d->image, sizeof d->image, "%.*s.img", (int)sizeof d->image - 8, dir);
    fault_make_dir(dir);
    if (type == DISK_PLAIN) {
        return;
    }
    CLEANUP_CLOSE int fd = open(d->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, IMAGE_BYTES) != 0) {
        fault_die(d->image, NULL);
    }
    fault_command(-1, "mkfs.ext4 -q -F -m 0 %s", d->image);
    mount_own(d);
}

static bool unmount(struct disk *d)
{
    for (unsigned i = 0; i < BUSY_TRIES; i++) {
        if (umount2(d->dir, 0) == 0) {
            d->mounted = false;
            return true;
        }
        if (errno != EBUSY) {
            return false;
        }
        fault_sleep_ms(20);
    }
    return false;
}

void disk_close(struct disk *d)
{
    if (d->mounted && !unmount(d)) {
        umount2(d->dir, MNT_DETACH);
        d->mounted = false;
    }
}

void disk_cut(struct disk *d)
{
    uint32_t how = NO_LOG_FLUSH;
    CLEANUP_CLOSE int fd = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, SHUTDOWN, &how) != 0) {
        fault_die("cut a file system off", NULL);
    }
}

void disk_restore(struct disk *d)
{
    if (!unmount(d)) {
        fault_die(d->dir, NULL);
    }
    mount_own(d);
}

static void filler_path(const struct disk *d, char *out, size_t size)
{
    snprintf(out, size, "%s/filler", d->dir);
}

void disk_fill(struct disk *d, int64_t leave_bytes)
{
    char path[700];
    struct statvfs st;
    filler_path(d, path, sizeof path);
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstatvfs(fd, &st) != 0) {
        fault_die(path, NULL);
    }
    int64_t bytes = (int64_t)st.f_bavail * (int64_t)st.f_bsize - leave_bytes;
    struct stat has;
    if (bytes > 0 && fstat(fd, &has) == 0) {
        int rv = fallocate(fd, 0, has.st_size, bytes);
        (void)rv; /* somebody else may have taken the space meanwhile: full is full */
    }
}

void disk_free_space(struct disk *d)
{
    char path[700];
    filler_path(d, path, sizeof path);
    unlink(path);
}

static bool write_limit(const char *name, const struct stat *st, int64_t value)
{
    char path[200], text[64];
    snprintf(path, sizeof path, "/sys/fs/cgroup/blkio/%s", name);
    int n = snprintf(text, sizeof text, "%u:%u %lld", major(st->st_dev), minor(st->st_dev), (long long)value);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, (size_t)n) == n;
}

bool disk_throttle(struct disk *d, int64_t bytes, int64_t operations)
{
    struct stat st;
    return stat(d->dir, &st) == 0 && write_limit("blkio.throttle.write_bps_device", &st, bytes) &&
           write_limit("blkio.throttle.write_iops_device", &st, operations);
}
