/* What the programs about membership share: looking at the members, load, joining, rctl. */
#ifndef TESTS_UNIT_MASTER_MEMBERS_H
#define TESTS_UNIT_MASTER_MEMBERS_H

#include <sys/stat.h>
#include <sys/wait.h>

#include "master/config.h"
#include "tests/unit/kit/master_kit.h"

static inline int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static inline int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static inline void expect_said(const char *said, const char *text)
{
    if (strstr(said, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, said);
    }
}

/* ---- Looking at the members ---- */

static inline const struct value *member(struct client *c, int64_t id)
{
    must(c, "cluster", "{}");
    const struct value *members = value_get(c->result, "members");
    VALUE_FOR(i, members)
    {
        if (value_path_int(value_item(members, i), "id", 0) == id) {
            return value_item(members, i);
        }
    }
    return NULL;
}

static inline bool votes(struct client *c, int64_t id)
{
    const struct value *m = member(c, id);
    return m != NULL && str_is(value_path_str(m, "role"), "voter");
}

static inline void await_voter(struct client *c, int64_t id)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; !votes(c, id); kit_turn(c->kit, 50)) {
        assert_true(kit_now() < until);
    }
}

static inline void await_reachable(struct client *c, int64_t id, bool reachable)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(c->kit, 50)) {
        if (value_path_bool(member(c, id), "reachable", !reachable) == reachable) {
            return;
        }
        assert_true(kit_now() < until);
    }
}

/* As its own directory has it; what a member answers may still name an attempt that was given up. */
static inline int64_t id_of(struct kit *k, unsigned i)
{
    struct master_config config;
    struct error err = {0};
    if (master_config_load(k->masters[i].dir, &config, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return (int64_t)config.id;
}

/* Exactly these n are voters, all is written down, and nothing is left half. */
static inline void await_members(struct client *c, const int64_t *ids, unsigned n)
{
    const char *record = "";
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(c->kit, 50)) {
        if (c->kit->meanwhile != NULL) {
            c->kit->meanwhile(c->kit);
        }
        must(c, "cluster", "{}");
        const struct value *members = value_get(c->result, "members");
        unsigned count = value_count(members), right = 0;
        VALUE_FOR(i, members)
        {
            for (unsigned j = 0; j < n; j++) {
                right += value_path_int(value_item(members, i), "id", 0) == ids[j] &&
                         str_is(value_path_str(value_item(members, i), "role"), "voter");
            }
        }
        must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster}");
        struct buf b = BUF_INIT;
        json_write(&b, value_path(c->result, "object.data"), 0);
        record = arena_strndup(&c->kit->arena, buf_cstr(&b), b.size);
        buf_close(&b);
        if (count == n && right == n && strstr(record, "replaces") == NULL && strstr(record, "successor") == NULL) {
            return;
        }
        if (kit_now() > until) {
            fail_msg("%u members, of which %u are as wanted; the record: %s", count, right, record);
        }
    }
}

/* ---- Load: writers that never stop and count what was acknowledged ---- */

struct writer {
    struct client *c;
    unsigned id, next, done;
    bool busy, stop;
};

static inline void write_next(struct writer *w);

static inline void written(const struct rpc_result *r, void *data)
{
    struct writer *w = data;
    w->busy = false;
    if (r->error == NULL) {
        w->done = w->next++;
    } else if (err_class(r->error->code) == ERR_CLASS_UNKNOWN || r->error->code == ERR_EXISTS) {
        w->next++; /* perhaps, so it does not count */
    } else if (err_class(r->error->code) != ERR_CLASS_RETRY || r->error->code == ERR_CLOSED) {
        w->stop = true;
    }
    write_next(w);
}

static inline void write_next(struct writer *w)
{
    if (w->stop || w->c->rpc == NULL || !rpc_session_is_open(w->c->rpc)) {
        return;
    }
    struct buf b = BUF_INIT;
    msgpack_write_value(&b, kit_doc(w->c->kit, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: w%u-%u}}}",
                                    w->id, w->next));
    w->busy = true;
    rpc_call(w->c->rpc, "create", buf_str(&b), 15000, written, w);
    buf_close(&b);
}

static inline void load_start(struct kit *k, struct writer *w, unsigned n, const unsigned *masters,
                              unsigned masters_count)
{
    for (unsigned i = 0; i < n; i++) {
        w[i] = (struct writer){.c = client_admin(k, masters[i % masters_count]), .id = i, .next = 1};
        must(w[i].c, "hello", "{}");
        write_next(&w[i]);
    }
}

/* Ends the load; every master in `c`'s cluster that `c` speaks to must have the last one acknowledged of each. */
static inline unsigned load_end(struct writer *w, unsigned n, struct client *c)
{
    unsigned total = 0;
    for (unsigned i = 0; i < n; i++) {
        w[i].stop = true;
        for (int64_t until = kit_now() + KIT_WAIT_MS; w[i].busy; kit_turn(c->kit, 50)) {
            assert_true(kit_now() < until);
        }
        total += w[i].done;
        if (w[i].done > 0) {
            must(c, "get", "{kind: ConfigMap, name: w%u-%u}", i, w[i].done);
        }
        client_close(w[i].c);
    }
    return total;
}

/* rctl with the administrator's configuration must succeed and say `text` (NULL: anything). */
static inline char *rctl_run(struct kit *k, int code, const char *text, const char *const *args)
{
    CLEANUP_FREE char *said = NULL;
    int rc = kit_rctl(k, &said, args);
    if (rc != code || (text != NULL && strstr(said, text) == NULL)) {
        fail_msg("rctl %s %s: exit code %d: %s", args[0], args[1], rc, said);
    }
    return arena_strndup(&k->arena, said, strlen(said));
}
#define rctl_ok(k, text, ...)          rctl_run(k, 0, text, (const char *const[]){__VA_ARGS__, NULL})
#define rctl_fails(k, code, text, ...) rctl_run(k, code, text, (const char *const[]){__VA_ARGS__, NULL})

/* ---- Joining with a token of some kind ---- */

static inline const char *addresses(struct kit *k)
{
    struct buf b = BUF_INIT;
    for (unsigned i = 0; i < k->masters_count; i++) {
        if (k->masters[i].pid != 0) {
            buf_printf(&b, "%s%s", b.size > 0 ? "," : "", k->masters[i].addr);
        }
    }
    const char *s = arena_strndup(&k->arena, buf_cstr(&b), b.size);
    buf_close(&b);
    return s;
}

static inline unsigned must_join(struct kit *k, struct client *c, const char *token_params)
{
    must(c, "token", "%s", token_params);
    CLEANUP_FREE char *said = NULL;
    if (kit_join_at(k, addresses(k), text_at(c, "token"), &said) != 0) {
        fail_msg("join: %s", said);
    }
    return k->masters_count - 1;
}

static inline struct kit *kit_five(void)
{
    struct kit *k = kit_three(NULL);
    struct client *c = client_admin(k, 0);
    for (unsigned i = 3; i < 5; i++) {
        kit_start(k, kit_join(k, 0));
        await_voter(c, i + 1);
    }
    client_close(c);
    return k;
}

#endif
