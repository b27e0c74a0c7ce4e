#include "controllers/storage/classes.h"

#include "controllers/util.h"
#include "proto/facts/condition.h"
#include "proto/facts/pod_state.h"
#include "proto/facts/storage.h"

const struct object *storage_default_class(const struct view *v)
{
    const struct object *best = NULL;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_STORAGECLASS), STR_NONE);
    VIEW_FOR(class, &it)
    {
        if (storage_class_is_default(class) && (best == NULL || object_created_ms(class) > object_created_ms(best))) {
            best = class;
        }
    }
    return best;
}

const struct object *storage_class_get(const struct view *v, const struct object *o)
{
    struct str name = storage_class_of(o);
    return name.n == 0 ? NULL : view_get(v, kind_by_id(KIND_STORAGECLASS), STR_NONE, name);
}

void storage_iter_naming_claim(struct view_iter *it, const struct view *v, struct str ns, struct str name,
                               const struct kind *k)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    index_reference_key(&key, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), ns, name);
    view_iter_index(it, v, VIEW_BY_REFERENCE, buf_str(&key), k, STR_NONE);
}

const struct object *storage_user_of(const struct view *v, struct str ns, struct str name)
{
    struct view_iter it;
    storage_iter_naming_claim(&it, v, ns, name, kind_by_id(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (!str_empty(pod_node(pod))) {
            return pod;
        }
    }
    return NULL;
}

/* When the pod was bound to its node; one that was made with a node: when it was made. */
static int64_t placed_ms(const struct object *pod)
{
    int64_t ms = time_of_mp(mp_get(condition_mp(pod, "PodScheduled"), "lastTransitionTime"));
    return ms != 0 ? ms : object_created_ms(pod);
}

const struct object *storage_user_of_former(const struct view *v, const struct object *volume)
{
    struct mp ref = mp_get(object_spec(volume), "claimRef");
    struct str ns = mp_str(mp_get(ref, "namespace")), name = mp_str(mp_get(ref, "name"));
    const struct object *claim = view_get(v, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), ns, name);
    struct view_iter it;
    if (str_empty(mp_str(mp_get(ref, "uid")))) {
        return NULL; /* it never was anybody's */
    }
    storage_iter_naming_claim(&it, v, ns, name, kind_by_id(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (!str_empty(pod_node(pod)) && (claim == NULL || placed_ms(pod) < object_created_ms(claim))) {
            return pod;
        }
    }
    return NULL;
}
