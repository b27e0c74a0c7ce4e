#include "agent/dns/zone.h"

#include <stdlib.h>

#include "base/env.h"

#define VERSION_OF_SCHEMA "1.1.0"

struct asking {
    const struct zone *z;
    const struct str *labels;
    unsigned count; /* without the zone's own */
    unsigned type;
    unsigned aliases;
    uint64_t dice;
    struct arena *arena;
    struct zone_answer *out;
    struct str owner; /* of the records; empty: the name that was asked */
};

static struct zone_record *add(struct asking *q, unsigned type)
{
    struct zone_answer *out = q->out;
    if (out->count == ZONE_RECORDS_MAX) {
        return NULL;
    }
    struct zone_record *r = arena_alloc(q->arena, sizeof *r);
    r->type = (uint16_t)type;
    r->owner = q->owner;
    *out->end = r;
    out->end = &r->next;
    out->count++;
    out->result = ZONE_FOUND;
    return r;
}

static bool wants(const struct asking *q, unsigned type)
{
    return q->type == type || q->type == ZONE_ANY;
}

static void add_address(struct asking *q, uint32_t ip)
{
    struct zone_record *r = add(q, ZONE_A);
    if (r != NULL) {
        r->ip = ip;
    }
}

static void add_name(struct asking *q, unsigned type, struct str name)
{
    struct zone_record *r = add(q, type);
    if (r != NULL) {
        r->text = name;
    }
}

static struct str service_name(const struct asking *q, const struct object *service)
{
    return str_of(arena_printf(q->arena, "%.*s.%.*s.svc.%.*s", STR_ARG(service->name), STR_ARG(service->ns),
                               STR_ARG(q->z->domain)));
}

static void exists(struct asking *q)
{
    q->out->result = q->out->result == ZONE_NO_NAME ? ZONE_NO_DATA : q->out->result;
}

/* ---- Endpoints ---- */

struct endpoint {
    uint32_t ip;
    struct str host; /* a label: its hostname, or the address with dashes */
    bool named;
    uint16_t port; /* of the port that was asked for; 0 */
};
struct endpoints {
    struct endpoint *list;
    unsigned count, cap;
};

static struct str dashed(struct arena *a, uint32_t ip)
{
    return str_of(arena_printf(a, "%u-%u-%u-%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255));
}

static void add_endpoint(struct endpoints *all, struct arena *a, struct endpoint e)
{
    if (all->count == all->cap) {
        unsigned cap = all->cap == 0 ? 16 : all->cap * 2;
        struct endpoint *list = arena_alloc(a, cap * sizeof *list);
        if (all->count > 0) {
            memcpy(list, all->list, all->count * sizeof *list);
        }
        all->list = list;
        all->cap = cap;
    }
    all->list[all->count++] = e;
}

static bool is_port(struct mp port, struct str name, struct str protocol)
{
    struct str p = mp_str(mp_get(port, "protocol"));
    return str_eq(mp_str(mp_get(port, "name")), name) && str_eq(str_empty(p) ? STR("TCP") : p, protocol);
}

static uint16_t number_of(struct mp port)
{
    int64_t n = mp_int(mp_get(port, "port"), 0);
    return n > 0 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* The ready endpoints of a Service; with a port's name, those of slices that have it. */
static struct endpoints gather(struct asking *q, const struct object *service, struct str port, struct str protocol)
{
    struct endpoints all = {0};
    struct known_slices slices = known_slices(q->z->known, service->ns, service->name);
    for (const struct object *o; (o = known_slice_next(&slices)) != NULL;) {
        struct mp slice = object_mp(o);
        uint16_t number = 0;
        if (!str_is(mp_str(mp_get(slice, "addressType")), "IPv4")) {
            continue;
        }
        for (struct mp_iter it = mp_iter(mp_get(slice, "ports")); !str_empty(port) && mp_next(&it);) {
            number = is_port(it.value, port, protocol) ? number_of(it.value) : number;
        }
        if (!str_empty(port) && number == 0) {
            continue;
        }
        for (struct mp_iter it = mp_iter(mp_get(slice, "endpoints")); mp_next(&it);) {
            struct mp_iter addresses = mp_iter(mp_get(it.value, "addresses"));
            uint32_t ip = mp_next(&addresses) ? known_ip(mp_str(addresses.value)) : 0;
            struct str host = mp_str(mp_get(it.value, "hostname"));
            if (ip != 0 && mp_bool(mp_path(it.value, "conditions.ready"), true)) {
                bool named = !str_empty(host);
                add_endpoint(&all, q->arena, (struct endpoint){ip, named ? host : dashed(q->arena, ip), named, number});
            }
        }
    }
    return all;
}

/* In another order each time: clients take the first (Fisher and Yates). */
static void shuffle(struct endpoints *all, uint64_t dice)
{
    struct rng rng = {dice};
    for (unsigned i = all->count; i > 1; i--) {
        unsigned j = (unsigned)rng_below(&rng, i);
        struct endpoint e = all->list[i - 1];
        all->list[i - 1] = all->list[j];
        all->list[j] = e;
    }
}

static int compare_ips(const void *a, const void *b)
{
    uint32_t x = ((const struct endpoint *)a)->ip, y = ((const struct endpoint *)b)->ip;
    return (x > y) - (x < y);
}

/* An endpoint is in as many slices as it has sets of ports. */
static void keep_one_of_each_address(struct endpoints *all)
{
    unsigned kept = 0;
    if (all->count > 0) {
        qsort(all->list, all->count, sizeof *all->list, compare_ips);
    }
    for (unsigned i = 0; i < all->count; i++) {
        if (kept == 0 || all->list[kept - 1].ip != all->list[i].ip) {
            all->list[kept++] = all->list[i];
        }
    }
    all->count = kept;
}

static void add_addresses(struct asking *q, struct endpoints *all)
{
    keep_one_of_each_address(all);
    shuffle(all, q->dice);
    for (unsigned i = 0; i < all->count; i++) {
        add_address(q, all->list[i].ip);
    }
}

/* ---- Services ---- */

static void ask_name(struct asking *q);

/* A name of the zone is followed here; another one is the asker's. */
static void follow(struct asking *q, struct str to)
{
    struct str labels[ZONE_LABELS_MAX];
    struct str name = {arena_strndup(q->arena, to.p, to.n), to.n}, rest;
    unsigned count = 0;
    for (size_t i = 0; i < name.n; i++) {
        char *c = (char *)&name.p[i];
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
    name.n -= name.n > 0 && name.p[name.n - 1] == '.';
    rest = name;
    while (rest.n > 0 && count < ZONE_LABELS_MAX) {
        const char *dot = memchr(rest.p, '.', rest.n);
        labels[count] = (struct str){rest.p, dot == NULL ? rest.n : (size_t)(dot - rest.p)};
        rest.p += labels[count].n + (dot != NULL);
        rest.n -= labels[count++].n + (dot != NULL);
    }
    add_name(q, ZONE_CNAME, name);
    if (q->type == ZONE_CNAME || q->type == ZONE_ANY) {
        return;
    }
    if (q->aliases == ZONE_ALIASES_MAX) {
        q->out->result = ZONE_FOUND;
        return;
    }
    struct asking next = *q;
    next.labels = labels;
    next.count = count;
    next.owner = name;
    next.aliases++;
    ask_name(&next);
    if (q->out->result == ZONE_ELSEWHERE) {
        q->out->result = ZONE_ALIAS;
        q->out->elsewhere = name;
    } else {
        q->out->result = ZONE_FOUND;
    }
}

static bool is_headless(const struct object *service)
{
    return str_is(mp_str(mp_path(object_mp(service), "spec.clusterIP")), "None");
}

static void ask_service(struct asking *q, const struct object *service)
{
    struct mp spec = mp_get(object_mp(service), "spec");
    if (str_is(mp_str(mp_get(spec, "type")), "ExternalName")) {
        follow(q, mp_str(mp_get(spec, "externalName")));
        return;
    }
    if (!is_headless(service)) {
        uint32_t ip = known_ip(mp_str(mp_get(spec, "clusterIP")));
        exists(q);
        if (ip != 0 && wants(q, ZONE_A)) {
            add_address(q, ip);
        }
        return;
    }
    struct endpoints all = gather(q, service, STR_NONE, STR_NONE);
    if (all.count > 0) {
        exists(q);
    }
    if (wants(q, ZONE_A)) {
        add_addresses(q, &all);
    }
}

static void ask_host(struct asking *q, const struct object *service, struct str host)
{
    struct endpoints all = gather(q, service, STR_NONE, STR_NONE), its = {0};
    for (unsigned i = 0; i < all.count; i++) {
        if (str_eq(all.list[i].host, host)) {
            add_endpoint(&its, q->arena, all.list[i]);
            exists(q);
        }
    }
    if (wants(q, ZONE_A)) {
        add_addresses(q, &its);
    }
}

static void add_place(struct asking *q, struct str target, uint16_t port, unsigned weight, uint32_t ip)
{
    struct zone_record *r = add(q, ZONE_SRV);
    if (r == NULL) {
        return;
    }
    r->text = target;
    r->port = port;
    r->weight = (uint16_t)weight;
    struct zone_record *address = add(q, ZONE_A);
    if (address != NULL) {
        address->owner = target;
        address->ip = ip;
        address->additional = true;
    }
}

/* "_tcp" as Kubernetes writes it; empty: no protocol. */
static struct str protocol_of(struct str label)
{
    return str_is(label, "_tcp")    ? STR("TCP")
           : str_is(label, "_udp")  ? STR("UDP")
           : str_is(label, "_sctp") ? STR("SCTP")
                                    : STR_NONE;
}

/* _PORT._PROTOCOL.SERVICE; without a port's label, does any port have the protocol? */
static void ask_port(struct asking *q, const struct object *service, struct str port_label, struct str protocol)
{
    struct str name = {port_label.p + (port_label.n > 0), port_label.n - (port_label.n > 0)};
    bool headless = is_headless(service);
    if (str_empty(protocol) || (port_label.n > 0 && (port_label.p[0] != '_' || str_empty(name)))) {
        return;
    }
    struct mp spec = mp_get(object_mp(service), "spec");
    uint32_t ip = known_ip(mp_str(mp_get(spec, "clusterIP")));
    for (struct mp_iter it = mp_iter(mp_get(spec, "ports")); !headless && mp_next(&it);) {
        struct str p = mp_str(mp_get(it.value, "name"));
        if (str_empty(p) || !is_port(it.value, port_label.n == 0 ? p : name, protocol)) {
            continue;
        }
        exists(q);
        if (port_label.n > 0 && wants(q, ZONE_SRV) && ip != 0) {
            add_place(q, service_name(q, service), number_of(it.value), 100, ip);
        }
    }
    if (!headless) {
        return;
    }
    if (port_label.n == 0) {
        struct known_slices slices = known_slices(q->z->known, service->ns, service->name);
        for (const struct object *o; (o = known_slice_next(&slices)) != NULL;) {
            for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "ports")); mp_next(&it);) {
                struct str p = mp_str(mp_get(it.value, "name"));
                if (!str_empty(p) && is_port(it.value, p, protocol)) {
                    exists(q);
                }
            }
        }
        return;
    }
    struct endpoints all = gather(q, service, name, protocol);
    struct str base = service_name(q, service);
    shuffle(&all, q->dice);
    for (unsigned i = 0; i < all.count; i++) {
        struct str host = all.list[i].host;
        exists(q);
        if (wants(q, ZONE_SRV)) {
            struct str target = str_of(arena_printf(q->arena, "%.*s.%.*s", STR_ARG(host), STR_ARG(base)));
            add_place(q, target, all.list[i].port, MAX(100 / all.count, 1u), all.list[i].ip);
        }
    }
}

/* ... .NS.svc: the labels before them. */
static void ask_services(struct asking *q, unsigned before)
{
    struct str ns = q->labels[before];
    if (before == 0) {
        if (known_has_namespace(q->z->known, ns)) {
            exists(q);
        }
        return;
    }
    const struct object *service = known_service(q->z->known, ns, q->labels[before - 1]);
    if (service == NULL) {
        return;
    }
    struct str below = before >= 2 ? q->labels[before - 2] : STR_NONE;
    if (before == 1) {
        ask_service(q, service);
    } else if (str_is(mp_str(mp_path(object_mp(service), "spec.type")), "ExternalName")) {
        return;
    } else if (below.n > 0 && below.p[0] == '_') {
        if (before <= 3) {
            ask_port(q, service, before == 3 ? q->labels[0] : STR_NONE, protocol_of(below));
        }
    } else if (before == 2) {
        ask_host(q, service, below);
    }
}

/* ---- Pods ---- */

static uint32_t undashed(struct str label)
{
    char text[16];
    if (label.n == 0 || label.n >= sizeof text || memchr(label.p, '.', label.n) != NULL) {
        return 0;
    }
    for (size_t i = 0; i < label.n; i++) {
        text[i] = label.p[i] == '-' ? '.' : label.p[i];
    }
    return known_ip((struct str){text, label.n});
}

static bool is_within(struct cidr c, uint32_t ip)
{
    return cidr_size(c) < 1ull << 32 && ip >= c.first && ip < cidr_end(c);
}

/* Another node's pods are not known here: an address of its part is taken for a pod's. */
static void ask_pods(struct asking *q, unsigned before)
{
    if (before == 0) {
        exists(q);
        return;
    }
    uint32_t ip = before == 1 ? undashed(q->labels[0]) : 0;
    if (ip == 0) {
        return;
    }
    enum zone_pod pod = q->z->pod_of == NULL ? ZONE_POD_MAYBE : q->z->pod_of(ip, q->labels[before], q->z->pod_data);
    if (pod == ZONE_POD_NONE || (pod == ZONE_POD_MAYBE && !is_within(q->z->pods, ip))) {
        return;
    }
    exists(q);
    if (wants(q, ZONE_A)) {
        add_address(q, ip);
    }
}

/* ---- The zone ---- */

static bool ends_with(const struct str *labels, unsigned count, struct str domain, unsigned *rest)
{
    while (domain.n > 0) {
        size_t at = domain.n;
        while (at > 0 && domain.p[at - 1] != '.') {
            at--;
        }
        if (count == 0 || !str_eq(labels[count - 1], (struct str){domain.p + at, domain.n - at})) {
            return false;
        }
        count--;
        domain.n = at == 0 ? 0 : at - 1;
    }
    *rest = count;
    return true;
}

static struct str server_name(const struct asking *q)
{
    return str_of(arena_printf(q->arena, "ns.dns.%.*s", STR_ARG(q->z->domain)));
}

static void ask_apex(struct asking *q)
{
    exists(q);
    if (wants(q, ZONE_SOA)) {
        add(q, ZONE_SOA);
    }
    if (wants(q, ZONE_NS)) {
        add_name(q, ZONE_NS, server_name(q));
    }
}

static void ask_fixed(struct asking *q)
{
    struct str last = q->labels[q->count - 1];
    if (q->count == 1 && (str_is(last, "svc") || str_is(last, "pod") || str_is(last, "dns"))) {
        exists(q);
    } else if (q->count == 1 && str_is(last, "dns-version")) {
        exists(q);
        if (wants(q, ZONE_TXT)) {
            add_name(q, ZONE_TXT, STR(VERSION_OF_SCHEMA));
        }
    } else if (q->count == 2 && str_is(last, "dns") && str_is(q->labels[0], "ns")) {
        exists(q);
        if (q->z->server != 0 && wants(q, ZONE_A)) {
            add_address(q, q->z->server);
        }
    }
}

static void ask_zone(struct asking *q)
{
    q->out->result = q->aliases > 0 ? q->out->result : ZONE_NO_NAME;
    if (q->count == 0) {
        ask_apex(q);
        return;
    }
    struct str last = q->labels[q->count - 1];
    if (q->count == 1 || str_is(last, "dns")) {
        ask_fixed(q);
    } else if (!str_is(last, "svc") && !str_is(last, "pod")) {
        return;
    } else if (!known_is_complete(q->z->known)) {
        q->out->result = ZONE_UNKNOWN;
    } else if (str_is(last, "svc")) {
        ask_services(q, q->count - 2);
    } else {
        ask_pods(q, q->count - 2);
    }
}

/* ---- Reverse names ---- */

static bool read_octet(struct str s, uint32_t *out)
{
    int64_t n;
    if (s.n == 0 || s.n > 3 || s.p[0] == '-' || s.p[0] == '+' || (s.n > 1 && s.p[0] == '0') || !str_to_int64(s, &n) ||
        n > 255) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static void ask_pointers(struct asking *q, uint32_t ip)
{
    const struct object *service = known_service_at(q->z->known, ip), *slice = known_host_at(q->z->known, ip);
    if (ip == q->z->server) {
        exists(q);
        if (wants(q, ZONE_PTR)) {
            add_name(q, ZONE_PTR, server_name(q));
        }
    }
    if (service != NULL) {
        exists(q);
        if (wants(q, ZONE_PTR)) {
            add_name(q, ZONE_PTR, service_name(q, service));
        }
    }
    if (slice == NULL) {
        return;
    }
    struct str of = object_label(slice, "kubernetes.io/service-name");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(slice), "endpoints")); mp_next(&it);) {
        struct mp_iter addresses = mp_iter(mp_get(it.value, "addresses"));
        struct str host = mp_str(mp_get(it.value, "hostname"));
        if (str_empty(host) || !mp_next(&addresses) || known_ip(mp_str(addresses.value)) != ip) {
            continue;
        }
        exists(q);
        if (wants(q, ZONE_PTR)) {
            add_name(q, ZONE_PTR,
                     str_of(arena_printf(q->arena, "%.*s.%.*s.%.*s.svc.%.*s", STR_ARG(host), STR_ARG(of),
                                         STR_ARG(slice->ns), STR_ARG(q->z->domain))));
        }
    }
}

/* count labels before in-addr.arpa, the last octet first. */
static void ask_reverse(struct asking *q)
{
    uint32_t ip = 0, octet;
    unsigned n = q->count;
    if (n == 0 || n > 4) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!read_octet(q->labels[n - 1 - i], &octet)) {
            return;
        }
        ip |= octet << (24 - 8 * i);
    }
    /* All addresses below the name must be ours. */
    uint32_t last = ip | (n == 4 ? 0 : UINT32_MAX >> (8 * n));
    bool service = is_within(q->z->services, ip) && is_within(q->z->services, last);
    bool pod = is_within(q->z->pods, ip) && is_within(q->z->pods, last);
    if (!service && !pod) {
        return;
    }
    q->out->result = n < 4 ? ZONE_NO_DATA : !known_is_complete(q->z->known) ? ZONE_UNKNOWN : ZONE_NO_NAME;
    if (q->out->result == ZONE_NO_NAME) {
        ask_pointers(q, ip);
    }
}

static void ask_name(struct asking *q)
{
    unsigned rest;
    if (ends_with(q->labels, q->count, q->z->domain, &rest)) {
        q->count = rest;
        ask_zone(q);
    } else if (q->aliases == 0 && ends_with(q->labels, q->count, STR("in-addr.arpa"), &rest)) {
        q->count = rest;
        ask_reverse(q);
    } else {
        q->out->result = ZONE_ELSEWHERE;
    }
}

void zone_ask(const struct zone *z, const struct str *labels, unsigned count, unsigned type, uint64_t dice,
              struct arena *a, struct zone_answer *out)
{
    struct asking q = {.z = z, .labels = labels, .count = count, .type = type, .dice = dice, .arena = a, .out = out};
    *out = (struct zone_answer){.result = ZONE_ELSEWHERE};
    out->end = &out->records;
    ask_name(&q);
}
