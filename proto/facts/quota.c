#include "proto/facts/quota.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proto/facts/pod_state.h"

#define AMOUNT_MAX ((quota_amount)1 << 62) /* whole ones */

quota_amount quota_amount_of(struct str quantity)
{
    int64_t n;
    if (quantity_milli(quantity, &n)) {
        return n;
    }
    if (quantity_units(quantity, &n)) {
        return (quota_amount)n * 1000;
    }
    return quantity_valid(quantity) ? AMOUNT_MAX * 1000 : 0;
}

static quota_amount amount_mp(struct mp v)
{
    int64_t n;
    struct str s = mp_str(v);
    return s.n > 0 ? quota_amount_of(s) : mp_read_int(&v, &n) ? (quota_amount)n * 1000 : 0;
}

/* ---- Names ---- */

#define OF_CLASS ".storageclass.storage.k8s.io/"

static struct str behind(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

/* "deployments.apps", "pods" */
static const struct kind *kind_counted(struct str s)
{
    const char *dot = s.n == 0 ? NULL : memchr(s.p, '.', s.n);
    struct str plural = {s.p, dot == NULL ? s.n : (size_t)(dot - s.p)};
    struct str group = dot == NULL ? STR_NONE : behind(s, plural.n + 1);
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if (k->namespaced && !k->unowned && str_is(plural, k->plural) && str_eq(group, kind_group(k))) {
            return k;
        }
    }
    return NULL;
}

static bool read_compute(struct str name, struct quota_resource *out)
{
    bool limits = str_starts(name, STR("limits.")), requests = str_starts(name, STR("requests."));
    struct str of = limits ? behind(name, 7) : requests ? behind(name, 9) : name;
    bool plain = str_is(of, "cpu") || str_is(of, "memory") || str_is(of, "ephemeral-storage") ||
                 str_starts(of, STR("hugepages-"));
    bool device = requests && of.n > 0 && memchr(of.p, '/', of.n) != NULL;
    if (!plain && !device) {
        return false;
    }
    out->what = limits ? QUOTA_LIMITS : QUOTA_REQUESTS;
    out->kind = kind_by_id(KIND_POD);
    out->of = of;
    return true;
}

static bool read_storage(struct str name, struct quota_resource *out)
{
    const char *at = name.n == 0 ? NULL : memmem(name.p, name.n, OF_CLASS, strlen(OF_CLASS));
    struct str what = at == NULL ? name : behind(name, (size_t)(at - name.p) + strlen(OF_CLASS));
    out->kind = kind_by_id(KIND_PERSISTENTVOLUMECLAIM);
    out->of = at == NULL ? STR_NONE : (struct str){name.p, (size_t)(at - name.p)};
    out->what = str_is(what, "requests.storage") || (at == NULL && str_is(what, "storage")) ? QUOTA_STORAGE
                : at != NULL && str_is(what, "persistentvolumeclaims")                      ? QUOTA_CLAIMS
                                                                                            : QUOTA_NOTHING;
    return out->what != QUOTA_NOTHING;
}

void quota_resource_read(struct str name, struct quota_resource *out)
{
    static const char *const plain[] = {
        "services", "configmaps", "secrets", "persistentvolumeclaims", "resourcequotas", "replicationcontrollers"};
    *out = (struct quota_resource){.name = name};
    if (str_starts(name, STR("count/"))) {
        out->kind = kind_counted(behind(name, 6));
        out->what = out->kind != NULL ? QUOTA_OBJECTS : QUOTA_NOTHING;
        return;
    }
    if (str_is(name, "pods")) {
        out->what = QUOTA_PODS;
        out->kind = kind_by_id(KIND_POD);
        return;
    }
    if (str_is(name, "services.nodeports") || str_is(name, "services.loadbalancers")) {
        out->what = str_is(name, "services.nodeports") ? QUOTA_NODE_PORTS : QUOTA_BALANCERS;
        out->kind = kind_by_id(KIND_SERVICE);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++) {
        if (str_is(name, plain[i])) {
            out->kind = kind_counted(name);
            out->what = out->kind != NULL ? QUOTA_OBJECTS : QUOTA_NOTHING;
            return;
        }
    }
    if (!read_compute(name, out) && !read_storage(name, out)) {
        *out = (struct quota_resource){.name = name};
    }
}

void quota_amount_text(const struct quota_resource *r, quota_amount n, char out[QUANTITY_SIZE])
{
    bool compute = r->what == QUOTA_REQUESTS || r->what == QUOTA_LIMITS;
    bool bytes =
        r->what == QUOTA_STORAGE || (compute && (str_is(r->of, "memory") || str_is(r->of, "ephemeral-storage") ||
                                                 str_starts(r->of, STR("hugepages-"))));
    n = MIN(n, AMOUNT_MAX * 1000);
    if (n > INT64_MAX || (bytes && n % 1000 == 0)) {
        quantity_format_bytes((int64_t)((n + 999) / 1000), out);
    } else {
        quantity_format_milli((int64_t)n, out);
    }
}

/* ---- What pods use ---- */

static quota_amount container_amount(struct mp container, const char *which, struct str name)
{
    return amount_mp(mp_get_str_key(mp_get(mp_get(container, "resources"), which), name));
}

static bool is_sidecar(struct mp container)
{
    return str_is(mp_str(mp_get(container, "restartPolicy")), "Always");
}

/* Source: Kubernetes' PodRequests, PodLimits: those that run at the same time count together: the containers with the
 * sidecars, or an init container with the sidecars before it. */
static quota_amount pod_amount(struct mp spec, const char *which, struct str name)
{
    quota_amount sum = 0, most = 0;
    for (struct mp_iter it = mp_iter(mp_get(spec, "initContainers")); mp_next(&it);) {
        quota_amount n = container_amount(it.value, which, name);
        most = MAX(most, sum + n);
        sum += is_sidecar(it.value) ? n : 0;
    }
    for (struct mp_iter it = mp_iter(mp_get(spec, "containers")); mp_next(&it);) {
        sum += container_amount(it.value, which, name);
    }
    struct mp whole = mp_get_str_key(mp_get(mp_get(spec, "resources"), which), name);
    quota_amount n = mp_type(whole) != MP_NONE ? amount_mp(whole) : MAX(sum, most);
    bool bounded = str_is(str_of(which), "requests") || n > 0;
    return bounded ? n + amount_mp(mp_get_str_key(mp_get(spec, "overhead"), name)) : 0;
}

static quota_amount service_amount(struct mp spec, enum quota_what what)
{
    struct str type = mp_str(mp_get(spec, "type"));
    bool balancer = str_is(type, "LoadBalancer");
    quota_amount n = 0;
    if (what == QUOTA_BALANCERS) {
        return balancer ? 1000 : 0;
    }
    if (!balancer && !str_is(type, "NodePort")) {
        return 0;
    }
    bool all = !balancer || mp_bool(mp_get(spec, "allocateLoadBalancerNodePorts"), true);
    for (struct mp_iter it = mp_iter(mp_get(spec, "ports")); mp_next(&it);) {
        n += all || mp_int(mp_get(it.value, "nodePort"), 0) != 0 ? 1000 : 0;
    }
    return n;
}

static bool is_of_class(const struct object *claim, struct str class)
{
    struct str annotated = object_annotation(claim, "volume.beta.kubernetes.io/storage-class");
    struct str own = annotated.n > 0 ? annotated : mp_str(mp_get(object_spec(claim), "storageClassName"));
    return str_empty(class) || str_eq(class, own);
}

quota_amount quota_usage(const struct quota_resource *r, const struct object *o)
{
    if (o == NULL || r->kind != o->kind) {
        return 0;
    }
    struct mp spec = object_spec(o);
    switch (r->what) {
    case QUOTA_OBJECTS:
        return 1000;
    case QUOTA_PODS:
        return pod_finished(o) ? 0 : 1000;
    case QUOTA_REQUESTS:
        return pod_finished(o) ? 0 : pod_amount(spec, "requests", r->of);
    case QUOTA_LIMITS:
        return pod_finished(o) ? 0 : pod_amount(spec, "limits", r->of);
    case QUOTA_NODE_PORTS:
    case QUOTA_BALANCERS:
        return service_amount(spec, r->what);
    case QUOTA_STORAGE:
        return is_of_class(o, r->of) ? amount_mp(mp_path(spec, "resources.requests.storage")) : 0;
    case QUOTA_CLAIMS:
        return is_of_class(o, r->of) ? 1000 : 0;
    case QUOTA_NOTHING:
        break;
    }
    return 0;
}

/* ---- Scopes ---- */

/* Of a container, or of a pod as a whole. */
static bool asks_for_nothing(struct mp whose)
{
    static const char *const which[] = {"requests", "limits"}, *const names[] = {"cpu", "memory"};
    for (unsigned i = 0; i < 4; i++) {
        if (container_amount(whose, which[i / 2], str_of(names[i % 2])) > 0) {
            return false;
        }
    }
    return true;
}

static bool is_best_effort(struct mp spec)
{
    static const char *const lists[] = {"initContainers", "containers"};
    bool nothing = asks_for_nothing(spec);
    for (unsigned k = 0; nothing && k < ARRAY_SIZE(lists); k++) {
        for (struct mp_iter it = mp_iter(mp_get(spec, lists[k])); nothing && mp_next(&it);) {
            nothing = asks_for_nothing(it.value);
        }
    }
    return nothing;
}

static bool term_crosses(struct mp term)
{
    return mp_count(mp_get(term, "namespaces")) > 0 || mp_type(mp_get(term, "namespaceSelector")) == MP_MAP;
}

static bool crosses_namespaces(struct mp spec)
{
    static const char *const which[] = {"podAffinity", "podAntiAffinity"};
    for (unsigned i = 0; i < ARRAY_SIZE(which); i++) {
        struct mp affinity = mp_get(mp_get(spec, "affinity"), which[i]);
        struct mp required = mp_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
        struct mp preferred = mp_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
        for (struct mp_iter it = mp_iter(required); mp_next(&it);) {
            if (term_crosses(it.value)) {
                return true;
            }
        }
        for (struct mp_iter it = mp_iter(preferred); mp_next(&it);) {
            if (term_crosses(mp_get(it.value, "podAffinityTerm"))) {
                return true;
            }
        }
    }
    return false;
}

static bool is_among(struct str s, struct mp list)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (str_eq(mp_str(it.value), s)) {
            return true;
        }
    }
    return false;
}

/* "NotIn matches what has none, too", as with labels. */
static bool priority_matches(struct str class, struct str operation, struct mp values)
{
    if (str_is(operation, "In")) {
        return class.n > 0 && is_among(class, values);
    }
    if (str_is(operation, "NotIn")) {
        return class.n == 0 || !is_among(class, values);
    }
    return str_is(operation, "DoesNotExist") ? class.n == 0 : class.n > 0;
}

static bool scope_matches(struct mp spec, struct str scope, struct str operation, struct mp values)
{
    bool ends = mp_type(mp_get(spec, "activeDeadlineSeconds")) == MP_INT;
    if (str_is(scope, "Terminating") || str_is(scope, "NotTerminating")) {
        return ends == str_is(scope, "Terminating");
    }
    if (str_is(scope, "BestEffort") || str_is(scope, "NotBestEffort")) {
        return is_best_effort(spec) == str_is(scope, "BestEffort");
    }
    if (str_is(scope, "CrossNamespacePodAffinity")) {
        return crosses_namespaces(spec);
    }
    return str_is(scope, "PriorityClass") &&
           priority_matches(mp_str(mp_get(spec, "priorityClassName")), operation, values);
}

bool quota_scoped(const struct quota *q)
{
    return mp_count(q->scopes) > 0 || mp_count(q->expressions) > 0;
}

bool quota_matches(const struct quota *q, const struct object *o)
{
    if (!quota_scoped(q)) {
        return true;
    }
    if (o->kind->id != KIND_POD) {
        return false;
    }
    struct mp spec = object_spec(o), none = mp_of(NULL, 0);
    for (struct mp_iter it = mp_iter(q->scopes); mp_next(&it);) {
        if (!scope_matches(spec, mp_str(it.value), STR("Exists"), none)) {
            return false;
        }
    }
    for (struct mp_iter it = mp_iter(q->expressions); mp_next(&it);) {
        struct str scope = mp_str(mp_get(it.value, "scopeName")), operation = mp_str(mp_get(it.value, "operator"));
        if (!scope_matches(spec, scope, operation, mp_get(it.value, "values"))) {
            return false;
        }
    }
    return true;
}

quota_amount quota_row_usage(const struct quota *q, const struct quota_row *row, const struct object *o)
{
    return o != NULL && row->resource.kind == o->kind && quota_matches(q, o) ? quota_usage(&row->resource, o) : 0;
}

/* ---- A quota ---- */

static int row_cmp(const void *pa, const void *pb)
{
    return str_cmp(((const struct quota_row *)pa)->resource.name, ((const struct quota_row *)pb)->resource.name);
}

static bool same_bytes(struct mp a, struct mp b)
{
    size_t n = (size_t)(a.end - a.p);
    return n == (size_t)(b.end - b.p) && (n == 0 || memcmp(a.p, b.p, n) == 0);
}

/* What scopes and amounts look at; the scheduler changes none of it. */
static bool same_pod(const struct object *old, const struct object *now)
{
    static const char *const fields[] = {"containers", "initContainers",        "resources",
                                         "overhead",   "activeDeadlineSeconds", "priorityClassName",
                                         "affinity"};
    struct mp a = object_spec(old), b = object_spec(now);
    bool same = pod_finished(old) == pod_finished(now);
    for (unsigned i = 0; same && i < ARRAY_SIZE(fields) && !object_same_spec(old, now); i++) {
        same = same_bytes(mp_get(a, fields[i]), mp_get(b, fields[i]));
    }
    return same;
}

bool quota_same(const struct object *old, const struct object *now)
{
    if (old == NULL || now == NULL || old->kind != now->kind) {
        return false;
    }
    return now->kind->id == KIND_POD                     ? same_pod(old, now)
           : now->kind->id == KIND_PERSISTENTVOLUMECLAIM ? object_same_but_status(now, old)
                                                         : object_same_spec(old, now);
}

/* What was counted under `then` is what counts under `now`. */
static bool counts_alike(struct mp now, struct mp then)
{
    struct mp a = mp_get(now, "hard"), b = mp_get(then, "hard");
    bool alike = mp_count(a) == mp_count(b) && same_bytes(mp_get(now, "scopes"), mp_get(then, "scopes")) &&
                 same_bytes(mp_get(now, "scopeSelector"), mp_get(then, "scopeSelector"));
    for (struct mp_iter it = mp_iter(a); alike && mp_next(&it);) {
        alike = mp_type(mp_get_str_key(b, it.key)) != MP_NONE;
    }
    return alike;
}

static void read_counted(struct quota *q, const struct object *counted)
{
    struct mp used = mp_get(object_status(counted), "used");
    q->known = true;
    for (unsigned i = 0; i < q->count; i++) {
        struct mp n = mp_get_str_key(used, q->rows[i].resource.name);
        q->rows[i].used = amount_mp(n);
        q->known = q->known && mp_type(n) != MP_NONE;
    }
    struct str to = object_annotation(counted, QUOTA_COUNTING);
    q->counting = to.n > 0;
    const char *slash = to.n == 0 ? NULL : memchr(to.p, '/', to.n);
    const struct kind *k = slash == NULL ? NULL : kind_counted((struct str){to.p, (size_t)(slash - to.p)});
    if (k != NULL) {
        q->to_kind = (unsigned)k->id;
        q->to_name = behind(to, (size_t)(slash - to.p) + 1);
    }
}

void quota_read(struct quota *q, struct arena *a, const struct object *o, const struct object *counted)
{
    struct mp spec = object_spec(o), hard = mp_get(spec, "hard");
    *q = (struct quota){
        .object = o, .scopes = mp_get(spec, "scopes"), .expressions = mp_path(spec, "scopeSelector.matchExpressions")};
    unsigned max = MIN(mp_count(hard), QUOTA_RESOURCES_MAX);
    q->rows = arena_alloc(a, MAX(max, 1u) * sizeof *q->rows);
    for (struct mp_iter it = mp_iter(hard); q->count < max && mp_next(&it);) {
        struct quota_row *row = &q->rows[q->count++];
        *row = (struct quota_row){.hard = amount_mp(it.value)};
        quota_resource_read(it.key, &row->resource);
    }
    qsort(q->rows, q->count, sizeof *q->rows, row_cmp);
    if (counted != NULL && counts_alike(spec, object_spec(counted))) {
        read_counted(q, counted);
    }
}

/* ---- What must be said ---- */

static const char *list_of(const struct quota_resource *r)
{
    return r->what == QUOTA_LIMITS ? "limits" : "requests";
}

/* "A quota of cpu or memory makes each container say what it asks for": these alone, no other resource; and unless the
 * pod says it as a whole. */
static bool must_be_said(const struct quota_resource *r, struct mp spec)
{
    bool counts = r->what == QUOTA_REQUESTS || r->what == QUOTA_LIMITS;
    return counts && (str_is(r->of, "cpu") || str_is(r->of, "memory")) &&
           mp_type(mp_get_str_key(mp_get(mp_get(spec, "resources"), list_of(r)), r->of)) == MP_NONE;
}

void quota_unsaid(struct buf *out, const struct quota *q, const struct object *pod)
{
    static const char *const lists[] = {"containers", "initContainers"};
    for (unsigned i = 0; i < q->count; i++) {
        const struct quota_resource *r = &q->rows[i].resource;
        bool any = false;
        if (!must_be_said(r, object_spec(pod))) {
            continue;
        }
        for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
            for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), lists[k])); mp_next(&it);) {
                struct mp said = mp_get(mp_get(it.value, "resources"), list_of(r));
                struct str name = mp_str(mp_get(it.value, "name"));
                if (mp_type(mp_get_str_key(said, r->of)) == MP_NONE) {
                    buf_printf(out, "%s", any ? "," : out->size > 0 ? "; " : "");
                    if (!any) {
                        buf_printf(out, "%.*s for: ", STR_ARG(r->name));
                    }
                    buf_append_str(out, name);
                    any = true;
                }
            }
        }
    }
}
