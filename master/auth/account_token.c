#include "master/auth/account_token.h"

#include <inttypes.h>

#include "base/timefmt.h"
#include "master/auth/account_keys.h"
#include "master/master.h"
#include "proto/facts/account.h"

#define CLAIMS "kubernetes.io"

/* ---- Reading ---- */

static struct str name_in(const struct value *map, const char *key, struct str *uid)
{
    const struct value *v = value_get(map, key);
    *uid = value_to_str(value_get(v, "uid"));
    return value_to_str(value_get(v, "name"));
}

bool account_claims_read(const struct value *claims, struct account_claims *out)
{
    const struct value *own = value_get(claims, CLAIMS);
    *out = (struct account_claims){
        .ns = value_to_str(value_get(own, "namespace")),
        .jti = value_to_str(value_get(claims, "jti")),
        .issued_s = value_to_int(value_get(claims, "iat"), 0),
        .until_s = value_to_int(value_get(claims, "exp"), 0),
    };
    out->account = name_in(own, "serviceaccount", &out->account_uid);
    out->pod = name_in(own, "pod", &out->pod_uid);
    out->secret = name_in(own, "secret", &out->secret_uid);
    out->node = name_in(own, "node", &out->node_uid);
    CLEANUP_BUF struct buf sub = BUF_INIT;
    buf_printf(&sub, ACCESS_ACCOUNT_PREFIX "%.*s:%.*s", STR_ARG(out->ns), STR_ARG(out->account));
    return out->ns.n > 0 && out->account.n > 0 && out->account_uid.n > 0 &&
           str_eq(value_to_str(value_get(claims, "sub")), buf_str(&sub));
}

/* ---- What they speak of ---- */

static const struct object *find_alive(const struct view *v, enum kind_id kind, struct str ns, struct str name,
                                       struct str uid)
{
    const struct object *o = view_get(v, kind_by_id(kind), ns, name);
    return o != NULL && str_eq(o->uid, uid) && (kind == KIND_POD || !o->deleting) ? o : NULL;
}

/* Its grace is over, and the leeway; one whose time cannot be read has none. */
static bool pod_has_ended(const struct object *pod, int64_t now_s)
{
    int64_t at_ms = 0;
    return pod->deleting && (!timefmt_parse(mp_str(mp_path(object_mp(pod), "metadata.deletionTimestamp")), &at_ms) ||
                             at_ms / 1000 + ACCOUNT_TOKEN_POD_ENDS_S <= now_s);
}

static struct str token_in(const struct object *secret)
{
    struct mp m = mp_get(mp_get(object_mp(secret), "data"), "token");
    struct str s = STR_NONE;
    return mp_read_bin(&m, &s) ? s : STR_NONE;
}

/* Whoever may write Secrets has written that, and it is looked at for each request: what is too long for one of ours is
 * refused unread. */
static bool read_own(const struct object *secret, struct arena *a, struct value **claims, struct str *key_id)
{
    struct str token = token_in(secret);
    return token.n <= ACCOUNT_TOKEN_SECRET_MAX && jwt_read(token, a, claims, key_id);
}

/* By their ids: what has come with a request is known by no more (principal.h). */
static bool is_token_of(const struct object *secret, struct str jti)
{
    CLEANUP_ARENA struct arena a;
    struct value *claims;
    struct str key_id;
    arena_init(&a);
    return jti.n > 0 && read_own(secret, &a, &claims, &key_id) && str_eq(value_to_str(value_get(claims, "jti")), jti);
}

int account_claims_hold(const struct view *v, const struct account_claims *c, int64_t now_s, struct error *err)
{
    if (find_alive(v, KIND_SERVICEACCOUNT, c->ns, c->account, c->account_uid) == NULL) {
        return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: its service account has been deleted");
    }
    const struct object *pod = c->pod.n > 0 ? find_alive(v, KIND_POD, c->ns, c->pod, c->pod_uid) : NULL;
    if (c->pod.n > 0 && (pod == NULL || pod_has_ended(pod, now_s))) {
        return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: its pod has been deleted");
    }
    const struct object *secret = c->secret.n > 0 ? find_alive(v, KIND_SECRET, c->ns, c->secret, c->secret_uid) : NULL;
    if (c->secret.n > 0 && secret == NULL) {
        return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: its secret has been deleted");
    }
    if (secret != NULL && c->until_s == 0 && !is_token_of(secret, c->jti)) {
        return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: its secret has another one now");
    }
    bool bound_to_node = c->node.n > 0 && c->pod.n == 0; /* a pod's node is told for information */
    if (bound_to_node && find_alive(v, KIND_NODE, STR_NONE, c->node, c->node_uid) == NULL) {
        return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: its node has been deleted");
    }
    return 0;
}

bool account_token_outlived(const struct master *m, const struct object *secret)
{
    CLEANUP_ARENA struct arena a;
    struct value *claims;
    struct account_claims c;
    struct str key_id;
    unsigned count;
    const struct jwt_key *const *keys = account_keys_all(m, &count);
    arena_init(&a);
    if (count == 0 || !read_own(secret, &a, &claims, &key_id) || !account_claims_read(claims, &c) ||
        !str_eq(c.secret_uid, secret->uid)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (str_is(key_id, jwt_key_id(keys[i]))) {
            return false;
        }
    }
    return true;
}

/* ---- Making ---- */

static struct str node_of(const struct object *pod)
{
    return mp_str(mp_get(object_spec(pod), "nodeName"));
}

static void put_object(struct arena *a, struct value *own, const char *key, const struct object *o)
{
    struct value *v = value_map(a);
    value_set(a, v, "name", value_str(a, o->name));
    value_set(a, v, "uid", value_str(a, o->uid));
    value_set(a, own, key, v);
}

struct grant {
    const struct object *account;
    const struct object *bound; /* a pod, a Secret or a node; NULL: to nothing */
    const struct str *audiences;
    unsigned audiences_count; /* 0: the masters */
    int64_t life_s;           /* 0: it has no end */
};

static struct value *claims_of(struct master *m, const struct view *v, struct arena *a, const struct grant *g,
                               int64_t now_s)
{
    struct value *c = value_map(a), *own = value_map(a), *aud = value_list(a);
    char jti[ENV_UUID_SIZE];
    env_uuid(m->env, jti);
    for (unsigned i = 0; i < g->audiences_count; i++) {
        value_append(a, aud, value_str(a, g->audiences[i]));
    }
    if (g->audiences_count == 0) {
        value_append(a, aud, value_cstr(a, account_keys_issuer(m)));
    }
    value_set(a, c, "aud", aud);
    if (g->life_s > 0) {
        value_set(a, c, "exp", value_int(a, now_s + g->life_s));
    }
    value_set(a, c, "iat", value_int(a, now_s));
    value_set(a, c, "iss", value_cstr(a, account_keys_issuer(m)));
    value_set(a, c, "jti", value_cstr(a, jti));
    value_set(a, own, "namespace", value_str(a, g->account->ns));
    if (g->bound != NULL && g->bound->kind->id == KIND_POD) {
        const struct object *node = view_get(v, kind_by_id(KIND_NODE), STR_NONE, node_of(g->bound));
        if (node != NULL) {
            put_object(a, own, "node", node);
        }
    }
    if (g->bound != NULL) {
        put_object(a, own, g->bound->kind->singular, g->bound);
    }
    put_object(a, own, "serviceaccount", g->account);
    value_set(a, c, CLAIMS, own);
    value_set(a, c, "nbf", value_int(a, now_s));
    value_set(a, c, "sub",
              value_strf(a, ACCESS_ACCOUNT_PREFIX "%.*s:%.*s", STR_ARG(g->account->ns), STR_ARG(g->account->name)));
    return c;
}

static int sign(struct master *m, const struct view *v, const struct grant *g, int64_t now_s, struct buf *out,
                struct error *err)
{
    CLEANUP_ARENA struct arena a;
    const struct jwt_key *key = account_keys_signer(m);
    arena_init(&a);
    if (key == NULL) {
        error_set(err, ERR_NO_QUORUM, "there is no key yet that signs tokens: the leader is just making one");
        err->retry_after_ms = 1000;
        return ERR_NO_QUORUM;
    }
    return jwt_sign(key, claims_of(m, v, &a, g, now_s), out, err);
}

int account_token_for_secret(struct master *m, const struct object *account, const struct object *secret,
                             struct buf *out, struct error *err)
{
    const struct grant g = {.account = account, .bound = secret};
    return sign(m, store_tip(replica_store(m->replica)), &g, env_wall_ms(m->env) / 1000, out, err);
}

/* ---- The request ---- */

static int not_found(enum kind_id kind, struct str name, struct error *err)
{
    const struct kind *k = kind_by_id(kind);
    error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", k->plural, STR_ARG(name));
    kind_error_about(err, k, name);
    return ERR_NOT_FOUND;
}

static int check_life(const struct api_account_token *q, struct error *err)
{
    const char *field = "spec.expirationSeconds";
    if (q->expiration_s != 0 && q->expiration_s < ACCOUNT_TOKEN_LIFE_MIN_S) {
        return error_set_field(err, ERR_INVALID, field,
                               "TokenRequest is invalid: %s: Invalid value: %" PRId64 ": may not specify a duration "
                               "less than 10 minutes",
                               field, q->expiration_s);
    }
    if (q->expiration_s > ACCOUNT_TOKEN_ASK_MAX_S) {
        return error_set_field(err, ERR_INVALID, field,
                               "TokenRequest is invalid: %s: Invalid value: %" PRId64 ": may not specify a duration "
                               "larger than 2^32 seconds",
                               field, q->expiration_s);
    }
    for (unsigned i = 0; i < q->audiences_count; i++) {
        if (q->audiences[i].n == 0 || q->audiences[i].n > API_AUDIENCE_MAX) {
            return error_set_field(err, ERR_INVALID, "spec.audiences",
                                   "TokenRequest is invalid: spec.audiences: an audience must have 1 to %u bytes",
                                   API_AUDIENCE_MAX);
        }
    }
    return 0;
}

/* What the token is to be bound to; NULL: nothing. */
static int find_bound(const struct view *v, const struct api_account_token *q, const struct object **out,
                      struct error *err)
{
    static const enum kind_id kinds[] = {KIND_POD, KIND_SECRET, KIND_NODE};
    *out = NULL;
    if (q->bound_kind.n == 0 && q->bound_name.n == 0) {
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct kind *k = kind_by_id(kinds[i]);
        if (!str_is(q->bound_kind, k->name)) {
            continue;
        }
        const struct object *o = view_get(v, k, k->namespaced ? q->ns : STR_NONE, q->bound_name);
        if (o == NULL) {
            return not_found(kinds[i], q->bound_name, err);
        }
        if (q->bound_uid.n > 0 && !str_eq(q->bound_uid, o->uid)) {
            return error_set(err, ERR_CONFLICT,
                             "the uid of the object that the token is to be bound to is %.*s, not %.*s: the object may "
                             "have been deleted and made anew",
                             STR_ARG(o->uid), STR_ARG(q->bound_uid));
        }
        if (kinds[i] == KIND_POD && !str_eq(account_of_pod(o), q->name)) {
            return error_set(err, ERR_USAGE,
                             "a token of service account \"%.*s\" cannot be bound to pod \"%.*s\", which runs as "
                             "\"%.*s\"",
                             STR_ARG(q->name), STR_ARG(o->name), STR_ARG(account_of_pod(o)));
        }
        *out = o;
        return 0;
    }
    return error_set(err, ERR_USAGE, "a token cannot be bound to a \"%.*s\": it can to a Pod, a Secret or a Node",
                     STR_ARG(q->bound_kind));
}

static int find_account(const struct view *v, const struct api_account_token *q, const struct object **out,
                        struct error *err)
{
    *out = view_get(v, kind_by_id(KIND_SERVICEACCOUNT), q->ns, q->name);
    if (*out == NULL || (*out)->deleting) {
        return not_found(KIND_SERVICEACCOUNT, q->name, err);
    }
    if (sizeof ACCESS_ACCOUNT_PREFIX + q->ns.n + q->name.n > PKI_NAME_MAX) {
        return error_set(err, ERR_UNSUPPORTED,
                         "service account \"%.*s\" can have no tokens: its user's name has more than %d bytes",
                         STR_ARG(q->name), PKI_NAME_MAX);
    }
    return 0;
}

int account_token_node_may(const struct view *v, struct str node, const struct api_account_token *q, struct error *err)
{
    const struct object *pod =
        str_is(q->bound_kind, "Pod") ? view_get(v, kind_by_id(KIND_POD), q->ns, q->bound_name) : NULL;
    if (pod != NULL && q->bound_uid.n > 0 && str_eq(pod->uid, q->bound_uid) && str_eq(node_of(pod), node) &&
        str_eq(account_of_pod(pod), q->name)) {
        return 0;
    }
    error_set(
        err, ERR_FORBIDDEN,
        "serviceaccounts \"%.*s\" is forbidden: node \"%.*s\" may ask for tokens that are bound to a pod on it, by "
        "name and uid, of that pod's account, and for no others",
        STR_ARG(q->name), STR_ARG(node));
    kind_error_about(err, kind_by_id(KIND_SERVICEACCOUNT), q->name);
    return ERR_FORBIDDEN;
}

static void write_answer(struct buf *b, struct master *m, const struct grant *g, int64_t until_s, struct str token)
{
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(until_s * 1000, date);
    mp_write_map(b, 4);
    mp_write_key_str(b, "token", token);
    mp_write_key_str(b, "expirationTimestamp", str_of(date));
    mp_write_key_int(b, "expirationSeconds", g->life_s);
    mp_write_cstr(b, "audiences");
    mp_write_array(b, MAX(g->audiences_count, 1u));
    for (unsigned i = 0; i < g->audiences_count; i++) {
        mp_write_str(b, g->audiences[i]);
    }
    if (g->audiences_count == 0) {
        mp_write_str(b, str_of(account_keys_issuer(m)));
    }
}

void verb_account_token(struct api_call *c, const struct api_account_token *q)
{
    CLEANUP_BUF struct buf token = BUF_INIT, b = BUF_INIT;
    const struct view *v = store_committed(replica_store(c->m->replica));
    struct error err = {0};
    int64_t now_s = env_wall_ms(c->m->env) / 1000,
            ask_s = q->expiration_s == 0 ? ACCOUNT_TOKEN_LIFE_S : q->expiration_s;
    struct grant g = {.audiences = q->audiences,
                      .audiences_count = q->audiences_count,
                      .life_s = MIN(ask_s, (int64_t)ACCOUNT_TOKEN_LIFE_MAX_S)};
    int rv = check_life(q, &err);
    rv = rv != 0 ? rv : find_account(v, q, &g.account, &err);
    rv = rv != 0 ? rv : find_bound(v, q, &g.bound, &err);
    rv = rv != 0 ? rv : sign(c->m, v, &g, now_s, &token, &err);
    if (rv != 0) {
        c->front->fail(c, &err);
        return;
    }
    c->m->stats.account_tokens++;
    write_answer(&b, c->m, &g, now_s + g.life_s, buf_str(&token));
    c->front->told(c, mp_of(b.data, b.size));
    mem_wipe(token.data, token.size);
    mem_wipe(b.data, b.size);
}
