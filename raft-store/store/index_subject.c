/* Bindings of roles by whom they name: who may do something asks for a user and for each of his groups. */
#include "proto/facts/access.h"
#include "raft-store/store/index.h"

void index_subject_key(struct buf *out, bool group, struct str name)
{
    buf_puts(out, group ? "group/" : "user/");
    buf_append_str(out, name);
}

static void by_subject(const struct object *binding, struct index_keys *out)
{
    CLEANUP_BUF struct buf name = BUF_INIT, key = BUF_INIT;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(binding), "subjects")); mp_next(&it);) {
        bool group;
        buf_reset(&name);
        buf_reset(&key);
        if (access_subject(it.value, binding->ns, &group, &name) && name.size <= ACCESS_USER_MAX) {
            index_subject_key(&key, group, buf_str(&name));
            index_key(out, buf_str(&key));
        }
    }
}

const struct index_row index_subject = {.kind = KIND_ROLEBINDING, .keys = by_subject};
const struct index_row index_cluster_subject = {.kind = KIND_CLUSTERROLEBINDING, .keys = by_subject};
