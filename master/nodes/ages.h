/* Entries by key, in the order of their last changes: whoever was told everything up to a number is told what has
 * changed since. What routes.h and serving.h have in common.
 *
 * Each change of an entry has a number, one more than the last. What is gone stays known as gone, gone_max of them;
 * `forgotten` tells who was last told before that, and may know something that is not known here any more. */
#ifndef MASTER_NODES_AGES_H
#define MASTER_NODES_AGES_H

#include "base/list.h"
#include "base/strmap.h"

/* In the caller's entry, which comes from xcalloc. */
struct aged {
    struct list link;
    uint64_t version; /* of its last change */
    bool gone, seen;  /* seen: by the sync that runs */
    struct str key;   /* a copy */
};
struct ages {
    struct strmap by_key;
    struct list by_age;           /* the newest change last */
    uint64_t version;             /* of the newest change */
    uint64_t forgotten;           /* who was told less than this is told the whole */
    unsigned gone;                /* how many entries are */
    unsigned gone_max;            /* the oldest of more are forgotten */
    void (*free)(struct aged *e); /* of what is the caller's; e too */
};
void ages_init(struct ages *a, unsigned gone_max, void (*free_entry)(struct aged *e));
void ages_close(struct ages *a);
struct aged *ages_get(const struct ages *a, struct str key);   /* also one that is gone; NULL if there is none */
void ages_add(struct ages *a, struct aged *e, struct str key); /* takes e; ages_touch is to follow */
void ages_touch(struct ages *a, struct aged *e);               /* it is there, and has changed */
/* It is gone from now on; others that are may be forgotten, never e. False: it was, or is NULL. */
bool ages_remove(struct ages *a, struct aged *e);
/* A sync: begin, `seen` of each entry that is there, end. Those that were not seen are gone. */
void ages_sync_begin(struct ages *a);
void ages_sync_end(struct ages *a);
/* The first in by_age that has changed behind a number; by_age itself: none. Whoever follows closely finds it near the
 * end. */
struct list *ages_behind(struct ages *a, uint64_t since);

#endif
