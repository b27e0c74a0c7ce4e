/* Services among the others: what clients ask for, and what must hold of addresses, node ports and endpoints.
 *
 *  1. Behind no transaction two Services have the same cluster address, node port and protocol, or address of the
 *     LoadBalancers' pool, and none has one twice. But for what is put there past the API, as a restored backup or
 *     another program may leave it (OP_SPOIL): an address and a node port that another Service has, or no address.
 *     That is mended when endpoints agree (2a, c), and what controllers take from a Service then, an older one has.
 *  2. Endpoints agree with pods: no EndpointSlice calls a pod ready that is not (or is not selected any more), and each
 *     pod that is ready stands in one slice of each Service that selects it, once.
 *     a) On the leader's tip: at the end of each turn that left its controllers nothing to do. What a turn decides is
 *        one entry of the log. So, as long as the same leader leads and has room for what controllers want, the entry
 *        in which a pod ceases to be ready is the one in which its Services cease to call it so.
 *     b) In what is committed, whoever leads, and however full its batch: in no more than LATE_MAX of the states that
 *        the log's entries leave (those that a master showed as the first one to get there).
 *     c) At rest: exactly. And each LoadBalancer has an address as long as the pool has one, and each slice its owner.
 *
 * Slices of a Service that is being deleted, or selects nothing any more, are nobody's claim about pods. Readers of the
 * state are written anew here: nothing is asked of controllers/services but to allocate, as the API does. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "controllers/deletion.h"
#include "controllers/services/allocate.h"
#include "controllers/util.h"
#include "proto/text/text.h"
#include "tests/sim/cluster.h"

#define SALT     (UINT64_C(57552) << 32) /* such that the seeds that were kept before have no Services */
#define NAMES    6u
#define LATE_MAX 1u
#define POOL     "192.0.2.1-192.0.2.4"

/* ---- What clients ask for ---- */

void services_draw(struct cluster *c)
{
    c->serving = rng_apart(c->seed, SALT);
    c->swarm.services = rng_below(&c->serving, 2) == 0 && c->swarm.workloads;
}

bool services_next(struct cluster *c, enum op_kind *kind)
{
    if (!c->swarm.services || rng_below(&c->serving, 10) > 0) {
        return false;
    }
    *kind = rng_below(&c->serving, 4) == 0 ? OP_UNSERVE : rng_below(&c->serving, 8) == 0 ? OP_SPOIL : OP_SERVE;
    return true;
}

/* Small ranges: who gives something twice does so soon. */
struct object *services_config(void)
{
    return yaml_object("{apiVersion: reeve.io/v1, kind: ClusterConfiguration, metadata: {name: cluster}, spec: "
                       "{clusterName: sim, networking: {serviceSubnet: 10.96.0.0/28, serviceNodePortRange: "
                       "30000-30019, loadBalancerPool: " POOL "}}}");
}

static const char *one_of(struct arena *a, struct rng *r, const char *fmt, unsigned from, unsigned count)
{
    return arena_printf(a, fmt, from + (unsigned)rng_below(r, count));
}

/* Everything follows from r and from whether it is new. A third asks for addresses and ports that others may have. The
 * address of one that is there cannot change: that is asked for now and then. */
static const char *service_text(struct arena *a, struct rng *r, const char *name, int64_t at, bool fresh)
{
    static const char *const types[] = {"ClusterIP", "NodePort", "NodePort", "LoadBalancer", "LoadBalancer", "None"};
    const char *type = types[rng_below(r, ARRAY_SIZE(types) - (fresh || rng_below(r, 8) == 0 ? 0 : 1))];
    bool headless = strcmp(type, "None") == 0, balanced = strcmp(type, "LoadBalancer") == 0;
    bool asks = rng_below(r, 3) == 0, ports = asks && (balanced || strcmp(type, "NodePort") == 0);
    const char *ip = headless                                  ? "clusterIP: None, "
                     : asks && (fresh || rng_below(r, 8) == 0) ? one_of(a, r, "clusterIP: 10.96.0.%u, ", 1, 6)
                                                               : "";
    const char *node = ports ? one_of(a, r, ", nodePort: %u", 30000, 6) : "";
    bool dns = rng_below(r, 4) == 0, local = balanced && rng_below(r, 4) == 0;
    const char *selector = rng_below(r, 10) == 0 ? "" : one_of(a, r, "selector: {app: web-%u}, ", 0, DEPLOYMENTS);
    const char *wish = balanced && rng_below(r, 4) == 0 ? one_of(a, r, "loadBalancerIP: 192.0.2.%u, ", 1, 5) : "";
    return arena_printf(a,
                        "{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: " NAMESPACE
                        ", annotations: {sim/op: '%lld'}}, spec: {type: %s, %s%s%s%s%sports: [{name: a, port: 80, "
                        "targetPort: 8080%s}%s]}}",
                        name, (long long)at, headless ? "ClusterIP" : type, ip, selector, wish,
                        local ? "externalTrafficPolicy: Local, " : "",
                        rng_below(r, 8) == 0 ? "publishNotReadyAddresses: true, " : "", node,
                        dns ? ", {name: b, port: 80, protocol: UDP, targetPort: 8080}" : "");
}

/* As it is let in: master/admission/service_addresses.c. */
static int service_put(const struct view *tip, struct claims *claims, struct rng *r, const char *name, int64_t at,
                       struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    const struct kind *k = kind_by_id(KIND_SERVICE);
    arena_init(&a);
    const struct object *old = view_get(tip, k, STR(NAMESPACE), str_of(name));
    int rv = yaml_read(&a, str_of(service_text(&a, r, name, at, old == NULL)), NULL, &docs, &count, err);
    assert(rv == 0);
    struct value *doc = docs[0], *before = old == NULL ? NULL : object_to_value(&a, old);
    if (before != NULL) {
        k->keep(&a, doc, before);
    }
    rv = kind_check(k, &a, doc, before, before == NULL ? 0 : KIND_CHECK_UPDATE, err);
    const struct allocate al = {.view = tip, .claims = claims, .arena = &t->arena, .rng = r};
    rv = rv == 0 ? service_allocate(&al, before, doc, err) : rv;
    if (rv != 0) {
        return rv;
    }
    return old == NULL ? txn_create_value(t, k, doc, err)
                       : txn_update_value(t, k, doc, TXN_PART_SPEC, old->revision, err);
}

/* With what the first Service from `from` on has that has an address; without, if none has. */
static int service_spoil(const struct view *tip, struct rng *r, const char *name, int64_t at, struct txn *t,
                         struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    struct str ip = STR_NONE;
    int64_t port = 0;
    const struct kind *k = kind_by_id(KIND_SERVICE);
    struct view_iter it;
    arena_init(&a);
    view_iter(&it, tip, k, STR(NAMESPACE));
    for (const struct object *o; ip.n == 0 && rng_below(r, 4) > 0 && (o = view_next(&it)) != NULL;) {
        struct mp spec = mp_get(object_mp(o), "spec");
        struct mp_iter first = mp_iter(mp_get(spec, "ports"));
        ip = str_is(mp_str(mp_get(spec, "clusterIP")), "None") ? STR_NONE : mp_str(mp_get(spec, "clusterIP"));
        port = mp_next(&first) ? mp_int(mp_get(first.value, "nodePort"), 0) : 0;
    }
    const char *text = arena_printf(
        &a,
        "{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: " NAMESPACE
        ", annotations: {sim/op: '%lld'}}, "
        "spec: {type: %s, %s%.*s%sselector: {app: web-0}, ports: [{name: a, port: 80, targetPort: 8080%s}]}}",
        name, (long long)at, port > 0 ? "NodePort" : "ClusterIP", ip.n > 0 ? "clusterIP: " : "", STR_ARG(ip),
        ip.n > 0 ? ", " : "", port > 0 ? arena_printf(&a, ", nodePort: %lld", (long long)port) : "");
    int rv = yaml_read(&a, str_of(text), NULL, &docs, &count, err);
    assert(rv == 0);
    rv = kind_check(k, &a, docs[0], NULL, 0, err);
    assert(rv == 0);
    return txn_create_value(t, k, docs[0], err);
}

int services_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 20)};
    unsigned first = (unsigned)rng_below(&r, NAMES), count = 1 + (unsigned)rng_below(&r, 2);
    char name[16];
    if (life->c->ops[at].kind == OP_UNSERVE) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        snprintf(name, sizeof name, "svc-%u", first);
        const struct object *o = view_get(tip, kind_by_id(KIND_SERVICE), STR(NAMESPACE), str_of(name));
        const struct deletion_options options = {.grace_s = -1,
                                                 .policy = at % 2 == 0 ? DELETION_BACKGROUND : DELETION_FOREGROUND};
        return o == NULL ? error_set(err, ERR_NOT_FOUND, "services \"%s\" not found", name)
                         : deletion_request(t, &a, o, &options, env_wall_ms(&life->env), err);
    }
    struct claims claims;
    int rv = 0;
    snprintf(name, sizeof name, "svc-%u", first);
    if (life->c->ops[at].kind == OP_SPOIL &&
        view_get(tip, kind_by_id(KIND_SERVICE), STR(NAMESPACE), str_of(name)) == NULL) {
        return service_spoil(tip, &r, name, at, t, err);
    }
    claims_init(&claims, t);
    for (unsigned i = 0; i < count && rv == 0; i++) {
        snprintf(name, sizeof name, "svc-%u", (first + i) % NAMES);
        rv = service_put(tip, &claims, &r, name, at, t, err);
    }
    claims_close(&claims);
    return rv;
}

/* ---- Given once ---- */

typedef void held_cb(void *data, const struct object *service, const char *what);

/* Tells all that it has. */
static void each_held(const struct object *service, held_cb *cb, void *data)
{
    char what[96];
    struct mp spec = mp_get(object_mp(service), "spec");
    struct str ip = mp_str(mp_get(spec, "clusterIP"));
    int64_t health = mp_int(mp_get(spec, "healthCheckNodePort"), 0);
    if (ip.n > 0 && !str_is(ip, "None")) {
        snprintf(what, sizeof what, "cluster address %.*s", STR_ARG(ip));
        cb(data, service, what);
    }
    for (struct mp_iter it = mp_iter(mp_get(spec, "ports")); mp_next(&it);) {
        int64_t number = mp_int(mp_get(it.value, "nodePort"), 0);
        if (number > 0) {
            snprintf(what, sizeof what, "node port %lld/%.*s", (long long)number,
                     STR_ARG(mp_str(mp_get(it.value, "protocol"))));
            cb(data, service, what);
        }
    }
    if (health > 0) {
        snprintf(what, sizeof what, "node port %lld/TCP", (long long)health);
        cb(data, service, what);
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(service), "status.loadBalancer.ingress")); mp_next(&it);) {
        snprintf(what, sizeof what, "load balancer's address %.*s", STR_ARG(mp_str(mp_get(it.value, "ip"))));
        cb(data, service, what);
    }
}

struct given {
    struct strmap held;    /* what -> the last Service that has it */
    struct strmap doubled; /* what two have -> anything */
    char first[256];       /* the first that is held twice; "": none is */
    const struct strmap *excused;
};

static void give(void *data, const struct object *service, const char *what)
{
    struct given *g = data;
    const struct object *other = strmap_set(&g->held, str_of(what), (void *)service);
    if (other != NULL) {
        strmap_set(&g->doubled, str_of(what), g);
        if (g->first[0] == '\0' && (g->excused == NULL || strmap_get(g->excused, str_of(what)) == NULL)) {
            snprintf(g->first, sizeof g->first, "%s is held by Service %.*s and by %.*s", what, STR_ARG(other->name),
                     STR_ARG(service->name));
        }
    }
}

static void given_init(struct given *g, const struct view *v, const struct strmap *excused)
{
    struct view_iter it;
    *g = (struct given){.excused = excused};
    strmap_init(&g->held);
    strmap_init(&g->doubled);
    view_iter(&it, v, kind_of(KIND_SERVICE), STR_NONE);
    VIEW_FOR(service, &it)
    {
        each_held(service, give, g);
    }
}

static void given_close(struct given *g)
{
    strmap_close(&g->held);
    strmap_close(&g->doubled);
}

/* What is not as the API would have left it: something held twice, or a Service without an address. */
static bool is_spoiled(const struct view *v, char why[256])
{
    struct given g;
    struct view_iter it;
    given_init(&g, v, NULL);
    snprintf(why, 256, "%s", g.first);
    given_close(&g);
    view_iter(&it, v, kind_of(KIND_SERVICE), STR_NONE);
    VIEW_FOR(service, &it)
    {
        if (why[0] == '\0' && !service->deleting && str_empty(mp_str(mp_path(object_mp(service), "spec.clusterIP")))) {
            snprintf(why, 256, "Service %.*s has no address", STR_ARG(service->name));
        }
    }
    return why[0] != '\0';
}

/* ---- What controllers take ---- */

struct wanted {
    const char *what;
    bool found;
};

static void look_for(void *data, const struct object *service, const char *what)
{
    struct wanted *w = data;
    (void)service;
    w->found |= strcmp(what, w->what) == 0;
}

static bool holds(const struct object *service, const char *what)
{
    struct wanted w = {.what = what};
    each_held(service, look_for, &w);
    return w.found;
}

static bool is_older(const struct object *a, const struct object *b)
{
    int64_t x = object_created_ms(a), y = object_created_ms(b);
    return x != y ? x < y : str_cmp(a->uid, b->uid) < 0;
}

struct taken {
    struct cluster *c;
    const struct view *after;
    const struct object *now;
};

/* It had this; if it has not any more, somebody older has. */
static void judge_held(void *data, const struct object *before, const char *what)
{
    struct taken *s = data;
    struct view_iter it;
    bool older = holds(s->now, what) || str_starts(str_of(what), STR("load balancer"));
    view_iter(&it, s->after, kind_of(KIND_SERVICE), STR_NONE);
    VIEW_FOR(other, &it)
    {
        older |= other != s->now && is_older(other, before) && holds(other, what);
    }
    if (!older) {
        cluster_violate(s->c, "%s was taken from Service %.*s, and no older one has it, at revision %llu", what,
                        STR_ARG(before->name), (unsigned long long)view_revision(s->after));
    }
}

static void judge_changes(struct cluster *c, const struct view *after, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        if (old == NULL || now == NULL || now->kind->id != KIND_SERVICE) {
            continue;
        }
        if (str_eq(object_annotation(old, "sim/op"), object_annotation(now, "sim/op"))) { /* no client's */
            struct taken s = {.c = c, .after = after, .now = now};
            each_held(old, judge_held, &s);
        }
    }
}

/* ---- Behind each transaction ---- */

static bool spoils(const struct cluster *c, const struct change *change)
{
    int64_t at;
    return change->old == NULL && str_to_int64(object_annotation(change->new, "sim/op"), &at) && at >= 0 &&
           at < c->ops_count && c->ops[at].kind == OP_SPOIL;
}

void services_judge(struct cluster *c, const struct view *after, const struct history_txn *t)
{
    bool changed = false, spoiled = false;
    for (unsigned i = 0; i < t->count; i++) {
        if (t->changes[i].new != NULL && t->changes[i].new->kind->id == KIND_SERVICE) {
            changed = true;
            spoiled |= spoils(c, &t->changes[i]);
        }
    }
    if (!changed) {
        return;
    }
    struct given g;
    given_init(&g, after, &c->spoiled);
    c->spoils += spoiled;
    if (g.first[0] != '\0' && !spoiled) {
        cluster_violate(c, "%s at revision %llu", g.first, (unsigned long long)view_revision(after));
    }
    judge_changes(c, after, t);
    strmap_close(&c->spoiled);
    c->spoiled = g.doubled; /* what is held once again, nobody is excused for any more */
    strmap_init(&g.doubled);
    given_close(&g);
}

/* ---- Endpoints ---- */

struct wrongs {
    const struct view *view;
    struct strmap *found; /* "Service: pod: why" -> anything; NULL: only the first is wanted */
    char first[256];
};

static void wrong(struct wrongs *w, const struct object *service, struct str pod, const char *why)
{
    char text[256];
    snprintf(text, sizeof text, "Service %.*s and pod %.*s, which %s", STR_ARG(service->name), STR_ARG(pod), why);
    if (w->first[0] == '\0') {
        memcpy(w->first, text, sizeof text);
    }
    if (w->found != NULL) {
        strmap_set(w->found, str_of(text), w);
    }
}

static bool leads_to_pods(const struct object *service)
{
    return service != NULL && service->kind->id == KIND_SERVICE && !service->deleting &&
           mp_count(mp_path(object_mp(service), "spec.selector")) > 0;
}

/* The only label of a selector here is app. */
static bool is_selected(const struct object *service, const struct object *pod)
{
    return str_eq(mp_str(mp_path(object_mp(service), "spec.selector.app")), mp_str(mp_get(object_labels(pod), "app")));
}

static bool has_address(const struct object *pod)
{
    return !pod_finished(pod) && mp_str(mp_path(object_mp(pod), "status.podIP")).n > 0;
}

static bool publishes_all(const struct object *service)
{
    return mp_bool(mp_path(object_mp(service), "spec.publishNotReadyAddresses"), false);
}

static void endpoint_judge(struct wrongs *w, const struct object *service, struct mp endpoint, struct strmap *named)
{
    struct mp target = mp_get(endpoint, "targetRef");
    struct str name = mp_str(mp_get(target, "name")), uid = mp_str(mp_get(target, "uid"));
    const struct object *pod = view_get(w->view, kind_of(KIND_POD), service->ns, name);
    if (strmap_set(named, uid, w) != NULL) {
        wrong(w, service, name, "stands in its slices twice");
    }
    if (!mp_bool(mp_path(endpoint, "conditions.ready"), true)) {
        return;
    }
    if (pod == NULL || !str_eq(pod->uid, uid) || !has_address(pod)) {
        wrong(w, service, name, "is called ready and is gone");
    } else if (!is_selected(service, pod)) {
        wrong(w, service, name, "is called ready and is not selected");
    } else if (!publishes_all(service) && (pod->deleting || !pod_ready(pod, NULL))) {
        wrong(w, service, name, "is called ready and is not");
    }
}

static void service_judge(struct wrongs *w, const struct object *service)
{
    struct strmap named; /* by uid */
    struct view_iter it;
    strmap_init(&named);
    view_iter_owned(&it, w->view, service->uid, kind_of(KIND_ENDPOINTSLICE));
    VIEW_FOR(slice, &it)
    {
        for (struct mp_iter e = mp_iter(mp_get(object_mp(slice), "endpoints")); mp_next(&e);) {
            endpoint_judge(w, service, e.value, &named);
        }
    }
    view_iter(&it, w->view, kind_of(KIND_POD), service->ns);
    VIEW_FOR(pod, &it)
    {
        if (is_selected(service, pod) && has_address(pod) && !pod->deleting && pod_ready(pod, NULL) &&
            strmap_get(&named, pod->uid) == NULL) {
            wrong(w, service, pod->name, "is ready and in none of its slices");
        }
    }
    strmap_close(&named);
}

static void endpoints_judge(struct wrongs *w)
{
    struct view_iter it;
    view_iter(&it, w->view, kind_of(KIND_SERVICE), STR(NAMESPACE));
    VIEW_FOR(service, &it)
    {
        if (leads_to_pods(service)) {
            service_judge(w, service);
        }
    }
}

void services_turn(struct life *life)
{
    struct cluster *c = life->c;
    const struct view *tip = store_tip(replica_store(life->replica));
    struct controllers_stats controllers;
    struct scheduler_stats scheduler;
    char why[256];
    if (!c->swarm.services || life->fatal || tip == NULL || !replica_leading(life->replica)) {
        return;
    }
    core_stats(life->core, &controllers, &scheduler);
    if (controllers.queued > 0 || life->agreed == view_revision(tip)) {
        return;
    }
    life->agreed = view_revision(tip);
    struct wrongs w = {.view = tip};
    endpoints_judge(&w);
    if (w.first[0] != '\0') {
        cluster_violate(c, "master %llu has nothing left to decide, and endpoints are wrong: %s",
                        (unsigned long long)life->id, w.first);
    }
    if (is_spoiled(tip, why)) {
        cluster_violate(c, "master %llu has nothing left to decide, and %s", (unsigned long long)life->id, why);
    }
}

/* Wrong endpoints are kept with the number of the commit that they were first seen in. */
void services_committed(struct cluster *c)
{
    if (!c->swarm.services) {
        return;
    }
    struct strmap found;
    strmap_init(&found);
    struct wrongs w = {.view = c->ledger.model, .found = &found};
    endpoints_judge(&w);
    c->late.commits++;
    const struct strmap_entry *e;
    for (size_t at = 0; (e = strmap_next(&found, &at)) != NULL;) {
        struct str key = {e->key, e->key_size};
        uintptr_t since = (uintptr_t)strmap_get(&c->late.since, key);
        since = since == 0 ? c->late.commits : since;
        strmap_set(&found, key, (void *)since);
        c->late.most = MAX(c->late.most, (unsigned)(c->late.commits - since + 1));
        if (c->late.commits - since >= LATE_MAX) {
            cluster_violate(c, "endpoints were wrong in more than %u commit, at revision %llu: %.*s", LATE_MAX,
                            (unsigned long long)c->ledger.count, STR_ARG(key));
        }
    }
    strmap_close(&c->late.since);
    c->late.since = found;
}

/* ---- The end ---- */

static bool balancers_settled(const struct view *v, char why[256])
{
    const struct object *without = NULL;
    unsigned given = 0;
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_SERVICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        bool has = mp_count(mp_path(object_mp(o), "status.loadBalancer.ingress")) > 0;
        bool wishes = mp_str(mp_path(object_mp(o), "spec.loadBalancerIP")).n > 0;
        bool balanced = str_is(mp_str(mp_path(object_mp(o), "spec.type")), "LoadBalancer");
        given += has;
        without = balanced && !has && !wishes && !o->deleting ? o : without;
        if (has && !balanced) {
            snprintf(why, 256, "Service %.*s is no LoadBalancer and has its address", STR_ARG(o->name));
            return false;
        }
    }
    if (without != NULL && given < 4) {
        snprintf(why, 256, "Service %.*s has no address of the pool, which has some", STR_ARG(without->name));
        return false;
    }
    return true;
}

bool services_settled(struct cluster *c, char why[256])
{
    if (!c->swarm.services) {
        return true;
    }
    struct wrongs w = {.view = c->ledger.model};
    struct view_iter it;
    endpoints_judge(&w);
    if (w.first[0] != '\0') {
        snprintf(why, 256, "%s", w.first);
        return false;
    }
    if (is_spoiled(c->ledger.model, why)) {
        return false;
    }
    view_iter(&it, c->ledger.model, kind_of(KIND_ENDPOINTSLICE), STR_NONE);
    VIEW_FOR(slice, &it)
    {
        if (owner_get(c->ledger.model, slice->ns, owner_controller(slice)) == NULL) {
            snprintf(why, 256, "the Service of EndpointSlice %.*s is gone", STR_ARG(slice->name));
            return false;
        }
    }
    return balancers_settled(c->ledger.model, why);
}
