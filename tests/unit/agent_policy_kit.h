/* Policies, pods and namespaces of a cluster as a test writes them; what a node is told of them, and what its table in
 * the kernel says of a connection. Beside that, slow and plain, what Kubernetes says of it. */
#ifndef TESTS_UNIT_AGENT_POLICY_KIT_H
#define TESTS_UNIT_AGENT_POLICY_KIT_H

#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#include "agent/policy/core.h"
#include "agent/policy/skeleton.h"
#include "base/strmap.h"
#include "proto/facts/cidr.h"
#include "proto/facts/netpol.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/selector.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define THINGS_MAX 256

struct thing {
    struct object *object;
    bool here; /* a pod of this node */
};
struct cluster {
    struct arena arena;
    struct thing namespaces[THINGS_MAX], pods[THINGS_MAX], policies[THINGS_MAX];
    unsigned namespaces_count, pods_count, policies_count;
};

static inline uint32_t address_of(const char *text)
{
    uint32_t ip;
    assert_true(cidr_parse_address(str_of(text), &ip));
    return ip;
}

/* ---- What there is ---- */

static inline struct object *make_object(struct cluster *c, const char *yaml)
{
    struct value **docs;
    unsigned count;
    struct error err = {0};
    struct object *o = NULL;
    if (yaml_read(&c->arena, str_of(yaml), NULL, &docs, &count, &err) != 0) {
        fail_msg("%s: %s", yaml, err.message);
    }
    const struct kind *k = kind_of_document(&c->arena, docs[0], &err);
    if (k == NULL || kind_check(k, &c->arena, docs[0], NULL, 0, &err) != 0) {
        fail_msg("%s: %s", yaml, err.message);
    }
    assert_int_equal(object_from_value(k, docs[0], 1, &o, &err), 0);
    return o;
}

static inline struct thing *list_of(struct cluster *c, enum kind_id kind, unsigned **count)
{
    *count = kind == KIND_NAMESPACE ? &c->namespaces_count : kind == KIND_POD ? &c->pods_count : &c->policies_count;
    return kind == KIND_NAMESPACE ? c->namespaces : kind == KIND_POD ? c->pods : c->policies;
}

/* New, or in place of the one with the same name. */
static inline struct thing *put_thing(struct cluster *c, const char *yaml)
{
    struct object *o = make_object(c, yaml);
    unsigned *count;
    struct thing *list = list_of(c, o->kind->id, &count);
    for (unsigned i = 0; i < *count; i++) {
        if (str_eq(list[i].object->name, o->name) && str_eq(list[i].object->ns, o->ns)) {
            object_unref(list[i].object);
            list[i].object = o;
            return &list[i];
        }
    }
    assert_true(*count < THINGS_MAX);
    list[*count] = (struct thing){.object = o};
    return &list[(*count)++];
}

static inline void remove_thing(struct cluster *c, enum kind_id kind, unsigned which)
{
    unsigned *count;
    struct thing *list = list_of(c, kind, &count);
    object_unref(list[which].object);
    list[which] = list[--*count];
}

static inline void close_cluster(struct cluster *c)
{
    while (c->namespaces_count > 0) {
        remove_thing(c, KIND_NAMESPACE, 0);
    }
    while (c->pods_count > 0) {
        remove_thing(c, KIND_POD, 0);
    }
    while (c->policies_count > 0) {
        remove_thing(c, KIND_NETWORKPOLICY, 0);
    }
    arena_close(&c->arena);
}

/* ---- What Kubernetes says ---- */

static inline bool selector_has(struct mp selector, struct mp labels)
{
    CLEANUP_ARENA struct arena a;
    struct selector *s;
    arena_init(&a);
    assert_int_equal(selector_from_mp(&a, selector, &s, NULL), 0);
    return selector_matches(s, labels);
}

static inline struct mp labels_of(const struct object *o)
{
    return mp_path(object_mp(o), "metadata.labels");
}

static inline bool peer_has_pod(const struct cluster *c, const struct object *policy, struct mp peer,
                                const struct object *pod)
{
    struct mp spaces = mp_get(peer, "namespaceSelector"), pods = mp_get(peer, "podSelector");
    if (mp_type(spaces) != MP_MAP && !str_eq(policy->ns, pod->ns)) {
        return false;
    }
    for (unsigned i = 0; mp_type(spaces) == MP_MAP && i < c->namespaces_count; i++) {
        const struct object *ns = c->namespaces[i].object;
        if (str_eq(ns->name, pod->ns) && !selector_has(spaces, labels_of(ns))) {
            return false;
        }
    }
    return mp_type(pods) != MP_MAP || selector_has(pods, labels_of(pod));
}

static inline bool block_has(struct mp block, uint32_t ip)
{
    struct cidr range;
    if (!cidr_parse(mp_str(mp_get(block, "cidr")), &range) || !cidr_contains(range, ip)) {
        return false;
    }
    for (struct mp_iter it = mp_iter(mp_get(block, "except")); mp_next(&it);) {
        if (cidr_parse(mp_str(it.value), &range) && cidr_contains(range, ip)) {
            return false;
        }
    }
    return true;
}

static inline const struct object *pod_at(const struct cluster *c, uint32_t ip)
{
    for (unsigned i = 0; i < c->pods_count; i++) {
        if (netpol_is_subject(c->pods[i].object) && netpol_address(c->pods[i].object) == ip) {
            return c->pods[i].object;
        }
    }
    return NULL;
}

struct connection {
    uint32_t client, server;
    uint8_t protocol;
    uint16_t port;
};

struct named {
    struct str name;
    const struct connection *to;
    bool found, right;
};

static inline void look_at_port(struct str name, uint8_t protocol, uint16_t port, void *data)
{
    struct named *n = data;
    if (!n->found && str_eq(name, n->name) && protocol == n->to->protocol) {
        n->found = true;
        n->right = port == n->to->port;
    }
}

static inline bool ports_have(const struct cluster *c, struct mp ports, const struct connection *to, bool nameless)
{
    bool right = mp_count(ports) == 0;
    for (struct mp_iter it = mp_iter(ports); !right && mp_next(&it);) {
        struct mp port = mp_get(it.value, "port");
        if (netpol_protocol(mp_str(mp_get(it.value, "protocol"))) != to->protocol) {
            continue;
        }
        if (mp_str(port).n > 0) {
            struct named n = {.name = mp_str(port), .to = to};
            const struct object *pod = pod_at(c, to->server);
            if (pod != NULL && !nameless) {
                netpol_each_port(pod, look_at_port, &n);
            }
            right = n.right;
        } else if (mp_type(port) == MP_INT) {
            int64_t first = mp_int(port, 0), last = mp_int(mp_get(it.value, "endPort"), first);
            right = to->port >= first && to->port <= last;
        } else {
            right = true;
        }
    }
    return right;
}

static inline bool rule_allows(const struct cluster *c, const struct object *policy, struct mp rule,
                               enum netpol_direction d, const struct connection *to)
{
    struct mp peers = mp_get(rule, d == NETPOL_INGRESS ? "from" : "to"), ports = mp_get(rule, "ports");
    uint32_t other = d == NETPOL_INGRESS ? to->client : to->server;
    const struct object *pod = pod_at(c, other);
    if (mp_count(peers) == 0) {
        return ports_have(c, ports, to, false);
    }
    for (struct mp_iter it = mp_iter(peers); mp_next(&it);) {
        struct mp block = mp_get(it.value, "ipBlock");
        if (mp_type(block) == MP_MAP
                ? block_has(block, other) && ports_have(c, ports, to, d == NETPOL_EGRESS)
                : pod != NULL && peer_has_pod(c, policy, it.value, pod) && ports_have(c, ports, to, false)) {
            return true;
        }
    }
    return false;
}

/* As the node of `here` alone decides. */
static inline bool is_allowed(const struct cluster *c, const struct connection *to)
{
    for (enum netpol_direction d = 0; d < NETPOL_DIRECTIONS; d++) {
        uint32_t own = d == NETPOL_INGRESS ? to->server : to->client;
        bool selected = false, allowed = false;
        for (unsigned i = 0; i < c->pods_count; i++) {
            const struct object *pod = c->pods[i].object;
            if (!c->pods[i].here || !netpol_is_subject(pod) || netpol_address(pod) != own) {
                continue;
            }
            for (unsigned k = 0; k < c->policies_count; k++) {
                const struct object *policy = c->policies[k].object;
                if (!str_eq(policy->ns, pod->ns) || !netpol_restricts(policy, d) ||
                    !selector_has(mp_get(object_spec(policy), "podSelector"), labels_of(pod))) {
                    continue;
                }
                selected = true;
                for (struct mp_iter rule = mp_iter(netpol_rules(policy, d)); mp_next(&rule);) {
                    allowed = allowed || rule_allows(c, policy, rule.value, d, to);
                }
            }
        }
        if (selected && !allowed && to->client != to->server) {
            return false;
        }
    }
    return true;
}

/* ---- What a node is told: all of it ---- */

struct class_writer {
    const struct cluster *cluster;
    struct buf *out;
    struct strmap seen;
};

static inline void write_port(struct str name, uint8_t protocol, uint16_t port, void *data)
{
    mp_write_array(data, 3);
    mp_write_str(data, name);
    mp_write_int(data, protocol);
    mp_write_int(data, port);
}

static inline void count_port(struct str name, uint8_t protocol, uint16_t port, void *data)
{
    (void)name;
    (void)protocol;
    (void)port;
    ++*(uint32_t *)data;
}

static inline void write_member(struct buf *out, const struct object *pod)
{
    uint32_t ports = 0;
    netpol_each_port(pod, count_port, &ports);
    mp_write_array(out, ports > 0 ? 2 : 1);
    mp_write_int(out, netpol_address(pod));
    if (ports > 0) {
        mp_write_array(out, ports);
        netpol_each_port(pod, write_port, out);
    }
}

static inline bool class_has(const struct cluster *c, const struct netpol_class *class, const struct object *pod)
{
    if (class->ns.n > 0 && !str_eq(class->ns, pod->ns)) {
        return false;
    }
    for (unsigned i = 0; class->ns.n == 0 && i < c->namespaces_count; i++) {
        const struct object *ns = c->namespaces[i].object;
        if (str_eq(ns->name, pod->ns) && !selector_has(class->spaces, labels_of(ns))) {
            return false;
        }
    }
    return selector_has(class->pods, labels_of(pod));
}

static inline void write_class(const struct netpol_class *class, void *data)
{
    struct class_writer *w = data;
    CLEANUP_BUF struct buf key = BUF_INIT;
    CLEANUP_BUF struct buf members = BUF_INIT;
    uint32_t count = 0;
    netpol_class_key(class, &key);
    if (strmap_set(&w->seen, buf_str(&key), w) != NULL) {
        return;
    }
    for (unsigned i = 0; i < w->cluster->pods_count; i++) {
        const struct object *pod = w->cluster->pods[i].object;
        if (netpol_is_subject(pod) && netpol_address(pod) != 0 && class_has(w->cluster, class, pod)) {
            write_member(&members, pod);
            count++;
        }
    }
    mp_write_map(w->out, 3);
    mp_write_key_str(w->out, "key", buf_str(&key));
    mp_write_key_bool(w->out, "whole", true);
    mp_write_cstr(w->out, "members");
    mp_write_array(w->out, count);
    buf_append(w->out, members.data, members.size);
}

static inline void tell_all(const struct cluster *c, struct policy_core *core, uint64_t revision)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf classes = BUF_INIT;
    struct class_writer w = {.cluster = c, .out = &classes};
    strmap_init(&w.seen);
    for (unsigned i = 0; i < c->policies_count; i++) {
        netpol_each_class(c->policies[i].object, write_class, &w);
    }
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "revision", (int64_t)revision);
    mp_write_key_bool(&b, "whole", true);
    mp_write_cstr(&b, "policies");
    mp_write_array(&b, c->policies_count);
    for (unsigned i = 0; i < c->policies_count; i++) {
        object_write_wire(&b, c->policies[i].object);
    }
    mp_write_cstr(&b, "classes");
    mp_write_array(&b, (uint32_t)w.seen.count);
    buf_append(&b, classes.data, classes.size);
    mp_write_key_bool(&b, "complete", true);
    strmap_close(&w.seen);
    policy_core_told(core, mp_of(b.data, b.size));
}

static inline void put_pods_here(const struct cluster *c, struct policy_core *core)
{
    for (unsigned i = 0; i < c->pods_count; i++) {
        if (c->pods[i].here && netpol_is_subject(c->pods[i].object)) {
            policy_core_put_pod(core, c->pods[i].object, netpol_address(c->pods[i].object), 0);
        }
    }
}

/* ---- The kernel ---- */

struct kernel {
    struct strmap elements; /* set and key -> its data, a copy */
};

struct element_key {
    char bytes[NFT_KEY_BYTES + 1];
};

static inline struct str element_key(struct element_key *k, unsigned set, const uint8_t *key)
{
    k->bytes[0] = (char)set;
    memcpy(k->bytes + 1, key, NFT_KEY_BYTES);
    return (struct str){k->bytes, sizeof k->bytes};
}

static inline bool ranges_overlap(const uint8_t *a, const uint8_t *b, unsigned set)
{
    size_t same = set == POLICY_SET_RANGES ? POLICY_PORTS_BYTES - 4 : 4;
    return memcmp(a, b, same) == 0 && memcmp(a + same, b + same + 4, 4) <= 0 && memcmp(b + same, a + same + 4, 4) <= 0;
}

/* One change, as the kernel takes it: nothing twice, nothing that is not there, no ranges that overlap. */
static inline void kernel_apply(struct kernel *k, const struct nft_change *c)
{
    struct element_key at;
    struct str key = element_key(&at, c->set, c->key);
    uint8_t *former = strmap_get(&k->elements, key);
    assert_true(c->add ? (former != NULL) == c->replaces : former != NULL);
    if (former != NULL) {
        free(strmap_remove(&k->elements, key));
    }
    const struct strmap_entry *e;
    bool ranged = c->set == POLICY_SET_RANGES || c->set == POLICY_SET_BLOCKS;
    for (size_t i = 0; c->add && ranged && (e = strmap_next(&k->elements, &i)) != NULL;) {
        assert_false((unsigned)e->key[0] == c->set && ranges_overlap((const uint8_t *)e->key + 1, c->key, c->set));
    }
    if (c->add) {
        strmap_set(&k->elements, key, xmemdup(c->data, NFT_DATA_BYTES));
    }
}

static inline int removals_first(const void *a, const void *b)
{
    const struct nft_change *x = a, *y = b;
    return (x->add && !x->replaces) - (y->add && !y->replaces);
}

/* A transaction of all that waits; of each set the kernel takes out what goes first. */
static inline unsigned kernel_commit(struct kernel *k, struct cells *cells)
{
    struct nft_change *list = xcalloc(cells_waiting(cells) + 1, sizeof *list);
    unsigned n = cells_next(cells, list, (unsigned)cells_waiting(cells));
    qsort(list, n, sizeof *list, removals_first);
    for (unsigned i = 0; i < n; i++) {
        kernel_apply(k, &list[i]);
    }
    free(list);
    cells_done(cells, n);
    assert_int_equal(cells_waiting(cells), 0);
    return n;
}

static inline void kernel_close(struct kernel *k)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&k->elements, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&k->elements);
}

static inline const uint8_t *kernel_get(const struct kernel *k, unsigned set, const void *key, size_t size)
{
    uint8_t whole[NFT_KEY_BYTES] = {0};
    struct element_key at;
    memcpy(whole, key, size);
    return strmap_get(&k->elements, element_key(&at, set, whole));
}

static inline bool kernel_number(const struct kernel *k, unsigned set, const void *key, size_t size, uint32_t *out)
{
    const uint8_t *data = kernel_get(k, set, key, size);
    if (data != NULL) {
        memcpy(out, data, sizeof *out);
    }
    return data != NULL;
}

static inline bool kernel_block(const struct kernel *k, uint32_t at, uint32_t *out)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&k->elements, &i)) != NULL;) {
        const char *key = e->key + 1;
        if (e->key[0] == POLICY_SET_BLOCKS && memcmp(key + 4, &at, 4) <= 0 && memcmp(&at, key + 8, 4) <= 0) {
            memcpy(out, e->value, sizeof *out);
            return true;
        }
    }
    return false;
}

static inline bool kernel_has_port(const struct kernel *k, uint32_t list, uint8_t protocol, uint16_t port)
{
    uint8_t key[POLICY_PORTS_BYTES] = {0};
    uint16_t at = htons(port);
    const struct strmap_entry *e;
    memcpy(key, &list, 4);
    key[4] = protocol;
    memcpy(key + 8, &at, 2);
    if (list == POLICY_ALL_PORTS || kernel_get(k, POLICY_SET_PORTS, key, sizeof key) != NULL) {
        return true;
    }
    for (size_t i = 0; (e = strmap_next(&k->elements, &i)) != NULL;) {
        const char *x = e->key + 1;
        if (e->key[0] == POLICY_SET_RANGES && memcmp(x, key, 8) == 0 && memcmp(x + 8, &at, 2) <= 0 &&
            memcmp(&at, x + 12, 2) <= 0) {
            return true;
        }
    }
    return false;
}

/* What the chains of skeleton.h do with it. */
static inline bool kernel_passes(const struct kernel *k, const struct connection *to)
{
    static const enum policy_set pods[] = {POLICY_SET_PODS_OUT, POLICY_SET_PODS_IN};
    static const enum policy_set rules[] = {POLICY_SET_RULES_OUT, POLICY_SET_RULES_IN};
    for (unsigned i = 0; i < 2; i++) {
        uint32_t self[2] = {htonl(to->client), htonl(to->server)};
        uint32_t key[2] = {self[i], POLICY_ANYBODY}, other = self[1 - i], list;
        if (kernel_get(k, pods[i], key, 4) == NULL || kernel_get(k, POLICY_SET_SELVES, self, sizeof self) != NULL) {
            continue;
        }
        (void)(kernel_number(k, POLICY_SET_PEERS, &other, sizeof other, &key[1]) || kernel_block(k, other, &key[1]));
        bool found = kernel_number(k, rules[i], key, sizeof key, &list);
        if (!found) {
            key[1] = POLICY_ANYBODY;
            found = kernel_number(k, rules[i], key, sizeof key, &list);
        }
        if (!found || !kernel_has_port(k, list, to->protocol, to->port)) {
            return false;
        }
    }
    return true;
}

#endif
