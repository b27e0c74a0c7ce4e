#include "agent/images.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "agent/pod/pods.h"
#include "agent/util/fsutil.h"

/* ---- Deleting ---- */

static void tell(struct agent *a, const char *reason, const char *message)
{
    int64_t now_ms = env_now_ms(a->env);
    if (a->gc_told_ms != 0 && now_ms - a->gc_told_ms < IMAGES_TOLD_MS) {
        return;
    }
    a->gc_told_ms = now_ms;
    log_warn(a->log, "images", "%s: %s", reason, message);
    struct str uid = a->node == NULL ? STR_NONE : mp_str(mp_path(object_mp(a->node), "metadata.uid"));
    CLEANUP_FREE char *own_uid = xstrndup(uid.n == 0 ? "" : uid.p, uid.n);
    report_event(a->report,
                 &(struct report_event){.uid = own_uid, .warning = true, .reason = reason, .message = message});
}

void images_collect(struct agent *a, uint64_t disk_bytes, uint64_t free_bytes)
{
    struct image_gc_report r;
    char message[512];
    image_gc(a->images, &a->image_gc, disk_bytes, free_bytes, false, env_wall_ms(a->env), &r);
    a->gc_freed = r.wanted_bytes == 0 ? 0 : a->gc_freed + r.chosen_bytes;
    if (r.chosen > 0) {
        log_info(a->log, "images", "%u images (%llu bytes) are deleted: the disk is fuller than %u %%", r.chosen,
                 (unsigned long long)r.chosen_bytes, a->image_gc.high_percent);
        report_node_dirty(a->report);
    }
    if (r.wanted_bytes == 0 || r.chosen > 0 || r.busy) {
        return; /* enough, or not known before these are gone */
    }
    int n = snprintf(message, sizeof message,
                     "Failed to garbage collect required amount of images. Attempted to free %llu bytes, but only "
                     "found %llu bytes eligible to free.",
                     (unsigned long long)(r.wanted_bytes + a->gc_freed), (unsigned long long)a->gc_freed);
    if (r.loaded > 0) {
        snprintf(message + n, sizeof message - (size_t)n,
                 " %u unused images that were loaded by hand (%llu bytes) stay: `rctl image rm` deletes them.",
                 r.loaded, (unsigned long long)r.loaded_bytes);
    }
    tell(a, "FreeDiskSpaceFailed", message);
}

static bool look_at_disk(struct agent *a, struct statvfs *disk)
{
    char path[AGENT_PATH_MAX], message[256];
    fs_path(path, sizeof path, "%s/images", a->dir);
    if (statvfs(path, disk) != 0) {
        snprintf(message, sizeof message, "the disk of the images cannot be looked at: %s", strerror(errno));
        tell(a, "ImageGCFailed", message);
        return false;
    }
    return disk->f_blocks > 0;
}

bool images_relieve(struct agent *a)
{
    struct image_gc_report r;
    image_gc(a->images, &a->image_gc, 0, 0, true, env_wall_ms(a->env), &r);
    if (r.chosen > 0) {
        log_info(a->log, "images", "%u unused images (%llu bytes) are deleted: the disk is nearly full", r.chosen,
                 (unsigned long long)r.chosen_bytes);
        report_node_dirty(a->report);
    }
    return r.chosen > 0 || r.busy;
}

/* ---- How far pulls are ---- */

static void tell_progress(struct agent_pod *ap, struct container *c)
{
    struct image_progress at;
    if (!image_pull_progress(ap->agent->images, c->spec->image, &at)) {
        return;
    }
    int percent = at.all_bytes == 0 ? 0 : (int)MIN(at.done_bytes * 100 / at.all_bytes, 100);
    int step = at.queued ? -1 : at.unpacking ? 1000 : percent;
    if (c->message != NULL && (step == c->pull_step || (step < 1000 && step - c->pull_step < IMAGES_STEP_PERCENT))) {
        return;
    }
    char *text = at.queued      ? xasprintf("The pull of image \"%s\" waits for others", c->spec->image)
                 : at.unpacking ? xasprintf("Unpacking image \"%s\"", c->spec->image)
                                : xasprintf("Pulling image \"%s\": %.1f of %.1f MB (%d %%)", c->spec->image,
                                            (double)at.done_bytes / 1e6, (double)at.all_bytes / 1e6, percent);
    container_on_pull_step(c, step, text);
}

/* Of the first pull of a container: what a later one waits for says why the former one failed. */
static void tell_pulls(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        for (unsigned k = 0; !ap->gone && !ap->pod->status_frozen && k < ap->pod->spec->count; k++) {
            struct container *c = ap->pod->containers[k];
            if (c->state == CONTAINER_PULLING && c->reason[0] == '\0') {
                tell_progress(ap, c);
            }
        }
    }
}

void images_check(struct agent *a)
{
    struct statvfs disk;
    tell_pulls(a);
    if (!a->hollow && look_at_disk(a, &disk)) {
        images_collect(a, (uint64_t)disk.f_blocks * disk.f_frsize, (uint64_t)disk.f_bavail * disk.f_frsize);
    }
}
