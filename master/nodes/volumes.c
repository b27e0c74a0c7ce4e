/* node.volumes {name, volumes: [{name, uid}]} -> {}: an agent has removed the directories of these PersistentVolumes,
 * and lets them go.
 *
 * Takes the finalizer STORAGE_LOCAL_DIRECTORY off each that is the node's (STORAGE_LABEL_NODE), is being deleted and is
 * in no pod's use any more, which is so when STORAGE_PROTECT_VOLUME is gone. Others are passed over: a volume that is
 * gone, has another uid, is another node's or is still in use. So the agent may say it again, as often as it likes; it
 * sees in node.refs what became of it. See proto/facts/storage.h. */
#include "master/master.h"
#include "master/nodes/nodes.h"
#include "proto/facts/storage.h"

#define VOLUMES_MAX 256u /* of one request: the rest may follow in the next */

static bool may_go(const struct object *volume, struct str node, struct str uid)
{
    return volume != NULL && volume->deleting && str_eq(volume->uid, uid) &&
           str_eq(object_label(volume, STORAGE_LABEL_NODE), node) &&
           storage_has_finalizer(volume, STORAGE_LOCAL_DIRECTORY) &&
           !storage_has_finalizer(volume, STORAGE_PROTECT_VOLUME);
}

static void let_go(struct arena *a, struct txn *t, const struct object *volume)
{
    struct value *doc = object_to_value(a, volume), *list = value_path(doc, "metadata.finalizers");
    for (unsigned i = value_count(list); i > 0; i--) {
        if (str_is(value_to_str(value_item(list, i - 1)), STORAGE_LOCAL_DIRECTORY)) {
            value_remove_at(list, i - 1);
        }
    }
    txn_update_value(t, volume->kind, doc, TXN_PART_ALL, volume->revision, NULL);
}

static void gone(const struct txn_result *result, const struct error *error, void *data)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    (void)result;
    if (error != NULL) {
        call_fail(data, error);
        return;
    }
    mp_write_map(&b, 0);
    call_reply(data, &b);
}

static void method_node_volumes(struct call *c)
{
    struct str node;
    struct mp list = call_param(c, "volumes");
    if (!call_own_name(c, &node)) {
        return;
    }
    if (mp_type(list) != MP_ARRAY || mp_count(list) > VOLUMES_MAX) {
        call_failf(c, ERR_USAGE, "node.volumes: parameter \"volumes\" must be a list of at most %u", VOLUMES_MAX);
        return;
    }
    if (!node_may_write(c, node)) {
        return;
    }
    struct txn t;
    struct strmap named;
    const struct view *tip = store_tip(replica_store(c->m->replica));
    txn_init(&t, "agent");
    strmap_init(&named);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name")), uid = mp_str(mp_get(it.value, "uid"));
        const struct object *volume = view_get(tip, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE, name);
        if (may_go(volume, node, uid) && strmap_set(&named, volume->uid, &named) == NULL) {
            let_go(&c->e.arena, &t, volume);
        }
    }
    strmap_close(&named);
    struct error err = {0};
    replica_submit(c->m->replica, &t, gone, c, &err); /* a refusal comes by the callback as well */
    txn_close(&t);
    master_wake(c->m);
}

const struct method request_node_volumes = {
    "node.volumes", method_node_volumes,
    METHOD_NODE | METHOD_LEADER | METHOD_SERVED | METHOD_WRITE | METHOD_AGAIN | METHOD_WRITES_NODE, "name volumes"};
