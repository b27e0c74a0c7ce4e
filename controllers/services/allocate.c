#include "controllers/services/allocate.h"

#include <stdio.h>
#include <string.h>

#include "proto/facts/claim.h"
#include "proto/facts/cluster.h"

/* ---- What is claimed ---- */

void claims_init(struct claims *c, const struct txn *t)
{
    *c = (struct claims){.txn = t};
    strmap_init(&c->taken);
    strmap_init(&c->written);
}

void claims_close(struct claims *c)
{
    strmap_close(&c->taken);
    strmap_close(&c->written);
}

static const char *owner_text(struct arena *a, struct str ns, struct str name)
{
    return arena_printf(a, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
}

struct noting {
    struct claims *claims;
    const char *owner;
};

static void note_claim(void *data, struct str key)
{
    struct noting *n = data;
    strmap_set(&n->claims->taken, key, (void *)n->owner);
}

/* The transaction has grown. */
static void claims_follow(struct claims *c, struct arena *a)
{
    for (; c->txn != NULL && c->seen < c->txn->count; c->seen++) {
        const struct txn_op *op = &c->txn->ops[c->seen];
        if (op->kind->id != KIND_SERVICE || op->type == TXN_CHECK) {
            continue;
        }
        struct noting n = {c, owner_text(a, op->ns, op->name)};
        strmap_set(&c->written, str_of(n.owner), c);
        if (op->object != NULL) {
            op->kind->claims(op->object, note_claim, &n);
        }
    }
}

struct asking {
    const struct allocate *al;
    const char *owner; /* who asks */
    struct buf key;
    uint64_t kept; /* an address that nobody gets who does not ask for it; 0 = none */
};

/* By another Service. */
static bool is_claimed(const struct asking *q)
{
    const struct allocate *al = q->al;
    const char *there = strmap_get(&al->claims->taken, buf_str(&q->key));
    if (there != NULL && strcmp(there, q->owner) != 0) {
        return true;
    }
    struct view_iter it;
    view_iter_index(&it, al->view, VIEW_BY_CLAIM, buf_str(&q->key), kind_by_id(KIND_SERVICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        char text[NAMESPACE_KEY_MAX + NAME_KEY_MAX + 2];
        snprintf(text, sizeof text, "%.*s/%.*s", STR_ARG(o->ns), STR_ARG(o->name));
        if (strcmp(text, q->owner) != 0 && strmap_get(&al->claims->written, str_of(text)) == NULL) {
            return true;
        }
    }
    return false;
}

/* ---- Ranges ---- */

struct range {
    uint64_t first, count; /* what may be had */
    uint64_t lower;        /* of them the part for who chooses */
};

/* Without the first address, which is the network's, and the last. */
static struct range address_range(struct cidr c)
{
    uint64_t size = cidr_size(c), lower = MIN(MAX(16, size / 16), 256);
    if (size <= 2) {
        return (struct range){c.first, size, 0};
    }
    return (struct range){c.first + 1, size - 2, MIN(lower, size - 2)};
}

static struct range port_range(const struct cluster_config *config)
{
    uint64_t size = config->node_port_last - config->node_port_first + 1;
    uint64_t lower = size < 16 ? 0 : MIN(MAX(16, size / 32), 128);
    return (struct range){config->node_port_first, size, MIN(lower, size)};
}

static bool in_range(struct range r, uint64_t n)
{
    return n >= r.first && n < r.first + r.count;
}

typedef bool range_free(struct asking *q, uint64_t n);

/* From a place chosen by chance upwards, round once; the upper part before the lower. 0: none is free. */
static uint64_t range_choose(struct asking *q, struct range r, range_free *is_free)
{
    const struct range parts[] = {{r.first + r.lower, r.count - r.lower, 0}, {r.first, r.lower, 0}};
    for (unsigned p = 0; p < ARRAY_SIZE(parts); p++) {
        uint64_t count = parts[p].count, at = count > 0 ? rng_below(q->al->rng, count) : 0;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t n = parts[p].first + (at + i) % count;
            if (is_free(q, n)) {
                return n;
            }
        }
    }
    return 0;
}

/* ---- Addresses ---- */

static void ip_text(uint64_t n, char out[CIDR_TEXT_SIZE])
{
    cidr_text((struct cidr){(uint32_t)n, 32}, out);
    *strchr(out, '/') = '\0';
}

static bool address_is_free(struct asking *q, uint64_t n)
{
    char text[CIDR_TEXT_SIZE];
    if (n == q->kept) {
        return false;
    }
    ip_text(n, text);
    claim_address(&q->key, str_of(text));
    return !is_claimed(q);
}

static int bad_address(const struct asking *q, struct str ip, const char *why, struct error *err)
{
    const char *name = strchr(q->owner, '/') + 1;
    return error_set_field(err, ERR_INVALID, "spec.clusterIPs",
                           "Service \"%s\" is invalid: spec.clusterIPs: Invalid value: [\"%.*s\"]: failed to allocate "
                           "IP %.*s: %s",
                           name, STR_ARG(ip), STR_ARG(ip), why);
}

static int allocate_address(struct asking *q, const struct cluster_config *config, const struct value *old,
                            struct value *spec, struct error *err)
{
    struct arena *a = q->al->arena;
    struct str ip = value_to_str(value_get(spec, "clusterIP"));
    struct range r = address_range(config->services);
    uint32_t asked;
    char text[CIDR_TEXT_SIZE];
    if (ip.n > 0 && (str_is(ip, "None") || str_eq(ip, value_to_str(value_get(old, "clusterIP"))))) {
        return 0;
    }
    if (ip.n > 0) {
        bool right = cidr_parse_address(ip, &asked);
        bool inside = right && in_range(r, asked), free = inside && address_is_free(q, asked);
        cidr_text(config->services, text);
        if (free) {
            return 0;
        }
        if (!q->al->mends) {
            return bad_address(q, ip,
                               inside ? "provided IP is already allocated"
                                      : arena_printf(a,
                                                     "the provided IP is not in the valid range. The range of valid "
                                                     "IPs is %s",
                                                     text),
                               err);
        }
    }
    q->kept = cluster_names_address(config->services);
    uint64_t n = range_choose(q, r, address_is_free);
    if (n == 0) {
        cidr_text(config->services, text);
        return error_set_field(err, ERR_FORBIDDEN, "spec.clusterIP",
                               "failed to allocate an address for Service \"%s\": the range %s is full; delete "
                               "services that nobody needs",
                               strchr(q->owner, '/') + 1, text);
    }
    ip_text(n, text);
    struct value *list = value_list(a);
    value_append(a, list, value_cstr(a, text));
    value_set(a, spec, "clusterIP", value_cstr(a, text));
    value_set(a, spec, "clusterIPs", list);
    return 0;
}

/* ---- Ports of the nodes ---- */

static bool port_is_free_for(struct asking *q, struct str protocol, uint64_t n)
{
    claim_port(&q->key, protocol, (int64_t)n);
    return !is_claimed(q);
}

struct port_asking {
    struct asking asking;   /* first */
    uint8_t own[65536 / 8]; /* numbers that ports of the same Service have, bit by bit */
};

static void own_add(struct port_asking *q, int64_t number)
{
    if (number > 0 && number < 65536) {
        q->own[number / 8] |= (uint8_t)(1u << (number % 8));
    }
}

static void own_read(struct port_asking *q, const struct value *spec)
{
    const struct value *ports = value_get(spec, "ports");
    VALUE_FOR(i, ports)
    {
        own_add(q, value_to_int(value_get(value_item(ports, i), "nodePort"), 0));
    }
    own_add(q, value_to_int(value_get(spec, "healthCheckNodePort"), 0));
}

/* One that is chosen is free for every protocol, and not used by another port of the same Service. */
static bool port_is_free(struct asking *q, uint64_t n)
{
    static const char *const protocols[] = {"TCP", "UDP", "SCTP"};
    if (((struct port_asking *)q)->own[n / 8] & 1u << (n % 8)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (!port_is_free_for(q, str_of(protocols[i]), n)) {
            return false;
        }
    }
    return true;
}

/* Did the Service have this number for this protocol before? */
static bool had_port(const struct value *old, struct str protocol, int64_t number)
{
    const struct value *ports = value_get(old, "ports");
    VALUE_FOR(i, ports)
    {
        const struct value *p = value_item(ports, i);
        if (value_to_int(value_get(p, "nodePort"), 0) == number &&
            str_eq(value_to_str(value_get(p, "protocol")), protocol)) {
            return true;
        }
    }
    return str_is(protocol, "TCP") && value_to_int(value_get(old, "healthCheckNodePort"), 0) == number;
}

/* at: "spec.ports[0].nodePort". number: 0 = any. The number it gets; 0: err says why not. */
static int64_t allocate_port(struct port_asking *q, const struct cluster_config *config, const struct value *old,
                             struct str protocol, int64_t number, const char *at, struct error *err)
{
    struct asking *asking = &q->asking;
    struct range r = port_range(config);
    const char *name = strchr(asking->owner, '/') + 1;
    if (number != 0 && had_port(old, protocol, number)) {
        return number;
    }
    if (number != 0) {
        bool inside = number > 0 && in_range(r, (uint64_t)number);
        if (inside && port_is_free_for(asking, protocol, (uint64_t)number)) {
            return number;
        }
        if (!asking->al->mends) {
            error_set_field(
                err, ERR_INVALID, at, "Service \"%s\" is invalid: %s: Invalid value: %lld: %s%s", name, at,
                (long long)number,
                inside ? "provided port is already allocated"
                       : "provided port is not in the valid range. The range of valid ports is ",
                inside ? ""
                       : arena_printf(asking->al->arena, "%u-%u", config->node_port_first, config->node_port_last));
            return 0;
        }
    }
    number = (int64_t)range_choose(asking, r, port_is_free);
    if (number == 0) {
        error_set_field(err, ERR_FORBIDDEN, at,
                        "failed to allocate a node port for Service \"%s\": the range %u-%u is full; delete services "
                        "that nobody needs, or set a larger serviceNodePortRange",
                        name, config->node_port_first, config->node_port_last);
    }
    return number;
}

/* The number that a port with the same number and another protocol has: DNS has one for both. 0: there is none. */
static int64_t port_of_sibling(struct port_asking *q, const struct value *ports, const struct value *port)
{
    struct str protocol = value_to_str(value_get(port, "protocol"));
    VALUE_FOR(i, ports)
    {
        const struct value *other = value_item(ports, i);
        int64_t number = value_to_int(value_get(other, "nodePort"), 0);
        if (number != 0 && value_equal(value_get(other, "port"), value_get(port, "port")) &&
            !str_eq(value_to_str(value_get(other, "protocol")), protocol) &&
            port_is_free_for(&q->asking, protocol, (uint64_t)number)) {
            return number;
        }
    }
    return 0;
}

static int allocate_ports(struct port_asking *q, const struct cluster_config *config, const struct value *old,
                          struct value *spec, struct error *err)
{
    struct arena *a = q->asking.al->arena;
    struct value *ports = value_get(spec, "ports");
    bool balanced = str_is(value_to_str(value_get(spec, "type")), "LoadBalancer");
    bool all = !balanced || value_to_bool(value_get(spec, "allocateLoadBalancerNodePorts"), true);
    /* Those that are asked for first, so that none of them is chosen for another port. */
    for (int pass = 0; pass < 2; pass++) {
        VALUE_FOR(i, ports)
        {
            struct value *port = value_item(ports, i);
            struct str protocol = value_to_str(value_get(port, "protocol"));
            int64_t asked = value_to_int(value_get(port, "nodePort"), 0);
            if ((asked != 0) != (pass == 0) || (asked == 0 && !all)) {
                continue;
            }
            int64_t number = asked == 0 ? port_of_sibling(q, ports, port) : 0;
            if (number == 0) {
                number =
                    allocate_port(q, config, old, protocol, asked, arena_printf(a, "spec.ports[%u].nodePort", i), err);
            }
            if (number == 0) {
                return err->code;
            }
            value_set(a, port, "nodePort", value_int(a, number));
            own_add(q, number);
        }
    }
    bool local = str_is(value_to_str(value_get(spec, "externalTrafficPolicy")), "Local");
    if (balanced && local) {
        int64_t number =
            allocate_port(q, config, old, STR("TCP"), value_to_int(value_get(spec, "healthCheckNodePort"), 0),
                          "spec.healthCheckNodePort", err);
        if (number == 0) {
            return err->code;
        }
        value_set(a, spec, "healthCheckNodePort", value_int(a, number));
    }
    return 0;
}

int service_allocate(const struct allocate *al, const struct value *old_doc, struct value *doc, struct error *err)
{
    struct cluster_config config;
    struct value *spec = value_get(doc, "spec");
    const struct value *old = value_get(old_doc, "spec");
    struct str type = value_to_str(value_get(spec, "type"));
    if (!value_is_map(spec) || str_is(type, "ExternalName")) {
        return 0;
    }
    cluster_config_read(view_get(al->view, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)),
                        &config);
    claims_follow(al->claims, al->arena);
    struct port_asking q = {.asking = {.al = al,
                                       .owner = owner_text(al->arena, value_path_str(doc, "metadata.namespace"),
                                                           value_path_str(doc, "metadata.name")),
                                       .key = BUF_INIT}};
    own_read(&q, spec);
    int rv = allocate_address(&q.asking, &config, old, spec, err);
    if (rv == 0 && (str_is(type, "NodePort") || str_is(type, "LoadBalancer"))) {
        rv = allocate_ports(&q, &config, old, spec, err);
    }
    buf_close(&q.asking.key);
    return rv;
}
