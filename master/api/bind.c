/* bind: a pod is given its node. The scheduler's own bindings are transactions of scheduler/binding.c; this is for
 * others that place pods. Whether the node is there and has room is for who binds to know, as in Kubernetes: a node's
 * agent refuses what does not fit. Source: Kubernetes core/v1 Binding. */
#include "master/api/write.h"
#include "master/master.h"
#include "proto/facts/condition.h"
#include "proto/facts/precondition.h"

static int check(const struct api_bind *q, const struct object *pod, struct error *err)
{
    struct str node = mp_str(mp_get(object_spec(pod), "nodeName"));
    int rv = precondition_check(pod, q->uid, 0, err);
    if (rv == 0 && pod->deleting) {
        rv =
            error_set(err, ERR_CONFLICT, "pod %.*s is being deleted, cannot be assigned to a host", STR_ARG(pod->name));
    }
    if (rv == 0 && node.n > 0) {
        rv = error_set(err, ERR_CONFLICT, "pod %.*s is already assigned to node \"%.*s\"", STR_ARG(pod->name),
                       STR_ARG(node));
    }
    if (rv == 0 && mp_count(mp_get(object_spec(pod), "schedulingGates")) > 0) {
        rv = error_set(err, ERR_CONFLICT, "pod %.*s has non-empty .spec.schedulingGates", STR_ARG(pod->name));
    }
    return rv;
}

static int bind_to(struct api_call *c, const struct api_bind *q, const struct object *pod, struct txn *t,
                   struct error *err)
{
    int rv = check(q, pod, err);
    if (rv != 0) {
        return rv;
    }
    struct value *doc = object_to_value(c->arena, pod), *status = value_ensure_map(c->arena, doc, "status");
    value_set(c->arena, value_ensure_map(c->arena, doc, "spec"), "nodeName", value_str(c->arena, q->node));
    value_remove(status, "nominatedNodeName");
    condition_set(c->arena, status, "PodScheduled", "True", "", "", env_wall_ms(c->m->env), false);
    return txn_update_value(t, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
}

static int check_node(struct str node, struct error *err)
{
    if (name_is_dns_subdomain(node)) {
        return 0;
    }
    bool none = node.n == 0;
    const char *why = none ? "Required value: the node" : "Invalid value: must be the name of a node";
    error_set_field(err, ERR_INVALID, "target.name", "target.name: %s", why);
    error_add_cause(err, none ? ERROR_CAUSE_REQUIRED : ERROR_CAUSE_INVALID, STR("target.name"), str_of(why));
    return ERR_INVALID;
}

static void decide(struct api_call *c, const void *request, const struct object *pod, struct txn *t, struct error *err)
{
    const struct api_bind *q = request;
    if (check_node(q->node, err) != 0) {
        return;
    }
    if (pod == NULL) {
        error_not_found(err, kind_by_id(KIND_POD), q->name);
        return;
    }
    bind_to(c, q, pod, t, err);
}

void verb_bind(struct api_call *c, const struct api_bind *q)
{
    const struct api_target of = {kind_by_id(KIND_POD), q->ns, q->name};
    write_of_one(c, API_BIND, &q->how, &of, decide, q);
}
