/* Kinds that this program does not know: stand-ins by number, so that a store can hold, hash, save and pass on what a newer program has written.
 *
 * A stand-in knows of its objects what all objects have, their metadata. The name of the kind stands in each object (object_kind_name); the
 * name here is only what to call it where no object is at hand. All of them count as namespaced: an object of a cluster-wide kind has no
 * metadata.namespace (the store sees to that), so its namespace is empty all the same. */
#include <assert.h>

#include "proto/schema/table.h"

/* clang-format off */
SCHEMA_STATIC(unknown, "Unknown", "Of a kind that this program does not know.",
    TYPE_META);

#define STAND_IN(n) \
    [n] = {.id = (enum kind_id)(n), .name = "kind-" #n, .api_version = "", .plural = "kind-" #n, .singular = "kind-" #n, \
           .short_names = "", .namespaced = true, .schema = &unknown}
#define STAND_INS(ten) \
    STAND_IN(ten##0), STAND_IN(ten##1), STAND_IN(ten##2), STAND_IN(ten##3), STAND_IN(ten##4), STAND_IN(ten##5), \
    STAND_IN(ten##6), STAND_IN(ten##7), STAND_IN(ten##8), STAND_IN(ten##9)

static const struct kind STAND_INS_ALL[KIND_ID_MAX + 1] = {
    STAND_IN(1), STAND_IN(2), STAND_IN(3), STAND_IN(4), STAND_IN(5), STAND_IN(6), STAND_IN(7), STAND_IN(8), STAND_IN(9),
    STAND_INS(1), STAND_INS(2), STAND_INS(3), STAND_INS(4), STAND_INS(5),
    STAND_IN(60), STAND_IN(61), STAND_IN(62), STAND_IN(63),
};
/* clang-format on */
static_assert(KIND_ID_MAX == 63, "there is a stand-in for each number");

const struct kind *kind_stored(unsigned id)
{
    if (id == 0 || id > KIND_ID_MAX) {
        return NULL;
    }
    const struct kind *k = kind_by_id(id);
    return k != NULL ? k : &STAND_INS_ALL[id];
}

bool kind_is_unknown(const struct kind *k)
{
    return k->schema == &unknown;
}
