#include "raft-store/disk/mark.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/le.h"
#include "base/mem.h"
#include "base/spare.h"
#include "raft-store/disk/disk_int.h"

#define MARK_SIZE   512u
#define MARK_HASHED 48u
#define META_SIZE   32u
#define META_FORMAT 1u

static const uint8_t magic[4] = {'R', 'V', 'M', '1'};

/* ---- The mark ---- */

int disk_mark_read(const char *dir, struct disk_mark *out, struct error *err)
{
    uint8_t bytes[MARK_SIZE];
    size_t n;
    int rv = disk_read_into(dir, DISK_MARK_FILE, bytes, sizeof bytes, &n, err);
    if (rv != 0) {
        return rv;
    }
    if (n < sizeof bytes || memcmp(bytes, magic, sizeof magic) != 0 ||
        le_load_u64(bytes + MARK_HASHED) != XXH3_64bits(bytes, MARK_HASHED)) {
        return error_set(err, ERR_CORRUPT, "%s: its checksum does not fit", DISK_MARK_FILE);
    }
    *out = (struct disk_mark){
        .id = le_load_u64(bytes + 8),
        .version = le_load_u64(bytes + 16),
        .term = le_load_u64(bytes + 24),
        .vote = le_load_u64(bytes + 32),
        .last_index = le_load_u64(bytes + 40),
    };
    return 0;
}

static int write_sector(int fd, const uint8_t *bytes)
{
    if (failpoint(FAILPOINT_mark_write)) {
        return -EIO;
    }
    ssize_t n;
    do {
        n = pwrite(fd, bytes, MARK_SIZE, 0);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)MARK_SIZE) {
        return n < 0 ? -errno : -ENOSPC;
    }
    return fdatasync(fd) != 0 ? -errno : 0;
}

int disk_mark_write(const char *dir, const struct disk_mark *mark, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, DISK_MARK_FILE);
    CLEANUP_FREE char *fresh = xasprintf("%s.new", path);
    uint8_t bytes[MARK_SIZE] = {0};
    memcpy(bytes, magic, sizeof magic);
    const uint64_t fields[] = {mark->id, mark->version, mark->term, mark->vote, mark->last_index};
    static_assert(8 + sizeof fields == MARK_HASHED, "the hash stands behind the fields");
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        le_store_u64(bytes + 8 + 8 * i, fields[i]);
    }
    le_store_u64(bytes + MARK_HASHED, XXH3_64bits(bytes, MARK_HASHED));
    CLEANUP_CLOSE int fd = spare_open(path, O_WRONLY | O_CLOEXEC, 0);
    bool is_new = fd < 0 && errno == ENOENT;
    if (is_new) {
        fd = spare_open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    int rv = fd < 0 ? -errno : write_sector(fd, bytes);
    if (rv == 0 && is_new) {
        rv = rename(fresh, path) != 0 ? -errno : fs_sync_dir(dir);
    }
    return rv == 0 ? 0 : error_set_errno(err, rv, "write %s", path);
}

/* ---- libraft's metadata ---- */

static int read_one(const char *dir, unsigned which, struct disk_metadata *out, struct error *err)
{
    char name[16];
    uint8_t bytes[META_SIZE + 1];
    size_t n;
    snprintf(name, sizeof name, "metadata%u", which);
    *out = (struct disk_metadata){0};
    struct error why = {0};
    int rv = disk_read_into(dir, name, bytes, sizeof bytes, &n, &why);
    if (rv == ERR_NOT_FOUND || (rv == 0 && n < META_SIZE)) {
        return 0; /* libraft takes a short one for one that was never finished */
    }
    if (rv != 0) {
        return error_set(err, rv, "%s", why.message);
    }
    if (n > META_SIZE || le_load_u64(bytes) != META_FORMAT || le_load_u64(bytes + 8) == 0 ||
        le_load_u64(bytes + 8) % 2 != which % 2) {
        return error_set(err, ERR_CORRUPT, "%s: this is no term and vote", name);
    }
    *out = (struct disk_metadata){le_load_u64(bytes + 8), le_load_u64(bytes + 16), le_load_u64(bytes + 24)};
    return 0;
}

int disk_metadata_read(const char *dir, struct disk_metadata *out, struct error *err)
{
    struct disk_metadata one, two;
    int rv = read_one(dir, 1, &one, err);
    if (rv == 0) {
        rv = read_one(dir, 2, &two, err);
    }
    if (rv == 0) {
        *out = one.version > two.version ? one : two;
    }
    return rv;
}

bool disk_mark_fits(const struct disk_mark *mark, const struct disk_metadata *m, const char **why)
{
    if (m->version == mark->version && m->term == mark->term && m->vote == mark->vote) {
        return true;
    }
    /* A crash between the two writes: nobody has heard of the newer one. */
    if (m->version == mark->version + 1 && (m->term > mark->term || (m->term == mark->term && mark->vote == 0))) {
        return true;
    }
    *why = m->version == 0              ? "both are gone"
           : m->version < mark->version ? "they are older than the mark, a term or vote that was promised is lost"
                                        : "they differ from the mark: term or vote were altered";
    return false;
}
