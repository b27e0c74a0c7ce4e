#include "agent/policy/cells.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/strmap.h"

struct cell {
    struct list queue; /* in one of cells.queues if it is not in the kernel as it is wanted */
    uint32_t pass;     /* that wanted it last */
    uint8_t set;
    bool wanted, there, refused;
    uint8_t key[NFT_KEY_BYTES], want[NFT_DATA_BYTES], have[NFT_DATA_BYTES];
};
struct cells {
    struct strmap by_key;
    unsigned sets_count;
    struct list *queues; /* adds by set, then removals by set, the last set first */
    size_t wanted, waiting, refused;
    uint32_t pass;
};

struct index {
    char bytes[NFT_KEY_BYTES + 1];
};

static struct str index_of(struct index *i, unsigned set, const uint8_t *key)
{
    i->bytes[0] = (char)set;
    memcpy(i->bytes + 1, key, NFT_KEY_BYTES);
    return (struct str){i->bytes, sizeof i->bytes};
}

struct cells *cells_new(unsigned sets_count)
{
    struct cells *c = xcalloc(1, sizeof *c);
    strmap_init(&c->by_key);
    c->sets_count = sets_count;
    c->queues = xcalloc(2 * sets_count, sizeof *c->queues);
    for (unsigned i = 0; i < 2 * sets_count; i++) {
        list_init(&c->queues[i]);
    }
    return c;
}

void cells_free(struct cells *c)
{
    const struct strmap_entry *e;
    for (size_t i = 0; c != NULL && (e = strmap_next(&c->by_key, &i)) != NULL;) {
        free(e->value);
    }
    if (c != NULL) {
        strmap_close(&c->by_key);
        free(c->queues);
        free(c);
    }
}

static bool is_right(const struct cell *x)
{
    return x->wanted ? x->there && memcmp(x->want, x->have, NFT_DATA_BYTES) == 0 : !x->there;
}

static void unqueue(struct cells *c, struct cell *x)
{
    c->waiting -= !list_empty(&x->queue);
    list_remove(&x->queue);
}

static void set_refused(struct cells *c, struct cell *x, bool refused)
{
    c->refused += (size_t)refused - (size_t)x->refused;
    x->refused = refused;
}

static void settle(struct cells *c, struct cell *x)
{
    unqueue(c, x);
    if (!x->wanted) {
        set_refused(c, x, false);
    }
    if (!x->refused && !is_right(x)) {
        list_push_back(&c->queues[x->wanted ? x->set : 2 * c->sets_count - 1 - x->set], &x->queue);
        c->waiting++;
    } else if (!x->wanted && !x->there) {
        struct index i;
        strmap_remove(&c->by_key, index_of(&i, x->set, x->key));
        free(x);
    }
}

void cells_want(struct cells *c, unsigned set, const uint8_t key[NFT_KEY_BYTES], const uint8_t *data)
{
    static const uint8_t nothing[NFT_DATA_BYTES];
    struct index i;
    struct str at = index_of(&i, set, key);
    struct cell *x = strmap_get(&c->by_key, at);
    data = data == NULL ? nothing : data;
    if (x == NULL) {
        x = xcalloc(1, sizeof *x);
        x->set = (uint8_t)set;
        memcpy(x->key, key, NFT_KEY_BYTES);
        list_init(&x->queue);
        strmap_set(&c->by_key, at, x);
    }
    x->pass = c->pass;
    if (x->wanted && memcmp(x->want, data, NFT_DATA_BYTES) == 0) {
        return;
    }
    c->wanted += !x->wanted;
    x->wanted = true;
    memcpy(x->want, data, NFT_DATA_BYTES);
    set_refused(c, x, false);
    settle(c, x);
}

static void unwant(struct cells *c, struct cell *x)
{
    if (x->wanted) {
        c->wanted--;
        x->wanted = false;
        settle(c, x);
    }
}

void cells_unwant(struct cells *c, unsigned set, const uint8_t key[NFT_KEY_BYTES])
{
    struct index i;
    struct cell *x = strmap_get(&c->by_key, index_of(&i, set, key));
    if (x != NULL) {
        unwant(c, x);
    }
}

void cells_pass_begin(struct cells *c)
{
    c->pass++;
}

/* A map must not be changed while it is walked. */
void cells_pass_end(struct cells *c, unsigned mask)
{
    struct cell **gone = xcalloc(c->by_key.count + 1, sizeof *gone);
    const struct strmap_entry *e;
    size_t count = 0;
    for (size_t i = 0; (e = strmap_next(&c->by_key, &i)) != NULL;) {
        struct cell *x = e->value;
        if (x->wanted && x->pass != c->pass && (mask & 1u << x->set) != 0) {
            gone[count++] = x;
        }
    }
    for (size_t i = 0; i < count; i++) {
        unwant(c, gone[i]);
    }
    free(gone);
}

size_t cells_count(const struct cells *c)
{
    return c->wanted;
}

size_t cells_waiting(const struct cells *c)
{
    return c->waiting;
}

size_t cells_refused(const struct cells *c)
{
    return c->refused;
}

unsigned cells_next(const struct cells *c, struct nft_change *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned q = 0; q < 2 * c->sets_count; q++) {
        for (struct list *it = c->queues[q].next; it != &c->queues[q] && n < max; it = it->next) {
            const struct cell *x = LIST_ENTRY(it, struct cell, queue);
            out[n++] = (struct nft_change){x->set, x->wanted, x->wanted && x->there, x->key, x->want};
        }
    }
    return n;
}

static struct cell *first_waiting(const struct cells *c)
{
    for (unsigned q = 0; q < 2 * c->sets_count; q++) {
        if (!list_empty(&c->queues[q])) {
            return LIST_ENTRY(c->queues[q].next, struct cell, queue);
        }
    }
    return NULL;
}

void cells_done(struct cells *c, unsigned count)
{
    for (; count > 0; count--) {
        struct cell *x = first_waiting(c);
        assert(x != NULL);
        x->there = x->wanted;
        memcpy(x->have, x->want, NFT_DATA_BYTES);
        settle(c, x);
    }
}

void cells_refuse(struct cells *c)
{
    struct cell *x = first_waiting(c);
    assert(x != NULL);
    if (x->wanted) {
        set_refused(c, x, true);
    } else {
        x->there = false;
    }
    settle(c, x);
}

void cells_forget(struct cells *c)
{
    struct cell **all = xcalloc(c->by_key.count + 1, sizeof *all);
    const struct strmap_entry *e;
    size_t count = 0;
    for (size_t i = 0; (e = strmap_next(&c->by_key, &i)) != NULL;) {
        all[count++] = e->value;
    }
    for (size_t i = 0; i < count; i++) {
        all[i]->there = false;
        set_refused(c, all[i], false);
        settle(c, all[i]);
    }
    free(all);
}

unsigned cells_settled(const struct cells *c, size_t *cursor, struct nft_change *out, unsigned max)
{
    const struct strmap_entry *e = NULL;
    unsigned n = 0;
    while (n < max && (e = strmap_next(&c->by_key, cursor)) != NULL) {
        const struct cell *x = e->value;
        if (x->wanted && x->there && is_right(x)) {
            out[n++] = (struct nft_change){x->set, true, false, x->key, x->want};
        }
    }
    *cursor = n < max ? 0 : *cursor;
    return n;
}
