#include "raft-store/store/bounds.h"

#include <assert.h>

#include "base/mem.h"
#include "proto/facts/cluster.h"
#include "proto/facts/limits.h"
#include "proto/facts/precondition.h"

static const struct kind *quotas(void)
{
    return kind_by_id(KIND_RESOURCEQUOTA);
}

static int forbidden(const struct object *o, const char *why, struct error *err)
{
    char name[PRECONDITION_NAME_SIZE];
    error_set(err, ERR_FORBIDDEN, "%s is forbidden: %s", precondition_name(o->kind, o->name, name), why);
    kind_error_about(err, o->kind, o->name);
    return ERR_FORBIDDEN;
}

/* ---- Pod security ---- */

/* The cluster's own pods are not held to what is said for all namespaces, but to what is said for theirs. */
#define EXEMPT_NAMESPACE "kube-system"

struct pod_security bounds_security(const struct view *v, struct str ns)
{
    struct pod_security common = {POD_SECURITY_PRIVILEGED, POD_SECURITY_PRIVILEGED, POD_SECURITY_PRIVILEGED};
    const struct object *n = view_get(v, kind_by_id(KIND_NAMESPACE), STR_NONE, ns);
    if (!str_is(ns, EXEMPT_NAMESPACE)) {
        common = cluster_pod_security(
            view_get(v, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)));
    }
    return pod_security_of(n == NULL ? (struct mp){0} : object_labels(n), common);
}

/* Nothing else that may change of a pod's spec has to do with its security. */
static bool runs_the_same(const struct object *o, const struct object *old)
{
    static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
    bool same = true;
    if (object_same_spec(o, old)) {
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        same = same && mp_equal(mp_get(object_spec(o), lists[i]), mp_get(object_spec(old), lists[i]));
    }
    return same;
}

int bounds_secure(const struct view *v, const struct object *o, const struct object *old, struct error *err)
{
    if (o->kind->id != KIND_POD || (old != NULL && runs_the_same(o, old))) {
        return 0;
    }
    enum pod_security_level level = bounds_security(v, o->ns).enforce;
    if (level == POD_SECURITY_PRIVILEGED) {
        return 0;
    }
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf found = BUF_INIT, why = BUF_INIT;
    arena_init(&a);
    pod_security_breaks(&found, object_to_value(&a, o), level);
    if (found.size == 0) {
        return 0;
    }
    buf_printf(&why, "violates PodSecurity \"%s:latest\": %s", pod_security_words[level], buf_cstr(&found));
    return forbidden(o, buf_cstr(&why), err);
}

/* ---- Limit ranges ---- */

/* A claim that is bound, or has other labels, asks for no more than before: a range that came later leaves it alone. */
static bool is_limited(const struct object *o, const struct object *old)
{
    if (o->kind->id == KIND_POD || old == NULL) {
        return old == NULL && (o->kind->id == KIND_POD || o->kind->id == KIND_PERSISTENTVOLUMECLAIM);
    }
    struct mp now = mp_path(object_spec(o), "resources.requests.storage");
    struct mp was = mp_path(object_spec(old), "resources.requests.storage");
    return o->kind->id == KIND_PERSISTENTVOLUMECLAIM && quantity_cmp(mp_str(now), mp_str(was)) != 0;
}

/* With the defaults of all ranges the pod is checked as a whole: they may not go together with what it says itself. */
static int fill(struct arena *a, const struct object *o, struct value *doc, unsigned level, struct object **out,
                struct error *err)
{
    struct value *meta = value_get(doc, "metadata");
    struct str stem = o->name; /* one that gets its name later stands here with its prefix, "web-" */
    while (stem.n > 1 && (stem.p[stem.n - 1] == '-' || stem.p[stem.n - 1] == '.')) {
        stem.n--;
    }
    value_set(a, meta, "name", value_str(a, stem));
    value_remove(value_get(doc, "status"), "qosClass");
    value_remove(meta, "resourceVersion");
    int rv = kind_check(o->kind, a, doc, NULL, KIND_CHECK_KEEP | KIND_CHECK_LEVEL(level), err);
    value_set(a, meta, "name", value_str(a, o->name));
    return rv != 0 ? rv : object_from_value(o->kind, doc, 0, out, err);
}

int bounds_limit(const struct view *v, const struct object *o, const struct object *old, unsigned level,
                 struct object **out, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_LIMITRANGE);
    *out = NULL;
    if (view_count(v, k) == 0 || !is_limited(o, old)) {
        return 0;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = NULL;
    bool filled = false;
    struct view_iter it;
    view_iter(&it, v, k, o->ns);
    VIEW_FOR(range, &it)
    {
        const struct value *r = object_to_value(&a, range);
        doc = doc != NULL ? doc : object_to_value(&a, o);
        filled = (o->kind->id == KIND_POD && limits_fill(&a, doc, r)) || filled;
    }
    int rv = filled ? fill(&a, o, doc, level, out, err) : 0;
    view_iter(&it, v, k, o->ns);
    VIEW_FOR(range, &it)
    {
        CLEANUP_BUF struct buf why = BUF_INIT;
        if (rv == 0) {
            limits_check(&why, &a, o->kind, doc, object_to_value(&a, range));
            rv = why.size > 0 ? forbidden(o, buf_cstr(&why), err) : 0;
        }
    }
    if (rv != 0) {
        object_unref_p(out);
    }
    return rv;
}

/* ---- Quotas ---- */

static void amounts_write(struct buf *out, const char *label, const struct quota_want *wants, unsigned count,
                          quota_amount (*amount)(const struct quota_want *w))
{
    buf_printf(out, ", %s: ", label);
    for (unsigned i = 0; i < count; i++) {
        const struct quota_resource *r = &wants[i].row->resource;
        char text[QUANTITY_SIZE];
        quota_amount_text(r, amount(&wants[i]), text);
        buf_printf(out, "%s%.*s=%s", i > 0 ? "," : "", STR_ARG(r->name), text);
    }
}

static quota_amount requested(const struct quota_want *w)
{
    return w->requested;
}
static quota_amount used(const struct quota_want *w)
{
    return w->row->used + w->used;
}
static quota_amount limited(const struct quota_want *w)
{
    return w->row->hard;
}

int bounds_exceeded(const struct quota *q, const struct object *o, const struct quota_want *wants, unsigned count,
                    struct error *err)
{
    CLEANUP_BUF struct buf why = BUF_INIT;
    assert(count > 0);
    buf_printf(&why, "exceeded quota: %.*s", STR_ARG(q->object->name));
    amounts_write(&why, "requested", wants, count, requested);
    amounts_write(&why, "used", wants, count, used);
    amounts_write(&why, "limited", wants, count, limited);
    return forbidden(o, buf_cstr(&why), err);
}

int bounds_unknown(const struct quota *q, const struct object *o, struct error *err)
{
    CLEANUP_BUF struct buf why = BUF_INIT;
    unsigned n = 0;
    buf_printf(&why, "status unknown for quota: %.*s, resources: ", STR_ARG(q->object->name));
    for (unsigned i = 0; i < q->count; i++) {
        if (q->rows[i].resource.kind == o->kind) {
            buf_printf(&why, "%s%.*s", n++ > 0 ? "," : "", STR_ARG(q->rows[i].resource.name));
        }
    }
    return forbidden(o, buf_cstr(&why), err);
}

int bounds_said(const struct quota *q, const struct object *pod, struct error *err)
{
    CLEANUP_BUF struct buf unsaid = BUF_INIT, why = BUF_INIT;
    quota_unsaid(&unsaid, q, pod);
    if (unsaid.size == 0) {
        return 0;
    }
    buf_printf(&why, "failed quota: %.*s: must specify %s", STR_ARG(q->object->name), buf_cstr(&unsaid));
    return forbidden(pod, buf_cstr(&why), err);
}

/* Below `wanted`: err says why. */
static unsigned room_in(const struct quota *q, const struct object *o, unsigned wanted, struct error *err)
{
    struct quota_want wants[QUOTA_RESOURCES_MAX];
    unsigned room = wanted, count = 0;
    bool counts = false;
    if (!quota_matches(q, o)) {
        return wanted;
    }
    if (o->kind->id == KIND_POD && bounds_said(q, o, err) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < q->count; i++) {
        quota_amount one = quota_usage(&q->rows[i].resource, o), left = q->rows[i].hard - q->rows[i].used;
        counts = counts || one > 0;
        if (one > 0 && one * room > left) {
            room = left < one ? 0 : (unsigned)(left / one);
        }
    }
    if (counts && (!q->known || q->counting)) {
        bounds_unknown(q, o, err);
        return 0;
    }
    for (unsigned i = 0; i < q->count; i++) {
        quota_amount one = quota_usage(&q->rows[i].resource, o);
        if (one > 0 && q->rows[i].used + one * (room + 1) > q->rows[i].hard) {
            wants[count++] = (struct quota_want){&q->rows[i], one, one * room};
        }
    }
    if (room < wanted) {
        bounds_exceeded(q, o, wants, count, err);
    }
    return room;
}

bool bounds_any(const struct view *v, const struct kind *k, struct str ns)
{
    return view_count(v, quotas()) > 0 || view_count(v, kind_by_id(KIND_LIMITRANGE)) > 0 ||
           (k->id == KIND_POD && bounds_security(v, ns).enforce != POD_SECURITY_PRIVILEGED);
}

unsigned bounds_room(const struct view *v, const struct object *o, unsigned wanted, struct error *err)
{
    CLEANUP_OBJECT struct object *filled = NULL;
    if (bounds_secure(v, o, NULL, err) != 0 || bounds_limit(v, o, NULL, UINT16_MAX, &filled, err) != 0) {
        return 0;
    }
    o = filled != NULL ? filled : o;
    if (view_count(v, quotas()) == 0) {
        return wanted;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct view_iter it;
    unsigned room = wanted;
    view_iter(&it, v, quotas(), o->ns);
    VIEW_FOR(object, &it)
    {
        struct quota q;
        quota_read(&q, &a, object, object);
        room = room_in(&q, o, room, err);
    }
    return room;
}
