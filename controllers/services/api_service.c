/* The Service "kubernetes" in namespace default: where the masters are, by name and in the environment of containers,
 * as programs look for the API. Its Endpoints are the addresses at which agents reach the masters, as they stand in
 * ConfigMap kube-system/reeve-masters (master/members/members.c), so they follow who joins and who is removed; slices
 * are made of them as of all Endpoints of a Service without a selector. Source: Kubernetes'
 * pkg/controlplane/controller/kubernetesservice.
 *
 * It gets the first address of the services' range, if nobody has that. Whoever deletes it sees it come back. One that
 * has a selector is somebody else's, and left alone. Masters that are known by a name, or by an address of the machine
 * itself alone (127.0.0.1), are not in it. */
#include <stdlib.h>

#include "controllers/registry.h"
#include "controllers/services/allocate.h"
#include "controllers/services/places.h"
#include "proto/facts/configdata.h"

#define NAMESPACE   "default"
#define NAME        "kubernetes"
#define MASTERS     "reeve-masters"
#define MASTERS_NS  "kube-system"
#define PORT_NAME   "https"
#define PORT        443
#define MASTERS_MAX 64u

struct master {
    uint32_t ip;
    uint16_t port;
};

/* "ADVERTISE AGENT-ADDRESS", each HOST:PORT; one alone is both. */
static bool read_master(struct str text, struct master *out)
{
    const char *space = text.n == 0 ? NULL : memchr(text.p, ' ', text.n);
    struct str address = space == NULL ? text : (struct str){space + 1, text.n - (size_t)(space + 1 - text.p)};
    const char *colon = address.n == 0 ? NULL : memrchr(address.p, ':', address.n);
    int64_t port;
    if (colon == NULL || !cidr_parse_address((struct str){address.p, (size_t)(colon - address.p)}, &out->ip) ||
        !str_to_int64((struct str){colon + 1, address.n - (size_t)(colon + 1 - address.p)}, &port) || port < 1 ||
        port > UINT16_MAX) {
        return false;
    }
    out->port = (uint16_t)port;
    return out->ip >> 24 != 0 && out->ip >> 24 != 127;
}

static int by_port(const void *a, const void *b)
{
    const struct master *x = a, *y = b;
    return x->port != y->port ? (x->port > y->port) - (x->port < y->port) : (x->ip > y->ip) - (x->ip < y->ip);
}

/* By port, then address; each once. */
static unsigned read_masters(const struct object *masters, struct master list[MASTERS_MAX])
{
    unsigned count = 0, kept = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(masters), "data")); count < MASTERS_MAX && mp_next(&it);) {
        count += read_master(mp_str(it.value), &list[count]);
    }
    qsort(list, count, sizeof *list, by_port);
    for (unsigned i = 0; i < count; i++) {
        if (kept == 0 || by_port(&list[kept - 1], &list[i]) != 0) {
            list[kept++] = list[i];
        }
    }
    return kept;
}

static struct value *port_of(struct arena *a, int64_t number)
{
    struct value *port = value_map(a);
    value_set(a, port, "name", value_cstr(a, PORT_NAME));
    value_set(a, port, "port", value_int(a, number));
    value_set(a, port, "protocol", value_cstr(a, "TCP"));
    return port;
}

static struct value *ip_of(struct arena *a, uint32_t ip)
{
    struct value *address = value_map(a);
    value_set(a, address, "ip", value_strf(a, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255));
    return address;
}

/* One for each port that masters have. */
static struct value *subsets_of(struct arena *a, const struct master *list, unsigned count)
{
    struct value *subsets = value_list(a), *addresses = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (i == 0 || list[i].port != list[i - 1].port) {
            struct value *subset = value_map(a);
            addresses = value_ensure_list(a, subset, "addresses");
            value_append(a, value_ensure_list(a, subset, "ports"), port_of(a, list[i].port));
            value_append(a, subsets, subset);
        }
        value_append(a, addresses, ip_of(a, list[i].ip));
    }
    return subsets;
}

static struct value *document_new(struct arena *a, const struct kind *k)
{
    struct value *doc = value_map(a), *meta = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, meta, "name", value_cstr(a, NAME));
    value_set(a, meta, "namespace", value_cstr(a, NAMESPACE));
    return doc;
}

static int create_service(const struct reconcile_in *in, struct reconcile_out *out, int64_t target, struct error *err)
{
    struct arena *a = out->arena;
    const struct kind *k = kind_of(KIND_SERVICE);
    struct cluster_config config = cluster_config_of(in->view);
    struct value *doc = document_new(a, k), *spec = value_ensure_map(a, doc, "spec"),
                 *labels = value_ensure_map(a, value_get(doc, "metadata"), "labels"), *port = port_of(a, PORT);
    value_set(a, labels, "component", value_cstr(a, "apiserver"));
    value_set(a, labels, "provider", value_cstr(a, NAME));
    value_set(a, spec, "clusterIP", value_get(ip_of(a, config.services.first + 1), "ip"));
    value_set(a, port, "targetPort", value_int(a, target));
    value_append(a, value_ensure_list(a, spec, "ports"), port);
    kind_fill_defaults(k, a, doc);
    struct claims claims;
    claims_init(&claims, NULL);
    const struct allocate al = {.view = in->view, .claims = &claims, .arena = a, .rng = in->rng, .mends = true};
    int rv = service_allocate(&al, NULL, doc, err);
    claims_close(&claims);
    return rv != 0 ? rv : txn_create_value(out->txn, k, doc, err);
}

static int api_service_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct arena *a = out->arena;
    const struct kind *k = kind_of(KIND_ENDPOINTS);
    const struct object *masters = view_get(in->view, kind_of(KIND_CONFIGMAP), STR(MASTERS_NS), STR(MASTERS)),
                        *service = view_get(in->view, kind_of(KIND_SERVICE), STR(NAMESPACE), STR(NAME)),
                        *old = view_get(in->view, k, STR(NAMESPACE), STR(NAME));
    struct master list[MASTERS_MAX];
    if (masters == NULL || namespace_closed(in->view, STR(NAMESPACE)) ||
        (service != NULL && (service->deleting || service_selects(service))) || (old != NULL && old->deleting)) {
        return 0;
    }
    unsigned count = read_masters(masters, list);
    int rv = service != NULL ? 0 : create_service(in, out, count > 0 ? list[0].port : PORT, err);
    if (rv != 0) {
        return rv;
    }
    struct value *doc = old != NULL ? object_to_value(a, old) : document_new(a, k);
    value_remove(doc, "subsets");
    if (count > 0) {
        value_set(a, doc, "subsets", subsets_of(a, list, count));
    }
    return old != NULL ? txn_update_value(out->txn, k, doc, TXN_PART_ALL, old->revision, err)
                       : txn_create_value(out->txn, k, doc, err);
}

static void emit_it(controller_emit *emit, void *data)
{
    emit(data, kind_of(KIND_SERVICE), STR(NAMESPACE), STR(NAME));
}

static void map_masters(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    const struct object *o = now != NULL ? now : old;
    (void)tip;
    if (str_is(o->name, MASTERS) && str_is(o->ns, MASTERS_NS)) {
        emit_it(emit, data);
    }
}

/* Somebody has changed or removed what is there. */
static void map_own(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    (void)tip;
    (void)now;
    if (old != NULL && str_is(old->name, NAME) && str_is(old->ns, NAMESPACE)) {
        emit_it(emit, data);
    }
}

static const struct controller_watch watches[] = {
    {KIND_CONFIGMAP, map_masters}, {KIND_SERVICE, map_own}, {KIND_ENDPOINTS, map_own}, {0, NULL}};
const struct controller controller_api_service = {
    .name = "api-service", .watches = watches, .reconcile = api_service_reconcile, .begin = emit_it};
