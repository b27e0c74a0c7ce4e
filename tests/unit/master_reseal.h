/* What the tests of the key that seals share: what masters' directories give away to which key. */
#ifndef TESTS_MASTER_RESEAL_H
#define TESTS_MASTER_RESEAL_H

#include <dirent.h>

#include "master/config.h"
#include "raft-store/disk/replay.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/snapshot.h"
#include "tests/unit/master_rotate.h"

/* ---- Keys ---- */

static inline struct pki_ring keys_of(struct kit *k, unsigned i)
{
    struct master_config c = {0};
    struct pki_ring keys;
    struct error err = {0};
    snprintf(c.dir, sizeof c.dir, "%s", k->masters[i].dir);
    if (master_config_seal_keys(&c, &keys, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return keys;
}

/* All of these hold one key alone, the same, another than the former one. */
static inline bool all_have_another(struct kit *k, const struct pki_ring *former, unsigned masters)
{
    struct pki_ring first = keys_of(k, 0);
    for (unsigned i = 0; i < masters; i++) {
        struct pki_ring keys = keys_of(k, i);
        if (keys.count != 1 || !pki_ring_equal(&keys, &first) || pki_ring_equal(&keys, former)) {
            return false;
        }
    }
    return true;
}

/* ---- What a thief finds ---- */

struct thief {
    const struct pki_ring *former, *now;
    const char *file; /* that is looked at */
};

static inline void look_at_entry(void *data, const struct disk_entry *e)
{
    struct thief *t = data;
    struct view_hash hash;
    CLEANUP_BUF struct buf payload = BUF_INIT, aad = BUF_INIT, plain = BUF_INIT;
    if (e->type != RAFT_COMMAND) {
        return;
    }
    assert_int_equal(entry_open(e->data, e->size, &payload, &hash, NULL), 0);
    struct entry_reader r = {payload.data, payload.data + payload.size};
    struct entry_txn txn;
    bool more;
    while (entry_next_txn(&r, &txn, &more, NULL) == 0 && more) {
        for (uint64_t i = 0; i < txn.count; i++) {
            struct effect effect;
            assert_int_equal(entry_next_effect(&r, &effect, NULL), 0);
            if (effect.sealed) {
                buf_reset(&aad);
                entry_write_aad(&aad, effect.kind_id, effect.ns, effect.name);
                assert_int_equal(pki_ring_open(t->former, buf_str(&aad), effect.bytes, &plain), ERR_CORRUPT);
                assert_int_equal(pki_ring_open(t->now, buf_str(&aad), effect.bytes, &plain), 0);
            }
        }
    }
}

static inline int look_at_new_entry(void *data, const struct disk_entry *e, struct error *err)
{
    (void)err;
    look_at_entry(data, e);
    return 0;
}

static inline int look_at_snapshot(void *data, const void *p, size_t n, struct error *err)
{
    struct thief *t = data;
    struct txnids ids;
    struct view *v = NULL;
    (void)err;
    txnids_init(&ids, 65536);
    if (snapshot_read(p, n, t->former, &v, &ids, NULL) != ERR_CORRUPT) {
        fail_msg("%s: the former key opens it", t->file);
    }
    txnids_close(&ids);
    txnids_init(&ids, 65536);
    if (snapshot_read(p, n, t->now, &v, &ids, NULL) != 0) {
        fail_msg("%s: the present key does not open it", t->file);
    }
    txnids_close(&ids);
    view_unref(v);
    return 0;
}

/* Each file of the state, whether a snapshot refers to it or not. */
static inline void look_at_state_files(struct thief *t, const char *raft)
{
    DIR *d = opendir(raft);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *dot = strrchr(e->d_name, '.');
        if (strncmp(e->d_name, "state-", 6) == 0 && dot != NULL && strcmp(dot, ".rvs") == 0) {
            CLEANUP_FREE char *path = xasprintf("%s/%s", raft, e->d_name);
            char *bytes = NULL;
            size_t n;
            assert_int_equal(pki_read_file(path, 64 << 20, &bytes, &n, NULL), 0);
            t->file = path;
            look_at_snapshot(t, bytes, n, NULL);
            free(bytes);
        }
    }
    closedir(d);
}

/* No file holds the former key, in bytes or in hex, and nothing is quarantined. */
static inline void look_for_key(struct kit *k, const char *dir, const struct pki_ring *former)
{
    char hex[2 * PKI_SEAL_KEY_SIZE + 1];
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (unsigned i = 0; i < PKI_SEAL_KEY_SIZE; i++) {
        snprintf(hex + 2 * i, 3, "%02x", former->keys[0][i]);
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char *bytes = NULL;
        size_t n;
        const char *path = arena_printf(&k->arena, "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.') {
            continue;
        }
        if (strncmp(e->d_name, "quarantine-", 11) == 0) {
            fail_msg("%s is still there", path);
        }
        if (e->d_type == DT_DIR) {
            look_for_key(k, path, former);
            continue;
        }
        assert_int_equal(pki_read_file(path, 64 << 20, &bytes, &n, NULL), 0);
        if (memmem(bytes, n, hex, sizeof hex - 1) != NULL ||
            memmem(bytes, n, former->keys[0], PKI_SEAL_KEY_SIZE) != NULL) {
            fail_msg("%s holds the former key", path);
        }
        free(bytes);
    }
    closedir(d);
}

/* A stopped master's directory gives nothing to who has the former key, and all to who has the one of now. */
static inline void look_at_disk(struct kit *k, unsigned i, const struct pki_ring *former)
{
    struct pki_ring now = keys_of(k, i);
    struct thief t = {.former = former, .now = &now, .file = "the newest snapshot"};
    struct disk_report report;
    struct disk_replay r;
    struct error err = {0};
    const char *raft = arena_printf(&k->arena, "%s/raft", k->masters[i].dir);
    const struct disk_events events = {&t, look_at_snapshot, look_at_new_entry, look_at_entry};
    assert_int_equal(disk_scan(raft, 0, &events, &report, &err), 0);
    if (report.state != DISK_WHOLE) {
        fail_msg("%s: %s", raft, report.damage);
    }
    assert_true(report.snapshot_index > 0);
    disk_report_close(&report);
    look_at_state_files(&t, raft);
    look_for_key(k, k->masters[i].dir, former);
    assert_int_equal(disk_replay(raft, former, &r, &err), 0);
    assert_int_equal(r.report.state, DISK_DAMAGED);
    assert_int_equal(view_count(store_committed(r.store), NULL), 0);
    disk_replay_close(&r);
    assert_int_equal(disk_replay(raft, &now, &r, &err), 0);
    assert_int_equal(r.report.state, DISK_WHOLE);
    assert_non_null(view_get(store_committed(r.store), kind_by_id(KIND_SECRET), STR("default"), STR("first")));
    disk_replay_close(&r);
}

/* ---- Writers ---- */

#define SECRETS_MAX 4096u

/* Secrets that were acknowledged, while masters come and go. */
struct writer {
    struct kit *k;
    struct client *c;
    unsigned at, next, acknowledged;
    bool done[SECRETS_MAX];
};

static inline void write_one(struct writer *w)
{
    if (w->c == NULL || w->c->rpc == NULL) {
        if (w->c != NULL) {
            client_close(w->c);
        }
        while (w->k->masters[++w->at % w->k->masters_count].pid == 0) {
        }
        w->c = client_admin(w->k, w->at % w->k->masters_count);
    }
    assert_true(w->next < SECRETS_MAX);
    unsigned i = w->next++;
    w->done[i] = call(w->c, "create",
                      "{object: {apiVersion: v1, kind: Secret, metadata: {name: s%u, namespace: default}, "
                      "stringData: {k: \"value %u\"}}, timeoutMs: 2000}",
                      i, i) == 0;
    w->acknowledged += w->done[i];
    if (!w->done[i]) {
        client_close(TAKE_PTR(w->c));
    }
}

/* All that was acknowledged is there, and is what was written. */
static inline void read_back(struct writer *w)
{
    struct client *c = client_admin(w->k, kit_leader(w->k));
    for (unsigned i = 0; i < w->next; i++) {
        if (w->done[i]) {
            CLEANUP_BUF struct buf want = BUF_INIT;
            buf_printf(&want, "value %u", i);
            must(c, "get", "{kind: Secret, namespace: default, name: s%u}", i);
            const struct value *v = value_path(c->result, "object.data.k");
            assert_true(v != NULL && v->type == VALUE_BIN && str_eq(v->str, buf_str(&want)));
        }
    }
    client_close(c);
    if (w->c != NULL) {
        client_close(TAKE_PTR(w->c));
    }
}

#endif
