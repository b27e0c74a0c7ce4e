#include "master/auth/bearer.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/auth/account_keys.h"
#include "master/auth/account_token.h"
#include "master/auth/allowance.h"
#include "master/auth/bootstrap_token.h"
#include "master/auth/revoked.h"
#include "master/auth/user_token.h"
#include "master/master.h"

#define ACCOUNTS_GROUP  "system:serviceaccounts"
#define NOT_THREE_PARTS "it is not three parts, a header, claims and a signature by ES256"

struct known {
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct principal *who; /* a reference; NULL: free */
    uint64_t used;
};
struct bearers {
    uint64_t revision; /* of the keys that they were verified with */
    uint64_t clock;
    struct allowance *wrong;  /* by network, or by network and account */
    struct allowance *forged; /* by network: those that say that they are of an account which is there */
    struct known known[BEARER_CACHE / BEARER_CACHE_SET][BEARER_CACHE_SET];
};

struct bearers *bearers_new(const struct env *env)
{
    struct bearers *b = xcalloc(1, sizeof *b);
    b->wrong = allowance_new(env, BEARER_WRONG_BURST, BEARER_WRONG_US);
    b->forged = allowance_new(env, BEARER_FORGED_BURST, BEARER_FORGED_US);
    return b;
}

static void forget(struct bearers *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(b->known); i++) {
        for (unsigned k = 0; k < BEARER_CACHE_SET; k++) {
            principal_unref(b->known[i][k].who);
            b->known[i][k] = (struct known){0};
        }
    }
}

void bearers_free(struct bearers *b)
{
    if (b != NULL) {
        forget(b);
        free(b->wrong);
        free(b->forged);
        free(b);
    }
}

struct str bearer_audience(const struct master *m)
{
    return str_of(account_keys_issuer(m));
}

/* ---- What is remembered ---- */

static struct known *set_of(struct bearers *b, const uint8_t hash[SHA256_DIGEST_LENGTH])
{
    uint32_t n;
    memcpy(&n, hash, sizeof n);
    return b->known[n % ARRAY_SIZE(b->known)];
}

static struct principal *recall(struct master *m, const uint8_t hash[SHA256_DIGEST_LENGTH])
{
    struct bearers *b = m->bearers;
    if (b->revision != account_keys_revision(m)) {
        forget(b);
        b->revision = account_keys_revision(m);
    }
    struct known *set = set_of(b, hash);
    for (unsigned i = 0; i < BEARER_CACHE_SET; i++) {
        if (set[i].who != NULL && memcmp(set[i].hash, hash, sizeof set[i].hash) == 0) {
            set[i].used = ++b->clock;
            return principal_ref(set[i].who);
        }
    }
    return NULL;
}

static void remember(struct master *m, const uint8_t hash[SHA256_DIGEST_LENGTH], struct principal *who)
{
    struct bearers *b = m->bearers;
    struct known *set = set_of(b, hash), *oldest = &set[0];
    for (unsigned i = 1; i < BEARER_CACHE_SET; i++) {
        oldest = set[i].used < oldest->used ? &set[i] : oldest;
    }
    principal_unref(oldest->who);
    memcpy(oldest->hash, hash, sizeof oldest->hash);
    oldest->who = principal_ref(who);
    oldest->used = ++b->clock;
}

/* ---- Tokens of accounts ---- */

static int no_token(struct error *err, const char *why)
{
    return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: %s", why);
}

static bool put_text(char *to, size_t size, struct str s)
{
    if (s.n >= size || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)) {
        return false;
    }
    snprintf(to, size, "%.*s", STR_ARG(s));
    return true;
}

static int principal_of_account(struct principal *p, const struct account_claims *c, struct error *err)
{
    struct principal_token *t = &p->token;
    char text[PKI_NAME_MAX + 32];
    *p = (struct principal){.role = PKI_ROLE_USER, .proof = PROOF_TOKEN};
    bool pod = c->pod.n > 0, secret = c->secret.n > 0, node = c->node.n > 0;
    struct str name = pod      ? c->pod
                      : secret ? c->secret
                               : c->node,
               uid = pod      ? c->pod_uid
                     : secret ? c->secret_uid
                              : c->node_uid;
    int n = snprintf(text, sizeof text, ACCESS_ACCOUNT_PREFIX "%.*s:%.*s", STR_ARG(c->ns), STR_ARG(c->account));
    t->bound = pod ? 'p' : secret ? 's' : node ? 'n' : '\0';
    t->until_s = c->until_s;
    if (n < 0 || n > PKI_NAME_MAX || !put_text(p->name, sizeof p->name, str_of(text)) ||
        !put_text(t->uid, sizeof t->uid, c->account_uid) || !put_text(t->name, sizeof t->name, name) ||
        !put_text(t->bound_uid, sizeof t->bound_uid, uid) || !put_text(t->id, sizeof t->id, c->jti)) {
        return no_token(err, "its names are too long");
    }
    snprintf(text, sizeof text, ACCOUNTS_GROUP ":%.*s", STR_ARG(c->ns));
    int rv = principal_add_group(p, STR(ACCOUNTS_GROUP), err);
    rv = rv != 0 ? rv : principal_add_group(p, str_of(text), err);
    return rv != 0 ? rv : principal_add_group(p, STR("system:authenticated"), err);
}

/* What the claims of one say, and whether that holds now; each of the audiences that it is for is marked. */
static int read_claims(const struct master *m, struct arena *a, struct value *claims, const struct str *audiences,
                       unsigned count, bool *matched, struct account_claims *c, struct error *err)
{
    int64_t now_s = env_wall_ms(m->env) / 1000;
    bool any = false;
    if (!account_claims_read(claims, c)) {
        return no_token(err, "it is none of a service account");
    }
    bool endless = value_get(claims, "exp") == NULL && c->secret.n > 0; /* a Secret's, which lives as long as that */
    if (endless) {
        value_set(a, claims, "exp", value_int(a, INT64_MAX));
    } else if (c->until_s <= now_s) {
        return no_token(err, "it has expired"); /* no leeway for that */
    }
    struct jwt_rules rules = {.issuer = account_keys_issuer(m), .now_s = now_s, .leeway_s = BEARER_LEEWAY_S};
    int rv = jwt_check(claims, &rules, err);
    for (unsigned i = 0; rv == 0 && i < count; i++) {
        const char *one = arena_strndup(a, audiences[i].p, audiences[i].n);
        rules.audiences = &one;
        rules.audiences_count = 1;
        matched[i] = jwt_check(claims, &rules, NULL) == 0;
        any = any || matched[i];
    }
    return rv == 0 && !any ? no_token(err, "it is for another audience") : rv;
}

static int check_signature(const struct master *m, struct str token, struct arena *a, struct error *err)
{
    struct value *claims;
    unsigned count;
    const struct jwt_key *const *keys = account_keys_all(m, &count);
    return jwt_verify(token, keys, count, a, &claims, err);
}

/* Claims first: they cost little, and what is not signed by us is none whatever they say. */
static int verify(struct master *m, struct str token, const struct str *audiences, unsigned count, bool *matched,
                  struct principal *out, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *claims;
    struct account_claims c;
    struct str key_id;
    arena_init(&a);
    if (!jwt_read(token, &a, &claims, &key_id)) {
        return no_token(err, NOT_THREE_PARTS);
    }
    int rv = read_claims(m, &a, claims, audiences, count, matched, &c, err);
    rv = rv != 0 ? rv : check_signature(m, token, &a, err);
    return rv != 0 ? rv : principal_of_account(out, &c, err);
}

/* ---- How many may be wrong ---- */

/* Whom a wrong one is counted on: "NETWORK", or "NETWORK UID" if it says that it is of an account which is there. Then
 * nobody but who knows the account's uid keeps its tokens from being looked at, and those of no other account. */
struct charge {
    char text[NET_NETWORK_MAX + PRINCIPAL_UID_SIZE + 2];
    struct str network;
    bool of_account;
};

static void charge_network(struct charge *c, struct str network)
{
    c->network = network;
    c->of_account = false;
    snprintf(c->text, sizeof c->text, "%.*s", STR_ARG(network));
}

static void charge_account(const struct master *m, struct charge *c, const struct account_claims *of)
{
    const struct object *o =
        view_get(store_committed(replica_store(m->replica)), kind_by_id(KIND_SERVICEACCOUNT), of->ns, of->account);
    if (o != NULL && str_eq(o->uid, of->account_uid) && o->uid.n < PRINCIPAL_UID_SIZE) {
        c->of_account = true;
        snprintf(c->text, sizeof c->text, "%.*s %.*s", STR_ARG(c->network), STR_ARG(o->uid));
    }
}

/* ERR_LIMIT: too many were wrong. */
static int check_charge(struct master *m, const struct charge *c, struct error *err)
{
    int64_t now_ms = env_now_ms(m->env), wait_ms = allowance_wait_ms(m->bearers->wrong, str_of(c->text), 1, now_ms);
    if (c->of_account) {
        wait_ms = MAX(wait_ms, allowance_wait_ms(m->bearers->forged, c->network, 1, now_ms));
    }
    if (wait_ms > 0) {
        error_set(err, ERR_LIMIT,
                  "too many tokens came from your address that were not valid; the next one is looked "
                  "at in %lld ms",
                  (long long)wait_ms);
        err->retry_after_ms = (int)wait_ms;
        return ERR_LIMIT;
    }
    return 0;
}

static void take_charge(struct master *m, const struct charge *c)
{
    int64_t now_ms = env_now_ms(m->env);
    allowance_take(m->bearers->wrong, str_of(c->text), 1, now_ms);
    if (c->of_account) {
        allowance_take(m->bearers->forged, c->network, 1, now_ms);
    }
}

/* One that is wrong by what it says itself costs no signature, but counts on its network. */
static int prove_account(struct master *m, struct str token, struct charge *charge, struct principal *out,
                         struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *claims;
    struct account_claims c;
    struct str key_id, masters = bearer_audience(m);
    struct error why = {0};
    bool matched = false;
    arena_init(&a);
    int rv = !jwt_read(token, &a, &claims, &key_id) ? no_token(&why, NOT_THREE_PARTS)
                                                    : read_claims(m, &a, claims, &masters, 1, &matched, &c, &why);
    if (rv == 0) {
        charge_account(m, charge, &c);
    }
    if (check_charge(m, charge, err) != 0) {
        return ERR_LIMIT;
    }
    rv = rv != 0 ? rv : check_signature(m, token, &a, &why);
    rv = rv != 0 ? rv : principal_of_account(out, &c, &why);
    if (rv != 0 && err != NULL) {
        *err = why;
    }
    return rv;
}

static int prove(struct master *m, struct str token, struct charge *charge, struct principal *out, struct error *err)
{
    if (user_token_is(token)) { /* one hash, and nobody guesses it: as many as like */
        return user_token_find(m, token, out, err);
    }
    if (bootstrap_token_is(token)) {
        int rv = check_charge(m, charge, err);
        return rv != 0 ? rv
                       : bootstrap_token_find(store_committed(replica_store(m->replica)), token, env_wall_ms(m->env),
                                              out, err);
    }
    return prove_account(m, token, charge, out, err);
}

int bearer_prove(struct master *m, struct str token, struct str network, struct principal **out, struct error *err)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct principal p;
    struct charge charge;
    *out = NULL;
    if (m->bearers == NULL || token.n > JWT_SIZE_MAX) {
        return no_token(err, "it is too long");
    }
    SHA256((const uint8_t *)token.p, token.n, hash);
    bool lasts =
        !user_token_is(token) && !bootstrap_token_is(token); /* what it says is so as long as its key is there */
    if (lasts && (*out = recall(m, hash)) != NULL) {
        return 0;
    }
    charge_network(&charge, network);
    int rv = prove(m, token, &charge, &p, err);
    if (rv != 0) {
        m->stats.wrong_bearers += rv != ERR_LIMIT;
        if (rv != ERR_LIMIT) {
            take_charge(m, &charge);
        }
        return rv;
    }
    *out = principal_share(&p);
    if (lasts) {
        remember(m, hash, *out);
    }
    return 0;
}

int bearer_review(struct master *m, struct str token, const struct str *audiences, unsigned count, bool *matched,
                  struct principal *out, struct error *err)
{
    struct str masters = bearer_audience(m);
    bool ours = false;
    if (token.n > JWT_SIZE_MAX) {
        return no_token(err, "it is too long");
    }
    int rv;
    if (user_token_is(token) || bootstrap_token_is(token)) { /* such a one is for the masters alone */
        const struct view *v = store_committed(replica_store(m->replica));
        rv = user_token_is(token) ? user_token_find(m, token, out, err)
                                  : bootstrap_token_find(v, token, env_wall_ms(m->env), out, err);
        for (unsigned i = 0; rv == 0 && i < count; i++) {
            matched[i] = str_eq(audiences[i], masters);
            ours = ours || matched[i];
        }
        rv = rv == 0 && count > 0 && !ours ? no_token(err, "it is for another audience") : rv;
    } else {
        rv = verify(m, token, count == 0 ? &masters : audiences, count == 0 ? 1 : count, count == 0 ? &ours : matched,
                    out, err);
    }
    return rv != 0 ? rv : bearer_check(m, out, err);
}

/* ---- Is it still good? ---- */

/* "system:serviceaccount:NS:NAME" */
static void read_account(const struct principal *p, struct account_claims *c)
{
    const char *ns = p->name + sizeof ACCESS_ACCOUNT_PREFIX - 1, *colon = strchr(ns, ':');
    c->ns = (struct str){ns, (size_t)(colon - ns)};
    c->account = str_of(colon + 1);
    c->account_uid = str_of(p->token.uid);
}

int bearer_check(const struct master *m, const struct principal *who, struct error *err)
{
    const struct principal *p = principal_asker(who);
    const struct principal_token *t = &p->token;
    struct str name = str_of(t->name), uid = str_of(t->bound_uid);
    if (p->proof != PROOF_TOKEN) {
        return 0;
    }
    const struct view *v = store_committed(replica_store(m->replica));
    if (t->until_s != 0 && t->until_s <= env_wall_ms(m->env) / 1000) {
        return no_token(err, "it has expired");
    }
    if (bootstrap_token_proved(p)) {
        return bootstrap_token_holds(v, p, env_wall_ms(m->env), err);
    }
    if (t->uid[0] == '\0') {
        return revoked_has(m, &p->identity, &p->facts, err) ? ERR_UNAUTHORIZED : user_token_holds(v, p, err);
    }
    struct account_claims c = {0};
    read_account(p, &c);
    c.pod = t->bound == 'p' ? name : STR_NONE;
    c.pod_uid = uid;
    c.secret = t->bound == 's' ? name : STR_NONE;
    c.secret_uid = uid;
    c.node = t->bound == 'n' ? name : STR_NONE;
    c.node_uid = uid;
    c.jti = str_of(t->id);
    c.until_s = t->until_s;
    return account_claims_hold(v, &c, env_wall_ms(m->env) / 1000, err);
}

/* ---- What is told of whom it is ---- */

static bool has_id(const struct principal *p)
{
    return p->token.id[0] != '\0' && !bootstrap_token_proved(p);
}

static unsigned extras_of(const struct principal *p)
{
    return (p->token.bound == 'p' ? 2u : 0) + has_id(p);
}

unsigned bearer_more(const struct principal *p)
{
    return p->proof != PROOF_TOKEN ? 0 : (p->token.uid[0] != '\0') + (extras_of(p) > 0 ? 1u : 0);
}

static void put_extra(struct buf *b, const char *key, const char *prefix, const char *text)
{
    CLEANUP_BUF struct buf all = BUF_INIT;
    buf_printf(&all, "%s%s", prefix, text);
    mp_write_cstr(b, key);
    mp_write_array(b, 1);
    mp_write_str(b, buf_str(&all));
}

void bearer_write_more(struct buf *b, const struct principal *p)
{
    const struct principal_token *t = &p->token;
    if (p->proof != PROOF_TOKEN) {
        return;
    }
    if (t->uid[0] != '\0') {
        mp_write_key_str(b, "uid", str_of(t->uid));
    }
    if (extras_of(p) > 0) {
        mp_write_cstr(b, "extra");
        mp_write_map(b, extras_of(p));
    }
    if (has_id(p)) {
        put_extra(b, "authentication.kubernetes.io/credential-id", t->uid[0] != '\0' ? "JTI=" : "", t->id);
    }
    if (t->bound == 'p') {
        put_extra(b, "authentication.kubernetes.io/pod-name", "", t->name);
        put_extra(b, "authentication.kubernetes.io/pod-uid", "", t->bound_uid);
    }
}

/* ---- token.review ---- */

static void write_user(struct buf *b, const struct principal *p)
{
    mp_write_cstr(b, "user");
    mp_write_map(b, 2 + bearer_more(p));
    mp_write_key_str(b, "username", str_of(p->name));
    mp_write_cstr(b, "groups");
    mp_write_array(b, p->groups_count);
    for (struct str g = STR_NONE; principal_next_group(p, &g);) {
        mp_write_str(b, g);
    }
    bearer_write_more(b, p);
}

void verb_token_review(struct api_call *c, const struct api_token_review *q)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    struct principal p;
    bool matched[API_AUDIENCES_MAX] = {false};
    unsigned count = 0;
    int rv = bearer_review(c->m, q->token, q->audiences, q->audiences_count, matched, &p, &err);
    mp_write_map(&b, rv != 0 ? 2 : 3);
    mp_write_key_bool(&b, "authenticated", rv == 0);
    if (rv != 0) {
        mp_write_key_str(&b, "error", str_of(err.message));
        c->front->told(c, mp_of(b.data, b.size));
        return;
    }
    write_user(&b, &p);
    for (unsigned i = 0; i < q->audiences_count; i++) {
        count += matched[i];
    }
    mp_write_cstr(&b, "audiences");
    mp_write_array(&b, q->audiences_count == 0 ? 1 : count);
    for (unsigned i = 0; i < q->audiences_count; i++) {
        if (matched[i]) {
            mp_write_str(&b, q->audiences[i]);
        }
    }
    if (q->audiences_count == 0) {
        mp_write_str(&b, bearer_audience(c->m));
    }
    c->front->told(c, mp_of(b.data, b.size));
}
