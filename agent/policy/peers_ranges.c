/* Ranges of addresses: the intervals between the bounds of all blocks that policies name (peers.h). */
#include "agent/policy/peers_int.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/policy/skeleton.h"

static int by_number(const void *a, const void *b)
{
    const struct peer_group *const *x = a, *const *y = b;
    return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static bool in_block(const struct peer_group *g, uint32_t ip)
{
    if (!cidr_contains(g->cidr, ip)) {
        return false;
    }
    for (unsigned i = 0; i < g->except_count; i++) {
        if (cidr_contains(g->except[i], ip)) {
            return false;
        }
    }
    return true;
}

unsigned peers_blocks_of(const struct peers *p, uint32_t ip, struct peer_group **list, unsigned count)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&p->blocks, &i)) != NULL;) {
        if (in_block(e->value, ip)) {
            list[count++] = e->value;
        }
    }
    qsort(list, count, sizeof *list, by_number);
    list[count] = NULL;
    return count;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static unsigned add_bounds(uint64_t *list, unsigned count, struct cidr c)
{
    list[count++] = c.first;
    list[count++] = cidr_end(c);
    return count;
}

/* Where something begins or ends, ascending, each once. */
static unsigned list_bounds(const struct peers *p, uint64_t **out)
{
    uint64_t *list = xcalloc((size_t)p->ranges * 2 + 1, sizeof *list);
    const struct strmap_entry *e;
    unsigned count = 0, kept = 0;
    for (size_t i = 0; (e = strmap_next(&p->blocks, &i)) != NULL;) {
        const struct peer_group *g = e->value;
        count = add_bounds(list, count, g->cidr);
        for (unsigned k = 0; k < g->except_count; k++) {
            count = add_bounds(list, count, g->except[k]);
        }
    }
    qsort(list, count, sizeof *list, by_value);
    for (unsigned i = 0; i < count; i++) {
        if (kept == 0 || list[kept - 1] != list[i]) {
            list[kept++] = list[i];
        }
    }
    *out = list;
    return kept;
}

static void want_interval(struct peers *p, const struct interval *v)
{
    uint8_t key[NFT_KEY_BYTES] = {0}, data[NFT_DATA_BYTES] = {0};
    uint32_t first = htonl(v->first), last = htonl(v->last);
    memcpy(key + 4, &first, sizeof first);
    memcpy(key + 8, &last, sizeof last);
    memcpy(data, &v->identity->number, sizeof v->identity->number);
    cells_want(p->cells, POLICY_SET_BLOCKS, key, data);
}

static void drop_unused_blocks(struct peers *p)
{
    struct peer_group **list = peers_list_groups(&p->blocks);
    for (unsigned i = 0; list[i] != NULL; i++) {
        if (list[i]->refs == 0) {
            p->ranges -= list[i]->except_count + 1;
            strmap_remove(&p->blocks, peers_key_of_group(list[i]));
            peers_free_group(list[i]);
        }
    }
    free(list);
}

void peers_settle_blocks(struct peers *p)
{
    uint64_t *bounds;
    drop_unused_blocks(p);
    unsigned count = list_bounds(p, &bounds);
    struct interval *former = p->intervals;
    unsigned former_count = p->intervals_count;
    struct peer_group **in = xcalloc(p->blocks.count + 1, sizeof *in);
    p->intervals = xcalloc(count + 1, sizeof *p->intervals);
    p->intervals_count = 0;
    cells_pass_begin(p->cells);
    for (unsigned i = 0; i + 1 < count; i++) {
        if (peers_blocks_of(p, (uint32_t)bounds[i], in, 0) == 0) {
            continue;
        }
        struct interval *v = &p->intervals[p->intervals_count++];
        *v = (struct interval){(uint32_t)bounds[i], (uint32_t)(bounds[i + 1] - 1),
                               peers_get_identity(p, in, mp_of(NULL, 0))};
        want_interval(p, v);
    }
    cells_pass_end(p->cells, 1u << POLICY_SET_BLOCKS);
    for (unsigned i = 0; i < former_count; i++) {
        peers_put_identity(p, former[i].identity);
    }
    free(former);
    free(in);
    free(bounds);
}
