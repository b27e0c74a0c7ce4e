/* Pod address ranges: every node gets the lowest free /24 of 10.244.0.0/16. Source: Kubernetes node IPAM (range allocator).
 *
 * One key for all nodes: one pass reads what is taken and serves whoever has none. */
#include <assert.h>
#include <stdio.h>

#include "controllers/registry.h"
#include "controllers/util.h"

#define RANGES_MAX 256u /* 10.244.0.0/24 to 10.244.255.0/24 */

static struct str cidr_of(const struct object *node)
{
    return mp_str(mp_path(object_mp(node), "spec.podCIDR"));
}

/* The third octet of a range that is ours; -1 for others. */
static int range_number(struct str cidr)
{
    static const char prefix[] = "10.244.", suffix[] = ".0/24";
    int64_t n;
    size_t around = sizeof prefix - 1 + sizeof suffix - 1;
    if (cidr.n <= around || !str_starts(cidr, str_of(prefix)) || !str_ends(cidr, str_of(suffix)) ||
        !str_to_int64((struct str){cidr.p + sizeof prefix - 1, cidr.n - around}, &n) || n < 0 || n >= RANGES_MAX) {
        return -1;
    }
    return (int)n;
}

static int range_give(const struct reconcile_in *in, struct reconcile_out *out, const struct object *node,
                      unsigned range, struct error *err)
{
    (void)in;
    struct arena *a = out->arena;
    struct value *doc = object_to_value(a, node), *spec = value_ensure_map(a, doc, "spec"), *list = value_list(a);
    struct value *cidr = value_strf(a, "10.244.%u.0/24", range);
    value_append(a, list, value_copy(a, cidr));
    value_set(a, spec, "podCIDR", cidr);
    value_set(a, spec, "podCIDRs", list);
    return txn_update_value(out->txn, node->kind, doc, TXN_PART_ALL, node->revision, err);
}

static int ipam_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    bool taken[RANGES_MAX] = {false};
    struct object_list without = {0};
    struct view_iter it;
    view_iter(&it, in->view, kind_of(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        int range = range_number(cidr_of(node));
        if (range >= 0) {
            taken[range] = true;
        } else if (str_empty(cidr_of(node)) && !node->deleting) {
            object_list_add(out->arena, &without, node);
        }
    }
    unsigned range = 0;
    for (unsigned i = 0; i < without.count; i++) {
        while (range < RANGES_MAX && taken[range]) {
            range++;
        }
        if (range == RANGES_MAX) {
            reconcile_note(out, "no range is free for %u nodes", without.count - i);
            controller_event(out, in, without.items[i], "Warning", "CIDRNotAvailable", "cidr-allocator",
                             "Node %.*s status is now: CIDRNotAvailable (all %u ranges of 10.244.0.0/16 are taken)",
                             STR_ARG(without.items[i]->name), RANGES_MAX);
            return 0;
        }
        int rv = range_give(in, out, without.items[i], range++, err);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static void map_node(const struct view *tip, const struct object *old, const struct object *new, controller_emit *emit,
                     void *data)
{
    (void)tip;
    if (new == NULL || (old == NULL && str_empty(cidr_of(new)))) {
        const struct object *o = new != NULL ? new : old;
        emit(data, o->kind, STR_NONE, STR_NONE);
    }
}

static const struct controller_watch watches[] = {{KIND_NODE, map_node}, {0, NULL}};
const struct controller controller_node_ipam = {"node-ipam", watches, ipam_reconcile, NULL};
