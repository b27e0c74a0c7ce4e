/* ClusterRoles that are made of others (aggregationRule): their rules are those of all ClusterRoles with the labels
 * that they ask for, in the order of names. Whatever somebody writes into them is replaced. Source: Kubernetes'
 * clusterroleaggregation. */
#include "controllers/registry.h"
#include "controllers/util.h"

static void add_rules(struct arena *a, struct value *rules, const struct object *role)
{
    const struct value *own = value_get(object_to_value(a, role), "rules");
    VALUE_FOR(i, own)
    {
        const struct value *rule = value_item(own, i);
        bool found = false;
        VALUE_FOR(k, rules)
        {
            found = found || value_equal(value_item(rules, k), rule);
        }
        if (!found) {
            value_append(a, rules, value_copy(a, rule));
        }
    }
}

/* One that it is made of itself would go round in a circle. */
static int gather(const struct reconcile_in *in, struct reconcile_out *out, const struct object *role,
                  struct mp selector, struct value *rules, unsigned *visits, struct error *err)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct view_iter it;
    struct selector *labels;
    struct str name, value;
    int rv = selector_from_mp(out->arena, selector, &labels, err);
    if (rv != 0) {
        return rv;
    }
    if (selector_pair(labels, 0, &name, &value)) {
        index_label_key(&key, STR_NONE, name, value);
        view_iter_index(&it, in->view, VIEW_BY_ROLE, buf_str(&key), role->kind, STR_NONE);
    } else {
        view_iter(&it, in->view, role->kind, STR_NONE);
    }
    VIEW_FOR(o, &it)
    {
        if (++*visits > RECONCILE_VISITS_MAX) {
            return error_set(err, ERR_TOO_LARGE, "ClusterRole \"%.*s\": more than %u roles have such labels",
                             STR_ARG(role->name), RECONCILE_VISITS_MAX);
        }
        if (o != role && !o->deleting && selector_matches_object(labels, o)) {
            add_rules(out->arena, rules, o);
        }
    }
    return 0;
}

static int roles_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct arena *a = out->arena;
    const struct object *role = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    struct mp made = role == NULL ? mp_of(NULL, 0) : mp_get(object_mp(role), "aggregationRule");
    unsigned visits = 0;
    int rv = 0;
    if (role == NULL || role->deleting || mp_type(made) != MP_MAP) {
        return 0;
    }
    struct value *rules = value_list(a);
    for (struct mp_iter it = mp_iter(mp_get(made, "clusterRoleSelectors")); rv == 0 && mp_next(&it);) {
        rv = gather(in, out, role, it.value, rules, &visits, err);
    }
    struct value *doc = rv != 0 ? NULL : object_to_value(a, role), *had = value_get(doc, "rules");
    if (rv != 0 || value_equal(had, rules) || value_count(had) + value_count(rules) == 0) {
        return rv;
    }
    DECIDED(out, REASON_GATHERS_RULES, .count = value_count(rules));
    value_set(a, doc, "rules", rules);
    return txn_update_value(out->txn, role->kind, doc, TXN_PART_ALL, role->revision, err);
}

/* Whatever changes of a role with labels may be a part of any of them. */
static void map_role(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                     void *data)
{
    struct view_iter it;
    bool labels =
        (old != NULL && mp_count(object_labels(old)) > 0) || (now != NULL && mp_count(object_labels(now)) > 0);
    if (now != NULL) {
        emit(data, now->kind, now->ns, now->name);
    }
    view_iter_index(&it, tip, VIEW_BY_ROLE, STR(INDEX_ROLE_GATHERS), kind_of(KIND_CLUSTERROLE), STR_NONE);
    for (const struct object *o; labels && (o = view_next(&it)) != NULL;) {
        emit(data, o->kind, o->ns, o->name);
    }
}

static const struct controller_watch watches[] = {{KIND_CLUSTERROLE, map_role}, {0, NULL}};
const struct controller controller_roles = {.name = "roles", .watches = watches, .reconcile = roles_reconcile};
