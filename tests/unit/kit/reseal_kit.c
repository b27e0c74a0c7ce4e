#include "tests/unit/kit/reseal_kit.h"

#include <dirent.h>

#include "master/config.h"
#include "raft-store/disk/replay.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/snapshot.h"

struct writer writer;

/* ---- Keys ---- */

struct pki_ring keys_of(struct kit *k, unsigned i)
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

bool all_have_another(struct kit *k, const struct pki_ring *former, unsigned masters)
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

static void look_at_entry(void *data, const struct disk_entry *e)
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

static int look_at_new_entry(void *data, const struct disk_entry *e, struct error *err)
{
    (void)err;
    look_at_entry(data, e);
    return 0;
}

static int look_at_snapshot(void *data, const void *p, size_t n, struct error *err)
{
    struct thief *t = data;
    struct txnids ids;
    struct view *v = NULL;
    (void)err;
    txnids_init(&ids, 65536);
    if (snapshot_read(p, n, t->former, NULL, &v, &ids, NULL) != ERR_CORRUPT) {
        fail_msg("%s: the former key opens it", t->file);
    }
    txnids_close(&ids);
    txnids_init(&ids, 65536);
    if (snapshot_read(p, n, t->now, NULL, &v, &ids, NULL) != 0) {
        fail_msg("%s: the present key does not open it", t->file);
    }
    txnids_close(&ids);
    view_unref(v);
    return 0;
}

/* Each file of the state, whether a snapshot refers to it or not. */
static void look_at_state_files(struct thief *t, const char *raft)
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
static void look_for_key(struct kit *k, const char *dir, const struct pki_ring *former)
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

void look_at_disk(struct kit *k, unsigned i, const struct pki_ring *former)
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

void write_one(struct writer *w)
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

void read_back(struct writer *w)
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

/* ---- Clusters ---- */

static void make_first(struct kit *k)
{
    struct client *c = client_admin(k, 0);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Secret, metadata: {name: first, namespace: default}, stringData: {k: v}}}");
    client_close(c);
}

struct kit *three(void **state)
{
    struct kit *k = kit_three(NULL);
    *state = k;
    RCTL(k, 0, "knows 3 masters now", "config", "set-servers");
    make_first(k);
    writer = (struct writer){.k = k};
    return k;
}

int tear_down(void **state)
{
    if (*state != NULL) {
        ((struct kit *)*state)->meanwhile = NULL;
        kit_thaw_all(*state);
        kit_free(*state);
        *state = NULL;
    }
    return 0;
}

/* ---- Masters ---- */

unsigned start_the_dead(struct kit *k)
{
    unsigned died = 0;
    for (unsigned i = 0; i < k->masters_count; i++) {
        int status;
        if (k->masters[i].pid != 0 && waitpid(k->masters[i].pid, &status, WNOHANG) > 0) {
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            k->masters[i].pid = 0;
            kit_start(k, i);
            died++;
        }
    }
    return died;
}

void wait_for_service(struct kit *k, unsigned i)
{
    bool answered = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !answered; kit_turn(k, 20)) {
        struct client *c = client_admin(k, i);
        answered = call(c, "hello", "{}") == 0;
        client_close(c);
        assert_true(kit_now() < until);
    }
}

void start_all(struct kit *k, unsigned masters)
{
    for (unsigned i = 0; i < masters; i++) {
        kit_start(k, i);
    }
    for (unsigned i = 0; i < masters; i++) {
        wait_for_service(k, i);
    }
}

void stop_all(struct kit *k, int sig)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        if (k->masters[i].pid != 0) {
            kit_stop(k, i, sig);
        }
    }
}

void wait_for_another(struct kit *k, const struct pki_ring *former, unsigned masters)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; !all_have_another(k, former, masters); kit_turn(k, 20)) {
        if (kit_now() > until) {
            const char *args[] = {"cert", "status", NULL};
            CLEANUP_FREE char *said = NULL;
            kit_rctl(k, &said, args);
            fail_msg("the key is not replaced: %s", said);
        }
    }
}

const char *wait_for_status(struct kit *k, const char *text)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        const char *args[] = {"cert", "status", NULL};
        CLEANUP_FREE char *said = NULL;
        kit_rctl(k, &said, args);
        if (strstr(said, text) != NULL) {
            return arena_strdup(&k->arena, said);
        }
        if (kit_now() > until) {
            fail_msg("expected \"%s\" in: %s", text, said);
        }
    }
}

void wait_for_end(struct kit *k)
{
    bool over = false;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !over; kit_turn(k, 50)) {
        start_the_dead(k);
        struct client *c = client_admin(k, kit_leader(k));
        over = call(c, "cert.resealing", "{}") == 0 && value_path(c->result, "resealing") == NULL;
        client_close(c);
        assert_true(kit_now() < until);
    }
}

void hold_in(struct kit *k, const char *phase)
{
    static const char *const phases[] = {"spread", "use", "clean", "drop"};
    unsigned at = 0;
    while (strcmp(phases[at], phase) != 0) {
        at++;
    }
    const char *failpoints = arena_printf(&k->arena, "reseal_before_step=error@%u+", at + 1);
    stop_all(k, SIGTERM);
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_start_armed(k, i, failpoints);
    }
    RCTL(k, 0, "is being replaced", "cert", "rotate-seal", "--no-wait");
    wait_for_status(k, arena_printf(&k->arena, "phase \"%s\"", phase));
}

void check_disks(struct kit *k, const struct pki_ring *former, unsigned masters)
{
    wait_for_another(k, former, masters);
    wait_for_end(k);
    if (writer.next > 0) {
        read_back(&writer);
    }
    stop_all(k, SIGTERM);
    for (unsigned i = 0; i < masters; i++) {
        look_at_disk(k, i, former);
    }
}

void check_all(struct kit *k, const struct pki_ring *former, unsigned masters)
{
    check_disks(k, former, masters);
    start_all(k, masters);
    if (writer.next > 0) {
        read_back(&writer);
    }
}
