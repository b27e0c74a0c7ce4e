/* Which images go when the disk of a node fills up: those of registries that nobody uses, the longest unused first,
 * until so much is free that the lower threshold holds.
 *
 * Source: the kubelet's image manager (imageGCHighThresholdPercent, imageGCLowThresholdPercent, imageMinimumGCAge,
 * imageMaximumGCAge). Unlike there, images that were loaded by hand stay: the node could not get them again. Deleted is
 * what no container stands on; what is being pulled, or was just asked for, has a holder.
 *
 * When an image was last used is kept with it on the disk, as its marker's time, written when its last container goes
 * and once an hour while there is one. */
#ifndef AGENT_IMAGE_GC_H
#define AGENT_IMAGE_GC_H

#include "agent/image/image.h"

struct image_gc_policy {
    unsigned high_percent, low_percent; /* of the disk in use: begins at the one, ends at the other; 100 = never */
    int64_t min_age_ms;                 /* younger ones stay */
    int64_t max_age_ms;                 /* what was not used for so long goes, however empty the disk; 0 = never */
};
#define IMAGE_GC_DEFAULT ((struct image_gc_policy){85, 80, 120000, 0})

/* ---- The decision, pure ---- */

struct image_gc_item {
    uint64_t size_bytes;
    int64_t used_ms, seen_ms; /* by the calendar: last used, first seen */
    bool kept;                /* in use, or loaded by hand */
    bool goes;                /* the answer */
    void *what;               /* the caller's */
};
/* How much has to go; 0 below the threshold. */
uint64_t image_gc_wanted(const struct image_gc_policy *p, uint64_t disk_bytes, uint64_t free_bytes);
/* Sorts the items, and says which go. The bytes that go. */
uint64_t image_gc_choose(const struct image_gc_policy *p, struct image_gc_item *items, unsigned count,
                         uint64_t wanted_bytes, int64_t now_ms);

/* ---- For a store ---- */

struct image_gc_report {
    uint64_t wanted_bytes, chosen_bytes, loaded_bytes; /* loaded: unused ones that stay, as they were loaded by hand */
    unsigned chosen, loaded;
    bool busy; /* what was chosen before is still being deleted: nothing was chosen */
};
/* One look: notes what is in use, chooses, and begins to delete. all: everything that may go, whatever is free. */
void image_gc(struct image_store *s, const struct image_gc_policy *p, uint64_t disk_bytes, uint64_t free_bytes,
              bool all, int64_t wall_ms, struct image_gc_report *out);

#endif
