#include "master/auth/replace.h"

#include <stdlib.h>

static void answer(struct call *c, const struct replacement *r, bool begun)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char current[REPLACE_ID_SIZE];
    r->current(c->m, current);
    mp_write_map(&b, 2 + r->under_way(c->m));
    mp_write_key_str(&b, r->member, str_of(current));
    mp_write_key_bool(&b, "begun", begun);
    r->write(c->m, &b);
    call_reply(c, &b);
}

bool replace_unseen(const struct master *m, const struct object *(*record_in)(const struct view *v), uint64_t revision)
{
    const struct object *record = record_in(store_tip(replica_store(m->replica)));
    return (record == NULL ? 0 : record->revision) != revision;
}

void replace_tell(struct call *c, const struct replacement *r)
{
    answer(c, r, false);
}

struct asked {
    struct call *call;
    const struct replacement *of;
};

static void noted(const struct txn_result *result, const struct error *error, void *data)
{
    struct asked a = *(struct asked *)data;
    (void)result;
    free(data);
    if (error != NULL) {
        call_fail(a.call, error);
    } else {
        log_info(&a.call->m->log, a.of->log, "user \"%s\" replaces %s", a.call->e.who->name, a.of->done);
        answer(a.call, a.of, true);
    }
}

static void submit(struct call *c, const struct replacement *r, const struct replace_request *q)
{
    struct error err = {0};
    struct txn t;
    txn_init(&t, r->log);
    if (r->plan(c->m, q, &t, &err) != 0) {
        call_fail(c, &err);
    } else {
        struct asked *a = xcalloc(1, sizeof *a);
        *a = (struct asked){c, r};
        replica_submit(c->m->replica, &t, noted, a, NULL); /* a refusal comes by the callback as well */
        master_wake(c->m);
    }
    txn_close(&t);
}

void replace_ask(struct call *c, const struct replacement *r)
{
    struct master *m = c->m;
    struct replace_request q = {.finish = mp_bool(call_param(c, "finish"), false),
                                .hold = mp_bool(call_param(c, "hold"), false)};
    char current[REPLACE_ID_SIZE];
    if (!call_str(c, "replaces", &q.replaces, false)) {
        return;
    }
    if (c->e.who->role == PKI_ROLE_NODE) {
        call_failf(c, ERR_FORBIDDEN, "%s is for administrators", r->request);
        return;
    }
    r->current(m, current);
    if (r->repeated(m, &q, current)) {
        answer(c, r, false);
    } else if (r->busy(m)) {
        call_failf(c, ERR_BUSY, "%s is just taking a step; try again", r->what);
    } else if (r->settled(m, &q, current)) {
        answer(c, r, false);
    } else {
        submit(c, r, &q);
    }
}
