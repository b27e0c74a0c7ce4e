#include "proto/facts/chooser.h"

#include "proto/schema/kind.h"

bool chooser_is(const struct object *o)
{
    switch (o->kind->id) {
    case KIND_REPLICATIONCONTROLLER:
    case KIND_REPLICASET:
    case KIND_DEPLOYMENT:
    case KIND_STATEFULSET:
    case KIND_DAEMONSET:
        return str_empty(o->owner_uid);
    case KIND_JOB: /* the others choose by their uid */
        return str_empty(o->owner_uid) && mp_bool(mp_path(object_mp(o), "spec.manualSelector"), false);
    default:
        return false;
    }
}

struct mp chooser_selector(const struct object *o)
{
    return mp_path(object_mp(o), "spec.selector");
}

struct mp chooser_labels(const struct object *o)
{
    return mp_path(object_mp(o), "spec.template.metadata.labels");
}

bool chooser_pair(const struct object *o, struct str *key, struct str *value)
{
    struct mp selector = chooser_selector(o);
    struct mp_iter it = mp_iter(o->kind->id == KIND_REPLICATIONCONTROLLER ? selector : mp_get(selector, "matchLabels"));
    if (!mp_next(&it)) {
        return false;
    }
    *key = it.key;
    *value = mp_str(it.value);
    return true;
}
