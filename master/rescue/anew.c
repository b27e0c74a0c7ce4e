#include "master/rescue/anew.h"

#include <inttypes.h>
#include <stdio.h>

#include "master/members/level.h"
#include "master/record.h"

static const struct object *system_map(const struct store *s, const char *name)
{
    return view_get(store_tip(s), kind_by_id(KIND_CONFIGMAP), STR("kube-system"), str_of(name));
}

/* One transaction: the id is taken, all below it are gone, their addresses and what was under way with them too. */
static int fill_txn(const struct store *s, uint64_t id, struct txn *t, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    const struct object *cluster = system_map(s, "reeve-cluster"), *masters = system_map(s, "reeve-masters");
    if (masters != NULL) {
        txn_delete(t, masters);
    }
    if (cluster == NULL) {
        return error_set(err, ERR_CORRUPT, "ConfigMap kube-system/reeve-cluster is missing from the state");
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = object_to_value(&a, cluster), *former = value_get(doc, "data"), *data = value_map(&a);
    for (unsigned i = 0; i < value_count(former); i++) {
        struct str key = former->map.members[i].key;
        if (record_key_id(key, "successor") == 0 && record_key_id(key, "replaces") == 0) {
            value_set(&a, data, arena_strndup(&a, key.p, key.n), former->map.members[i].value);
        }
    }
    value_set(&a, data, "nextMasterId", value_strf(&a, "%" PRIu64, id + 1));
    value_set(&a, data, "removedMasters", value_strf(&a, "1-%" PRIu64, id - 1));
    value_set(&a, doc, "data", data);
    return txn_update_value(t, k, doc, TXN_PART_ALL, 0, err);
}

int anew_begin(struct store *s, uint64_t id, uint64_t term, uint64_t revision, struct error *err)
{
    struct txn t;
    struct txn_result result;
    int rc = level_check(record_level(store_committed(s)), "this state", err);
    if (rc != 0) {
        return rc;
    }
    store_set_level(s, record_level(store_committed(s)));
    store_rebase(s, revision);
    store_tip_open(s, term);
    txn_init(&t, "restore");
    rc = fill_txn(s, id, &t, err);
    if (rc == 0) {
        rc = store_eval(s, &t, &result, err);
    }
    txn_close(&t);
    if (rc == 0) {
        CLEANUP_BUF struct buf entry = BUF_INIT;
        store_batch_take(s, &entry);
        rc = store_apply(s, store_applied_index(s) + 1, entry.data, entry.size, err);
    }
    store_tip_drop(s);
    return rc;
}
