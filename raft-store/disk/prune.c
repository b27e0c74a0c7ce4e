#include "raft-store/disk/prune.h"

#include <errno.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "raft-store/disk/disk_int.h"

static int remove_file(const char *dir, const char *name, const char *suffix, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s%s", dir, name, suffix);
    if (unlink(path) != 0 && errno != ENOENT) {
        return error_set_errno(err, -errno, "remove %s", path);
    }
    int rv = fs_sync_dir(dir);
    return rv != 0 ? error_set_errno(err, rv, "sync %s", dir) : 0;
}

/* The data goes first: a head alone is what a crash may leave anyhow (scan.c). */
static int remove_snapshot(const char *dir, const struct disk_snapshot_file *f, struct error *err)
{
    int rv = f->data ? remove_file(dir, f->name, "", err) : 0;
    return rv == 0 && f->meta ? remove_file(dir, f->name, ".meta", err) : rv;
}

static int prune(const char *dir, const struct disk_files *files, struct disk_pruned *out, struct error *err)
{
    unsigned newest = files->snapshots_count;
    while (newest > 0 && !(files->snapshots[newest - 1].meta && files->snapshots[newest - 1].data)) {
        newest--;
    }
    if (newest == 0) {
        return 0;
    }
    int rv = 0;
    out->snapshot_index = files->snapshots[newest - 1].index;
    for (unsigned i = 0; i + 1 < newest && rv == 0; i++) {
        rv = remove_snapshot(dir, &files->snapshots[i], err);
    }
    for (unsigned i = 0; i < files->segments_count && rv == 0; i++) {
        const struct disk_segment_file *f = &files->segments[i];
        if (!f->open && f->last <= out->snapshot_index) {
            rv = remove_file(dir, f->name, "", err);
        } else if (!f->open && out->first_entry == 0) {
            out->first_entry = f->first;
        }
    }
    return rv;
}

int disk_prune(const char *dir, struct disk_pruned *out, struct error *err)
{
    struct disk_files files;
    *out = (struct disk_pruned){0};
    int rv = disk_files_list(dir, &files, err);
    rv = rv == 0 ? prune(dir, &files, out, err) : rv;
    disk_files_close(&files);
    return rv;
}
