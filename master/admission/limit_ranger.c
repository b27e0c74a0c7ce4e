/* Source: Kubernetes' admission plugin LimitRanger. It is done in the evaluation (bounds_limit): controllers' pods are
 * held to it, too. */
#include "master/admission/row.h"

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    size_t count = view_count(v, kind_by_id(KIND_LIMITRANGE));
    *on = count > 0;
    return arena_printf(a, "limitranges: %zu", count);
}

const struct admission_row admission_limit_ranger = {
    .name = "LimitRanger",
    .kinds = {KIND_POD, KIND_PERSISTENTVOLUMECLAIM},
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .mutates = true,
    .evaluated = true,
    .help =
        "Containers get the requests and limits of the namespace's LimitRanges, which bound what pods and claims ask "
        "for.",
    .setting = setting,
};
