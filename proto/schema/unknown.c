/* Kinds that this program does not know: stand-ins by number, so that a store can hold, hash, save and pass on what a
 * newer program has written.
 *
 * A stand-in knows of its objects what all objects have, their metadata. The name of the kind stands in each object
 * (object_kind_name); the name here is only what to call it where no object is at hand. All of them count as
 * namespaced: an object of a cluster-wide kind has no metadata.namespace (the store sees to that), so its namespace
 * is empty all the same. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/schema/table.h"

/* clang-format off */
SCHEMA_STATIC(unknown, "Unknown", "Of a kind that this program does not know.",
    TYPE_META);

/* clang-format on */

/* Each is made when it is first asked for, is always the same, and stays: as good as a constant, without the room
 * for all that there could be. */
static _Atomic(const struct kind *) stand_ins[KIND_ID_MAX + 1];

static const struct kind *stand_in_new(unsigned id)
{
    struct {
        struct kind kind;
        char name[16];
    } *s = xcalloc(1, sizeof *s);
    snprintf(s->name, sizeof s->name, "kind-%u", id);
    s->kind = (struct kind){.id = (enum kind_id)id,
                            .name = s->name,
                            .api_version = "",
                            .plural = s->name,
                            .singular = s->name,
                            .short_names = "",
                            .namespaced = true,
                            .secret = true, /* what is in it, nobody here can tell */
                            .schema = &unknown};
    return &s->kind;
}

const struct kind *kind_stored(unsigned id)
{
    if (id == 0 || id > KIND_ID_MAX) {
        return NULL;
    }
    const struct kind *k = kind_by_id(id), *none = NULL;
    if (k != NULL || (k = atomic_load(&stand_ins[id])) != NULL) {
        return k;
    }
    k = stand_in_new(id);
    if (!atomic_compare_exchange_strong(&stand_ins[id], &none, k)) {
        free((struct kind *)k); /* another thread was faster */
        k = none;
    }
    return k;
}

bool kind_is_unknown(const struct kind *k)
{
    return k->schema == &unknown;
}
