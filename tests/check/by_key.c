#include "tests/check/by_key.h"

#include <assert.h>
#include <stdlib.h>

static int by_key_and_start(const void *pa, const void *pb)
{
    const struct hist_op *a = *(const struct hist_op *const *)pa, *b = *(const struct hist_op *const *)pb;
    int c = strcmp(a->steps[0].key, b->steps[0].key);
    c = c != 0 ? c : (a->start_us > b->start_us) - (a->start_us < b->start_us);
    return c != 0 ? c : (a->number > b->number) - (a->number < b->number);
}

void by_key_init(struct by_key *b, const struct hist *h, unsigned functions)
{
    *b = (struct by_key){0};
    b->all = xmalloc((h->count + 1) * sizeof *b->all);
    for (size_t i = 0; i < h->count; i++) {
        if ((functions & 1u << h->ops[i].f) != 0) {
            assert(h->ops[i].steps_count == 1);
            b->all[b->ops++] = &h->ops[i];
        }
    }
    qsort(b->all, b->ops, sizeof *b->all, by_key_and_start);
    b->keys = xcalloc(b->ops + 1, sizeof *b->keys);
    for (size_t i = 0; i < b->ops; i++) {
        const char *key = b->all[i]->steps[0].key;
        if (b->count == 0 || b->keys[b->count - 1].key != key) {
            b->keys[b->count++] = (struct key_ops){key, &b->all[i], 0};
        }
        b->keys[b->count - 1].count++;
    }
}

void by_key_close(struct by_key *b)
{
    free(b->keys);
    free(b->all);
    *b = (struct by_key){0};
}
