#include "master/auth/tokens.h"

#include <assert.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "master/api/api.h"
#include "master/auth/authority.h"
#include "master/members/members.h"

#define TOKEN_SECRET_CHARS 16
#define NAME_PATTERN_MAX   PKI_NAME_MAX

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
    mem_wipe(part, sizeof part);
}

/* ---- The Secret ---- */

static void set_text(struct arena *a, struct value *data, const char *key, struct str s)
{
    value_set(a, data, key, value_bin(a, s.p, s.n));
}

static void set_number(struct arena *a, struct value *data, const char *key, uint64_t n)
{
    set_text(a, data, key, str_of(arena_printf(a, "%" PRIu64, n)));
}

static void set_time(struct arena *a, struct value *data, const char *key, int64_t ms)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(ms, text);
    set_text(a, data, key, str_of(text));
}

int token_store(struct master *m, struct txn *t, const struct token_grant *grant, const char *token, int64_t ttl_s)
{
    assert(grant->uses > 0 && grant->uses <= API_TOKEN_USES_MAX);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_id(KIND_SECRET);
    struct value *doc = value_map(&a), *metadata = value_map(&a), *data = value_map(&a);
    value_set(&a, doc, "apiVersion", value_cstr(&a, "v1"));
    value_set(&a, doc, "kind", value_cstr(&a, "Secret"));
    value_set(&a, doc, "metadata", metadata);
    value_set(&a, metadata, "name", value_strf(&a, "bootstrap-token-%.*s", TOKEN_ID_CHARS, token));
    value_set(&a, metadata, "namespace", value_cstr(&a, "kube-system"));
    value_set(&a, doc, "data", data);
    value_set(&a, doc, "type", value_cstr(&a, "bootstrap.kubernetes.io/token"));
    set_text(&a, data, "token-id", (struct str){token, TOKEN_ID_CHARS});
    set_text(&a, data, "token-secret", (struct str){token + TOKEN_ID_CHARS + 1, TOKEN_SECRET_CHARS});
    set_time(&a, data, "expiration", env_wall_ms(m->env) + ttl_s * 1000);
    set_text(&a, data, "role", str_of(grant->role == PKI_ROLE_MASTER ? "master" : "node"));
    set_number(&a, data, "uses", (uint64_t)grant->uses);
    if (grant->node_names.n > 0) {
        set_text(&a, data, "node-names", grant->node_names);
    }
    if (grant->replaces != 0) {
        set_number(&a, data, "replaces", grant->replaces);
        set_text(&a, data, "even-reachable", str_of(grant->even_reachable ? "true" : "false"));
    }
    struct error err = {0};
    return txn_create_value(t, k, doc, &err);
}

struct str token_field(const struct object *secret, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(secret), "data"), key);
    struct str s = STR_NONE;
    mp_read_bin(&m, &s);
    return s;
}

static int64_t uses_left(const struct object *secret)
{
    int64_t n;
    struct str uses = token_field(secret, "uses");
    return uses.n == 0 ? 1 : str_to_int64(uses, &n) ? n : 0;
}

/* ---- Use ---- */

static const struct object *stored(struct master *m, const char *id)
{
    char name[64];
    snprintf(name, sizeof name, "bootstrap-token-%.*s", TOKEN_ID_CHARS, id);
    return view_get(store_tip(replica_store(m->replica)), kind_by_id(KIND_SECRET), STR("kube-system"), str_of(name));
}

static bool same(struct str a, struct str b)
{
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

const struct object *token_find(struct master *m, struct str token, struct str role, struct error *err)
{
    int64_t expires_ms;
    bool whole = token.n >= TOKEN_ID_CHARS + 1 + TOKEN_SECRET_CHARS;
    const struct object *o = whole ? stored(m, token.p) : NULL;
    if (o != NULL &&
        same(token_field(o, "token-secret"), (struct str){token.p + TOKEN_ID_CHARS + 1, TOKEN_SECRET_CHARS}) &&
        str_eq(token_field(o, "role"), role) && timefmt_parse(token_field(o, "expiration"), &expires_ms) &&
        expires_ms > env_wall_ms(m->env)) {
        return o;
    }
    error_set(err, ERR_UNAUTHORIZED,
              "the token is unknown, expired, or not for role \"%.*s\"; make a new one: rctl token create --role %.*s",
              STR_ARG(role), STR_ARG(role));
    return NULL;
}

/* Is `who` a line of the list? */
static bool has_used(const struct object *secret, const char *who)
{
    struct str list = token_field(secret, "used-by");
    size_t n = strlen(who);
    for (size_t at = 0; at < list.n;) {
        const char *line = list.p + at, *end = memchr(line, '\n', list.n - at);
        size_t length = end == NULL ? list.n - at : (size_t)(end - line);
        if (length == n && memcmp(line, who, n) == 0) {
            return true;
        }
        at += length + 1;
    }
    return false;
}

/* A name, or a pattern of the user's with * and ?. */
static bool name_matches(struct str pattern, struct str name)
{
    char p[NAME_PATTERN_MAX + 1], n[PKI_NAME_MAX + 1];
    if (pattern.n >= sizeof p || name.n >= sizeof n) {
        return false;
    }
    snprintf(p, sizeof p, "%.*s", STR_ARG(pattern));
    snprintf(n, sizeof n, "%.*s", STR_ARG(name));
    return fnmatch(p, n, FNM_NOESCAPE) == 0;
}

int token_admits(const struct object *secret, struct str name, const char *who, struct error *err)
{
    struct str names = token_field(secret, "node-names"), role = token_field(secret, "role");
    if (names.n > 0 && !name_matches(names, name)) {
        return error_set_field(err, ERR_UNAUTHORIZED, "name",
                               "this token is for a node named \"%.*s\", not \"%.*s\"; make another one: rctl token "
                               "create --node-name %.*s",
                               STR_ARG(names), STR_ARG(name), STR_ARG(name));
    }
    if (uses_left(secret) > 0 || has_used(secret, who)) {
        return 0;
    }
    return error_set(err, ERR_UNAUTHORIZED,
                     "this token was used up; a token is good for one newcomer unless it was made for more: rctl token "
                     "create --role %.*s --uses N",
                     STR_ARG(role));
}

/* The newest TOKEN_NEWEST_MAX - 1 lines of the list, and one more. */
static char *with_newest(struct arena *a, struct str list, const char *who)
{
    unsigned lines = 1;
    size_t from = list.n;
    while (from > 0 && !(list.p[from - 1] == '\n' && ++lines == TOKEN_NEWEST_MAX)) {
        from--;
    }
    return list.n == 0 ? arena_printf(a, "%s", who)
                       : arena_printf(a, "%.*s\n%s", (int)(list.n - from), list.p + from, who);
}

int token_use(struct master *m, struct txn *t, const char *id, const char *who, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct object *o = stored(m, id);
    if (o == NULL) {
        return error_set(err, ERR_UNAUTHORIZED, "the token was deleted meanwhile");
    }
    if (has_used(o, who)) {
        return 0;
    }
    int64_t left = uses_left(o) - 1, expires_ms = 0, soon_ms = env_wall_ms(m->env) + TOKEN_SPENT_MS;
    if (left < 0) {
        return error_set(err, ERR_UNAUTHORIZED, "the token was used up meanwhile by another newcomer");
    }
    struct value *doc = object_to_value(&a, o), *data = value_ensure_map(&a, doc, "data");
    set_number(&a, data, "uses", (uint64_t)left);
    set_text(&a, data, "used-by", str_of(with_newest(&a, token_field(o, "used-by"), who)));
    if (left == 0 && timefmt_parse(token_field(o, "expiration"), &expires_ms) && expires_ms > soon_ms) {
        set_time(&a, data, "expiration", soon_ms);
    }
    return txn_update_value(t, kind_by_id(KIND_SECRET), doc, TXN_PART_ALL, o->revision, err);
}

/* ---- token: make one ---- */

struct token_call {
    struct api_call *call;
    int64_t uses;
    char token[TOKEN_SIZE], expires[TIMEFMT_SIZE];
};

static void token_made(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct token_call *tc = data;
    struct api_call *c = tc->call;
    if (error != NULL) {
        c->front->fail(c, error);
    } else {
        struct buf b = BUF_INIT;
        mp_write_map(&b, 5);
        mp_write_key_str(&b, "token", str_of(tc->token));
        mp_write_key_str(&b, "address", str_of(c->m->config.advertise));
        mp_write_key_str(&b, "agentAddress", str_of(c->m->config.agent_address));
        mp_write_key_str(&b, "expires", str_of(tc->expires));
        mp_write_key_int(&b, "uses", tc->uses);
        c->front->told(c, mp_of(b.data, b.size));
        mem_wipe(b.data, b.size);
        buf_close(&b);
    }
    mem_wipe(tc->token, sizeof tc->token);
    free(tc);
}

/* Whose place may be taken: that of a member that is not up, unless it is meant all the same. */
static int check_replaces(struct master *m, const struct api_token *q, struct error *err)
{
    struct replica_member there;
    if (q->role != PKI_ROLE_MASTER || q->uses != 1) {
        return error_set(err, ERR_USAGE, "token: replaces must be the id of a master, and role \"master\", and uses 1");
    }
    if (!members_find(m, q->replaces, NULL, &there)) {
        return error_set(err, ERR_NOT_FOUND, "no master has the id %" PRIu64 "; `rctl master list` shows them",
                         q->replaces);
    }
    if (members_up(m, q->replaces) && !q->even_reachable) {
        return error_set(err, ERR_CONFLICT,
                         "master %" PRIu64 " at %s is up; to replace it all the same, say so: "
                         "rctl master replace %" PRIu64 " --yes",
                         q->replaces, there.address, q->replaces);
    }
    return 0;
}

static int check_grant(struct master *m, const struct api_token *q, struct error *err)
{
    bool master = q->role == PKI_ROLE_MASTER;
    int64_t max_s = master ? TOKEN_TTL_S : 365ll * 24 * 3600;
    if (!master && q->role != PKI_ROLE_NODE) {
        return error_set(err, ERR_USAGE, "token: role must be \"master\" or \"node\"");
    }
    if (q->uses < 1 || q->uses > API_TOKEN_USES_MAX) {
        return error_set(err, ERR_USAGE, "token: uses must be between 1 and %d", API_TOKEN_USES_MAX);
    }
    if (q->node_names.n > 0 && master) {
        return error_set(err, ERR_USAGE,
                         "token: nodeName is for role \"node\"; masters get their numbers from the cluster");
    }
    if (q->node_names.n > NAME_PATTERN_MAX) {
        return error_set(err, ERR_USAGE, "token: nodeName has more than %d characters", NAME_PATTERN_MAX);
    }
    int rv = q->replaces == 0 ? 0 : check_replaces(m, q, err);
    if (rv == 0 && (q->ttl_s <= 0 || q->ttl_s > max_s)) {
        rv = error_set(err, ERR_USAGE, "token: ttlSeconds must be between 1 and %" PRId64 " for role %s", max_s,
                       master ? "master" : "node");
    }
    return rv;
}

void verb_token(struct api_call *c, const struct api_token *q)
{
    struct master *m = c->m;
    struct error err = {0};
    if (check_grant(m, q, &err) != 0 ||
        authority_can_sign(m, q->role, &err) != 0) { /* else nobody could join with it */
        c->front->fail(c, &err);
        return;
    }
    struct token_grant grant = {q->role, q->uses, q->node_names, q->replaces, q->even_reachable};
    struct token_call *tc = xcalloc(1, sizeof *tc);
    tc->call = c;
    tc->uses = q->uses;
    token_text(m->env, m->ca_pem, tc->token);
    timefmt_rfc3339(env_wall_ms(m->env) + q->ttl_s * 1000, tc->expires);
    struct txn t;
    txn_init(&t, "token");
    token_store(m, &t, &grant, tc->token, q->ttl_s);
    replica_submit(m->replica, &t, token_made, tc, &err);
    txn_close(&t);
    master_wake(m);
}
