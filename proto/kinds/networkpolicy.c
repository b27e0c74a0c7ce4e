/* NetworkPolicy: who may connect to pods, and where they may connect to. Source: Kubernetes networking.k8s.io/v1.
 *
 * Policies only allow. A pod that no policy selects for a direction is open in that direction; one that some select
 * gets what any of them allows. An empty `from` or `to` is as good as none: everybody. A range of IPv6 matches nobody,
 * as pods have addresses of IPv4: whoever writes one is warned. Stricter than Kubernetes: all rules of a policy
 * together have PEERS_MAX peers and PORTS_MAX ports at most, because every peer is looked for among all pods. */
#include "proto/describe/parts.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"
#include "proto/schema/selector.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
SCHEMA_STATIC(policy_port, "NetworkPolicyPort", "Ports of the pod that is connected to.",
    STRING("protocol", "TCP, UDP or SCTP.", DEFAULT("TCP"), ONE_OF("TCP|UDP|SCTP")),
    INT_OR_STRING("port", "A number, or the name of a container's port, which may be another number in each pod. "
                  "Without one: all ports of the protocol."),
    INT32("endPort", "The last port of a range that begins with the number in port."));

SCHEMA_STATIC(ip_block, "IPBlock", "A range of addresses, as they arrive at the node.",
    STRING("cidr", "The range, such as 192.168.1.0/24. One of IPv6 matches nobody: pods have addresses of IPv4.",
           REQUIRED),
    STRINGS("except", "Ranges inside of it that are left out."));

SCHEMA_STATIC(policy_peer, "NetworkPolicyPeer", "Pods or addresses. Both selectors in one item: pods that both "
              "select.",
    OBJECT("podSelector", schema_label_selector, "Pods, of the policy's namespace if there is no namespaceSelector."),
    OBJECT("namespaceSelector", schema_label_selector, "Namespaces by their labels; all pods in them if there is no "
           "podSelector."),
    OBJECT("ipBlock", ip_block, "A range of addresses; not beside selectors."));

SCHEMA_STATIC(ingress_rule, "NetworkPolicyIngressRule", "Who may connect to which ports.",
    OBJECTS("ports", policy_port, "Ports of the selected pods; none: all of them."),
    OBJECTS("from", policy_peer, "Who may connect: any of these; none: everybody."));

SCHEMA_STATIC(egress_rule, "NetworkPolicyEgressRule", "Where the pods may connect to.",
    OBJECTS("ports", policy_port, "Ports there; none: all of them."),
    OBJECTS("to", policy_peer, "Where to: any of these; none: everywhere."));

SCHEMA_STATIC(policy_spec, "NetworkPolicySpec", "Whom the policy selects, and what it allows them.",
    OBJECT("podSelector", schema_label_selector, "Pods of its namespace that it is for; {}: all of them."),
    OBJECTS("ingress", ingress_rule, "What may come to the pods. Beside policyTypes Ingress an empty list is nothing."),
    OBJECTS("egress", egress_rule, "Where the pods may connect to. Beside policyTypes Egress an empty list is "
            "nowhere."),
    STRINGS("policyTypes", "Directions that it restricts: Ingress, Egress. Unset: Ingress, and Egress if there is an "
            "egress rule."));

SCHEMA_STATIC(policy, "NetworkPolicy", "Who may connect to pods, and where they may connect to.",
    TYPE_META,
    OBJECT("spec", policy_spec, "Whom it selects, and what it allows them.", REQUIRED));
/* clang-format on */

/* ---- Defaults ---- */

static void policy_fill(struct arena *a, struct value *obj)
{
    struct value *spec = value_get(obj, "spec");
    if (!value_is_map(spec)) {
        return;
    }
    (void)value_ensure_map(a, spec, "podSelector");
    if (value_count(value_get(spec, "policyTypes")) == 0) {
        struct value *types = value_ensure_list(a, spec, "policyTypes");
        value_append(a, types, value_cstr(a, "Ingress"));
        if (value_count(value_get(spec, "egress")) > 0) {
            value_append(a, types, value_cstr(a, "Egress"));
        }
    }
}

/* ---- Rules ---- */

static void check_end_port(const struct value *port, const struct fpath *p, struct errlist *l)
{
    const struct value *first = value_get(port, "port"), *last = value_get(port, "endPort");
    if (last == NULL) {
        return;
    }
    if (first == NULL) {
        bad_missing(l, port, FPATH_AT(p, "endPort"), "may not be specified when `port` is not specified");
    } else if (value_is_str(first)) {
        bad_value(l, last, FPATH_AT(p, "endPort"), "may not be specified when `port` is a name");
    } else if (value_to_int(last, 0) < value_to_int(first, 0)) {
        bad_value(l, last, FPATH_AT(p, "endPort"), "must be greater than or equal to `port`");
    } else {
        check_range(l, last, FPATH_AT(p, "endPort"), 1, 65535);
    }
}

static void check_port(const struct value *port, const struct fpath *p, struct errlist *l)
{
    const struct value *v = value_get(port, "port");
    if (v != NULL && value_is_str(v)) {
        if (!name_is_port(value_to_str(v))) {
            bad_value(l, v, FPATH_AT(p, "port"), NAME_PORT_WHY);
        }
    } else {
        check_range(l, v, FPATH_AT(p, "port"), 1, 65535);
    }
    check_end_port(port, p, l);
}

struct range {
    int family;
    uint8_t bytes[16];
    unsigned bits;
};

static bool read_range(struct str s, struct range *out)
{
    char text[64];
    const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
    if (!name_is_cidr(s) || slash == NULL || (size_t)(slash - s.p) >= sizeof text) {
        return false;
    }
    memset(out, 0, sizeof *out);
    memcpy(text, s.p, (size_t)(slash - s.p));
    text[slash - s.p] = '\0';
    out->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    for (const char *c = slash + 1; c < s.p + s.n; c++) {
        out->bits = out->bits * 10 + (unsigned)(*c - '0');
    }
    return inet_pton(out->family, text, out->bytes) == 1;
}

/* Source: Kubernetes' ValidateIPBlock: strictly within. */
static bool is_within(const struct range *inner, const struct range *outer)
{
    if (inner->family != outer->family || inner->bits <= outer->bits) {
        return false;
    }
    for (unsigned i = 0; i < outer->bits; i++) {
        unsigned bit = 0x80u >> (i % 8);
        if ((inner->bytes[i / 8] & bit) != (outer->bytes[i / 8] & bit)) {
            return false;
        }
    }
    return true;
}

static void check_block(const struct value *block, const struct fpath *p, struct errlist *l)
{
    const struct value *cidr = value_get(block, "cidr"), *except = value_get(block, "except");
    struct range outer, inner;
    if (value_to_str(cidr).n == 0) {
        return; /* said already */
    }
    if (!read_range(value_to_str(cidr), &outer)) {
        bad_value(l, cidr, FPATH_AT(p, "cidr"), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        return;
    }
    VALUE_FOR(i, except)
    {
        const struct value *v = value_item(except, i);
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "except"), i);
        if (!read_range(value_to_str(v), &inner)) {
            bad_value(l, v, at, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        } else if (!is_within(&inner, &outer)) {
            bad_value(l, v, at, "must be a strict subset of `cidr`");
        }
    }
}

static void check_peer(const struct value *peer, const struct fpath *p, struct errlist *l)
{
    const struct value *pods = value_get(peer, "podSelector"), *spaces = value_get(peer, "namespaceSelector"),
                       *block = value_get(peer, "ipBlock");
    if (pods == NULL && spaces == NULL && block == NULL) {
        bad_missing(l, peer, p, "must specify a peer");
    } else if (block != NULL && (pods != NULL || spaces != NULL)) {
        bad_forbidden(l, peer, p, "may not specify both ipBlock and another peer");
    }
    check_label_selector(l, pods, FPATH_AT(p, "podSelector"));
    check_label_selector(l, spaces, FPATH_AT(p, "namespaceSelector"));
    if (block != NULL) {
        check_block(block, FPATH_AT(p, "ipBlock"), l);
    }
}

static void check_rules(const struct value *rules, const char *peers, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, rules)
    {
        const struct value *rule = value_item(rules, i), *ports = value_get(rule, "ports"),
                           *list = value_get(rule, peers);
        const struct fpath *at = FPATH_ITEM(p, i);
        VALUE_FOR(k, ports)
        {
            check_port(value_item(ports, k), FPATH_ITEM(FPATH_AT(at, "ports"), k), l);
        }
        VALUE_FOR(k, list)
        {
            check_peer(value_item(list, k), FPATH_ITEM(FPATH_AT(at, peers), k), l);
        }
    }
}

#define PEERS_MAX 1024u
#define PORTS_MAX 4096u

static unsigned count_all(const struct value *spec, const char *rules, const char *member)
{
    const struct value *list = value_get(spec, rules);
    unsigned n = 0;
    VALUE_FOR(i, list)
    {
        n += value_count(value_get(value_item(list, i), member));
    }
    return n;
}

static void check_size(const struct value *spec, struct errlist *l)
{
    unsigned peers = count_all(spec, "ingress", "from") + count_all(spec, "egress", "to");
    unsigned ports = count_all(spec, "ingress", "ports") + count_all(spec, "egress", "ports");
    if (peers > PEERS_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, spec, "spec", "Too many: %u peers in all rules: must have at most %u",
                    peers, PEERS_MAX);
    }
    if (ports > PORTS_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, spec, "spec", "Too many: %u ports in all rules: must have at most %u",
                    ports, PORTS_MAX);
    }
}

static void policy_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *types = value_get(spec, "policyTypes");
    const struct fpath *p = FPATH("spec");
    (void)old;
    check_size(spec, l);
    check_label_selector(l, value_get(spec, "podSelector"), FPATH_AT(p, "podSelector"));
    check_rules(value_get(spec, "ingress"), "from", FPATH_AT(p, "ingress"), l);
    check_rules(value_get(spec, "egress"), "to", FPATH_AT(p, "egress"), l);
    if (value_count(types) > 2) {
        bad_value(l, types, FPATH_AT(p, "policyTypes"), "may not specify more than two policyTypes");
        return;
    }
    VALUE_FOR(i, types)
    {
        if (!in_choices(value_to_str(value_item(types, i)), "Ingress|Egress")) {
            bad_choice(l, value_item(types, i), FPATH_ITEM(FPATH_AT(p, "policyTypes"), i), "Egress|Ingress");
        }
    }
}

/* ---- For people ---- */

static void write_selector(struct buf *out, struct mp selector, const char *none)
{
    CLEANUP_ARENA struct arena a;
    struct selector *s;
    arena_init(&a);
    if (selector_from_mp(&a, selector, &s, NULL) != 0 || selector_empty(s)) {
        buf_puts(out, none);
    } else {
        selector_write(out, s);
    }
}

static void cell_pod_selector(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    write_selector(out, mp_path(object_mp(o), "spec.podSelector"), "<none>");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "POD-SELECTOR", .cell = cell_pod_selector},
    {.title = "AGE"},
};

struct words {
    const char *rules, *peers, *peer, *none, *any;
};
static const struct words ingress_words = {"ingress", "from",
                                           "From:", "<none> (Selected pods are isolated for ingress connectivity)",
                                           "From: <any> (traffic not restricted by source)"};
static const struct words egress_words = {"egress", "to",
                                          "To:", "<none> (Selected pods are isolated for egress connectivity)",
                                          "To: <any> (traffic not restricted by destination)"};

static void describe_port(struct buf *out, struct mp port)
{
    struct mp number = mp_get(port, "port");
    struct str protocol = mp_str(mp_get(port, "protocol")), name = mp_str(number);
    buf_puts(out, "    To Port: ");
    if (mp_type(number) == MP_INT) {
        buf_printf(out, "%d", (int)mp_int(number, 0));
    } else {
        buf_append_str(out, name.n > 0 ? name : STR("<any>"));
    }
    if (mp_int(mp_get(port, "endPort"), 0) > 0) {
        buf_printf(out, "-%d", (int)mp_int(mp_get(port, "endPort"), 0));
    }
    buf_printf(out, "/%.*s\n", STR_ARG(protocol.n > 0 ? protocol : STR("TCP")));
}

static void describe_peer(struct buf *out, struct mp peer)
{
    struct mp pods = mp_get(peer, "podSelector"), spaces = mp_get(peer, "namespaceSelector"),
              block = mp_get(peer, "ipBlock");
    if (mp_type(spaces) == MP_MAP) {
        buf_puts(out, "      NamespaceSelector: ");
        write_selector(out, spaces, "<none>");
        buf_putc(out, '\n');
    }
    if (mp_type(pods) == MP_MAP) {
        buf_puts(out, "      PodSelector: ");
        write_selector(out, pods, "<none>");
        buf_putc(out, '\n');
    }
    if (mp_type(block) == MP_MAP) {
        unsigned n = 0;
        buf_printf(out, "      IPBlock:\n        CIDR: %.*s\n        Except: ", STR_ARG(mp_str(mp_get(block, "cidr"))));
        for (struct mp_iter it = mp_iter(mp_get(block, "except")); mp_next(&it);) {
            buf_printf(out, "%s%.*s", n++ > 0 ? ", " : "", STR_ARG(mp_str(it.value)));
        }
        buf_putc(out, '\n');
    }
}

static void describe_rule(struct buf *out, struct mp rule, const struct words *w)
{
    struct mp ports = mp_get(rule, "ports"), peers = mp_get(rule, w->peers);
    if (mp_count(ports) == 0) {
        buf_puts(out, "    To Port: <any> (traffic allowed to all ports)\n");
    }
    for (struct mp_iter it = mp_iter(ports); mp_next(&it);) {
        describe_port(out, it.value);
    }
    if (mp_count(peers) == 0) {
        buf_printf(out, "    %s\n", w->any);
    }
    for (struct mp_iter it = mp_iter(peers); mp_next(&it);) {
        buf_printf(out, "    %s\n", w->peer);
        describe_peer(out, it.value);
    }
}

static bool has_type(struct mp types, const char *type)
{
    for (struct mp_iter it = mp_iter(types); mp_next(&it);) {
        if (str_is(mp_str(it.value), type)) {
            return true;
        }
    }
    return false;
}

static void describe_rules(struct buf *out, struct mp spec, const struct words *w, bool affected)
{
    struct mp rules = mp_get(spec, w->rules);
    unsigned n = 0;
    if (!affected) {
        buf_printf(out, "  Not affecting %s traffic\n", w->rules);
        return;
    }
    buf_printf(out, "  Allowing %s traffic:\n", w->rules);
    if (mp_count(rules) == 0) {
        buf_printf(out, "    %s\n", w->none);
    }
    for (struct mp_iter it = mp_iter(rules); mp_next(&it);) {
        buf_puts(out, n++ > 0 ? "    ----------\n" : "");
        describe_rule(out, it.value, w);
    }
}

/* As kubectl prints it, but for the end of a range of ports, which it leaves out. */
static void policy_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp spec = mp_get(object_mp(o), "spec"), types = mp_get(spec, "policyTypes");
    unsigned n = 0;
    (void)c;
    describe_head(out, o, 14);
    buf_puts(out, "Spec:\n  PodSelector:     ");
    write_selector(out, mp_get(spec, "podSelector"),
                   "<none> (Allowing the specific traffic to all pods in this namespace)");
    buf_putc(out, '\n');
    describe_rules(out, spec, &ingress_words, has_type(types, "Ingress"));
    describe_rules(out, spec, &egress_words, has_type(types, "Egress"));
    buf_puts(out, "  Policy Types: ");
    for (struct mp_iter it = mp_iter(types); mp_next(&it);) {
        buf_printf(out, "%s%.*s", n++ > 0 ? ", " : "", STR_ARG(mp_str(it.value)));
    }
    buf_putc(out, '\n');
    describe_events(out, c);
}

const struct kind kind_networkpolicy = {
    .id = KIND_NETWORKPOLICY,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "NetworkPolicy",
    .api_version = "networking.k8s.io/v1",
    .plural = "networkpolicies",
    .singular = "networkpolicy",
    .short_names = "netpol",
    .namespaced = true,
    .has_generation = true,
    .schema = &policy,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = policy_validate,
    .fill = policy_fill,
    .doubt = policy_doubt,
    .describe = policy_describe,
};
