#include "proto/facts/gang.h"

#include "proto/facts/condition.h"

struct str gang_of_pod(const struct object *pod)
{
    return mp_str(mp_path(object_spec(pod), "schedulingGroup.podGroupName"));
}

int64_t gang_min_count(const struct object *group)
{
    struct mp gang = mp_path(object_mp(group), "spec.schedulingPolicy.gang");
    return mp_type(gang) == MP_MAP ? MAX(1, mp_int(mp_get(gang, "minCount"), 1)) : 0;
}

bool gang_is_placed(const struct object *group)
{
    return condition_is(condition_mp(group, GANG_CONDITION), "True");
}
