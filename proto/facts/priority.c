#include "proto/facts/priority.h"

#include "base/mem.h"

const struct priority_builtin priority_builtins[2] = {
    {"system-cluster-critical", PRIORITY_CRITICAL,
     "For pods that the cluster needs, but that may move to another node."},
    {"system-node-critical", PRIORITY_CRITICAL + 1000, "For pods that their node needs: they go last of all."},
};

const struct priority_builtin *priority_builtin_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(priority_builtins); i++) {
        if (str_is(name, priority_builtins[i].name)) {
            return &priority_builtins[i];
        }
    }
    return NULL;
}

struct priority priority_of_class(const struct object *class)
{
    struct mp root = object_mp(class);
    struct str policy = mp_str(mp_get(root, "preemptionPolicy"));
    return (struct priority){class->name, mp_int(mp_get(root, "value"), 0),
                             str_is(policy, PREEMPT_NEVER) ? STR(PREEMPT_NEVER) : STR(PREEMPT_LOWER)};
}

bool priority_class_is_default(const struct object *class)
{
    return mp_bool(mp_get(object_mp(class), "globalDefault"), false);
}

int64_t priority_of_pod(struct mp spec)
{
    return mp_int(mp_get(spec, "priority"), 0);
}

bool priority_preempts(struct mp spec)
{
    return !str_is(mp_str(mp_get(spec, "preemptionPolicy")), PREEMPT_NEVER);
}
