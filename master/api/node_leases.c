#include "master/api/node_leases.h"

#include <string.h>

#include "base/timefmt.h"
#include "master/master.h"
#include "proto/facts/condition.h"

#define TIME_BYTES (sizeof "2026-01-02T03:04:05Z" - 1)
#define WHY        "leases of nodes are made of the heartbeats that masters hear, and are not stored"

/* ---- One ---- */

/* As far from the Node's as a number of 128 bits is from another one, and always the same: half of the digits are
 * turned over. Nobody may take a Lease for its Node. */
static struct value *uid_of(struct arena *a, const struct object *node)
{
    char *text = arena_strndup(a, node->uid.p, node->uid.n);
    for (char *p = text; *p != '\0'; p++) {
        static const char from[] = "0123456789abcdef", to[] = "fedcba9876543210";
        const char *digit = strchr(from, *p);
        bool turned = p - text < 8 || p - text > 23; /* neither version nor variant */
        *p = digit != NULL && turned ? to[digit - from] : *p;
    }
    return value_cstr(a, text);
}

/* When it was last heard of, in whole seconds: a list that is walked twice, to know how long it is in protobuf, is as
 * long the second time. */
static struct value *renewed(const struct master *m, struct arena *a, const struct object *node)
{
    int64_t age_ms;
    struct str told = mp_str(mp_get(condition_mp(node, "Ready"), "lastHeartbeatTime"));
    char text[TIMEFMT_SIZE];
    if (m->core != NULL && core_last_heard(m->core, node->name, &age_ms)) {
        timefmt_rfc3339(env_wall_ms(m->env) - age_ms, text);
        told = str_of(text);
    } else if (told.n != TIME_BYTES) {
        told = mp_str(mp_path(object_mp(node), "metadata.creationTimestamp"));
    }
    return told.n == TIME_BYTES ? value_strf(a, "%.*s.000000Z", (int)told.n - 1, told.p) : NULL;
}

static struct object *make(const struct master *m, const struct object *node)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_id(KIND_LEASE);
    struct value *doc = value_map(&a), *metadata = value_ensure_map(&a, doc, "metadata"), *owner = value_map(&a);
    struct value *spec = value_ensure_map(&a, doc, "spec"), *renew = renewed(m, &a, node);
    struct object *o = NULL;
    value_set(&a, doc, "apiVersion", value_cstr(&a, k->api_version));
    value_set(&a, doc, "kind", value_cstr(&a, k->name));
    value_set(&a, metadata, "name", value_str(&a, node->name));
    value_set(&a, metadata, "namespace", value_cstr(&a, NODE_LEASE_NS));
    value_set(&a, metadata, "uid", uid_of(&a, node));
    value_set(&a, metadata, "creationTimestamp",
              value_str(&a, mp_str(mp_path(object_mp(node), "metadata.creationTimestamp"))));
    value_set(&a, owner, "apiVersion", value_cstr(&a, node->kind->api_version));
    value_set(&a, owner, "kind", value_cstr(&a, node->kind->name));
    value_set(&a, owner, "name", value_str(&a, node->name));
    value_set(&a, owner, "uid", value_str(&a, node->uid));
    value_append(&a, value_ensure_list(&a, metadata, "ownerReferences"), owner);
    value_set(&a, spec, "holderIdentity", value_str(&a, node->name));
    value_set(&a, spec, "leaseDurationSeconds", value_int(&a, NODE_LEASE_SECONDS));
    if (renew != NULL) {
        value_set(&a, spec, "renewTime", renew);
    }
    bool well = kind_check_fields(k, &a, doc, 0, NULL) == 0 && object_from_value(k, doc, node->revision, &o, NULL) == 0;
    return well ? o : NULL;
}

struct object *node_lease_get(const struct master *m, const struct view *v, struct str name)
{
    const struct object *node = view_get(v, kind_by_id(KIND_NODE), STR_NONE, name);
    return node == NULL ? NULL : make(m, node);
}

/* ---- All ---- */

struct node_leases *node_leases_new(struct arena *a, const struct view *v, struct str after)
{
    struct node_leases *l = arena_alloc(a, sizeof *l);
    *l = (struct node_leases){0};
    view_iter_after(&l->nodes, v, kind_by_id(KIND_NODE), STR_NONE, STR_NONE, after);
    l->start = l->nodes;
    return l;
}

const struct object *node_leases_next(struct node_leases *l, const struct master *m, struct view_iter *stored)
{
    if (!l->begun) {
        l->begun = true;
        l->stored = view_next(stored);
        l->node = view_next(&l->nodes);
    }
    object_unref(TAKE_PTR(l->made));
    const struct object *one = l->stored, *node = l->node;
    int order = node == NULL ? -1 : one == NULL ? 1 : str_cmp(one->name, node->name);
    if (one == NULL && node == NULL) {
        return NULL;
    }
    l->node = order >= 0 ? view_next(&l->nodes) : node;
    if (order <= 0) {
        l->stored = view_next(stored);
        return one;
    }
    l->made = make(m, node);
    return l->made;
}

void node_leases_again(struct node_leases *l)
{
    l->nodes = l->start;
    l->begun = false;
}

void node_leases_close(struct node_leases *l)
{
    if (l != NULL) {
        object_unref(TAKE_PTR(l->made));
    }
}

/* ---- Who would write them ---- */

bool node_lease_refused(struct api_call *c, const struct api_request *q)
{
    const struct api_target *of = q->verb == API_PATCH ? &q->patch.of : q->verb == API_DELETE ? &q->delete.of : NULL;
    if (of == NULL || !node_lease_in(of->kind, of->ns) ||
        view_get(store_tip(replica_store(c->m->replica)), of->kind, of->ns, of->name) != NULL) {
        return false;
    }
    api_fail(c, ERR_FORBIDDEN, "leases.coordination.k8s.io \"%.*s\" is forbidden: " WHY, STR_ARG(of->name));
    return true;
}
