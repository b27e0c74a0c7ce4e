#include "proto/net/gate.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "proto/pki/x509.h"

#define RETRY_MS 2000

/* A network or a certificate's name, while it has places. */
struct net_party {
    unsigned open[NET_CLASSES];
    unsigned places; /* of all classes */
    char key[];
};

struct net_gate {
    unsigned refs;
    struct net_gate_config config;
    struct net_gate_stats stats;
    unsigned open;           /* of all classes */
    int64_t strict_until_ms; /* networks that have most of the handshakes do not get to wait */
    struct list handshakes;
    struct strmap parties; /* key -> struct net_party */
};

static const char *const words[NET_CLASSES] = {
#define X(name, word) word,
    NET_CLASS_LIST(X)
#undef X
};

const char *net_class_word(enum net_class c)
{
    return words[c];
}

enum net_class net_class_of(enum pki_role role)
{
    switch (role) {
    case PKI_ROLE_MASTER:
        return NET_CLASS_MASTER;
    case PKI_ROLE_NODE:
        return NET_CLASS_NODE;
    case PKI_ROLE_ADMIN:
        return NET_CLASS_ADMIN;
    case PKI_ROLE_USER:
        return NET_CLASS_USER;
    case PKI_ROLE_NONE:
        break;
    }
    return NET_CLASS_STRANGER;
}

/* ---- Shares ---- */

static unsigned clamp(unsigned n, unsigned least, unsigned most)
{
    return MIN(MAX(n, least), most);
}

void net_gate_share(unsigned descriptors, struct net_gate_config *out)
{
    assert(descriptors >= NET_GATE_DESCRIPTORS_LEAST);
    unsigned n = descriptors, reserve = clamp(n / 8, 64, 512);
    n = MIN(n - reserve, NET_GATE_CONNS_MAX);
    struct net_gate_config c = {.total = n};
    c.max[NET_CLASS_HANDSHAKE] = clamp(n / 8, 32, 2048);
    c.max[NET_CLASS_STRANGER] = clamp(n / 16, 16, 256);
    c.max[NET_CLASS_MASTER] = clamp(n / 16, 16, 128);
    c.max[NET_CLASS_USER] = MIN(n / 8, NET_GATE_USERS_MAX);
    c.max[NET_CLASS_ADMIN] = MIN(n / 4 - n / 8 / 2, NET_GATE_USERS_MAX / 2);
    c.max[NET_CLASS_NODE] = n;
    for (int i = 0; i < NET_CLASSES; i++) {
        c.max[NET_CLASS_NODE] -= i == NET_CLASS_NODE ? 0 : c.max[i];
    }
    c.each[NET_CLASS_HANDSHAKE] = c.max[NET_CLASS_HANDSHAKE] / 4 * 3; /* once all are taken */
    c.each[NET_CLASS_STRANGER] = clamp(c.max[NET_CLASS_STRANGER] / 8, 4, 32);
    c.each[NET_CLASS_NODE] = 8; /* one, and those whose end has not been noticed yet */
    c.each[NET_CLASS_MASTER] = 16;
    c.each[NET_CLASS_ADMIN] = MAX(c.max[NET_CLASS_ADMIN] / 2, 16u);
    c.each[NET_CLASS_USER] = MAX(c.max[NET_CLASS_USER] / 4, 8u);
    *out = c;
}

void net_gate_plain(unsigned total, struct net_gate_config *out)
{
    *out = (struct net_gate_config){.total = total};
    for (int i = 0; i < NET_CLASSES; i++) {
        out->max[i] = out->each[i] = total;
    }
}

/* ---- The gate ---- */

struct net_gate *net_gate_new(const struct net_gate_config *config)
{
    struct net_gate *g = xcalloc(1, sizeof *g);
    g->refs = 1;
    g->config = *config;
    list_init(&g->handshakes);
    strmap_init(&g->parties);
    return g;
}

struct net_gate *net_gate_ref(struct net_gate *g)
{
    assert(g->refs > 0);
    g->refs++;
    return g;
}

void net_gate_unref(struct net_gate *g)
{
    if (g == NULL) {
        return;
    }
    assert(g->refs > 0);
    if (--g->refs == 0) {
        assert(g->open == 0 && g->parties.count == 0);
        strmap_close(&g->parties);
        free(g);
    }
}

struct net_gate_stats *net_gate_stats(struct net_gate *g)
{
    return &g->stats;
}

const struct net_gate_config *net_gate_config(const struct net_gate *g)
{
    return &g->config;
}

/* ---- Parties ---- */

static struct net_party *party(struct net_gate *g, const char *key)
{
    struct net_party *p = strmap_get(&g->parties, str_of(key));
    if (p == NULL) {
        size_t size = strlen(key) + 1;
        p = xcalloc(1, sizeof *p + size);
        memcpy(p->key, key, size);
        strmap_set(&g->parties, str_of(key), p);
    }
    return p;
}

static void party_tidy(struct net_gate *g, struct net_party *p)
{
    if (p->places == 0) {
        strmap_remove(&g->parties, str_of(p->key));
        free(p);
    }
}

static void count(struct net_gate *g, struct net_party *p, enum net_class class, bool in)
{
    if (p != NULL) {
        assert(in || (p->open[class] > 0 && p->places > 0));
        p->open[class] += in ? 1u : -1u;
        p->places += in ? 1u : -1u;
        if (!in) {
            party_tidy(g, p);
        }
    }
}

static void network_key(const struct sockaddr *from, char key[40])
{
    const uint8_t *a = NULL;
    unsigned n = 0;
    if (from->sa_family == AF_INET) {
        a = (const uint8_t *)&((const struct sockaddr_in *)(const void *)from)->sin_addr;
        n = 4;
    } else if (from->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(in6);
        a = in6->s6_addr + (mapped ? 12 : 0);
        n = mapped ? 4 : 8;
    }
    char *at = key + snprintf(key, 8, "net:");
    for (unsigned i = 0; i < n; i++) {
        at += snprintf(at, 3, "%02x", a[i]);
    }
}

/* ---- In and out ---- */

enum net_gate_answer net_gate_enter(struct net_gate *g, const struct sockaddr *from, int64_t now_ms, bool waited,
                                    struct net_place *p)
{
    assert(p->gate == NULL);
    char key[40];
    network_key(from, key);
    struct net_party *network = party(g, key);
    bool full = g->stats.open[NET_CLASS_HANDSHAKE] >= g->config.max[NET_CLASS_HANDSHAKE];
    bool refused = g->open >= g->config.total;
    if (full && !refused) {
        /* Whoever has most of the places must not make others wait for one; but a crowd that comes at once, and
         * whose handshakes go on, may. */
        bool most = network->open[NET_CLASS_HANDSHAKE] >= g->config.each[NET_CLASS_HANDSHAKE];
        refused = most && (waited || now_ms < g->strict_until_ms) && net_gate_victim(g, now_ms) == NULL;
        if (refused && waited) {
            g->strict_until_ms = now_ms + NET_GATE_PATIENCE_MS;
        }
        if (!refused) {
            party_tidy(g, network);
            return NET_GATE_FULL;
        }
    }
    if (refused) {
        g->stats.refused[NET_CLASS_HANDSHAKE]++;
        party_tidy(g, network);
        return NET_GATE_REFUSED;
    }
    *p = (struct net_place){
        .gate = net_gate_ref(g), .class = NET_CLASS_HANDSHAKE, .network = network, .since_ms = now_ms};
    list_push_back(&g->handshakes, &p->link);
    count(g, network, NET_CLASS_HANDSHAKE, true);
    g->stats.open[NET_CLASS_HANDSHAKE]++;
    g->open++;
    return NET_GATE_IN;
}

struct net_place *net_gate_victim(struct net_gate *g, int64_t now_ms)
{
    struct net_place *victim = NULL;
    LIST_FOR(it, &g->handshakes)
    {
        struct net_place *p = LIST_ENTRY(it, struct net_place, link);
        if (p->refused) {
            return p;
        }
        if (now_ms - p->since_ms <= NET_GATE_PATIENCE_MS) {
            continue;
        }
        if (victim == NULL || p->network->open[NET_CLASS_HANDSHAKE] > victim->network->open[NET_CLASS_HANDSHAKE]) {
            victim = p;
        }
    }
    return victim;
}

/* ERR_LIMIT in words. */
static int refuse(struct net_gate *g, enum net_class class, bool whole_class, const struct pki_identity *who,
                  struct error *err)
{
    g->stats.refused[class]++;
    if (whole_class) {
        error_set(err, ERR_LIMIT, "all %u connections that this master keeps for %s are in use; try again later",
                  g->config.max[class], words[class]);
    } else if (class == NET_CLASS_STRANGER) {
        error_set(err, ERR_LIMIT,
                  "your address has %u connections without a certificate, which is all that one may have; close some",
                  g->config.each[class]);
    } else {
        error_set(err, ERR_LIMIT,
                  "the certificate of %s %s has %u connections, which is all that one may have; close some",
                  pki_role_word(who->role), who->name, g->config.each[class]);
    }
    if (err != NULL) {
        err->retry_after_ms = RETRY_MS;
    }
    return ERR_LIMIT;
}

int net_gate_admit(struct net_place *p, const struct pki_identity *who, struct error *err)
{
    struct net_gate *g = p->gate;
    assert(g != NULL && p->class == NET_CLASS_HANDSHAKE);
    enum net_class class = net_class_of(who->role);
    struct net_party *name = NULL, *peer = p->network;
    if (class != NET_CLASS_STRANGER) {
        char key[PKI_NAME_MAX + 16];
        snprintf(key, sizeof key, "%s:%s", pki_role_word(who->role), who->name);
        peer = name = party(g, key);
    }
    bool whole_class = g->stats.open[class] >= g->config.max[class];
    if (whole_class || peer->open[class] >= g->config.each[class]) {
        if (name != NULL) {
            party_tidy(g, name);
        }
        p->refused = true;
        return refuse(g, class, whole_class, who, err);
    }
    list_remove(&p->link);
    g->stats.open[NET_CLASS_HANDSHAKE]--;
    g->stats.open[class]++;
    count(g, peer, class, true); /* before it leaves: a network without places is forgotten */
    count(g, p->network, NET_CLASS_HANDSHAKE, false);
    p->class = class;
    p->name = name;
    p->network = class == NET_CLASS_STRANGER ? p->network : NULL;
    return 0;
}

bool net_gate_prove(struct net_place *p, const struct pki_identity *who)
{
    struct net_gate *g = p->gate;
    enum net_class class = net_class_of(who->role);
    char key[PKI_NAME_MAX + 16];
    if (g == NULL || p->class != NET_CLASS_STRANGER || class == NET_CLASS_STRANGER) {
        return false;
    }
    snprintf(key, sizeof key, "%s:%s", pki_role_word(who->role), who->name);
    struct net_party *name = party(g, key);
    if (g->stats.open[class] >= g->config.max[class] || name->open[class] >= g->config.each[class]) {
        party_tidy(g, name);
        return false;
    }
    g->stats.open[NET_CLASS_STRANGER]--;
    g->stats.open[class]++;
    count(g, name, class, true);
    count(g, p->network, NET_CLASS_STRANGER, false);
    p->class = class;
    p->name = name;
    p->network = NULL;
    return true;
}

uint64_t net_gate_network(const struct net_place *p)
{
    assert(p->class == NET_CLASS_HANDSHAKE && p->network != NULL);
    uint64_t hash = hash_seed() ^ 0xcbf29ce484222325; /* FNV-1a */
    for (const char *at = p->network->key; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3;
    }
    return hash;
}

void net_gate_move(const struct net_place *from, struct net_place *to)
{
    assert(from->class == NET_CLASS_HANDSHAKE && to->gate == NULL);
    *to = *from;
    to->link.prev->next = to->link.next->prev = &to->link;
}

void net_gate_leave(struct net_place *p)
{
    struct net_gate *g = p->gate;
    if (g == NULL) {
        return;
    }
    assert(g->stats.open[p->class] > 0 && g->open > 0);
    if (p->class == NET_CLASS_HANDSHAKE) {
        list_remove(&p->link);
    }
    g->stats.open[p->class]--;
    g->open--;
    count(g, p->network, p->class, false);
    count(g, p->name, p->class, false);
    *p = (struct net_place){0};
    net_gate_unref(g);
}
