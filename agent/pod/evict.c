#include "agent/pod/evict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pod/source.h"
#include "proto/model/quantity.h"

/* ---- The decision ---- */

bool evict_is_disk(const struct podspec_volume *v)
{
    return v->how != NULL && v->how->on_disk != NULL && v->how->on_disk(v->source);
}

/* Text and bytes; false if there is none. */
static bool size_limit(const struct podspec_volume *v, struct str *text, int64_t *bytes)
{
    *text = evict_is_disk(v) ? mp_str(mp_get(v->source, "sizeLimit")) : STR_NONE;
    return text->p != NULL && quantity_units(*text, bytes) && *bytes > 0;
}

bool evict_has_limits(const struct podspec *s)
{
    struct str text;
    int64_t bytes;
    bool any = false;
    for (unsigned i = 0; i < s->volumes_count; i++) {
        any = any || size_limit(&s->volumes[i], &text, &bytes);
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        any = any || s->containers[i].limits.ephemeral_bytes > 0;
    }
    return any;
}

uint64_t evict_used(const struct podspec *s, const struct evict_usage *u)
{
    uint64_t used = 0;
    for (unsigned i = 0; i < s->volumes_count; i++) {
        used += evict_is_disk(&s->volumes[i]) ? u->volumes[i] : 0;
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        used += u->containers[i];
    }
    return used;
}

bool evict_decide(const struct podspec *s, const struct evict_usage *u, char message[EVICT_MESSAGE_MAX])
{
    struct str text;
    int64_t bytes, limit = 0;
    uint64_t used = evict_used(s, u);
    for (unsigned i = 0; i < s->volumes_count; i++) {
        if (size_limit(&s->volumes[i], &text, &bytes) && u->volumes[i] > (uint64_t)bytes) {
            snprintf(message, EVICT_MESSAGE_MAX, "Usage of EmptyDir volume \"%s\" exceeds the limit \"%.*s\". ",
                     s->volumes[i].name, STR_ARG(text));
            return true;
        }
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        limit += MIN(s->containers[i].limits.ephemeral_bytes, INT64_MAX / (2 * PODSPEC_CONTAINERS_MAX));
    }
    if (limit > 0 && used > (uint64_t)limit) {
        char whole[QUANTITY_SIZE];
        quantity_format_bytes(limit, whole);
        snprintf(message, EVICT_MESSAGE_MAX,
                 "Pod ephemeral local storage usage exceeds the total limit of containers %s. ", whole);
        return true;
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        const struct podspec_container *c = &s->containers[i];
        if (c->limits.ephemeral_bytes > 0 && u->containers[i] > (uint64_t)c->limits.ephemeral_bytes) {
            text = mp_str(mp_get(mp_path(c->raw, "resources.limits"), "ephemeral-storage"));
            snprintf(message, EVICT_MESSAGE_MAX, "Container %s exceeded its local ephemeral storage limit \"%.*s\". ",
                     c->name, STR_ARG(text));
            return true;
        }
    }
    return false;
}

/* ---- A disk that is nearly full ---- */

static uint64_t beyond(const struct evict_candidate *c)
{
    return c->used > c->requested ? c->used - c->requested : 0;
}

bool evict_helps(const struct evict_candidate *c, uint64_t disk_bytes)
{
    return c->priority < EVICT_CRITICAL_PRIORITY && beyond(c) > 0 && beyond(c) >= disk_bytes / 100;
}

bool evict_goes_first(const struct evict_candidate *a, const struct evict_candidate *b)
{
    return a->priority != b->priority ? a->priority < b->priority : beyond(a) > beyond(b);
}

void evict_pressure_message(const struct evict_candidate *c, char message[EVICT_MESSAGE_MAX])
{
    char used[QUANTITY_SIZE], requested[QUANTITY_SIZE];
    quantity_format_bytes((int64_t)MIN(c->used, (uint64_t)INT64_MAX), used);
    quantity_format_bytes((int64_t)MIN(c->requested, (uint64_t)INT64_MAX), requested);
    snprintf(message, EVICT_MESSAGE_MAX,
             "The node was low on resource: ephemeral-storage. The pod was using %s, it requests %s. ", used,
             requested);
}

/* ---- Memory, process ids ---- */

bool evict_takes_first(const struct evict_candidate *a, const struct evict_candidate *b)
{
    bool more = a->used > a->requested, other_more = b->used > b->requested;
    if (more != other_more) {
        return more;
    }
    if (a->priority != b->priority) {
        return a->priority < b->priority;
    }
    return (int64_t)(a->used - a->requested) > (int64_t)(b->used - b->requested);
}

void evict_memory_message(const struct evict_candidate *c, int64_t threshold, int64_t left,
                          char message[EVICT_MESSAGE_MAX])
{
    char used[QUANTITY_SIZE], requested[QUANTITY_SIZE], floor[QUANTITY_SIZE], there[QUANTITY_SIZE];
    quantity_format_bytes((int64_t)c->used, used);
    quantity_format_bytes((int64_t)c->requested, requested);
    quantity_format_bytes(threshold, floor);
    quantity_format_bytes(left, there);
    snprintf(message, EVICT_MESSAGE_MAX,
             "The node was low on resource: memory. Threshold quantity: %s, available: %s. The pod was using %s, it "
             "requests %s. ",
             floor, there, used, requested);
}

void evict_pids_message(const struct evict_candidate *c, int64_t threshold, int64_t left,
                        char message[EVICT_MESSAGE_MAX])
{
    snprintf(message, EVICT_MESSAGE_MAX,
             "The node was low on resource: pids. Threshold quantity: %lld, available: %lld. The pod had %llu. ",
             (long long)threshold, (long long)left, (unsigned long long)c->used);
}

/* ---- Measuring ---- */

/* Directories on the way down that are held open. One further down is closed while those below it are read, and found
 * again by "..": a pod makes its directories as deep as it likes. If a directory was moved meanwhile, the walk goes
 * on at the deepest one that it holds. */
#define HELD_MAX   64u
#define LEVELS_MAX (1u << 20) /* what lies deeper is not counted: memory */

struct seen { /* inodes with several names: open addressing, 0 = free */
    ino_t *slots;
    size_t count, cap;
};

static bool was_seen(struct seen *s, ino_t ino)
{
    if (s->count * 2 >= s->cap) {
        struct seen larger = {.cap = s->cap == 0 ? 64 : s->cap * 2};
        larger.slots = xcalloc(larger.cap, sizeof *larger.slots);
        for (size_t i = 0; i < s->cap; i++) {
            if (s->slots[i] != 0) {
                was_seen(&larger, s->slots[i]);
            }
        }
        free(s->slots);
        *s = larger;
    }
    size_t at = (size_t)ino * 0x9e3779b97f4a7c15ull >> 16 & (s->cap - 1);
    while (s->slots[at] != 0 && s->slots[at] != ino) {
        at = (at + 1) & (s->cap - 1);
    }
    if (s->slots[at] == ino) {
        return true;
    }
    s->slots[at] = ino;
    s->count++;
    return false;
}

struct walk {
    DIR *dir;       /* the one that is read */
    unsigned depth; /* of it; the top has 0 */
    dev_t dev;
    DIR *held[HELD_MAX]; /* those above it */
    struct level {
        ino_t ino;
        long at; /* where to go on when it was closed */
    } * levels;
    unsigned cap;
};

static void set_level(struct walk *w, ino_t ino)
{
    if (w->depth == w->cap) {
        w->cap = w->cap == 0 ? 64 : w->cap * 2;
        w->levels = xrealloc(w->levels, w->cap * sizeof *w->levels);
    }
    w->levels[w->depth].ino = ino;
}

static void go_down(struct walk *w, const char *name)
{
    struct stat st;
    if (w->depth + 1 == LEVELS_MAX) {
        return;
    }
    int fd = openat(dirfd(w->dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *sub = fd < 0 || fstat(fd, &st) != 0 || st.st_dev != w->dev ? NULL : fdopendir(fd);
    if (sub == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (w->depth < HELD_MAX) {
        w->held[w->depth] = w->dir;
    } else {
        w->levels[w->depth].at = telldir(w->dir);
        closedir(w->dir);
    }
    w->dir = sub;
    w->depth++;
    set_level(w, st.st_ino);
}

/* NULL: it is not above any more. */
static DIR *find_above(const struct walk *w, const struct level *above)
{
    struct stat st;
    int fd = openat(dirfd(w->dir), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 || fstat(fd, &st) != 0 || st.st_ino != above->ino || st.st_dev != w->dev ? NULL : fdopendir(fd);
    if (d != NULL) {
        seekdir(d, above->at);
    } else if (fd >= 0) {
        close(fd);
    }
    return d;
}

static void go_up(struct walk *w)
{
    DIR *above = w->depth > HELD_MAX ? find_above(w, &w->levels[w->depth - 1]) : NULL;
    closedir(w->dir);
    w->depth = above != NULL ? w->depth - 1 : MIN(w->depth, HELD_MAX) - 1;
    w->dir = above != NULL ? above : w->held[w->depth];
}

static uint64_t measure_dir(struct walk *w, struct seen *seen)
{
    uint64_t bytes = 0;
    for (;;) {
        struct dirent *e = readdir(w->dir);
        struct stat st;
        if (e == NULL && w->depth == 0) {
            return bytes;
        }
        if (e == NULL) {
            go_up(w);
            continue;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(w->dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != w->dev ||
            (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && was_seen(seen, st.st_ino))) {
            continue;
        }
        bytes += (uint64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode)) {
            go_down(w, e->d_name);
        }
    }
}

uint64_t evict_measure(const char *path)
{
    struct stat st;
    struct seen seen = {0};
    struct walk w = {0};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    w.dir = fd < 0 || fstat(fd, &st) != 0 ? NULL : fdopendir(fd);
    if (w.dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    w.dev = st.st_dev;
    set_level(&w, st.st_ino);
    uint64_t bytes = measure_dir(&w, &seen);
    closedir(w.dir);
    free(w.levels);
    free(seen.slots);
    return bytes;
}
