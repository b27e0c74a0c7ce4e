#include "raft-store/disk/snapfile.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/env.h"
#include "base/fs.h"
#include "base/le.h"
#include "base/mem.h"
#include "base/spare.h"
#include "raft-store/store/store.h"

/* Reference: "RVSR", u32 version, u64 size, u64 hash, name padded with zeros, zeros, u64 XXH3-64 of all before it. */
static const uint8_t magic[4] = {'R', 'V', 'S', 'R'};
#define REF_VERSION 1u
#define REF_SIZE_AT 8u
#define REF_HASH_AT 16u
#define REF_NAME_AT 24u
#define REF_SUM_AT  (SNAPFILE_REF_SIZE - 8u)
#define PREFIX      "state-"
#define REST_TIMES  2
#define REST_MAX_NS 200000000

struct snapfile_writer {
    char dir[512], name[SNAPFILE_NAME_SIZE]; /* without suffix */
    int fd;
    uint64_t size, flushing, flushed; /* up to here it was asked to be written out; up to here it has been waited for */
    bool parts;
    const atomic_bool *stop; /* NULL: nobody else needs the disk */
    XXH3_state_t *hash;
};

static void path_of(const char *dir, const char *name, const char *suffix, char out[600])
{
    snprintf(out, 600, "%s/%s%s", dir, name, suffix);
}

/* ---- Writing ---- */

int snapfile_create(const char *dir, struct snapfile_writer **out, struct error *err)
{
    char path[600];
    uint64_t number;
    assert(dir != NULL && out != NULL);
    struct snapfile_writer *w = xcalloc(1, sizeof *w);
    env_random(env_real(), &number, sizeof number);
    snprintf(w->dir, sizeof w->dir, "%s", dir);
    snprintf(w->name, sizeof w->name, PREFIX "%016" PRIx64, number);
    path_of(dir, w->name, ".part", path);
    *out = NULL;
    w->fd = spare_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        free(w);
        return error_set_errno(err, errno, "create %s", path);
    }
    w->hash = XXH3_createState();
    assert(w->hash != NULL);
    XXH3_64bits_reset(w->hash);
    *out = w;
    return 0;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void rest(int64_t worked_ns)
{
    int64_t ns = MIN(worked_ns * REST_TIMES, (int64_t)REST_MAX_NS);
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Has the disk begin with what is written and waits for what it was given before, so that the flush at the end is small
 * and nobody else's flush waits behind it. */
static void flush_a_little(struct snapfile_writer *w)
{
    assert(w->flushed <= w->flushing && w->flushing <= w->size);
    if (w->size - w->flushing < SNAPFILE_FLUSH_SIZE) {
        return;
    }
    int64_t start = now_ns();
    sync_file_range(w->fd, (off_t)w->flushing, (off_t)(w->size - w->flushing), SYNC_FILE_RANGE_WRITE);
    if (w->flushing > w->flushed) {
        sync_file_range(w->fd, (off_t)w->flushed, (off_t)(w->flushing - w->flushed),
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    }
    w->flushed = w->flushing;
    w->flushing = w->size;
    if (w->stop != NULL) {
        rest(now_ns() - start);
    }
}

static int write_all(struct snapfile_writer *w, uint64_t offset, const uint8_t *p, size_t n, struct error *err)
{
    assert(w->fd >= 0 && (p != NULL || n == 0));
    while (n > 0) {
        ssize_t done = pwrite(w->fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return error_set_errno(err, done == 0 ? ENOSPC : errno, "write %s/%s.part", w->dir, w->name);
        }
        p += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

int snapfile_write(struct snapfile_writer *w, const void *p, size_t n, struct error *err)
{
    assert(!w->parts);
    int rv = write_all(w, w->size, p, n, err);
    if (rv == 0) {
        XXH3_64bits_update(w->hash, p, n);
        w->size += n;
        flush_a_little(w);
    }
    return rv;
}

int snapfile_write_at(struct snapfile_writer *w, uint64_t offset, const void *p, size_t n, struct error *err)
{
    assert(w->parts || w->size == 0);
    w->parts = true;
    int rv = write_all(w, offset, p, n, err);
    if (rv == 0) {
        sync_file_range(w->fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
        w->size = MAX(w->size, offset + n);
    }
    return rv;
}

static void free_writer(struct snapfile_writer *w)
{
    close(w->fd);
    XXH3_freeState(w->hash);
    free(w);
}

void snapfile_abort(struct snapfile_writer *w)
{
    char path[600];
    if (w != NULL) {
        path_of(w->dir, w->name, ".part", path);
        unlink(path);
        free_writer(w);
    }
}

static int hash_parts(struct snapfile_writer *w, struct error *err)
{
    if (!w->parts || w->size == 0) {
        return 0;
    }
    void *p = mmap(NULL, w->size, PROT_READ, MAP_SHARED, w->fd, 0);
    if (p == MAP_FAILED) {
        return error_set_errno(err, errno, "map %s/%s.part", w->dir, w->name);
    }
    XXH3_64bits_update(w->hash, p, w->size);
    munmap(p, w->size);
    return 0;
}

int snapfile_finish(struct snapfile_writer *w, uint8_t ref[SNAPFILE_REF_SIZE], struct error *err)
{
    char from[600], to[600];
    path_of(w->dir, w->name, ".part", from);
    path_of(w->dir, w->name, ".rvs", to);
    int rv = hash_parts(w, err);
    if (rv == 0 && fsync(w->fd) != 0) {
        rv = error_set_errno(err, errno, "sync %s", from);
    }
    if (rv == 0 && rename(from, to) != 0) {
        rv = error_set_errno(err, errno, "rename %s", from);
    }
    int sync = rv == 0 ? fs_sync_dir(w->dir) : 0;
    if (sync != 0) {
        rv = error_set_errno(err, sync, "sync directory %s", w->dir);
        unlink(to);
    }
    if (rv != 0) {
        snapfile_abort(w);
        return rv;
    }
    memset(ref, 0, SNAPFILE_REF_SIZE);
    memcpy(ref, magic, sizeof magic);
    ref[4] = REF_VERSION;
    le_store_u64(ref + REF_SIZE_AT, w->size);
    le_store_u64(ref + REF_HASH_AT, XXH3_64bits_digest(w->hash));
    memcpy(ref + REF_NAME_AT, w->name, strlen(w->name));
    le_store_u64(ref + REF_SUM_AT, XXH3_64bits(ref, REF_SUM_AT));
    free_writer(w);
    assert(snapfile_is_ref(ref, SNAPFILE_REF_SIZE) && snapfile_number(ref, SNAPFILE_REF_SIZE) != 0);
    return 0;
}

struct file_sink {
    struct snapfile_writer *writer;
    struct error *err;
};

static int to_file(void *data, const void *p, size_t size)
{
    struct file_sink *s = data;
    if (s->writer->stop != NULL && atomic_load(s->writer->stop)) {
        return error_set(s->err, ERR_CANCELED, "given up");
    }
    return snapfile_write(s->writer, p, size, s->err);
}

int snapfile_save(const char *dir, const struct store_fork *fork, const atomic_bool *stop,
                  uint8_t ref[SNAPFILE_REF_SIZE], struct error *err)
{
    struct file_sink s = {.err = err};
    int rv = snapfile_create(dir, &s.writer, err);
    if (rv != 0) {
        return rv;
    }
    s.writer->stop = stop;
    rv = store_fork_write(fork, to_file, &s);
    if (rv != 0) {
        snapfile_abort(s.writer);
        return rv;
    }
    return snapfile_finish(s.writer, ref, err);
}

/* ---- Reading ---- */

bool snapfile_is_ref(const void *p, size_t n)
{
    return n >= sizeof magic && memcmp(p, magic, sizeof magic) == 0;
}

int snapfile_tell_damage(const void *snapshot, size_t n, const struct snapfile_map *m, int rc, struct error *err)
{
    if (rc != ERR_UNSUPPORTED || !snapfile_is_ref(snapshot, n) || XXH3_64bits(m->p, m->n) == snapfile_hash(snapshot)) {
        return rc;
    }
    return error_set(err, ERR_CORRUPT, "snapshot: its file does not fit its hash");
}

uint64_t snapfile_hash(const void *ref)
{
    return le_load_u64((const uint8_t *)ref + REF_HASH_AT);
}

/* The name in a reference, checked: it must never lead out of the directory. */
static int read_ref(const uint8_t *ref, size_t n, char name[SNAPFILE_NAME_SIZE], uint64_t *size, struct error *err)
{
    if (n != SNAPFILE_REF_SIZE || !snapfile_is_ref(ref, n) ||
        le_load_u64(ref + REF_SUM_AT) != XXH3_64bits(ref, REF_SUM_AT)) {
        return error_set(err, ERR_CORRUPT, "snapshot: the reference to its file is damaged");
    }
    if (ref[4] != REF_VERSION) {
        return error_set(err, ERR_CORRUPT,
                         "snapshot: reference of version %u is unknown: was it written by a newer reeve-master?",
                         ref[4]);
    }
    memcpy(name, ref + REF_NAME_AT, SNAPFILE_NAME_SIZE);
    name[SNAPFILE_NAME_SIZE - 1] = '\0';
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strchr(name, '/') != NULL) {
        return error_set(err, ERR_CORRUPT, "snapshot: the reference to its file is damaged");
    }
    *size = le_load_u64(ref + REF_SIZE_AT);
    return 0;
}

int snapfile_map(const char *dir, const void *ref, size_t n, struct snapfile_map *out, struct error *err)
{
    char name[SNAPFILE_NAME_SIZE], path[600];
    uint64_t size;
    *out = (struct snapfile_map){0};
    int rv = read_ref(ref, n, name, &size, err);
    if (rv != 0) {
        return rv;
    }
    path_of(dir, name, ".rvs", path);
    int fd = spare_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno == ENOENT ? error_set(err, ERR_CORRUPT, "snapshot: its file %s is missing", path)
                               : error_set_errno(err, errno, "open %s", path);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        rv = error_set_errno(err, errno, "stat %s", path);
    } else if ((uint64_t)st.st_size != size || size == 0) {
        rv = error_set(err, ERR_CORRUPT, "snapshot: its file %s has %lld bytes instead of %" PRIu64, path,
                       (long long)st.st_size, size);
    } else {
        void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            rv = error_set_errno(err, errno, "map %s", path);
        } else {
            madvise(p, size, MADV_SEQUENTIAL);
            *out = (struct snapfile_map){p, size, true};
        }
    }
    close(fd);
    assert(rv == 0 ? out->mapped && out->n == size : !out->mapped);
    return rv;
}

int snapfile_open(const char *dir, const void *snapshot, size_t n, struct snapfile_map *out, struct error *err)
{
    if (dir != NULL && snapfile_is_ref(snapshot, n)) {
        return snapfile_map(dir, snapshot, n, out, err);
    }
    *out = (struct snapfile_map){.p = snapshot, .n = n};
    return 0;
}

void snapfile_unmap(struct snapfile_map *m)
{
    assert(!m->mapped || (m->p != NULL && m->n > 0));
    if (m->mapped) {
        munmap((void *)m->p, m->n);
    }
    *m = (struct snapfile_map){0};
}

/* ---- Sweeping ---- */

struct names {
    char (*items)[SNAPFILE_NAME_SIZE];
    unsigned count;
};

static void add_ref(struct names *l, const uint8_t *ref, size_t n)
{
    char name[SNAPFILE_NAME_SIZE];
    uint64_t size;
    if (read_ref(ref, n, name, &size, NULL) == 0) {
        l->items = xrealloc(l->items, (l->count + 1) * sizeof *l->items);
        memcpy(l->items[l->count++], name, sizeof name);
    }
}

static void add_refs_of_snapshots(struct names *l, int dir_fd, DIR *d)
{
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        uint8_t ref[SNAPFILE_REF_SIZE + 1];
        int fd =
            strncmp(e->d_name, "snapshot-", 9) == 0 ? spare_openat(dir_fd, e->d_name, O_RDONLY | O_CLOEXEC, 0) : -1;
        if (fd >= 0) {
            ssize_t n = read(fd, ref, sizeof ref);
            if (n == SNAPFILE_REF_SIZE) {
                add_ref(l, ref, (size_t)n);
            }
            close(fd);
        }
    }
}

uint64_t snapfile_number(const void *snapshot, size_t n)
{
    char name[SNAPFILE_NAME_SIZE];
    uint64_t size;
    return read_ref(snapshot, n, name, &size, NULL) == 0 ? strtoull(name + strlen(PREFIX), NULL, 16) : 0;
}

static bool is_rubbish(const struct names *l, const char *file, bool parts, const atomic_uint_least64_t *spared)
{
    const char *dot = strrchr(file, '.');
    if (strncmp(file, PREFIX, strlen(PREFIX)) != 0 || dot == NULL) {
        return false;
    }
    if (strcmp(dot, ".part") == 0) {
        return parts;
    }
    if (strcmp(dot, ".rvs") != 0) {
        return false;
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (strlen(l->items[i]) == (size_t)(dot - file) && strncmp(l->items[i], file, (size_t)(dot - file)) == 0) {
            return false;
        }
    }
    uint64_t number = spared == NULL ? 0 : atomic_load(spared);
    return number == 0 || strtoull(file + strlen(PREFIX), NULL, 16) != number;
}

void snapfile_sweep(const char *dir, bool parts, const atomic_uint_least64_t *spared)
{
    struct names used = {0};
    DIR *d = spare_opendir(dir);
    if (d == NULL) {
        return;
    }
    add_refs_of_snapshots(&used, dirfd(d), d);
    rewinddir(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (is_rubbish(&used, e->d_name, parts, spared)) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    closedir(d);
    free(used.items);
}
