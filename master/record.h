/* The cluster's record of its masters: ConfigMap kube-system/reeve-cluster, an object like any other, so replicated,
 * backed up and restored.
 *
 *   name             the cluster's
 *   nextMasterId     the next master is given this id; it only grows, and every id below it was given away once
 *   removedMasters   ids that were given away and are no member's (any more), as "1-3 5": their certificates count for
 *                    nothing
 *   successor.OLD    "NEW ADDRESS": master OLD asked to come back as a new one and got id NEW; goes once NEW has been
 *                    seen. With it the same question may be asked again by one who lost the answer, although OLD counts
 *                    for nothing by now
 *   replaces.NEW     OLD: when NEW votes, OLD is to be removed
 *   featureLevel     what all voters can, once they could (members/level.h); absent = 0
 *
 * Ids are never given twice: not if the record is edited or lost (members and removed ones are looked at too), and not
 * to a cluster restored from a backup, as long as the restored master takes an id that is above all that were given
 * after the backup was made. */
#ifndef MASTER_RECORD_H
#define MASTER_RECORD_H

#include "master/master.h"

struct record {
    struct arena *arena;
    struct value *doc, *data; /* in the arena */
    uint64_t revision;
};
/* Its data in a state, borrowed; nothing can be found in it if there is none yet. */
struct mp record_data(const struct view *v);
#define RECORD_LEVEL "featureLevel"
const struct object *record_object(const struct view *v); /* NULL: there is none yet. Borrowed */
unsigned record_level(const struct view *v);
/* The record on the tip, as a copy to be changed. Leader only. False: there is none yet. */
bool record_open(struct master *m, struct arena *a, struct record *r);
/* Puts the changed copy into the transaction. */
int record_put(const struct record *r, struct txn *t, struct error *err);

/* Sets of ids as text. Malformed parts are passed over. */
bool record_ids_have(struct str text, uint64_t id);
uint64_t record_ids_max(struct str text); /* 0: none */

struct str record_get(const struct record *r, const char *key); /* STR_NONE if absent */
uint64_t record_get_id(const struct record *r, const char *key);
/* "PREFIX.ID" in the record's arena. */
const char *record_key(const struct record *r, const char *prefix, uint64_t id);
/* The number behind the dot; 0 if the key is another one. */
uint64_t record_key_id(struct str key, const char *prefix);

/* All ids below have been given away. Taking it makes it the newcomer's. */
uint64_t record_next_id(struct master *m, const struct record *r);
uint64_t record_next_id_in(const struct view *v); /* by a state alone, without regard to members */
uint64_t record_take_id(struct master *m, struct record *r);
/* Sets removedMasters to what was given away and is no member's, and lets go of rows that are done. Leader only, while
 * no change of the membership and no join is under way (an id that was just taken would count as removed). True:
 * something changed. */
bool record_settle(struct master *m, struct record *r);

#endif
