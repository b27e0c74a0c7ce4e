#include "agent/service/table.h"

#include "base/list.h"
#include "base/strmap.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "agent/service/elements.h"
#include "base/hash.h"

#define GONE_MAX 65536u /* UDP ports that were removed since connections were last looked at */

struct entry;
/* One element, wanted or there or both. */
struct cell {
    struct cell *next;   /* of its bucket */
    struct list queue;   /* in one of table.queues if it is not in the kernel as it is wanted */
    struct entry *owner; /* of a front */
    uint32_t wanted;     /* by so many entries */
    uint8_t set;
    bool there;
    bool refused;  /* the kernel does not take what is wanted */
    uint32_t pass; /* that saw it last */
    uint8_t key[SERVICE_KEY_BYTES], want[SERVICE_DATA_BYTES], have[SERVICE_DATA_BYTES];
};
struct entry {
    struct service_port *port;
    struct cell **cells;
    unsigned count;
    bool lacks; /* a front that another port has */
};

/* Each is empty before the next begins. */
enum { QUEUE_NEEDED, QUEUE_PORTS, QUEUE_NEEDED_NO_MORE, QUEUES };

struct service_table {
    struct strmap entries; /* key -> entry */
    struct cell **buckets;
    size_t cap, cells;
    size_t wanted, refused;
    uint32_t pass;
    struct list queues[QUEUES];
    size_t waiting; /* in them */
    uint32_t addresses[SERVICE_NODE_ADDRESSES_MAX];
    unsigned addresses_count;
    struct elements scratch;
    struct strmap gone, gone_before; /* fronts of UDP: since the last sweep, and before that */
    bool flows_changed;
    unsigned udp, lacking;
};

#define X(id, name, key, data, ranges) {name, key, data, ranges},
const struct nft_set_kind service_sets[SERVICE_SETS_COUNT] = {SERVICE_SETS(X)};
#undef X

/* ---- Cells ---- */

static size_t bucket_of(const struct service_table *t, enum service_set set, const uint8_t *key)
{
    return XXH3_64bits_withSeed(key, SERVICE_KEY_BYTES, hash_seed() + set) & (t->cap - 1);
}

static struct cell *find_cell(const struct service_table *t, enum service_set set, const uint8_t *key)
{
    struct cell *c = t->buckets[bucket_of(t, set, key)];
    while (c != NULL && (c->set != set || memcmp(c->key, key, SERVICE_KEY_BYTES) != 0)) {
        c = c->next;
    }
    return c;
}

static void grow(struct service_table *t)
{
    struct cell **old = t->buckets;
    size_t old_cap = t->cap;
    t->cap *= 2;
    t->buckets = xcalloc(t->cap, sizeof(struct cell *));
    for (size_t i = 0; i < old_cap; i++) {
        for (struct cell *c = old[i], *next; c != NULL; c = next) {
            size_t at = bucket_of(t, c->set, c->key);
            next = c->next;
            c->next = t->buckets[at];
            t->buckets[at] = c;
        }
    }
    free(old);
}

static struct cell *get_cell(struct service_table *t, enum service_set set, const uint8_t *key)
{
    struct cell *c = find_cell(t, set, key);
    if (c != NULL) {
        return c;
    }
    if (t->cells >= t->cap) {
        grow(t);
    }
    c = xcalloc(1, sizeof *c);
    c->set = (uint8_t)set;
    memcpy(c->key, key, SERVICE_KEY_BYTES);
    list_init(&c->queue);
    size_t at = bucket_of(t, set, key);
    c->next = t->buckets[at];
    t->buckets[at] = c;
    t->cells++;
    return c;
}

static void unqueue(struct service_table *t, struct cell *c)
{
    t->waiting -= !list_empty(&c->queue);
    list_remove(&c->queue);
}

static void free_cell(struct service_table *t, struct cell *c)
{
    struct cell **at = &t->buckets[bucket_of(t, c->set, c->key)];
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    t->cells--;
    unqueue(t, c);
    free(c);
}

static bool is_right(const struct cell *c)
{
    return c->wanted > 0 ? c->there && memcmp(c->want, c->have, SERVICE_DATA_BYTES) == 0 : !c->there;
}

static bool is_port(enum service_set set)
{
    return set == SERVICE_SET_PORTS || set == SERVICE_SET_OUTSIDE;
}

/* The key begins with a front: it is the front's owner's alone. */
static bool is_of_front(enum service_set set)
{
    return is_port(set) || set == SERVICE_SET_ENDPOINTS || set == SERVICE_SET_SOURCES;
}

static void set_refused(struct service_table *t, struct cell *c, bool refused)
{
    t->refused += (size_t)refused - (size_t)c->refused;
    c->refused = refused;
}

static void settle(struct service_table *t, struct cell *c)
{
    unqueue(t, c);
    if (c->wanted == 0) {
        set_refused(t, c, false);
    }
    if (c->refused) {
        return;
    }
    if (!is_right(c)) {
        unsigned which = is_port(c->set) ? QUEUE_PORTS : c->wanted > 0 ? QUEUE_NEEDED : QUEUE_NEEDED_NO_MORE;
        list_push_back(&t->queues[which], &c->queue);
        t->waiting++;
    } else if (c->wanted == 0) {
        free_cell(t, c);
    }
}

/* ---- What an entry wants ---- */

static void want(struct service_table *t, struct cell *c, struct entry *e, const uint8_t *data)
{
    t->wanted += c->wanted == 0;
    c->wanted++;
    c->pass = t->pass;
    if (memcmp(c->want, data, SERVICE_DATA_BYTES) != 0) {
        set_refused(t, c, false);
    }
    memcpy(c->want, data, SERVICE_DATA_BYTES);
    c->owner = c->set == SERVICE_SET_PORTS ? e : NULL;
}

/* The cell stays in the kernel until the queue comes to it. */
static void unwant(struct service_table *t, struct cell *c)
{
    assert(c->wanted > 0);
    c->wanted--;
    t->wanted -= c->wanted == 0;
    c->owner = c->wanted > 0 ? c->owner : NULL;
}

static void set_lacks(struct service_table *t, struct entry *e, bool lacks)
{
    t->lacking += (unsigned)lacks - (unsigned)e->lacks;
    e->lacks = lacks;
}

static void remember_gone(struct service_table *t, const struct cell *c)
{
    if (c->set == SERVICE_SET_PORTS && c->key[ELEMENT_PROTOCOL_AT] == IPPROTO_UDP && c->wanted == 0 &&
        t->gone.count < GONE_MAX) {
        strmap_set(&t->gone, (struct str){(const char *)c->key, SERVICE_FRONT_BYTES}, t);
        t->flows_changed = true;
    }
}

/* The front goes to somebody whose key is smaller. */
static void take_front(struct service_table *t, struct entry *o, const uint8_t *front)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < o->count; i++) {
        struct cell *c = o->cells[i];
        if (is_of_front(c->set) && memcmp(c->key, front, SERVICE_FRONT_BYTES) == 0) {
            unwant(t, c);
            settle(t, c);
        } else {
            o->cells[kept++] = c;
        }
    }
    o->count = kept;
    set_lacks(t, o, true);
}

/* Whose front it is, or becomes: false if somebody with a smaller key has it. */
static bool claim(struct service_table *t, struct entry *e, const struct element *w)
{
    uint8_t front[SERVICE_KEY_BYTES] = {0};
    memcpy(front, w->key, SERVICE_FRONT_BYTES);
    const struct cell *c = find_cell(t, SERVICE_SET_PORTS, front);
    if (c != NULL && c->owner != NULL && c->owner != e) {
        if (strcmp(c->owner->port->key, e->port->key) < 0) {
            return false;
        }
        take_front(t, c->owner, front);
    }
    return true;
}

/* Makes e's cells those of the list: first its own are let go, then those of the list are wanted, then what changed
 * is queued. */
static void apply(struct service_table *t, struct entry *e, const struct elements *list)
{
    struct cell **old = e->cells;
    unsigned old_count = e->count;
    bool lacks = false;
    t->pass++;
    for (unsigned i = 0; i < old_count; i++) {
        unwant(t, old[i]);
    }
    e->cells = xcalloc(list->count + 1, sizeof(struct cell *));
    e->count = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct element *w = &list->list[i];
        if (is_of_front(w->set) && !claim(t, e, w)) {
            lacks = true;
            continue;
        }
        struct cell *c = get_cell(t, w->set, w->key);
        if (c->wanted > 0 && c->pass == t->pass) {
            continue; /* twice in the list */
        }
        want(t, c, e, w->data);
        e->cells[e->count++] = c;
    }
    set_lacks(t, e, lacks);
    for (unsigned i = 0; i < e->count; i++) {
        settle(t, e->cells[i]);
    }
    for (unsigned i = old_count; i-- > 0;) {
        if (old[i]->pass != t->pass) {
            remember_gone(t, old[i]);
            settle(t, old[i]);
        }
    }
    free(old);
}

static void recompute(struct service_table *t, struct entry *e)
{
    elements_of(&t->scratch, e->port, t->addresses, t->addresses_count);
    apply(t, e, &t->scratch);
    t->flows_changed = t->flows_changed || e->port->protocol == IPPROTO_UDP;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    return strcmp((*x)->port->key, (*y)->port->key);
}

/* In the order of the keys: what is told to the kernel does not depend on addresses in memory. */
static void recompute_all(struct service_table *t, bool lacking_only)
{
    struct entry **list = xcalloc(t->entries.count + 1, sizeof(struct entry *));
    const struct strmap_entry *m;
    unsigned n = 0;
    for (size_t i = 0; (m = strmap_next(&t->entries, &i)) != NULL;) {
        struct entry *e = m->value;
        if (!lacking_only || e->lacks) {
            list[n++] = e;
        }
    }
    qsort(list, n, sizeof *list, by_key);
    for (unsigned i = 0; i < n; i++) {
        recompute(t, list[i]);
    }
    free(list);
}

/* ---- Public ---- */

struct service_table *service_table_new(void)
{
    struct service_table *t = xcalloc(1, sizeof *t);
    strmap_init(&t->entries);
    strmap_init(&t->gone);
    strmap_init(&t->gone_before);
    for (unsigned i = 0; i < QUEUES; i++) {
        list_init(&t->queues[i]);
    }
    t->cap = 64;
    t->buckets = xcalloc(t->cap, sizeof(struct cell *));
    return t;
}

static void free_entry(struct entry *e)
{
    free(e->port);
    free(e->cells);
    free(e);
}

void service_table_free(struct service_table *t)
{
    const struct strmap_entry *m;
    for (size_t i = 0; t != NULL && (m = strmap_next(&t->entries, &i)) != NULL;) {
        free_entry(m->value);
    }
    for (size_t i = 0; t != NULL && i < t->cap; i++) {
        for (struct cell *c = t->buckets[i], *next; c != NULL; c = next) {
            next = c->next;
            free(c);
        }
    }
    if (t != NULL) {
        strmap_close(&t->entries);
        strmap_close(&t->gone);
        strmap_close(&t->gone_before);
        elements_close(&t->scratch);
        free(t->buckets);
        free(t);
    }
}

void service_table_set_addresses(struct service_table *t, const uint32_t *ips, unsigned count)
{
    count = MIN(count, SERVICE_NODE_ADDRESSES_MAX);
    if (count == t->addresses_count && (count == 0 || memcmp(ips, t->addresses, count * sizeof *ips) == 0)) {
        return;
    }
    memset(t->addresses, 0, sizeof t->addresses);
    for (unsigned i = 0; i < count; i++) {
        t->addresses[i] = ips[i];
    }
    t->addresses_count = count;
    recompute_all(t, false);
}

void service_table_put(struct service_table *t, const struct service_port *p)
{
    struct str key = str_of(p->key);
    struct entry *e = strmap_get(&t->entries, key);
    if (e != NULL && service_port_equal(e->port, p)) {
        return;
    }
    if (e == NULL) {
        e = xcalloc(1, sizeof *e);
        strmap_set(&t->entries, key, e);
    } else {
        t->udp -= e->port->protocol == IPPROTO_UDP;
    }
    free(e->port);
    e->port = service_port_copy(p);
    t->udp += p->protocol == IPPROTO_UDP;
    recompute(t, e);
    if (t->lacking > 0) {
        recompute_all(t, true);
    }
}

void service_table_remove(struct service_table *t, const char *key)
{
    static const struct elements nothing;
    struct entry *e = strmap_remove(&t->entries, str_of(key));
    if (e == NULL) {
        return;
    }
    apply(t, e, &nothing);
    t->udp -= e->port->protocol == IPPROTO_UDP;
    free_entry(e);
    if (t->lacking > 0) {
        recompute_all(t, true);
    }
}

size_t service_table_count(const struct service_table *t)
{
    return t->entries.count;
}

size_t service_table_elements(const struct service_table *t)
{
    return t->wanted;
}

size_t service_table_waiting(const struct service_table *t)
{
    return t->waiting;
}

unsigned service_table_next(const struct service_table *t, struct nft_change *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 0; i < QUEUES; i++) {
        for (struct list *it = t->queues[i].next; it != &t->queues[i] && n < max; it = it->next) {
            const struct cell *c = LIST_ENTRY(it, struct cell, queue);
            bool add = c->wanted > 0;
            out[n++] = (struct nft_change){c->set, add, add && c->there, c->key, c->want};
        }
    }
    return n;
}

void service_table_done(struct service_table *t, unsigned count)
{
    for (unsigned i = 0; count > 0; count--) {
        while (list_empty(&t->queues[i])) {
            i++;
            assert(i < QUEUES);
        }
        struct cell *c = LIST_ENTRY(t->queues[i].next, struct cell, queue);
        c->there = c->wanted > 0;
        memcpy(c->have, c->want, SERVICE_DATA_BYTES);
        settle(t, c);
    }
}

static const char *owner_of(const struct service_table *t, const struct cell *c)
{
    const struct strmap_entry *m;
    for (size_t i = 0; (m = strmap_next(&t->entries, &i)) != NULL;) {
        const struct entry *e = m->value;
        for (unsigned k = 0; k < e->count; k++) {
            if (e->cells[k] == c) {
                return e->port->key;
            }
        }
    }
    return NULL;
}

const char *service_table_refuse(struct service_table *t)
{
    unsigned i = 0;
    while (list_empty(&t->queues[i])) {
        i++;
        assert(i < QUEUES);
    }
    struct cell *c = LIST_ENTRY(t->queues[i].next, struct cell, queue);
    const char *owner = owner_of(t, c);
    if (c->wanted > 0) {
        set_refused(t, c, true);
    } else {
        c->there = false;
    }
    settle(t, c);
    return owner;
}

unsigned service_table_settled(const struct service_table *t, size_t *cursor, struct nft_change *out, unsigned max)
{
    unsigned n = 0;
    size_t at = *cursor < t->cap ? *cursor : 0;
    for (; at < t->cap; at++) {
        unsigned before = n;
        const struct cell *c = t->buckets[at];
        for (; c != NULL && n < max; c = c->next) {
            if (c->there && c->wanted > 0 && is_right(c)) {
                out[n++] = (struct nft_change){c->set, true, false, c->key, c->want};
            }
        }
        if (c != NULL && before > 0) {
            n = before; /* a bucket is told whole */
            break;
        }
    }
    *cursor = at < t->cap ? at : 0;
    return n;
}

size_t service_table_refused(const struct service_table *t)
{
    return t->refused;
}

void service_table_retry(struct service_table *t)
{
    for (size_t i = 0; i < t->cap && t->refused > 0; i++) {
        for (struct cell *c = t->buckets[i], *next; c != NULL; c = next) {
            next = c->next;
            if (c->refused) {
                set_refused(t, c, false);
                settle(t, c);
            }
        }
    }
}

void service_change_text(const struct nft_change *c, char out[SERVICE_CHANGE_TEXT])
{
    const uint8_t *k = c->key;
    int n = snprintf(out, SERVICE_CHANGE_TEXT, "%s %u.%u.%u.%u", service_sets[c->set].name, k[0], k[1], k[2], k[3]);
    if (is_of_front(c->set)) {
        const char *protocol = k[ELEMENT_PROTOCOL_AT] == IPPROTO_UDP    ? "udp"
                               : k[ELEMENT_PROTOCOL_AT] == IPPROTO_SCTP ? "sctp"
                                                                        : "tcp";
        snprintf(out + n, SERVICE_CHANGE_TEXT - (size_t)n, " %s %u", protocol, (unsigned)k[8] << 8 | k[9]);
    }
}

void service_table_forget(struct service_table *t)
{
    for (size_t i = 0; i < t->cap; i++) {
        for (struct cell *c = t->buckets[i], *next; c != NULL; c = next) {
            next = c->next;
            c->there = false;
            set_refused(t, c, false);
            unqueue(t, c);
            if (c->wanted == 0) {
                free_cell(t, c);
            }
        }
    }
    /* In the order of the keys, as in recompute_all. */
    struct entry **list = xcalloc(t->entries.count + 1, sizeof(struct entry *));
    const struct strmap_entry *m;
    unsigned n = 0;
    for (size_t i = 0; (m = strmap_next(&t->entries, &i)) != NULL;) {
        list[n++] = m->value;
    }
    qsort(list, n, sizeof *list, by_key);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < list[i]->count; k++) {
            settle(t, list[i]->cells[k]);
        }
    }
    free(list);
}

bool service_table_knows(const struct service_table *t, enum service_set set, const uint8_t *key)
{
    return find_cell(t, set, key) != NULL;
}

void service_table_found(struct service_table *t, enum service_set set, const uint8_t *key, const uint8_t *data)
{
    struct cell *c = get_cell(t, set, key);
    c->there = true;
    memcpy(c->have, data, SERVICE_DATA_BYTES);
    if (c->wanted == 0) {
        memcpy(c->want, data, SERVICE_DATA_BYTES);
        remember_gone(t, c);
    }
    settle(t, c);
}

/* ---- Connections of UDP ---- */

bool service_table_flow_is_stale(const struct service_table *t, uint32_t ip, uint16_t port, uint32_t reply_ip,
                                 uint16_t reply_port)
{
    uint8_t key[SERVICE_KEY_BYTES];
    element_front(key, ip, IPPROTO_UDP, port);
    const struct cell *c = find_cell(t, SERVICE_SET_PORTS, key);
    if (c == NULL || c->owner == NULL) {
        bool was_led = reply_ip != ip || reply_port != port;
        struct str front = {(const char *)key, SERVICE_FRONT_BYTES};
        return was_led && (strmap_get(&t->gone, front) != NULL || strmap_get(&t->gone_before, front) != NULL);
    }
    const struct service_port *p = c->owner->port;
    for (unsigned i = 0; i < p->endpoints_count; i++) {
        const struct service_endpoint *e = &p->endpoints[i];
        if (e->ip == reply_ip && e->port == reply_port && (e->ready || e->serving)) {
            return false;
        }
    }
    return true;
}

bool service_table_flows_changed(const struct service_table *t)
{
    return t->flows_changed;
}

bool service_table_has_flows(const struct service_table *t)
{
    return t->udp > 0 || t->gone.count > 0;
}

static void add_front(struct service_front **list, size_t *count, size_t *cap, const uint8_t *key)
{
    uint32_t ip;
    uint16_t port;
    if (*count == *cap) {
        *cap = MAX((size_t)64, *cap * 2);
        *list = xrealloc(*list, *cap * sizeof **list);
    }
    memcpy(&ip, key, sizeof ip);
    memcpy(&port, key + 8, sizeof port);
    (*list)[(*count)++] = (struct service_front){ntohl(ip), ntohs(port)};
}

size_t service_table_flow_fronts(const struct service_table *t, struct service_front **out)
{
    const struct strmap_entry *m;
    size_t count = 0, cap = 0;
    *out = NULL;
    for (size_t i = 0; (m = strmap_next(&t->entries, &i)) != NULL;) {
        const struct entry *e = m->value;
        for (unsigned k = 0; e->port->protocol == IPPROTO_UDP && k < e->count; k++) {
            if (e->cells[k]->set == SERVICE_SET_PORTS) {
                add_front(out, &count, &cap, e->cells[k]->key);
            }
        }
    }
    for (size_t i = 0; (m = strmap_next(&t->gone, &i)) != NULL;) {
        add_front(out, &count, &cap, (const uint8_t *)m->key);
    }
    return count;
}

void service_table_flows_swept(struct service_table *t)
{
    t->flows_changed = false;
    strmap_close(&t->gone_before);
    t->gone_before = t->gone;
    strmap_init(&t->gone);
}
