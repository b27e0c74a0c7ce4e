#include "master/auth/departed.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/hash.h"
#include "proto/schema/kind.h"

#define ROWS_COUNT 2048u /* a power of two */
#define ROW_PLACES 8u

struct place {
    uint64_t who;  /* hash of node, namespace and name; seeded, so that no node finds another's pod with its own hash */
    int64_t at_ms; /* 0 = free */
};

struct departed {
    struct place rows[ROWS_COUNT][ROW_PLACES];
};

struct departed *departed_new(void)
{
    return xcalloc(1, sizeof(struct departed));
}

void departed_free(struct departed *d)
{
    free(d);
}

static uint64_t hash_of(struct str node, struct str ns, struct str name)
{
    uint64_t h = hash_seed();
    const struct str parts[] = {node, ns, name};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        h = XXH64(parts[i].n == 0 ? "" : parts[i].p, parts[i].n, h);
    }
    return h;
}

static void note(struct departed *d, uint64_t who, int64_t now_ms)
{
    struct place *row = d->rows[who & (ROWS_COUNT - 1)], *oldest = row;
    for (unsigned i = 0; i < ROW_PLACES; i++) {
        if (row[i].who == who) {
            oldest = &row[i];
            break;
        }
        oldest = row[i].at_ms < oldest->at_ms ? &row[i] : oldest;
    }
    *oldest = (struct place){who, MAX(now_ms, (int64_t)1)};
}

void departed_advance(struct departed *d, const struct history_txn *txn, int64_t now_ms)
{
    for (unsigned i = 0; i < txn->count; i++) {
        const struct object *old = txn->changes[i].old;
        if (old == NULL || txn->changes[i].new != NULL || old->kind->id != KIND_POD) {
            continue;
        }
        struct str node = mp_str(mp_path(object_mp(old), "spec.nodeName"));
        if (node.n > 0) {
            note(d, hash_of(node, old->ns, old->name), now_ms);
        }
    }
}

bool departed_was_on(const struct departed *d, struct str node, struct str ns, struct str name, int64_t now_ms)
{
    uint64_t who = hash_of(node, ns, name);
    const struct place *row = d->rows[who & (ROWS_COUNT - 1)];
    for (unsigned i = 0; i < ROW_PLACES; i++) {
        if (row[i].at_ms != 0 && row[i].who == who && now_ms - row[i].at_ms <= DEPARTED_MS) {
            return true;
        }
    }
    return false;
}
