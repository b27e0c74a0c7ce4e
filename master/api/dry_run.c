/* params.dryRun: the transaction is evaluated on a world on the tip, which is dropped again: everything is checked,
 * nothing is written, and the answer shows what would be.
 *
 * As in Kubernetes an object that would be created has its uid and creationTimestamp (others than the real write will
 * give) and no resourceVersion; one that would be changed keeps the resourceVersion it has. It is given when the tip's
 * word has been confirmed, as for any read. */
#include "master/api/write.h"
#include "master/master.h"
#include "raft-store/store/world.h"

/* No revision is shown that was never given. */
static void show_as_stored(struct write_item *item)
{
    if (item->object != NULL && !item->gone) {
        struct object *seen = item->object;
        item->object = object_with_revision(seen, item->before == NULL ? 0 : item->before->revision);
        object_unref(seen);
    }
}

static void confirmed(const struct error *error, void *data)
{
    struct write *w = data;
    struct txn_result r = {
        .revision = view_revision(store_committed(replica_store(w->call->m->replica))),
        .unchanged = w->unchanged,
    };
    write_answered(&r, error, w);
}

void write_dry_run(struct write *w, const struct txn *t)
{
    const struct master *m = w->call->m;
    const struct store *store = replica_store(m->replica);
    struct world *world = world_new(store_tip(store), m->env, store_level(store));
    world_bound_events(world, store_events_bytes_max(store));
    struct txn_result result;
    struct error err = {0};
    if (world_eval(world, t, &result, &err) != 0) {
        write_refuse(w, &err);
    } else {
        w->unchanged = result.unchanged;
        unsigned count;
        const struct change *changes = world_last_changes(world, &count);
        write_decided(changes, count, w);
        for (unsigned i = 0; i < w->count; i++) {
            show_as_stored(&w->items[i]);
        }
        replica_read(m->replica, confirmed, w);
    }
    world_free(world);
}
