#include "agent/network/leases.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

#define LAST   "last_reserved_ip.0" /* the address that was given out last */
#define RANGES 30u                  /* bits of the smallest range that has an address for a pod */

static void path_of(const char *dir, uint32_t ip, char out[FS_PATH_MAX])
{
    char text[INET_ADDRSTRLEN];
    uint32_t be = htonl(ip);
    inet_ntop(AF_INET, &be, text, sizeof text);
    fs_path(out, FS_PATH_MAX, "%s/%s", dir, text);
}

static bool is_holder(const char *path, const char *uid)
{
    char text[160];
    if (!fs_read_line(path, text, sizeof text)) {
        return false;
    }
    text[strcspn(text, "\r\n ")] = '\0';
    return strcmp(text, uid) == 0;
}

/* 0 or -errno; -EEXIST: somebody has it. One that nobody has written into is of an agent that ended just then. */
static int take_one(const char *dir, uint32_t ip, const char *uid)
{
    char path[FS_PATH_MAX], text[160];
    int n = snprintf(text, sizeof text, "%s\r\neth0", uid);
    path_of(dir, ip, path);
    if (is_holder(path, "")) {
        unlink(path);
    }
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    ssize_t written = write(fd, text, (size_t)n);
    if (written != n) {
        int rc = written < 0 ? -errno : -ENOSPC;
        unlink(path);
        return rc;
    }
    return 0;
}

static uint32_t last_given(const char *dir)
{
    char path[FS_PATH_MAX], text[INET_ADDRSTRLEN];
    uint32_t ip;
    fs_path(path, sizeof path, "%s/" LAST, dir);
    return fs_read_line(path, text, sizeof text) && cidr_parse_address(str_of(text), &ip) ? ip : 0;
}

static void note_last(const char *dir, uint32_t ip)
{
    char path[FS_PATH_MAX], text[INET_ADDRSTRLEN];
    uint32_t be = htonl(ip);
    inet_ntop(AF_INET, &be, text, sizeof text);
    fs_path(path, sizeof path, "%s/" LAST, dir);
    fs_write_file(path, str_of(text), 0600, false, NULL); /* lost: the turn begins anew */
}

int leases_take(const char *dir, struct cidr range, const char *uid, uint32_t wish, uint32_t *out, struct error *err)
{
    char text[CIDR_TEXT_SIZE];
    cidr_text(range, text);
    if (range.bits > RANGES) {
        return error_set(err, ERR_INVALID, "the range %s has no address for a pod", text);
    }
    uint32_t first = range.first + 2, count = (uint32_t)(cidr_size(range) - 3);
    int rc = fs_make_dirs(dir, 0700, err);
    if (rc != 0) {
        return rc;
    }
    if (wish != 0) {
        rc = wish - first < count ? take_one(dir, wish, uid) : -EEXIST;
        *out = wish;
        return rc == 0         ? 0
               : rc == -EEXIST ? error_set(err, ERR_EXISTS, "it is not free")
                               : error_set_errno(err, -rc, "cannot note a pod's address in %s", dir);
    }
    uint32_t last = last_given(dir), start = last - first < count ? last - first + 1 : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ip = first + (uint32_t)(((uint64_t)start + i) % count);
        rc = take_one(dir, ip, uid);
        if (rc == 0) {
            note_last(dir, ip);
            *out = ip;
            return 0;
        }
        if (rc != -EEXIST) {
            return error_set_errno(err, -rc, "cannot note a pod's address in %s", dir);
        }
    }
    return error_set(err, ERR_LIMIT, "no addresses are left in the range %s", text);
}

void leases_give(const char *dir, const char *uid, uint32_t at)
{
    char path[FS_PATH_MAX];
    struct in_addr a;
    if (at != 0) {
        path_of(dir, at, path);
        if (is_holder(path, uid)) {
            unlink(path);
            return;
        }
    }
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (inet_pton(AF_INET, e->d_name, &a) == 1) {
            fs_path(path, sizeof path, "%s/%s", dir, e->d_name);
            if (is_holder(path, uid)) {
                unlink(path);
            }
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}
