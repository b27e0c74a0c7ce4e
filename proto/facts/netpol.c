#include "proto/facts/netpol.h"

#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "proto/facts/cidr.h"

static const uint8_t empty_map[] = {0x80};

static struct mp selector_or_all(struct mp selector)
{
    return mp_type(selector) == MP_MAP ? selector : mp_of(empty_map, sizeof empty_map);
}

/* ---- Classes ---- */

/* The namespace and its end, or only the end and the first selector; then the second one. */
void netpol_class_key(const struct netpol_class *c, struct buf *out)
{
    buf_reset(out);
    buf_append_str(out, c->ns);
    buf_putc(out, '\0');
    if (c->ns.n == 0) {
        struct mp spaces = selector_or_all(c->spaces);
        buf_append(out, spaces.p, (size_t)(spaces.end - spaces.p));
    }
    struct mp pods = selector_or_all(c->pods);
    buf_append(out, pods.p, (size_t)(pods.end - pods.p));
}

bool netpol_class_read(struct str key, struct netpol_class *out)
{
    const char *nul = key.n == 0 ? NULL : memchr(key.p, '\0', key.n);
    if (nul == NULL) {
        return false;
    }
    *out = (struct netpol_class){.ns = {key.p, (size_t)(nul - key.p)}};
    struct mp rest = mp_of((const uint8_t *)nul + 1, key.n - out->ns.n - 1);
    bool ok = out->ns.n > 0 || (mp_read_item(&rest, &out->spaces) && mp_type(out->spaces) == MP_MAP);
    return ok && mp_read_item(&rest, &out->pods) && mp_type(out->pods) == MP_MAP && rest.p == rest.end;
}

/* ---- Policies ---- */

static const struct {
    const char *type, *rules, *peers;
} directions[NETPOL_DIRECTIONS] = {
    [NETPOL_INGRESS] = {"Ingress", "ingress", "from"},
    [NETPOL_EGRESS] = {"Egress", "egress", "to"},
};

bool netpol_restricts(const struct object *policy, enum netpol_direction d)
{
    struct mp types = mp_get(object_spec(policy), "policyTypes");
    if (mp_count(types) == 0) {
        return d == NETPOL_INGRESS || mp_count(netpol_rules(policy, NETPOL_EGRESS)) > 0;
    }
    for (struct mp_iter it = mp_iter(types); mp_next(&it);) {
        if (str_is(mp_str(it.value), directions[d].type)) {
            return true;
        }
    }
    return false;
}

struct netpol_class netpol_subject(const struct object *policy)
{
    return (struct netpol_class){.ns = policy->ns, .pods = selector_or_all(mp_get(object_spec(policy), "podSelector"))};
}

struct mp netpol_rules(const struct object *policy, enum netpol_direction d)
{
    return mp_get(object_spec(policy), directions[d].rules);
}

struct mp netpol_peers(struct mp rule, enum netpol_direction d)
{
    return mp_get(rule, directions[d].peers);
}

bool netpol_peer_class(const struct object *policy, struct mp peer, struct netpol_class *out)
{
    struct mp spaces = mp_get(peer, "namespaceSelector");
    bool by_space = mp_type(spaces) == MP_MAP;
    if (mp_type(mp_get(peer, "ipBlock")) == MP_MAP) {
        return false;
    }
    *out = (struct netpol_class){
        .ns = by_space ? STR_NONE : policy->ns, .spaces = spaces, .pods = selector_or_all(mp_get(peer, "podSelector"))};
    return true;
}

struct netpol_class netpol_everybody(void)
{
    struct mp all = mp_of(empty_map, sizeof empty_map);
    return (struct netpol_class){.ns = STR_NONE, .spaces = all, .pods = all};
}

bool netpol_needs_everybody(struct mp rule, enum netpol_direction d)
{
    if (d != NETPOL_EGRESS || mp_count(netpol_peers(rule, d)) > 0) {
        return false;
    }
    for (struct mp_iter it = mp_iter(mp_get(rule, "ports")); mp_next(&it);) {
        if (mp_str(mp_get(it.value, "port")).n > 0) {
            return true;
        }
    }
    return false;
}

void netpol_each_class(const struct object *policy, netpol_class_cb *cb, void *data)
{
    for (enum netpol_direction d = 0; d < NETPOL_DIRECTIONS; d++) {
        for (struct mp_iter rule = mp_iter(netpol_rules(policy, d)); netpol_restricts(policy, d) && mp_next(&rule);) {
            struct netpol_class c = netpol_everybody();
            if (netpol_needs_everybody(rule.value, d)) {
                cb(&c, data);
            }
            for (struct mp_iter peer = mp_iter(netpol_peers(rule.value, d)); mp_next(&peer);) {
                if (netpol_peer_class(policy, peer.value, &c)) {
                    cb(&c, data);
                }
            }
        }
    }
}

/* ---- Pods ---- */

bool netpol_is_subject(const struct object *pod)
{
    struct str phase = mp_str(mp_get(object_status(pod), "phase"));
    return !mp_bool(mp_get(object_spec(pod), "hostNetwork"), false) && !str_is(phase, "Succeeded") &&
           !str_is(phase, "Failed");
}

uint32_t netpol_address(const struct object *pod)
{
    uint32_t ip;
    return cidr_parse_address(mp_str(mp_get(object_status(pod), "podIP")), &ip) ? ip : 0;
}

uint8_t netpol_protocol(struct str name)
{
    return name.n == 0 || str_is(name, "TCP") ? IPPROTO_TCP
           : str_is(name, "UDP")              ? IPPROTO_UDP
           : str_is(name, "SCTP")             ? IPPROTO_SCTP
                                              : 0;
}

void netpol_each_port(const struct object *pod, netpol_port_cb *cb, void *data)
{
    static const char *const lists[] = {"initContainers", "containers"};
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter c = mp_iter(mp_get(object_spec(pod), lists[i])); mp_next(&c);) {
            for (struct mp_iter p = mp_iter(mp_get(c.value, "ports")); mp_next(&p);) {
                struct str name = mp_str(mp_get(p.value, "name"));
                int64_t number = mp_int(mp_get(p.value, "containerPort"), 0);
                uint8_t protocol = netpol_protocol(mp_str(mp_get(p.value, "protocol")));
                if (name.n > 0 && number > 0 && number <= UINT16_MAX && protocol != 0) {
                    cb(name, protocol, (uint16_t)number, data);
                }
            }
        }
    }
}
