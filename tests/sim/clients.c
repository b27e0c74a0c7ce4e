/* Clients: one operation at a time each, asked again with the same id until its outcome is known or patience ends. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/cluster.h"

#define TIMEOUT_MS    1500
#define PATIENCE      12u /* attempts, while there are faults */
#define NEAR_WAIT_MS  1000
#define LOYAL_WAIT_MS 1500

enum answer { ANSWER_DONE, ANSWER_REFUSED, ANSWER_NOT_DONE, ANSWER_UNKNOWN };
struct request {
    struct cluster *c;
    struct client *client;
    struct life *life; /* that works on it; valid inside the node's callbacks */
    unsigned life_number;
    int64_t op;
    unsigned attempt;
    uint64_t master, leader;
    enum answer answer;
    struct reading reading; /* of reads */
    struct promise promise; /* of the leader that was asked */
    uint64_t index;
    bool index_known;
};

static void request_free(void *arg)
{
    struct request *r = arg;
    for (unsigned i = 0; i < LISTS; i++) {
        free(r->reading.lists[i]);
    }
    free(r);
}

static void attempt_start(struct client *client);
static void client_go_on(void *arg);

static void let_go(void *arg)
{
    (void)arg;
}

/* ---- The client's side ---- */

static void op_finish(struct client *client)
{
    struct cluster *c = client->c;
    client->op = -1;
    client->home = 0;
    client->attempt++;
    int64_t think_ms = c->phase == PHASE_CALM ? 500 : cluster_between(c, 1, 2 * c->swarm.think_ms);
    sim_after(&c->sim, think_ms, client_go_on, let_go, client);
}

static void again(void *arg)
{
    struct client *client = arg;
    if (client->op >= 0 && client->c->phase != PHASE_END) {
        attempt_start(client);
    }
}

/* A loyal one repeats a write where it may have been done, and nowhere else: maybe after others have led for a
 * while. */
static bool client_waits(const struct client *client)
{
    const struct cluster *c = client->c;
    return client->home != 0 && c->phase == PHASE_LOAD && c->machines[client->home].seat == SEAT_RUN;
}

/* This attempt leads nowhere: another one, a little later, maybe elsewhere. */
static void try_again(struct client *client, uint64_t hint)
{
    struct cluster *c = client->c;
    client->guess = hint != 0 && !cluster_chance(c, 8) ? hint : masters_any(c);
    client->guess = client_waits(client) ? client->home : client->guess;
    client->attempt++; /* answers to the former are late from now on */
    if (++client->tries >= PATIENCE && c->phase == PHASE_LOAD) {
        struct op *op = &c->ops[client->op];
        if (op->outcome == OP_PENDING) {
            op->outcome = OP_GIVEN_UP;
            c->given_up++;
        }
        op_finish(client);
        return;
    }
    int64_t wait_ms = cluster_between(c, 1, 200);
    sim_after(&c->sim, client_waits(client) ? 1 + (int64_t)rng_below(&c->more, LOYAL_WAIT_MS) : wait_ms, again, let_go,
              client);
}

static bool reads_anywhere(enum op_kind kind)
{
    return op_reads(kind) && kind != OP_READ;
}

static void learn(struct client *client, const struct request *r)
{
    unsigned cell = client->c->ops[r->op].cell;
    client->read[cell].known = r->reading.object_revision != 0;
    client->read[cell].revision = r->reading.revision;
    client->read[cell].object_revision = r->reading.object_revision;
    client->read[cell].number = r->reading.number;
    client->read[cell].op = r->reading.writer;
}

static void answer_arrives(void *arg)
{
    struct request *r = arg;
    struct client *client = r->client;
    if (client->op == r->op && client->attempt == r->attempt && r->c->phase != PHASE_END) {
        enum op_kind kind = r->c->ops[r->op].kind;
        if (r->answer == ANSWER_DONE || r->answer == ANSWER_REFUSED) {
            witness_answer(r->c, r->op, r->answer == ANSWER_DONE, &r->reading);
            if (r->answer == ANSWER_DONE && (kind == OP_READ || kind == OP_READ_NEAR)) {
                learn(client, r);
            }
            client->guess = reads_anywhere(kind) ? client->guess : r->master;
            op_finish(client);
        } else {
            if (r->answer == ANSWER_UNKNOWN && client->index < r->c->swarm.loyal) {
                client->home = r->master;
            }
            try_again(client, r->leader);
        }
    }
    request_free(r);
}

/* ---- The master's side ---- */

static void reply(struct request *r, enum answer answer)
{
    if (answer == ANSWER_DONE || answer == ANSWER_REFUSED) {
        promise_answered(r->c, r->op, &r->promise);
    }
    r->answer = answer;
    r->leader = replica_leader(r->life->replica, NULL);
    masters_reply(r->life, DOOR_CLIENTS, answer_arrives, request_free, r);
}

static bool nothing_happened(int code)
{
    return code == ERR_NOT_LEADER || code == ERR_LIMIT || code == ERR_BUSY || code == ERR_NO_QUORUM ||
           code == ERR_NO_SPACE || code == ERR_CLOSED;
}

static void write_done(const struct txn_result *result, const struct error *error, void *data)
{
    struct request *r = data;
    struct cluster *c = r->c;
    if (!r->life->up) {
        request_free(r); /* nobody hears it */
        return;
    }
    ledger_follow(r->life);
    if (error != NULL && error->code == ERR_UNKNOWN_OUTCOME) {
        c->unknown++;
        reply(r, ANSWER_UNKNOWN);
        return;
    }
    if (error != NULL) {
        assert(c->ops[r->op].maybe > 0);
        c->ops[r->op].maybe--;
    }
    if (error != NULL && nothing_happened(error->code)) {
        reply(r, ANSWER_NOT_DONE);
        return;
    }
    cluster_trace(c, "operation %lld: %s, revision %llu", (long long)r->op, error == NULL ? "done" : error->message,
                  (unsigned long long)(result == NULL ? 0 : result->revision));
    ledger_answer(c, r->op, result, error);
    reply(r, error == NULL ? ANSWER_DONE : ANSWER_REFUSED);
}

static void read_done(const struct error *error, void *data)
{
    struct request *r = data;
    if (!r->life->up) {
        request_free(r);
        return;
    }
    ledger_follow(r->life);
    if (error != NULL) {
        reply(r, ANSWER_NOT_DONE);
        return;
    }
    const struct view *v = store_committed(replica_store(r->life->replica));
    ledger_read(r->c, r->op, v, &r->reading);
    cluster_trace(r->c, "read %lld at master %llu: revision %llu", (long long)r->op, (unsigned long long)r->life->id,
                  (unsigned long long)r->reading.revision);
    reply(r, ANSWER_DONE);
}

/* ---- Reads at a follower: ask the leader how far to wait ---- */

static void near_index_arrives(void *arg)
{
    struct request *r = arg;
    struct life *life = r->c->machines[r->master].life;
    if (life == NULL || life->number != r->life_number) {
        request_free(r);
        return;
    }
    r->life = life;
    if (r->index_known) {
        replica_wait_applied(life->replica, r->index, NEAR_WAIT_MS, read_done, r);
    } else {
        reply(r, ANSWER_NOT_DONE);
    }
}

static void near_index(uint64_t index, const struct error *error, void *data)
{
    struct request *r = data;
    if (!r->life->up) {
        request_free(r);
        return;
    }
    r->index = index;
    r->index_known = error == NULL;
    sim_message(&r->c->sim, r->life->id, r->master, near_index_arrives, request_free, r);
}

static void near_asked(void *arg)
{
    struct request *r = arg;
    r->life = r->c->machines[r->leader].life;
    if (r->life == NULL) {
        request_free(r);
        return;
    }
    r->promise = promise_asked(r->life);
    replica_read_index(r->life->replica, near_index, r);
}

static void read_near(struct request *r)
{
    uint64_t leader = replica_leader(r->life->replica, NULL);
    if (leader == r->life->id) {
        replica_read(r->life->replica, read_done, r);
    } else if (leader == 0) {
        reply(r, ANSWER_NOT_DONE);
    } else {
        r->leader = leader;
        r->life_number = r->life->number;
        sim_message(&r->c->sim, r->life->id, leader, near_asked, request_free, r);
    }
}

/* ---- Arrival ---- */

static void write_arrives(struct request *r)
{
    struct life *life = r->life;
    struct error err = {0};
    if (!replica_leading(life->replica)) {
        r->c->ops[r->op].maybe--;
        reply(r, ANSWER_NOT_DONE);
        return;
    }
    struct txn t;
    txn_init(&t, "api");
    if (op_build(life, r->op, &t, &err) != 0) {
        uint64_t revision;
        if (store_find_txn(replica_store(life->replica), r->c->ops[r->op].id, &revision)) {
            txn_reset(&t); /* done before: an empty transaction with its id answers as the first time */
            txn_set_id(&t, r->c->ops[r->op].id);
            replica_submit(life->replica, &t, write_done, r, &err);
        } else {
            replica_refuse(life->replica, &err, write_done, r);
        }
    } else {
        replica_submit(life->replica, &t, write_done, r, &err);
    }
    txn_close(&t);
}

static void request_arrives(struct life *life, void *arg)
{
    struct request *r = arg;
    r->life = life;
    r->promise = promise_asked(life);
    switch (r->c->ops[r->op].kind) {
    case OP_READ:
        replica_read(life->replica, read_done, r);
        break;
    case OP_READ_NEAR:
    case OP_READ_LISTS:
    case OP_BALANCES:
        read_near(r);
        break;
    default:
        write_arrives(r);
        break;
    }
}

static void request_lost(void *arg)
{
    struct request *r = arg;
    r->c->ops[r->op].maybe--;
    request_free(r);
}

/* ---- Attempts ---- */

struct patience {
    struct client *client;
    int64_t op;
    unsigned attempt;
};

static void patience_ends(void *arg)
{
    struct patience *p = arg;
    if (p->client->op == p->op && p->client->attempt == p->attempt && p->client->c->phase != PHASE_END) {
        try_again(p->client, 0);
    }
    free(p);
}

static void request_send(struct client *client, uint64_t master)
{
    struct cluster *c = client->c;
    struct request *r = xcalloc(1, sizeof *r);
    *r = (struct request){.c = c, .client = client, .op = client->op, .attempt = client->attempt, .master = master};
    c->ops[client->op].maybe++;
    masters_call(c, DOOR_CLIENTS, master, request_arrives, request_lost, r);
}

static void attempt_start(struct client *client)
{
    struct cluster *c = client->c;
    struct op *op = &c->ops[client->op];
    uint64_t master = reads_anywhere(op->kind) ? masters_any(c) : client->guess;
    request_send(client, master);
    if (c->phase == PHASE_LOAD && rng_below(&c->rng, 1000) < c->swarm.client_double_permille) {
        request_send(client, cluster_chance(c, 2) ? master : masters_any(c)); /* twice, with the same id */
    }
    struct patience *p = xmalloc(sizeof *p);
    *p = (struct patience){client, client->op, client->attempt};
    sim_after(&c->sim, TIMEOUT_MS, patience_ends, free, p);
}

static void client_go_on(void *arg)
{
    struct client *client = arg;
    struct cluster *c = client->c;
    bool settles = c->phase == PHASE_CALM && client->index == 0 && c->settling < SETTLE_ROUNDS * DEPLOYMENTS;
    if (c->phase == PHASE_END || (c->phase == PHASE_CALM && !settles)) {
        return;
    }
    client->op = op_next(client);
    client->tries = 0;
    witness_ask(c, client->op, client->index);
    cluster_trace(c, "client %u: operation %lld of kind %d", client->index, (long long)client->op,
                  c->ops[client->op].kind);
    attempt_start(client);
}

void clients_start(struct cluster *c)
{
    for (unsigned i = 0; i < c->swarm.clients; i++) {
        c->clients[i] = (struct client){.c = c, .index = i, .op = -1, .guess = 1};
        sim_after(&c->sim, 1 + cluster_between(c, 0, 100), client_go_on, let_go, &c->clients[i]);
    }
}

bool clients_idle(const struct cluster *c)
{
    for (unsigned i = 0; i < c->swarm.clients; i++) {
        if (c->clients[i].op >= 0) {
            return false;
        }
    }
    return c->settling >= SETTLE_ROUNDS * DEPLOYMENTS;
}
