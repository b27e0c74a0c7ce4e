/* Newcomers: tokens, and certificates against them. Idea: kubeadm's bootstrap tokens.
 *
 * A token is `id.secret@fingerprint`: id and secret are looked up in the Secret kube-system/bootstrap-token-ID (role, expiry), the fingerprint is for the newcomer, so
 * that it knows the server. A joining master also receives the CA's key and the key that seals Secrets: whoever holds a master token is
 * trusted with the whole cluster, so master tokens live a day at most and are made by admins only. */
#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "master/master.h"

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

int token_store(struct master *m, struct txn *t, enum pki_role role, const char *token, int64_t ttl_s)
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
    value_set(&a, data, "role", bin_of(&a, role == PKI_ROLE_MASTER ? "master" : "node"));
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

void method_token(struct call *c)
{
    struct str role;
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
    struct master *m = c->m;
    struct token_call *tc = xcalloc(1, sizeof *tc);
    tc->call = c;
    token_text(m->env, m->ca_pem, tc->token);
    timefmt_rfc3339(env_wall_ms(m->env) + ttl_s * 1000, tc->expires);
    struct txn t;
    txn_init(&t, "token");
    token_store(m, &t, str_is(role, "master") ? PKI_ROLE_MASTER : PKI_ROLE_NODE, tc->token, ttl_s);
    struct error err = {0};
    node_submit(m->node, &t, token_made, tc, &err);
    txn_close(&t);
    master_wake(m);
}

/* ---- join ---- */

struct join_call {
    struct call *call;
    char *cert_pem;
    uint64_t id; /* of a new master; 0 for nodes */
    char address[NET_ADDR_MAX];
};

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

/* One message for every reason: a guesser learns nothing. */
static bool token_valid(struct master *m, struct str token, struct str role)
{
    if (token.n < TOKEN_ID_CHARS + 1 + TOKEN_SECRET_CHARS) {
        return false;
    }
    char name[64];
    snprintf(name, sizeof name, "bootstrap-token-%.*s", TOKEN_ID_CHARS, token.p);
    const struct object *o =
        view_get(store_tip(node_store(m->node)), kind_by_id(KIND_SECRET), STR("kube-system"), str_of(name));
    int64_t expires_ms;
    return o != NULL &&
           same(secret_data(o, "token-secret"), (struct str){token.p + TOKEN_ID_CHARS + 1, TOKEN_SECRET_CHARS}) &&
           str_eq(secret_data(o, "role"), role) && timefmt_parse(secret_data(o, "expiration"), &expires_ms) &&
           expires_ms > env_wall_ms(m->env);
}

static void write_addresses(struct master *m, struct buf *b, bool agent_facing)
{
    struct node_member members[64];
    unsigned n = node_members(m->node, members, ARRAY_SIZE(members));
    mp_write_cstr(b, "masters");
    mp_write_array(b, n);
    for (unsigned i = 0; i < n; i++) {
        struct str known = members_address(m, members[i].id, agent_facing);
        mp_write_str(b, known.n > 0 ? known : str_of(members[i].address));
    }
}

static void join_answer(struct join_call *j)
{
    struct master *m = j->call->m;
    bool master = j->id != 0;
    struct buf b = BUF_INIT;
    mp_write_map(&b, master ? 7 : 4);
    mp_write_key_str(&b, "certificate", str_of(j->cert_pem));
    mp_write_key_str(&b, "ca", str_of(m->ca_pem));
    mp_write_key_str(&b, "cluster", str_of(m->config.cluster));
    write_addresses(m, &b, !master);
    if (master) {
        mp_write_key_int(&b, "id", (int64_t)j->id);
        mp_write_key_str(&b, "caKey", str_of(m->ca_key_pem));
        mp_write_cstr(&b, "sealKey");
        mp_write_bin(&b, m->seal_key, sizeof m->seal_key);
    }
    m->stats.joins++;
    call_reply(j->call, &b);
    OPENSSL_cleanse(b.data, b.size);
    buf_close(&b);
}

static void join_free(struct join_call *j)
{
    free(j->cert_pem);
    free(j);
}

static void member_added(const struct error *error, void *data)
{
    struct join_call *j = data;
    if (error != NULL) {
        call_fail(j->call, error);
    } else {
        log_info(&j->call->m->log, "members", "master %" PRIu64 " at %s joins", j->id, j->address);
        join_answer(j);
    }
    join_free(j);
}

static void former_removed(const struct error *error, void *data)
{
    struct join_call *j = data;
    if (error != NULL) {
        call_fail(j->call, error);
        join_free(j);
        return;
    }
    node_member_add(j->call->m->node, j->id, j->address, member_added, j);
}

/* A master that joined, but never heard the answer, asks again from the same address: its former self never voted, it goes. A voter stays. */
static void replace_newcomer(struct join_call *j)
{
    struct node *node = j->call->m->node;
    struct node_member members[64];
    unsigned n = node_members(node, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(members[i].address, j->address) == 0 && members[i].role == RAFT_VOTER) {
            call_failf(j->call, ERR_EXISTS,
                       "%s is the address of master %" PRIu64
                       ", which votes; remove that one first, or join with another address",
                       j->address, members[i].id);
            join_free(j);
            return;
        }
        if (strcmp(members[i].address, j->address) == 0) {
            log_info(&j->call->m->log, "members", "master %" PRIu64 " at %s never came; it joins anew as %" PRIu64,
                     members[i].id, j->address, j->id);
            node_member_remove(node, members[i].id, former_removed, j);
            return;
        }
    }
    node_member_add(node, j->id, j->address, member_added, j);
}

static void id_taken(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct join_call *j = data;
    if (error != NULL) {
        call_fail(j->call, error);
        join_free(j);
        return;
    }
    replace_newcomer(j);
}

static int sign(struct call *c, struct join_call *j, enum pki_role role, const char *name, struct error *err)
{
    struct str csr, sans;
    struct pki_identity who = {.role = role};
    csr = mp_str(mp_get(c->params, "csr"));
    sans = mp_str(mp_get(c->params, "sans"));
    snprintf(who.name, sizeof who.name, "%s", name);
    return pki_sign_request(c->m->ca_pem, c->m->ca_key_pem, arena_strndup(&c->arena, csr.p, csr.n), &who,
                            sans.n == 0 ? NULL : arena_strndup(&c->arena, sans.p, sans.n),
                            master_config_cert_life_s(&c->m->config, role), &j->cert_pem, err);
}

static void join_master(struct call *c, struct join_call *j)
{
    struct error err = {0};
    struct str address = mp_str(mp_get(c->params, "address"));
    if (address.n == 0 || address.n >= NET_ADDR_MAX) {
        free(j);
        call_failf(c, ERR_USAGE, "join: a master needs \"address\", where the others reach it");
        return;
    }
    snprintf(j->address, sizeof j->address, "%.*s", STR_ARG(address));
    struct master *m = c->m;
    struct txn t;
    txn_init(&t, "join");
    j->id = members_next_id(m, &t);
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, j->id);
    if (j->id == 0) {
        error_set(&err, ERR_BUSY, "the cluster is just being made; try again");
    }
    if (err.code != 0 || sign(c, j, PKI_ROLE_MASTER, name, &err) != 0) {
        call_fail(c, &err);
        join_free(j);
    } else {
        node_submit(m->node, &t, id_taken, j, &err);
    }
    txn_close(&t);
    master_wake(m);
}

void method_join(struct call *c)
{
    struct str token, role, name;
    if (!call_str(c, "token", &token, true) || !call_str(c, "role", &role, true) || !call_str(c, "name", &name, true)) {
        return;
    }
    if (!token_valid(c->m, token, role)) {
        call_failf(
            c, ERR_UNAUTHORIZED,
            "the token is unknown, expired, or not for role \"%.*s\"; make a new one: rctl token create --role %.*s",
            STR_ARG(role), STR_ARG(role));
        return;
    }
    struct join_call *j = xcalloc(1, sizeof *j);
    j->call = c;
    if (str_is(role, "master")) {
        join_master(c, j);
        return;
    }
    struct error err = {0};
    if (!name_is_dns_subdomain(name)) {
        error_set(&err, ERR_INVALID, "join: \"%.*s\" is no valid node name (lower case letters, digits, '-' and '.')",
                  STR_ARG(name));
    }
    if (err.code != 0 || sign(c, j, PKI_ROLE_NODE, arena_strndup(&c->arena, name.p, name.n), &err) != 0) {
        call_fail(c, &err);
    } else {
        log_info(&c->m->log, "members", "node %.*s joins", STR_ARG(name));
        join_answer(j);
    }
    join_free(j);
}
