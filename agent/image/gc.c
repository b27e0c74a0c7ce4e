#include "agent/image/gc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/image/image_int.h"
#include "agent/util/fsutil.h"

#define NOTE_EVERY_MS 3600000

/* ---- The decision ---- */

uint64_t image_gc_wanted(const struct image_gc_policy *p, uint64_t disk_bytes, uint64_t free_bytes)
{
    uint64_t used_bytes = disk_bytes - MIN(free_bytes, disk_bytes);
    if (disk_bytes == 0 || p->high_percent >= 100 || used_bytes < disk_bytes / 100 * p->high_percent) {
        return 0;
    }
    uint64_t to_stay = disk_bytes / 100 * MIN(p->low_percent, p->high_percent);
    return used_bytes > to_stay ? used_bytes - to_stay : 0;
}

/* The longest unused first, of those the one that came first. */
static int by_use(const void *x, const void *y)
{
    const struct image_gc_item *a = x, *b = y;
    return a->used_ms != b->used_ms ? (a->used_ms > b->used_ms) - (a->used_ms < b->used_ms)
                                    : (a->seen_ms > b->seen_ms) - (a->seen_ms < b->seen_ms);
}

uint64_t image_gc_choose(const struct image_gc_policy *p, struct image_gc_item *items, unsigned count,
                         uint64_t wanted_bytes, int64_t now_ms)
{
    uint64_t chosen_bytes = 0;
    qsort(items, count, sizeof *items, by_use);
    for (unsigned i = 0; i < count; i++) {
        struct image_gc_item *it = &items[i];
        bool old = p->max_age_ms > 0 && now_ms - it->used_ms > p->max_age_ms;
        bool young = now_ms - it->seen_ms < p->min_age_ms;
        it->goes = !it->kept && !young && (old || chosen_bytes < wanted_bytes);
        chosen_bytes += it->goes ? it->size_bytes : 0;
    }
    return chosen_bytes;
}

/* ---- When it was used ---- */

void image_marker_read(struct image_live *l)
{
    char text[64];
    long long seen_ms;
    struct stat st;
    CLEANUP_FREE char *path = xasprintf("%s/images/%s", l->store->dir, l->manifest_hex);
    if (stat(path, &st) != 0) {
        return;
    }
    l->used_ms = l->noted_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    l->seen_ms = l->used_ms;
    l->pulled = fs_read_line(path, text, sizeof text) && sscanf(text, "pulled %lld", &seen_ms) == 1;
    l->seen_ms = l->pulled ? seen_ms : l->seen_ms;
}

static void note_use(struct image_live *l)
{
    CLEANUP_FREE char *path = xasprintf("%s/images/%s", l->store->dir, l->manifest_hex);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = l->used_ms / 1000, .tv_nsec = l->used_ms % 1000 * 1000000}};
    if (utimensat(AT_FDCWD, path, times, 0) == 0) {
        l->noted_ms = l->used_ms;
    }
}

static bool has_holder(const struct image_store *s, const struct image_live *of)
{
    LIST_FOR(it, &s->live)
    {
        const struct image_live *l = LIST_ENTRY(it, struct image_live, link);
        if (strcmp(l->manifest_hex, of->manifest_hex) == 0 && l->refs > (l == of ? 1u : 0u)) {
            return true;
        }
    }
    return false;
}

/* A clock that was set back must not make an image younger than new for years. */
static void look_at(struct image_store *s, struct image_live *l, int64_t wall_ms)
{
    bool used = has_holder(s, l);
    if (used || l->used_ms > wall_ms) {
        l->used_ms = wall_ms;
    }
    l->seen_ms = MIN(l->seen_ms, wall_ms);
    if ((used && l->used_ms - l->noted_ms > NOTE_EVERY_MS) || (!used && l->was_used)) {
        note_use(l);
    }
    l->was_used = used;
}

/* ---- For a store ---- */

static void delete_image(struct image_store *s, const struct image_live *l)
{
    struct error err = {0};
    CLEANUP_FREE char *digest = xasprintf("sha256:%s", l->manifest_hex);
    CLEANUP_FREE char *name = xstrdup(l->pub.refs[0] == NULL ? digest : l->pub.refs[0]);
    int rc = image_remove(s, digest, &err);
    if (rc != 0) {
        log_warn(s->log, "image", "cannot delete the image %s: %s", name, err.message);
    } else {
        log_info(s->log, "image", "the image %s is deleted, as it is unused and the disk fills up", name);
    }
}

void image_gc(struct image_store *s, const struct image_gc_policy *p, uint64_t disk_bytes, uint64_t free_bytes,
              bool all, int64_t wall_ms, struct image_gc_report *out)
{
    *out = (struct image_gc_report){.busy = s->dirty || (s->running && s->current->collect)};
    if (s->hollow || s->closing) {
        return;
    }
    struct image_gc_item *items = xcalloc(s->present_count + 1, sizeof *items);
    unsigned count = s->present_count;
    for (unsigned i = 0; i < count; i++) {
        struct image_live *l = s->present[i];
        look_at(s, l, wall_ms);
        items[i] = (struct image_gc_item){.size_bytes = l->pub.size_bytes,
                                          .used_ms = l->used_ms,
                                          .seen_ms = l->seen_ms,
                                          .kept = l->was_used || !l->pulled,
                                          .what = image_ref(&l->pub)};
        if (!l->was_used && !l->pulled) {
            out->loaded++;
            out->loaded_bytes += l->pub.size_bytes;
        }
    }
    out->wanted_bytes = all ? UINT64_MAX : image_gc_wanted(p, disk_bytes, free_bytes);
    if (!out->busy) {
        out->chosen_bytes = image_gc_choose(p, items, count, out->wanted_bytes, wall_ms);
    }
    for (unsigned i = 0; i < count; i++) {
        if (items[i].goes) {
            out->chosen++;
            delete_image(s, items[i].what);
        }
        image_unref(items[i].what);
    }
    free(items);
}
