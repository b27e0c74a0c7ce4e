/* emptyDir. */
#include "proto/kinds/volumes.h"
#include "proto/model/quantity.h"

/* clang-format off */
SCHEMA(volume_schema_empty_dir, "EmptyDirVolumeSource",
    "An empty directory that lives as long as the pod is on its node.",
    STRING("medium", "Memory for a file system in memory; nothing for the node's disk.",
           REFUSED("huge pages are not given out"), QUIET("Memory")),
    QUANTITY("sizeLimit", "The most it may hold; a pod that goes beyond it on the node's disk is evicted."));
/* clang-format on */

static void check_empty_dir(const struct value *source, const struct volume_at *where, const struct fpath *p,
                            struct errlist *l)
{
    (void)where;
    const struct value *limit = value_get(source, "sizeLimit"), *medium = value_get(source, "medium");
    if (limit != NULL && quantity_cmp(value_to_str(limit), STR("0")) < 0) {
        bad_forbidden(l, limit, FPATH_AT(p, "sizeLimit"), "must be greater than or equal to 0");
    }
    if (value_to_str(medium).n > 0 && !str_is(value_to_str(medium), "Memory") &&
        !str_starts(value_to_str(medium), STR("HugePages"))) {
        bad_choice(l, medium, FPATH_AT(p, "medium"), "Memory|HugePages");
    }
}

const struct volume_source volume_source_empty_dir = {
    .check = check_empty_dir,
};
