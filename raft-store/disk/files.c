#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/spare.h"
#include "raft-store/disk/disk_int.h"

static struct disk_snapshot_file *snapshot_of(struct disk_files *s, uint64_t term, uint64_t index, uint64_t time)
{
    for (unsigned i = 0; i < s->snapshots_count; i++) {
        struct disk_snapshot_file *f = &s->snapshots[i];
        if (f->term == term && f->index == index && f->time == time) {
            return f;
        }
    }
    s->snapshots = xrealloc(s->snapshots, (s->snapshots_count + 1) * sizeof *s->snapshots);
    struct disk_snapshot_file *f = &s->snapshots[s->snapshots_count++];
    *f = (struct disk_snapshot_file){.term = term, .index = index, .time = time};
    snprintf(f->name, sizeof f->name, "snapshot-%" PRIu64 "-%" PRIu64 "-%" PRIu64, term, index, time);
    return f;
}

static void note_file(struct disk_files *s, const char *name, uint64_t size)
{
    uint64_t a, b, c;
    int used = 0;
    size_t n = strlen(name);
    s->bytes += size;
    if (n >= sizeof s->segments->name) {
        return;
    }
    struct disk_segment_file seg = {0};
    memcpy(seg.name, name, n + 1); /* it fits: see above */
    if (sscanf(name, "snapshot-%" SCNu64 "-%" SCNu64 "-%" SCNu64 "%n", &a, &b, &c, &used) == 3) {
        if ((size_t)used == n) {
            struct disk_snapshot_file *f = snapshot_of(s, a, b, c);
            f->data = true;
            f->size = size;
        } else if (strcmp(name + used, ".meta") == 0) {
            snapshot_of(s, a, b, c)->meta = true;
        }
        return;
    }
    if (sscanf(name, "%16" SCNu64 "-%16" SCNu64 "%n", &seg.first, &seg.last, &used) != 2 || (size_t)used != n) {
        seg.open = sscanf(name, "open-%" SCNu64 "%n", &seg.first, &used) == 1 && (size_t)used == n;
        if (!seg.open) {
            return;
        }
    }
    s->segments = xrealloc(s->segments, (s->segments_count + 1) * sizeof *s->segments);
    s->segments[s->segments_count++] = seg;
}

static int by_age(const void *a, const void *b)
{
    const struct disk_snapshot_file *x = a, *y = b;
    return x->term != y->term     ? (x->term > y->term) - (x->term < y->term)
           : x->index != y->index ? (x->index > y->index) - (x->index < y->index)
                                  : (x->time > y->time) - (x->time < y->time);
}

static int by_place(const void *a, const void *b)
{
    const struct disk_segment_file *x = a, *y = b;
    return x->open != y->open ? (x->open ? 1 : -1) : (x->first > y->first) - (x->first < y->first);
}

int disk_files_list(const char *dir, struct disk_files *s, struct error *err)
{
    *s = (struct disk_files){0};
    DIR *d = spare_opendir(dir);
    if (d == NULL) {
        return errno == ENOENT ? 0 : error_set_errno(err, -errno, "read directory %s", dir);
    }
    int rv = 0;
    struct dirent *e;
    while ((errno = 0, e = readdir(d)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(d), e->d_name, &st, 0) != 0) {
            rv = error_set_errno(err, -errno, "read %s/%s", dir, e->d_name);
            break;
        }
        if (S_ISREG(st.st_mode)) {
            note_file(s, e->d_name, (uint64_t)st.st_size);
        }
    }
    if (rv == 0 && errno != 0) {
        rv = error_set_errno(err, -errno, "read directory %s", dir);
    }
    closedir(d);
    if (s->snapshots_count > 0) {
        qsort(s->snapshots, s->snapshots_count, sizeof *s->snapshots, by_age);
    }
    if (s->segments_count > 0) {
        qsort(s->segments, s->segments_count, sizeof *s->segments, by_place);
    }
    return rv;
}

void disk_files_close(struct disk_files *f)
{
    free(f->snapshots);
    free(f->segments);
    *f = (struct disk_files){0};
}
