/* ClusterRoles by their labels, and those that are made of others: what the controller that makes them asks. */
#include "raft-store/store/index.h"

static void by_role(const struct object *role, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    if (mp_type(mp_get(object_mp(role), "aggregationRule")) == MP_MAP) {
        index_key(out, STR(INDEX_ROLE_GATHERS));
    }
    for (struct mp_iter it = mp_iter(object_labels(role)); mp_next(&it);) {
        buf_reset(&key);
        index_label_key(&key, STR_NONE, it.key, mp_str(it.value));
        index_key(out, buf_str(&key));
    }
}

const struct index_row index_role = {.kind = KIND_CLUSTERROLE, .keys = by_role};
