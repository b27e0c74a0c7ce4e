#include "tests/bench/bench_store.h"

#include <stdio.h>
#include <stdlib.h>

void bench_store_must(int rv, const struct error *err)
{
    if (rv != 0) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
}

void bench_store_submit(struct bench_store *b, struct txn *t)
{
    CLEANUP_BUF struct buf entry = BUF_INIT;
    struct txn_result result;
    struct error err = {0};
    unsigned count;
    bench_store_must(store_eval(b->store, t, &result, &err), &err);
    const struct change *changes = store_last_changes(b->store, &count);
    scheduler_observe(b->scheduler, changes, count);
    if (b->packs) {
        store_pack(b->store);
    }
    store_batch_take(b->store, &entry);
    bench_store_must(store_apply(b->store, ++b->index, entry.data, entry.size, &err), &err);
}
