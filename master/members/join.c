/* Newcomers: certificates against tokens (tokens.c), and what other requests for changes of the membership are handed
 * to change.c by.
 *
 * A joining master also receives the keys that seal Secrets, and will vote and be given a part of the CA's key: whoever
 * holds a master token is trusted with the whole cluster. */
#include "master/members/join.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/allowance.h"
#include "master/auth/authority.h"
#include "master/auth/rotate.h"
#include "master/auth/setup.h"
#include "master/auth/tokens.h"
#include "master/front/call.h"
#include "master/front/methods.h"
#include "master/members/change.h"
#include "master/members/members.h"
#include "master/nodes/nodes.h"
#include "master/record.h"

void join_answer(struct call *c, const char *cert_pem, uint64_t id, uint64_t replaced)
{
    struct master *m = c->m;
    bool master = id != 0;
    struct buf b = BUF_INIT;
    mp_write_map(&b, (master ? 7 : 4) + (replaced != 0));
    mp_write_key_str(&b, "certificate", str_of(cert_pem));
    mp_write_key_str(&b, "ca", str_of(master ? m->ca_pem : rotate_trust(m)));
    mp_write_key_str(&b, "cluster", str_of(m->config.cluster));
    members_write_addresses(m, &b, !master);
    if (replaced != 0) {
        mp_write_key_int(&b, "replaces", (int64_t)replaced);
    }
    if (master) {
        mp_write_key_int(&b, "id", (int64_t)id);
        setup_put_seal_keys(&b, &m->seal_keys);
    }
    m->stats.joins++;
    call_reply(c, &b);
    mem_wipe(b.data, b.size);
    buf_close(&b);
}

int join_sign(struct master *m, enum pki_role role, const char *name, const char *csr, const char *sans,
              char **cert_pem, struct error *err)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    return authority_sign(m, &who, csr, sans, cert_pem, err);
}

static const char *param_text(struct call *c, const char *key)
{
    struct str s = mp_str(call_param(c, key));
    return arena_strndup(&c->e.arena, s.n == 0 ? "" : s.p, s.n);
}

/* What join and rejoin have in common. False: the call has been failed. A request that cannot be signed fails before
 * anything changes. */
static bool read_newcomer(struct call *c, struct change_request *r)
{
    struct str address = mp_str(call_param(c, "address"));
    if (address.n == 0 || address.n >= NET_ADDR_MAX) {
        call_failf(c, ERR_USAGE, "%s: a master needs \"address\", where the others reach it", c->row->name);
        return false;
    }
    snprintf(r->address, sizeof r->address, "%.*s", STR_ARG(address));
    r->csr = param_text(c, "csr");
    r->sans = param_text(c, "sans");
    struct error err = {0};
    char *trial = NULL;
    if (join_sign(c->m, PKI_ROLE_MASTER, "trial", r->csr, r->sans, &trial, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    free(trial);
    return true;
}

static void join_master(struct call *c, struct str token, const struct object *secret)
{
    struct change_request r = {0};
    struct error err = {0};
    if (!read_newcomer(c, &r)) {
        return;
    }
    char print[33];
    if (pki_request_fingerprint(r.csr, print, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    snprintf(r.who, sizeof r.who, "key %s", print);
    if (token_admits(secret, STR_NONE, r.who, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    struct str replaces = token_field(secret, "replaces");
    if (replaces.n > 0) {
        r.old_id = strtoull(arena_strndup(&c->e.arena, replaces.p, replaces.n), NULL, 10);
        r.even_reachable = str_is(token_field(secret, "even-reachable"), "true");
    }
    snprintf(r.token_id, sizeof r.token_id, "%.*s", TOKEN_ID_CHARS, token.p);
    changes_start(c->m, c, CHANGE_ASK_JOIN, &r);
}

/* ---- join: a node ---- */

/* A node that waits for the note of its token to be committed. */
struct node_join {
    struct call *call;
    char *cert_pem;
    char node[PKI_NAME_MAX + 1];
};

static void node_joined(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct node_join *j = data;
    if (error != NULL) {
        call_fail(j->call, error);
    } else {
        log_info(&j->call->m->log, "members", "node %s joins", j->node);
        join_answer(j->call, j->cert_pem, 0, 0);
    }
    free(j->cert_pem);
    free(j);
}

static int check_name(struct call *c, struct str name, struct error *err)
{
    if (!name_is_dns_subdomain(name)) {
        return error_set(err, ERR_INVALID,
                         "join: \"%.*s\" is no valid node name (lower case letters, digits, '-' and '.')",
                         STR_ARG(name));
    }
    if (nodes_taken(c->m, name)) {
        return error_set_field(
            err, ERR_EXISTS, "name",
            "join: there is a node \"%.*s\" already, and its agent lives; two agents cannot have one name: take "
            "another one. If that agent was this one and its directory is lost, end it and try again when the "
            "node is not Ready any more, or after: rctl delete node %.*s",
            STR_ARG(name), STR_ARG(name));
    }
    return 0;
}

/* What tells this newcomer from another that has its name: its key, of which the request for a certificate speaks. */
static char *who_of(struct call *c, const char *node, const char *csr)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)csr, strlen(csr), digest);
    return arena_printf(&c->e.arena, "%s %02x%02x%02x%02x%02x%02x%02x%02x", node, digest[0], digest[1], digest[2],
                        digest[3], digest[4], digest[5], digest[6], digest[7]);
}

static void join_node(struct call *c, struct str token, const struct object *secret, struct str name)
{
    struct error err = {0};
    CLEANUP_FREE char *cert = NULL;
    const char *node = arena_strndup(&c->e.arena, name.p, name.n), *csr = param_text(c, "csr");
    const char *who = who_of(c, node, csr);
    struct txn t;
    txn_init(&t, "join");
    if (check_name(c, name, &err) != 0 || token_admits(secret, name, who, &err) != 0 ||
        join_sign(c->m, PKI_ROLE_NODE, node, csr, param_text(c, "sans"), &cert, &err) != 0 ||
        token_use(c->m, &t, token.p, who, &err) != 0) {
        call_fail(c, &err);
    } else {
        struct node_join *j = xcalloc(1, sizeof *j);
        j->call = c;
        j->cert_pem = TAKE_PTR(cert);
        snprintf(j->node, sizeof j->node, "%s", node);
        if (t.count > 0) {
            struct master *m = c->m;
            replica_submit(m->replica, &t, node_joined, j, &err); /* a refusal comes by the callback as well */
            master_wake(m);
        } else {
            node_joined(NULL, NULL, j); /* a repetition: the note stands */
        }
    }
    txn_close(&t);
}

/* An account of wrong tokens: the network that the connection comes from. */
static void network_of(const struct session *s, char out[NET_NETWORK_MAX])
{
    net_addr_network(s->way->addr(s), out);
}

bool join_may_try(struct call *c)
{
    char network[NET_NETWORK_MAX];
    struct session *s = call_session(c);
    if (s == NULL) {
        return true; /* another master has looked */
    }
    network_of(s, network);
    int64_t wait_ms = allowance_wait_ms(c->m->wrong_tokens, str_of(network), 1, env_now_ms(c->m->env));
    if (wait_ms == 0) {
        return true;
    }
    struct error err = {0};
    error_set(&err, ERR_LIMIT,
              "join: too many wrong tokens came from your address; the next one is looked at in %lld s",
              (long long)(wait_ms + 999) / 1000);
    err.retry_after_ms = (int)wait_ms;
    call_fail(c, &err);
    return false;
}

void join_note_failure(struct call *c, const struct error *err)
{
    char network[NET_NETWORK_MAX];
    struct session *s = call_session(c);
    if (c->row == &request_join && err->code == ERR_UNAUTHORIZED && s != NULL) {
        network_of(s, network);
        c->m->stats.wrong_tokens++;
        allowance_take(c->m->wrong_tokens, str_of(network), 1, env_now_ms(c->m->env));
    }
}

static void method_join(struct call *c)
{
    struct str token, role, name;
    struct error err = {0};
    if (!call_str(c, "token", &token, true) || !call_str(c, "role", &role, true) || !call_str(c, "name", &name, true)) {
        return;
    }
    const struct object *secret = token_find(c->m, token, role, &err);
    if (secret == NULL) {
        call_fail(c, &err);
    } else if (str_is(role, "master")) {
        join_master(c, token, secret);
    } else {
        join_node(c, token, secret, name);
    }
}

const struct method request_join = {"join", method_join, METHOD_ANON | METHOD_WRITE | METHOD_AGAIN,
                                    "token role name csr sans address agentAddress"};

/* ---- rejoin: a master that lost its data comes back as a new one ---- */

static void method_rejoin(struct call *c)
{
    struct change_request r = {.rejoin = true};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct record record;
    struct replica_member there;
    r.old_id = c->e.who->role == PKI_ROLE_MASTER ? strtoull(c->e.who->name, NULL, 10) : 0;
    if (r.old_id == 0) {
        call_failf(c, ERR_FORBIDDEN, "rejoin needs the certificate of the master that asks");
        return;
    }
    if (!record_open(c->m, &a, &record)) {
        call_failf(c, ERR_BUSY, "the cluster is just being made; try again");
        return;
    }
    if (!members_find(c->m, r.old_id, NULL, &there) &&
        record_get(&record, record_key(&record, "successor", r.old_id)).n == 0) {
        call_failf(c, ERR_FORBIDDEN,
                   "master %" PRIu64 " was removed from the cluster, or has come back already as another one; to come "
                   "back, join anew with a token: rctl master add",
                   r.old_id);
        return;
    }
    if (!read_newcomer(c, &r)) {
        return;
    }
    struct str reason = mp_str(call_param(c, "reason"));
    snprintf(r.reason, sizeof r.reason, "%.*s", STR_ARG(reason));
    changes_start(c->m, c, CHANGE_ASK_JOIN, &r);
}

const struct method request_rejoin = {"rejoin", method_rejoin, METHOD_WRITE | METHOD_AGAIN | METHOD_REMOVED,
                                      "address agentAddress csr sans reason"};

/* ---- remove, transfer ---- */

static void method_master_remove(struct call *c)
{
    int64_t id = mp_int(call_param(c, "id"), -1);
    if (id <= 0) {
        call_failf(c, ERR_USAGE, "master.remove: id must be a master's number");
        return;
    }
    struct change_request r = {.old_id = (uint64_t)id, .force = mp_bool(call_param(c, "force"), false)};
    changes_start(c->m, c, CHANGE_ASK_REMOVE, &r);
}

const struct method request_master_remove = {"master.remove", method_master_remove, METHOD_WRITE | METHOD_AGAIN,
                                             "id force"};

static void method_master_transfer(struct call *c)
{
    int64_t id = mp_int(call_param(c, "id"), 0);
    int64_t from = mp_int(call_param(c, "from"), 0);
    if (id < 0 || from < 0) {
        call_failf(c, ERR_USAGE, "master.transfer: id and from must be masters' numbers");
        return;
    }
    struct change_request r = {.new_id = (uint64_t)id, .old_id = (uint64_t)from};
    changes_start(c->m, c, CHANGE_ASK_TRANSFER, &r);
}

const struct method request_master_transfer = {"master.transfer", method_master_transfer,
                                               METHOD_WRITE | METHOD_MOVES_LEADER, "id from"};
