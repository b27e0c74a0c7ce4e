/* Identities: what addresses of which all rules speak alike have in common (peers.h). */
#include "agent/policy/peers_int.h"

#include <stdlib.h>
#include <string.h>

void peers_free_identity(struct identity *i)
{
    free(i->groups.list);
    free(i->ports);
    free(i->key);
    free(i);
}

void peers_put_identity(struct peers *p, struct identity *i)
{
    if (i != NULL && --i->refs == 0) {
        p->new_identities = true; /* its rules go */
    }
}

static void append_number(struct buf *b, uint32_t n)
{
    buf_append(b, &n, sizeof n);
}

static void write_ports(struct peers *p, struct mp ports, struct buf *out)
{
    for (struct mp_iter it = mp_iter(ports); mp_next(&it);) {
        struct mp_iter parts = mp_iter(it.value);
        struct identity_port port;
        memset(&port, 0, sizeof port); /* its padding is compared, too */
        const struct name_number *name = mp_next(&parts) ? strmap_get(&p->names, mp_str(parts.value)) : NULL;
        port.protocol = mp_next(&parts) ? (uint8_t)mp_int(parts.value, 0) : 0;
        port.port = mp_next(&parts) ? (uint16_t)mp_int(parts.value, 0) : 0;
        if (name != NULL && port.port != 0) {
            port.name = name->number;
            buf_append(out, &port, sizeof port);
        }
    }
}

static void add_to_groups(struct identity *i, struct peer_group *const *groups)
{
    for (unsigned k = 0; groups[k] != NULL; k++) {
        struct peer_group *g = groups[k];
        if (g->identities_count == g->identities_cap) {
            g->identities_cap = MAX(4u, g->identities_cap * 2);
            g->identities = xrealloc(g->identities, g->identities_cap * sizeof(struct identity *));
        }
        g->identities[g->identities_count++] = i;
    }
}

struct identity *peers_get_identity(struct peers *p, struct peer_group *const *groups, struct mp ports)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    unsigned count = 0;
    while (groups[count] != NULL) {
        append_number(&key, groups[count++]->number);
    }
    append_number(&key, 0);
    size_t ports_at = key.size;
    write_ports(p, ports, &key);
    struct identity *i = strmap_get(&p->identities, buf_str(&key));
    if (i == NULL) {
        i = xcalloc(1, sizeof *i);
        i->number = ++p->next_identity;
        i->groups.count = count;
        i->groups.list = xmemdup(key.data, count * sizeof(uint32_t) + 1);
        i->ports_count = (unsigned)((key.size - ports_at) / sizeof *i->ports);
        i->ports = xmalloc(key.size - ports_at + 1);
        memcpy(i->ports, key.data + ports_at, key.size - ports_at);
        i->key = xstrndup((const char *)key.data, key.size);
        i->key_size = key.size;
        strmap_set(&p->identities, buf_str(&key), i);
        add_to_groups(i, groups);
        p->new_identities = true;
    }
    i->refs++;
    return i;
}

static void forget_identity(struct peers *p, struct identity *i)
{
    struct strmap *const maps[] = {&p->classes, &p->blocks};
    strmap_remove(&p->identities, (struct str){i->key, i->key_size});
    for (unsigned m = 0; m < ARRAY_SIZE(maps); m++) {
        const struct strmap_entry *e;
        for (size_t at = 0; (e = strmap_next(maps[m], &at)) != NULL;) {
            struct peer_group *g = e->value;
            for (unsigned k = 0; k < g->identities_count; k++) {
                if (g->identities[k] == i) {
                    g->identities[k--] = g->identities[--g->identities_count];
                }
            }
        }
    }
    peers_free_identity(i);
}

void peers_forget_unused(struct peers *p)
{
    struct identity **list = xcalloc(p->identities.count + 1, sizeof *list);
    const struct strmap_entry *e;
    unsigned n = 0;
    for (size_t i = 0; (e = strmap_next(&p->identities, &i)) != NULL;) {
        struct identity *id = e->value;
        if (id->refs == 0) {
            list[n++] = id;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        forget_identity(p, list[i]);
    }
    free(list);
    struct peer_group **groups = peers_list_groups(&p->classes);
    for (unsigned i = 0; groups[i] != NULL; i++) {
        peers_drop_class_if_unused(p, groups[i]);
    }
    free(groups);
}
