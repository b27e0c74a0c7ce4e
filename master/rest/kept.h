/* JSON of objects, and rows of tables, that were made lately: encoded once for all lists, gets and watches that tell
 * the same version.
 *
 * A version of an object is known by its revision, its kind, and the size and hash of its body. A write makes another
 * version, so what is kept is never wrong; what nobody asks for any more goes after REST_KEPT_MS, or earlier where
 * there is no room for others. Of what was used within REST_KEPT_FRESH_MS nothing goes: who lists more than there is
 * room for finds part of it kept, and does not push all of it out again and again.
 *
 * Only versions that are committed may be asked for (dry runs, and what a leader still proposes, have revisions that
 * another version may get), and none of secret kinds. Loop thread only. Pure: the time is what rest_kept_tick
 * told last. */
#ifndef MASTER_REST_KEPT_H
#define MASTER_REST_KEPT_H

#include "base/buf.h"
#include "proto/schema/object.h"

#define REST_KEPT_BYTES     (32u << 20)  /* all of it, with what it is found by */
#define REST_KEPT_ONE_BYTES (256u << 10) /* of one object: larger ones are not kept */
#define REST_KEPT_MS        60000
#define REST_KEPT_FRESH_MS  2000

/* NULL stands for one that keeps nothing, but for rest_kept_write. */
struct rest_kept *rest_kept_new(size_t most_bytes);
void rest_kept_free(struct rest_kept *k);
/* Appends what object_write_json(out, o, revision) would. A revision that is not the object's own (of a deletion) is
 * kept until the next one that could not be kept either. o may be apart (object_is_apart), and stays so. */
void rest_kept_write(struct rest_kept *k, struct buf *out, const struct object *o, uint64_t revision);
/* A few times a second: what was not asked for since REST_KEPT_MS goes. */
void rest_kept_tick(struct rest_kept *k, int64_t now_ms);
/* The state is another one (a snapshot was taken over): all of it goes. */
void rest_kept_forget(struct rest_kept *k);

/* What else is kept of a version, made by others. */
enum rest_kept_what {
    REST_KEPT_JSON,  /* of rest_kept_write alone */
    REST_KEPT_CELLS, /* a row's beginning, with open ages (form.c) */
    REST_KEPT_ROW,   /* the same with the object's metadata */
};
/* Borrowed until the next call; empty: it is not there. */
struct str rest_kept_get(struct rest_kept *k, enum rest_kept_what what, const struct object *o);
void rest_kept_put(struct rest_kept *k, enum rest_kept_what what, const struct object *o, struct str bytes);

struct rest_kept_stats {
    uint64_t found, made; /* versions that were, and that were not kept, of each sort */
    size_t bytes;         /* at most most_bytes */
    unsigned count;
};
void rest_kept_stats(const struct rest_kept *k, struct rest_kept_stats *out);

#endif
