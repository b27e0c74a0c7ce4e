#include "raft-store/disk/replay.h"

#include "base/env.h"
#include "base/mem.h"
#include "raft-store/store/entry.h"

static const struct log silent = {.name = "replay", .level = LOG_LEVEL_OFF};

static int on_snapshot(void *data, const void *p, size_t n, struct error *err)
{
    struct disk_replay *r = data;
    return store_restore(r->store, p, n, 0, err);
}

/* The store tells nobody when a transaction was made, since nothing that it decides may depend on it. */
static void note_time(void *data, const struct disk_entry *e)
{
    struct disk_replay *r = data;
    struct entry_span span;
    if (e->type == RAFT_COMMAND && entry_read_span(e->data, e->size, &span)) {
        r->last_wall_ms = span.wall_ms;
    }
}

static int on_entry(void *data, const struct disk_entry *e, struct error *err)
{
    struct disk_replay *r = data;
    if (e->type != RAFT_COMMAND) {
        store_apply_empty(r->store, e->index);
        return 0;
    }
    int rv = store_apply(r->store, e->index, e->data, e->size, err);
    if (rv == 0) {
        note_time(r, e);
    }
    return rv;
}

int disk_replay(const char *dir, const struct pki_ring *seal_keys, struct disk_replay *out, struct error *err)
{
    *out = (struct disk_replay){
        .store = store_new(&(struct store_config){
            .env = env_real(), .log = &silent, .seal_keys = seal_keys, .history_bytes_max = 1u << 20})};
    int rv = disk_scan(dir, 0, &(struct disk_events){out, on_snapshot, on_entry, note_time}, &out->report, err);
    if (rv != 0) {
        store_free(TAKE_PTR(out->store));
    }
    return rv;
}

void disk_replay_close(struct disk_replay *r)
{
    store_free(TAKE_PTR(r->store));
    disk_report_close(&r->report);
}
