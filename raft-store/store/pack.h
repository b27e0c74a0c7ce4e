/* Which objects of a state are packed (object_pack), and against which base: those that have been left alone for a
 * while, so that pods of one template share their bytes. Internal to raft-store but for the figures.
 *
 * Objects come in the order of their keys, a few in each turn; behind the last one the row begins anew. Packed are
 * plain ones that the window of history has let go of (until then it would keep them beside their packed form), and
 * those again that somebody has read and which therefore are put together.
 *
 * Packing one that is changed soon afterwards is work for nothing, and reading it is more work. So each time that this
 * happens the object is left out for twice as many rounds, 32 at most; a round in which it is left alone halves that.
 *
 * Bases: for each kind, namespace and owner the last two objects that did not resemble the two before, in a table of
 * PACK_ROWS rows, which holds a ref on each. A base stays plain. It may be an object that has been replaced since: what
 * is packed against it keeps it, until nobody else does; then that one becomes plain again, and a base if need be. So
 * there is no base that serves nobody, and packed objects never take more than plain ones.
 *
 * What is packed on one master is not on another, or otherwise: nothing of it is in hashes, log entries or
 * snapshots. */
#ifndef RAFT_STORE_STORE_PACK_H
#define RAFT_STORE_STORE_PACK_H

#include "proto/schema/object.h"

#define PACK_ROWS      1024u
#define PACK_BASES     2u          /* of a row */
#define PACK_BASE_MAX  (32u << 10) /* bytes of a body that may be one, so all of them have 64 MiB at most */
#define PACK_POOR      4u          /* a base of which that part of a body is left is a poor one; */
#define PACK_POOR_EACH 8u          /* one of so many becomes another then */

struct view;
struct pack_stats {
    uint64_t packed;   /* objects that were packed, so far */
    uint64_t repacked; /* of these: once more, since they had been read */
    uint64_t bases;    /* that objects became, so far */
};
struct pack_row {
    struct object *bases[PACK_BASES]; /* the newest first; a ref on each, or NULL */
    unsigned since;                   /* objects that came since the newest did */
};
/* All zero at first. */
struct pack {
    struct pack_row *rows; /* NULL until the first is packed */
    struct object_packer scratch;
    struct buf ns, name; /* where to go on; of kind_id */
    unsigned kind_id;    /* 0: at the beginning */
    unsigned round;      /* times that the row has begun anew */
    struct pack_stats stats;
};
void pack_close(struct pack *p);
/* What a turn may do: objects that are looked at, and of these, such that are packed or tried. What is left of it. */
struct pack_turn {
    unsigned visits, tries;
};
/* o takes the place of old in a version, for the first time. */
void pack_replaced(const struct object *old, struct object *o);
/* Visits the next objects of a version that is not shared, and packs those of revisions up to `until`. */
void pack_some(struct pack *p, struct view *v, uint64_t until, struct pack_turn *turn);
/* Of a version that is being read in the order of keys: what has come since the last call. */
void pack_rest(struct pack *p, struct view *v);
void pack_anew(struct pack *p); /* the next visit is to the first object */

#endif
