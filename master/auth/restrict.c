#include "master/auth/restrict.h"

#include "base/mem.h"
#include "proto/facts/event.h"
#include "proto/schema/kind.h"

#define HOSTNAME_LABEL "kubernetes.io/hostname"
#define COMPONENT      "reeve-agent"

/* They tell what the machine is. Everything else that pods are placed or kept apart by is the administrators' to say
 * (rctl label node). */
static const char *const own_labels[] = {
    "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/os", HOSTNAME_LABEL,
};

static bool is_own(struct str key)
{
    for (size_t i = 0; i < ARRAY_SIZE(own_labels); i++) {
        if (str_is(key, own_labels[i])) {
            return true;
        }
    }
    return false;
}

int restrict_labels(struct arena *a, struct str node, struct value *doc, struct error *err)
{
    struct value *labels = value_path(doc, "metadata.labels");
    if (labels != NULL && !value_is_null(labels) && !value_is_map(labels)) {
        return 0; /* its type is refused where all types are */
    }
    for (unsigned i = 0; i < value_count(labels); i++) {
        struct str key = labels->map.members[i].key;
        if (!is_own(key)) {
            return error_set_field(
                err, ERR_FORBIDDEN, "metadata.labels",
                "node \"%.*s\" may not set the label %.*s on itself; an administrator can: rctl label "
                "node %.*s %.*s=...",
                STR_ARG(node), STR_ARG(key), STR_ARG(node), STR_ARG(key));
        }
    }
    struct value *metadata = value_ensure_map(a, doc, "metadata");
    value_set_str_key(a, value_ensure_map(a, metadata, "labels"), STR(HOSTNAME_LABEL), value_str(a, node));
    return 0;
}

/* ---- Events ---- */

static bool is_about_own(const struct restrict_known *k, struct str node, const struct value *about)
{
    struct str kind = value_path_str(about, "kind"), name = value_path_str(about, "name");
    struct str ns = value_path_str(about, "namespace");
    if (str_is(kind, "Node")) {
        return str_eq(name, node);
    }
    if (!str_is(kind, "Pod")) {
        return false;
    }
    /* A pod of this name that is there is the node's own, or somebody else's. One that is gone is told of by who ran
     * it, for a while; until its deletion is committed it is not gone. */
    const struct object *pod = view_get(store_tip(k->store), kind_by_id(KIND_POD), ns, name);
    pod = pod != NULL ? pod : view_get(store_committed(k->store), kind_by_id(KIND_POD), ns, name);
    return pod != NULL ? str_eq(mp_str(mp_path(object_mp(pod), "spec.nodeName")), node)
                       : departed_was_on(k->departed, node, ns, name, k->now_ms);
}

/* What a kernel does not take of a Service only its node can say. */
static bool is_about_balancing(const struct restrict_known *k, const struct value *doc, const struct value *about)
{
    if (!str_is(value_path_str(about, "kind"), "Service") || !str_is(value_path_str(doc, "type"), "Warning") ||
        !str_is(value_path_str(doc, "reason"), EVENT_REASON_NOT_BALANCED)) {
        return false;
    }
    const struct object *service = view_get(store_tip(k->store), kind_by_id(KIND_SERVICE),
                                            value_path_str(about, "namespace"), value_path_str(about, "name"));
    return service != NULL && str_eq(value_path_str(about, "uid"), service->uid);
}

/* At most so many bytes, and no piece of a character at the end. */
static struct str cut(struct str s, size_t max)
{
    if (s.n > max) {
        s.n = max;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80) {
            s.n--;
        }
    }
    return s;
}

int restrict_event(struct arena *a, const struct restrict_known *known, struct str node, struct value *doc,
                   size_t bytes, struct error *err)
{
    struct str message = value_path_str(doc, "message");
    if (bytes - message.n > RESTRICT_EVENT_BYTES) {
        return error_set(err, ERR_LIMIT, "it has %zu bytes beside its message; at most %u are taken", bytes - message.n,
                         RESTRICT_EVENT_BYTES);
    }
    const struct value *about = value_get(doc, "involvedObject");
    if (!is_about_own(known, node, about) && !is_about_balancing(known, doc, about)) {
        struct str kind = value_path_str(about, "kind"), name = value_path_str(about, "name");
        return error_set_field(err, ERR_FORBIDDEN, "involvedObject",
                               "node \"%.*s\" may tell events about itself and its own pods, not about %.*s %.*s",
                               STR_ARG(node), (int)MIN(kind.n, (size_t)64), kind.p == NULL ? "" : kind.p,
                               (int)MIN(name.n, (size_t)NAME_KEY_MAX), name.p == NULL ? "" : name.p);
    }
    struct value *source = value_map(a);
    value_set(a, source, "component", value_cstr(a, COMPONENT));
    value_set(a, source, "host", value_str(a, node));
    value_set(a, doc, "source", source);
    value_set(a, doc, "reportingComponent", value_cstr(a, COMPONENT));
    value_set(a, doc, "reportingInstance", value_str(a, node));
    if (message.n > RESTRICT_EVENT_MESSAGE) {
        struct str head = cut(message, RESTRICT_EVENT_MESSAGE - 3);
        value_set(a, doc, "message", value_strf(a, "%.*s...", STR_ARG(head)));
    }
    return 0;
}
