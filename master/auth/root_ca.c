#include "master/auth/root_ca.h"

#include "master/auth/rotate.h"
#include "master/master.h"
#include "proto/facts/configdata.h"

#define RECORD_NS   "kube-system"
#define RECORD_NAME "reeve-root-ca"
#define KEY         "ca.crt"

void root_ca_tick(struct master *m)
{
    const struct view *tip = replica_leading(m->replica) ? store_tip(replica_store(m->replica)) : NULL;
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    const char *trust = rotate_trust(m);
    if (tip == NULL || view_get(tip, kind_by_id(KIND_NAMESPACE), STR_NONE, STR(RECORD_NS)) == NULL) {
        return;
    }
    const struct object *old = view_get(tip, k, STR(RECORD_NS), STR(RECORD_NAME));
    if (old != NULL && (old->deleting || str_is(configdata_text(old, KEY), trust))) {
        return;
    }
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    struct txn t;
    arena_init(&a);
    struct value *doc = old != NULL ? object_to_value(&a, old) : value_map(&a),
                 *metadata = value_ensure_map(&a, doc, "metadata");
    value_set(&a, doc, "apiVersion", value_cstr(&a, k->api_version));
    value_set(&a, doc, "kind", value_cstr(&a, k->name));
    value_set(&a, metadata, "name", value_cstr(&a, RECORD_NAME));
    value_set(&a, metadata, "namespace", value_cstr(&a, RECORD_NS));
    value_set(&a, value_ensure_map(&a, doc, "data"), KEY, value_cstr(&a, trust));
    txn_init(&t, "root-ca");
    int rv = old != NULL ? txn_update_value(&t, k, doc, TXN_PART_ALL, old->revision, &err)
                         : txn_create_value(&t, k, doc, &err);
    rv = rv != 0 ? rv : replica_submit(m->replica, &t, NULL, NULL, &err);
    txn_close(&t);
    if (rv == 0) {
        master_wake(m);
    } else {
        log_debug(&m->log, "root-ca", "the CA for pods cannot be written now: %s", err.message); /* the next time */
    }
}
