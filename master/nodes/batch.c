#include "master/nodes/batch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/revoked.h"
#include "master/nodes/nodes.h"
#include "master/nodes/told.h"

/* ---- Gathering, on the master that serves ---- */

struct waiting {
    struct list link;
    struct call *call;
    size_t bytes;
};
/* One under way, or answered and not applied here yet. */
struct batch {
    struct list link; /* of those under way */
    struct master *m;
    uint64_t leader;
    unsigned count;
    struct call **calls; /* NULL once they are answered */
    struct buf answer;   /* while the log is not applied so far */
};
struct batches {
    struct master *m;
    struct list waiting, sent;
    unsigned waiting_count, sent_count;
    size_t waiting_bytes;
    uv_timer_t timer;
};

static void flush(struct batches *b);

static void on_gathered(uv_timer_t *timer)
{
    flush(timer->data);
}

struct batches *batches_new(struct master *m)
{
    struct batches *b = xcalloc(1, sizeof *b);
    b->m = m;
    list_init(&b->waiting);
    list_init(&b->sent);
    uv_timer_init(&m->loop, &b->timer);
    b->timer.data = b;
    return b;
}

void batches_free(struct batches *b)
{
    assert(b == NULL || (list_empty(&b->waiting) && list_empty(&b->sent)));
    free(b);
}

static struct call *take_first(struct batches *b)
{
    struct waiting *w = LIST_ENTRY(b->waiting.next, struct waiting, link);
    struct call *c = w->call;
    list_remove(&w->link);
    b->waiting_count--;
    b->waiting_bytes -= w->bytes;
    free(w);
    struct session *s = call_session(c);
    if (s != NULL) {
        assert(s->reports > 0);
        s->reports--;
    }
    return c;
}

static void fail_waiting(struct batches *b, const struct error *err)
{
    while (!list_empty(&b->waiting)) {
        errand_fail_now(&take_first(b)->e, err);
    }
}

void batches_close(struct master *m)
{
    struct batches *b = m->batches;
    struct error err = {0};
    error_set(&err, ERR_CLOSED, "this master stops; nothing was done");
    fail_waiting(b, &err);
    uv_close((uv_handle_t *)&b->timer, NULL);
}

/* Their outcome is one and the same. */
static void fail_batch(struct batch *t, const struct error *err)
{
    struct call **calls = TAKE_PTR(t->calls);
    for (unsigned i = 0; i < t->count && calls != NULL; i++) {
        errand_fail_now(&calls[i]->e, err);
    }
    free(calls);
}

static void fail_unknown(struct batch *t)
{
    struct error err = {0};
    error_set(&err, ERR_UNKNOWN_OUTCOME,
              "the leader, or the connection to it, went away while it held the report: it may or may not have been "
              "taken; tell it again");
    fail_batch(t, &err);
}

static void batch_over(struct batch *t)
{
    struct batches *b = t->m->batches;
    assert(t->calls == NULL);
    if (!list_empty(&t->link)) {
        list_remove(&t->link);
        b->sent_count--;
    }
    buf_close(&t->answer);
    free(t);
}

static void answer_call(struct call *c, struct mp answer)
{
    struct mp result = mp_get(answer, "result");
    if (mp_type(result) == MP_MAP) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        buf_append(&b, result.p, (size_t)(result.end - result.p));
        call_reply(c, &b);
        return;
    }
    struct error err = {0};
    rpc_read_error(mp_get(answer, "error"), &err);
    if (err.code == 0) {
        error_set(&err, ERR_PROTOCOL, "the leader's answer to a batch of reports cannot be read");
    }
    errand_fail_now(&c->e, &err);
}

static void applied(const struct error *error, void *data)
{
    struct batch *t = data;
    if (error != NULL) {
        fail_unknown(t);
        batch_over(t);
        return;
    }
    struct call **calls = TAKE_PTR(t->calls);
    struct mp_iter it = mp_iter(mp_get(mp_of(t->answer.data, t->answer.size), "answers"));
    for (unsigned i = 0; i < t->count; i++) {
        answer_call(calls[i], mp_next(&it) ? it.value : mp_of(NULL, 0));
    }
    free(calls);
    batch_over(t);
}

static void batch_answered(const struct rpc_result *r, void *data)
{
    struct batch *t = data;
    struct batches *b = t->m->batches;
    list_remove(&t->link);
    b->sent_count--;
    if (t->calls == NULL) { /* given up */
        batch_over(t);
    } else if (r->error != NULL) {
        struct error err = *r->error;
        if (r->sent && (err.code == ERR_CLOSED || err.code == ERR_TIMEOUT)) {
            fail_unknown(t);
        } else {
            fail_batch(t, &err);
        }
        batch_over(t);
    } else {
        buf_append(&t->answer, r->result.p, (size_t)(r->result.end - r->result.p));
        replica_wait_applied(t->m->replica, (uint64_t)mp_int(mp_get(r->result, "index"), INT64_MAX), BATCH_APPLY_MS,
                             applied, t);
    }
    flush(b);
}

static void write_report(struct buf *b, struct call *c)
{
    mp_write_map(b, 3);
    mp_write_key_str(b, "method", c->method);
    mp_write_cstr(b, "params");
    buf_append(b, c->params.all.p, (size_t)(c->params.all.end - c->params.all.p));
    mp_write_cstr(b, "identity");
    principal_write(b, c->e.who);
}

static void send_batch(struct batches *b, uint64_t leader)
{
    struct master *m = b->m;
    CLEANUP_BUF struct buf reports = BUF_INIT;
    CLEANUP_BUF struct buf params = BUF_INIT;
    struct batch *t = xcalloc(1, sizeof *t);
    t->m = m;
    t->leader = leader;
    list_init(&t->link);
    t->calls = xcalloc(MIN(b->waiting_count, BATCH_REPORTS), sizeof(struct call *));
    while (!list_empty(&b->waiting) && t->count < BATCH_REPORTS && reports.size < BATCH_BYTES) {
        struct call *c = take_first(b);
        if (call_session(c) == NULL) { /* nobody waits for the answer: a newer report may have taken its place */
            struct error gone = {0};
            error_set(&gone, ERR_CLOSED, "the connection was closed");
            errand_fail_now(&c->e, &gone);
            continue;
        }
        errand_find_again(&c->e);
        write_report(&reports, c);
        t->calls[t->count++] = c;
    }
    if (t->count == 0) {
        free(TAKE_PTR(t->calls));
        batch_over(t);
        return;
    }
    mp_write_map(&params, 1);
    mp_write_cstr(&params, "reports");
    mp_write_array(&params, t->count);
    buf_append(&params, reports.data, reports.size);
    list_push_back(&b->sent, &t->link);
    b->sent_count++;
    m->stats.batches_sent++;
    m->stats.reports_sent += t->count;
    transport_call(m->transport, leader, "nodes.reports", buf_str(&params), BATCH_CALL_MS, batch_answered, t);
}

static void flush(struct batches *b)
{
    struct master *m = b->m;
    const char *address;
    uint64_t leader = m->stopping ? 0 : replica_leader(m->replica, &address);
    if (leader == 0 || leader == m->config.id) { /* nobody, or ourselves meanwhile: then the agent finds us */
        struct error err = {0};
        error_set(&err, ERR_NO_QUORUM, "no leader is known that could take the report; nothing was done; try again");
        err.retry_after_ms = 300;
        fail_waiting(b, &err);
        return;
    }
    while (!list_empty(&b->waiting) && b->sent_count < BATCH_INFLIGHT) {
        send_batch(b, leader);
    }
}

void batch_take(struct call *c)
{
    struct batches *b = c->m->batches;
    struct session *s = call_session(c);
    size_t bytes = (size_t)(c->params.all.end - c->params.all.p);
    if (c->m->stopping) {
        call_failf(c, ERR_CLOSED, "this master stops; nothing was done");
        return;
    }
    if (s != NULL && (s->reports >= BATCH_NODE_REPORTS || b->waiting_bytes + bytes > BATCH_WAITING)) {
        struct error err = {0};
        error_set(&err, ERR_BUSY,
                  "%.*s: %u reports of this node and %zu bytes of all wait for the leader; nothing was "
                  "done; send again when some are answered",
                  STR_ARG(c->method), s->reports, b->waiting_bytes);
        err.retry_after_ms = 200;
        c->m->stats.over_rate++;
        errand_fail_now(&c->e, &err);
        return;
    }
    struct waiting *w = xcalloc(1, sizeof *w);
    w->call = c;
    w->bytes = bytes;
    list_init(&w->link);
    list_push_back(&b->waiting, &w->link);
    b->waiting_count++;
    b->waiting_bytes += bytes;
    if (s != NULL) {
        s->reports++;
    }
    if (b->waiting_count >= BATCH_REPORTS || b->waiting_bytes >= BATCH_BYTES) {
        flush(b);
    } else if (!uv_is_active((uv_handle_t *)&b->timer)) {
        uv_timer_start(&b->timer, on_gathered, BATCH_GATHER_MS, 0);
    }
}

void batches_on_leader_known(struct master *m, uint64_t leader)
{
    LIST_FOR(it, &m->batches->sent)
    {
        struct batch *t = LIST_ENTRY(it, struct batch, link);
        if (leader != 0 && t->leader != leader && t->calls != NULL) {
            fail_unknown(t); /* its answer, if it still comes, is dropped */
        }
    }
}

/* ---- Deciding, on the leader ---- */

struct slot {
    struct inbound *of;
    struct buf answer;
};
struct inbound {
    struct master *m;
    uint64_t from;
    struct rpc_request *req;
    struct subject *subject;
    struct work work;
    unsigned count, next, open; /* reports; begun; begun and not decided */
    size_t at;                  /* of the next one, in the request's parameters */
    size_t answer_bytes;
    struct slot *slots;
};

static void inbound_free(struct inbound *in)
{
    for (unsigned i = 0; i < in->count; i++) {
        buf_close(&in->slots[i].answer);
    }
    subject_unref(in->m->turns, in->subject);
    free(in->slots);
    free(in);
}

static void reply(struct inbound *in)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct replica_stats stats;
    replica_stats(in->m->replica, &stats);
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "index", (int64_t)stats.commit_index);
    mp_write_cstr(&b, "answers");
    mp_write_array(&b, in->count);
    for (unsigned i = 0; i < in->count; i++) {
        buf_append(&b, in->slots[i].answer.data, in->slots[i].answer.size);
    }
    rpc_reply(in->req, buf_str(&b));
    inbound_free(in);
}

static void write_error(struct buf *b, const struct error *err)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "error");
    rpc_write_error(b, err);
}

static void decided(const struct buf *answer, const struct error *err, void *data)
{
    struct slot *slot = data;
    struct inbound *in = slot->of;
    struct error large = {0};
    if (err == NULL && in->answer_bytes + answer->size > RPC_MESSAGE_MAX / 2) {
        error_set(&large, ERR_UNKNOWN_OUTCOME, "the report was taken, but its answer is too large beside the others'");
        err = &large;
    }
    if (err != NULL) {
        write_error(&slot->answer, err);
    } else {
        mp_write_map(&slot->answer, 1);
        mp_write_cstr(&slot->answer, "result");
        buf_append(&slot->answer, answer->data, answer->size);
    }
    in->answer_bytes += slot->answer.size;
    assert(in->open > 0);
    in->open--;
    if (in->open == 0 && in->next == in->count && in->work.lane == NULL) {
        reply(in);
    }
}

/* What does not depend on the state is known at once. */
static void refuse_now(struct slot *slot, const struct error *err)
{
    write_error(&slot->answer, err);
    slot->of->answer_bytes += slot->answer.size;
}

static void take_now(struct slot *slot)
{
    mp_write_map(&slot->answer, 1);
    mp_write_cstr(&slot->answer, "result");
    mp_write_map(&slot->answer, 0);
    slot->of->answer_bytes += slot->answer.size;
}

static bool served_by(const struct inbound *in, struct str node, struct error *err)
{
    const struct object *o = view_get(store_tip(replica_store(in->m->replica)), kind_by_id(KIND_NODE), STR_NONE, node);
    if (o != NULL && nodes_served_by(o) == in->from) {
        return true;
    }
    error_set(err, o == NULL ? ERR_NOT_FOUND : ERR_NOT_LEADER,
              "node \"%.*s\" is not registered over master %" PRIu64 "; register again", STR_ARG(node), in->from);
    return false;
}

static void decide(struct inbound *in, struct mp report)
{
    struct slot *slot = &in->slots[in->next++];
    struct principal who;
    struct error err = {0};
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct str method = mp_str(mp_get(report, "method"));
    struct mp params = mp_get(report, "params");
    struct told t = {.m = in->m, .who = &who, .arena = &arena, .done = decided, .data = slot};
    if (!replica_leading(in->m->replica)) {
        error_set(&err, ERR_NOT_LEADER, "this master does not lead any more; nothing was done");
        refuse_now(slot, &err);
        return;
    }
    if (principal_read(mp_get(report, "identity"), in->from, &who, &err) != 0) {
        refuse_now(slot, &err);
        return;
    }
    principal_as_free(TAKE_PTR(who.as)); /* nobody reports as somebody else */
    t.node = mp_str(mp_get(params, "name"));
    if (who.role != PKI_ROLE_NODE || !str_is(t.node, who.name)) {
        error_set(&err, ERR_FORBIDDEN, "node \"%s\" may not speak for node \"%.*s\"", who.name, STR_ARG(t.node));
        refuse_now(slot, &err);
        return;
    }
    if (revoked_has(in->m, &who.identity, &who.facts, &err)) {
        in->m->stats.revoked_calls++;
        refuse_now(slot, &err);
        return;
    }
    if (str_is(method, "node.usage")) { /* nothing of it is written: there is nothing to wait for */
        told_read(&t, params);
        if (!served_by(in, t.node, &err) || told_usage(&t, params, &err) != 0) {
            refuse_now(slot, &err);
        } else {
            take_now(slot);
        }
        return;
    }
    in->open++;
    told_read(&t, params);
    if (!served_by(in, t.node, &err)) {
        told_refuse(&t, &err);
    } else if (str_is(method, "node.status")) {
        told_status(&t);
    } else if (str_is(method, "node.events")) {
        told_events(&t);
    } else {
        error_set(&err, ERR_UNSUPPORTED, "\"%.*s\" in a batch of reports", STR_ARG(method));
        told_refuse(&t, &err);
    }
}

static void step(struct work *work)
{
    struct inbound *in = CONTAINER_OF(work, struct inbound, work);
    struct master *m = in->m;
    struct mp params = rpc_request_params(in->req); /* it may have moved */
    uint64_t end = uv_hrtime() + BATCH_STEP_US * 1000u;
    bool pause = false;
    while (in->next < in->count && !pause) {
        struct mp report = mp_of(params.p + in->at, (size_t)(params.end - params.p) - in->at);
        struct mp rest = report;
        mp_skip(&rest);
        in->at += (size_t)(rest.p - report.p);
        decide(in, mp_of(report.p, (size_t)(rest.p - report.p)));
        pause = uv_hrtime() >= end || !replica_has_room_for(m->replica, REPLICA_ROOM_AGENTS);
    }
    if (in->next < in->count) {
        turns_go_on(m->turns, subject_lane(in->subject, work), work);
    } else if (in->open == 0) {
        reply(in);
    }
}

/* The master stops. */
static void drop(struct work *work)
{
    struct inbound *in = CONTAINER_OF(work, struct inbound, work);
    struct error err = {0};
    error_set(&err, ERR_CLOSED, "this master stops");
    rpc_reply_error(in->req, &err);
    inbound_free(in);
}

void batch_tell(struct master *m, uint64_t peer_id, struct rpc_request *req)
{
    struct mp params = rpc_request_params(req), reports = mp_get(params, "reports");
    struct error err = {0};
    if (!replica_leading(m->replica)) {
        error_set(&err, ERR_NOT_LEADER, "this master does not lead; nothing was done");
    } else if (mp_type(reports) != MP_ARRAY || mp_count(reports) == 0 || mp_count(reports) > BATCH_REPORTS) {
        error_set(&err, ERR_USAGE, "nodes.reports: params.reports must be a list of 1 to %u reports", BATCH_REPORTS);
    }
    if (err.code != 0) {
        rpc_reply_error(req, &err);
        return;
    }
    struct inbound *in = xcalloc(1, sizeof *in);
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    *in = (struct inbound){.m = m, .from = peer_id, .req = req, .count = mp_count(reports)};
    in->slots = xcalloc(in->count, sizeof *in->slots);
    for (unsigned i = 0; i < in->count; i++) {
        in->slots[i].of = in;
    }
    struct mp_iter first = mp_iter(reports);
    mp_next(&first);
    in->at = (size_t)(first.value.p - params.p);
    snprintf(who.name, sizeof who.name, "of master %" PRIu64, peer_id); /* no node has such a name */
    in->subject = subject_get(m->turns, &who, NULL);
    in->work = (struct work){.room = TURN_ROOM_NODE, .run = step, .drop = drop};
    m->stats.batches_taken++;
    m->stats.reports_taken += in->count;
    if (!turns_do(m->turns, subject_lane(in->subject, &in->work), &in->work)) {
        error_set(&err, ERR_BUSY, "too many batches of reports wait for their turn; nothing was done");
        rpc_reply_error(req, &err);
        inbound_free(in);
    }
}
