/* Raft directories as a real master leaves them, with every kind of damage: whoever looks at them must see it, or see
 * all that was acknowledged. In this process, so that it can be done at thousands of places. */
#include "tests/unit/kit/master_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/env.h"
#include "master/config.h"
#include "raft-store/disk/mark.h"
#include "raft-store/disk/replay.h"
#include "raft-store/disk/snapfile.h"

#define OPEN_KEPT (64u << 10) /* of a segment that is being written: the rest is zeros that only take time */
#define FILES_MAX 16u

struct file {
    char name[80];
    struct buf bytes;
};
/* A directory in memory, and where it is laid down. */
struct image {
    struct file files[FILES_MAX];
    unsigned count;
    uint64_t revision;
    struct view_hash hash;
};
struct world {
    char dir[64];
    struct pki_ring keys;
    struct image before, after; /* the last write */
};

static char *path_of(const struct world *w, const char *name)
{
    return xasprintf("%s/%s", w->dir, name);
}

static void write_bytes(const struct world *w, const char *name, const void *p, size_t n)
{
    CLEANUP_FREE char *path = path_of(w, name);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
}

static void lay_down(const struct world *w, const struct image *im)
{
    DIR *d = opendir(w->dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
    for (unsigned i = 0; i < im->count; i++) {
        write_bytes(w, im->files[i].name, im->files[i].bytes.data, im->files[i].bytes.size);
    }
}

static void take_image(struct image *im, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') {
            continue;
        }
        assert_true(im->count < FILES_MAX);
        struct file *f = &im->files[im->count++];
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, e->d_name);
        CLEANUP_CLOSE int fd = open(path, O_RDONLY);
        bool open_one = strncmp(e->d_name, "open-", 5) == 0;
        size_t limit = open_one ? OPEN_KEPT : 16u << 20;
        snprintf(f->name, sizeof f->name, "%.79s", e->d_name);
        ssize_t n = read(fd, buf_reserve(&f->bytes, limit), limit);
        assert_true(n >= 0);
        f->bytes.size = (size_t)n;
    }
    closedir(d);
}

static struct file *find(struct image *im, const char *prefix)
{
    struct file *found = NULL;
    for (unsigned i = 0; i < im->count; i++) {
        if (strncmp(im->files[i].name, prefix, strlen(prefix)) == 0 &&
            (found == NULL || strcmp(im->files[i].name, found->name) < 0)) {
            found = &im->files[i];
        }
    }
    assert_non_null(found);
    return found;
}

static void replay(const struct world *w, struct disk_replay *r)
{
    struct error err = {0};
    if (disk_replay(w->dir, &w->keys, r, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void remember_state(struct world *w, struct image *im)
{
    struct disk_replay r;
    lay_down(w, im);
    replay(w, &r);
    if (r.report.state != DISK_WHOLE) {
        fail_msg("an undamaged directory is taken for a damaged one: %s", r.report.damage);
    }
    im->revision = view_revision(store_committed(r.store));
    im->hash = view_state_hash(store_committed(r.store));
    assert_true(r.last_wall_ms > 0);
    disk_replay_close(&r);
}

static void put(struct client *c, unsigned i, unsigned size)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    uint64_t x = i + 1;
    for (unsigned n = 0; n < size; n++) { /* nothing that could be packed */
        x = x * 6364136223846793005u + 1442695040888963407u;
        buf_putc(&text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[x >> 58]);
    }
    must(c, "create",
         "{object: {apiVersion: v1, kind: %s, metadata: {name: c%u, namespace: default}, data: {k: \"%s\"}}}",
         "ConfigMap", i, buf_cstr(&text));
}

/* The master has put all it has acknowledged under its mark. */
static void wait_for_mark(struct kit *k, const char *raft)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        struct disk_mark mark;
        struct disk_report r;
        int rv = disk_scan(raft, 0, NULL, &r, NULL);
        assert_true(rv == 0 || rv == ERR_NOT_FOUND); /* the master lives: a segment may get its final name meanwhile */
        bool there = rv == 0 && disk_mark_read(raft, &mark, NULL) == 0 && mark.last_index == r.last_index;
        disk_report_close(&r);
        if (there) {
            return;
        }
        assert_true(kit_now() < until);
        kit_turn(k, 50);
    }
}

static int set_up(void **state)
{
    static const char *const args[] = {"--snapshot-entries", "8", NULL};
    struct world *w = xcalloc(1, sizeof *w);
    struct kit *k = kit_one(args);
    struct client *c = client_admin(k, 0);
    CLEANUP_FREE char *raft = xasprintf("%s/raft", k->masters[0].dir);
    struct master_config config;
    assert_int_equal(master_config_load(k->masters[0].dir, &config, NULL), 0);
    assert_int_equal(master_config_seal_keys(&config, &w->keys, NULL), 0);
    snprintf(w->dir, sizeof w->dir, "/tmp/reeve-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    for (unsigned i = 0; i < 28; i++) {
        put(c, i, i % 3 == 0 ? 700 : 20);
    }
    must(c, "token", "{role: node}"); /* a Secret: sealed */
    wait_for_mark(k, raft);
    take_image(&w->before, raft);
    put(c, 28, 3000); /* several sectors */
    kit_stop(k, 0, SIGKILL);
    take_image(&w->after, raft);
    client_close(c);
    kit_free(k);
    remember_state(w, &w->before);
    remember_state(w, &w->after);
    assert_int_equal(w->before.revision + 1, w->after.revision);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct image nothing = {0};
    if (w == NULL) {
        return 0;
    }
    lay_down(w, &nothing);
    rmdir(w->dir);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        buf_close(&w->before.files[i].bytes);
        buf_close(&w->after.files[i].bytes);
    }
    free(w);
    return 0;
}

/* The heart: what is not called damaged has all that was acknowledged. True: damage was seen. */
static bool seen_or_harmless(const struct world *w, const struct image *im, const char *what, const char *name,
                             size_t at)
{
    struct disk_report quick;
    struct disk_replay r;
    struct error err = {0};
    if (disk_scan(w->dir, 1, NULL, &quick, &err) != 0) {
        fail_msg("%s of %s at %zu: %s", what, name, at, err.message);
    }
    bool damaged = quick.state == DISK_DAMAGED;
    replay(w, &r);
    const struct view *v = store_committed(r.store);
    struct view_hash hash = view_state_hash(v);
    bool same = view_revision(v) == im->revision && hash.lo == im->hash.lo && hash.hi == im->hash.hi;
    /* Whole closed segments and snapshots are checked when libraft and the store load them, not by the quick look:
     * there the replay counts, which checks what they check. */
    if (!damaged && r.report.state != DISK_DAMAGED && !same) {
        fail_msg("%s of %s at %zu is not seen, and what is read is revision %llu instead of %llu", what, name, at,
                 (unsigned long long)view_revision(v), (unsigned long long)im->revision);
    }
    if (view_revision(v) > im->revision) {
        fail_msg("%s of %s at %zu: more was read than was written", what, name, at);
    }
    damaged |= r.report.state == DISK_DAMAGED;
    disk_report_close(&quick);
    disk_replay_close(&r);
    return damaged;
}

static void a_flipped_bit_is_seen_or_harmless_in_every_file(void **state)
{
    struct world *w = *state;
    struct image *im = &w->after;
    unsigned tried = 0, seen = 0;
    lay_down(w, im);
    for (unsigned i = 0; i < im->count; i++) {
        struct file *f = &im->files[i];
        CLEANUP_FREE char *path = path_of(w, f->name);
        CLEANUP_CLOSE int fd = open(path, O_RDWR);
        size_t used = f->bytes.size;
        while (used > 0 && f->bytes.data[used - 1] == 0) {
            used--;
        }
        for (size_t at = 0; at < f->bytes.size; at += at < 80 ? 1 : at < used + 64 ? 3 : 4099) {
            uint8_t byte = f->bytes.data[at] ^ (uint8_t)(1u << (at * 7 + at / 8) % 8);
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
            tried++;
            seen += seen_or_harmless(w, im, "a flipped bit", f->name, at);
            assert_int_equal(pwrite(fd, &f->bytes.data[at], 1, (off_t)at), 1);
        }
    }
    assert_true(tried > 3000 && seen > 2000);
    print_message("%u bits flipped, %u seen, the rest harmless\n", tried, seen);
}

static void what_is_cut_off_a_file_is_seen_or_harmless(void **state)
{
    struct world *w = *state;
    struct image *im =
        /* all of it is under the mark: a cut at the very end of an entry looks like a segment's regular end */
        &w->before;
    for (unsigned i = 0; i < im->count; i++) {
        struct file *f = &im->files[i];
        lay_down(w, im);
        for (size_t n = 0; n < f->bytes.size; n += n < 100 ? 1 : n < 8192 ? 101 : 4099) {
            write_bytes(w, f->name, f->bytes.data, n);
            seen_or_harmless(w, im, "the end", f->name, n);
        }
    }
}

/* libraft keeps two snapshots, so the older one may go. */
static void a_file_that_is_gone_or_zeroed_is_seen_or_harmless(void **state)
{
    struct world *w = *state;
    struct image *im = &w->before; /* all of it is under the mark */
    unsigned seen = 0;
    for (unsigned i = 0; i < im->count; i++) {
        struct file *f = &im->files[i];
        if (strcmp(f->name, DISK_MARK_FILE) == 0) {
            continue; /* without it there is nothing to compare with, as in directories of earlier versions */
        }
        lay_down(w, im);
        CLEANUP_FREE char *path = path_of(w, f->name), *zeros = xcalloc(1, f->bytes.size + 1);
        unlink(path);
        seen += seen_or_harmless(w, im, "the loss", f->name, 0);
        write_bytes(w, f->name, zeros, f->bytes.size);
        seen += seen_or_harmless(w, im, "the zeroing", f->name, 0);
    }
    assert_true(seen >= 6);
}

/* ---- Closed segments before the open ones ---- */

/* A batch's head (u32 CRC, u32 CRC, u64 count, count times: u64 term, u8 type, 3 unused, u32 size): where it ends,
 * and whether it holds a command. */
static size_t batch_end(const struct buf *b, size_t at, uint64_t *entries, bool *command)
{
    size_t end;
    memcpy(entries, b->data + at + 8, sizeof *entries);
    end = at + 16 + (size_t)*entries * 16;
    *command = false;
    for (uint64_t i = 0; i < *entries; i++) {
        const uint8_t *head = b->data + at + 16 + i * 16;
        uint32_t size;
        memcpy(&size, head + 12, sizeof size);
        end += size;
        *command |= head[8] == RAFT_COMMAND;
    }
    return end;
}

static struct disk_report look(const struct world *w)
{
    struct disk_report r;
    struct error err = {0};
    if (disk_scan(w->dir, 1, NULL, &r, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return r;
}

/* The mark is written from time to time: let it know of nothing that the open segments hold. */
static void set_back_mark(const struct world *w)
{
    struct disk_mark mark;
    assert_int_equal(disk_mark_read(w->dir, &mark, NULL), 0);
    mark.last_index = 1;
    assert_int_equal(disk_mark_write(w->dir, &mark, NULL), 0);
}

static void assert_gap(const struct world *w, const char *name)
{
    struct disk_report r = look(w);
    struct disk_replay replayed;
    replay(w, &replayed);
    if (r.state != DISK_DAMAGED || strstr(r.damage, name) == NULL || strstr(r.damage, "should be revision") == NULL) {
        fail_msg("without the segments before %s: state %d, %s", name, (int)r.state, r.damage);
    }
    assert_int_equal(replayed.report.state, DISK_DAMAGED);
    disk_report_close(&r);
    disk_replay_close(&replayed);
}

static void assert_whole(const struct world *w, const char *what)
{
    struct disk_report r = look(w);
    if (r.state != DISK_WHOLE) {
        fail_msg("%s: taken for damage: %s", what, r.damage);
    }
    disk_report_close(&r);
}

static void remove_file(const struct world *w, const char *name)
{
    CLEANUP_FREE char *path = path_of(w, name);
    assert_int_equal(unlink(path), 0);
}

/* Where a segment stands among the others; 0: it is none. */
static uint64_t place_of(const struct file *f)
{
    uint64_t n;
    return sscanf(f->name, "open-%" SCNu64, &n) == 1                     ? UINT64_MAX / 2 + n
           : f->name[0] == '0' && sscanf(f->name, "%16" SCNu64, &n) == 1 ? n
                                                                         : 0;
}

/* All entries of an image from `from` on (a batch begins there; otherwise false), as one segment that was never
 * closed. */
static bool gather(const struct image *im, uint64_t from, struct buf *out)
{
    static const uint8_t head[8] = {1}, zeros[4096];
    uint64_t place = 0, next = from, entries;
    bool met = false, command;
    buf_append(out, head, sizeof head);
    for (;;) {
        const struct file *f = NULL;
        for (unsigned i = 0; i < im->count; i++) {
            uint64_t p = place_of(&im->files[i]);
            f = p > place && (f == NULL || p < place_of(f)) ? &im->files[i] : f;
        }
        if (f == NULL) {
            break;
        }
        place = place_of(f);
        next = f->name[0] == '0' ? place : next;
        for (size_t at = 8, end; at + 16 <= f->bytes.size; at = end, next += entries) {
            end = batch_end(&f->bytes, at, &entries, &command);
            if (entries == 0) {
                break;
            }
            met |= next == from;
            if (next >= from) {
                buf_append(out, f->bytes.data + at, end - at);
            }
        }
    }
    buf_append(out, zeros, sizeof zeros);
    return met;
}

/* The directory with all entries from `from` on in one open segment, and no other. */
static bool lay_open(const struct world *w, const struct image *im, uint64_t from)
{
    CLEANUP_BUF struct buf all = BUF_INIT;
    lay_down(w, im);
    set_back_mark(w);
    for (unsigned i = 0; i < im->count; i++) {
        if (place_of(&im->files[i]) != 0) {
            remove_file(w, im->files[i].name);
        }
    }
    bool met = gather(im, from, &all);
    write_bytes(w, "open-1", all.data, all.size);
    return met;
}

static void close_segment(const struct world *w, char name[80], uint64_t first, uint64_t next, const struct buf *b,
                          size_t from, size_t to)
{
    CLEANUP_BUF struct buf segment = BUF_INIT;
    snprintf(name, 80, "%016" PRIu64 "-%016" PRIu64, first, next - 1);
    buf_append(&segment, b->data, 8);
    buf_append(&segment, b->data + from, to - from);
    write_bytes(w, name, segment.data, segment.size);
}

/* A log without a snapshot is divided at each of its batches, as libraft would have: closed segments, which are lost,
 * and an open one, whose entries libraft would number anew. With `kept` a closed one before them stays. */
static unsigned lose_segments(const struct world *w, const struct buf *b, bool kept)
{
    uint64_t next = 1, first = 1, entries;
    size_t from = 8;
    unsigned lost = 0;
    bool command, any = false, has_kept = !kept;
    char before[80] = "", closed[80];
    for (size_t at = 8; at + 16 <= b->size; next += entries) {
        size_t end = batch_end(b, at, &entries, &command);
        if (entries == 0) {
            break;
        }
        if (any && !has_kept) {
            close_segment(w, before, first, next, b, from, at);
            has_kept = true;
            any = false;
            first = next;
            from = at;
        } else if (any && command) {
            CLEANUP_BUF struct buf rest = BUF_INIT;
            buf_append(&rest, b->data, 8);
            buf_append(&rest, b->data + at, b->size - at);
            close_segment(w, closed, first, next, b, from, at);
            write_bytes(w, "open-1", rest.data, rest.size);
            assert_whole(w, closed);
            remove_file(w, closed);
            assert_gap(w, "open-1");
            lost++;
        }
        any |= command;
        at = end;
    }
    return lost;
}

static void closed_segments_lost_before_the_open_ones_are_seen(void **state)
{
    struct world *w = *state;
    struct image all = {0};
    struct kit *k = kit_one(NULL); /* no snapshot */
    struct client *c = client_admin(k, 0);
    CLEANUP_FREE char *raft = xasprintf("%s/raft", k->masters[0].dir);
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = 0; i < 12; i++) {
        put(c, i, 100);
    }
    wait_for_mark(k, raft); /* it is made with the first term, but may not be there yet */
    kit_stop(k, 0, SIGKILL);
    take_image(&all, raft);
    client_close(c);
    kit_free(k);
    assert_true(lay_open(w, &all, 1));
    assert_whole(w, "all in one open segment");
    assert_true(gather(&all, 1, &b));
    assert_true(lose_segments(w, &b, false) >= 10);
    assert_true(lose_segments(w, &b, true) >= 9);
    for (unsigned i = 0; i < all.count; i++) {
        buf_close(&all.files[i].bytes);
    }
}

/* Behind the snapshot stands what does not follow it. Where batches do not begin where they are needed, there is
 * nothing to be tried. */
static void an_open_segment_that_does_not_follow_the_snapshot_is_seen(void **state)
{
    struct world *w = *state;
    struct image *im = &w->after;
    lay_down(w, im);
    struct disk_report at = look(w);
    disk_report_close(&at);
    char prefix[80];
    snprintf(prefix, sizeof prefix, "snapshot-%" PRIu64 "-%" PRIu64 "-", at.snapshot_term, at.snapshot_index);
    struct file *snapshot = find(im, prefix);
    for (int inside = 0; inside < 2; inside++) { /* the state in libraft's own file, as first versions wrote it */
        for (uint64_t early = 0; early <= 3; early += 3) {
            if (!lay_open(w, im, at.snapshot_index + 1 - early)) {
                skip();
            }
            struct snapfile_map map;
            assert_int_equal(snapfile_map(w->dir, snapshot->bytes.data, snapshot->bytes.size, &map, NULL), 0);
            CLEANUP_FREE uint8_t *bytes = xmemdup(map.p, map.n);
            size_t size = map.n;
            snapfile_unmap(&map);
            if (inside) {
                write_bytes(w, snapshot->name, bytes, size);
            }
            if (early > 0) {
                assert_gap(w, "open-1");
                continue;
            }
            struct disk_replay r;
            replay(w, &r);
            assert_int_equal(r.report.state, DISK_WHOLE);
            assert_int_equal(view_revision(store_committed(r.store)), w->after.revision);
            disk_replay_close(&r);
            assert_whole(w, "all that the snapshot does not cover");
            bytes[size - 1] ^= 1; /* the hash of the state is what it ends with */
            write_bytes(w, snapshot->name, bytes, size);
            struct disk_report other = look(w);
            assert_int_equal(other.state, DISK_DAMAGED);
            assert_non_null(strstr(other.damage, snapshot->name));
            assert_non_null(strstr(other.damage, "was not made from the state"));
            disk_report_close(&other);
        }
    }
}

/* Each sector of the last write is there or is not. */
static void a_write_that_a_power_cut_tore_is_no_damage(void **state)
{
    struct world *w = *state;
    struct file *old = find(&w->before, "open-"), *new = find(&w->after, "open-");
    assert_string_equal(old->name, new->name);
    size_t from = 0, to = new->bytes.size;
    while (from < to && old->bytes.data[from] == new->bytes.data[from]) {
        from++;
    }
    while (to > from && old->bytes.data[to - 1] == new->bytes.data[to - 1]) {
        to--;
    }
    size_t first = from / DISK_SECTOR, sectors = (to + DISK_SECTOR - 1) / DISK_SECTOR - first;
    assert_in_range(sectors, 5, 12);
    lay_down(w, &w->before); /* its mark: the last write was not acknowledged */
    CLEANUP_FREE uint8_t *torn = xmemdup(new->bytes.data, new->bytes.size);
    for (unsigned mask = 0; mask < 1u << sectors; mask++) {
        for (size_t s = 0; s < sectors; s++) {
            const struct file *source = mask >> s & 1 ? new : old;
            memcpy(torn + (first + s) * DISK_SECTOR, source->bytes.data + (first + s) * DISK_SECTOR, DISK_SECTOR);
        }
        write_bytes(w, new->name, torn, new->bytes.size);
        struct disk_replay r;
        replay(w, &r);
        bool all = mask == (1u << sectors) - 1;
        if (r.report.state != DISK_WHOLE) {
            fail_msg("sectors 0x%x of 0x%x written: taken for damage: %s", mask, (1u << sectors) - 1, r.report.damage);
        }
        assert_int_equal(view_revision(store_committed(r.store)), all ? w->after.revision : w->before.revision);
        disk_replay_close(&r);
    }
}

static void another_masters_directory_is_not_taken_for_ones_own(void **state)
{
    struct world *w = *state;
    struct disk_report r;
    lay_down(w, &w->after);
    assert_int_equal(disk_scan(w->dir, 2, NULL, &r, NULL), 0);
    assert_int_equal(r.state, DISK_DAMAGED);
    assert_non_null(strstr(r.damage, "master 1's"));
    disk_report_close(&r);
}

static void a_term_or_vote_that_was_altered_is_seen(void **state)
{
    struct world *w = *state;
    const struct disk_mark mark = {.id = 1, .version = 5, .term = 7, .vote = 2, .last_index = 9};
    const char *why;
    struct disk_metadata m = {5, 7, 2};
    (void)w;
    assert_true(disk_mark_fits(&mark, &m, &why));
    m = (struct disk_metadata){6, 8, 0}; /* a crash between the two writes of a new term */
    assert_true(disk_mark_fits(&mark, &m, &why));
    m = (struct disk_metadata){5, 7, 3};
    assert_false(disk_mark_fits(&mark, &m, &why));
    m = (struct disk_metadata){4, 7, 0}; /* the newer file is gone */
    assert_false(disk_mark_fits(&mark, &m, &why));
    m = (struct disk_metadata){6, 7, 3}; /* a second vote in one term */
    assert_false(disk_mark_fits(&mark, &m, &why));
    m = (struct disk_metadata){6, 6, 0};
    assert_false(disk_mark_fits(&mark, &m, &why));
    m = (struct disk_metadata){0};
    assert_false(disk_mark_fits(&mark, &m, &why));
}

static void an_unreadable_directory_is_an_error_and_no_damage(void **state)
{
    struct world *w = *state;
    struct disk_report r;
    struct error err = {0};
    lay_down(w, &w->before);
    struct file *f = find(&w->before, "open-");
    CLEANUP_FREE char *file = path_of(w, f->name);
    unlink(file);
    assert_int_equal(symlink(f->name, file), 0); /* ELOOP, as root may read what has no permissions */
    assert_true(disk_scan(w->dir, 1, NULL, &r, &err) != 0);
    assert_non_null(strstr(err.message, f->name));
    unlink(file);
    CLEANUP_FREE char *none = path_of(w, f->name);
    assert_true(disk_scan(none, 1, NULL, &r, &err) == 0 && r.state == DISK_NEW);
    disk_report_close(&r);
    write_bytes(w, f->name, "x", 1);
    assert_true(disk_scan(none, 1, NULL, &r, &err) != 0); /* ENOTDIR */
    assert_non_null(strstr(err.message, f->name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_is_seen_or_harmless_in_every_file),
        cmocka_unit_test(what_is_cut_off_a_file_is_seen_or_harmless),
        cmocka_unit_test(a_file_that_is_gone_or_zeroed_is_seen_or_harmless),
        cmocka_unit_test(closed_segments_lost_before_the_open_ones_are_seen),
        cmocka_unit_test(an_open_segment_that_does_not_follow_the_snapshot_is_seen),
        cmocka_unit_test(a_write_that_a_power_cut_tore_is_no_damage),
        cmocka_unit_test(another_masters_directory_is_not_taken_for_ones_own),
        cmocka_unit_test(a_term_or_vote_that_was_altered_is_seen),
        cmocka_unit_test(an_unreadable_directory_is_an_error_and_no_damage),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
