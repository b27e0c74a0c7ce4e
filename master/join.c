/* Newcomers: tokens, and certificates against them; what other requests for changes of the membership are handed to change.c by. Idea: kubeadm's
 * bootstrap tokens.
 *
 * A token is `id.secret@fingerprint`: id and secret are looked up in the Secret kube-system/bootstrap-token-ID (role, expiry), the fingerprint is for the newcomer, so
 * that it knows the server. One that replaces a master (replaces: its id; even-reachable) serves one newcomer alone: used-by says who. A joining
 * master also receives the CA's key and the key that seals Secrets: whoever holds a master token is trusted with the whole cluster, so master
 * tokens live a day at most and are made by admins only. */
#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "master/change.h"
#include "master/record.h"

#define TOKEN_ID_CHARS     6
#define TOKEN_SECRET_CHARS 16

void token_text(const struct env *env, const char *ca_pem, char out[TOKEN_SIZE])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char fingerprint[33];
    struct error err = {0};
    int rv = pki_cert_fingerprint(ca_pem, fingerprint, &err);
    assert(rv == 0);
    (void)rv;
    char part[TOKEN_ID_CHARS + TOKEN_SECRET_CHARS];
    for (size_t i = 0; i < sizeof part; i++) {
        uint8_t byte;
        do {
            env_random(env, &byte, 1);
        } while (byte >= 252); /* 7 * 36: no letter is likelier than another */
        part[i] = letters[byte % 36];
    }
    snprintf(out, TOKEN_SIZE, "%.*s.%.*s@%s", TOKEN_ID_CHARS, part, TOKEN_SECRET_CHARS, part + TOKEN_ID_CHARS,
             fingerprint);
    OPENSSL_cleanse(part, sizeof part);
}

static struct value *bin_of(struct arena *a, const char *s)
{
    return value_bin(a, s, strlen(s));
}

int token_store(struct master *m, struct txn *t, const struct token_grant *grant, const char *token, int64_t ttl_s)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    char expires[TIMEFMT_SIZE];
    timefmt_rfc3339(env_wall_ms(m->env) + ttl_s * 1000, expires);
    char *id = arena_strndup(&a, token, TOKEN_ID_CHARS);
    const struct kind *k = kind_by_id(KIND_SECRET);
    struct value *doc = value_map(&a), *metadata = value_map(&a), *data = value_map(&a);
    value_set(&a, doc, "apiVersion", value_cstr(&a, "v1"));
    value_set(&a, doc, "kind", value_cstr(&a, "Secret"));
    value_set(&a, doc, "metadata", metadata);
    value_set(&a, metadata, "name", value_strf(&a, "bootstrap-token-%s", id));
    value_set(&a, metadata, "namespace", value_cstr(&a, "kube-system"));
    value_set(&a, doc, "data", data);
    value_set(&a, doc, "type", value_cstr(&a, "bootstrap.kubernetes.io/token"));
    value_set(&a, data, "token-id", bin_of(&a, id));
    value_set(&a, data, "token-secret", bin_of(&a, arena_strndup(&a, token + TOKEN_ID_CHARS + 1, TOKEN_SECRET_CHARS)));
    value_set(&a, data, "expiration", bin_of(&a, expires));
    value_set(&a, data, "role", bin_of(&a, grant->role == PKI_ROLE_MASTER ? "master" : "node"));
    if (grant->replaces != 0) {
        value_set(&a, data, "replaces", bin_of(&a, arena_printf(&a, "%" PRIu64, grant->replaces)));
        value_set(&a, data, "even-reachable", bin_of(&a, grant->even_reachable ? "true" : "false"));
    }
    struct error err = {0};
    return txn_create_value(t, k, doc, &err);
}

/* ---- token: make one ---- */

struct token_call {
    struct call *call;
    char token[TOKEN_SIZE], expires[TIMEFMT_SIZE];
};

static void token_made(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct token_call *tc = data;
    if (error != NULL) {
        call_fail(tc->call, error);
    } else {
        struct master *m = tc->call->m;
        struct buf b = BUF_INIT;
        mp_write_map(&b, 4);
        mp_write_key_str(&b, "token", str_of(tc->token));
        mp_write_key_str(&b, "address", str_of(m->config.advertise));
        mp_write_key_str(&b, "agentAddress", str_of(m->config.agent_address));
        mp_write_key_str(&b, "expires", str_of(tc->expires));
        call_reply(tc->call, &b);
        buf_close(&b);
    }
    OPENSSL_cleanse(tc->token, sizeof tc->token);
    free(tc);
}

/* params.replaces: the id of a member. False: the call has been failed. */
static bool read_grant(struct call *c, struct str role, struct token_grant *grant)
{
    grant->role = str_is(role, "master") ? PKI_ROLE_MASTER : PKI_ROLE_NODE;
    struct mp replaces = mp_get(c->params, "replaces");
    grant->even_reachable = mp_bool(mp_get(c->params, "evenReachable"), false);
    if (mp_type(replaces) == MP_NONE || mp_type(replaces) == MP_NIL) {
        return true;
    }
    int64_t id = mp_int(replaces, -1);
    if (id <= 0 || grant->role != PKI_ROLE_MASTER) {
        call_failf(c, ERR_USAGE, "token: replaces must be the id of a master, and role \"master\"");
        return false;
    }
    grant->replaces = (uint64_t)id;
    struct node_member there;
    if (!members_find(c->m, grant->replaces, NULL, &there)) {
        call_failf(c, ERR_NOT_FOUND, "no master has the id %" PRIu64 "; `rctl master list` shows them",
                   grant->replaces);
        return false;
    }
    if (members_up(c->m, grant->replaces) && !grant->even_reachable) {
        call_failf(c, ERR_CONFLICT,
                   "master %" PRIu64 " at %s is up; to replace it all the same, say so: "
                   "rctl master replace %" PRIu64 " --yes",
                   grant->replaces, there.address, grant->replaces);
        return false;
    }
    return true;
}

void method_token(struct call *c)
{
    struct str role;
    struct token_grant grant = {0};
    if (!call_str(c, "role", &role, true)) {
        return;
    }
    if (!str_is(role, "master") && !str_is(role, "node")) {
        call_failf(c, ERR_USAGE, "token: role must be \"master\" or \"node\", not \"%.*s\"", STR_ARG(role));
        return;
    }
    int64_t ttl_s = mp_int(mp_get(c->params, "ttlSeconds"), 24 * 3600);
    int64_t max_s = str_is(role, "master") ? 24 * 3600 : 365ll * 24 * 3600;
    if (ttl_s <= 0 || ttl_s > max_s) {
        call_failf(c, ERR_USAGE, "token: ttlSeconds must be between 1 and %" PRId64 " for role %.*s", max_s,
                   STR_ARG(role));
        return;
    }
    if (!read_grant(c, role, &grant)) {
        return;
    }
    struct master *m = c->m;
    struct token_call *tc = xcalloc(1, sizeof *tc);
    tc->call = c;
    token_text(m->env, m->ca_pem, tc->token);
    timefmt_rfc3339(env_wall_ms(m->env) + ttl_s * 1000, tc->expires);
    struct txn t;
    txn_init(&t, "token");
    token_store(m, &t, &grant, tc->token, ttl_s);
    struct error err = {0};
    node_submit(m->node, &t, token_made, tc, &err);
    txn_close(&t);
    master_wake(m);
}

/* ---- join ---- */

static bool same(struct str a, struct str b)
{
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

static struct str secret_data(const struct object *o, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(o), "data"), key);
    struct str s = STR_NONE;
    mp_read_bin(&m, &s);
    return s;
}

static const struct object *token_secret(struct master *m, const char *id)
{
    char name[64];
    snprintf(name, sizeof name, "bootstrap-token-%.*s", TOKEN_ID_CHARS, id);
    return view_get(store_tip(node_store(m->node)), kind_by_id(KIND_SECRET), STR("kube-system"), str_of(name));
}

/* One message for every reason: a guesser learns nothing. */
static const struct object *token_valid(struct master *m, struct str token, struct str role)
{
    if (token.n < TOKEN_ID_CHARS + 1 + TOKEN_SECRET_CHARS) {
        return NULL;
    }
    const struct object *o = token_secret(m, token.p);
    int64_t expires_ms;
    bool ok = o != NULL &&
              same(secret_data(o, "token-secret"), (struct str){token.p + TOKEN_ID_CHARS + 1, TOKEN_SECRET_CHARS}) &&
              str_eq(secret_data(o, "role"), role) && timefmt_parse(secret_data(o, "expiration"), &expires_ms) &&
              expires_ms > env_wall_ms(m->env);
    return ok ? o : NULL;
}

int join_token_used(struct master *m, struct txn *t, const char *token_id, const char *address, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct object *o = token_secret(m, token_id);
    if (o == NULL) {
        return error_set(err, ERR_UNAUTHORIZED, "the token was deleted meanwhile");
    }
    struct value *doc = object_to_value(&a, o);
    value_set(&a, value_ensure_map(&a, doc, "data"), "used-by", bin_of(&a, address));
    return txn_update_value(t, kind_by_id(KIND_SECRET), doc, TXN_PART_ALL, o->revision, err);
}

void join_answer(struct call *c, const char *cert_pem, uint64_t id, uint64_t replaced)
{
    struct master *m = c->m;
    bool master = id != 0;
    struct buf b = BUF_INIT;
    mp_write_map(&b, (master ? 7 : 4) + (replaced != 0));
    mp_write_key_str(&b, "certificate", str_of(cert_pem));
    mp_write_key_str(&b, "ca", str_of(m->ca_pem));
    mp_write_key_str(&b, "cluster", str_of(m->config.cluster));
    members_write_addresses(m, &b, !master);
    if (replaced != 0) {
        mp_write_key_int(&b, "replaces", (int64_t)replaced);
    }
    if (master) {
        mp_write_key_int(&b, "id", (int64_t)id);
        mp_write_key_str(&b, "caKey", str_of(m->ca_key_pem));
        mp_write_cstr(&b, "sealKey");
        mp_write_bin(&b, m->seal_key, sizeof m->seal_key);
    }
    m->stats.joins++;
    call_reply(c, &b);
    OPENSSL_cleanse(b.data, b.size);
    buf_close(&b);
}

int join_sign(struct master *m, enum pki_role role, const char *name, const char *csr, const char *sans,
              char **cert_pem, struct error *err)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    return pki_sign_request(m->ca_pem, m->ca_key_pem, csr, &who, sans == NULL || sans[0] == '\0' ? NULL : sans,
                            master_config_cert_life_s(&m->config, role), cert_pem, err);
}

static const char *param_text(struct call *c, const char *key)
{
    struct str s = mp_str(mp_get(c->params, key));
    return arena_strndup(&c->arena, s.n == 0 ? "" : s.p, s.n);
}

/* What join and rejoin have in common. False: the call has been failed. A request that cannot be signed fails before anything changes. */
static bool read_newcomer(struct call *c, struct change_request *r)
{
    struct str address = mp_str(mp_get(c->params, "address"));
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
    if (!read_newcomer(c, &r)) {
        return;
    }
    struct str replaces = secret_data(secret, "replaces"), used_by = secret_data(secret, "used-by");
    if (replaces.n > 0) {
        r.old_id = strtoull(arena_strndup(&c->arena, replaces.p, replaces.n), NULL, 10);
        r.even_reachable = str_is(secret_data(secret, "even-reachable"), "true");
        snprintf(r.token_id, sizeof r.token_id, "%.*s", TOKEN_ID_CHARS, token.p);
    }
    if (used_by.n > 0 && !str_is(used_by, r.address)) {
        call_failf(c, ERR_CONFLICT,
                   "this token is for one master, which replaces master %" PRIu64 ", and %.*s has joined with it; make "
                   "another: rctl master add",
                   r.old_id, STR_ARG(used_by));
        return;
    }
    changes_start(c->m, c, CHANGE_ASK_JOIN, &r);
}

static void join_node(struct call *c, struct str name)
{
    struct error err = {0};
    CLEANUP_FREE char *cert = NULL;
    const char *node = arena_strndup(&c->arena, name.p, name.n);
    if (!name_is_dns_subdomain(name)) {
        error_set(&err, ERR_INVALID, "join: \"%.*s\" is no valid node name (lower case letters, digits, '-' and '.')",
                  STR_ARG(name));
    }
    if (err.code == 0 && nodes_taken(c->m, name)) {
        error_set_field(
            &err, ERR_EXISTS, "name",
            "join: there is a node \"%.*s\" already, and its agent lives; two agents cannot have one name: take "
            "another one. If that agent was this one and its directory is lost, end it and try again when the "
            "node is not Ready any more, or after: rctl delete node %.*s",
            STR_ARG(name), STR_ARG(name));
    }
    if (err.code != 0 ||
        join_sign(c->m, PKI_ROLE_NODE, node, param_text(c, "csr"), param_text(c, "sans"), &cert, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    log_info(&c->m->log, "members", "node %s joins", node);
    join_answer(c, cert, 0, 0);
}

void method_join(struct call *c)
{
    struct str token, role, name;
    if (!call_str(c, "token", &token, true) || !call_str(c, "role", &role, true) || !call_str(c, "name", &name, true)) {
        return;
    }
    const struct object *secret = token_valid(c->m, token, role);
    if (secret == NULL) {
        call_failf(
            c, ERR_UNAUTHORIZED,
            "the token is unknown, expired, or not for role \"%.*s\"; make a new one: rctl token create --role %.*s",
            STR_ARG(role), STR_ARG(role));
    } else if (str_is(role, "master")) {
        join_master(c, token, secret);
    } else {
        join_node(c, name);
    }
}

/* ---- rejoin: a master that lost its data comes back as a new one ---- */

void method_rejoin(struct call *c)
{
    struct change_request r = {.rejoin = true};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct record record;
    struct node_member there;
    r.old_id = c->who.role == PKI_ROLE_MASTER ? strtoull(c->who.name, NULL, 10) : 0;
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
    struct str reason = mp_str(mp_get(c->params, "reason"));
    snprintf(r.reason, sizeof r.reason, "%.*s", STR_ARG(reason));
    changes_start(c->m, c, CHANGE_ASK_JOIN, &r);
}

/* ---- remove, transfer ---- */

void method_master_remove(struct call *c)
{
    int64_t id = mp_int(mp_get(c->params, "id"), -1);
    if (id <= 0) {
        call_failf(c, ERR_USAGE, "master.remove: id must be a master's number");
        return;
    }
    struct change_request r = {.old_id = (uint64_t)id, .force = mp_bool(mp_get(c->params, "force"), false)};
    changes_start(c->m, c, CHANGE_ASK_REMOVE, &r);
}

void method_master_transfer(struct call *c)
{
    int64_t id = mp_int(mp_get(c->params, "id"), 0);
    int64_t from = mp_int(mp_get(c->params, "from"), 0);
    if (id < 0 || from < 0) {
        call_failf(c, ERR_USAGE, "master.transfer: id and from must be masters' numbers");
        return;
    }
    struct change_request r = {.new_id = (uint64_t)id, .old_id = (uint64_t)from};
    changes_start(c->m, c, CHANGE_ASK_TRANSFER, &r);
}
