/* Source: Kubernetes' admission plugin ResourceQuota. It is done at the end of the evaluation (world_quota.c), of all
 * that a transaction changes together. */
#include "master/admission/row.h"

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    size_t count = view_count(v, kind_by_id(KIND_RESOURCEQUOTA));
    *on = count > 0;
    return arena_printf(a, "resourcequotas: %zu", count);
}

const struct admission_row admission_resource_quota = {
    .name = "ResourceQuota",
    .kinds_told = "what quotas count",
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .evaluated = true,
    .help = "Nobody makes more in a namespace than its quotas have left.",
    .setting = setting,
};
